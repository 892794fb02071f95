"""MTD_TL.xml, MTD_MSIL1C.xml and their companions, element by element, beside real documents."""

import math
import re
from datetime import UTC, datetime
from types import MappingProxyType

import numpy as np
import pytest
from affine import Affine
from defusedxml import ElementTree
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from undersky.bands import SENSORS
from undersky.grid import Grid
from undersky.synth.safe_names import SafeNames
from undersky.synth.safe_tile_xml import _values, tile_xml
from undersky.synth.safe_xml import Document, datastrip_xml, inspire_xml, manifest_xml, product_xml
from undersky.synth.tile_angles import TileAngles, tile_angles

NEW = "s2-l1c-safe-t51mup-20230804-metadata/*.SAFE"
REAL = [NEW, "s2-l1c-safe-t55jej-20171207-decimated/*.SAFE", "s2-l1c-safe-t31tdh-20180101"]
TAKEN = datetime(2023, 8, 4, 2, 19, 22, 751_000, tzinfo=UTC)


def document(handmade, *, baseline="05.11", sensor="S2A", code=32632, **changes) -> Document:
    acquisition = handmade("S2A")
    grids = {
        size: Grid((1800 // size,) * 2, Affine(size, 0, 699_960.0, 0, -size, 5_000_040.0), f"EPSG:{code}")
        for size in (10, 20, 60)
    }
    acquired = datetime(2025, 6, 13, 10, 15, 42, 120_000, tzinfo=UTC)
    values = {
        "names": SafeNames(sensor, "32TQM", acquired, baseline),
        "sensor": SENSORS[sensor],
        "grids": grids,
        "angles": tile_angles(acquisition.angles, acquisition.detectors, grid=acquisition.grid),
        "cloud_percent": 11.5,
        "snow_percent": 3.25,
        "images": ("GRANULE/A/IMG_DATA/B01", "GRANULE/A/IMG_DATA/B02"),
        "masks": (("CLASSI", "", "GRANULE/A/QI_DATA/C.jp2"), ("DETFOO", "B8A", "GRANULE/A/QI_DATA/D.jp2")),
    } | changes
    return Document(**values)


@pytest.fixture
def tile(handmade):
    return lambda **changes: ElementTree.fromstring(tile_xml(document(handmade, **changes)))


@pytest.fixture
def product(handmade):
    return lambda **changes: ElementTree.fromstring(product_xml(document(handmade, **changes)))


def text_of(samples, pattern: str, name: str) -> str:
    return next(iter(sorted(samples.glob(f"{pattern}/**/{name}")))).read_text()


# MTD_TL.xml ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "zone"), [(32632, "32N"), (32755, "55S"), (32601, "1N"), (32760, "60S")])
def test_the_projection_is_spelled_by_code_and_by_name(code, zone, tile):
    root = tile(code=code)
    assert root.findtext(".//HORIZONTAL_CS_CODE") == f"EPSG:{code}"
    assert root.findtext(".//HORIZONTAL_CS_NAME") == f"WGS84 / UTM zone {zone}"


def test_sizes_and_corners_stand_by_resolution(tile):
    root = tile()
    sizes = {int(size.get("resolution")): int(size.findtext("NROWS")) for size in root.iter("Size")}
    assert sizes == {10: 180, 20: 90, 60: 30}
    for place in root.iter("Geoposition"):
        resolution = place.get("resolution")
        assert [place.findtext(key) for key in ("ULX", "ULY", "XDIM", "YDIM")] == [
            "699960",
            "5000040",
            resolution,
            f"-{resolution}",
        ]


@settings(max_examples=40, deadline=None)
@given(hnp.arrays(np.float32, (23, 23), elements=st.one_of(st.floats(0, 360, width=32), st.just(math.nan))))
def test_every_angle_comes_back_from_its_spelling_and_nan_stays_nan(field):
    root = ElementTree.fromstring(_values("Zenith", field))
    rows = [[float(value) for value in row.text.split()] for row in root.iter("VALUES")]
    np.testing.assert_allclose(np.array(rows), field, rtol=6e-6, atol=1e-30)
    assert ("NaN" in (root.findtext(".//Values_List/VALUES") or "")) == bool(np.isnan(field[0]).any())


@pytest.mark.oracle
def test_angle_grids_declare_the_steps_and_units_of_a_real_document(tile, samples):
    real = ElementTree.fromstring(text_of(samples, NEW, "MTD_TL.xml"))
    for root in (tile(), real):
        steps = {(s.text, s.get("unit")) for key in ("COL_STEP", "ROW_STEP") for s in root.iter(key)}
        assert steps == {("5000", "m")}
        assert {angle.get("unit") for angle in root.iter("ZENITH_ANGLE")} == {"deg"}
        shapes = {(len(grid.findall(".//VALUES")), len(grid.findtext(".//VALUES").split()))
                  for grid in root.iter("Zenith")}  # fmt: skip
        assert shapes == {(23, 23)}


def test_masks_name_their_band_by_its_position_or_not_at_all(tile):
    masks = {mask.get("type"): (mask.get("bandId"), mask.text) for mask in tile().iter("MASK_FILENAME")}
    assert masks == {
        "MSK_CLASSI": (None, "GRANULE/A/QI_DATA/C.jp2"),
        "MSK_DETFOO": ("8", "GRANULE/A/QI_DATA/D.jp2"),
    }


def test_snow_is_counted_since_baseline_04(tile):
    assert tile().findtext(".//SNOW_PIXEL_PERCENTAGE") == "3.25"
    assert tile(baseline="02.09").find(".//SNOW_PIXEL_PERCENTAGE") is None


def test_the_sensing_time_is_kept_to_the_microsecond(tile):
    found = datetime.fromisoformat(tile().findtext(".//SENSING_TIME"))
    assert found == datetime(2025, 6, 13, 10, 15, 42, 120_000, tzinfo=UTC)


def test_one_grid_stands_per_band_and_detector_and_one_mean_per_band(handmade, tile):
    acquisition = handmade("S2A")
    grids = [
        (int(g.get("bandId")), int(g.get("detectorId")))
        for g in tile().iter("Viewing_Incidence_Angles_Grids")
    ]
    expected = [
        (index, detector.number)
        for index, band in enumerate(acquisition.sensor.bands)
        for detector in acquisition.detectors[band.name]
    ]
    assert grids == expected


def test_a_document_without_detectors_still_states_every_mean(handmade, tile):
    angles = document(handmade).angles
    bare = TileAngles(
        angles.sun_zenith,
        angles.sun_azimuth,
        (30.0, 150.0),
        MappingProxyType(dict.fromkeys(angles.detectors, ())),
        angles.mean_view,
    )
    root = tile(angles=bare)
    assert list(root.iter("Viewing_Incidence_Angles_Grids")) == []
    assert len(list(root.iter("Mean_Viewing_Incidence_Angle"))) == 13
    assert root.findtext(".//Mean_Sun_Angle/ZENITH_ANGLE") == "30"


# MTD_MSIL1C.xml -----------------------------------------------------------------------------------------


@pytest.mark.oracle
@pytest.mark.parametrize("pattern", REAL)
def test_the_suns_distance_enters_as_in_real_products(pattern, handmade, samples):
    real = text_of(samples, pattern, "MTD_MSIL1C.xml")
    start = re.search(r"<DATATAKE_SENSING_START>([^<]+)<", real)[1]
    names = SafeNames("S2A", "32TQM", datetime.fromisoformat(start), "05.11")
    ours = ElementTree.fromstring(product_xml(document(handmade, names=names))).findtext(".//U")
    theirs = re.search(r"<U>([^<]+)<", real)[1]
    assert float(ours) == pytest.approx(float(theirs), abs=1.2e-3)


@pytest.mark.oracle
def test_bands_are_numbered_named_and_sized_as_in_a_real_product(product, samples):
    real = ElementTree.fromstring(text_of(samples, NEW, "MTD_MSIL1C.xml"))
    listed = [
        [
            (info.get("bandId"), info.get("physicalBand"), info.findtext("RESOLUTION"))
            for info in root.iter("Spectral_Information")
        ]
        for root in (product(), real)
    ]
    assert listed[0] == listed[1]
    ours, theirs = (
        [float(c.text) for c in root.iter("CENTRAL")] for root in (product(), real)
    )  # fmt: skip
    np.testing.assert_allclose(ours, theirs, atol=0.5)


@pytest.mark.parametrize("sensor", ["S2A", "S2B", "S2C"])
def test_wavelengths_bracket_each_bands_centre(sensor, product):
    baseline_and_sensor = {"sensor": sensor, "baseline": "05.11"}
    for element in product(**baseline_and_sensor).iter("Wavelength"):
        low, high, centre = (float(element.findtext(key)) for key in ("MIN", "MAX", "CENTRAL"))
        assert low < centre < high


def test_the_sisters_get_nearly_the_same_sun_each_at_its_own_wavelengths(product):
    values = {
        sensor: [float(v.text) for v in product(sensor=sensor).iter("SOLAR_IRRADIANCE")]
        for sensor in ("S2A", "S2B", "S2C")
    }
    assert len(set(map(tuple, values.values()))) == 3
    for other in ("S2B", "S2C"):
        np.testing.assert_allclose(values[other], values["S2A"], rtol=0.06)


@pytest.mark.oracle
def test_special_values_and_quantification_are_those_of_a_real_product(product, samples):
    real = ElementTree.fromstring(text_of(samples, NEW, "MTD_MSIL1C.xml"))
    for key in ("SPECIAL_VALUE_TEXT", "SPECIAL_VALUE_INDEX", "QUANTIFICATION_VALUE", "RADIO_ADD_OFFSET"):
        assert [e.text for e in product().iter(key)] == [e.text for e in real.iter(key)]
    assert [e.attrib for e in product().iter("RADIO_ADD_OFFSET")] == [
        e.attrib for e in real.iter("RADIO_ADD_OFFSET")
    ]


def test_old_baselines_know_no_offset_and_no_doi(product):
    root = product(baseline="02.09")
    assert list(root.iter("RADIO_ADD_OFFSET")) == []
    assert list(root.iter("PRODUCT_DOI")) == []


def test_the_footprint_is_a_closed_ring_of_latitudes_and_longitudes(product):
    values = [float(value) for value in product().findtext(".//EXT_POS_LIST").split()]
    points = np.array(values).reshape(-1, 2)
    np.testing.assert_array_equal(points[0], points[-1])
    assert len(points) == 5
    assert ((points[:, 0] > 45.08) & (points[:, 0] < 45.13)).all()
    assert ((points[:, 1] > 11.5) & (points[:, 1] < 11.6)).all()


# the others ---------------------------------------------------------------------------------------------


def test_companions_are_well_formed_and_name_the_product():
    names = SafeNames("S2B", "32TQM", TAKEN, "05.11")
    strip = ElementTree.fromstring(datastrip_xml(names))
    assert strip.findtext(".//PROCESSING_BASELINE") == "05.11"
    start, stop = (
        datetime.fromisoformat(strip.findtext(f".//DATASTRIP_SENSING_{end}")) for end in ("START", "STOP")
    )
    assert start < stop == TAKEN
    assert names.product in inspire_xml(names)


def test_a_manifest_names_every_file_once_by_an_identifier_of_its_own():
    names = SafeNames("S2B", "32TQM", TAKEN, "05.11")
    files = [(f"GRANULE/G/IMG_DATA/B{n:02d}.jp2", 1000 + n, f"{n:064x}") for n in range(13)]
    root = ElementTree.fromstring(manifest_xml(names, files=files))
    objects = list(root.iter("dataObject"))
    assert len({item.get("ID") for item in objects}) == 13
    for item, (path, size, checksum) in zip(objects, files, strict=True):
        stream = item.find("byteStream")
        assert stream.get("size") == str(size)
        assert stream.find("fileLocation").get("href") == f"./{path}"
        assert (stream.find("checksum").get("checksumName"), stream.findtext("checksum")) == (
            "SHA3-256",
            checksum,
        )


@pytest.mark.oracle
@pytest.mark.parametrize(("pattern", "baseline"), [(REAL[0], "05.09"), (REAL[1], "02.06")])
def test_the_manifest_states_the_checksum_that_real_ones_of_its_baseline_state(pattern, baseline, samples):
    names = SafeNames("S2A", "32TQM", TAKEN, baseline)
    ours = ElementTree.fromstring(manifest_xml(names, files=[("a/b.xml", 1, "00")]))
    real = text_of(samples, pattern, "manifest.safe")
    algorithm = next(ours.iter("checksum")).get("checksumName")
    assert set(re.findall(r'checksumName="([^"]+)"', real)) == {algorithm}

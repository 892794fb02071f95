"""Quality masks of Sentinel-2 in both shapes, against slow definitions, shapely and real files."""

import re

import numpy as np
import pytest
import rasterio
import shapely
from defusedxml import ElementTree
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from undersky.errors import ConfigError
from undersky.grid import Grid
from undersky.quality import Quality
from undersky.synth.geometry import Detector
from undersky.synth.safe_masks import (
    classes_60m,
    detector_footprint,
    gml,
    write_raster_masks,
    write_vector_masks,
)
from undersky.synth.safe_names import SafeNames

EOP, GML = "{http://www.opengis.net/eop/2.0}", "{http://www.opengis.net/gml/3.2}"
REAL = "s2-l1c-safe-t55jej-20171207-decimated"
ANGLES = np.zeros((23, 23), np.float32)
BITS = (Quality.CLOUD, Quality.CIRRUS, Quality.SNOW)


def names(handmade) -> SafeNames:
    return SafeNames("S2A", "32TQM", handmade("S2A").acquired, "02.09")


def vector_masks(handmade, folder, classes, **changes):
    acquisition = handmade("S2A")
    options = {"grids": acquisition.grids, "detectors": acquisition.detectors} | changes
    return write_vector_masks(folder, names=names(handmade), classes=classes, **options)


def polygons(text: str) -> list[tuple[str, shapely.Polygon]]:
    found = []
    for feature in ElementTree.fromstring(text).iter(f"{EOP}MaskFeature"):
        rings = []
        for element in feature.iter(f"{GML}posList"):
            size = int(element.get("srsDimension"))
            numbers = np.array([float(v) for v in element.text.split()]).reshape(-1, size)
            rings.append([tuple(point) for point in numbers[:, :2]])
        found.append((feature.find(f"{EOP}maskType").text, shapely.Polygon(rings[0], rings[1:])))
    return found


# classes ------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(
    hnp.arrays(np.uint16, st.tuples(st.integers(1, 3), st.integers(1, 3)).map(lambda n: (6 * n[0], 6 * n[1])),
               elements=st.sampled_from([0, 2, 4, 8, 16, 2 | 16, 8 | 16, 1]))
)  # fmt: skip
def test_a_coarse_class_is_what_more_than_half_of_its_36_pixels_are(quality):
    found = classes_60m(quality)
    assert found.dtype == np.uint8
    for layer, bit in zip(found, BITS, strict=True):
        for row, line in enumerate(layer):
            for col, value in enumerate(line):
                block = quality[6 * row : 6 * row + 6, 6 * col : 6 * col + 6]
                assert value == (np.count_nonzero(block & np.uint16(bit)) > 18)


def test_a_tie_is_no_majority():
    quality = np.zeros((6, 6), np.uint16)
    quality[:3] = int(Quality.CLOUD)
    assert classes_60m(quality)[0, 0, 0] == 0
    quality[3, 0] = int(Quality.CLOUD)
    assert classes_60m(quality)[0, 0, 0] == 1


# footprints ---------------------------------------------------------------------------------------------


@pytest.mark.oracle
@settings(max_examples=25, deadline=None)
@given(st.floats(0.1, 0.9), st.floats(0.1, 0.9))
def test_the_detector_of_a_pixel_is_the_one_whose_ring_holds_its_centre(upper, lower):
    grid = Grid((20, 20), rasterio.Affine(60, 0, 600_000, 0, -60, 5_000_040), "EPSG:32632")
    left, top, size = 600_000.0, 5_000_040.0, 1200.0
    a, b = (left + upper * size, top), (left + lower * size, top - size)
    west = ((left, top), a, b, (left, top - size), (left, top))
    east = (a, (left + size, top), (left + size, top - size), b, a)
    found = detector_footprint(
        (Detector(3, ANGLES, ANGLES, west), Detector(4, ANGLES, ANGLES, east)), grid=grid
    )
    ring = shapely.Polygon(west)
    centres = left + 60 * (np.arange(20) + 0.5), top - 60 * (np.arange(20) + 0.5)
    x, y = np.meshgrid(*centres)
    inside = shapely.contains_xy(ring, x, y)
    near = shapely.distance(shapely.points(x, y), ring.boundary) < 1e-6
    assert (found == np.where(inside, 3, 4))[~near].all()


def test_where_detectors_overlap_the_later_one_is_named_and_a_line_is_no_footprint():
    grid = Grid((4, 4), rasterio.Affine(60, 0, 0, 0, -60, 240), "EPSG:32632")
    whole = ((0.0, 240.0), (240.0, 240.0), (240.0, 0.0), (0.0, 0.0), (0.0, 240.0))
    both = (Detector(7, ANGLES, ANGLES, whole), Detector(8, ANGLES, ANGLES, whole))
    assert (detector_footprint(both, grid=grid) == 8).all()
    line = Detector(9, ANGLES, ANGLES, ((0.0, 0.0), (240.0, 240.0), (0.0, 0.0)))
    assert (detector_footprint((line,), grid=grid) == 0).all()


# rasters ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rasters(handmade, tmp_path_factory):
    acquisition, folder = handmade("S2A"), tmp_path_factory.mktemp("masks")
    classes = classes_60m(acquisition.quality)
    written = write_raster_masks(
        folder, classes=classes, grids=acquisition.grids, detectors=acquisition.detectors
    )
    return acquisition, classes, written


def test_every_band_has_its_footprint_and_its_defects_and_the_granule_its_classes(rasters):
    acquisition, _, written = rasters
    bands = [band.name for band in acquisition.sensor.bands]
    expected = [(kind, band) for band in bands for kind in ("DETFOO", "QUALIT")] + [("CLASSI", "")]
    assert [(kind, band) for kind, band, _ in written] == expected
    for kind, band, path in written:
        assert path.name == f"MSK_{kind}_{band or 'B00'}.jp2"


def test_no_pixel_of_a_simulated_band_is_defective(rasters):
    acquisition, _, written = rasters
    for kind, band, path in written:
        if kind == "QUALIT":
            with rasterio.open(path) as raster:
                assert raster.count == 8
                assert raster.shape == acquisition.grids[band].shape
                assert not raster.read().any()


def test_classes_are_kept_bit_for_bit_on_the_60_metre_grid(rasters):
    acquisition, classes, written = rasters
    with rasterio.open(written[-1][2]) as raster:
        np.testing.assert_array_equal(raster.read(), classes)
        assert raster.transform == acquisition.grids["B01"].affine


# vectors ------------------------------------------------------------------------------------------------


@pytest.mark.oracle
@settings(max_examples=15, deadline=None)
@given(hnp.arrays(np.uint8, (30, 30), elements=st.integers(0, 1)))
def test_polygons_cover_exactly_the_pixels_of_the_mask_holes_left_out(handmade, tmp_path_factory, mask):
    folder = tmp_path_factory.mktemp("vector")
    classes = np.stack([mask, 1 - mask, mask])
    *_, (_, _, path) = vector_masks(handmade, folder, classes, grids={"B01": handmade("S2A").grids["B01"]})
    found = polygons(path.read_text())
    for kind, layer in (("OPAQUE", mask), ("CIRRUS", 1 - mask)):
        area = sum(polygon.area for name, polygon in found if name == kind)
        assert area == pytest.approx(3600.0 * layer.sum())


def test_a_ring_of_cloud_leaves_its_eye_open(handmade, tmp_path):
    classes = np.zeros((3, 30, 30), np.uint8)
    classes[0, 10:20, 10:20] = 1
    classes[0, 14:16, 14:16] = 0
    *_, (_, _, path) = vector_masks(handmade, tmp_path, classes)
    ((kind, cloud),) = polygons(path.read_text())
    assert kind == "OPAQUE"
    assert len(cloud.interiors) == 1
    assert cloud.area == (100 - 4) * 3600.0


def test_vector_footprints_are_the_detectors_rings_in_order_with_a_height_of_zero(handmade, tmp_path):
    acquisition = handmade("S2A")
    written = vector_masks(handmade, tmp_path, np.zeros((3, 30, 30), np.uint8))
    path = next(path for kind, band, path in written if (kind, band) == ("DETFOO", "B05"))
    text = path.read_text()
    assert set(re.findall(r'srsDimension="(\d)"', text)) == {"3"}
    for (kind, polygon), detector in zip(polygons(text), acquisition.detectors["B05"], strict=True):
        assert kind == "DETECTOR_FOOTPRINT"
        assert polygon.equals(shapely.Polygon(detector.footprint))
    numbers = re.findall(r'gml:id="detector_footprint-B05-(\d\d)-\d"', text)
    assert [int(number) for number in numbers] == [d.number for d in acquisition.detectors["B05"]]


def test_ids_inside_a_document_are_unique_and_its_rings_closed(handmade, tmp_path):
    rng = np.random.default_rng(3)
    classes = (rng.random((3, 30, 30)) > 0.6).astype(np.uint8)
    for _, _, path in vector_masks(handmade, tmp_path, classes):
        text = path.read_text()
        identifiers = re.findall(r'gml:id="([^"]+)"', text)
        assert len(identifiers) == len(set(identifiers))
        for ring in re.findall(r'srsDimension="(\d)">([^<]+)<', text):
            size, numbers = int(ring[0]), ring[1].split()
            assert numbers[:size] == numbers[-size:]


@pytest.mark.oracle
@pytest.mark.parametrize("kind", ["DETFOO_B01", "CLOUDS_B00", "DEFECT_B03", "NODATA_B03", "TECQUA_B12"])
def test_documents_have_the_elements_and_attributes_of_real_ones(kind, handmade, tmp_path, samples):
    acquisition = handmade("S2A")
    classes = classes_60m(acquisition.quality)
    written = {path.stem: path for _, _, path in vector_masks(handmade, tmp_path, classes)}
    ours = ElementTree.parse(written[f"MSK_{kind}"]).getroot()
    real = next((samples / REAL).rglob(f"MSK_{kind}.gml"))
    theirs = ElementTree.parse(real).getroot()
    assert ours.tag == theirs.tag
    assert set(ours.attrib) == set(theirs.attrib)
    if not list(theirs.iter(f"{EOP}MaskFeature")):
        return  # a real mask without features has no elements to compare
    known = {(element.tag, *sorted(element.attrib)) for element in theirs.iter()}
    assert {(element.tag, *sorted(element.attrib)) for element in ours.iter()} <= known


@pytest.mark.oracle
def test_the_envelope_names_the_zone_and_the_corners_of_the_footprint(handmade):
    grid = handmade("S2A").grids["B01"]
    root = ElementTree.fromstring(gml("id", "CLOUDS", ["<eop:MaskFeature/>"], grid=grid))
    envelope = next(root.iter(f"{GML}Envelope"))
    assert envelope.get("srsName").endswith(":32632")
    corners = [
        float(v)
        for part in ("lowerCorner", "upperCorner")
        for v in envelope.find(f"{GML}{part}").text.split()
    ]
    assert corners == list(rasterio.transform.array_bounds(30, 30, grid.affine))


def test_a_mask_without_a_map_is_refused():
    grid = Grid((4, 4), rasterio.Affine(60, 0, 0, 0, -60, 240), None)
    with pytest.raises(ConfigError, match="no EPSG code"):
        gml("id", "CLOUDS", ["<eop:MaskFeature/>"], grid=grid)

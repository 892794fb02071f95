"""Sentinel-2 products as written: names, layout, metadata, encodings."""

import filecmp
import hashlib
import re
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import rasterio
from defusedxml import ElementTree
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from undersky.errors import ConfigError
from undersky.quality import Quality
from undersky.scene import Angles
from undersky.synth.safe import digital_numbers, true_colour, write_safe
from undersky.synth.safe_masks import classes_60m, detector_footprint
from undersky.synth.safe_names import SafeNames
from undersky.synth.safe_variants import write_tile_folder, write_zip
from undersky.synth.tile_angles import STEP_M, continued, continued_azimuth, tile_angles

NEW, OLD = "05.11", "02.09"
TAKEN = datetime(2023, 8, 4, 2, 19, 22, 751_000, tzinfo=UTC)


@pytest.fixture(scope="module")
def products(handmade, tmp_path_factory):
    folder = tmp_path_factory.mktemp("safe")
    acquisition = handmade("S2A", size_m=3_600, edge=True)
    return acquisition, {
        baseline: write_safe(acquisition, folder, baseline=baseline) for baseline in (NEW, OLD)
    }


def _granule(root: Path) -> Path:
    return next((root / "GRANULE").iterdir())


def _tile_xml(root: Path):
    return ElementTree.parse(_granule(root) / "MTD_TL.xml").getroot()


def _product_xml(root: Path):
    return ElementTree.parse(root / "MTD_MSIL1C.xml").getroot()


# names ------------------------------------------------------------------------------------------------


def test_names_follow_the_compact_convention(products):
    _, roots = products
    for baseline, root in roots.items():
        code = baseline.replace(".", "")
        assert re.fullmatch(
            rf"S2A_MSIL1C_\d{{8}}T\d{{6}}_N{code}_R\d{{3}}_T32TQM_\d{{8}}T\d{{6}}\.SAFE", root.name
        )
        assert re.fullmatch(r"L1C_T32TQM_A\d{6}_\d{8}T\d{6}", _granule(root).name)


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("acquired", "absolute", "relative"),
    [
        (TAKEN, 42385, 60),
        (datetime(2018, 1, 1, 10, 54, 41, tzinfo=UTC), 13204, 51),
        (datetime(2017, 12, 7, 0, 22, 52, tzinfo=UTC), 12840, 116),
    ],
)
def test_orbit_numbers_are_close_to_those_of_real_products(acquired, absolute, relative):
    names = SafeNames("S2A", "51MUP", acquired, "05.09")
    assert abs(names.absolute_orbit - absolute) <= 8
    assert (names.relative_orbit - relative) % 143 == (names.absolute_orbit - absolute) % 143


@pytest.mark.parametrize(
    ("sensor", "acquired", "baseline", "says"),
    [
        ("L8", TAKEN, NEW, "no Sentinel-2"),
        ("S2A", TAKEN, "5.11", "no processing baseline"),
        ("S2C", TAKEN, NEW, "launched"),
        ("S2C", datetime(2025, 6, 13, tzinfo=UTC), OLD, "no baseline"),
    ],
)
def test_what_never_flew_is_refused(sensor, acquired, baseline, says):
    with pytest.raises(ConfigError, match=says):
        SafeNames(sensor, "32TQM", acquired, baseline)


# layout -----------------------------------------------------------------------------------------------


@pytest.mark.oracle
def test_every_file_of_a_real_new_product_but_reports_has_its_counterpart(products, samples):
    _, roots = products
    real = next((samples / "s2-l1c-safe-t51mup-20230804-metadata").glob("*.SAFE"))
    listed = re.findall(r'href="\./([^"]+)"', (real / "manifest.safe").read_text())
    ours = {_anonymous(path.relative_to(roots[NEW]).as_posix()) for path in roots[NEW].rglob("*.*")}
    ours |= {"GRANULE/*/AUX_DATA/AUX_ECMWFT", "GRANULE/*/AUX_DATA/AUX_CAMSFO"}
    wanted = {
        _anonymous(name) for name in listed if not re.search(r"HTML|rep_info|[A-Z]_QUALITY|CORRECTNESS", name)
    }
    assert len(wanted) > 40
    assert {name for name in wanted - ours if not name.endswith("-ql.jpg")} == set()


def _anonymous(name: str) -> str:
    name = re.sub(r"(GRANULE|DATASTRIP)/[^/]+/", r"\1/*/", name)
    return re.sub(r"T\d\d[A-Z]{3}_\d{8}T\d{6}", "T", name)


@pytest.mark.oracle
def test_the_metadata_has_the_elements_of_a_real_product_in_their_order(products, samples):
    _, roots = products
    folders = {NEW: "s2-l1c-safe-t51mup-20230804-metadata", OLD: "s2-l1c-safe-t55jej-20171207-decimated"}
    for baseline, folder in folders.items():
        real = next((samples / folder).glob("*.SAFE"))
        for read in (_product_xml, _tile_xml):
            theirs, ours = _paths(read(real)), _paths(read(roots[baseline]))
            assert [path for path in ours if path not in theirs] == []
            assert ours == [path for path in theirs if path in set(ours)]


def _paths(root, prefix: str = "") -> list[str]:
    """Every distinct element path in the order of first appearance, namespaces cut."""
    found: dict[str, None] = {}
    for child in root:
        path = f"{prefix}/{child.tag.rsplit('}', 1)[-1]}"
        found[path] = None
        found |= dict.fromkeys(_paths(child, path))
    return list(found)


def test_the_manifest_lists_every_file_with_its_size_and_checksum(products):
    _, roots = products
    for baseline, digest in ((NEW, hashlib.sha3_256), (OLD, hashlib.md5)):
        root = roots[baseline]
        manifest = ElementTree.parse(root / "manifest.safe").getroot()
        listed = {}
        for stream in manifest.iter("byteStream"):
            href = stream.find("fileLocation").get("href").removeprefix("./")
            listed[href] = (int(stream.get("size")), stream.find("checksum").text)
        files = [path for path in root.rglob("*") if path.is_file() and path.name != "manifest.safe"]
        assert listed == {
            path.relative_to(root).as_posix(): (path.stat().st_size, digest(path.read_bytes()).hexdigest())
            for path in files
        }


def test_every_image_and_mask_that_the_metadata_names_exists(products):
    _, roots = products
    for root in roots.values():
        images = [f"{element.text}.jp2" for element in _product_xml(root).iter("IMAGE_FILE")]
        masks = [element.text for element in _tile_xml(root).iter("MASK_FILENAME")]
        assert len(images) == 14
        assert len(masks) > 26
        assert [name for name in [*images, *masks] if not (root / name).is_file()] == []


# encodings --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("baseline", [NEW, OLD])
def test_reflectance_comes_back_to_half_a_step_with_the_offset_that_the_metadata_names(products, baseline):
    acquisition, roots = products
    root = roots[baseline]
    offsets = [int(element.text) for element in _product_xml(root).iter("RADIO_ADD_OFFSET")] or [0] * 13
    assert offsets == ([-1000] * 13 if baseline == NEW else [0] * 13)
    for band, offset in zip(acquisition.sensor.bands, offsets, strict=True):
        with rasterio.open(next(root.glob(f"GRANULE/*/IMG_DATA/*_{band.name}.jp2"))) as raster:
            numbers = raster.read(1).astype(np.float64)
        expected = acquisition.toa[band.name]
        assert ((numbers == 0) == np.isnan(expected)).all()
        seen = np.where(numbers == 0, np.nan, (numbers + offset) / 10_000)
        assert np.nanmax(np.abs(seen - expected)) <= 0.501e-4


def test_images_are_lossless_jp2_on_the_band_grid_in_15_bits(products):
    acquisition, roots = products
    for band in acquisition.sensor.bands:
        with rasterio.open(next(roots[NEW].glob(f"GRANULE/*/IMG_DATA/*_{band.name}.jp2"))) as raster:
            assert raster.driver == "JP2OpenJPEG"
            assert raster.dtypes == ("uint16",)
            assert raster.transform == acquisition.grids[band.name].affine
            assert raster.crs.to_epsg() == 32632
            assert raster.shape == acquisition.grids[band.name].shape
            assert raster.tags(1, ns="IMAGE_STRUCTURE")["NBITS"] == "15"
            assert raster.tags(ns="IMAGE_STRUCTURE")["COMPRESSION_REVERSIBILITY"] == "LOSSLESS"


@given(hnp.arrays(np.float32, (4, 5), elements=st.floats(-0.25, 4, width=32)), st.sampled_from([0, -1000]))
def test_a_measured_pixel_never_becomes_nodata_and_nodata_never_a_pixel(toa, offset):
    toa[0, 0] = np.nan
    numbers = digital_numbers(toa, offset=offset)
    assert ((numbers == 0) == np.isnan(toa)).all()
    assert numbers.max() <= 32767


def test_true_colour_is_linear_up_to_white_and_black_only_at_nodata():
    ramp = np.array([[np.nan, 0.0, 0.1779, 0.3558, 2.0]], np.float32)
    colours = true_colour([ramp, ramp, ramp])
    assert colours.dtype == np.uint8
    assert colours[:, 0].tolist() == [[0, 1, 128, 255, 255]] * 3


def test_equal_acquisitions_give_equal_bytes(handmade, tmp_path):
    for baseline in (NEW, OLD):
        roots = []
        for folder in ("one", "two"):
            (tmp_path / folder).mkdir(exist_ok=True)
            roots.append(write_safe(handmade("S2B", seed=4), tmp_path / folder, baseline=baseline))
        names = [path.relative_to(roots[0]) for path in roots[0].rglob("*") if path.is_file()]
        same, different, missing = filecmp.cmpfiles(*roots, names, shallow=False)
        assert (different, missing) == ([], [])
        assert len(same) == len(names)


# angles -----------------------------------------------------------------------------------------------


def _grid_values(element) -> np.ndarray:
    return np.array([[float(v) for v in row.text.split()] for row in element.iter("VALUES")])


def test_sun_grid_interpolated_over_the_footprint_gives_the_acquisitions_sun(products):
    acquisition, roots = products
    grid = _tile_xml(roots[NEW]).find(".//Sun_Angles_Grid")
    zenith, azimuth = (_grid_values(grid.find(name)) for name in ("Zenith", "Azimuth"))
    assert zenith.shape == azimuth.shape == (23, 23)
    fraction = 3_600 / STEP_M
    for field, truth in ((zenith, acquisition.angles.sun_zenith), (azimuth, acquisition.angles.sun_azimuth)):
        corner = field[0, 0] + fraction * (field[1, 1] - field[0, 0])
        assert field[0, 0] == pytest.approx(truth[0, 0], abs=1e-3)
        assert corner == pytest.approx(truth[-1, -1], abs=1e-3)


def test_view_grids_carry_each_band_and_detector_and_nan_where_it_does_not_look(products):
    acquisition, roots = products
    found = list(_tile_xml(roots[NEW]).iter("Viewing_Incidence_Angles_Grids"))
    assert len(found) == 26
    for element in found:
        band = acquisition.sensor.bands[int(element.get("bandId"))].name
        number = int(element.get("detectorId"))
        detector = next(d for d in acquisition.detectors[band] if d.number == number)
        written = _grid_values(element.find("Zenith"))
        assert np.isnan(written).any()
        np.testing.assert_allclose(written, detector.view_zenith, rtol=6e-6)
        np.testing.assert_allclose(_grid_values(element.find("Azimuth")), detector.view_azimuth, rtol=6e-6)


def test_mean_angles_stand_for_every_band_also_across_north(products):
    acquisition, roots = products
    means = list(_tile_xml(roots[NEW]).iter("Mean_Viewing_Incidence_Angle"))
    assert [int(mean.get("bandId")) for mean in means] == list(range(13))
    for mean, band in zip(means, acquisition.sensor.bands, strict=True):
        zenith = acquisition.angles.view_zenith[band.name].mean()
        assert float(mean.find("ZENITH_ANGLE").text) == pytest.approx(zenith, abs=1e-4)
        assert float(mean.find("AZIMUTH_ANGLE").text) % 360 == pytest.approx(0.25, abs=0.1)


@given(st.integers(2, 6), st.integers(2, 6), st.floats(-3, 3), st.floats(-3, 3), st.floats(3_600, 110_000))
@settings(max_examples=30)
def test_a_plane_continues_as_the_same_plane(rows, cols, down, right, size_m):
    y, x = np.meshgrid(np.linspace(0, size_m, rows), np.linspace(0, size_m, cols), indexing="ij")
    field = (40 + down * y / 1e5 + right * x / 1e5).astype(np.float32)
    tile = continued(field, size_m=(size_m, size_m))
    wanted = 40 + (down * np.arange(23)[:, None] + right * np.arange(23)) * STEP_M / 1e5
    stretch = 110_000 / size_m * (max(rows, cols) - 1)  # what float32 nodes lose grows with the distance
    np.testing.assert_allclose(tile, wanted, atol=1e-4 + 8e-6 * stretch**2)


def test_an_azimuth_continues_through_north_without_a_jump():
    azimuth = np.array([[358.0, 359.5], [359.0, 0.5]], np.float32)
    tile = continued_azimuth(azimuth, size_m=(5_000, 5_000))
    assert tile[1, 1] == pytest.approx(0.5, abs=1e-3)
    assert tile[1, 2] == pytest.approx(2.0, abs=1e-3)
    assert np.abs(np.diff(np.unwrap(tile, period=360.0, axis=1), axis=1)).max() < 2


def test_the_sun_of_the_document_is_the_mean_of_the_footprint(handmade):
    acquisition = handmade("S2A")
    angles: Angles = acquisition.angles
    document = tile_angles(angles, acquisition.detectors, grid=acquisition.grid)
    assert document.mean_sun[0] == pytest.approx(angles.sun_zenith.mean(), abs=1e-5)
    assert document.mean_sun[1] == pytest.approx(angles.sun_azimuth.mean(), abs=1e-3)


# masks ------------------------------------------------------------------------------------------------


def test_raster_masks_say_cloud_cirrus_and_snow_where_they_are(products):
    acquisition, roots = products
    with rasterio.open(next(roots[NEW].glob("GRANULE/*/QI_DATA/MSK_CLASSI_B00.jp2"))) as raster:
        assert raster.count == 3
        assert raster.res == (60, 60)
        written = raster.read()
    for layer, bit in zip(written, (Quality.CLOUD, Quality.CIRRUS, Quality.SNOW), strict=True):
        centres = (acquisition.quality[3::6, 3::6] & bit) != 0
        assert layer.max() == 1
        assert (layer.astype(bool) == centres).mean() > 0.97


def test_raster_footprints_name_the_detector_of_every_pixel(products):
    acquisition, roots = products
    for band in acquisition.sensor.bands:
        with rasterio.open(next(roots[NEW].glob(f"GRANULE/*/QI_DATA/MSK_DETFOO_{band.name}.jp2"))) as raster:
            written = raster.read(1)
            assert raster.transform == acquisition.grids[band.name].affine
        assert set(np.unique(written)) == {5, 6}
        assert written[0, 0] == 5
        assert written[-1, -1] == 6


def test_a_footprint_without_detectors_is_zero_everywhere(handmade):
    grid = handmade("S2A").grids["B01"]
    assert detector_footprint((), grid=grid).max() == 0


@pytest.mark.oracle
def test_vector_masks_read_by_gdal_cover_the_same_ground_as_the_true_clouds(products):
    shapely = pytest.importorskip("shapely")
    acquisition, roots = products
    text = next(roots[OLD].glob("GRANULE/*/QI_DATA/MSK_CLOUDS_B00.gml")).read_text()
    areas = {"OPAQUE": 0.0, "CIRRUS": 0.0}
    for feature in ElementTree.fromstring(text).iter("{http://www.opengis.net/eop/2.0}MaskFeature"):
        kind = feature.find("{http://www.opengis.net/eop/2.0}maskType").text
        numbers = [
            [float(v) for v in ring.text.split()]
            for ring in feature.iter("{http://www.opengis.net/gml/3.2}posList")
        ]
        outer, *holes = [list(zip(ring[::2], ring[1::2], strict=True)) for ring in numbers]
        areas[kind] += shapely.Polygon(outer, holes).area
    truth = classes_60m(acquisition.quality)
    assert areas["OPAQUE"] == truth[0].sum() * 3600
    assert areas["CIRRUS"] == truth[1].sum() * 3600


def test_a_clear_scene_has_an_empty_cloud_mask_as_real_products_have(handmade, tmp_path):
    import dataclasses

    acquisition = handmade("S2A")
    clear = dataclasses.replace(acquisition, quality=np.zeros_like(acquisition.quality))
    root = write_safe(clear, tmp_path, baseline=OLD)
    text = next(root.glob("GRANULE/*/QI_DATA/MSK_CLOUDS_B00.gml")).read_text()
    assert "<eop:maskMembers/>" in text
    assert "boundedBy" not in text


# other shapes -----------------------------------------------------------------------------------------


def test_the_zip_holds_the_safe_under_its_name_and_is_the_same_every_time(handmade, tmp_path):
    digests = []
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        archive = write_zip(handmade("S2A"), tmp_path / folder)
        digests.append(hashlib.sha256(archive.read_bytes()).hexdigest())
        assert [path.name for path in (tmp_path / folder).iterdir()] == [archive.name]
    assert digests[0] == digests[1]
    with zipfile.ZipFile(archive) as stream:
        assert stream.testzip() is None
        roots = {name.split("/")[0] for name in stream.namelist()}
        stored = [entry.compress_type for entry in stream.infolist() if entry.filename.endswith(".jp2")]
    assert roots == {f"{archive.stem}.SAFE"}
    assert set(stored) == {zipfile.ZIP_STORED}


@pytest.mark.oracle
def test_the_tile_folder_has_the_shape_and_the_keys_of_the_public_bucket(handmade, tmp_path, samples):
    import json

    tile = write_tile_folder(handmade("S2A"), tmp_path)
    assert tile.relative_to(tmp_path).as_posix() == "tiles/32/T/QM/2025/6/13/0"
    for name in (
        "B01.jp2",
        "B8A.jp2",
        "TCI.jp2",
        "metadata.xml",
        "preview.jpg",
        "preview.jp2",
        "qi",
        "auxiliary",
    ):
        assert (tile / name).exists()
    real = samples / "s2-safe-metadata-and-stac/S2A_OPER_MSI_L1C_TL_SGS__20181231T203637_A018414_T10SDG"
    theirs = json.loads((real / "tileInfo.json").read_text())
    ours = json.loads((tile / "tileInfo.json").read_text())
    assert list(ours) == list(theirs)
    assert ours["path"] == "tiles/32/T/QM/2025/6/13/0"
    assert ours["productPath"].endswith(ours["productName"])
    assert re.fullmatch(r"products/\d+/\d+/\d+", ours["productPath"].rsplit("/", 1)[0])

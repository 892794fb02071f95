"""Landsat Collection 2 products as written: names, encodings, the three spellings of the metadata."""

import dataclasses
import filecmp
import hashlib
import json
import re

import numpy as np
import pytest
import rasterio
from defusedxml import ElementTree
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from undersky.errors import ConfigError
from undersky.quality import Quality
from undersky.synth.landsat import digital_numbers, product_id, qa_pixel, thermal_numbers, write_landsat
from undersky.synth.landsat_mtl import THERMAL, Bare, as_json, as_odl, as_xml

BANDS = [f"B{number}" for number in range(1, 12)]
ANGLES = ["SZA", "SAA", "VZA", "VAA"]


@pytest.fixture(scope="module", params=["L8", "L9"])
def product(request, handmade, tmp_path_factory):
    acquisition = handmade(request.param, size_m=3_600, edge=True)
    return acquisition, write_landsat(acquisition, tmp_path_factory.mktemp("landsat"))


def _read(root, name):
    with rasterio.open(root / f"{root.name}_{name}.TIF") as raster:
        return raster.read(1)


def _json(root):
    return json.loads((root / f"{root.name}_MTL.json").read_text())["LANDSAT_METADATA_FILE"]


def _odl(text: str) -> dict:
    """A second, independent reader of ODL."""
    stack: list[dict] = [{}]
    for line in text.splitlines():
        key, _, value = (part.strip() for part in line.partition("="))
        if key == "GROUP":
            stack[-1][value] = {}
            stack.append(stack[-1][value])
        elif key == "END_GROUP":
            stack.pop()
        elif value:
            stack[-1][key] = value.strip('"')
    assert len(stack) == 1
    return stack[0]


def _tree(element) -> dict | str:
    return {child.tag: _tree(child) for child in element} if len(element) else element.text


# names and layout -------------------------------------------------------------------------------------


def test_the_folder_and_its_files_are_named_as_the_agency_names_them(product):
    acquisition, root = product
    digit = acquisition.sensor.key[1]
    assert root.name == f"LC0{digit}_L1TP_192028_20250613_20250620_02_T1"
    suffixes = [f"{name}.TIF" for name in [*BANDS, *ANGLES, "QA_PIXEL", "QA_RADSAT"]]
    suffixes += ["MTL.txt", "MTL.xml", "MTL.json", "ANG.txt", "MD5.txt"]
    assert sorted(path.name for path in root.iterdir()) == sorted(f"{root.name}_{s}" for s in suffixes)


def test_a_sentinel_is_refused(handmade):
    with pytest.raises(ConfigError, match="no Landsat"):
        product_id(handmade("S2A"))


def test_checksums_are_those_of_the_files(product):
    _, root = product
    lines = (root / f"{root.name}_MD5.txt").read_text().splitlines()
    assert len(lines) == 21
    for line in lines:
        digest, name = line.split("  ")
        assert hashlib.md5((root / name).read_bytes()).hexdigest() == digest


def test_every_file_that_the_metadata_names_exists(product):
    _, root = product
    contents = _json(root)["PRODUCT_CONTENTS"]
    names = [value for key, value in contents.items() if key.startswith("FILE_NAME")]
    assert len(names) == 20
    assert [name for name in names if not (root / name).is_file()] == []


def test_equal_acquisitions_give_equal_bytes(handmade, tmp_path):
    roots = []
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        roots.append(write_landsat(handmade("L9", seed=4), tmp_path / folder))
    names = [path.name for path in roots[0].iterdir()]
    same, different, missing = filecmp.cmpfiles(*roots, names, shallow=False)
    assert (different, missing) == ([], [])
    assert len(same) == len(names)


# metadata ---------------------------------------------------------------------------------------------


def test_txt_xml_and_json_say_the_same(product):
    _, root = product
    odl = _odl((root / f"{root.name}_MTL.txt").read_text())["LANDSAT_METADATA_FILE"]
    xml = _tree(ElementTree.parse(root / f"{root.name}_MTL.xml").getroot())
    assert odl == xml == _json(root)


@pytest.mark.oracle
def test_groups_and_keys_are_those_of_real_products_in_their_order(product, samples):
    _, root = product
    real = next((samples / "landsat8-l1tp-c2-decimated-20201029").glob("*_MTL.txt"))
    theirs = _odl(real.read_text())["LANDSAT_METADATA_FILE"]
    ours = _odl((root / f"{root.name}_MTL.txt").read_text())["LANDSAT_METADATA_FILE"]
    assert list(ours) == list(theirs)
    for group, keys in ours.items():
        extra = [key for key in keys if key not in theirs[group]]
        assert extra == []
        if group not in ("PROJECTION_ATTRIBUTES", "LEVEL1_PROJECTION_PARAMETERS"):
            known = [key for key in theirs[group] if key in keys]
            assert known == list(keys)


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("sensor", "folder"),
    [("L8", "landsat8-l1tp-c2-decimated-20201029"), ("L9", "landsat9-l1tp-hawaii-20230714")],
)
def test_calibration_is_that_of_real_products(sensor, folder, handmade, tmp_path, samples):
    theirs = _odl(next((samples / folder).glob("*_MTL.txt")).read_text())["LANDSAT_METADATA_FILE"]
    ours = _json(write_landsat(handmade(sensor), tmp_path))
    assert ours["LEVEL1_THERMAL_CONSTANTS"] == theirs["LEVEL1_THERMAL_CONSTANTS"]
    assert ours["LEVEL1_MIN_MAX_REFLECTANCE"] == theirs["LEVEL1_MIN_MAX_REFLECTANCE"]
    scale = {
        name: float(tree["IMAGE_ATTRIBUTES"]["EARTH_SUN_DISTANCE"]) ** 2
        for name, tree in (("ours", ours), ("theirs", theirs))
    }
    for number in range(1, 10):
        key = f"RADIANCE_MULT_BAND_{number}"
        mine = float(ours["LEVEL1_RADIOMETRIC_RESCALING"][key]) * scale["ours"]
        real = float(theirs["LEVEL1_RADIOMETRIC_RESCALING"][key]) * scale["theirs"]
        assert mine == pytest.approx(real, rel=2e-4)


def test_corners_are_the_centres_of_the_corner_pixels(product):
    acquisition, root = product
    projection = _json(root)["PROJECTION_ATTRIBUTES"]
    box = acquisition.grid.boundingbox
    assert float(projection["CORNER_UL_PROJECTION_X_PRODUCT"]) == box.left + 15
    assert float(projection["CORNER_UL_PROJECTION_Y_PRODUCT"]) == box.top - 15
    assert float(projection["CORNER_LR_PROJECTION_X_PRODUCT"]) == box.right - 15
    assert (int(projection["REFLECTIVE_LINES"]), int(projection["PANCHROMATIC_LINES"])) == (120, 240)
    assert int(projection["UTM_ZONE"]) == 32
    assert 45.09 < float(projection["CORNER_LL_LAT_PRODUCT"]) < float(projection["CORNER_UL_LAT_PRODUCT"])


def test_the_sun_of_the_metadata_is_the_scenes(product):
    acquisition, root = product
    image = _json(root)["IMAGE_ATTRIBUTES"]
    assert float(image["SUN_ELEVATION"]) == pytest.approx(90 - acquisition.angles.sun_zenith.mean(), abs=1e-5)
    assert float(image["SUN_AZIMUTH"]) == pytest.approx(acquisition.angles.sun_azimuth.mean(), abs=1e-3)
    assert 1.0160 > float(image["EARTH_SUN_DISTANCE"]) > 1.0145  # mid June


def test_numbers_stand_bare_and_words_quoted_in_odl():
    group = {"A": {"ONE": Bare("1.50"), "WORD": "yes"}}
    assert as_odl(group) == 'GROUP = A\n  ONE = 1.50\n  WORD = "yes"\nEND_GROUP = A\nEND\n'
    assert json.loads(as_json(group)) == {"A": {"ONE": "1.50", "WORD": "yes"}}
    assert re.sub(r"\s", "", as_xml(group)).endswith("<A><ONE>1.50</ONE><WORD>yes</WORD></A>")


# pixels -----------------------------------------------------------------------------------------------


def test_reflectance_comes_back_through_the_pixels_own_sun(product):
    acquisition, root = product
    rescaling = _json(root)["LEVEL1_RADIOMETRIC_RESCALING"]
    cosine = np.cos(np.radians(_read(root, "SZA") / 100.0))
    for band in acquisition.sensor.bands:
        numbers, expected = _read(root, band.name).astype(np.float64), acquisition.toa[band.name]
        mult = float(rescaling[f"REFLECTANCE_MULT_BAND_{band.name[1:]}"])
        add = float(rescaling[f"REFLECTANCE_ADD_BAND_{band.name[1:]}"])
        assert ((numbers == 0) == np.isnan(expected)).all()
        if band.resolution_m == 30:
            seen = np.where(numbers == 0, np.nan, (numbers * mult + add) / cosine)
            assert np.nanmax(np.abs(seen - expected)) <= mult / np.nanmin(cosine[cosine < 1]) / 2 + 3e-5


def test_rasters_are_tiled_deflated_geotiff_with_overviews_on_their_grid(product):
    acquisition, root = product
    for name in [*BANDS, *ANGLES, "QA_PIXEL", "QA_RADSAT"]:
        with rasterio.open(root / f"{root.name}_{name}.TIF") as raster:
            grid = acquisition.grids.get(name, acquisition.grid)
            assert raster.transform == grid.affine
            assert raster.crs.to_epsg() == 32632
            assert raster.dtypes == (("int16" if name in ANGLES else "uint16"),)
            assert raster.profile["compress"] == "deflate"
            assert raster.tags()["AREA_OR_POINT"] == "Point"


def test_a_scene_of_true_size_has_overviews_that_invent_no_class(handmade, tmp_path):
    root = write_landsat(handmade("L8", size_m=16_200), tmp_path)
    with rasterio.open(root / f"{root.name}_QA_PIXEL.TIF") as raster:
        factors = raster.overviews(1)
        classes = set(np.unique(raster.read(1)))
    assert factors == [2, 4]
    with rasterio.open(root / f"{root.name}_QA_PIXEL.TIF", overview_level=0) as overview:
        assert set(np.unique(overview.read(1))) <= classes


def test_angle_bands_are_hundredths_of_a_degree_without_a_seam_at_north(product):
    acquisition, root = product
    inside = ~np.isnan(acquisition.toa["B4"])
    assert (_read(root, "VZA")[~inside] == 0).all()
    azimuth = _read(root, "VAA")[inside] / 100.0
    assert azimuth.min() > -1.1  # 359 to 361.5 degrees
    assert azimuth.max() < 1.6
    zenith = _read(root, "VZA")[inside] / 100.0
    field = acquisition.angles.view_zenith["B4"]
    assert field.min() - 0.01 <= zenith.min() <= zenith.max() <= field.max() + 0.01


@given(hnp.arrays(np.float32, (3, 4), elements=st.floats(-0.125, 3, width=32)))
def test_a_measured_pixel_never_becomes_fill(toa):
    toa[1, 1] = np.nan
    numbers = digital_numbers(toa, cos_sun_zenith=np.full((3, 4), 0.8, np.float32))
    assert ((numbers == 0) == np.isnan(toa)).all()


def test_more_light_than_the_encoding_holds_is_saturated():
    cosine = np.ones((1, 2), np.float32)
    assert digital_numbers(np.array([[1.3, 1.2]], np.float32), cos_sun_zenith=cosine).tolist() == [
        [65535, 65000]
    ]


@pytest.mark.parametrize("sensor", ["L8", "L9"])
@pytest.mark.parametrize("number", [10, 11])
def test_temperature_comes_back_through_the_planck_constants(sensor, number):
    kelvin = np.linspace(240, 330, 50, dtype=np.float32)
    band = THERMAL[sensor][number]
    radiance = thermal_numbers(kelvin, calibration=band) * band.mult + 0.1
    np.testing.assert_allclose(band.k2 / np.log(band.k1 / radiance + 1), kelvin, atol=0.02)


def test_clouds_are_colder_than_the_ground(product):
    acquisition, root = product
    cloud = (acquisition.quality & np.uint16(Quality.CLOUD)) != 0
    ground = ~cloud & ((acquisition.quality & np.uint16(Quality.NODATA)) == 0)
    thermal = _read(root, "B10")
    assert thermal[cloud].max() < thermal[ground].min()


# quality ----------------------------------------------------------------------------------------------


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("ours", "agency"),
    [
        (Quality(0), 21824),
        (Quality.WATER, 21952),
        (Quality.CLOUD, 22280),
        (Quality.CLOUD_SHADOW, 23888),
        (Quality.SNOW, 30048),
        (Quality.CIRRUS, 54596),
        (Quality.NODATA, 1),
        (Quality.NODATA | Quality.CLOUD, 1),
    ],
)
def test_qa_pixel_values_are_those_of_the_agencys_table(ours, agency):
    assert qa_pixel(np.full((1, 1), np.uint16(ours))).item() == agency


@pytest.mark.oracle
def test_a_cloudy_real_scene_has_exactly_the_values_we_write(samples):
    real = next((samples / "landsat8-l2sp-full-structure-decimated").glob("*_QA_PIXEL.TIF"))
    with rasterio.open(real) as raster:
        theirs = set(np.unique(raster.read(1)))
    ours = [Quality.NODATA, Quality.CLOUD, Quality.CLOUD | Quality.CIRRUS]
    assert {int(qa_pixel(np.full((1, 1), np.uint16(bits))).item()) for bits in ours} == theirs


def test_a_clear_scene_has_no_fill(handmade, tmp_path):
    acquisition = handmade("L8")
    clear = dataclasses.replace(acquisition, quality=np.zeros_like(acquisition.quality))
    root = write_landsat(clear, tmp_path)
    assert (_read(root, "QA_PIXEL") == 21824).all()
    assert (_read(root, "QA_RADSAT") == 0).all()

"""Everything among the real scenes opens, and agrees number by number with rasterio and a second reading."""

import json
import re
import shutil
import warnings
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import rasterio
from rasterio.errors import NotGeoreferencedWarning
from rasterio.warp import transform as warp_points

from undersky.errors import DataError, Reason
from undersky.grid import Window, whole
from undersky.scene import Finding
from undersky.sensors import open_detectors, open_scene, require_bands, verify_pixels

pytestmark = pytest.mark.oracle

T55 = (
    "s2-l1c-safe-t55jej-20171207-decimated/S2A_MSIL1C_20171207T002051_N0206_R116_T55JEJ_20171207T032513.SAFE"
)
T31 = "s2-l1c-safe-t31tdh-20180101/S2A_MSIL1C_20180101T105441_N0206_R051_T31TDH_20180101T124911"
T51 = "s2-l1c-safe-t51mup-20230804-metadata/S2A_MSIL1C_20230804T021351_N0509_R060_T51MUP_20230804T052642.SAFE"
T46 = "s2-safe-metadata-and-stac/S2A_MSIL1C_20210908T042701_N0301_R133_T46RER_20210908T070248.SAFE"
T10 = "s2-safe-metadata-and-stac/S2A_OPER_MSI_L1C_TL_SGS__20181231T203637_A018414_T10SDG"
SENTINEL_2 = (T55, T31, T51, T46, T10)
LANDSAT = (
    "landsat8-l1tp-c2-decimated-20201029",
    "landsat8-l1tp-corumba-20190809",
    "landsat8-l1tp-marburg-20130707",
    "landsat8-pair-l1tp-l2sp-momotombo-west",
    "landsat9-l1tp-hawaii-20230714",
)
REFUSED = {
    "s2-safe-metadata-and-stac/S2A_MSIL2A_20230625T234621_N0509_R073_T01WCP_20230626T022157.SAFE": "Level-1C",
    "s2-safe-metadata-and-stac/S2A_OPER_MSI_L2A_TL_SGS__20181231T210250_A018414_T10SDG": "Level-1C",
    "landsat8-l2sp-brumadinho-20190114": "Level-1",
    "landsat8-l2sp-full-structure-decimated": "Level-1",
    "landsat9-l2sp-manaus-20230723": "Level-1",
}


def tile_text(product: Path) -> str:
    return next(iter([*product.glob("GRANULE/*/MTD_TL.xml"), *product.glob("metadata.xml")])).read_text()


def first(pattern: str, text: str) -> str:
    match = re.search(pattern, text, re.DOTALL)
    assert match, pattern
    return match[1]


def values_after(text: str, start: int) -> tuple[np.ndarray, np.ndarray]:
    """The next zenith and azimuth tables of a metadata file, read as plain text."""
    tables = []
    for _ in range(2):
        start = text.index("<Values_List>", start)
        end = text.index("</Values_List>", start)
        rows = re.findall(r"<VALUES>(.*?)</VALUES>", text[start:end])
        tables.append(np.array([[float(word) for word in row.split()] for row in rows]))
        start = end
    return tables[0], tables[1]


def unit(zenith: np.ndarray, azimuth: np.ndarray) -> np.ndarray:
    z, a = np.radians(zenith), np.radians(azimuth)
    return np.stack([np.sin(z) * np.sin(a), np.sin(z) * np.cos(a), np.cos(z)])


@pytest.mark.parametrize("name", SENTINEL_2)
def test_time_tile_and_sensor_are_those_of_the_raw_text(samples: Path, name: str) -> None:
    text = tile_text(samples / name)
    scene = open_scene(samples / name)
    assert scene.acquired == datetime.fromisoformat(first(r"<SENSING_TIME[^>]*>([^<]+)<", text))
    assert scene.tile == first(r"_T(\d\d[A-Z]{3})_N\d\d\.\d\d</TILE_ID>", text)
    assert scene.baseline == first(r"_N(\d\d\.\d\d)</TILE_ID>", text)
    assert scene.sensor.key == first(r"<TILE_ID[^>]*>(S2.)_", text)
    assert scene.declared_cloud_percent == pytest.approx(
        float(first(r"<CLOUDY_PIXEL_PERCENTAGE>([^<]+)<", text))
    )
    assert f"T{scene.tile}" in scene.id
    assert not scene.id.endswith(".SAFE")


@pytest.mark.parametrize("name", SENTINEL_2)
def test_sun_angles_are_those_of_the_tables_in_the_text(samples: Path, name: str) -> None:
    text = tile_text(samples / name)
    zenith, azimuth = values_after(text, text.index("<Sun_Angles_Grid>"))
    angles = open_scene(samples / name).angles
    assert angles.sun_zenith[0, 0] == pytest.approx(zenith[0, 0], abs=1e-5)
    assert angles.sun_azimuth[0, 0] == pytest.approx(azimuth[0, 0], abs=1e-4)
    # nodes are 4991 m apart, the tables 5000: an independent bilinear reading in between
    nodes = angles.sun_zenith.shape[0]
    size = 109_800.0 if "t55" not in name else 110_080.0
    position = np.minimum(np.linspace(0, size, nodes) / 5000.0, 22.0)
    expected = np.array([np.interp(position, np.arange(23), row) for row in zenith])
    expected = np.array([np.interp(position, np.arange(23), column) for column in expected.T]).T
    np.testing.assert_allclose(angles.sun_zenith, expected, atol=2e-4)


@pytest.mark.parametrize("name", [T55, T51, T46])
@pytest.mark.parametrize("band", ["B01", "B02", "B8A", "B12"])
def test_view_angles_are_the_mean_directions_of_the_detectors(samples: Path, name: str, band: str) -> None:
    text = tile_text(samples / name)
    scene = open_scene(samples / name)
    index = [one.name for one in scene.sensor.bands].index(band)
    seen = [
        unit(*values_after(text, match.start()))
        for match in re.finditer(rf'<Viewing_Incidence_Angles_Grids bandId="{index}" ', text)
    ]
    count = np.sum([np.isfinite(one[0]) for one in seen], axis=0)
    mean = np.nansum(seen, axis=0) / np.where(count > 0, count, np.nan)
    mean /= np.linalg.norm(mean, axis=0)
    ours = unit(scene.angles.view_zenith[band], scene.angles.view_azimuth[band])
    nodes = ours.shape[1]
    size = 109_800.0 if "t55" not in name else 110_080.0
    position = np.minimum(np.linspace(0, size, nodes) / 5000.0, 22.0)
    at_cols = np.array([[np.interp(position, np.arange(23), row) for row in part] for part in mean[:2]])
    expected = np.array([[np.interp(position, np.arange(23), col) for col in part.T] for part in at_cols])
    expected = expected.transpose(0, 2, 1)
    known = np.isfinite(expected[0])
    assert known.mean() > 0.2
    np.testing.assert_allclose(ours[:2][:, known], expected[:, known], atol=2e-5)
    assert np.isfinite(scene.angles.view_zenith[band]).all()
    assert np.ptp(scene.angles.view_zenith[band]) < 15.0


def test_stac_items_made_by_others_agree(samples: Path) -> None:
    for name in (T46, T10):
        item = json.loads((samples / name / "expected_output.json").read_text())
        properties, scene = item["properties"], open_scene(samples / name)
        assert scene.sensor.platform == properties["platform"]
        assert scene.baseline == properties["s2:processing_baseline"]
        assert f"MGRS-{scene.tile}" == properties["grid:code"]
        assert scene.declared_cloud_percent == pytest.approx(properties["eo:cloud_cover"], abs=1e-3)
        # their sun elevation is the tile's mean: ours averages the grid
        assert 90.0 - float(scene.angles.sun_zenith.mean()) == pytest.approx(
            properties["view:sun_elevation"], abs=0.05
        )
        assert str(scene.grid.crs) == properties["proj:code"]
    item = json.loads((samples / T46 / "expected_output.json").read_text())
    blue = item["assets"]["blue"]
    grid = open_scene(samples / T46).grid
    assert list(grid.shape) == blue["proj:shape"]
    assert list(grid.affine)[:6] == blue["proj:transform"]


def test_every_band_of_a_real_safe_is_its_numbers_over_ten_thousand(samples: Path) -> None:
    scene = open_scene(samples / T55)
    assert list(scene.bands) == [band.name for band in scene.sensor.bands]
    for name, band in scene.bands.items():
        (path,) = (samples / T55).glob(f"GRANULE/*/IMG_DATA/*_{name}.jp2")
        with rasterio.open(path) as dataset:
            numbers = dataset.read(1)
            assert band.grid.affine == dataset.transform
            assert str(band.grid.crs) == "EPSG:32755"
        expected = np.where(numbers == 0, np.nan, numbers / 10_000.0)
        np.testing.assert_allclose(band.toa_reflectance(whole(band.grid)), expected, rtol=1e-6)
    verify_pixels(scene)
    require_bands(scene)


def test_a_window_is_cut_from_the_whole_band(samples: Path) -> None:
    band = open_scene(samples / T31).bands["B01"]
    window = Window(row=900, col=1000, height=300, width=333)
    with rasterio.open(next((samples / T31).glob("GRANULE/*/IMG_DATA/*_B01.jp2"))) as dataset:
        numbers = dataset.read(1, window=((900, 1200), (1000, 1333)))
    expected = np.where(numbers == 0, np.nan, numbers / 10_000.0)
    np.testing.assert_allclose(band.toa_reflectance(window), expected, rtol=1e-6)


def test_a_reduced_reading_is_close_to_the_true_mean(samples: Path) -> None:
    band = open_scene(samples / T31).bands["B01"]
    window = Window(row=64, col=0, height=768, width=768)
    fine = band.toa_reflectance(window)
    blocks = fine.reshape(48, 16, 48, 16)
    valid = np.isfinite(blocks).all(axis=(1, 3))
    mean = np.where(valid, blocks.mean(axis=(1, 3)), np.nan)
    coarse = band.toa_reflectance(window, shape=(48, 48))
    both = np.isfinite(mean) & np.isfinite(coarse)
    assert both.mean() > 0.6
    assert np.sqrt(np.mean((coarse - mean)[both] ** 2)) < 0.04 * np.nanmean(mean)
    # the swath's edge, where a wavelet mixes zeros in, does not darken what is left
    assert np.nanmin(coarse) > 0.9 * np.nanmin(fine)


def test_a_product_with_one_band_opens_and_names_the_others(samples: Path) -> None:
    scene = open_scene(samples / T31)
    assert list(scene.bands) == ["B01"]
    assert {Finding.BAND_MISSING, Finding.CIRRUS_BAND_MISSING} <= {note.finding for note in scene.notes}
    assert scene.is_incomplete
    verify_pixels(scene)
    with pytest.raises(DataError, match=r"B02 B03 .* B12") as caught:
        require_bands(scene)
    assert caught.value.reason is Reason.BAND_MISSING


@pytest.mark.parametrize("name", [T51, T46, T10])
def test_metadata_alone_opens_with_the_grid_it_declares(samples: Path, name: str) -> None:
    scene = open_scene(samples / name)
    text = tile_text(samples / name)
    assert not scene.bands
    assert tuple(scene.grid.shape) == (10980, 10980)
    assert scene.grid.affine.c == float(first(r'<Geoposition resolution="10">\s*<ULX>([^<]+)<', text))
    assert scene.grid.affine.f == float(first(r"<ULY>([^<]+)<", text))


def test_a_decimated_product_is_noted_not_refused(samples: Path) -> None:
    scene = open_scene(samples / T55)
    assert Finding.GRID_SIZE_DIFFERS in {note.finding for note in scene.notes}
    assert tuple(scene.grid.shape) == (172, 172)


def test_detectors_are_those_of_the_polygons(samples: Path) -> None:
    detectors = open_detectors(samples / T55)
    grid = open_scene(samples / T55).bands["B02"].grid
    index = detectors.detector_index("B02", whole(grid))
    assert set(np.unique(index)) <= set(detectors.angles.view["B02"]) | {0}
    text = next((samples / T55).glob("GRANULE/*/QI_DATA/MSK_DETFOO_B02.gml")).read_text()
    assert set(np.unique(index)) - {0} == {int(d) for d in re.findall(r"detector_footprint-B02-(\d+)-", text)}
    # a point well inside detector 8's polygon, which touches the tile's left edge from 6885888 to 6790240
    row = int((6_900_040 - 6_830_000) / 640)
    assert index[row, 3] == 8
    # where a detector saw a node, its table has a value there
    zenith = detectors.angles.view["B02"][8].zenith
    assert np.isfinite(zenith[14, 1])


def test_the_zipped_product_reads_as_the_folder_does(samples: Path, tmp_path: Path) -> None:
    folder = samples / T55
    archive = shutil.make_archive(str(tmp_path / folder.stem), "zip", folder.parent, folder.name)
    zipped, plain = open_scene(Path(archive)), open_scene(folder)
    assert zipped.id == plain.id
    assert zipped.notes == plain.notes
    assert list(zipped.sources) == [Path(archive).name]
    for name in ("B02", "B10"):
        window = whole(plain.bands[name].grid)
        np.testing.assert_array_equal(
            zipped.bands[name].toa_reflectance(window), plain.bands[name].toa_reflectance(window)
        )
    assert plain.prior is not None
    assert zipped.prior is not None
    np.testing.assert_array_equal(zipped.prior.water_vapour, plain.prior.water_vapour)


def test_sources_name_every_file_of_a_folder(samples: Path) -> None:
    scene = open_scene(samples / T55)
    files = {
        path.relative_to(samples / T55).as_posix() for path in (samples / T55).rglob("*") if path.is_file()
    }
    assert set(scene.sources) == files
    assert all(path.is_file() for path in scene.sources.values())


def pixels_of(path: Path) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path) as dataset:
            return dataset.read(1)


def mtl_value(folder: Path, key: str) -> str:
    (path,) = folder.glob("*_L1*_MTL.txt")
    return first(rf'\n\s*{key} = "?([^"\n]+)', path.read_text(errors="replace"))


@pytest.mark.parametrize("name", LANDSAT)
def test_landsat_bands_are_the_formula_of_its_handbook(samples: Path, name: str) -> None:
    folder = samples / name
    scene = open_scene(folder)
    sine = np.sin(np.radians(float(mtl_value(folder, "SUN_ELEVATION"))))
    assert scene.bands
    for band_name, band in scene.bands.items():
        numbers = pixels_of(folder / mtl_value(folder, f"FILE_NAME_BAND_{band_name[1:]}"))
        mult = float(mtl_value(folder, f"REFLECTANCE_MULT_BAND_{band_name[1:]}"))
        add = float(mtl_value(folder, f"REFLECTANCE_ADD_BAND_{band_name[1:]}"))
        expected = np.where(numbers == 0, np.nan, (numbers * mult + add) / sine)
        np.testing.assert_allclose(band.toa_reflectance(whole(band.grid)), expected, rtol=1e-5, atol=1e-6)
    verify_pixels(scene)


@pytest.mark.parametrize("name", LANDSAT)
def test_landsat_time_and_angles_are_those_of_the_raw_text(samples: Path, name: str) -> None:
    folder = samples / name
    scene = open_scene(folder)
    assert scene.acquired.date().isoformat() == mtl_value(folder, "DATE_ACQUIRED")
    assert scene.acquired.time().isoformat()[:12] == mtl_value(folder, "SCENE_CENTER_TIME")[:12]
    assert scene.id == mtl_value(folder, "LANDSAT_PRODUCT_ID")
    assert scene.declared_cloud_percent == float(mtl_value(folder, "CLOUD_COVER"))
    np.testing.assert_allclose(
        scene.angles.sun_zenith, 90 - float(mtl_value(folder, "SUN_ELEVATION")), atol=1e-4
    )
    np.testing.assert_allclose(scene.angles.sun_azimuth, float(mtl_value(folder, "SUN_AZIMUTH")), atol=1e-4)
    assert {Finding.SUN_ANGLES_FROM_SCENE_CENTRE, Finding.VIEW_ANGLES_ASSUMED_NADIR} <= {
        note.finding for note in scene.notes
    }


def test_rasters_without_crs_take_the_corners_of_the_metadata(samples: Path) -> None:
    folder = samples / "landsat9-l1tp-hawaii-20230714"
    scene = open_scene(folder)
    assert Finding.CRS_FROM_METADATA in {note.finding for note in scene.notes}
    box = scene.grid.boundingbox
    corner = [float(mtl_value(folder, f"CORNER_UL_PROJECTION_{axis}_PRODUCT")) for axis in "XY"]
    assert [box.left + 15, box.top - 15] == pytest.approx(corner)
    # the town of Lahaina lies in it
    (x,), (y,) = warp_points("EPSG:4326", str(scene.grid.crs), [-156.68], [20.875])[:2]
    assert box.left < x < box.right
    assert box.bottom < y < box.top
    assert scene.grid.affine.a == pytest.approx(30.0, abs=0.01)


def test_a_regridded_landsat_keeps_its_rasters_place_and_says_so(samples: Path) -> None:
    scene = open_scene(samples / "landsat8-l1tp-c2-decimated-20201029")
    findings = {note.finding for note in scene.notes}
    assert {Finding.DATUM_REALISATION_DIFFERS, Finding.FOOTPRINT_DIFFERS} <= findings
    assert str(scene.grid.crs) == "EPSG:28355"
    assert scene.grid.affine.a == 3200.0
    # its saturation raster shows the metadata's ground, not the bands': it is not used
    assert Finding.SATURATION_MASK_MISSING in findings


def test_a_scene_of_collection_1_opens_with_a_note(samples: Path) -> None:
    scene = open_scene(samples / "landsat8-l1tp-marburg-20130707")
    assert scene.baseline == "01 T1"
    assert Finding.OLD_COLLECTION in {note.finding for note in scene.notes}
    assert scene.agency_mask is not None
    # its quality band holds 2720 everywhere: clear, every confidence low
    assert not scene.agency_mask.quality(whole(scene.grid)).any()
    assert tuple(scene.grid.shape) == (41, 41)


def test_text_json_and_xml_of_one_scene_say_the_same(samples: Path) -> None:
    from undersky.sensors.archive import open_files
    from undersky.sensors.mtl import read_mtl

    folder = samples / "landsat8-l2sp-full-structure-decimated"
    files = open_files(folder)
    stem = "LC08_L2SP_017036_20130419_20200913_02_T2_MTL"
    text, as_json, xml = (read_mtl(files, f"{stem}.{kind}").values for kind in ("txt", "json", "xml"))
    assert len(as_json) > 200
    assert dict(as_json) == dict(xml)
    for key, value in as_json.items():
        assert text[key] == value, key


@pytest.mark.parametrize("name", REFUSED)
def test_corrected_products_are_refused_with_what_is_needed_instead(samples: Path, name: str) -> None:
    with pytest.raises(DataError, match=REFUSED[name]) as caught:
        open_scene(samples / name)
    assert caught.value.reason is Reason.UNKNOWN_PRODUCT


def test_older_landsats_are_refused(samples: Path) -> None:
    with pytest.raises(DataError, match="LANDSAT_5") as caught:
        open_scene(samples / "landsat5-l1t-amazon-1988")
    assert caught.value.reason is Reason.UNSUPPORTED_SENSOR


def test_two_parsers_of_xml_find_the_same_offsets(samples: Path) -> None:
    scene_file = samples / T51 / "MTD_MSIL1C.xml"
    root = ET.parse(scene_file).getroot()
    offsets = {int(e.attrib["band_id"]): float(e.text or "nan") for e in root.iter("RADIO_ADD_OFFSET")}
    assert offsets == dict.fromkeys(range(13), -1000.0)
    from undersky.sensors.archive import open_files
    from undersky.sensors.sentinel2_metadata import find_layout, read_metadata

    files = open_files(samples / T51)
    layout = find_layout(files)
    assert layout is not None
    for index, (_, calibration) in enumerate(read_metadata(files, layout).calibration.items()):
        assert calibration.add == pytest.approx(offsets[index] / 10_000.0)
        assert calibration.mult == pytest.approx(1e-4)
        assert calibration.nodata == (0.0,)
        assert calibration.saturated == 65535.0

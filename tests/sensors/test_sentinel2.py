"""Sentinel-2 products of every make, on tiny ones whose every number was chosen."""

import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import rasterio

from undersky.errors import DataError, Reason
from undersky.grid import Window, whole
from undersky.quality import Quality
from undersky.scene import Finding, Scene
from undersky.sensors import open_detectors, open_scene, require_bands, verify_pixels

Make = Callable[..., Path]
GRANULE = "GRANULE/L1C_T55JEJ_A033470_20230804T002101"
BANDS = ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12"]


def findings(scene: Scene) -> set[Finding]:
    return {note.finding for note in scene.notes}


def numbers(root: Path, band: str) -> np.ndarray:
    (path,) = root.glob(f"{GRANULE}/IMG_DATA/*_{band}.jp2")
    with rasterio.open(path) as dataset:
        return dataset.read(1)


def aws_folder(root: Path, target: Path, *, with_product: bool) -> Path:
    """The same product laid out as a tile folder."""
    target.mkdir()
    shutil.copy(root / GRANULE / "MTD_TL.xml", target / "metadata.xml")
    for path in root.glob(f"{GRANULE}/IMG_DATA/*.jp2"):
        shutil.copy(path, target / path.name.rpartition("_")[2])
    (target / "qi").mkdir()
    for path in root.glob(f"{GRANULE}/QI_DATA/MSK_*"):
        shutil.copy(path, target / "qi" / path.name)
    (target / "tileInfo.json").write_text(json.dumps({"productName": root.name.removesuffix(".SAFE")}))
    if with_product:
        shutil.copy(root / "MTD_MSIL1C.xml", target / "MTD_MSIL1C.xml")
    return target


def test_the_metadata_becomes_the_scene(make_safe: Make) -> None:
    root = make_safe()
    scene = open_scene(root)
    assert scene.id == root.name.removesuffix(".SAFE")
    assert scene.sensor.key == "S2B"
    assert scene.acquired == datetime(2023, 8, 4, 0, 22, 51, 500_000, tzinfo=UTC)
    assert (scene.level, scene.baseline, scene.tile) == ("L1C", "05.09", "55JEJ")
    assert scene.declared_cloud_percent == 12.5
    assert list(scene.bands) == BANDS
    assert tuple(scene.grid.shape) == (240, 240)
    assert findings(scene) == {Finding.PRIOR_MISSING}
    assert not scene.is_incomplete
    require_bands(scene)
    verify_pixels(scene)


@pytest.mark.parametrize(
    ("baseline", "offset"), [("05.09", -1000), ("04.00", -1000), ("02.09", None), ("05.10", -500)]
)
def test_offsets_are_those_of_the_product_whatever_its_baseline(
    make_safe: Make, baseline: str, offset: int | None
) -> None:
    root = make_safe(baseline=baseline, offset=offset)
    for name, band in open_scene(root).bands.items():
        expected = (numbers(root, name).astype(float) + (offset or 0)) / 10_000
        np.testing.assert_allclose(band.toa_reflectance(Window(5, 5, 9, 11)), expected[5:14, 5:16], atol=1e-7)


def test_quantification_may_differ_between_bands(make_safe: Make) -> None:
    each = "".join(
        f"<QUANTIFICATION_VALUE band_id='{n}'>{10000 + 100 * n}</QUANTIFICATION_VALUE>" for n in range(13)
    )
    root = make_safe(quantification=each)
    scene = open_scene(root)
    for index, name in enumerate(BANDS):
        expected = (numbers(root, name)[9, 9].astype(float) - 1000) / (10_000 + 100 * index)
        assert scene.bands[name].toa_reflectance(Window(9, 9, 1, 1))[0, 0] == pytest.approx(
            expected, rel=1e-5
        )


@pytest.mark.parametrize(("baseline", "cure"), [("05.09", "deliver"), ("04.00", "deliver")])
def test_a_newer_baseline_without_offsets_is_refused(make_safe: Make, baseline: str, cure: str) -> None:
    with pytest.raises(DataError, match=cure) as caught:
        open_scene(make_safe(baseline=baseline, offset=None))
    assert caught.value.reason is Reason.OFFSET_UNKNOWN


def test_an_offset_for_some_bands_only_is_refused(make_safe: Make) -> None:
    root = make_safe()
    path = root / "MTD_MSIL1C.xml"
    path.write_text(path.read_text().replace('<RADIO_ADD_OFFSET band_id="7">-1000</RADIO_ADD_OFFSET>', ""))
    with pytest.raises(DataError) as caught:
        open_scene(root)
    assert caught.value.reason is Reason.OFFSET_UNKNOWN


def test_a_tile_folder_without_its_product_cannot_know_a_new_offset(make_safe: Make, tmp_path: Path) -> None:
    folder = aws_folder(make_safe(), tmp_path / "tile", with_product=False)
    with pytest.raises(DataError, match=r"lay the product's MTD_MSIL1C\.xml beside it") as caught:
        open_scene(folder)
    assert caught.value.reason is Reason.OFFSET_UNKNOWN


def test_a_tile_folder_of_an_unknown_baseline_is_refused(make_safe: Make, tmp_path: Path) -> None:
    folder = aws_folder(make_safe(baseline="02.09", offset=None), tmp_path / "tile", with_product=False)
    path = folder / "metadata.xml"
    path.write_text(path.read_text().replace("_N02.09</TILE_ID>", "</TILE_ID>"))
    (folder / "tileInfo.json").unlink()
    with pytest.raises(DataError, match="unknown baseline") as caught:
        open_scene(folder)
    assert caught.value.reason is Reason.OFFSET_UNKNOWN


@pytest.mark.parametrize("beside", ["inside", "parent"])
def test_a_tile_folder_with_its_product_reads_as_the_safe_does(
    make_safe: Make, tmp_path: Path, beside: str
) -> None:
    root = make_safe()
    (tmp_path / "parent").mkdir()
    folder = aws_folder(root, tmp_path / "parent" / "tile", with_product=beside == "inside")
    if beside == "parent":
        shutil.copy(root / "MTD_MSIL1C.xml", tmp_path / "parent")
    safe, tile = open_scene(root), open_scene(folder)
    assert tile.id == safe.id
    assert list(tile.bands) == BANDS
    assert findings(tile) == findings(safe)
    for name in BANDS:
        window = whole(safe.bands[name].grid)
        np.testing.assert_array_equal(
            tile.bands[name].toa_reflectance(window), safe.bands[name].toa_reflectance(window)
        )


def test_an_old_tile_folder_needs_no_product(make_safe: Make, tmp_path: Path) -> None:
    root = make_safe(baseline="02.09", offset=None, masks="none")
    scene = open_scene(aws_folder(root, tmp_path / "tile", with_product=False))
    assert scene.baseline == "02.09"
    expected = numbers(root, "B04") / 10_000.0
    np.testing.assert_allclose(
        scene.bands["B04"].toa_reflectance(whole(scene.bands["B04"].grid)), expected, rtol=1e-6
    )


def test_metadata_of_two_products_is_refused(make_safe: Make) -> None:
    root = make_safe()
    path = root / "MTD_MSIL1C.xml"
    path.write_text(path.read_text().replace("A033470_T55JEJ", "A033471_T55JEJ"))
    with pytest.raises(DataError, match="two products") as caught:
        open_scene(root)
    assert caught.value.reason is Reason.METADATA_INVALID


def test_a_file_inside_the_folder_names_the_product(make_safe: Make) -> None:
    root = make_safe()
    assert open_scene(root / "MTD_MSIL1C.xml").id == open_scene(root).id


def test_the_sun_crosses_north_without_turning_round(make_safe: Make) -> None:
    angles = open_scene(make_safe()).angles
    # the table runs from 359.5 over 0 to 0.5: halfway lies north, not south
    turn = (angles.sun_azimuth + 180.0) % 360.0 - 180.0
    assert np.abs(turn).max() < 0.6
    assert angles.sun_zenith[0, 0] == pytest.approx(40.0, abs=1e-4)
    assert angles.sun_zenith[-1, -1] == pytest.approx(40.3, abs=1e-4)


def test_overlapping_detectors_are_merged_as_directions(make_safe: Make) -> None:
    scene = open_scene(make_safe())
    zenith, azimuth = scene.angles.view_zenith["B02"], scene.angles.view_azimuth["B02"]
    assert zenith.shape == (2, 2)
    assert (zenith[0, 0], azimuth[0, 0]) == (pytest.approx(4.0, abs=1e-4), pytest.approx(104.0, abs=1e-3))
    assert (zenith[0, 1], azimuth[0, 1]) == (pytest.approx(5.0, abs=1e-4), pytest.approx(286.0, abs=1e-3))
    # the nodes lie at the edges; the middle column, seen by both, is nearly nadir and no mean of azimuths
    from undersky.sensors.coarse import merge, to_angles, to_vector

    both = merge(
        [to_vector(np.array([4.0]), np.array([104.0])), to_vector(np.array([5.0]), np.array([286.0]))]
    )
    assert to_angles(both)[0][0] < 0.6


def test_gaps_in_a_view_grid_are_filled(make_safe: Make) -> None:
    scene = open_scene(make_safe(detectors={5: (4.0, 104.0, slice(1, 2))}))
    np.testing.assert_allclose(scene.angles.view_zenith["B11"], 4.0, atol=1e-3)
    np.testing.assert_allclose(scene.angles.view_azimuth["B11"], 104.0, atol=1e-2)


def test_missing_angle_grids_have_stated_substitutes(make_safe: Make) -> None:
    scene = open_scene(make_safe(sun=False, detectors={}))
    np.testing.assert_allclose(scene.angles.sun_zenith, 41.0, atol=1e-4)
    np.testing.assert_allclose(scene.angles.view_zenith["B05"], 4.5, atol=1e-4)
    assert {Finding.SUN_ANGLES_FROM_SCENE_CENTRE, Finding.VIEW_ANGLES_FROM_SCENE_MEAN} <= findings(scene)
    assert scene.is_incomplete


def test_without_any_view_angle_nadir_is_assumed(make_safe: Make) -> None:
    root = make_safe(detectors={})
    path = root / GRANULE / "MTD_TL.xml"
    path.write_text(
        path.read_text()
        .replace("Mean_Viewing_Incidence_Angle ", "Something_Else ")
        .replace("</Mean_Viewing_Incidence_Angle>", "</Something_Else>")
    )
    scene = open_scene(root)
    assert Finding.VIEW_ANGLES_ASSUMED_NADIR in findings(scene)
    assert not scene.angles.view_zenith["B02"].any()


@pytest.mark.parametrize("baseline", ["05.09", "02.09"])
def test_masks_in_jp2_and_in_gml_mark_the_same_pixels(make_safe: Make, baseline: str) -> None:
    is_new = baseline == "05.09"
    scene = open_scene(
        make_safe(baseline=baseline, offset=-1000 if is_new else None, masks="jp2" if is_new else "gml")
    )
    assert scene.agency_mask is not None
    quality = scene.agency_mask.quality(whole(scene.grid))
    assert quality.dtype == np.uint16
    assert (quality[:60, :30] & Quality.CLOUD).all()
    if is_new:
        assert (quality[60:120, :60] == Quality.CIRRUS).all()
        assert (quality[120:180, :60] == Quality.SNOW).all()
        assert not quality[:, 60:].any()
    else:
        assert (quality[:60, 30:60] == Quality.CLOUD | Quality.CIRRUS).all()
        assert (quality[:60, 60:90] == Quality.CIRRUS).all()
        # the malformed third polygon is left out, and that is said
        assert not quality[60:].any()
        assert any("1 of the polygons" in note.sentence for note in scene.notes)
    window = Window(40, 20, 50, 70)
    np.testing.assert_array_equal(scene.agency_mask.quality(window), quality[40:90, 20:90])


@pytest.mark.parametrize("band", ["B02", "B05", "B09"])
def test_saturation_and_nodata_come_from_masks_and_from_numbers(make_safe: Make, band: str) -> None:
    pixels = np.full({"B02": (240, 240), "B05": (120, 120), "B09": (40, 40)}[band], 3000, np.uint16)
    pixels[5, 5], pixels[6, 6] = 65535, 0
    source = open_scene(make_safe(numbers={band: pixels})).bands[band]
    saturated = source.saturated(whole(source.grid))
    # layer 8 of MSK_QUALIT at (2, 3), the encoding's own value at (5, 5)
    assert set(zip(*np.nonzero(saturated), strict=True)) == {(2, 3), (5, 5)}
    toa = source.toa_reflectance(whole(source.grid))
    # layer 6 at (0, 1), the encoding's own value at (6, 6)
    assert set(zip(*np.nonzero(np.isnan(toa)), strict=True)) == {(0, 1), (6, 6)}


def test_polygons_of_saturation_and_nodata_are_drawn(make_safe: Make) -> None:
    source = open_scene(make_safe(baseline="02.09", offset=None, masks="gml")).bands["B02"]
    saturated = source.saturated(whole(source.grid))
    assert saturated[6:12, 6:18].all()
    assert saturated.sum() == 6 * 12
    nodata = np.isnan(source.toa_reflectance(whole(source.grid)))
    # partially corrected pixels are data
    assert nodata[:6, :6].all()
    assert nodata.sum() == 36


@pytest.mark.parametrize("masks", ["jp2", "gml"])
def test_detector_index_is_the_footprint_in_either_format(make_safe: Make, masks: str) -> None:
    old = {"baseline": "02.09", "offset": None} if masks == "gml" else {}
    root = make_safe(masks=masks, **old)
    detectors = open_detectors(root)
    for band, side in {"B02": 240, "B09": 40}.items():
        index = detectors.detector_index(band, Window(3, 0, 20, side))
        assert (index[:, : side // 2] == 5).all()
        assert (index[:, side // 2 :] == 6).all()
    assert set(detectors.angles.view["B8A"]) == {5, 6}
    assert np.isnan(detectors.angles.view["B8A"][6].zenith[:, 0]).all()


def test_a_product_without_footprints_says_so_when_asked(make_safe: Make) -> None:
    root = make_safe(masks="none")
    assert Finding.DETECTOR_FOOTPRINT_MISSING in findings(open_scene(root))
    with pytest.raises(DataError, match="MSK_DETFOO"):
        open_detectors(root).detector_index("B02", Window(0, 0, 1, 1))


def test_missing_masks_make_testing_incomplete(make_safe: Make) -> None:
    scene = open_scene(make_safe(masks="none"))
    assert scene.agency_mask is None
    assert {Finding.AGENCY_CLOUD_MASK_MISSING, Finding.SATURATION_MASK_MISSING} <= findings(scene)
    assert scene.is_incomplete


def test_an_empty_placeholder_is_a_missing_band(make_safe: Make) -> None:
    root = make_safe()
    (path,) = root.glob(f"{GRANULE}/IMG_DATA/*_B10.jp2")
    path.write_bytes(b"")
    scene = open_scene(root)
    assert "B10" not in scene.bands
    assert {Finding.BAND_MISSING, Finding.CIRRUS_BAND_MISSING} <= findings(scene)
    require_bands(scene)
    (root.glob(f"{GRANULE}/IMG_DATA/*_B08.jp2")).__next__().unlink()
    with pytest.raises(DataError, match="no B08") as caught:
        require_bands(open_scene(root))
    assert caught.value.reason is Reason.BAND_MISSING


def test_averaging_leaves_nodata_out(make_safe: Make) -> None:
    pixels = np.full((240, 240), 3000, np.uint16)
    pixels[:, :120] = 0
    pixels[0, 119] = 5000
    source = open_scene(make_safe(masks="none", numbers={"B02": pixels})).bands["B02"]
    coarse = source.toa_reflectance(whole(source.grid), shape=(120, 120))
    assert np.isnan(coarse[:, :58]).all()
    np.testing.assert_allclose(coarse[10:, 61:], 0.2, atol=1e-4)
    odd = source.toa_reflectance(Window(0, 100, 240, 101), shape=(7, 9))
    assert odd.shape == (7, 9)
    assert np.nanmin(odd) > 0.19


def test_two_threads_read_what_one_reads(make_safe: Make) -> None:
    scene = open_scene(make_safe())
    windows = [Window(row, 0, 20, 240) for row in range(0, 240, 20)]
    alone = [scene.bands["B03"].toa_reflectance(window) for window in windows]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            together = list(pool.map(scene.bands["B03"].toa_reflectance, windows))
            np.testing.assert_array_equal(alone, together)


def test_old_long_file_names_open_too(make_safe: Make) -> None:
    root = make_safe(baseline="02.02", offset=None, masks="none")
    (root / "MTD_MSIL1C.xml").rename(root / "S2B_OPER_MTD_SAFL1C_PDMC_20160101T000000_R116_V2016.xml")
    granule = root / "GRANULE" / "S2B_OPER_MSI_L1C_TL_SGS__20160101T000000_A002_T55JEJ_N02.02"
    (root / GRANULE).rename(granule)
    (granule / "MTD_TL.xml").rename(granule / "S2B_OPER_MTD_L1C_TL_SGS__20160101T000000_A002_T55JEJ.xml")
    for path in list((granule / "IMG_DATA").iterdir()):
        path.rename(
            path.with_name(
                f"S2B_OPER_MSI_L1C_TL_SGS__20160101T000000_A002_{path.name[-11:-8]}55JEJ_{path.name[-7:]}"
            )
        )
    assert list(open_scene(root).bands) == BANDS


def test_several_granules_are_refused_with_the_way_out(make_safe: Make) -> None:
    root = make_safe(masks="none")
    shutil.copytree(root / GRANULE, root / "GRANULE" / "L1C_T55JEK_A033470_20230804T002101")
    with pytest.raises(DataError, match="singly") as caught:
        open_scene(root)
    assert caught.value.reason is Reason.UNKNOWN_PRODUCT


def test_another_satellite_is_refused_by_name(make_safe: Make) -> None:
    with pytest.raises(DataError, match="S2D") as caught:
        open_scene(make_safe(satellite="S2D", masks="none"))
    assert caught.value.reason is Reason.UNSUPPORTED_SENSOR

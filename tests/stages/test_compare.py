"""Ours beside the agency's: the right pixels, the right sign, and errors that say which grids do not meet."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox
from PIL import Image

from undersky.bands import SENSORS
from undersky.errors import DataError, Reason
from undersky.quality import Quality
from undersky.raster.cog import write_cog
from undersky.raster.encoding import QUALITY, encode, reflectance_layer
from undersky.stages.compare import compare, read_identity

SHAPE = (40, 50)
LEFT, TOP = 500_000.0, 5_000_000.0


@pytest.fixture(scope="module")
def surface():
    """What we found, (band, y, x) of B2, B3, B4."""
    return np.random.default_rng(3).uniform(0.02, 0.3, (3, *SHAPE)).astype(np.float32)


def _grid(*, left=LEFT, top=TOP, pixel_m=30.0, shape=SHAPE, crs="EPSG:32632"):
    return GeoBox(shape, Affine(pixel_m, 0.0, left, 0.0, -pixel_m, top), crs)


def _write_product(folder: Path, surface, *, quality=None, platform="landsat-8", **where) -> Path:
    """A product of ours with B2, B3, B4, a quality layer and an Item."""
    folder.mkdir(parents=True)
    grid = _grid(**where)
    for name, values in zip(("B2", "B3", "B4"), surface, strict=True):
        layer = reflectance_layer(SENSORS["L8"].band(name))
        write_cog(folder / f"{layer.key}.tif", encode(values, layer), grid=grid, layer=layer)
    bits = np.zeros(SHAPE, dtype=np.uint16) if quality is None else quality
    write_cog(folder / "quality.tif", bits, grid=grid, layer=QUALITY)
    item = {"type": "Feature", "id": folder.name, "properties": {"platform": platform}}
    (folder / f"{folder.name}.json").write_text(json.dumps(item), encoding="utf-8")
    return folder


def _write_l2sp(folder: Path, surface, *, qa=None, **where) -> Path:
    """An L2SP of these reflectances."""
    folder.mkdir(parents=True)
    name = "LC08_L2SP_192028_20230714_20230721_02_T1"
    lines = [f'LANDSAT_PRODUCT_ID = "{name}"', 'PROCESSING_LEVEL = "L2SP"']
    for band, values in zip((2, 3, 4), surface, strict=True):
        lines += [f'FILE_NAME_BAND_{band} = "{name}_SR_B{band}.TIF"']
        lines += [f"REFLECTANCE_MULT_BAND_{band} = 2.75e-05", f"REFLECTANCE_ADD_BAND_{band} = -0.2"]
        stored = np.where(np.isnan(values), 0, np.rint((np.nan_to_num(values) + 0.2) / 2.75e-5)).astype(
            np.uint16
        )
        _write_tif(folder / f"{name}_SR_B{band}.TIF", stored, **where)
    if qa is not None:
        lines.append(f'FILE_NAME_QUALITY_L1_PIXEL = "{name}_QA_PIXEL.TIF"')
        _write_tif(folder / f"{name}_QA_PIXEL.TIF", qa, **where)
    (folder / f"{name}_MTL.txt").write_text("\n".join((*lines, "END")), encoding="utf-8")
    return folder


def _write_tif(path: Path, values, **where):
    grid = _grid(**{"shape": values.shape} | where)
    profile = {"driver": "GTiff", "height": grid.shape[0], "width": grid.shape[1], "count": 1}
    with rasterio.open(
        path, "w", **profile, dtype=values.dtype.name, crs=str(grid.crs), transform=grid.affine
    ) as dataset:
        dataset.write(values, 1)


def test_equal_products_do_not_differ(tmp_path, surface):
    ours, theirs = _write_product(tmp_path / "ours", surface), _write_l2sp(tmp_path / "theirs", surface)
    found = compare(ours, theirs, tmp_path / "out")
    assert found.processor == "LaSRC"
    assert list(found.bands) == ["B2", "B3", "B4"]
    for band in found.bands.values():
        assert band.count == SHAPE[0] * SHAPE[1]
        assert abs(band.bias) < 5e-5
        assert band.rmse < 1e-4
        assert band.in_spec_percent == 100.0


def test_the_difference_is_ours_minus_theirs(tmp_path, surface):
    ours, theirs = (
        _write_product(tmp_path / "ours", surface),
        _write_l2sp(tmp_path / "theirs", surface - 0.02),
    )
    found = compare(ours, theirs, tmp_path / "out").bands["B3"]
    assert found.bias == pytest.approx(0.02, abs=1e-4)
    assert found.spread < 1e-4


def test_pixels_that_either_calls_cloudy_do_not_count(tmp_path, surface):
    quality = np.zeros(SHAPE, dtype=np.uint16)
    quality[:10] = Quality.CLOUD
    qa = np.full(SHAPE, 21824, dtype=np.uint16)
    qa[:, :5] = 22280
    spoilt = surface.copy()
    spoilt[:, :10] = 0.9
    spoilt[:, :, :5] = 0.9
    ours = _write_product(tmp_path / "ours", surface, quality=quality)
    found = compare(ours, _write_l2sp(tmp_path / "theirs", spoilt, qa=qa), tmp_path / "out").bands["B2"]
    assert found.count == 30 * 45
    assert found.rmse < 1e-4


def test_nodata_on_either_side_does_not_count(tmp_path, surface):
    mine, their = surface.copy(), surface.copy()
    mine[:, 0] = np.nan
    their[:, -1] = np.nan
    found = compare(
        _write_product(tmp_path / "ours", mine), _write_l2sp(tmp_path / "theirs", their), tmp_path / "out"
    )
    assert found.bands["B4"].count == 38 * 50


def test_a_shifted_grid_is_aligned_to_the_nearest_pixel(tmp_path, surface):
    """Theirs starts two pixels further east and south, and a third of a pixel off."""
    ours = _write_product(tmp_path / "ours", surface)
    theirs = _write_l2sp(tmp_path / "theirs", surface[:, 2:, 2:], left=LEFT + 60 + 10, top=TOP - 60 - 10)
    found = compare(ours, theirs, tmp_path / "out").bands["B2"]
    assert found.rmse < 1e-4
    assert found.count == 38 * 48


def test_a_coarser_agency_raster_is_spread_over_our_pixels(tmp_path, surface):
    coarse = surface[:, ::2, ::2]
    fine = coarse.repeat(2, axis=1).repeat(2, axis=2)
    ours = _write_product(tmp_path / "ours", fine)
    found = compare(ours, _write_l2sp(tmp_path / "theirs", coarse, pixel_m=60.0), tmp_path / "out").bands[
        "B2"
    ]
    assert found.rmse < 1e-4
    assert found.count == 2000


def test_the_picture_shows_ours_theirs_and_where_they_differ(tmp_path, surface):
    brighter = surface.copy()
    brighter[2, :20] += 0.06
    ours, theirs = _write_product(tmp_path / "ours", brighter), _write_l2sp(tmp_path / "theirs", surface)
    found = compare(ours, theirs, tmp_path / "out")
    assert found.picture == tmp_path / "out" / "difference.png"
    picture = np.asarray(Image.open(found.picture))
    assert picture.shape[1] > 3 * SHAPE[1]
    panel = picture[-SHAPE[0] :, -SHAPE[1] :]
    assert panel[5, 10].tolist() == [255, 0, 0], "ours is brighter in the upper half"
    assert panel[-5, 10].min() > 250, "and equal below"


def test_without_a_visible_band_there_is_no_picture(tmp_path, surface):
    ours, theirs = _write_product(tmp_path / "ours", surface), _write_l2sp(tmp_path / "theirs", surface)
    [blue] = theirs.glob("*_SR_B2.TIF")
    blue.unlink()
    found = compare(ours, theirs, tmp_path / "out")
    assert list(found.bands) == ["B3", "B4"]
    assert found.picture is None


def test_the_figures_are_json_and_a_table(tmp_path, surface):
    ours, theirs = (
        _write_product(tmp_path / "ours", surface),
        _write_l2sp(tmp_path / "theirs", surface - 0.02),
    )
    found = compare(ours, theirs, tmp_path / "out")
    document = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert document["bands"]["B3"]["bias"] == pytest.approx(0.02, abs=1e-4)
    assert document["bands"]["B3"]["pixels"] == 2000
    assert document["product"] == "ours"
    assert "| B3 | 2000 | 0.0200 |" in found.as_markdown()


def test_figures_of_no_pixels_are_null_not_nan(tmp_path, surface):
    quality = np.full(SHAPE, int(Quality.CLOUD), dtype=np.uint16)
    ours = _write_product(tmp_path / "ours", surface, quality=quality)
    found = compare(ours, _write_l2sp(tmp_path / "theirs", surface), tmp_path / "out")
    assert found.as_json()["bands"]["B2"]["bias"] is None
    assert "| B2 | 0 | - | - | - | - |" in found.as_markdown()


def test_sensor_and_id_come_from_the_item(tmp_path, surface):
    name, sensor = read_identity(_write_product(tmp_path / "ours", surface, platform="landsat-9"))
    assert (name, sensor.key) == ("ours", "L9")


@pytest.mark.faults
def test_grids_that_share_no_ground_are_refused_with_both_extents(tmp_path, surface):
    ours = _write_product(tmp_path / "ours", surface)
    theirs = _write_l2sp(tmp_path / "theirs", surface, left=LEFT + 90_000)
    with pytest.raises(DataError, match=r"590000 .* 500000 .*share no ground") as refused:
        compare(ours, theirs, tmp_path / "out")
    assert refused.value.reason is Reason.GRID_MISMATCH


@pytest.mark.faults
def test_a_product_of_another_sensor_is_refused(tmp_path, surface):
    ours = _write_product(tmp_path / "ours", surface, platform="sentinel-2a")
    with pytest.raises(DataError, match="shares no band") as refused:
        compare(ours, _write_l2sp(tmp_path / "theirs", surface), tmp_path / "out")
    assert refused.value.reason is Reason.BAND_MISSING


@pytest.mark.faults
@pytest.mark.parametrize("text", [None, "{", "[]", '{"id": "x", "properties": {"platform": "envisat"}}'])
def test_a_folder_without_our_item_is_refused(tmp_path, surface, text):
    ours = _write_product(tmp_path / "ours", surface)
    (ours / "ours.json").unlink()
    if text is not None:
        (ours / "ours.json").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match="undersky correct") as refused:
        compare(ours, _write_l2sp(tmp_path / "theirs", surface), tmp_path / "out")
    assert refused.value.reason is Reason.UNKNOWN_PRODUCT


@pytest.mark.faults
def test_a_truncated_agency_raster_is_refused(tmp_path, surface):
    ours, theirs = _write_product(tmp_path / "ours", surface), _write_l2sp(tmp_path / "theirs", surface)
    [blue] = theirs.glob("*_SR_B2.TIF")
    blue.write_bytes(blue.read_bytes()[:600])
    with pytest.raises(DataError) as refused:
        compare(ours, theirs, tmp_path / "out")
    assert refused.value.reason in (Reason.RASTER_TRUNCATED, Reason.RASTER_UNREADABLE)


@pytest.mark.faults
def test_a_missing_layer_of_ours_is_refused(tmp_path, surface):
    ours, theirs = _write_product(tmp_path / "ours", surface), _write_l2sp(tmp_path / "theirs", surface)
    (ours / "SR_B3.tif").unlink()
    with pytest.raises(DataError, match=r"SR_B3\.tif") as refused:
        compare(ours, theirs, tmp_path / "out")
    assert refused.value.reason is Reason.RASTER_UNREADABLE


def _write_s2(folder: Path, surface) -> Path:
    """A Sentinel-2A product of ours with B02 at 10 m and B11 at 20 m."""
    folder.mkdir(parents=True)
    for name, values, pixel_m in (("B02", surface[0], 10.0), ("B11", surface[1, ::2, ::2], 20.0)):
        layer = reflectance_layer(SENSORS["S2A"].band(name))
        grid = _grid(pixel_m=pixel_m, shape=values.shape)
        write_cog(folder / f"{name}.tif", encode(values, layer), grid=grid, layer=layer)
    grid = _grid(pixel_m=10.0)
    write_cog(folder / "quality.tif", np.zeros(SHAPE, dtype=np.uint16), grid=grid, layer=QUALITY)
    item = {"id": "ours", "properties": {"platform": "sentinel-2a"}}
    (folder / "ours.json").write_text(json.dumps(item), encoding="utf-8")
    return folder


def _write_l2a(folder: Path, surface, *, offset: int) -> Path:
    """A Sen2Cor folder of the same ground, with a scene class that calls the first four rows cloud."""
    folder.mkdir(parents=True)
    rows = "".join(f'<BOA_ADD_OFFSET band_id="{i}">{offset}</BOA_ADD_OFFSET>' for i in range(13))
    (folder / "MTD_MSIL2A.xml").write_text(
        "<p><PROCESSING_BASELINE>05.09</PROCESSING_BASELINE>"
        f"<BOA_QUANTIFICATION_VALUE>10000</BOA_QUANTIFICATION_VALUE>{rows}</p>",
        encoding="utf-8",
    )
    for name, values, metres in (("B02", surface[0], 10), ("B11", surface[1, ::2, ::2], 20)):
        stored = (np.rint(values * 1e4) - offset).astype(np.uint16)
        _write_tif(folder / f"T32TQM_20230714T102031_{name}_{metres}m.tif", stored, pixel_m=float(metres))
    classes = np.full((20, 25), 4, dtype=np.uint8)
    classes[:2] = 9
    _write_tif(folder / "T32TQM_20230714T102031_SCL_20m.tif", classes, pixel_m=20.0)
    return folder


@pytest.mark.parametrize("offset", [0, -1000])
def test_the_l2a_offset_is_honoured_at_every_resolution(tmp_path, surface, offset):
    ours = _write_s2(tmp_path / "ours", surface)
    found = compare(ours, _write_l2a(tmp_path / "theirs", surface, offset=offset), tmp_path / "out")
    assert found.processor == "Sen2Cor"
    assert {name: band.count for name, band in found.bands.items()} == {"B02": 36 * 50, "B11": 18 * 25}
    assert max(band.rmse for band in found.bands.values()) < 1e-4
    assert found.picture is None


def test_a_comparison_is_a_value(tmp_path, surface):
    ours, theirs = _write_product(tmp_path / "ours", surface), _write_l2sp(tmp_path / "theirs", surface)
    found = compare(ours, theirs, tmp_path / "out")
    assert replace(found, product="other").product == "other"
    assert compare(ours, theirs, tmp_path / "out") == found

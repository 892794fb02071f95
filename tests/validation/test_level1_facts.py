"""Facts of a delivered scene agree with what was simulated, and with what was spoilt."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from undersky.grid import Window, whole
from undersky.scene import Scene
from undersky.sensors import open_scene, verify_pixels
from undersky.sensors.plausibility import LOOK_SIDE
from undersky.stages.simulate import Order, request_for, simulate
from undersky.validation import level1_facts as facts_of
from undersky.validation.level1_facts import Announced, keeping_looks, level1_facts


@pytest.fixture(scope="module")
def scene(tmp_path_factory) -> Scene:
    request = replace(request_for("S2B", size_m=3600), nodata_edge=True)
    return open_scene(simulate(tmp_path_factory.mktemp("l1"), order=Order(request)).product)


class Counting:
    """A band that counts its decodings, and spoils what it gives."""

    def __init__(self, band, spoil=lambda pixels: pixels) -> None:
        self.band, self.spoil, self.reads = band, spoil, 0

    grid = property(lambda self: self.band.grid)
    block_rows = property(lambda self: self.band.block_rows)

    def toa_reflectance(self, window, *, shape=None):
        self.reads += 1
        return self.band.toa_reflectance(window, shape=shape)

    def saturated(self, window):
        return self.band.saturated(window)

    def observed(self, window):
        pixels, saturated = self.band.observed(window)
        return self.spoil(pixels), saturated


def spoilt(scene: Scene, name: str, spoil) -> dict:
    bands = {**scene.bands, name: Counting(scene.bands[name], spoil)}
    rows = {row["band"]: row for row in level1_facts(replace(scene, bands=bands)).bands}
    return rows[name]


def test_the_look_is_the_one_that_the_readers_take(scene):
    assert facts_of.LOOK_SIDE == LOOK_SIDE
    counting = {name: Counting(band) for name, band in scene.bands.items()}
    kept = keeping_looks(replace(scene, bands=counting))
    verify_pixels(kept)
    level1_facts(kept)
    assert {band.reads for band in counting.values()} == {1}


def test_a_kept_look_cannot_be_spoilt_by_its_reader(scene):
    band = keeping_looks(scene).bands["B02"]
    first = band.toa_reflectance(whole(band.grid), shape=(50, 50))
    first[:] = 7.0
    assert np.nanmax(band.toa_reflectance(whole(band.grid), shape=(50, 50))) < 2.0
    window = Window(0, 0, 10, 20)
    assert band.toa_reflectance(window).shape == (10, 20)
    assert band.saturated(window).shape == (10, 20)
    assert band.block_rows == scene.bands["B02"].block_rows


def test_shares_agree_with_the_pixels(scene):
    rows = {row["band"]: row for row in level1_facts(scene).bands}
    for name in ("B02", "B8A", "B09"):
        pixels = scene.bands[name].toa_reflectance(whole(scene.bands[name].grid))
        share = 100.0 * np.isnan(pixels).mean()
        assert 1.0 < share < 99.0
        assert rows[name]["nodata_percent"] == pytest.approx(share, abs=2.0)
        assert rows[name]["mean"] == pytest.approx(np.nanmean(pixels), rel=0.02)
        assert rows[name]["p50"] == pytest.approx(np.nanmedian(pixels), rel=0.1)


def test_lost_lines_and_constant_blocks_are_seen(scene):
    def lose(pixels):
        pixels[50:80] = np.nan
        return pixels

    def flatten(pixels):
        pixels[:] = np.where(np.isfinite(pixels), 0.5, np.nan)
        return pixels

    assert spoilt(scene, "B04", lose)["lost_line_percent"] == pytest.approx(100.0 * 30 / 360, abs=1.0)
    assert spoilt(scene, "B04", flatten)["constant_block_percent"] == 100.0
    assert spoilt(scene, "B04", lambda pixels: pixels)["constant_block_percent"] < 5.0
    assert spoilt(scene, "B04", lambda pixels: pixels)["lost_line_percent"] == 0.0


def test_the_place_is_compared_with_the_tile(scene):
    assert level1_facts(scene).scene["km_from_tile"] == 0.0
    assert level1_facts(replace(scene, tile="32TRM")).scene["km_from_tile"] > 50.0
    assert np.isnan(level1_facts(replace(scene, tile="233200")).scene["km_from_tile"])


def test_what_was_announced_is_compared(scene):
    good = Announced(scene.id, scene.sensor.platform, scene.tile, scene.acquired - timedelta(minutes=20))
    found = level1_facts(scene, announced=good).scene
    assert (found["tile_agrees"], found["platform_agrees"], found["id_agrees"]) == (True, True, True)
    assert found["hours_from_announced"] == pytest.approx(1 / 3, abs=1e-3)
    other = replace(good, tile="31TCJ", platform=None, scene="other")
    found = level1_facts(scene, announced=other).scene
    assert (found["tile_agrees"], found["platform_agrees"], found["id_agrees"]) == (False, None, False)


@pytest.mark.parametrize(
    ("baseline", "offset", "agrees"),
    [("05.11", -1000.0, True), ("05.11", 0.0, False), ("02.09", 0.0, True), ("02.09", -1000.0, False)],
)
def test_offsets_are_compared_with_the_baseline(scene, baseline, offset, agrees):
    found = level1_facts(replace(scene, baseline=baseline), offsets={"B02": offset})
    row = next(row for row in found.bands if row["band"] == "B02")
    assert row["offset_agrees"] is agrees


def test_a_low_sun_is_a_fact(scene):
    low = replace(scene, angles=replace(scene.angles, sun_zenith=np.full_like(scene.angles.sun_zenith, 81.0)))
    assert level1_facts(low).scene["sun_zenith"] == 81.0

"""The look at the pixels: what it must find, and what it must leave alone."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from undersky.bands import SENSORS
from undersky.errors import DataError, Reason
from undersky.scene import Angles
from undersky.sensors import open_scene, verify_pixels
from undersky.sensors.plausibility import rayleigh_path

Make = Callable[..., Path]
SIDES = {"B01": 40, "B09": 40, "B10": 40, "B02": 240, "B03": 240, "B04": 240, "B08": 240}


def scene_of(level: float, *, seed: int, spread: float) -> dict[str, np.ndarray]:
    """Digital numbers of a scene whose every band has one mean reflectance, offset included."""
    random = np.random.default_rng(seed)
    names = ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12"]
    return {
        name: np.round(
            1000 + 10_000 * np.clip(random.normal(level, spread, (SIDES.get(name, 120),) * 2), 0.11, 1.2)
        ).astype(np.uint16)
        for name in names
    }


def reason_of(path: Path) -> Reason:
    with pytest.raises(DataError) as caught:
        verify_pixels(open_scene(path))
    return caught.value.reason


def test_an_offset_that_was_not_added_is_found(make_safe: Make) -> None:
    assert reason_of(make_safe(masks="none", offset=-1000, stored_offset=0)) is Reason.OFFSET_CONTRADICTED


def test_an_offset_that_was_not_declared_is_found(make_safe: Make) -> None:
    root = make_safe(masks="none", baseline="02.09", offset=None, stored_offset=-1000)
    assert reason_of(root) is Reason.OFFSET_CONTRADICTED


def test_an_offset_of_zero_under_a_new_baseline_is_found(make_safe: Make) -> None:
    assert reason_of(make_safe(masks="none", offset=0, stored_offset=-1000)) is Reason.OFFSET_CONTRADICTED


def test_without_the_cirrus_band_darkness_below_zero_is_still_found(make_safe: Make) -> None:
    water = np.full((120, 120), 300, np.uint16)
    root = make_safe(masks="none", offset=-1000, stored_offset=0, numbers={"B12": water})
    next(root.glob("GRANULE/*/IMG_DATA/*_B10.jp2")).unlink()
    assert reason_of(root) is Reason.OFFSET_CONTRADICTED


@pytest.mark.parametrize("level", [0.15, 0.4, 0.8])
def test_a_scene_all_under_clouds_is_left_alone(make_safe: Make, level: float) -> None:
    numbers = scene_of(level, seed=1, spread=0.05)
    numbers["B8A"] = numbers["B08"][::2, ::2].copy()
    verify_pixels(open_scene(make_safe(masks="none", numbers=numbers)))


def test_cloud_in_which_vapour_darkens_the_broad_infrared_band_is_left_alone(make_safe: Make) -> None:
    """B08 takes in an absorption that B8A leaves out; B05 is here as dark as B08."""
    numbers = scene_of(0.7, seed=2, spread=0.05)
    numbers["B8A"] = (numbers["B08"][::2, ::2] * 1.1).astype(np.uint16)
    numbers["B05"] = numbers["B08"][::2, ::2].copy()
    verify_pixels(open_scene(make_safe(masks="none", numbers=numbers)))


def test_a_scene_of_dark_water_is_left_alone(make_safe: Make) -> None:
    levels = (0.12, 0.085, 0.05, 0.03, 0.02, 0.017, 0.015, 0.013, 0.012, 0.005, 0.001, 0.002, 0.001)
    names = ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12"]
    random = np.random.default_rng(2)
    numbers = {
        name: np.round(1000 + 10_000 * level + random.normal(0, 3, (SIDES.get(name, 120),) * 2)).astype(
            np.uint16
        )
        for name, level in zip(names, levels, strict=True)
    }
    verify_pixels(open_scene(make_safe(masks="none", numbers=numbers)))


def test_a_scene_without_a_single_pixel_is_refused(make_safe: Make) -> None:
    names = {"B01": 40, "B02": 240, "B05": 120}
    numbers = {name: np.zeros((side, side), np.uint16) for name, side in names.items()}
    with pytest.raises(DataError, match="B01 B02 B05") as caught:
        verify_pixels(open_scene(make_safe(masks="none", numbers=numbers)))
    assert caught.value.reason is Reason.ALL_NODATA


def test_a_scene_with_a_few_pixels_is_left_alone(make_safe: Make) -> None:
    numbers = {}
    for name, image in scene_of(0.3, seed=3, spread=0.0).items():
        empty = np.zeros_like(image)
        empty[-3:, -2:] = image[-3:, -2:]
        numbers[name] = empty
    verify_pixels(open_scene(make_safe(masks="none", numbers=numbers)))


def test_landsat_below_zero_is_found(make_landsat: Make) -> None:
    assert reason_of(make_landsat(REFLECTANCE_ADD_BAND_7="-0.300000")) is Reason.OFFSET_CONTRADICTED


def test_a_scene_without_bands_passes(make_safe: Make) -> None:
    root = make_safe(masks="none")
    for path in root.glob("GRANULE/*/IMG_DATA/*.jp2"):
        path.unlink()
    verify_pixels(open_scene(root))


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("band", "published"),
    # optical depth at sea level, Bodhaine et al. 1999, J. Atmos. Oceanic Technol. 16, table 3 (interpolated)
    [("B2", 0.166), ("B3", 0.0885), ("B4", 0.0474)],
)
def test_the_air_alone_is_as_bright_as_published_depths_say(band: str, published: float) -> None:
    down = Angles(*(np.zeros((2, 2), np.float32) for _ in range(2)), {}, {})
    nadir = {band: np.zeros((2, 2), np.float32)}
    angles = Angles(down.sun_zenith, down.sun_azimuth, nadir, nadir)
    # sun and sensor at the zenith: phase function 1.5, path = 1.5 / 8 * (1 - exp(-2 depth))
    expected = 1.5 / 8 * (1 - np.exp(-2 * published))
    assert rayleigh_path(SENSORS["L8"].band(band), angles) == pytest.approx(expected, rel=0.02)


def test_the_air_is_brighter_towards_the_blue_and_the_horizon() -> None:
    sensor = SENSORS["S2A"]
    view = {band.name: np.full((2, 2), 5.0, np.float32) for band in sensor.bands}

    def path(name: str, sun: float) -> float:
        zenith, azimuth = np.full((2, 2), sun, np.float32), np.full((2, 2), 150.0, np.float32)
        return rayleigh_path(sensor.band(name), Angles(zenith, azimuth, view, view))

    assert path("B01", 30) > path("B02", 30) > path("B03", 30) > path("B04", 30) > 0
    assert path("B02", 70) > path("B02", 50) > path("B02", 30)

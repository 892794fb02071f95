"""The emulator's clear air against sasktran2, a code 6S has nothing in common with (data/crosscheck.csv)."""

import csv
from pathlib import Path

import numpy as np
import pytest

from undersky.atmosphere.emulator import Emulator
from undersky.atmosphere.state import AtmosphereState, Geometry, pressure_at

pytestmark = pytest.mark.oracle

TABLE = Path(__file__).with_name("data") / "crosscheck.csv"


@pytest.fixture(scope="module")
def pairs() -> dict[str, np.ndarray]:
    """Emulator and sasktran2 side by side, (case, 2) per quantity."""
    found: dict[str, list] = {"path": [], "transmittance": [], "spherical_albedo": []}
    with TABLE.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            pressure = pressure_at(float(row["altitude_km"]))
            state = AtmosphereState(*(np.float32(v) for v in (0.0, 0.0, 300.0, pressure)), np.ones(5))
            angles = (np.float32(row[name]) for name in ("sun_zenith", "view_zenith", "relative_azimuth"))
            clear = Emulator.load(row["sensor"], (row["band"],))(state, Geometry(*angles))
            for name, values in found.items():
                values.append((float(getattr(clear, name)[0]), float(row[name])))
    return {name: np.array(values) for name, values in found.items()}


def test_twenty_cases_were_solved(pairs: dict[str, np.ndarray]) -> None:
    assert all(values.shape == (20, 2) for values in pairs.values())
    assert all(np.isfinite(values).all() for values in pairs.values())


def test_rayleigh_path_agrees_within_three_quarters_of_a_percent(pairs: dict[str, np.ndarray]) -> None:
    ours, theirs = pairs["path"].T
    assert np.abs(ours / theirs - 1.0).max() <= 0.0075


def test_transmittance_agrees_within_a_sixth_of_a_percent(pairs: dict[str, np.ndarray]) -> None:
    ours, theirs = pairs["transmittance"].T
    assert np.abs(ours / theirs - 1.0).max() <= 0.0017


def test_spherical_albedo_agrees_within_eight_ten_thousandths(pairs: dict[str, np.ndarray]) -> None:
    ours, theirs = pairs["spherical_albedo"].T
    assert np.abs(ours - theirs).max() <= 0.0008


def test_the_azimuth_is_counted_the_right_way_round(pairs: dict[str, np.ndarray]) -> None:
    # turned by 180 degrees, the path would be wrong by more than one percent in many cases
    ours, theirs = pairs["path"].T
    assert np.abs(ours / theirs - 1.0).mean() <= 0.005

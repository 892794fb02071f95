"""Forecast files of a granule: what every message says, in which unit, for which moment."""

import dataclasses
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.io import MemoryFile

from undersky.grid import resample_nodes
from undersky.scene import AtmospherePrior
from undersky.synth.safe_names import SafeNames
from undersky.synth.safe_priors import NODES, cams_grib, ecmwf_grib

TAKEN = datetime(2025, 6, 13, 10, 15, 42, 120_000, tzinfo=UTC)
NAMES = SafeNames("S2A", "32TQM", TAKEN, "05.11")
OLD = SafeNames("S2A", "32TQM", TAKEN, "02.09")
SPECIES = {"black_carbon": 211, "dust": 209, "organic_matter": 210, "sea_salt": 208, "sulphate": 212}
NOTHING = AtmospherePrior("none")


def fields(content: bytes) -> tuple[list[str], np.ndarray]:
    with MemoryFile(content) as memory, memory.open(driver="GRIB") as raster:
        return [raster.tags(i)["GRIB_ELEMENT"] for i in raster.indexes], raster.read()


def valid_time(content: bytes) -> tuple[float, float]:
    with MemoryFile(content) as memory, memory.open(driver="GRIB") as raster:
        tags = raster.tags(1)
    return float(tags["GRIB_REF_TIME"].split()[0]), float(tags["GRIB_VALID_TIME"].split()[0])


@pytest.fixture(scope="module")
def grid(handmade):
    return handmade("S2A", size_m=3_600).grid


@pytest.mark.oracle
@settings(max_examples=12, deadline=None)
@given(rows=st.integers(2, 12), cols=st.integers(2, 12), seed=st.integers(0, 99))
def test_any_number_of_nodes_becomes_nine_by_nine_that_gdal_reads(rows, cols, seed, grid):
    water = np.random.default_rng(seed).uniform(0.5, 4.0, (rows, cols)).astype(np.float32)
    _, read = fields(ecmwf_grib(AtmospherePrior("p", water_vapour=water), NAMES, grid=grid))
    assert read.shape[1:] == (NODES, NODES)
    np.testing.assert_allclose(read[0] / 10, resample_nodes(water, (NODES, NODES)), atol=2e-4)


@pytest.mark.oracle
@pytest.mark.parametrize("corner", [(0, 0), (0, -1), (-1, 0), (-1, -1)])
def test_north_is_up_and_west_is_left(corner, grid):
    ozone = np.array([[300.0, 310.0], [320.0, 330.0]], np.float32)
    _, read = fields(ecmwf_grib(AtmospherePrior("p", ozone_dobson=ozone), NAMES, grid=grid))
    assert read[2][corner] / 2.1415e-5 == pytest.approx(ozone[corner], abs=0.01)


@pytest.mark.oracle
def test_units_are_those_of_ecmwf(grid):
    prior = AtmospherePrior(
        "p",
        water_vapour=np.full((2, 2), 2.5, np.float32),
        ozone_dobson=np.full((2, 2), 300.0, np.float32),
        sea_level_pressure_hpa=np.full((2, 2), 1008.0, np.float32),
    )
    elements, read = fields(ecmwf_grib(prior, NAMES, grid=grid))
    assert [element.split()[0] for element in elements[:3]] == ["PWC", "MSL", "TCO3"]
    assert read[0, 4, 4] == pytest.approx(25.0, rel=1e-5)  # kg/m2
    assert read[1, 4, 4] == pytest.approx(100_800.0, rel=1e-6)  # Pa
    assert read[2, 4, 4] == pytest.approx(300 * 2.1415e-5, rel=1e-4)  # kg/m2


@pytest.mark.oracle
def test_the_height_of_the_models_ground_is_a_geopotential(grid):
    heights = np.array([[0.0, 1000.0], [2000.0, 3000.0]], np.float32)
    elements, read = fields(cams_grib(AtmospherePrior("p", altitude_m=heights), NAMES, grid=grid))
    assert elements[0].split()[0] == "Z"
    np.testing.assert_allclose(read[0] / 9.80665, resample_nodes(heights, (NODES, NODES)), atol=0.1)


@pytest.mark.oracle
def test_what_is_not_known_is_a_plausible_constant(grid):
    _, weather = fields(ecmwf_grib(NOTHING, NAMES, grid=grid))
    _, aerosol = fields(cams_grib(NOTHING, NAMES, grid=grid))
    for field in (*weather, *aerosol):
        assert np.ptp(field) <= 1e-5 * np.abs(field).max() + 1e-9
    assert weather[:3, 0, 0].tolist() == pytest.approx([20.0, 101_300.0, 310 * 2.1415e-5], rel=1e-4)
    assert aerosol[2, 0, 0] == pytest.approx(0.12, rel=1e-4)


@pytest.mark.oracle
@pytest.mark.parametrize(("names", "count"), [(NAMES, 6), (OLD, 3)])
def test_wind_and_humidity_come_with_baseline_04(names, count, grid):
    elements, _ = fields(ecmwf_grib(NOTHING, names, grid=grid))
    assert len(elements) == count


@pytest.mark.oracle
@settings(max_examples=10, deadline=None)
@given(aot=st.floats(0.02, 1.2))
def test_aerosol_thins_towards_longer_waves_by_angstroms_law(aot, grid):
    prior = AtmospherePrior("p", aot_550=np.full((3, 3), aot, np.float32))
    _, read = fields(cams_grib(prior, NAMES, grid=grid))
    for index, wavelength in enumerate((469.0, 550.0, 670.0, 865.0, 1240.0), start=1):
        np.testing.assert_allclose(read[index], aot * (550 / wavelength) ** 1.3, rtol=1e-3)


@pytest.mark.oracle
def test_each_species_stands_under_its_own_parameter(grid):
    thickness = {name: np.full((2, 2), 0.01 * (n + 1), np.float32) for n, name in enumerate(SPECIES)}
    prior = AtmospherePrior("p", aot_550=np.full((2, 2), 0.15, np.float32), aot_550_by_species=thickness)
    elements, read = fields(cams_grib(prior, NAMES, grid=grid))
    for name, number in SPECIES.items():
        (index,) = [i for i, element in enumerate(elements) if f"var{number} of table 210" in element]
        np.testing.assert_allclose(read[index], thickness[name][0, 0], rtol=1e-4)


@pytest.mark.oracle
def test_a_species_that_the_forecast_lacks_is_not_there_at_all(grid):
    prior = AtmospherePrior(
        "p",
        aot_550=np.full((2, 2), 0.3, np.float32),
        aot_550_by_species={"dust": np.full((2, 2), 0.3, np.float32)},
    )
    elements, read = fields(cams_grib(prior, NAMES, grid=grid))
    values = dict(zip(elements, read[:, 0, 0], strict=True))
    for name, number in SPECIES.items():
        (value,) = [value for element, value in values.items() if f"var{number} of" in element]
        assert value == pytest.approx(0.3 if name == "dust" else 0.0, abs=1e-5)


@pytest.mark.oracle
@settings(max_examples=20, deadline=None)
@given(st.integers(0, 86_399), st.integers(0, 3_000))
def test_a_forecast_begins_at_noon_or_midnight_at_least_half_a_day_before_the_moment_it_speaks_of(
    grid, second, day
):
    acquired = datetime(2018, 1, 1, tzinfo=UTC) + timedelta(days=day, seconds=second)
    names = dataclasses.replace(OLD, acquired=acquired)
    reference, valid = valid_time(ecmwf_grib(NOTHING, names, grid=grid))
    begun = datetime.fromtimestamp(reference, tz=UTC)
    assert (begun.hour % 12, begun.minute, begun.second) == (0, 0, 0)
    assert timedelta(hours=12) <= acquired - begun < timedelta(hours=24)
    assert abs(valid - acquired.timestamp()) <= 30

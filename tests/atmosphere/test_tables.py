"""The shipped tables: their shapes, their file, and the digest that names them."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import undersky.atmosphere
from undersky.atmosphere import features, fit
from undersky.atmosphere.responses import band_weights, responses
from undersky.atmosphere.samples import load_samples
from undersky.atmosphere.shipped import tables_digest
from undersky.atmosphere.state import AEROSOL_MODELS
from undersky.atmosphere.tables import Tables, load_tables, save_tables
from undersky.bands import SENSORS
from undersky.errors import ConfigError

DATA = Path(undersky.atmosphere.__file__).with_name("data")
POWERS_OF = {
    "rayleigh_path": "powers_rayleigh_path",
    "aerosol_path": "powers_path",
    "rayleigh_slope": "powers_rayleigh_slope",
    "aerosol_slope": "powers_slope",
    "rayleigh_albedo": "powers_rayleigh_albedo",
    "aerosol_albedo_change": "powers_albedo",
    "gas": "powers_gas",
}
everywhere = pytest.mark.parametrize("sensor", sorted(SENSORS))


@everywhere
def test_every_table_has_a_row_per_band_and_a_column_per_term(sensor: str) -> None:
    bands, tables = load_tables(sensor)
    models = len(AEROSOL_MODELS)
    assert tables.aerosol_depth.shape == tables.aerosol_albedo.shape == (models, len(bands))
    assert tables.log_phase.shape == (len(bands), models, len(features.PHASE_ANGLES))
    for name, powers in POWERS_OF.items():
        shape = getattr(tables, name).shape
        assert shape[0] == len(bands), name
        assert shape[-1] == len(getattr(tables, powers)), name


@everywhere
def test_shipped_numbers_are_finite_and_multi_indices_whole(sensor: str) -> None:
    _, tables = load_tables(sensor)
    for name in Tables.__slots__:
        value = getattr(tables, name)
        assert value.dtype == (torch.int64 if name.startswith("powers") else torch.float32), name
        assert bool(torch.isfinite(value).all()), name


@everywhere
def test_shipped_multi_indices_are_those_of_the_fit_and_none_is_twice(sensor: str) -> None:
    _, tables = load_tables(sensor)
    for name, powers in fit.POWERS.items():
        shipped = getattr(tables, name)
        assert torch.equal(shipped, powers), name
        assert len({tuple(row) for row in shipped.tolist()}) == len(shipped)


@pytest.mark.oracle
@everywhere
def test_air_is_as_deep_as_its_published_formula(sensor: str) -> None:
    _, tables = load_tables(sensor)
    # Hansen and Travis 1974, equation 2.30, at 1013.25 hPa, integrated over each response
    for band, response in enumerate(responses(sensor)):
        um = response.wavelength_um
        published = 0.008569 * um**-4 * (1 + 0.0113 * um**-2 + 0.00013 * um**-4) @ band_weights(response)
        assert float(tables.rayleigh_depth[band]) == pytest.approx(published, rel=0.02), response.band


@everywhere
def test_single_scattering_albedos_and_phase_functions_are_physical(sensor: str) -> None:
    _, tables = load_tables(sensor)
    assert bool(((tables.aerosol_albedo > 0.0) & (tables.aerosol_albedo <= 1.0)).all())
    phase = torch.exp(tables.log_phase)
    # backward of 88 degrees lies less than half the sphere's scattering: the mean over it is below one
    weight = np.sin(np.radians(features.PHASE_ANGLES))
    mean = (phase.numpy() * weight).sum(-1) / weight.sum()
    assert mean.max() < 1.0
    assert mean.min() > 0.02


def test_every_value_survives_the_file_and_a_second_load(tmp_path: Path) -> None:
    bands, tables = load_tables("L9")
    save_tables(tmp_path / "L9.npz", tables, bands=bands)
    with np.load(tmp_path / "L9.npz") as again, np.load(DATA / "emulator" / "L9.npz") as shipped:
        assert set(again.files) == set(shipped.files) == {*Tables.__slots__, "bands"}
        for name in again.files:
            assert np.array_equal(again[name], shipped[name]), name


def test_double_tables_are_written_as_the_float32_that_is_read(tmp_path: Path) -> None:
    bands, tables = load_tables("L8")
    third = replace(tables, forward=torch.full((5,), 1 / 3, dtype=torch.float64))
    save_tables(tmp_path / "L8.npz", third, bands=bands)
    with np.load(tmp_path / "L8.npz") as stored:
        assert stored["forward"].dtype == np.float32
        assert stored["forward"] == pytest.approx(np.float32(1 / 3), abs=0)


@pytest.mark.faults
@pytest.mark.parametrize("sensor", ["", "s2a", "S2A.npz", "S2D", "../../etc"])
def test_a_name_that_is_no_sensor_is_refused(sensor: str) -> None:
    with pytest.raises(ConfigError, match="no emulator"):
        load_tables(sensor)


def test_the_digest_names_every_sensor_and_every_byte() -> None:
    digest = hashlib.sha256()
    for sensor in sorted(SENSORS):
        name = f"{sensor}.npz"
        content = (DATA / "emulator" / name).read_bytes()
        digest.update(name.encode())
        digest.update(hashlib.sha256(content).digest())
    assert tables_digest() == digest.hexdigest()


@pytest.mark.oracle
def test_shipped_depths_are_the_samples_optics_at_550_nm() -> None:
    # B03 of Sentinel-2 is centred at 560 nm: depth relative to 550 is just below one for every model
    _, _, optics = load_samples()
    bands, tables = load_tables("S2A")
    green = tables.aerosol_depth[:, bands.index("B03")].numpy()
    assert green.max() < 1.0
    assert green.min() > 0.95
    red = tables.aerosol_depth[:, bands.index("B04")].numpy()
    assert np.argsort(red).tolist() == np.argsort(optics.extinction[:, 7]).tolist()

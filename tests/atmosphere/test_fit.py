import numpy as np
import pytest
import torch

from undersky.atmosphere import features, fit
from undersky.atmosphere.emulator import Emulator
from undersky.atmosphere.responses import responses
from undersky.atmosphere.samples import load_samples
from undersky.atmosphere.sixs import MODELS
from undersky.atmosphere.tables import load_tables, save_tables
from undersky.errors import ConfigError

FLAT = fit.Prior(decay=(1.0,), scale=10.0, noise=1e-6)


def test_the_solver_finds_a_polynomial_exactly() -> None:
    x = torch.linspace(-1, 1, 50, dtype=torch.float64)
    powers = features.exponents((3,), 1.0)
    truth = torch.tensor([0.3, -0.2, 0.1, 0.05], dtype=torch.float64)
    columns = features.basis([x], powers)
    found = fit.solve(columns, truth @ columns, torch.ones_like(x), powers=powers, prior=FLAT)
    assert found.tolist() == pytest.approx(truth.tolist(), abs=1e-8)


def test_without_samples_the_prior_speaks() -> None:
    powers = features.exponents((3,), 1.0)
    columns = torch.ones(4, 1, dtype=torch.float64)
    tight = fit.Prior(decay=(0.1,), scale=1.0, noise=1e-3)
    found = fit.solve(
        columns,
        torch.ones(1, dtype=torch.float64),
        torch.ones(1, dtype=torch.float64),
        powers=powers,
        prior=tight,
    )
    assert found[0] > 0.9
    assert found[3].abs() < 1e-4


def test_terms_below_the_noise_are_left_out() -> None:
    wide = features.exponents((8, 8, 4, 2, 4), 1.0)
    kept = fit.POWERS["powers_path"]
    assert len(kept) < len(wide)
    assert [0, 0, 0, 0, 0] in kept.tolist()


@pytest.fixture(scope="module")
def one_band() -> tuple:
    samples, gases, optics = load_samples()
    response = next(r for r in responses("L8") if r.band == "B4")
    inputs = fit.states(samples)
    values = fit.band_samples(response, samples, gases, optics=optics)
    return (response, samples, gases, optics), inputs, values


@pytest.mark.oracle
def test_samples_are_balanced_and_physical(one_band: tuple) -> None:
    _, inputs, values = one_band
    counts = [int((inputs.model == model).sum()) for model in range(-1, len(MODELS))]
    assert min(counts) >= 300
    # 6S prints NaN in the infrared of a few nearly clean desert cases
    assert max(counts[1:]) - min(counts[1:]) <= 20
    assert bool(((values.path > 0) & (values.path < 1)).all())
    assert bool(((values.transmittance > 0) & (values.transmittance <= 1.001)).all())


@pytest.mark.oracle
def test_a_fit_predicts_samples_it_has_not_seen(one_band: tuple) -> None:
    (response, _, gases, optics), inputs, values = one_band
    tables = fit.skeleton((response,), optics)
    hidden = torch.arange(len(inputs.model)) % 6 == 0
    fit.fit_band(tables, 0, values=values, inputs=inputs, used=~hidden)
    fit.fit_gas(tables, 0, values=values, gases=gases)
    for model in range(len(MODELS)):
        chosen = hidden & (inputs.model == model)
        wrong = fit.path_errors(tables, 0, model, values=values, inputs=inputs, chosen=chosen)
        assert wrong.pow(2).mean().sqrt() < 0.0006


@pytest.mark.oracle
def test_shipped_tables_are_what_the_fit_makes(one_band: tuple) -> None:
    (response, _, gases, optics), inputs, values = one_band
    tables = fit.skeleton((response,), optics)
    fit.fit_band(
        tables, 0, values=values, inputs=inputs, used=torch.ones_like(inputs.model, dtype=torch.bool)
    )
    fit.fit_gas(tables, 0, values=values, gases=gases)
    bands, shipped = load_tables("L8")
    row = bands.index("B4")
    assert shipped.aerosol_path[row].numpy() == pytest.approx(tables.aerosol_path[0].numpy(), abs=1e-4)
    assert shipped.gas[row].numpy() == pytest.approx(tables.gas[0].numpy(), abs=1e-4)


def test_tables_survive_their_file(tmp_path) -> None:
    bands, tables = load_tables("S2A")
    save_tables(tmp_path / "S2A.npz", tables, bands=bands)
    with np.load(tmp_path / "S2A.npz") as stored:
        assert tuple(stored["bands"]) == bands
        assert stored["powers_path"].dtype == np.int8
        assert stored["aerosol_path"] == pytest.approx(tables.aerosol_path.numpy())


def test_unknown_tables_are_refused() -> None:
    with pytest.raises(ConfigError, match="L5"):
        load_tables("L5")


def test_an_emulator_moves_between_devices() -> None:
    emulator = Emulator.load("L9").to(torch.device("cpu"))
    assert emulator.bands[0] == "B1"

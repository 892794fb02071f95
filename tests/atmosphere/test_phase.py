import pytest
import torch

from undersky.atmosphere import features, fit
from undersky.atmosphere.coefficients import path_baseline
from undersky.atmosphere.phase import ThinLayer, sharpen
from undersky.atmosphere.responses import responses
from undersky.atmosphere.samples import load_samples
from undersky.atmosphere.state import AtmosphereState

SUNS = torch.cat([torch.arange(31.0), torch.arange(32.0, 61.0, 2.0)]).double()


@pytest.fixture
def tables():
    """One band without any polynomial: its path is single scattering and nothing else."""
    _, _, optics = load_samples()
    return fit.skeleton((responses("S2A")[1],), optics)


def thin_path(tables) -> torch.Tensor:
    nothing = torch.zeros_like(SUNS)
    state = AtmosphereState(nothing + 0.25, nothing, nothing, nothing + 1013.0, nothing)
    (air, added), _ = path_baseline(tables, 0, view=features.sight(SUNS, nothing, nothing), state=state)
    return air + added


def test_a_path_that_fits_leaves_the_phase_function_alone(tables) -> None:
    before = tables.log_phase.clone()
    sharpen(tables, 0, ThinLayer(SUNS, 0.25, thin_path(tables)))
    assert tables.log_phase[0].numpy() == pytest.approx(before[0].numpy(), abs=1e-6)


def test_a_ripple_in_the_path_goes_into_the_phase_function(tables) -> None:
    smooth = tables.log_phase.clone()
    bump = torch.exp(-(((torch.from_numpy(features.PHASE_ANGLES) - 165.0) / 1.5) ** 2))
    tables.log_phase[0] = torch.log(torch.exp(smooth[0]) * (1.0 + 0.2 * bump))
    path, rippled = thin_path(tables), tables.log_phase.clone()
    tables.log_phase[0] = smooth[0]
    sharpen(tables, 0, ThinLayer(SUNS, 0.25, path))
    # what a parabola through all suns can follow stays with the polynomials
    assert tables.log_phase[0].numpy() == pytest.approx(rippled[0].numpy(), abs=0.03)


def test_angles_no_sun_reached_keep_their_phase_function(tables) -> None:
    before = tables.log_phase.clone()
    sharpen(tables, 0, ThinLayer(SUNS, 0.25, thin_path(tables) * 1.1))
    unseen = torch.from_numpy(features.PHASE_ANGLES) < 119.0
    assert torch.equal(tables.log_phase[0][:, unseen], before[0][:, unseen])

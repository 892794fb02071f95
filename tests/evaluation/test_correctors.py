"""The model under test walks the path of `undersky correct`, and what it states is what the fields say."""

import numpy as np
import pytest
from scenes import observation

from undersky.atmosphere.inversion import InversionFields
from undersky.datasets.observation import as_scene
from undersky.datasets.suites import load_suite, render
from undersky.errors import DataError, Reason
from undersky.evaluation.correctors import ModelCorrector, fields_at_pixels
from undersky.evaluation.metrics import tally

PHYSICS = ModelCorrector("physics", "physics")


@pytest.fixture(scope="module")
def clear_scene():
    """A scene of the suite whose aerosol is near the fixed one, so that physics must do well."""
    scenes = load_suite("direct-6s").scenes
    return min(
        (
            scene
            for scene in scenes
            if scene.design.case.aerosol == "continental" and scene.design.sensor == "S2A"
        ),
        key=lambda scene: abs(scene.design.case.aot_550 - 0.1),
    )


def test_physics_finds_the_surface_where_its_assumption_holds(clear_scene):
    seen, truth = render(clear_scene)
    found = PHYSICS.correct(seen)
    for index, band in enumerate(seen.sensor.corrected_bands):
        if band.role == "surface":
            part = tally(found.surface[index], truth.surface[index], sigma=found.sigma[index])
            assert part.in_spec_percent > 90.0, band.name
            assert abs(part.bias) < 0.004, band.name


def test_physics_states_an_uncertainty_that_covers_its_error_there(clear_scene):
    seen, truth = render(clear_scene)
    found = PHYSICS.correct(seen)
    assert found.sigma is not None
    assert (found.sigma > 0).all()
    assert (np.abs(found.surface - truth.surface) <= 2 * found.sigma).mean() > 0.9


def test_physics_reads_the_water_vapour_off_b09(clear_scene):
    seen, truth = render(clear_scene)
    assert PHYSICS.correct(seen).water_vapour == pytest.approx(truth.water_vapour, rel=0.08)


def test_physics_states_the_fixed_aerosol(clear_scene):
    assert PHYSICS.correct(render(clear_scene)[0]).aot_550 == pytest.approx(0.1, abs=1e-5)


def test_a_subset_of_bands_is_corrected_like_all_of_them():
    everything = observation("L8")
    rows = [1, 2, 3, 4, 5, 6]
    names = tuple(everything.bands[row] for row in rows)
    part = observation("L8", bands=names, toa=everything.toa[rows])
    assert np.allclose(PHYSICS.correct(part).surface, PHYSICS.correct(everything).surface[rows], atol=1e-6)


def test_altitude_changes_the_result():
    low, high = (observation("L8", altitude_km=altitude) for altitude in (0.0, 2.0))
    darker, brighter = (PHYSICS.correct(seen).surface[0].mean() for seen in (low, high))
    assert brighter > darker + 0.005


def test_nodata_stays_nodata_and_spreads_nowhere():
    seen = observation()
    seen.toa[:, 2:4, 2:4] = np.nan
    found = PHYSICS.correct(seen)
    assert found.sigma is not None
    for layer in (found.surface, found.sigma):
        assert np.isnan(layer[:, 2:4, 2:4]).all()
        assert np.isnan(layer).sum() == 12 * 4


def test_coarse_fields_meet_the_pixels_in_the_observations_order():
    seen = observation(bands=("B03", "B8A"))
    scene = as_scene(seen)
    values = np.arange(12, dtype=np.float32)[:, None, None] * np.ones((12, 2, 2), dtype=np.float32)
    found = fields_at_pixels(InversionFields(*(values + 100 * i for i in range(6))), scene, bands=seen.bands)
    assert found.gain.shape == (2, 8, 8)
    assert np.allclose(found.gain[:, 0, 0], [2, 8])
    assert np.allclose(found.q2[:, 5, 5], [502, 508])


@pytest.mark.faults
def test_a_folder_that_is_no_model_is_refused(tmp_path):
    with pytest.raises(DataError) as refused:
        ModelCorrector("mine", tmp_path).correct(observation())
    assert refused.value.reason is Reason.MODEL_REFUSED

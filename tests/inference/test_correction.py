import json
from pathlib import Path

import numpy as np
import pytest

from undersky.atmosphere import tables
from undersky.atmosphere.emulator import Emulator
from undersky.atmosphere.inversion import apply_atmosphere, remove_with_fields, sigma_with_fields
from undersky.atmosphere.state import AEROSOL_MODELS
from undersky.errors import ConfigError, DataError, Reason
from undersky.inference.correction import CorrectionOptions, open_estimator
from undersky.inference.ground import GroundOptions
from undersky.inference.nodes import node_geometry, stated
from undersky.scene import AtmospherePrior

GROUND = {"coastal": 0.04, "blue": 0.05, "green": 0.09, "red": 0.07}  # by common name; elsewhere:
BRIGHT = 0.30
NODES = (2, 2)
TRUTH = {
    "format": "undersky-atmosphere-state/1",
    "aot_550": 0.22,
    "water_vapour_g_cm2": 1.7,
    "ozone_dobson": 330,
    "pressure_hpa": 960,
    "aerosol": {"continental": 0.6, "desert": 0.4},
}


def ground_of(bands):
    return np.stack([np.full(NODES, GROUND.get(band.common_name, BRIGHT)) for band in bands])


@pytest.fixture
def truth(tmp_path):
    path = tmp_path / "state.json"
    path.write_text(json.dumps(TRUTH))
    return path


@pytest.fixture
def seen(make_scene, truth):
    """A scene of uniform ground under the true atmosphere, as the emulator sees it."""

    def look(sensor="S2A", prior=None):
        empty = make_scene({}, sensor=sensor)
        names = tuple(band.name for band in empty.sensor.bands)
        state = stated(truth, NODES).state
        coefficients = Emulator.load(sensor)(state, node_geometry(empty.angles, names, NODES))
        toa = apply_atmosphere(ground_of(empty.sensor.bands), coefficients)
        values = {name: float(band.mean()) for name, band in zip(names, toa, strict=True)}
        return make_scene(values, sensor=sensor, prior=prior)

    return look


def estimate_of(scene, model="physics", **options):
    estimator = open_estimator(CorrectionOptions(model=model, **options))
    return estimator.estimate(scene, estimator.mask(scene))


def surface_of(scene, found):
    toa = np.stack([scene.bands[band.name].values[:2, :2] for band in scene.sensor.corrected_bands])
    rho = remove_with_fields(toa, found.fields)
    error = abs(rho - ground_of(scene.sensor.corrected_bands))
    return error, sigma_with_fields(rho, found.fields)


@pytest.mark.parametrize("sensor", ["S2A", "S2B", "S2C", "L8", "L9"])
def test_the_true_state_gives_the_true_ground(seen, truth, sensor):
    scene = seen(sensor)
    error, _ = surface_of(scene, estimate_of(scene, state=truth))
    assert (error <= 0.001 + 0.005 * ground_of(scene.sensor.corrected_bands)).all()


def test_a_stated_truth_leaves_only_the_sensors_own_error(seen, truth):
    scene = seen()
    _, exact = surface_of(scene, estimate_of(scene, state=truth))
    _, wide = surface_of(scene, estimate_of(scene))
    assert (exact > 0).all()
    assert (exact < wide).all()


@pytest.mark.parametrize("sensor", ["S2A", "L8"])
def test_without_help_the_ground_is_found_within_the_stated_error(seen, sensor):
    scene = seen(sensor)
    error, sigma = surface_of(scene, estimate_of(scene))
    assert (error <= 2 * sigma).all()


def test_water_vapour_is_read_off_the_scene(seen):
    found = estimate_of(seen(), ground=GroundOptions(altitude_m=450))
    assert found.sources["water_vapour"] == "retrieved"
    np.testing.assert_allclose(found.water_vapour, TRUTH["water_vapour_g_cm2"], atol=0.15)


def test_landsat_has_no_water_vapour_band_and_says_climatology(seen):
    assert estimate_of(seen("L9")).sources["water_vapour"] == "climatology"


def test_a_cams_prior_brings_the_state_closer(seen):
    def field(value):
        return np.full((2, 2), value, dtype=np.float32)

    species = {"dust": field(0.09), "sulphate": field(0.13)}
    prior = AtmospherePrior("AUX_CAMSFO", aot_550=field(0.22), aot_550_by_species=species)
    alone, helped = (seen(prior=p) for p in (None, prior))
    errors = [surface_of(s, estimate_of(s))[0][:4].max() for s in (alone, helped)]
    assert errors[1] < 0.5 * errors[0]


def test_inside_the_tables_nothing_is_flagged(seen, truth):
    found = estimate_of(seen(), state=truth)
    assert not found.outside.any()
    assert not found.fallback.any()


def test_a_state_beyond_the_tables_is_flagged(seen, tmp_path):
    path = tmp_path / "thick.json"
    path.write_text(json.dumps(TRUTH | {"aot_550": 1.9}))
    assert estimate_of(seen(), state=path).outside.all()


def test_a_state_on_other_nodes_is_interpolated(truth, tmp_path):
    path = tmp_path / "slope.json"
    path.write_text(json.dumps(TRUTH | {"aot_550": [[0.1, 0.3], [0.1, 0.3]]}))
    np.testing.assert_allclose(stated(path, (3, 5)).state.aot_550[1], [0.1, 0.15, 0.2, 0.25, 0.3], rtol=1e-5)


def test_shares_come_in_the_order_of_the_aerosol_axis(truth):
    shares = stated(truth, NODES).state.aerosol_fractions[:, 0, 0]
    assert dict(zip(AEROSOL_MODELS, shares, strict=True))["desert"] == pytest.approx(0.4)


def test_parameters_name_files_by_their_content(truth, tmp_path):
    copy = tmp_path / "copy.json"
    copy.write_bytes(truth.read_bytes())
    first, second = (open_estimator(CorrectionOptions(state=path)).parameters for path in (truth, copy))
    assert first == second
    assert "state" in first
    altitude = open_estimator(CorrectionOptions(ground=GroundOptions(altitude_m=5.0))).parameters
    assert altitude["altitude_m"] == 5.0


def learned_baseline():
    return open_estimator(CorrectionOptions(model="physics")).model.digest


def test_parameters_change_with_the_tables_of_physics():
    parameters = open_estimator(CorrectionOptions(model="physics")).parameters
    assert set(parameters) == {"tables", "inference", "quality"}
    assert parameters["quality"] == "thresholds"
    learned = open_estimator(CorrectionOptions())
    assert learned.parameters == parameters | {"baseline": learned_baseline()}
    folder = Path(tables.__file__).parent / "data" / "emulator"
    names = {path.name for path in folder.iterdir()}
    assert names == {f"{sensor}.npz" for sensor in ("S2A", "S2B", "S2C", "L8", "L9")}
    assert len(str(parameters["tables"])) == 64


def test_a_missing_state_file_is_refused_before_any_scene_is_opened(tmp_path):
    with pytest.raises(ConfigError, match=r"gone\.json cannot be read"):
        open_estimator(CorrectionOptions(state=tmp_path / "gone.json"))


def test_a_folder_that_is_no_package_is_refused(tmp_path):
    with pytest.raises(DataError) as caught:
        open_estimator(CorrectionOptions(model=tmp_path))
    assert caught.value.reason is Reason.MODEL_REFUSED


def test_relative_azimuth_is_interpolated_as_a_direction(make_scene):
    angles = make_scene({}).angles
    geometry = node_geometry(angles, ("B02",), (4, 4))
    np.testing.assert_allclose(geometry.relative_azimuth, 50.0, rtol=1e-5)
    assert geometry.view_zenith.shape == (1, 4, 4)

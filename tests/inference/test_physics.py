import numpy as np
import pytest

from undersky.atmosphere.state import AEROSOL_MODELS, pressure_at
from undersky.inference.ground import Ground
from undersky.inference.physics import believe, centre_latitude
from undersky.models.physics import PhysicsConfig, PhysicsModel, standard_climatology
from undersky.scene import AtmospherePrior

MODEL = PhysicsModel(PhysicsConfig(), standard_climatology())
NODES = (3, 4)
SEA = Ground(np.zeros(NODES, dtype=np.float32), 30.0, "stated")


def field(value):
    return np.full((2, 2), value, dtype=np.float32)


def belief_of(scene, ground=SEA):
    return believe(scene, NODES, model=MODEL, ground=ground)


def test_without_a_prior_everything_is_fixed_or_climatology(make_scene):
    belief = belief_of(make_scene({}))
    expected = {
        "aerosol": "fixed",
        "water_vapour": "climatology",
        "ozone": "climatology",
        "altitude": "stated",
    }
    assert belief.sources == expected
    assert (belief.state.aot_550 == 0.1).all()
    water, _ = MODEL.climatology.at(centre_latitude(make_scene({}).grid), day_of_year=164)
    np.testing.assert_allclose(belief.state.water_vapour, water)


def test_every_field_has_the_shape_of_the_nodes(make_scene):
    prior = AtmospherePrior("AUX_CAMSFO", aot_550=field(0.3), water_vapour=field(2.0))
    for scene in (make_scene({}), make_scene({}, prior=prior)):
        belief = belief_of(scene)
        for value in (belief.state, belief.sigma):
            assert value.aot_550.shape == value.water_vapour.shape == NODES
            assert value.aerosol_fractions.shape == (5, *NODES)


def test_the_forecast_is_believed_more_firmly_than_the_climatology(make_scene):
    prior = AtmospherePrior("AUX_ECMWFT", water_vapour=field(2.4), ozone_dobson=field(320))
    with_prior, without = belief_of(make_scene({}, prior=prior)), belief_of(make_scene({}))
    np.testing.assert_allclose(with_prior.state.water_vapour, 2.4, rtol=1e-6)
    assert (with_prior.sigma.water_vapour < without.sigma.water_vapour).all()
    assert (with_prior.sigma.ozone_dobson < without.sigma.ozone_dobson).all()
    assert with_prior.sources["aerosol"] == "fixed"


def test_cams_species_become_shares_of_the_aerosol_models(make_scene):
    species = {"dust": field(0.15), "sea_salt": field(0.05), "black_carbon": field(0.0)}
    prior = AtmospherePrior("AUX_CAMSFO", aot_550=field(0.2), aot_550_by_species=species)
    shares = belief_of(make_scene({}, prior=prior)).state.aerosol_fractions
    np.testing.assert_allclose(shares.sum(axis=0), 1.0, rtol=1e-6)
    np.testing.assert_allclose(shares[AEROSOL_MODELS.index("desert")], 0.75, rtol=1e-5)
    np.testing.assert_allclose(shares[AEROSOL_MODELS.index("maritime")], 0.25, rtol=1e-5)


def test_a_prior_without_species_is_continental(make_scene):
    prior = AtmospherePrior("AUX_CAMSFO", aot_550=field(0.2))
    shares = belief_of(make_scene({}, prior=prior)).state.aerosol_fractions
    np.testing.assert_allclose(shares[AEROSOL_MODELS.index("continental")], 1.0)


def test_pressure_follows_height_and_the_forecasts_sea_level(make_scene):
    high = Ground(np.full(NODES, 1870.0, dtype=np.float32), 30.0, "stated")
    np.testing.assert_allclose(belief_of(make_scene({}), high).state.pressure_hpa, pressure_at(1.87))
    prior = AtmospherePrior("AUX_ECMWFT", sea_level_pressure_hpa=field(1030.0))
    pressure = belief_of(make_scene({}, prior=prior)).state.pressure_hpa
    np.testing.assert_allclose(pressure, 1030.0, rtol=1e-6)


def test_an_assumed_height_is_less_certain_than_a_stated_one(make_scene):
    assumed = Ground(np.full(NODES, 250.0, dtype=np.float32), 400.0, "assumed")
    loose, firm = belief_of(make_scene({}), assumed), belief_of(make_scene({}))
    assert (loose.sigma.pressure_hpa > 10 * firm.sigma.pressure_hpa).all()
    assert firm.sigma.pressure_hpa[0, 0] == pytest.approx(1013 * 30 / 8000, rel=1e-3)

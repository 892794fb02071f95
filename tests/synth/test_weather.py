"""The true atmosphere over a scene and the forecast of it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from undersky.atmosphere.state import AEROSOL_MODELS, LIMITS, pressure_at
from undersky.errors import ConfigError
from undersky.synth.weather import _SPECIES, Weather, _node_means, draw_state, forecast

FLAT = np.zeros((30, 30), np.float32)
QUICK = settings(max_examples=40, deadline=None)


def drawn(wanted: Weather | None = None, *, ground=FLAT, nodes=(3, 4), seed: int = 1):
    return draw_state(wanted or Weather(), ground, nodes=nodes, generator=np.random.default_rng(seed))


def foretold(seed: int, *, height_m: float = 0.0, wanted: Weather | None = None):
    ground = FLAT + np.float32(height_m)
    generator = np.random.default_rng(seed)
    state = draw_state(wanted or Weather(), ground, nodes=(4, 4), generator=generator)
    return state, forecast(state, ground, generator=generator)


# what is wanted -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        {"aot_550": -0.01},
        {"aot_550": 1.3},
        {"water_vapour": 6.5},
        {"water_vapour": -1.0},
        {"ozone_dobson": 100.0},
        {"ozone_dobson": 0.3},
        {"aot_550": float("nan")},
    ],
)
def test_weather_beyond_the_tables_is_refused_with_their_limits(values):
    (name,) = values
    with pytest.raises(ConfigError, match=f"{name}.*give {LIMITS[name][0]:g} to"):
        Weather(**values)


@pytest.mark.parametrize("name", ["aot_550", "water_vapour", "ozone_dobson"])
@pytest.mark.parametrize("end", [0, 1])
def test_the_limits_of_the_tables_themselves_may_be_wanted(name, end):
    wanted = Weather(**{name: LIMITS[name][end]}, uniform=True)
    np.testing.assert_allclose(getattr(drawn(wanted), name), LIMITS[name][end], atol=1e-12)


def test_air_without_aerosol_stays_without():
    assert not drawn(Weather(aot_550=0.0)).aot_550.any()


@QUICK
@given(st.floats(0.05, 1.0), st.floats(0.2, 5.0), st.floats(200, 480), st.integers(0, 99))
def test_what_is_wanted_is_the_mean_of_what_is_drawn(aot, water, ozone, seed):
    state = drawn(Weather(aot, water, ozone), nodes=(6, 6), seed=seed)
    assert state.aot_550.mean() == pytest.approx(aot, rel=0.2)
    assert state.water_vapour.mean() == pytest.approx(water, rel=0.06)
    np.testing.assert_array_equal(state.ozone_dobson, ozone)


@QUICK
@given(st.floats(0.05, 1.0), st.integers(0, 99))
def test_wanting_one_value_leaves_all_others_as_they_were_drawn(aot, seed):
    free, bound = drawn(seed=seed), drawn(Weather(aot_550=aot), seed=seed)
    for name in ("water_vapour", "ozone_dobson", "pressure_hpa", "aerosol_fractions"):
        np.testing.assert_array_equal(getattr(free, name), getattr(bound, name))


@QUICK
@given(st.dictionaries(st.sampled_from(AEROSOL_MODELS), st.floats(0.01, 50), min_size=1), st.integers(0, 99))
def test_wanted_shares_are_normalised_and_keep_their_proportions(aerosol, seed):
    shares = drawn(Weather(aerosol=aerosol), seed=seed).aerosol_fractions
    np.testing.assert_allclose(shares.sum(axis=0), 1)
    total = sum(aerosol.values())
    for model, share in zip(AEROSOL_MODELS, shares, strict=True):
        np.testing.assert_allclose(share, aerosol.get(model, 0.0) / total)


def test_uniform_aerosol_does_not_vary_and_other_aerosol_does():
    assert np.ptp(drawn(Weather(uniform=True), nodes=(8, 8)).aot_550) == 0
    varied = drawn(nodes=(8, 8)).aot_550
    assert 0.05 < np.ptp(varied) / varied.mean() < 0.55


# physics ------------------------------------------------------------------------------------------------


@pytest.mark.oracle
@pytest.mark.parametrize(("height_m", "standard_hpa"), [(1000, 898.8), (2000, 795.0), (3000, 701.2)])
def test_pressure_falls_as_in_the_us_standard_atmosphere(height_m, standard_hpa):
    pressures = [
        drawn(ground=FLAT + np.float32(height_m), seed=seed).pressure_hpa.mean() for seed in range(80)
    ]
    assert np.mean(pressures) == pytest.approx(standard_hpa, abs=2.0)
    assert 4 < np.std(pressures) < 8


@QUICK
@given(st.floats(0, 4000), st.floats(0, 4000), st.integers(0, 50))
def test_water_vapour_falls_exponentially_with_a_scale_of_2200_metres(one, other, seed):
    low, high = (drawn(ground=FLAT + np.float32(h), seed=seed).water_vapour for h in (one, other))
    np.testing.assert_allclose(high / low, np.exp((one - other) / 2200.0), rtol=1e-4)


@QUICK
@given(
    rows=st.integers(1, 9), cols=st.integers(1, 9), nodes=st.tuples(st.integers(2, 7), st.integers(2, 7)),
    height=st.floats(-300, 5000),
)  # fmt: skip
def test_flat_ground_of_any_size_gives_one_pressure_even_with_fewer_pixels_than_nodes(
    rows, cols, nodes, height
):
    state = drawn(ground=np.full((rows, cols), height, np.float32), nodes=nodes)
    assert state.pressure_hpa.shape == nodes
    assert np.isfinite(state.pressure_hpa).all()
    np.testing.assert_allclose(state.pressure_hpa, state.pressure_hpa[0, 0], rtol=1e-6)


@QUICK
@given(
    hnp.arrays(
        np.float32, st.tuples(st.integers(1, 40), st.integers(1, 40)), elements=st.floats(0, 100, width=32)
    ),
    st.integers(2, 6),
)
def test_node_means_never_leave_the_range_of_the_pixels(field, nodes):
    found = _node_means(field, (nodes, nodes))
    assert field.min() - 1e-4 <= found.min() <= found.max() <= field.max() + 1e-4


@QUICK
@given(st.integers(2, 6), st.integers(10, 60), st.integers(0, 100))
def test_node_means_are_linear_in_the_field(nodes, size, seed):
    rng = np.random.default_rng(seed)
    one, other = rng.random((2, size, size), dtype=np.float32)
    both = _node_means(2 * one + other, (nodes, nodes))
    apart = 2 * _node_means(one, (nodes, nodes)) + _node_means(other, (nodes, nodes))
    np.testing.assert_allclose(both, apart, atol=1e-4)


def test_a_node_stands_for_the_ground_around_it_and_not_beyond_half_way_to_the_next():
    field = np.zeros((60, 60), np.float32)
    field[:10, :10] = 7.0  # a corner's quarter cell of 4 x 4 nodes: 20 pixels apart
    means = _node_means(field, (4, 4))
    assert means[0, 0] == 7.0
    assert np.count_nonzero(means) == 1


def test_pressure_and_angles_stay_inside_the_tables_on_the_highest_ground():
    state = drawn(ground=FLAT + np.float32(8000))
    assert (state.pressure_hpa >= LIMITS["pressure_hpa"][0]).all()


# climatology --------------------------------------------------------------------------------------------


def test_drawn_columns_have_the_stated_medians_and_limits():
    states = [drawn(seed=seed) for seed in range(300)]
    water = np.array([state.water_vapour.mean() for state in states])
    ozone = np.array([state.ozone_dobson.mean() for state in states])
    assert np.median(water) == pytest.approx(1.8, rel=0.15)
    assert water.min() > 0.35
    assert water.max() < 5.0
    assert ozone.mean() == pytest.approx(310, abs=7)
    assert ozone.min() > 219
    assert ozone.max() < 431


def test_drawn_aerosol_is_mostly_continental_and_mixes_two_models_at_most():
    shares = np.stack([drawn(seed=seed).aerosol_fractions[:, 0, 0] for seed in range(300)])
    assert (shares >= 0).all()
    assert (np.count_nonzero(shares, axis=1) <= 2).all()
    main = np.bincount(shares.argmax(axis=1), minlength=5) / 300
    assert AEROSOL_MODELS[int(main.argmax())] == "continental"
    assert main[AEROSOL_MODELS.index("continental")] == pytest.approx(0.5, abs=0.1)


def test_the_same_generator_draws_the_same_air():
    one, again, other = drawn(seed=3), drawn(seed=3), drawn(seed=4)
    np.testing.assert_array_equal(one.aot_550, again.aot_550)
    assert not np.allclose(one.aot_550, other.aot_550)


# forecast -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("height_m", [0.0, 400.0, 2500.0])
def test_the_forecast_of_pressure_follows_the_true_weather_at_any_height(height_m):
    pairs = [foretold(seed, height_m=height_m) for seed in range(60)]
    true = np.array([state.pressure_hpa.mean() for state, _ in pairs]) / pressure_at(height_m / 1000) * 1013
    said = np.array([prior.sea_level_pressure_hpa.mean() for _, prior in pairs])
    assert np.corrcoef(true, said)[0, 1] > 0.95
    assert abs((said - true).mean()) < 0.4
    assert 0.7 < (said - true).std() < 1.3


def test_pressure_computed_back_from_the_forecast_is_that_of_the_state():
    slope = np.repeat(np.linspace(0, 2000, 60, dtype=np.float32)[None], 60, axis=0)
    generator = np.random.default_rng(5)
    state = draw_state(Weather(), slope, nodes=(4, 4), generator=generator)
    prior = forecast(state, slope, generator=generator)
    back = prior.sea_level_pressure_hpa * pressure_at(_node_means(slope, (4, 4)) / 1000) / 1013
    assert np.abs(back - state.pressure_hpa).max() < 4


@pytest.mark.parametrize("model", AEROSOL_MODELS)
def test_species_of_a_forecast_add_up_to_its_aerosol_whatever_the_model(model):
    _, prior = foretold(2, wanted=Weather(aerosol={model: 1.0}))
    assert set(prior.aot_550_by_species) >= set(_SPECIES[model])
    np.testing.assert_allclose(sum(prior.aot_550_by_species.values()), prior.aot_550, rtol=1e-5)
    for species, part in _SPECIES[model].items():
        np.testing.assert_allclose(prior.aot_550_by_species[species], part * prior.aot_550, rtol=1e-5)


def test_every_model_is_translated_into_species_that_add_up_to_one():
    assert set(_SPECIES) == set(AEROSOL_MODELS)
    known = {"sulphate", "organic_matter", "dust", "black_carbon", "sea_salt"}
    for species in _SPECIES.values():
        assert set(species) <= known
        assert sum(species.values()) == pytest.approx(1.0)


def test_forecasts_err_by_a_fifth_in_aerosol_and_seven_percent_in_water_and_five_units_of_ozone():
    pairs = [foretold(seed, wanted=Weather(aot_550=0.3)) for seed in range(200)]
    aot = np.array([prior.aot_550.mean() / state.aot_550.mean() - 1 for state, prior in pairs])
    water = np.array([prior.water_vapour.mean() / state.water_vapour.mean() - 1 for state, prior in pairs])
    ozone = np.array([prior.ozone_dobson.mean() - state.ozone_dobson.mean() for state, prior in pairs])
    assert aot.std() == pytest.approx(0.2 + 0.01 / 0.3, rel=0.2)
    assert water.std() == pytest.approx(0.07, rel=0.2)
    assert ozone.std() == pytest.approx(5.0, rel=0.2)


@QUICK
@given(st.integers(0, 500), st.floats(0.0, 1.25))
def test_a_forecast_never_foretells_less_than_the_cleanest_air_and_keeps_a_tenth_of_the_structure(seed, aot):
    state, prior = foretold(seed, wanted=Weather(aot_550=aot))
    assert prior.aot_550.min() > 0.009
    assert np.ptp(prior.aot_550) <= 0.2 * np.ptp(state.aot_550) + 1e-6
    assert prior.source == "AUX_ECMWFT+AUX_CAMSFO"


@pytest.mark.parametrize("height_m", [0.0, 640.0, 2500.0])
def test_a_forecast_knows_the_height_of_its_ground(height_m):
    _, prior = foretold(1, height_m=height_m)
    np.testing.assert_allclose(prior.altitude_m, height_m, atol=0.01)

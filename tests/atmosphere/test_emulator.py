import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from undersky.atmosphere.emulator import Emulator
from undersky.atmosphere.state import AEROSOL_MODELS, LIMITS, AtmosphereState, Geometry
from undersky.bands import SENSORS
from undersky.errors import ConfigError

FIELDS = ("path", "transmittance", "spherical_albedo", "gas_transmittance")


def state_of(
    aot=0.2, water=2.0, ozone=300.0, pressure=1000.0, *, model="continental", shape=()
) -> AtmosphereState:
    shares = np.zeros((len(AEROSOL_MODELS), *shape), dtype=np.float32)
    shares[AEROSOL_MODELS.index(model)] = 1.0
    return AtmosphereState(*(np.full(shape, v, np.float32) for v in (aot, water, ozone, pressure)), shares)


def geometry_of(sun=40.0, view=6.0, azimuth=60.0, shape=()) -> Geometry:
    return Geometry(*(np.full(shape, v, np.float32) for v in (sun, view, azimuth)))


def tensors(state: AtmosphereState, geometry: Geometry) -> tuple[AtmosphereState, Geometry]:
    names = ("aot_550", "water_vapour", "ozone_dobson", "pressure_hpa", "aerosol_fractions")
    angles = ("sun_zenith", "view_zenith", "relative_azimuth")
    return (
        AtmosphereState(*(torch.tensor(getattr(state, n), dtype=torch.float32) for n in names)),
        Geometry(*(torch.tensor(getattr(geometry, n), dtype=torch.float32) for n in angles)),
    )


aots = st.floats(0.0, 1.25)
suns = st.floats(0.0, 76.0)
views = st.floats(0.0, 13.0)
azimuths = st.floats(0.0, 180.0)
pressures = st.floats(600.0, 1030.0)
models = st.sampled_from(AEROSOL_MODELS)


@pytest.mark.parametrize("sensor", sorted(SENSORS))
def test_every_sensor_has_all_its_bands_in_order(sensor: str) -> None:
    emulator = Emulator.load(sensor)
    assert emulator.bands == tuple(band.name for band in SENSORS[sensor].bands)
    assert emulator(state_of(), geometry_of()).path.shape == (len(emulator.bands),)


def test_bands_may_be_chosen_and_ordered() -> None:
    both = Emulator.load("S2A", ("B8A", "B02"))(state_of(), geometry_of())
    everything = Emulator.load("S2A")(state_of(), geometry_of())
    assert both.path == pytest.approx(everything.path[[8, 1]])
    assert both.gas_transmittance == pytest.approx(everything.gas_transmittance[[8, 1]])


@pytest.mark.parametrize(("sensor", "bands"), [("L5", None), ("L8", ("B02",))])
def test_an_unknown_sensor_or_band_is_refused(sensor: str, bands: tuple | None) -> None:
    with pytest.raises(ConfigError):
        Emulator.load(sensor, bands)


@settings(deadline=None, max_examples=60)
@given(aots, st.tuples(suns, views, azimuths), pressures, models)
def test_energy_is_neither_made_nor_negative(aot, angles, pressure, model) -> None:
    atmosphere = Emulator.load("S2A")(state_of(aot, pressure=pressure, model=model), geometry_of(*angles))
    for name in FIELDS[1:]:
        values = getattr(atmosphere, name)
        assert ((values >= 0.0) & (values <= 1.0)).all(), name
    assert (atmosphere.gas_transmittance > 0.0).all()
    scattered = atmosphere.path * atmosphere.gas_transmittance
    assert ((scattered > 0.0) & (scattered < 1.0)).all()


@settings(deadline=None, max_examples=40)
@given(suns, views, azimuths, pressures, st.sampled_from(AEROSOL_MODELS[1:]))
def test_without_aerosol_its_model_does_not_matter(sun, view, azimuth, pressure, model) -> None:
    emulator, geometry = Emulator.load("L8"), geometry_of(sun, view, azimuth)
    one = emulator(state_of(0.0, pressure=pressure), geometry)
    other = emulator(state_of(0.0, pressure=pressure, model=model), geometry)
    for name in FIELDS:
        assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-5)


@pytest.mark.oracle
def test_without_aerosol_the_path_is_6s_rayleigh() -> None:
    # 6SV1.1, sun 40, view 8, azimuth 70, no aerosol, no water, ozone 0, sea level: nodes 0.443 .. 0.488
    clear = Emulator.load("L8", ("B1",))(state_of(0.0, 0.0, 180.0, 1013.0), geometry_of(40.0, 8.0, 70.0))
    assert clear.path[0] == pytest.approx(0.0964, abs=0.0004)
    assert clear.transmittance[0] == pytest.approx(0.8655 * 0.8976, abs=0.01)


@settings(deadline=None, max_examples=40)
@given(st.floats(0.0, 13.0), st.floats(0.0, 13.0), aots, models, pressures)
def test_transmittance_and_albedo_are_reciprocal(one, other, aot, model, pressure) -> None:
    emulator, state = Emulator.load("S2B"), state_of(aot, pressure=pressure, model=model)
    there, back = emulator(state, geometry_of(one, other)), emulator(state, geometry_of(other, one))
    assert there.transmittance == pytest.approx(back.transmittance, rel=1e-5)
    assert there.spherical_albedo == pytest.approx(back.spherical_albedo, rel=1e-6)


@settings(deadline=None, max_examples=30)
@given(suns, views, azimuths, aots, models)
def test_only_the_path_knows_the_azimuth(sun, view, azimuth, aot, model) -> None:
    emulator, state = Emulator.load("L9"), state_of(aot, model=model)
    one, other = (
        emulator(state, geometry_of(sun, view, azimuth)),
        emulator(state, geometry_of(sun, view, 0.0)),
    )
    for name in FIELDS[1:]:
        assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-6)


@settings(deadline=None, max_examples=30)
@given(st.floats(20.0, 70.0), views, azimuths, models)
def test_more_haze_is_brighter_over_dark_ground_and_lets_less_through(sun, view, azimuth, model) -> None:
    emulator = Emulator.load("S2A", ("B02", "B04", "B8A"))
    depths = np.linspace(0.02, 0.9, 12)
    shares = np.zeros((5, 12))
    shares[AEROSOL_MODELS.index(model)] = 1.0
    state = AtmosphereState(depths, *(np.full(12, v) for v in (2.0, 300.0, 1000.0)), shares)
    hazy = emulator(state, geometry_of(sun, view, azimuth, shape=(12,)))
    assert (np.diff(hazy.transmittance) < 0).all()
    if model != "urban":  # soot may darken the blue
        assert (np.diff(hazy.path) > 0).all()


def test_more_gas_absorbs_more() -> None:
    emulator = Emulator.load("S2A")
    dry, wet = emulator(state_of(water=0.5), geometry_of()), emulator(state_of(water=4.0), geometry_of())
    assert (wet.gas_transmittance < dry.gas_transmittance + 1e-4).all()
    assert wet.gas_transmittance[9] < 0.7 * dry.gas_transmittance[9]
    thick = emulator(state_of(ozone=450.0), geometry_of())
    assert thick.gas_transmittance[2] < emulator(state_of(), geometry_of()).gas_transmittance[2] - 0.02


def test_a_mixture_lies_between_its_models() -> None:
    emulator, mixed = Emulator.load("S2A"), state_of(0.4)
    shares = np.array([0.5, 0.0, 0.5, 0.0, 0.0], dtype=np.float32)
    mixed = AtmosphereState(mixed.aot_550, mixed.water_vapour, mixed.ozone_dobson, mixed.pressure_hpa, shares)
    one, other = (emulator(state_of(0.4, model=m), geometry_of()) for m in ("continental", "urban"))
    middle = emulator(mixed, geometry_of())
    assert middle.path == pytest.approx((one.path + other.path) / 2, rel=1e-4)
    assert middle.transmittance == pytest.approx((one.transmittance + other.transmittance) / 2, rel=1e-4)


def test_shares_need_not_sum_to_one() -> None:
    emulator, state = Emulator.load("S2A"), state_of(0.4)
    tripled = AtmosphereState(
        state.aot_550, state.water_vapour, state.ozone_dobson, state.pressure_hpa, 3 * state.aerosol_fractions
    )
    assert emulator(tripled, geometry_of()).path == pytest.approx(
        emulator(state, geometry_of()).path, rel=1e-6
    )


def test_torch_and_numpy_agree() -> None:
    emulator, state, geometry = Emulator.load("S2C"), state_of(shape=(3, 2)), geometry_of(shape=(3, 2))
    arrays, values = emulator(state, geometry), emulator(*tensors(state, geometry))
    for name in FIELDS:
        assert getattr(arrays, name).dtype == np.float32
        assert getattr(values, name).shape == (13, 3, 2)
        assert getattr(values, name).numpy() == pytest.approx(getattr(arrays, name))


def test_view_angles_may_differ_per_band() -> None:
    emulator, state = Emulator.load("S2A"), state_of(0.5, shape=(2,))
    zenith = np.broadcast_to(np.linspace(1.0, 12.0, 13)[:, None], (13, 2)).astype(np.float32)
    azimuth = np.full((13, 2), 30.0, np.float32)
    apart = emulator(state, Geometry(np.full(2, 40.0), zenith, azimuth, per_band=True))
    for band in (0, 7, 12):
        alone = emulator(state, geometry_of(40.0, zenith[band, 0], 30.0, shape=(2,)))
        assert apart.path[band] == pytest.approx(alone.path[band], rel=1e-5)
        assert apart.gas_transmittance[band] == pytest.approx(alone.gas_transmittance[band], rel=1e-5)


@pytest.mark.parametrize("name", ["aot_550", "water_vapour", "ozone_dobson", "pressure_hpa"])
@pytest.mark.parametrize("model", ["maritime", "desert"])
def test_gradients_agree_with_differences(name: str, model: str) -> None:
    emulator, double = Emulator.load("S2A", ("B02", "B05", "B11")), torch.float64
    emulator = Emulator(emulator.sensor, emulator.bands, doubled(emulator._tables))
    state, geometry = tensors(state_of(0.3, model=model), geometry_of())
    values = {n: getattr(state, n).to(double) for n in state.__slots__}
    angles = Geometry(
        *(getattr(geometry, n).to(double) for n in ("sun_zenith", "view_zenith", "relative_azimuth"))
    )
    point = values[name].clone().requires_grad_()

    def total(value: torch.Tensor) -> torch.Tensor:
        result = emulator(AtmosphereState(**(values | {name: value})), angles)
        return sum(getattr(result, field).sum() for field in FIELDS)

    (slope,) = torch.autograd.grad(total(point), point)
    step = 1e-4 * max(float(values[name]), 1.0)
    with torch.no_grad():
        difference = (total(point + step) - total(point - step)) / (2 * step)
    assert float(slope) == pytest.approx(float(difference), rel=1e-4, abs=1e-8)


def doubled(tables):
    """The same tables in float64, for clean differences."""
    names = tables.__slots__
    cast = {n: getattr(tables, n) for n in names}
    return type(tables)(**{n: v.double() if v.is_floating_point() else v for n, v in cast.items()})


def test_gradients_reach_the_aerosol_shares() -> None:
    state, geometry = tensors(state_of(0.4), geometry_of())
    shares = state.aerosol_fractions.clone().requires_grad_()
    result = Emulator.load("S2A")(
        AtmosphereState(state.aot_550, state.water_vapour, state.ozone_dobson, state.pressure_hpa, shares),
        geometry,
    )
    result.path.sum().backward()
    assert shares.grad is not None
    assert bool((shares.grad[1:] != 0).all())


def test_gradients_are_finite_in_dry_clean_air() -> None:
    state, geometry = tensors(state_of(0.0, 0.0), geometry_of())
    aot, water = state.aot_550.clone().requires_grad_(), state.water_vapour.clone().requires_grad_()
    result = Emulator.load("S2A")(
        AtmosphereState(aot, water, state.ozone_dobson, state.pressure_hpa, state.aerosol_fractions), geometry
    )
    (result.path.sum() + result.transmittance.sum() + result.gas_transmittance.sum()).backward()
    assert bool(torch.isfinite(aot.grad))
    assert bool(torch.isfinite(water.grad))


@pytest.mark.parametrize(
    ("state", "geometry"),
    [
        (state_of(aot=1.5), geometry_of()),
        (state_of(pressure=560.0), geometry_of()),
        (state_of(water=7.0), geometry_of()),
        (state_of(ozone=120.0), geometry_of()),
        (state_of(), geometry_of(sun=80.0)),
        (state_of(), geometry_of(view=20.0)),
    ],
)
def test_what_left_the_tables_is_flagged_and_clamped(state, geometry) -> None:
    emulator = Emulator.load("S2A")
    atmosphere = emulator(state, geometry)
    assert bool(atmosphere.outside)
    assert np.isfinite(atmosphere.path).all()
    assert not emulator(state_of(), geometry_of()).outside


def test_beyond_the_edge_is_the_edge() -> None:
    emulator = Emulator.load("S2A")
    edge = emulator(state_of(aot=LIMITS["aot_550"][1]), geometry_of(sun=LIMITS["sun_zenith"][1]))
    beyond = emulator(state_of(aot=2.0), geometry_of(sun=85.0))
    assert beyond.path == pytest.approx(edge.path)


def test_nan_stays_nan_and_alone() -> None:
    state = state_of(shape=(3,))
    state.aot_550[1] = np.nan
    atmosphere = Emulator.load("L8")(state, geometry_of(shape=(3,)))
    assert np.isnan(atmosphere.path[:, 1]).all()
    assert np.isfinite(atmosphere.path[:, [0, 2]]).all()


def test_the_package_itself_loads_no_torch() -> None:
    code = "import sys, undersky.atmosphere, undersky.atmosphere.state; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="ml")
    assert done.stdout.strip() == "False"


@pytest.mark.faults
@pytest.mark.parametrize("angle", ["sun_zenith", "view_zenith", "relative_azimuth"])
def test_an_unknown_angle_leaves_its_node_unknown_and_the_others_alone(angle: str) -> None:
    emulator, geometry = Emulator.load("L8"), geometry_of(shape=(3,))
    whole = emulator(state_of(shape=(3,)), geometry)
    getattr(geometry, angle)[1] = np.nan
    torn = emulator(state_of(shape=(3,)), geometry)
    assert np.isnan(torn.path[:, 1]).all()
    for name in FIELDS:
        assert np.array_equal(getattr(torn, name)[:, [0, 2]], getattr(whole, name)[:, [0, 2]]), name


@pytest.mark.faults
def test_one_bands_unknown_view_leaves_the_other_bands_alone() -> None:
    emulator, state = Emulator.load("L8"), state_of(shape=(2,))
    zenith, azimuth = np.full((9, 2), 5.0, np.float32), np.full((9, 2), 60.0, np.float32)
    zenith[4, 1] = np.nan
    found = emulator(state, Geometry(np.full(2, 40.0), zenith, azimuth, per_band=True))
    assert np.argwhere(np.isnan(found.path)).tolist() == [[4, 1]]
    assert np.argwhere(np.isnan(found.transmittance)).tolist() == [[4, 1]]


def test_bands_that_look_alike_are_computed_as_one_view() -> None:
    emulator, state = Emulator.load("L9"), state_of(shape=(2,))
    same = Geometry(np.full(2, 40.0), np.full((9, 2), 6.0), np.full((9, 2), 60.0), per_band=True)
    one, other = emulator(state, same), emulator(state, geometry_of(shape=(2,)))
    for name in FIELDS:
        assert np.array_equal(getattr(one, name), getattr(other, name)), name


@settings(deadline=None, max_examples=25)
@given(suns, views, azimuths, aots, models)
def test_azimuths_fold_left_and_right_alike(sun, view, azimuth, aot, model) -> None:
    emulator, state = Emulator.load("S2C", ("B01", "B8A")), state_of(aot, model=model)
    left, right = (emulator(state, geometry_of(sun, view, sign * azimuth)) for sign in (1.0, -1.0))
    assert left.path == pytest.approx(right.path, rel=1e-5)


@settings(deadline=None, max_examples=25)
@given(st.tuples(suns, views, azimuths), aots, models, pressures)
def test_a_small_step_of_the_state_is_a_small_step_of_the_path(angles, aot, model, pressure) -> None:
    # no table edge, knot or root makes the path jump: a sensitivity above 2 per optical depth is no haze
    emulator = Emulator.load("S2B", ("B02", "B04", "B12"))
    step = 1e-3
    lower = emulator(state_of(max(aot - step, 0.0), pressure=pressure, model=model), geometry_of(*angles))
    upper = emulator(state_of(min(aot + step, 1.25), pressure=pressure, model=model), geometry_of(*angles))
    assert np.abs(upper.path - lower.path).max() < 2.0 * 2 * step
    assert np.abs(upper.transmittance - lower.transmittance).max() < 3.0 * 2 * step

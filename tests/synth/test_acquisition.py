"""Simulated acquisitions: what is asked for, what physics says, and that the truth is the truth."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from undersky.atmosphere.inversion import remove_atmosphere
from undersky.atmosphere.state import AEROSOL_MODELS, AtmosphereState, Coefficients
from undersky.bands import SENSORS
from undersky.errors import ConfigError
from undersky.grid import Window, upsample
from undersky.quality import Quality
from undersky.synth.acquisition import Request, simulate
from undersky.synth.radiation import surroundings
from undersky.synth.sensor_noise import noise_sigma
from undersky.synth.weather import Weather, draw_state, forecast

SIZE = 3600
LANDSAT = {"tile": "195028"}
CLEAR = Request(sensor="S2A", seed=3, theme="fields", size_m=SIZE, cloud_cover=0.0, noise=False)


def thin_air(state, geometry):
    """A stand-in for the emulator: an analytic atmosphere, smooth in state and geometry, without any 6S."""
    bands = geometry.view_zenith.shape[0]
    um = np.linspace(0.44, 2.2, bands)[:, None, None]
    depth = 0.0086 * um**-4 * state.pressure_hpa / 1013.0 + state.aot_550 * (um / 0.55) ** -1.2
    down, up = 1 / np.cos(np.radians(geometry.sun_zenith)), 1 / np.cos(np.radians(geometry.view_zenith))
    return Coefficients(
        path=0.15 * depth * down * up,
        transmittance=np.exp(-0.3 * depth * (down + up)),
        spherical_albedo=0.5 * depth / (1 + depth),
        gas_transmittance=np.exp(-0.01 * (down + up) * state.water_vapour) * np.ones_like(depth),
        outside=np.zeros(state.aot_550.shape, bool),
    )


MADE = {}


def made(**changes):
    """The acquisition, simulated once however many tests look at it."""
    request = replace(CLEAR, **changes)
    if repr(request) not in MADE:
        MADE[repr(request)] = simulate(request, atmosphere=thin_air)
    return MADE[repr(request)]


def inverted(acquisition, band: str):
    """Surface reflectance from the acquisition's own state."""
    table = thin_air(acquisition.state, acquisition.geometry)
    index = [b.name for b in acquisition.sensor.bands].index(band)
    toa = acquisition.toa[band]
    fields = [
        upsample(field[index], toa.shape, Window(0, 0, *toa.shape))
        for field in (table.path, table.transmittance, table.spherical_albedo, table.gas_transmittance)
    ]
    return remove_atmosphere(toa, Coefficients(*fields, outside=np.zeros(1, bool)))


@pytest.mark.parametrize(
    ("sensor", "tile"),
    [("S2A", "32TQM"), ("S2B", "55JEJ"), ("S2C", "30TVK"), ("L8", "195028"), ("L9", "227074")],
)
def test_every_sensor_delivers_all_its_bands_at_native_size(sensor, tile):
    time = datetime(2023, 3, 14, 0 if tile == "55JEJ" else 13 if tile == "227074" else 10, 30, tzinfo=UTC)
    found = made(sensor=sensor, tile=tile, acquired=time)
    assert set(found.toa) == {band.name for band in SENSORS[sensor].bands}
    assert set(found.surface) == {b.name for b in SENSORS[sensor].bands if b.role != "cirrus"}
    for band in SENSORS[sensor].bands:
        assert found.toa[band.name].shape == found.grids[band.name].shape == (SIZE // band.resolution_m,) * 2
        assert found.toa[band.name].dtype == np.float32
        assert np.isfinite(found.toa[band.name]).all()
    assert found.quality.shape == found.elevation_m.shape == found.surface_class.shape == found.grid.shape
    assert found.quality.dtype == np.uint16


@pytest.mark.parametrize("sensor", ["S2A", "L8"])
def test_the_true_state_inverts_to_the_true_surface(sensor):
    found = made(sensor=sensor, **({} if sensor == "S2A" else LANDSAT))
    for band in found.sensor.corrected_bands:
        error = np.abs(inverted(found, band.name) - found.surface[band.name])
        assert error.max() < 2e-4, band.name


def test_the_shipped_emulator_inverts_its_own_simulation():
    from undersky.atmosphere.emulator import Emulator

    found = simulate(replace(CLEAR, size_m=1800))
    table = Emulator.load("S2A")(found.state, found.geometry)
    for index, band in enumerate(found.sensor.bands):
        if not band.is_corrected:
            continue
        toa = found.toa[band.name]
        fields = [
            upsample(field[index], toa.shape, Window(0, 0, *toa.shape))
            for field in (table.path, table.transmittance, table.spherical_albedo, table.gas_transmittance)
        ]
        rho = remove_atmosphere(toa, Coefficients(*fields, outside=np.zeros(1, bool)))
        truth = found.surface[band.name]
        assert (np.abs(rho - truth) <= 0.001 + 0.005 * truth).all(), band.name


def test_equal_requests_give_equal_arrays():
    request = replace(CLEAR, cloud_cover=0.3, cirrus=0.3, noise=True, nodata_edge=True)
    first, again = (simulate(request, atmosphere=thin_air) for _ in range(2))
    for band in first.toa:
        np.testing.assert_array_equal(first.toa[band], again.toa[band])
    np.testing.assert_array_equal(first.quality, again.quality)
    np.testing.assert_array_equal(first.state.aot_550, again.state.aot_550)


def test_weather_changes_the_sky_and_not_the_ground():
    first, other = made(weather=1), made(weather=2)
    np.testing.assert_array_equal(first.surface["B04"], other.surface["B04"])
    assert first.state.aot_550.mean() != other.state.aot_550.mean()


def test_sentinel_2_and_landsat_over_one_place_have_one_ground():
    place = {"origin_m": (699_960.0, 5_000_040.0)}
    one = made(**place)
    other = made(sensor="L8", tile="195028", **place)
    assert other.grid.crs == one.grid.crs
    red = one.surface["B04"].reshape(120, 3, 120, 3).mean(axis=(1, 3))
    assert np.corrcoef(red.ravel(), other.surface["B4"].ravel())[0, 1] > 0.9


def test_clouds_are_bright_and_flagged_and_counted():
    found = made(cloud_cover=0.3)
    cloud = (found.quality & np.uint16(Quality.CLOUD)) != 0
    assert abs(found.cloud_percent - 100 * cloud.mean()) < 1e-6
    assert 20 < found.cloud_percent < 50
    assert found.toa["B02"][cloud].mean() > 1.5 * found.toa["B02"][~cloud].mean()
    clear = made()
    same = (found.quality & np.uint16(Quality.CLOUD | Quality.CLOUD_SHADOW)) == 0
    assert np.abs(found.toa["B02"] - clear.toa["B02"])[same].max() < 0.08


def test_shadowed_ground_is_darker_than_the_same_ground_in_the_sun():
    found, clear = made(cloud_cover=0.3), made()
    deep = (found.quality & np.uint16(Quality.CLOUD_SHADOW)) != 0
    assert deep.any()
    assert found.toa["B08"][deep].mean() < 0.7 * clear.toa["B08"][deep].mean()
    assert found.toa["B02"][deep].min() > 0


@pytest.mark.parametrize(("sensor", "band"), [("S2A", "B10"), ("L8", "B9")])
def test_cirrus_stands_out_in_the_cirrus_band_and_hardly_in_the_visible(sensor, band):
    found = made(sensor=sensor, cirrus=0.4, **({} if sensor == "S2A" else LANDSAT))
    clear = made(sensor=sensor, **({} if sensor == "S2A" else LANDSAT))
    rise = found.toa[band] - clear.toa[band]
    assert np.quantile(rise, 0.95) > 0.01
    assert ((found.quality & np.uint16(Quality.CIRRUS)) != 0).mean() > 0.2
    visible = "B02" if sensor == "S2A" else "B2"
    assert np.abs(found.toa[visible] - clear.toa[visible]).max() < 0.1


def test_beyond_the_swath_is_nodata_in_every_band_and_flagged():
    found = made(nodata_edge=True)
    nodata = (found.quality & np.uint16(Quality.NODATA)) != 0
    assert 0.05 < nodata.mean() < 0.95
    np.testing.assert_array_equal(np.isnan(found.toa["B02"]), nodata)
    assert set(np.unique(found.quality[nodata])) == {int(Quality.NODATA)}
    for toa in found.toa.values():
        assert abs(np.isnan(toa).mean() - nodata.mean()) < 0.03
    assert np.isfinite(found.surface["B02"]).all()


def test_noise_has_the_spread_that_the_sensor_promises():
    clean, noisy = made(theme="desert"), made(theme="desert", noise=True)
    for band in ("B02", "B08", "B12"):
        sun = float(clean.angles.sun_zenith.mean())
        sigma = noise_sigma(clean.sensor, band, toa=clean.toa[band], sun_zenith=sun)
        scaled = (noisy.toa[band] - clean.toa[band]) / sigma
        assert abs(scaled.std() - 1) < 0.03
        assert abs(scaled.mean()) < 0.03


@pytest.mark.parametrize("sensor", list(SENSORS))
def test_noise_is_known_for_every_band_and_grows_with_light_and_low_sun(sensor):
    for band in SENSORS[sensor].bands:
        dark, bright = noise_sigma(
            SENSORS[sensor], band.name, toa=np.array([0.0, 0.5], np.float32), sun_zenith=30.0
        )
        assert 0 < dark < bright < 0.03
        low = noise_sigma(SENSORS[sensor], band.name, toa=np.array([0.0], np.float32), sun_zenith=70.0)
        assert low[0] > dark


def test_adjacency_blurs_and_keeps_the_mean():
    plain, blurred = made(), made(adjacency=True)
    assert blurred.toa["B02"].std() < plain.toa["B02"].std()
    assert abs(blurred.toa["B02"].mean() - plain.toa["B02"].mean()) < 0.002


def test_surroundings_of_uniform_ground_are_the_ground():
    np.testing.assert_allclose(surroundings(np.full((50, 50), 0.3, np.float32), 30.0), 0.3, atol=1e-6)


def test_the_state_is_smooth_positive_and_thins_with_height():
    flat = np.zeros((40, 40), np.float32)
    low = draw_state(Weather(), flat, nodes=(5, 6), generator=np.random.default_rng(1))
    high = draw_state(Weather(), flat + 2000, nodes=(5, 6), generator=np.random.default_rng(1))
    assert low.aot_550.shape == (5, 6)
    assert low.aerosol_fractions.shape == (5, 5, 6)
    assert (high.water_vapour < 0.5 * low.water_vapour).all()
    assert (high.pressure_hpa < low.pressure_hpa - 150).all()
    np.testing.assert_array_equal(high.aot_550, low.aot_550)
    np.testing.assert_allclose(low.aerosol_fractions.sum(axis=0), 1)


def test_the_state_follows_the_ground_node_by_node():
    slope = np.repeat(np.linspace(0, 2000, 60, dtype=np.float32)[None], 60, axis=0)
    state = draw_state(Weather(), slope, nodes=(4, 4), generator=np.random.default_rng(1))
    assert (np.diff(state.pressure_hpa, axis=1) < 0).all()
    np.testing.assert_allclose(np.diff(state.pressure_hpa, axis=0), 0, atol=1e-3)


def test_wanted_weather_is_kept():
    wanted = Weather(aot_550=0.3, water_vapour=2.0, ozone_dobson=280.0, aerosol={"urban": 2.0}, uniform=True)
    state = made(weather_values=wanted).state
    np.testing.assert_allclose(state.aot_550, 0.3)
    np.testing.assert_allclose(state.ozone_dobson, 280)
    assert (state.aerosol_fractions[AEROSOL_MODELS.index("urban")] == 1).all()


@pytest.mark.parametrize("aerosol", [{}, {"smog": 1.0}, {"urban": -1.0}, {"urban": 0.0}])
def test_shares_of_no_known_aerosol_are_refused(aerosol):
    with pytest.raises(ConfigError, match="positive shares"):
        made(weather_values=Weather(aerosol=aerosol))


def test_drawn_weather_stays_inside_the_tables_and_varies():
    flat = np.zeros((20, 20), np.float32)
    states = [
        draw_state(Weather(), flat, nodes=(3, 3), generator=np.random.default_rng(i)) for i in range(200)
    ]
    aot = np.array([state.aot_550.mean() for state in states])
    assert aot.min() > 0.01
    assert aot.max() < 0.8
    assert 0.09 < np.median(aot) < 0.18
    assert len({int(state.aerosol_fractions[:, 0, 0].argmax()) for state in states}) == 5


def test_a_forecast_is_near_the_state_and_flatter():
    flat = np.zeros((20, 20), np.float32)
    ratios = []
    for seed in range(60):
        generator = np.random.default_rng(seed)
        state: AtmosphereState = draw_state(Weather(), flat, nodes=(4, 4), generator=generator)
        prior = forecast(state, flat, generator=generator)
        ratios.append(float(prior.aot_550.mean() / state.aot_550.mean()))
        assert prior.aot_550.std() < state.aot_550.std()
        np.testing.assert_allclose(sum(prior.aot_550_by_species.values()), prior.aot_550, rtol=1e-5)
        assert 980 < prior.sea_level_pressure_hpa.mean() < 1045
    assert 0.9 < np.mean(ratios) < 1.1
    assert np.std(ratios) > 0.05


def test_a_test_acquisition_differs_from_a_training_one_in_its_spectra():
    train, test = made(split="train"), made(split="test")
    assert np.abs(train.surface["B08"] - test.surface["B08"]).mean() > 0.01


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sensor": "S9"}, "S2A"),
        ({"split": "validation"}, "train or test"),
        ({"acquired": datetime(2023, 7, 14, 10, 0)}, "time zone"),  # noqa: DTZ001
        ({"cloud_cover": 1.01}, "cloud_cover 1.01 is no share"),
        ({"cloud_cover": -0.1}, "give 0 to 1"),
        ({"cirrus": 40.0}, "cirrus 40.0 is no share"),
        ({"tile": "99ZZZ"}, "MGRS"),
        ({"theme": "moon"}, "fields"),
        ({"size_m": 1000}, "multiple of 180"),
        ({"acquired": datetime(2023, 7, 14, 23, 0, tzinfo=UTC)}, "sun stands"),
    ],
)
def test_an_impossible_request_is_refused_with_the_cure(changes, words):
    with pytest.raises(ConfigError, match=words):
        made(**changes)


def test_a_detector_seam_crosses_the_footprint_only_when_asked():
    def widest_jump(found) -> float:
        azimuth = found.angles.view_azimuth["B03"]
        return float(np.abs((np.diff(azimuth, axis=1) + 180) % 360 - 180).max())

    one, two = made(weather=5), made(weather=5, detector_seam=True)
    assert widest_jump(one) < 5 < widest_jump(two)
    assert sum(bool(detector.footprint) for detector in one.detectors["B03"]) == 1
    assert sum(bool(detector.footprint) for detector in two.detectors["B03"]) == 2


def test_angles_of_the_scene_are_those_of_the_simulation():
    found = made()
    names = [band.name for band in found.sensor.bands]
    for index, name in enumerate(names):
        np.testing.assert_allclose(
            found.geometry.relative_azimuth[index], found.angles.relative_azimuth(name), atol=1e-3
        )
        np.testing.assert_array_equal(found.geometry.view_zenith[index], found.angles.view_zenith[name])
    assert found.angles.sun_zenith.shape == found.state.aot_550.shape


def test_snow_and_water_bits_follow_the_ground():
    for theme, bit in (("lakes", Quality.WATER), ("mountain", Quality.SNOW)):
        found = made(
            theme=theme,
            size_m=10_980,
            sensor="L8",
            acquired=datetime(2023, 4, 1, 10, 20, tzinfo=UTC),
            **LANDSAT,
        )
        marked = (found.quality & np.uint16(bit)) != 0
        assert 0.01 < marked.mean() < 0.99
        band = "B5" if bit is Quality.WATER else "B3"
        darker = found.surface[band][marked].mean() < found.surface[band][~marked].mean()
        assert darker == (bit is Quality.WATER)

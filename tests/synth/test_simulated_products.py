"""A simulated acquisition all the way: asked for, written, read back, and still what it was."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
import rasterio

from undersky.atmosphere.state import Coefficients, pressure_at
from undersky.bands import SENSORS
from undersky.grid import upsample, whole
from undersky.quality import Quality
from undersky.sensors import open_scene
from undersky.synth.acquisition import Request, simulate
from undersky.synth.geometry import epsg
from undersky.synth.landsat import write_landsat
from undersky.synth.safe import safe_names, write_safe
from undersky.synth.safe_variants import tile_info
from undersky.synth.truth import read_truth, write_truth
from undersky.synth.weather import Weather

SIZE = 3_600
TAKEN = datetime(2025, 6, 13, 10, 15, 42, tzinfo=UTC)
S2 = Request(
    "S2B",
    "32TQM",
    TAKEN,
    seed=5,
    theme="coast",
    cloud_cover=0.3,
    cirrus=0.3,
    size_m=SIZE,
    nodata_edge=True,
    weather_values=Weather(aot_550=0.25, aerosol={"maritime": 3.0, "desert": 1.0}),
)
L8 = replace(S2, sensor="L8", tile="192029")


def clean_air(state, geometry):
    """A stand-in for the emulator that knows every band of whichever sensor it is asked for."""
    shape = geometry.view_zenith.shape
    um = np.linspace(0.44, 2.2, shape[0])[:, None, None]
    fields = (0.02 / um**2, np.full_like(um, 0.85), 0.05 / um, np.full_like(um, 0.95))
    whole_fields = [np.broadcast_to(field, shape) for field in fields]
    return Coefficients(*whole_fields, np.zeros(state.aot_550.shape, bool))


@pytest.fixture(scope="module", params=["S2B", "L8"])
def made(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    acquisition = simulate(S2 if request.param == "S2B" else L8, atmosphere=clean_air)
    product = (write_safe if request.param == "S2B" else write_landsat)(acquisition, folder)
    return acquisition, open_scene(product), read_truth(write_truth(acquisition, product))


# number by number ---------------------------------------------------------------------------------------


def test_reflectance_is_read_as_it_was_simulated(made):
    acquisition, scene, _ = made
    for name, source in scene.bands.items():
        read, simulated = source.toa_reflectance(whole(source.grid)), acquisition.toa[name]
        np.testing.assert_array_equal(np.isnan(read), np.isnan(simulated))
        # the encoding holds no negative reflectance below its offset and none above its range
        assert np.nanmax(np.abs(read - simulated)) < 1.2e-4, name


def test_the_true_surface_is_never_missing_where_the_sensor_saw_nothing(made):
    acquisition, _, truth = made
    assert np.isnan(acquisition.toa["B02" if "B02" in acquisition.toa else "B2"]).any()
    for surface in truth.surface.values():
        assert np.isfinite(surface).all()
        assert surface.min() >= 0


def test_true_bits_are_those_of_the_simulation_and_contradict_nothing(made):
    _, _, truth = made
    bits = {bit: (truth.quality & np.uint16(bit)) != 0 for bit in Quality}
    assert not (bits[Quality.CLOUD] & bits[Quality.CLOUD_SHADOW]).any()
    assert not (bits[Quality.NODATA] & (truth.quality != np.uint16(Quality.NODATA))).any()
    assert bits[Quality.CLOUD].any()
    assert bits[Quality.WATER].any()
    assert not (truth.quality >> np.uint16(6)).any()


def test_the_request_comes_back_with_the_weather_that_was_wanted(made):
    acquisition, _, truth = made
    assert truth.request["seed"] == 5
    assert truth.request["weather_values"]["aerosol"] == {"maritime": 3.0, "desert": 1.0}
    assert datetime.fromisoformat(truth.request["acquired"]) == acquisition.acquired
    np.testing.assert_allclose(truth.state.aerosol_fractions[1], 0.75)
    np.testing.assert_allclose(truth.state.aerosol_fractions[3], 0.25)


def test_angles_read_from_the_product_are_those_of_the_simulation(made):
    acquisition, scene, _ = made
    name = "B03" if "B03" in scene.bands else "B4"
    for field in ("sun_zenith",):
        mine, theirs = getattr(acquisition.angles, field), getattr(scene.angles, field)
        pixels = [upsample(f, (30, 30), whole_of((30, 30))) for f in (mine, theirs)]
        assert np.abs(pixels[0] - pixels[1]).max() < 0.02
    views = [
        upsample(a.view_zenith[name], (30, 30), whole_of((30, 30)))
        for a in (acquisition.angles, scene.angles)
    ]
    inside = ~np.isnan(acquisition.toa["B01" if "B01" in acquisition.toa else "B1"])
    step = inside.shape[0] // 30
    seen = inside[::step, ::step][:30, :30]
    assert np.abs(views[0] - views[1])[seen].max() < 0.05


def whole_of(shape):
    from undersky.grid import Window

    return Window(0, 0, *shape)


def test_the_forecast_in_the_product_is_the_one_of_the_simulation(made):
    acquisition, scene, _ = made
    if acquisition.sensor.instrument == "oli":
        assert scene.prior is None
        return
    mine, theirs = acquisition.prior, scene.prior
    for name, tolerance in (
        ("aot_550", 2e-3),
        ("water_vapour", 0.01),
        ("sea_level_pressure_hpa", 0.05),
        ("altitude_m", 1.0),
    ):
        assert abs(getattr(mine, name).mean() - getattr(theirs, name).mean()) < tolerance
    total = sum(theirs.aot_550_by_species.values())
    np.testing.assert_allclose(total, theirs.aot_550, rtol=0.01)
    shares = {
        name: float((field / theirs.aot_550).mean()) for name, field in theirs.aot_550_by_species.items()
    }
    assert shares["sea_salt"] == pytest.approx(0.75 * 0.85, abs=0.01)
    assert shares["dust"] == pytest.approx(0.25, abs=0.01)


def test_pressure_from_forecast_and_height_is_near_the_true_one(made):
    acquisition, _, _ = made
    height_km = float(acquisition.elevation_m.mean()) / 1000.0
    told = float(acquisition.prior.sea_level_pressure_hpa.mean()) * pressure_at(height_km) / 1013.0
    assert abs(told - acquisition.state.pressure_hpa.mean()) < 4.0


def test_the_zone_of_every_grid_is_that_of_the_tile(made):
    acquisition, scene, _ = made
    assert {epsg(grid) for grid in acquisition.grids.values()} == {32632}
    assert epsg(scene.grid) == 32632


# what metadata says of the whole ------------------------------------------------------------------------


def test_coverage_and_clouds_of_the_tile_are_counted_from_its_pixels():
    acquisition = simulate(replace(S2, size_m=1_800), atmosphere=clean_air)
    nodata = (acquisition.quality & np.uint16(Quality.NODATA)) != 0
    info = tile_info(safe_names(acquisition, baseline="05.11"), acquisition)
    assert 0 < nodata.mean() < 1
    assert info["dataCoveragePercentage"] == pytest.approx(100 * (1 - nodata.mean()), abs=0.006)
    cloud = (acquisition.quality & np.uint16(Quality.CLOUD)) != 0
    assert info["cloudyPixelPercentage"] == pytest.approx(100 * cloud[~nodata].mean(), abs=0.006)


@pytest.mark.parametrize("seed", range(3))
def test_a_product_may_be_as_small_as_one_coarse_block(seed, tmp_path):
    tiny = Request("S2A", "32TQM", TAKEN, seed=seed, size_m=180, theme="fields", noise=False)
    acquisition = simulate(tiny, atmosphere=clean_air)
    scene = open_scene(write_safe(acquisition, tmp_path))
    assert scene.grid.shape == (18, 18)
    read = scene.bands["B04"].toa_reflectance(whole(scene.grid))
    assert np.nanmax(np.abs(read - acquisition.toa["B04"])) < 1.2e-4


def test_southern_scenes_have_their_seasons_half_a_year_later():
    def green(tile: str, day: datetime) -> float:
        found = simulate(
            Request("L8", tile, day, seed=1, theme="fields", size_m=5_400, cloud_cover=0.0),
            atmosphere=clean_air,
        )
        near, red = found.surface["B5"], found.surface["B4"]
        return float(((near - red) / (near + red)).mean())

    may, november = (datetime(2023, month, 20, tzinfo=UTC) for month in (5, 11))
    north = [green("192029", day.replace(hour=10)) for day in (may, november)]
    south = [green("227083", day.replace(hour=14)) for day in (may, november)]
    assert north[0] > north[1] + 0.05
    assert south[1] > south[0] + 0.05


@pytest.mark.parametrize("sensor", ["S2A", "L9"])
def test_the_seed_of_weather_changes_noise_and_track_but_no_grid(sensor):
    tile = "32TQM" if sensor == "S2A" else "192029"
    plain = Request(sensor, tile, TAKEN, size_m=1_800, theme="fields")
    one, other = (simulate(replace(plain, weather=seed), atmosphere=clean_air) for seed in (1, 2))
    assert one.grids == other.grids
    band = SENSORS[sensor].bands[2].name
    assert not np.array_equal(one.toa[band], other.toa[band])
    np.testing.assert_array_equal(one.surface[band], other.surface[band])
    assert not np.array_equal(one.angles.view_zenith[band], other.angles.view_zenith[band])


def test_truth_rasters_open_anywhere(made, tmp_path):
    acquisition, _, _ = made
    folder = write_truth(acquisition, tmp_path / "product.SAFE")
    with rasterio.open(folder / "quality.tif") as raster:
        assert raster.crs.to_epsg() == 32632
        np.testing.assert_array_equal(raster.read(1), acquisition.quality)

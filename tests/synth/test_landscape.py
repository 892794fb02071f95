"""Landscapes and the noise they are made of: one description, seen at any pixel size."""

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st

from undersky.bands import SENSORS
from undersky.errors import ConfigError
from undersky.grid import Grid
from undersky.synth.fractal import Frame, area_mean, fractal, hashed, noise, uniform
from undersky.synth.landscape import SurfaceClass, landscape
from undersky.synth.library import load_library
from undersky.synth.parcels import divide
from undersky.synth.themes import THEMES

HERE = Frame(60, 60, 30.0, 699960.0, 5000040.0)
SMALL = settings(max_examples=12, deadline=None)


@pytest.fixture(scope="module", params=list(THEMES))
def ground(request):
    return landscape(11, Frame(120, 120, 60.0, 699960.0, 5000040.0), theme=request.param, day=190)


def test_a_frame_of_a_grid_has_its_edges_and_pixels():
    grid = Grid((4, 6), Affine(10.0, 0.0, 500.0, 0.0, -10.0, 900.0), "EPSG:32632")
    frame = Frame.of(grid)
    assert frame == Frame(4, 6, 10.0, 500.0, 900.0)
    east, north = frame.centres()
    assert (east[0], east[-1], north[0], north[-1]) == (505.0, 555.0, 895.0, 865.0)


@pytest.mark.parametrize("values", [(0, 4, 10.0), (4, 0, 10.0), (4, 4, 0.0)])
def test_an_empty_frame_is_no_frame(values):
    with pytest.raises(ValueError, match="not a frame"):
        Frame(*values)


@given(st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9), st.integers(0, 2**62))
def test_uniform_numbers_lie_in_the_unit_interval_and_repeat(x, y, salt):
    at = np.array([x]), np.array([y])
    value = uniform(*at, salt=salt)
    assert 0 <= value[0] < 1
    assert value == uniform(*at, salt=salt)


def test_hashes_of_neighbours_do_not_collide():
    i, j = np.meshgrid(np.arange(-300, 300), np.arange(-300, 300))
    assert len(np.unique(hashed(i, j, salt=5))) == i.size


def test_uniform_numbers_are_uniform_and_uncorrelated():
    i, j = np.meshgrid(np.arange(500), np.arange(500))
    values = uniform(i, j, salt=1)
    np.testing.assert_allclose(np.histogram(values, 10, (0, 1))[0] / values.size, 0.1, atol=0.004)
    assert abs(np.corrcoef(values[:, 1:].ravel(), values[:, :-1].ravel())[0, 1]) < 0.01


@SMALL
@given(st.floats(100, 3000), st.integers(0, 2**40), st.integers(1, 40), st.integers(1, 40))
def test_noise_is_a_function_of_place_not_of_the_frame(wavelength, salt, down, right):
    field = noise(HERE, wavelength, salt=salt)
    part = Frame(60 - down, 60 - right, 30.0, HERE.left_m + 30.0 * right, HERE.top_m - 30.0 * down)
    np.testing.assert_allclose(noise(part, wavelength, salt=salt), field[down:, right:], atol=1e-4)


def test_noise_has_about_unit_variance_and_no_mean():
    field = noise(Frame(600, 600, 10.0), 40.0, salt=3)
    assert abs(field.mean()) < 0.05
    assert abs(field.std() - 1) < 0.05


def test_noise_is_smooth_between_its_nodes():
    field = noise(Frame(400, 400, 1.0), 100.0, salt=3)
    assert np.abs(np.diff(field, axis=0)).max() < 0.08


def test_stretch_draws_noise_out_eastwards():
    field = noise(Frame(300, 300, 10.0), 100.0, salt=4, stretch=6.0)
    assert np.abs(np.diff(field, axis=1)).mean() < 0.4 * np.abs(np.diff(field, axis=0)).mean()


def test_fractal_of_a_finer_frame_averages_to_that_of_a_coarser_one():
    fine = fractal(Frame(240, 240, 10.0), 4000.0, salt=9)
    coarse = fractal(Frame(60, 60, 40.0), 4000.0, salt=9)
    assert np.abs(area_mean(fine, 4) - coarse).std() < 0.05 * coarse.std()


def test_fractal_loses_contrast_in_larger_pixels():
    assert (
        fractal(Frame(200, 200, 60.0), 250.0, salt=2).std()
        < fractal(Frame(200, 200, 5.0), 250.0, salt=2).std()
    )


@given(st.integers(1, 6), st.integers(1, 5), st.integers(1, 5))
def test_area_mean_keeps_the_mean(factor, rows, cols):
    field = np.random.default_rng(1).random((2, rows * factor, cols * factor), dtype=np.float32)
    np.testing.assert_allclose(area_mean(field, factor).mean(), field.mean(), rtol=1e-5)


def test_area_mean_refuses_what_does_not_divide():
    with pytest.raises(ValueError, match="blocks of 3"):
        area_mean(np.zeros((4, 6), np.float32), 3)


def test_districts_hold_whole_parcels_and_edges_lie_between_them():
    parcels = divide(Frame(300, 300, 10.0), district_m=1000.0, strip_m=150.0, salt=8)
    pairs = np.unique(np.stack([parcels.parcel.ravel(), parcels.district.ravel()]), axis=1)
    assert len(np.unique(pairs[0])) == pairs.shape[1]
    inner = parcels.to_edge_m[:, 1:] > 25
    same = parcels.parcel[:, 1:] == parcels.parcel[:, :-1]
    assert same[inner].all()
    assert (parcels.to_edge_m <= parcels.to_border_m + 1e-3).all()


def test_one_number_is_drawn_per_parcel():
    parcels = divide(HERE, district_m=600.0, strip_m=150.0, salt=8)
    drawn = parcels.draw(4)
    one = parcels.parcel == parcels.parcel[30, 30]
    assert len(np.unique(drawn[one])) == 1
    assert len(np.unique(drawn)) > 10


def test_the_same_seed_is_the_same_ground_and_another_is_not():
    first, again, other = (landscape(seed, HERE, theme="fields") for seed in (4, 4, 5))
    np.testing.assert_array_equal(first.abundance, again.abundance)
    np.testing.assert_array_equal(first.elevation_m, again.elevation_m)
    assert np.abs(first.abundance - other.abundance).max() > 0.2


def test_a_seed_alone_chooses_a_theme_and_names_it():
    drawn = {landscape(seed, Frame(8, 8, 60.0)).theme for seed in range(30)}
    assert drawn <= set(THEMES)
    assert len(drawn) > 3


def test_ground_is_the_same_wherever_the_frame_begins():
    whole = landscape(4, HERE, theme="fields").surface_reflectance("L8")
    part = Frame(30, 30, 30.0, HERE.left_m + 900.0, HERE.top_m - 900.0)
    np.testing.assert_allclose(
        landscape(4, part, theme="fields").surface_reflectance("L8")[:, 2:-2, 2:-2],
        whole[:, 32:-2, 32:-2],
        atol=0.02,
    )


@pytest.mark.parametrize("factor", [2, 3, 6])
def test_a_coarser_band_is_the_area_mean_of_a_finer_one(factor):
    ground = landscape(7, Frame(60, 60, 10.0, 3e5, 4e6), theme="fields")
    fine = ground.surface_reflectance("S2A")
    np.testing.assert_allclose(
        ground.surface_reflectance("S2A", pixel_m=10.0 * factor), area_mean(fine, factor), atol=1e-5
    )


def test_landsat_and_sentinel_2_see_the_same_ground():
    fine = landscape(7, Frame(240, 240, 10.0, 3e5, 4e6), theme="fields")
    other = landscape(7, Frame(160, 160, 15.0, 3e5, 4e6), theme="fields")
    red = fine.surface_reflectance("S2A", pixel_m=60.0, bands=[3])[0]
    landsat_red = other.surface_reflectance("L8", pixel_m=60.0, bands=[3])[0]
    assert np.corrcoef(red.ravel(), landsat_red.ravel())[0, 1] > 0.9
    assert abs(red.mean() - landsat_red.mean()) < 0.01


def test_reflectance_is_physical_in_every_band(ground):
    for sensor in SENSORS:
        found = ground.surface_reflectance(sensor)
        assert found.dtype == np.float32
        assert found.shape == (len(SENSORS[sensor].bands), *ground.frame.shape)
        assert np.isfinite(found).all()
        assert found.min() >= 0
        assert found.max() < 1.2


def test_abundances_are_not_negative_and_sum_to_about_one(ground):
    assert ground.abundance.min() > -1e-6
    total = ground.abundance.sum(axis=0)
    assert 0.9 < float(np.median(total)) < 1.1
    assert total.max() < 2.0


def test_land_is_textured_inside_a_class(ground):
    land = ground.surface_class != SurfaceClass.WATER
    near = ground.surface_reflectance("S2A", bands=[7])[0]
    assert near[land].std() > 0.01


def test_pixels_are_mixed_at_borders():
    water = landscape(5, Frame(200, 200, 20.0, 3e5, 4e6), theme="lakes").water
    assert ((water > 0.05) & (water < 0.95)).any()
    assert (water > 0.99).any()


@pytest.mark.parametrize(
    ("theme", "expected"),
    [
        ("coast", SurfaceClass.WATER),
        ("forest", SurfaceClass.FOREST),
        ("desert", SurfaceClass.BARE),
        ("town", SurfaceClass.BUILT),
        ("fields", SurfaceClass.OPEN),
    ],
)
def test_a_theme_holds_what_its_name_says(theme, expected):
    shares = [
        (landscape(seed, Frame(90, 90, 120.0, 3e5, 4e6), theme=theme).surface_class == expected).mean()
        for seed in range(4)
    ]
    assert np.mean(shares) > 0.12


def test_snow_lies_on_the_heights_and_further_down_in_spring():
    frame = Frame(90, 90, 120.0, 3e5, 4e6)
    summer = landscape(1, frame, theme="mountain", day=200)
    spring = landscape(1, frame, theme="mountain", day=120)
    assert spring.snow.sum() > 1.5 * summer.snow.sum()
    snowy, dry = spring.snow > 0.9, (spring.snow < 0.1) & (spring.water < 0.1)
    assert spring.elevation_m[snowy].mean() > spring.elevation_m[dry].mean() + 100


def test_fields_are_greener_in_spring_than_after_harvest():
    def greenness(day: int) -> float:
        ground = landscape(2, Frame(100, 100, 60.0, 3e5, 4e6), theme="fields", day=day)
        red, near = ground.surface_reflectance("S2A", bands=[3, 7])
        return float(((near - red) / (near + red))[ground.surface_class == SurfaceClass.OPEN].mean())

    assert greenness(140) > greenness(300) + 0.1


def test_the_sea_lies_at_sea_level():
    ground = landscape(3, Frame(90, 90, 120.0, 3e5, 4e6), theme="coast")
    assert (ground.elevation_m[ground.water > 0.999] < 1.5).mean() > 0.8


def test_a_test_landscape_holds_only_test_spectra():
    allowed = set(load_library().where(split="test").names)
    for seed in range(5):
        assert set(landscape(seed, Frame(4, 4, 60.0), split="test").endmembers.names) <= allowed


def test_an_unknown_theme_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match="fields"):
        landscape(1, HERE, theme="moon")

"""Ground of the suites: library spectra that training never saw, in a texture that repeats."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from undersky.bands import SENSORS
from undersky.datasets.ground import COVERS, SIZE, Materials, draw_materials, lay_out
from undersky.synth.library import load_library, split_of


@pytest.mark.parametrize("sensor", sorted(SENSORS))
@pytest.mark.parametrize("surface", ["land", "snow", "water"])
def test_every_material_is_of_the_librarys_test_half(sensor, surface):
    for seed in range(5):
        assert {split_of(name) for name in draw_materials(sensor, surface, seed=seed).names} == {"test"}


def test_materials_carry_one_value_for_each_corrected_band():
    for sensor in SENSORS.values():
        materials = draw_materials(sensor.key, "land", seed=3)
        assert {len(row) for row in materials.reflectance} == {len(sensor.corrected_bands)}


def test_materials_are_the_librarys_spectra_through_the_sensors_responses():
    materials = draw_materials("L8", "land", seed=9)
    library = load_library()
    row = library.names.index(materials.names[0])
    bands = [i for i, band in enumerate(SENSORS["L8"].bands) if band.is_corrected]
    expected = library.take([row]).band_reflectance("L8")[0, bands]
    assert np.allclose(materials.reflectance[0], expected, atol=1e-5)


def test_the_same_seed_draws_the_same_materials():
    assert draw_materials("S2A", "land", seed=5) == draw_materials("S2A", "land", seed=5)


def test_sensors_see_the_same_materials_of_one_seed():
    seen = {draw_materials(sensor, "land", seed=5).names for sensor in SENSORS}
    assert len(seen) == 1


def test_seeds_draw_different_materials():
    drawn = {draw_materials("S2A", "land", seed=seed).names for seed in range(12)}
    assert len(drawn) > 8


@pytest.mark.parametrize("surface", ["snow", "water"])
def test_a_surface_slice_holds_its_surface(surface):
    covers = [lay_out(draw_materials("S2B", surface, seed=seed), seed=seed)[1] for seed in range(8)]
    shares = [(cover == COVERS.index(surface)).mean() for cover in covers]
    assert min(shares) > 0.4
    assert np.mean(shares) > 0.8


def test_land_never_holds_snow():
    for seed in range(12):
        assert "snow" not in draw_materials("S2A", "land", seed=seed).classes


def _two_materials(low=0.1, high=0.4):
    return Materials(("a", "b"), ("soil", "vegetation"), (0.0, 0.0), ((low, low), (high, high)))


@given(seed=st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_ground_is_physical_and_of_the_stated_shape(seed):
    surface, cover = lay_out(draw_materials("S2C", "land", seed=seed), seed=seed)
    assert surface.shape == (12, SIZE, SIZE)
    assert surface.dtype == np.float32
    assert cover.shape == (SIZE, SIZE)
    assert np.isfinite(surface).all()
    assert surface.min() >= 0.0
    assert surface.max() < 1.0


@given(seed=st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_a_mixture_lies_between_its_materials_but_for_the_shade(seed):
    surface, _ = lay_out(_two_materials(), seed=seed)
    assert surface.min() > 0.1 * 0.4
    assert surface.max() < 0.4 * 2.0


def test_the_texture_repeats_with_its_seed_and_changes_with_another():
    first, again, other = (lay_out(_two_materials(), seed=seed)[0] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.allclose(first, other)


def test_the_ground_has_spatial_texture_at_all_scales():
    surface, _ = lay_out(_two_materials(), seed=4)
    neighbours = np.corrcoef(surface[0, :, :-1].ravel(), surface[0, :, 1:].ravel())[0, 1]
    far = np.corrcoef(surface[0, :, :-40].ravel(), surface[0, :, 40:].ravel())[0, 1]
    assert 0.5 < neighbours < 0.999
    assert abs(far) < 0.8 * neighbours
    assert surface[0].std() > 0.02


def test_the_cover_is_the_class_with_the_largest_share():
    surface, cover = lay_out(_two_materials(low=0.02, high=0.9), seed=6)
    bright = surface[0] > 0.75
    dark = surface[0] < 0.25
    assert (cover[bright] == COVERS.index("vegetation")).all()
    assert (cover[dark] == COVERS.index("soil")).all()


def test_a_lead_covers_more_ground():
    ahead = Materials(("a", "b"), ("soil", "vegetation"), (1.5, 0.0), ((0.1,), (0.4,)))
    covered = [
        (lay_out(materials, seed=seed)[1] == COVERS.index("soil")).mean()
        for materials in (_two_materials(), ahead)
        for seed in range(6)
    ]
    assert np.mean(covered[6:]) > np.mean(covered[:6]) + 0.2

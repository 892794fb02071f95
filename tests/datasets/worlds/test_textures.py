import numpy as np

from undersky.datasets.worlds.textures import SIZE, draw_textures


def drawn(count: int = 24, seed: int = 1):
    return draw_textures(count, np.random.default_rng(seed))


def test_there_are_as_many_patches_as_asked_and_a_third_as_many_shades() -> None:
    found = drawn(16)
    assert found.patches.shape == (16, SIZE, SIZE)
    assert found.shades.shape == (6, SIZE, SIZE)
    assert found.patches.dtype == found.shades.dtype == np.float16


def test_the_same_generator_draws_the_same_fields_and_another_does_not() -> None:
    one, same, other = drawn(), drawn(), drawn(seed=2)
    assert np.array_equal(one.patches, same.patches)
    assert np.array_equal(one.shades, same.shades)
    assert not np.array_equal(one.patches, other.patches)


def test_no_field_is_drawn_twice() -> None:
    found = drawn()
    for bank in (found.patches, found.shades):
        flat = bank.reshape(len(bank), -1)
        assert len(np.unique(flat, axis=0)) == len(bank)


def test_fields_are_finite_and_of_about_unit_variance() -> None:
    found = drawn(48)
    for bank in (found.patches, found.shades):
        values = bank.astype(np.float64)
        assert np.isfinite(values).all()
        assert 0.5 < values.std() < 1.5
        assert abs(values.mean()) < 0.5
        assert np.abs(values).max() < 8.0


def test_neighbours_are_alike_for_ground_is_no_noise() -> None:
    values = drawn(48).patches.astype(np.float64)
    step = np.diff(values, axis=2).std()
    assert step < 0.6 * values.std()

"""What a landscape is painted with and divided into: endmembers by role, kinds of country, parcels."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from undersky.synth.fractal import Frame, hashed
from undersky.synth.landscape import SurfaceClass, _dominant, _line, _season, _step
from undersky.synth.library import load_library
from undersky.synth.palette import _PALETTE, _suitable, choose
from undersky.synth.parcels import _cells, divide
from undersky.synth.themes import NEVER, THEMES

FRAME = Frame(90, 100, 20.0, 6.5e5, 4.98e6)
RED, NEAR = 26, 46  # 660 and 860 nm
QUICK = settings(max_examples=25, deadline=None)


def palette(seed: int, split: str = "train"):
    return choose(load_library().where(split=split), np.random.default_rng(seed))


# palette ------------------------------------------------------------------------------------------------


@QUICK
@given(st.integers(0, 10_000), st.sampled_from(["train", "test"]))
def test_roles_divide_the_endmembers_without_gap_or_overlap(seed, split):
    chosen = palette(seed, split)
    ends = [(where.start, where.stop) for where in chosen.roles.values()]
    assert ends[0][0] == 0
    assert all(before[1] == after[0] for before, after in pairwise(ends))
    assert ends[-1][1] == len(chosen.spectra.names) == sum(count for *_, count in _PALETTE)


@QUICK
@given(st.integers(0, 10_000), st.sampled_from(["train", "test"]))
def test_every_role_is_played_by_its_own_class(seed, split):
    chosen = palette(seed, split)
    for role, surface_class, _, _ in _PALETTE:
        assert set(chosen.spectra.classes[chosen.roles[role]]) == {surface_class}


@QUICK
@given(st.integers(0, 10_000))
def test_crops_are_the_greenest_and_trees_the_darkest_of_the_plants(seed):
    chosen = palette(seed)

    def of(role):
        reflectance = chosen.spectra.reflectance[chosen.roles[role]]
        return reflectance[:, RED], reflectance[:, NEAR]

    crop_red, crop_near = of("crop")
    assert ((crop_near - crop_red) / (crop_near + crop_red) > 0.82).all()
    assert of("forest")[1].max() < 0.42 < crop_near.min() + 0.05
    assert of("road")[1].max() < 0.3


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("role", ["crop", "grass", "forest", "road"])
def test_both_splits_hold_enough_spectra_that_suit_a_choosy_role(role, split):
    surface_class, kinds, count = next(entry[1:] for entry in _PALETTE if entry[0] == role)
    pool = load_library().where(surface_class, kinds=kinds, split=split)
    suitable = _suitable(pool, role)
    assert set(suitable) < set(pool.names)
    assert len(suitable) >= count


def test_where_nothing_suits_everything_does():
    bright = load_library().where("snow")
    assert _suitable(bright, "road") == bright.names


def test_the_same_generator_chooses_the_same_spectra_and_no_role_takes_one_twice():
    assert palette(3).spectra.names == palette(3).spectra.names
    assert palette(3).spectra.names != palette(4).spectra.names
    for seed in range(20):
        chosen = palette(seed)
        for where in chosen.roles.values():
            names = chosen.spectra.names[where]
            assert len(set(names)) == len(names)


# themes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", THEMES)
def test_a_theme_describes_country_that_exists(name):
    theme = THEMES[name]
    assert 0 < theme.relief_m < 3000
    assert 0 <= theme.base_m < 2000
    assert 0 <= theme.dry <= 1
    assert theme.snow_line_m > 1500
    for level in (theme.forest, theme.settlement, theme.lake, theme.burnt):
        assert -1 < level < 3 or level == NEVER
    assert not (theme.sea and theme.base_m > 0)


def test_themes_differ_from_each_other():
    assert len(set(THEMES.values())) == len(THEMES) >= 5


# parcels ------------------------------------------------------------------------------------------------


@pytest.mark.oracle
@QUICK
@given(st.floats(200, 2000), st.integers(0, 2**40))
def test_districts_are_the_voronoi_cells_of_their_jittered_lattice_by_a_search_tree(size, salt):
    rng = np.random.default_rng(1)
    x, y = 6.5e5 + 6000 * rng.random((2, 30, 30))
    district, to_border, from_x, from_y = _cells(x, y, size_m=size, salt=salt)
    i, j = (values.ravel() for values in np.meshgrid(
        np.arange(int(x.min() // size) - 2, int(x.max() // size) + 3),
        np.arange(int(y.min() // size) - 2, int(y.max() // size) + 3),
    ))  # fmt: skip
    key = hashed(i, j, salt=salt)
    jitter = (
        np.stack([key & np.uint64(0xFFFF), (key >> np.uint64(16)) & np.uint64(0xFFFF)]).astype(float) / 65536
    )
    points = (np.stack([i, j]) + jitter).T * size
    distance, index = cKDTree(points).query(np.stack([x.ravel(), y.ravel()]).T, k=2)
    # nine neighbouring cells are searched: rarely a point two cells away is nearer than all of them
    usual = np.hypot(from_x, from_y).ravel() <= distance[:, 0] * (1 + 1e-4) + 1e-3
    assert usual.mean() > 0.97
    same = (key[index[:, 0]] >> np.uint64(8)).astype(np.int64) == district.ravel()
    clear = usual & (distance[:, 1] - distance[:, 0] > 1e-2)
    assert same[clear].all()
    gap = 0.5 * (distance[:, 1] - distance[:, 0])
    assert np.median(np.abs(to_border.ravel() - gap)[usual]) < 0.02


@QUICK
@given(st.integers(0, 2**40), st.integers(1, 40), st.integers(1, 40))
def test_parcels_are_the_same_from_wherever_one_looks(salt, down, right):
    whole = divide(FRAME, district_m=700.0, strip_m=120.0, salt=salt)
    part = Frame(90 - down, 100 - right, 20.0, FRAME.left_m + 20 * right, FRAME.top_m - 20 * down)
    again = divide(part, district_m=700.0, strip_m=120.0, salt=salt)
    # a border pixel may fall to either side of what single precision rounds
    assert (again.parcel == whole.parcel[down:, right:]).mean() > 0.995
    assert np.abs(again.to_edge_m - whole.to_edge_m[down:, right:]).mean() < 0.5


@QUICK
@given(st.integers(0, 2**40))
def test_edges_lie_where_parcels_change(salt):
    parcels = divide(FRAME, district_m=700.0, strip_m=120.0, salt=salt)
    change = parcels.parcel[:, 1:] != parcels.parcel[:, :-1]
    nearest = np.minimum(parcels.to_edge_m[:, 1:], parcels.to_edge_m[:, :-1])
    assert np.quantile(nearest[change], 0.97) < 30.0
    assert parcels.to_edge_m.min() > -1e-3


@pytest.mark.parametrize(("strip_m", "low", "high"), [(80.0, 60, 260), (300.0, 150, 800)])
def test_parcels_are_about_as_wide_as_asked(strip_m, low, high):
    parcels = divide(Frame(300, 300, 20.0), district_m=2500.0, strip_m=strip_m, salt=4)
    area = 6000.0**2 / len(np.unique(parcels.parcel))
    assert low < np.sqrt(area) < high


def test_draws_of_different_salts_are_uniform_and_independent():
    parcels = divide(Frame(300, 300, 40.0), district_m=900.0, strip_m=150.0, salt=4)
    _, first = np.unique(parcels.parcel, return_index=True)
    one, other = (parcels.draw(salt).ravel()[first] for salt in (1, 2))
    assert len(first) > 500
    assert abs(one.mean() - 0.5) < 0.05
    assert one.std() == pytest.approx(12**-0.5, abs=0.03)
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.12


# brushes ------------------------------------------------------------------------------------------------


@QUICK
@given(st.floats(-3, 3), st.floats(0.05, 1), st.floats(-5, 5), st.floats(-5, 5))
def test_a_step_rises_once_from_none_to_all_about_its_level(level, softness, one, other):
    low, high = sorted((one, other))
    below, above = _step(np.array([low, high]), level, softness)
    assert 0 <= below <= above <= 1
    assert _step(np.array([level]), level, softness)[0] == pytest.approx(0.5, abs=1e-4)
    assert _step(np.array([level - softness, level + softness]), level, softness).tolist() == pytest.approx(
        [0, 1], abs=1e-4
    )


@QUICK
@given(st.floats(1, 60), st.floats(5, 60))
def test_a_line_covers_its_width_whatever_the_pixels(width, pixel):
    distance = np.abs(np.arange(-500, 500, 0.5, dtype=np.float32))
    covered = _line(distance, width, pixel)
    assert 0 <= covered.min() <= covered.max() <= min(1.0, width / pixel) + 1e-6
    # over all positions of a pixel together: as much ground as the line has
    assert covered.sum() * 0.5 == pytest.approx(width, rel=0.03)


@QUICK
@given(st.integers(1, 365), st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_green_and_stubble_are_shares_all_year(day, use):
    green, stubble = _season(np.array(use, np.float32), day)
    for share in (green, stubble):
        assert share.dtype == np.float32
        assert 0 <= share.min() <= share.max() <= 1


@pytest.mark.parametrize(("use", "peak", "bare"), [(0.25, 135, 20), (0.75, 215, 60)])
def test_winter_cereals_peak_in_may_and_summer_crops_in_august(use, peak, bare):
    year = [float(_season(np.array([use], np.float32), day)[0][0]) for day in range(1, 366)]
    assert abs(int(np.argmax(year)) + 1 - peak) <= 2
    assert year[peak] > 0.9
    assert year[bare] < 0.2


def test_stubble_follows_the_harvest_and_is_ploughed_in():
    year = [float(_season(np.array([0.25], np.float32), day)[1][0]) for day in range(1, 366)]
    assert max(year[:180]) == 0
    assert year[230] == pytest.approx(0.75, abs=0.01)
    assert year[310] < 0.05


def test_the_dominant_class_is_that_of_the_largest_share():
    shares = {
        SurfaceClass.SNOW: np.array([[0.1, 0.6]], np.float32),
        SurfaceClass.OPEN: np.array([[0.5, 0.3]], np.float32),
        SurfaceClass.WATER: np.array([[0.4, 0.1]], np.float32),
    }
    assert _dominant(shares).tolist() == [[int(SurfaceClass.OPEN), int(SurfaceClass.SNOW)]]

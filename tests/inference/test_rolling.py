"""What many maps of one place say together."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from undersky.inference import rolling
from undersky.inference.rolling import fuse
from undersky.landcover import CODES
from undersky.raster.encoding import COVER_CONFIDENCE, decode
from undersky.tile_refs import ROLL_RULE

TREE, CROP, TOWN, SNOW = 10, 40, 50, 70
views = some.lists(
    some.tuples(some.sampled_from([0, *CODES]), some.integers(9, 100), some.integers(20_000, 20_360)),
    min_size=1,
    max_size=8,
)


def _fused(*seen: tuple[int, float, int]) -> rolling.Rolled:
    """Of one pixel, each view a class, a probability and a day."""
    codes = np.array([[[code]] for code, _, _ in seen], dtype=np.uint8)
    sure = np.array([[[p if code else np.nan]] for code, p, _ in seen], dtype=np.float32)
    return fuse(codes, sure, np.array([day for _, _, day in seen]))


def _sure(*seen: tuple[int, float, int]) -> float:
    return float(_fused(*seen).confidence[0, 0])


@given(code=some.sampled_from(CODES), percent=some.integers(10, 99), day=some.integers(1, 65_000))
@settings(max_examples=40, deadline=None)
def test_one_view_gives_itself(code: int, percent: int, day: int) -> None:
    found = _fused((code, percent / 100, day))
    assert (found.codes[0, 0], found.last_clear[0, 0], found.observations[0, 0]) == (code, day, 1)
    assert found.confidence[0, 0] == pytest.approx(percent / 100, abs=1e-5)
    assert found.change[0, 0] == rolling.NO_CHANGE_KNOWN


@given(code=some.sampled_from(CODES), percent=some.integers(15, 98), number=some.integers(1, 10))
@settings(max_examples=40, deadline=None)
def test_agreement_makes_surer_and_less_than_independent_witnesses_would(
    code: int, percent: int, number: int
) -> None:
    p = percent / 100
    alone, together = _sure((code, p, 100)), _sure(*[(code, p, 100)] * (number + 1))
    independent = p ** (number + 1) / (p ** (number + 1) + 10 * ((1 - p) / 10) ** (number + 1))
    assert alone < together <= independent + 1e-6


def test_contradiction_makes_less_sure_and_the_surer_view_wins() -> None:
    found = _fused((TREE, 0.6, 100), (CROP, 0.9, 100))
    assert found.codes[0, 0] == CROP
    assert found.confidence[0, 0] < 0.9


def test_of_equally_sure_views_the_newer_wins() -> None:
    assert _fused((TREE, 0.8, 100), (CROP, 0.8, 160)).codes[0, 0] == CROP


def test_a_pixel_seen_once_keeps_what_was_seen_however_old_it_is() -> None:
    found = _fused((TREE, 0.8, 100), (0, np.nan, 400))
    assert (found.codes[0, 0], found.last_clear[0, 0], found.observations[0, 0]) == (TREE, 100, 1)
    assert found.confidence[0, 0] == pytest.approx(0.8, abs=1e-5)


def test_a_pixel_that_was_never_seen_has_no_class() -> None:
    found = _fused((0, np.nan, 100), (0, np.nan, 130))
    assert (found.codes[0, 0], found.last_clear[0, 0], found.observations[0, 0]) == (0, 0, 0)
    assert np.isnan(found.confidence[0, 0])
    assert found.change[0, 0] == rolling.NO_CHANGE_KNOWN


def test_ground_that_two_new_views_agree_became_another_is_changed_and_mapped_as_what_it_is_now() -> None:
    found = _fused(*[(TREE, 0.9, day) for day in (1, 20, 40, 60, 80)], (TOWN, 0.9, 90), (TOWN, 0.9, 100))
    assert (found.change[0, 0], found.codes[0, 0], found.observations[0, 0]) == (1, TOWN, 7)
    assert found.confidence[0, 0] > 0.9


@pytest.mark.parametrize(
    ("newest", "change"),
    [
        ([(TREE, 0.9), (TOWN, 0.9)], 0),  # one view alone
        ([(TOWN, 0.9), (CROP, 0.9)], 0),  # they contradict each other
        ([(TOWN, 0.9), (TOWN, 0.5)], 0),  # one is not sure
        ([(SNOW, 0.9), (SNOW, 0.9)], 0),  # snow comes and goes
        ([(TREE, 0.9), (TREE, 0.9)], 0),
    ],
)
def test_less_than_that_is_no_change(newest: list[tuple[int, float]], change: int) -> None:
    seen = [(TREE, 0.9, 1), (TREE, 0.9, 2), *((code, p, 3 + i) for i, (code, p) in enumerate(newest))]
    assert _fused(*seen).change[0, 0] == change


def test_sixty_percent_as_a_map_keeps_it_is_sure() -> None:
    kept = float(decode(np.array([60], dtype=np.uint8), COVER_CONFIDENCE)[0])
    seen = [(TREE, 0.9, 1), (TREE, 0.9, 2), (TOWN, kept, 3), (TOWN, kept, 4)]
    assert _fused(*seen).change[0, 0] == 1


def test_change_is_unknown_where_too_few_views_tell() -> None:
    assert _fused((TREE, 0.9, 1), (TOWN, 0.9, 2), (TOWN, 0.9, 3)).change[0, 0] == rolling.NO_CHANGE_KNOWN


@given(seen=views)
@settings(max_examples=60, deadline=None)
def test_whatever_was_seen_the_map_is_one_of_it(seen: list[tuple[int, int, int]]) -> None:
    ordered = sorted(seen, key=lambda view: view[2])
    found = _fused(*[(code, percent / 100, day) for code, percent, day in ordered])
    clear = [(code, day) for code, _, day in ordered if code]
    assert found.observations[0, 0] == len(clear)
    assert found.codes[0, 0] in ({code for code, _ in clear} or {0})
    assert found.last_clear[0, 0] == max((day for _, day in clear), default=0)
    assert not clear or 0.09 < found.confidence[0, 0] <= 1.0


def test_pixels_do_not_know_of_each_other() -> None:
    rng = np.random.default_rng(7)
    codes = rng.choice([0, *CODES], size=(6, 9, 11)).astype(np.uint8)
    sure = rng.uniform(0.1, 0.99, codes.shape).astype(np.float32)
    days = np.array([3, 30, 90, 90, 200, 300])
    whole, part = fuse(codes, sure, days), fuse(codes[:, 4:, :5], sure[:, 4:, :5], days)
    for name in ("codes", "confidence", "last_clear", "observations", "change"):
        np.testing.assert_array_equal(getattr(whole, name)[4:, :5], getattr(part, name))


def test_the_ledger_knows_the_rule_by_its_version() -> None:
    assert rolling.VERSION == ROLL_RULE

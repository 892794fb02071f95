from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undersky.flow.words import listed, moment, scenes, sentence, span


def test_a_moment_is_said_in_utc():
    east = timezone(timedelta(hours=2))
    assert moment(datetime(2025, 6, 19, 12, 3, 59, tzinfo=east)) == "2025-06-19 10:03 UTC"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (89, "89 s"),
        (90, "2 min"),
        (12 * 60, "12 min"),
        (3 * 3600, "3 h"),
        (3 * 3600 + 1200, "3 h 20 min"),
        (47.5 * 3600, "47 h 30 min"),
        (5 * 86400, "5 days"),
        (-600, "10 min"),
    ],
)
def test_a_span_has_two_figures_at_most(seconds, said):
    assert span(timedelta(seconds=seconds)) == said


@given(st.floats(0, 1e8), st.floats(0, 1e8))
def test_a_longer_span_is_never_said_in_a_smaller_unit(first, second):
    units = ("s", "min", "h", "days")
    shorter, longer = (span(timedelta(seconds=each)).split()[1] for each in sorted((first, second)))
    assert units.index(shorter) <= units.index(longer)


def test_scenes_are_counted_in_words():
    assert [scenes(n) for n in (0, 1, 2, 1200)] == ["no scene", "1 scene", "2 scenes", "1,200 scenes"]


def test_names_are_listed_and_many_are_cut():
    assert listed([]) == "none"
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert listed(list("abcdefg"), most=3) == "a, b and 5 more"


@pytest.mark.parametrize(
    ("text", "said"), [("no B10", "no B10."), ("Really?", "Really?"), (" gone. ", "gone."), ("", "")]
)
def test_a_sentence_ends_once(text, said):
    assert sentence(text) == said

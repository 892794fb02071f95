"""The page of a run, as text."""

import re

import pytest

from page_scenes import HEADING, landcover, scene, surface, vessels
from undersky.pages import Heading, Link, PageScene, in_full, run_page
from undersky.pages.values import PageProduct

HOSTILE = "<script>alert(\"x\")</script>' onerror='y"


def nothing(number: int, state: str = "skipped", why: str = "too cloudy") -> PageScene:
    return scene(number, PageProduct("surface", state, sentence=why))


def test_the_page_asks_for_nothing_from_elsewhere() -> None:
    page = run_page(HEADING, shown=[scene()])
    assert "default-src 'none'" in page
    sources = re.findall(r'(?:src|srcset|action|data-src)="([^"]+)"', page)
    assert sources
    assert all(source.startswith("data:image/") for source in sources)
    assert not re.search(r"https?://|@import|url\(", page)


def test_the_same_values_give_the_same_page() -> None:
    assert run_page(HEADING, shown=[scene()]) == run_page(HEADING, shown=[scene()])


def test_every_picture_has_words_and_the_slider_a_name() -> None:
    page = run_page(HEADING, shown=[scene()])
    pictures = re.findall(r"<img[^>]*>", page)
    assert len(pictures) == 2 + 1 + 1 + 3
    assert all(re.search(r'alt="[^"]{5,}"', each) and 'decoding="async"' in each for each in pictures)
    assert 'aria-label="before left, after right: S2B_32TQM_SR_00000000"' in page


def test_shares_stand_in_the_legend_the_largest_class_first_and_absent_ones_nowhere() -> None:
    page = run_page(HEADING, shown=[scene(0, landcover())])
    legend = page[page.index('aria-label="Share of the classes"') :]
    assert legend.index("Cropland <b>41.2") < legend.index("Permanent water bodies <b>24.0")
    assert "Mangroves" not in page
    assert "mean confidence 81" in page


def test_objects_are_told_with_score_length_and_place() -> None:
    page = run_page(HEADING, shown=[scene(0, vessels(more_objects=7))])
    assert "<td>1</td><td>0.97</td><td>180&nbsp;m</td><td>12.20000</td><td>45.40000</td>" in page
    assert "7 more, less sure, in the files." in page
    assert "<b>10</b> vessels; 31&nbsp;% of the scene lies on or beside water" in page


def test_no_object_is_said_too() -> None:
    page = run_page(HEADING, shown=[scene(0, vessels(objects=()))])
    assert "<b>0</b> vessels" in page
    assert "Where they are" not in page


def test_a_held_product_says_why_before_every_good_one() -> None:
    held = landcover(9, state="held", sentence="one class everywhere", failed=("99.9 % is water",))
    shown, rest = in_full([scene(1), scene(9, surface(9), held)])
    assert [each.key[-12:-6] for each in shown] == ["000009", "000001"]
    assert rest == ()
    page = run_page(HEADING, shown=shown)
    assert "<p>one class everywhere</p><ul><li>99.9 % is water</li></ul>" in page


def test_of_many_scenes_the_first_are_shown_and_every_other_is_named() -> None:
    scenes = [*(scene(number, surface(0)) for number in range(5)), nothing(7)]
    shown, rest = in_full(scenes, most=3)
    assert (len(shown), len(rest)) == (3, 3)
    page = run_page(HEADING, shown=shown, rest=rest)
    assert "2 more scenes with products: this page shows the pictures of 3 alone; 1 scene of which" in page
    assert all(each.key in page for each in scenes)
    assert "too cloudy" in page


def test_a_run_that_made_nothing_has_a_page_that_says_so() -> None:
    shown, rest = in_full([nothing(1), nothing(2, "failed", "the process died")])
    assert shown == ()
    page = run_page(HEADING, shown=shown, rest=rest)
    assert "No scene of this run has anything to show" in page
    assert "the process died" in page


def test_what_an_earlier_run_made_is_not_counted_as_of_this_one() -> None:
    page = run_page(HEADING, shown=[scene(0, surface(note="made by an earlier run"), landcover())])
    assert '<li class="published"><b>1</b> land cover published</li>' in page
    assert "surface reflectance published</li>" not in page


def test_a_product_without_a_picture_from_before_is_shown_as_it_is() -> None:
    after = {"after": surface().pictures["after"]}
    page = run_page(HEADING, shown=[scene(0, surface(pictures=after)), scene(1, surface(pictures={}))])
    assert "No picture of what the satellite saw was kept" in page
    assert "There is no picture of it that can be read" in page
    assert 'type="range"' not in page


@pytest.mark.parametrize("place", ["id", "sentence", "models", "links", "heading", "key"])
def test_nothing_from_outside_becomes_markup(place: str) -> None:
    product, heading, key = surface(state="held"), HEADING, "k"
    match place:
        case "id" | "sentence":
            product = surface(state="held", **{place: HOSTILE})
        case "models":
            product = surface(models=(HOSTILE,))
        case "links":
            product = surface(links=(Link(HOSTILE, HOSTILE),))
        case "heading":
            heading = Heading(HOSTILE, HOSTILE, {HOSTILE: HOSTILE})
        case _:
            key = HOSTILE
    page = run_page(heading, shown=[PageScene(key, HOSTILE, (product,))])
    assert page.count("<script") == 1
    assert "' onerror='" not in page


def test_two_hundred_scenes_stay_below_what_a_browser_opens_at_once() -> None:
    scenes = [scene(number, surface(0), landcover(0)) for number in range(200)]
    shown, rest = in_full(scenes)
    assert (len(shown), len(rest)) == (60, 140)
    assert len(run_page(HEADING, shown=shown, rest=rest)) < 2_000_000

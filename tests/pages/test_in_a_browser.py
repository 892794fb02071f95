"""The page of a run in a real browser, wide and narrow: tried by hand and mouse, watched for requests."""

from pathlib import Path

import pytest

from headless import Browser, headless
from page_scenes import HEADING, landcover, scene, surface
from undersky.pages import run_page
from undersky.pages.values import PageProduct

pytestmark = pytest.mark.oracle

VALUE = "document.querySelector('.swipe input').value"
AT = "getComputedStyle(document.querySelector('.swipe .over')).clipPath"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory):
    with headless(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    held = landcover(2, state="held", sentence="One class everywhere.", failed=("99.9 % is water.",))
    rest = [scene(7, PageProduct("surface", "skipped", sentence="only 2.0 % of the pixels show the ground"))]
    path = tmp_path_factory.mktemp("page") / "index.html"
    path.write_text(run_page(HEADING, shown=[scene(), scene(1, surface(1), held)], rest=rest))
    return path


def test_the_arrow_keys_move_the_line(browser: Browser, page: Path) -> None:
    browser.open(page, width=1200)
    browser.run("document.querySelector('.swipe input').focus()")
    for _ in range(10):
        browser.press("ArrowRight", 39)
    assert browser.run(VALUE) == "60"
    assert browser.run(AT) == "inset(0px 0px 0px 60%)"


def test_the_mouse_drags_the_line(browser: Browser, page: Path) -> None:
    browser.open(page, width=1200)
    box = browser.run(
        "(b => [b.left, b.top, b.width, b.height])(document.querySelector('.swipe').getBoundingClientRect())"
    )
    left, top, width, height = box
    middle = top + height / 2
    browser.drag((left + width * 0.5, middle), (left + width * 0.2, middle))
    assert 15 <= float(browser.run(VALUE)) <= 25


@pytest.mark.parametrize("width", [1200, 400])
def test_nothing_is_asked_for_and_nothing_complains_and_nothing_sticks_out(
    browser: Browser, page: Path, width: int
) -> None:
    browser.open(page, width=width)
    decoded = (
        "Promise.all([...document.images].map(i => {i.loading = 'eager'; return i.decode()})).then(() => 1)"
    )
    assert browser.run(decoded) == 1
    assert browser.run("[...document.images].every(i => i.naturalWidth > 0)") is True
    assert browser.requested() == [page.as_uri()]
    assert browser.complaints() == []
    assert browser.run("document.documentElement.scrollWidth") <= width


def test_it_is_dark_where_the_reader_likes_it_dark(browser: Browser, page: Path) -> None:
    colour = "getComputedStyle(document.body).backgroundColor"
    browser.open(page, width=1200)
    light = browser.run(colour)
    browser.open(page, width=1200, dark=True)
    assert (light, browser.run(colour)) == ("rgb(242, 245, 248)", "rgb(14, 21, 27)")

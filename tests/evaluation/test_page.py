"""One page that opens from disk: whole, without scripts, simulated and real results apart."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from scenes import Offset, observation

from undersky.datasets.pairs import Pair
from undersky.datasets.suites import load_suite
from undersky.evaluation.laws import LAWS, Finding
from undersky.evaluation.page import laws_section, page, pair_section, suite_section
from undersky.evaluation.real import score_pair
from undersky.evaluation.score import score_suite
from undersky.evaluation.views import suite_views

VOID = {"meta", "img", "br"}
METHODS = (Offset(0.0, name="mine", sigma=0.02, aot_550=0.1), Offset(0.1, name="other"))


class Outline(HTMLParser):
    """Tags in order; fails on one that is closed out of turn."""

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.links = [], [], []

    def handle_starttag(self, tag, attributes):
        self.seen.append(tag)
        self.links += [value for key, value in attributes if key in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def suite():
    whole = load_suite("direct-6s")
    suite = replace(whole, scenes=whole.scenes[:6])
    scores = score_suite(suite, METHODS)
    views = list(suite_views(suite.scenes, scores[0], METHODS[0]))
    return suite_section("direct-6s", scores, views, origin="simulated", lead="Direct 6S.")


@pytest.fixture(scope="module")
def pair():
    spectrum = np.array([0.12, 0.1, 0.1, 0.1, 0.15, 0.25, 0.28, 0.3, 0.3, 0.2, 0.2, 0.15], dtype=np.float32)
    seen = observation(shape=(12, 12))
    texture = np.random.default_rng(5).normal(1.0, 0.03, (1, 12, 12)).astype(np.float32)
    seen = replace(seen, toa=spectrum[:, None, None] * texture)
    made = Pair("made-up", "Sen<2>Cor", seen, seen.toa, np.ones((12, 12), bool), ("no wind",))
    return pair_section(score_pair(made, METHODS))


@pytest.fixture(scope="module")
def text(suite, pair):
    laws = {"flip": Finding(LAWS["flip"], 0.1), "nodata": Finding(LAWS["nodata"], 90.0)}
    return page([suite, laws_section(laws), pair], model="mine <1>")


@pytest.fixture(scope="module")
def outline(text):
    found = Outline()
    found.feed(text)
    found.close()
    return found


def test_every_tag_is_closed_in_turn(outline):
    assert outline.open == []


def test_the_page_has_no_script_and_needs_nothing_from_elsewhere(text, outline):
    assert "script" not in outline.seen
    assert "link" not in outline.seen
    assert all(link.startswith(("data:image/", "#")) for link in outline.links)
    assert "url(" not in text
    assert "@import" not in text


def test_simulated_and_real_results_stand_in_halves_of_their_own(text):
    simulated, real = text.split('<div class="half real">')
    assert "Simulated scenes" in simulated
    assert 'id="simulated-direct-6s"' in simulated
    assert 'id="simulated-laws"' in simulated
    assert "made-up" not in simulated.split("</nav>")[1]
    assert 'id="real-made-up"' in real
    assert "simulated" not in real.lower()


def test_every_link_of_the_head_leads_somewhere(text, outline):
    for link in outline.links:
        if link.startswith("#"):
            assert f'id="{link[1:]}"' in text


def test_names_are_text_not_markup(text):
    assert "mine &lt;1&gt;" in text
    assert "Sen&lt;2&gt;Cor" in text
    assert "<2>" not in text


def test_a_suite_shows_headline_tables_figures_and_pictures(suite):
    assert dict(suite.tiles).keys() >= {"in spec", "AOD RMSE", "within 1 sigma", "within 2 sigma"}
    text = "".join(suite.blocks)
    for words in ("Reliability", "over the optical depth", "Estimated over true", "Error over stated sigma"):
        assert words in text
    assert "The worst: " in text
    assert "<th>method</th>" in text
    assert "Every band in every slice" in text


def test_a_method_without_uncertainty_has_no_reliability_diagram():
    whole = load_suite("direct-6s")
    scores = score_suite(replace(whole, scenes=whole.scenes[:2]), METHODS[1:])
    section = suite_section("x", scores, [], origin="simulated", lead="")
    assert "Reliability" not in "".join(section.blocks)
    assert "Estimated over true" in "".join(section.blocks)


def test_a_pair_shows_figures_pictures_and_what_was_assumed(pair):
    text = "".join(pair.blocks)
    assert "<li>no wind</li>" in text
    assert "Estimated over Sen&lt;2&gt;Cor reflectance" in text
    assert 'class="view"' in text
    assert dict(pair.tiles) == {"clear pixels": "144"}


def test_broken_laws_are_marked(text):
    assert "1 of 2" in text
    assert len(re.findall('class="no"', text)) == 1


def test_a_page_without_real_scenes_has_no_empty_half(suite):
    assert "Real scenes" not in page([suite], model="mine")

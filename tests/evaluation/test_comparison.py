"""The review page: one file that opens from disk, ten swipes, nothing from elsewhere."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from rows import IDENTITY, gate, rows
from scenes import Offset

from undersky.datasets.suites import load_suite
from undersky.errors import ConfigError
from undersky.evaluation.comparison import comparison_page
from undersky.evaluation.evidence import rows_of
from undersky.evaluation.gate import Rule
from undersky.evaluation.interval_bar import interval_bar
from undersky.evaluation.judging import judge
from undersky.evaluation.review import review_scenes, swipes
from undersky.evaluation.versus import compare_on
from undersky.judgement import GateOutcome

VOID = {"meta", "img", "br", "input", "path", "circle"}
CANDIDATE, CHAMPION = Offset(0.0, name="new"), Offset(0.02, name="old")


class Outline(HTMLParser):
    """Tags in order, with their attributes; fails on one that is closed out of turn."""

    def __init__(self, text):
        super().__init__()
        self.open, self.seen = [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def all(self, tag):
        return [attributes for found, attributes in self.seen if found == tag]


@pytest.fixture(scope="module")
def shown():
    return list(swipes(review_scenes(load_suite("direct-6s")), CANDIDATE, CHAMPION))


def page_of(shown, *, better=30.0, worst=(), **changes):
    mine, theirs = rows([60.0 + better] * 20), rows([60.0] * 20)
    aerosol = [rows([50.0] * 9, dimension="aerosol", value=f"<type {n}>") for n in range(15)]
    rules = (Rule("in_spec_percent", "all", 1.0), Rule("in_spec_percent", "aerosol", 1.0))
    both = (side + tuple(row for one in aerosol for row in one) for side in (mine, theirs))
    found = judge(gate(*rules), *both, identity=replace(IDENTITY, **changes))
    return comparison_page(found, review=shown, worst=list(worst))


@pytest.fixture(scope="module")
def text(shown):
    return page_of(shown, worst=shown[:3])


@pytest.fixture(scope="module")
def outline(text):
    return Outline(text)


def test_the_page_needs_nothing_from_elsewhere(text, outline):
    links = [a.get(key) for _, a in outline.seen for key in ("src", "href") if key in a]
    assert all(link.startswith(("data:image/", "#")) for link in links)
    assert outline.all("link") == []
    assert all("src" not in script for script in outline.all("script"))
    assert not re.search(r"https?:|url\(|@import|fetch\(", text)


def test_ten_scenes_and_the_worst_can_be_swiped_by_hand_and_by_keyboard(outline):
    articles = [a["id"] for a in outline.all("article")]
    assert articles == [f"scenes-{n}" for n in range(10)] + [f"worst-{n}" for n in range(3)]
    sliders = outline.all("input")
    assert len(sliders) == 13
    assert all(s["type"] == "range" and "main-" in s["aria-label"] for s in sliders)
    assert not any("tabindex" in s for s in sliders)


def test_every_picture_lies_in_the_page_and_says_what_it_is(outline):
    pictures = outline.all("img")
    assert len(pictures) == 13 * 8
    assert all(p["src"].startswith("data:image/png;base64,") and p["alt"] for p in pictures)


def test_the_page_is_light(text):
    assert len(text) < 3_000_000


def test_every_link_of_the_head_leads_somewhere(outline):
    ids = {a["id"] for _, a in outline.seen if "id" in a}
    assert {a["href"][1:] for a in outline.all("a")} <= ids


def test_names_are_text_not_markup(shown):
    text = page_of(shown, candidate_label="<b>new</b>", champion_label="a&b")
    assert "&lt;b&gt;new" in text
    assert "a&amp;b" in text
    assert "&lt;type 3&gt;" in text
    assert "<type" not in text


@pytest.mark.parametrize(("better", "outcome"), [(30.0, "pass"), (-30.0, "fail")])
def test_the_outcome_stands_first_and_in_its_colour(shown, better, outcome):
    text = page_of(shown, better=better)
    assert f'<div class="outcome {outcome}"><strong>{outcome}</strong>' in text
    assert text.index("<strong>") < text.index("<section")


def test_no_failure_is_folded_away(shown):
    text = page_of(shown, better=-30.0)
    opened = text.split("<details>")[0]
    assert opened.count('class="mark fail"') == text.count('class="mark fail"') == 1
    assert "4 more" in text


def test_a_candidate_that_loses_nowhere_is_told_so(shown):
    assert "In no scene does the candidate have fewer pixels in spec" in page_of(shown)


def test_the_page_says_what_was_compared(text):
    for digest in ("c" * 64, "b" * 64, "0" * 64, "f" * 64):
        assert digest in text


def finding(mine, theirs):
    return judge(gate(), rows(mine), rows(theirs), identity=IDENTITY).findings[0]


def test_a_bar_lies_on_the_side_of_the_better_model_and_never_outside():
    def dot(svg):
        return float(re.search(r'cx="([\d.]+)"', svg)[1])

    better, equal, worse = (interval_bar(finding([70.0 + by] * 9, [70.0] * 9)) for by in (20.0, 0.0, -20.0))
    assert 0.0 < dot(worse) < dot(equal) == 115.0 < dot(better) < 230.0


def test_an_interval_beyond_the_drawing_ends_in_an_arrow():
    far, near = (interval_bar(finding([90.0 - by] * 9, [90.0] * 9)) for by in (70.0, 20.0))
    assert far.count("<path") == near.count("<path") + 2


def test_a_finding_without_an_interval_is_a_dash():
    found = finding([70.0] * 9, [70.0] * 9).model_copy(update={"low": None})
    assert interval_bar(found) == "-"


@pytest.fixture(scope="module")
def suite():
    whole = load_suite("direct-6s")
    return replace(whole, scenes=whole.scenes[:8])


def test_two_models_are_compared_and_judged_in_one_call(suite):
    told = []
    found = compare_on(
        [suite],
        CANDIDATE,
        CHAMPION,
        gate=gate(Rule("rmse", "all", 0.001)),
        identity=IDENTITY,
        progress=lambda done, what: told.append((done, what)),
    )
    sides = found.scores["direct-6s"]
    assert found.candidate == rows_of("direct-6s", sides.candidate)
    assert found.champion == rows_of("direct-6s", sides.champion)
    assert found.judgement.scenes == {"direct-6s": 8}
    assert found.judgement.findings[0].champion == pytest.approx(sides.champion.pooled().rmse)
    assert told[-1] == (1.0, "direct-6s")
    assert found.slices().startswith("suite,dimension")
    assert found.table()[:4] == b"PAR1"


def test_a_model_beside_itself_passes(suite):
    found = compare_on([suite], CANDIDATE, CANDIDATE, gate=gate(), identity=IDENTITY)
    assert found.judgement.outcome is GateOutcome.PASS


def test_a_suite_is_named_once(suite):
    for suites in ([suite, suite], []):
        with pytest.raises(ConfigError, match="each once"):
            compare_on(suites, CANDIDATE, CHAMPION, gate=gate(), identity=IDENTITY)

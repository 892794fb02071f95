"""Two packages are held against each other by what they are for; others are tried on what they make."""

import json

import pytest
from small_maps import untrained

from fixtures_shelf import a_package
from undersky.errors import ConfigError
from undersky.evaluation.downstream import DOWNSTREAM
from undersky.evaluation.evaluating import EVALUATORS
from undersky.flow import promote
from undersky.judgement import GateOutcome
from undersky.release.comparing import EVALUATED, hold_against


@pytest.fixture
def maps(tmp_path, monkeypatch):
    """A candidate and a champion of land cover, as good as they say."""
    monkeypatch.setitem(EVALUATORS, "landcover", ("map_scores", "evaluate"))
    for name, right in (("new", 0.9), ("old", 0.8)):
        a_package(tmp_path, name, name="landcover", right=right)
    return tmp_path / "new", tmp_path / "old"


def test_maps_are_judged_by_the_gate_of_their_model(maps):
    held = hold_against(*maps)
    judgement = held.judgement
    assert (judgement.model, judgement.scenes) == ("landcover", {"simulated": 12})
    assert judgement.metrics["simulated"]["accuracy_percent"] == pytest.approx(90.0)
    assert judgement.outcome is GateOutcome.TOO_LITTLE_EVIDENCE, "this model says nothing of its confidence"
    assert {one.outcome for one in judgement.findings} >= {GateOutcome.PASS}
    backwards = hold_against(*reversed(maps)).judgement
    assert backwards.outcome is GateOutcome.FAIL
    assert "accuracy 80.0 % against 90.0 %" in backwards.sentence


def test_the_page_of_maps_has_ten_swipes_in_the_colours_of_the_classes(maps):
    page = hold_against(*maps).page()
    assert page.count('<article id="scenes-') == 10
    assert "accuracy: candidate 90.0 %, champion 80.0 %" in page
    assert "rgb(0, 100, 0)" in page
    assert "In no scene is the candidate" in page
    assert hold_against(*reversed(maps)).page().count('<article id="worst-') == 3


def test_the_registry_gets_the_first_scenes_as_pictures(maps):
    figures = hold_against(*maps).figures()
    assert list(figures) == [f"figures/scene-{number}.png" for number in (1, 2, 3)]
    assert all(png.startswith(b"\x89PNG") for png in figures.values())


def test_fewer_scenes_are_asked_of_both(maps):
    assert hold_against(*maps, scenes=4).judgement.scenes == {"simulated": 4}


def test_models_of_different_kinds_are_not_compared(maps, tmp_path):
    other = tmp_path / "vessels"
    a_package(tmp_path, "vessels", name="vessels")
    with pytest.raises(ConfigError, match=r"a model vessels.*two of one kind.*correction quality landcover"):
        hold_against(maps[0], other)


def test_what_a_correction_makes_is_mapped_by_the_champions_downstream(tmp_path):
    digests = {name: untrained(tmp_path / name, name).digest for name in ("landcover", "vessels")}
    a_package(tmp_path, "quality", name="quality")
    others = {name: tmp_path / name for name in (*digests, "quality")}
    held = hold_against("physics", "physics", suites=("direct-6s",), scenes=1, others=others)
    assert held.judgement.downstream == digests
    assert held.judgement.scenes == {"direct-6s": 1, "downstream": 2}
    found = {one.value: one for one in held.judgement.findings if one.dimension == "downstream"}
    assert found.keys() == digests.keys()
    assert all(one.difference == 0.0 for one in found.values())
    assert "on its output: landcover" in found["landcover"].sentence


def test_those_that_are_tried_are_those_that_a_promotion_demands():
    assert DOWNSTREAM == promote.DOWNSTREAM
    assert set(EVALUATED) >= {*DOWNSTREAM, *(name for names in DOWNSTREAM.values() for name in names)}


def test_every_figure_of_maps_can_be_computed_again_from_the_evidence(maps):
    from undersky.evaluation.evidence import from_table
    from undersky.evaluation.judging import headlines

    held = hold_against(*maps)
    told = from_table(held.comparison.table())
    assert json.dumps(headlines(told["candidate"])) == json.dumps(held.judgement.metrics)
    assert "simulated,class,trees,iou_percent,12" in held.comparison.slices()

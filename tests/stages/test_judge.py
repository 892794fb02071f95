"""The verdict of a package that is judged alone: who says so, when, and on which evidence."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from fixtures_shelf import a_package
from undersky.datasets.suites import load_suite
from undersky.errors import ConfigError, DataError
from undersky.evaluation.evaluating import EVALUATORS
from undersky.models.package import load_package, shipped
from undersky.stages.judge import DECISION, FirstOptions, _limited, judge, judged_model

OPTIONS = FirstOptions(by="test", limit=2, clock=lambda: datetime(2026, 1, 1, tzinfo=UTC))
PACKAGE = load_package(shipped("learned"))


def test_the_verdict_says_who_when_what_and_on_which_evidence():
    said, report = judge(OPTIONS)
    assert (said.by, said.decision, said.at.year, said.via) == ("test", DECISION, 2026, "bootstrap")
    assert (said.answer, said.gate, said.judgement) == ("approved", None, None)
    assert (said.package, said.label, said.scenes) == (PACKAGE.digest, PACKAGE.version, {"direct-6s": 2})
    assert len(said.suites["direct-6s"]) == 64
    figures = said.metrics["direct-6s"]
    assert 0 < figures["in_spec_percent"] <= 100
    assert 0 < figures["rmse"] < 0.1
    assert PACKAGE.version in report


def test_equal_runs_give_an_equal_verdict():
    assert judge(OPTIONS) == judge(OPTIONS)


def test_fewer_scenes_are_spread_over_the_suite_and_stated():
    seen = []
    verdict, _ = judge(replace(OPTIONS, limit=3, progress=lambda done, what: seen.append((done, what))))
    assert verdict.scenes == {"direct-6s": 3}
    assert [what for _, what in seen] == ["direct-6s"] * 3
    assert seen[-1][0] == pytest.approx(1.0)


def test_a_limit_beyond_the_suite_is_the_whole_suite():
    suite = load_suite("direct-6s")
    assert _limited(suite, 10_000) is suite
    spread = _limited(suite, 11).scenes
    assert len({scene.design.id for scene in spread}) == 11
    assert spread[-1] in suite.scenes[-len(suite.scenes) // 10 :]


@pytest.mark.parametrize("limit", [0, -3])
def test_a_limit_that_leaves_nothing_is_refused(limit):
    with pytest.raises(ConfigError, match="--limit"):
        judge(replace(OPTIONS, limit=limit))


def test_an_unknown_suite_and_a_folder_that_is_no_package_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="no suite"):
        judge(replace(OPTIONS, suite="unknown"))
    with pytest.raises(DataError, match="refused"):
        judge(replace(OPTIONS, model=tmp_path))


def test_a_map_model_is_judged_on_its_simulated_suite(tmp_path, monkeypatch):
    monkeypatch.setitem(EVALUATORS, "landcover", ("map_scores", "evaluate"))
    package = a_package(tmp_path, "cover-1", name="landcover", right=0.9)
    said, report = judge(replace(OPTIONS, model=tmp_path / "cover-1", limit=6))
    assert (said.name, said.package, said.decision) == ("landcover", package.digest, DECISION)
    assert said.scenes == {"simulated": 6}
    assert said.metrics["simulated"]["accuracy_percent"] == pytest.approx(90.0)
    assert len(said.suites["simulated"]) == 64
    assert report == "| tables |\n"


def test_a_package_of_a_model_that_nobody_knows_is_refused(tmp_path):
    a_package(tmp_path, "rain-1", name="rain")
    with pytest.raises(ConfigError, match="there are correction quality landcover vessels"):
        judge(replace(OPTIONS, model=tmp_path / "rain-1"))
    assert judged_model(tmp_path / "rain-1") == "rain"

"""Two map models on the same scenes: what each is asked, and what the gate says."""

from dataclasses import replace

import pytest
from map_scores import gate_of, score

from fixtures_shelf import a_package
from undersky.errors import ConfigError
from undersky.evaluation.evidence import Row
from undersky.evaluation.gate import Rule
from undersky.evaluation.maps import MapsOptions
from undersky.evaluation.versus_maps import compare_maps
from undersky.judgement import GateOutcome

DOWNSTREAM = Rule("f1_percent", "downstream", 1.0)


@pytest.fixture
def compare(tmp_path):
    """Compares a candidate and a champion of these scores."""
    for name in ("new", "old"):
        a_package(tmp_path, name, name="landcover")

    def compared(mine, theirs, *rules, **more):
        asked = []

        def evaluate(options):
            asked.append(options)
            if options.progress is not None:
                options.progress(1.0, "mapping")
            return {"new": mine, "old": theirs}[options.model.name]

        options = more.pop("options", MapsOptions())
        gate = more.pop("gate", gate_of(*rules))
        found = compare_maps(
            tmp_path / "new", tmp_path / "old", gate=gate, options=options, evaluate=evaluate, **more
        )
        return found, asked

    return compared


@pytest.mark.parametrize(
    ("mine", "outcome"), [(0.9, GateOutcome.PASS), (0.8, GateOutcome.PASS), (0.7, GateOutcome.FAIL)]
)
def test_the_gate_says_who_is_better(compare, mine, outcome):
    found, _ = compare(score(mine), score(0.8))
    judgement = found.comparison.judgement
    assert judgement.outcome is outcome
    assert judgement.findings[0].difference == pytest.approx(100 * (mine - 0.8))
    assert (judgement.candidate_label, judgement.champion_label) == ("new", "old")
    assert judgement.scenes == {"simulated": 12}
    assert judgement.metrics["simulated"]["f1_percent"] == pytest.approx(100 * mine)


def test_a_class_that_is_nowhere_fails_nobody(compare):
    found, _ = compare(
        score(0.9), score(0.8), Rule("f1_percent", "all", 1.0), Rule("iou_percent", "class", 1.0)
    )
    outcomes = {one.value: (one.outcome, one.scenes) for one in found.comparison.judgement.findings}
    assert outcomes["trees"] == (GateOutcome.PASS, 12)
    assert outcomes["water"] == (GateOutcome.TOO_LITTLE_EVIDENCE, 0)


def test_nothing_real_is_asked_for_or_judged(compare, tmp_path):
    real = score(0.1, suite="chips").rows
    told = []
    options = MapsOptions(samples=tmp_path, scenes=3, progress=lambda at, what: told.append((at, what)))
    found, asked = compare(score(0.8, more=real), score(0.8, more=real), options=options)
    assert [(one.samples, one.scenes) for one in asked] == [(None, 3), (None, 3)]
    assert told == [(0.5, "mapping"), (1.0, "mapping")]
    assert found.comparison.judgement.suites.keys() == {"simulated"}
    assert {row.suite for row in found.comparison.candidate} == {"simulated"}


def test_an_unknown_suite_is_refused_with_those_there_are(compare):
    with pytest.raises(ConfigError, match="no suite 'weather'; there are simulated"):
        compare(score(0.8), score(0.8), suites=("weather",))


def test_what_others_make_of_it_is_judged_with_it(compare):
    def made(hits):
        return tuple(
            Row("downstream", f"s-{n}", "downstream", "vessels", "f1_percent", 2.0 * hits, 20.0)
            for n in range(8)
        )

    found, _ = compare(
        score(0.9), score(0.8), Rule("f1_percent", "all", 1.0), DOWNSTREAM,
        downstream={"vessels": "d" * 64}, further=(made(5), made(8)),
    )  # fmt: skip
    judgement = found.comparison.judgement
    assert judgement.outcome is GateOutcome.FAIL
    assert judgement.downstream == {"vessels": "d" * 64}
    assert "on its output: vessels: F1 50.0 % against 80.0 %" in judgement.sentence


def test_models_of_other_scenes_are_not_compared(compare):
    theirs = score(0.8)
    fewer = replace(theirs, rows=theirs.rows[:-10])
    with pytest.raises(ConfigError, match="same scenes"):
        compare(score(0.8), fewer)

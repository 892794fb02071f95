"""The map models: each has a gate, a suite of the same name in it, and somebody who evaluates it."""

import sys
from importlib import import_module
from inspect import signature
from pathlib import Path

import pytest

from undersky.errors import ConfigError
from undersky.evaluation.evaluating import EVALUATORS, SHIPPED, evaluate_model
from undersky.evaluation.gate import GATES, load_gate
from undersky.evaluation.maps import SIMULATED, MapsOptions

sys.path.insert(0, str(Path(__file__).parents[1] / "release"))
from small_maps import untrained


@pytest.mark.parametrize("name", EVALUATORS)
def test_whoever_evaluates_is_there(name):
    module, function = EVALUATORS[name]
    assert list(signature(getattr(import_module(module), function)).parameters) == ["options"]


@pytest.mark.parametrize("name", EVALUATORS)
def test_the_gate_names_the_simulated_suite_alone(name):
    assert load_gate(name).suites == (SIMULATED,)


def test_every_model_has_a_gate_and_a_shipped_package():
    assert {path.stem for path in GATES.glob("*.yaml")} == set(SHIPPED)
    assert list(SHIPPED) == ["correction", *EVALUATORS]


@pytest.mark.parametrize("name", ["landcover", "vessels"])
def test_every_rule_of_a_gate_finds_evidence_to_judge(name, tmp_path):
    untrained(tmp_path, name)
    score = evaluate_model(name, MapsOptions(model=tmp_path, scenes=1))
    there = {(row.dimension, row.metric) for row in score.rows if row.suite == SIMULATED}
    rules = load_gate(name).rules
    assert {(rule.dimension, rule.metric) for rule in rules if rule.dimension != "downstream"} <= there
    assert score.views


def test_an_unknown_model_is_refused_with_those_there_are():
    with pytest.raises(ConfigError, match="there are quality landcover vessels"):
        evaluate_model("weather", MapsOptions())

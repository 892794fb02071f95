"""A gate is read strictly: what is wrong in its file is said with the key."""

import hashlib

import pytest

from undersky.errors import ConfigError
from undersky.evaluation.evidence import DIMENSIONS, METRICS
from undersky.evaluation.gate import GATES, load_gate

GOOD = """\
version: 3
confidence: 0.9
resamples: 100
seed: 1
minimum_scenes: 4
suites: [direct-6s]
rules:
  - {metric: rmse, dimension: all, tolerance: 1, required: true}
  - {metric: bias, dimension: band, tolerance: 1e-3, at_least_scenes: 9}
"""


def load(folder, text):
    (folder / "own.yaml").write_text(text, encoding="utf-8")
    return load_gate("own", folder)


def test_the_shipped_gate_names_its_file_by_digest():
    found = load_gate("correction")
    assert found.digest == hashlib.sha256((GATES / "correction.yaml").read_bytes()).hexdigest()
    assert found.suites == ("direct-6s",)
    assert any(rule.metric == "answered_percent" and rule.tolerance == 0.0 for rule in found.rules)
    assert {rule.dimension for rule in found.rules if rule.required} == {"all", "aerosol"}


def test_a_gate_is_what_its_file_says(tmp_path):
    found = load(tmp_path, GOOD)
    assert (found.model, found.version, found.confidence, found.minimum_scenes) == ("own", 3, 0.9, 4)
    first, second = found.rules
    assert (first.tolerance, first.required, found.needed(first)) == (1.0, True, 4)
    assert (second.tolerance, second.required, found.needed(second)) == (0.001, False, 9)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("seed: 1", "seed: 1\ncolour: red", "'colour' is no key"),
        ("seed: 1\n", "", "seed is missing"),
        ("seed: 1", "seed: 1.5", "seed is .* expected a whole number"),
        ("seed: 1", "seed: true", "expected a whole number"),
        ("seed: 1", "seed: 1\nseed: 2", "twice"),
        ("confidence: 0.9", "confidence: 95", "confidence is 95"),
        ("resamples: 100", "resamples: 0", "resamples"),
        ("suites: [direct-6s]", "suites: direct-6s", "suites is .* expected a list"),
        ("metric: rmse", "metric: beauty", "rules.0.: metric is .* expected one of in_spec_percent"),
        ("metric: rmse", "metric: [rmse]", "expected one of"),
        ("dimension: all", "dimension: colour", "expected one of all"),
        ("dimension: all", "dimension: sensor", "no rule is of dimension all"),
        ("tolerance: 1,", "tolerance: much,", "expected a number"),
        ("tolerance: 1,", "tolerance: .inf,", "expected a number"),
        ("tolerance: 1,", "tolerance: -1,", "a tolerance is 0 or more"),
        ("required: true", "required: 1", "expected true or false"),
        ("required: true", "need: true", "'need' is no key"),
        ("metric: bias, dimension: band", "metric: rmse, dimension: all", "rmse by all has two rules"),
        ("rules:", "rules: {", "no YAML"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path, old, new, told):
    assert old in GOOD
    with pytest.raises(ConfigError, match=rf"own\.yaml.*{told}"):
        load(tmp_path, GOOD.replace(old, new))


def test_a_gate_that_is_a_list_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="expected keys and values"):
        load(tmp_path, "- 1\n")


def test_a_model_without_a_gate_is_told_which_there_are():
    with pytest.raises(ConfigError, match=r"no gate for the model 'clouds'; there are: correction"):
        load_gate("clouds")


def test_a_name_is_no_path():
    with pytest.raises(ConfigError, match="there is no gate"):
        load_gate("../gates/correction")


def test_every_shipped_gate_can_be_read():
    for path in GATES.glob("*.yaml"):
        found = load_gate(path.stem)
        assert all(rule.metric in METRICS and rule.dimension in DIMENSIONS for rule in found.rules)

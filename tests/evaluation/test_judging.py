"""The gate judges differences over scenes: shown better, shown worse, or not shown."""

import random

import numpy as np
import pytest
from rows import IDENTITY, gate, rows

from undersky.errors import ConfigError
from undersky.evaluation.gate import Rule
from undersky.evaluation.judging import judge
from undersky.judgement import GateOutcome, Judgement

HARD = np.random.default_rng(3).uniform(20.0, 100.0, 30)
"""Some scenes are hard for everybody."""


def judged(mine, theirs, *rules, **more):
    return judge(gate(*rules, **more), mine, theirs, identity=IDENTITY)


def test_a_candidate_that_is_clearly_better_passes():
    found = judged(rows(HARD), rows(HARD - 10.0))
    assert found.outcome is GateOutcome.PASS
    assert found.findings[0].difference == pytest.approx(10.0)


def test_a_candidate_that_is_clearly_worse_fails_and_the_sentence_says_how_much():
    found = judged(rows([60.0, 62.0] * 10), rows([70.0, 70.0] * 10))
    assert found.outcome is GateOutcome.FAIL
    assert "all scenes: in spec 61.0 % against 70.0 %, worse by 9.0 points" in found.findings[0].sentence
    assert "1 allowed" in found.findings[0].sentence
    assert found.findings[0].sentence in found.sentence


def test_scenes_are_paired_so_that_what_is_hard_for_both_cancels():
    found = judged(rows(HARD), rows(HARD - 0.5)).findings[0]
    assert found.high - found.low < 1e-9


def test_noise_that_hides_the_difference_is_too_little_evidence():
    noise = np.random.default_rng(4).normal(0.0, 15.0, 30)
    found = judged(rows(HARD + noise), rows(HARD))
    assert found.outcome is GateOutcome.TOO_LITTLE_EVIDENCE
    assert found.findings[0].low < -1.0 < found.findings[0].high
    assert "undecided" in found.findings[0].sentence


def test_equal_models_pass():
    found = judged(rows(HARD), rows(HARD))
    assert found.outcome is GateOutcome.PASS
    assert (found.findings[0].low, found.findings[0].high) == (0.0, 0.0)
    assert "equal" in found.findings[0].sentence


def test_equal_models_pass_a_rule_that_allows_nothing():
    assert judged(rows(HARD), rows(HARD), Rule("in_spec_percent", "all", 0.0)).outcome is GateOutcome.PASS


def test_a_lower_error_is_better_and_the_root_is_taken():
    rule = Rule("rmse", "all", 0.01)
    mine, theirs = (rows([100.0 * e**2] * 8, metric="rmse") for e in (0.1, 0.3))
    found = judged(mine, theirs, rule).findings[0]
    assert (found.candidate, found.champion) == pytest.approx((0.1, 0.3))
    assert found.difference == pytest.approx(0.2)


def test_a_bias_counts_by_its_size_not_its_sign():
    rule = Rule("bias", "all", 0.001)
    mine, theirs = (rows([100.0 * e] * 8, metric="bias") for e in (-0.02, 0.01))
    assert judged(mine, theirs, rule).outcome is GateOutcome.FAIL


def test_a_thin_slice_is_no_evidence():
    found = judged(rows([0.0] * 4), rows([100.0] * 4))
    assert found.outcome is GateOutcome.TOO_LITTLE_EVIDENCE
    assert "4 scenes, 5 are needed" in found.findings[0].sentence


def test_a_rule_may_need_more_scenes_than_the_gate():
    rule = Rule("in_spec_percent", "all", 1.0, at_least_scenes=31)
    assert judged(rows(HARD), rows(HARD - 10.0), rule).outcome is GateOutcome.TOO_LITTLE_EVIDENCE


def test_few_scenes_widen_the_interval():
    spread = [5.0, 6.0, 7.0, 8.0, 9.0]
    few, many = (judged(rows(spread * n), rows([0.0] * 5 * n)).findings[0] for n in (1, 20))
    assert few.high - few.low > 1.3 * np.sqrt(20.0) * (many.high - many.low)
    assert few.low == pytest.approx(5.0, abs=0.5)


def test_the_interval_holds_the_true_difference_about_as_often_as_it_says():
    generator = np.random.default_rng(5)
    held = 0
    for _ in range(200):
        found = judged(rows(50.0 + generator.normal(2.0, 5.0, 8)), rows([50.0] * 8)).findings[0]
        held += found.low <= 2.0 <= found.high
    assert 0.90 <= held / 200 <= 0.99


OVERALL, TOWN = Rule("in_spec_percent", "all", 1.0), Rule("in_spec_percent", "aerosol", 1.0)


def sliced_rows(overall, urban):
    return rows(overall) + rows(urban, dimension="aerosol", value="urban")


def test_one_slice_that_is_worse_fails_a_candidate_that_is_better_overall():
    found = judged(sliced_rows([90.0] * 30, [40.0] * 8), sliced_rows([70.0] * 30, [60.0] * 8), OVERALL, TOWN)
    assert found.outcome is GateOutcome.FAIL
    assert (found.findings[0].value, found.findings[0].outcome) == ("urban", GateOutcome.FAIL)
    assert "urban" in found.sentence


@pytest.mark.parametrize(
    ("required", "outcome"), [(True, GateOutcome.TOO_LITTLE_EVIDENCE), (False, GateOutcome.PASS)]
)
def test_only_an_undecided_slice_that_is_required_holds_a_pass_back(required, outcome):
    rule = Rule("in_spec_percent", "aerosol", 1.0, required=required)
    mine, theirs = sliced_rows([90.0] * 30, [90.0] * 3), sliced_rows([70.0] * 30, [60.0] * 3)
    found = judged(mine, theirs, OVERALL, rule)
    assert found.outcome is outcome
    assert "1 undecided" in found.sentence


def test_a_suite_that_the_gate_asks_for_and_nobody_evaluated_is_too_little_evidence():
    found = judged(rows(HARD), rows(HARD), suites=("s", "stress"))
    assert found.outcome is GateOutcome.TOO_LITTLE_EVIDENCE
    assert found.findings[0].sentence == "stress was not evaluated, and this gate asks for it"


@pytest.mark.parametrize("few", [rows(HARD[1:]), rows(HARD[:-1]), ()])
def test_unequal_scenes_are_refused(few):
    with pytest.raises(ConfigError, match="evaluate both on the same scenes"):
        judged(rows(HARD), few)
    with pytest.raises(ConfigError, match=r"scene-\d+ is on one side only"):
        judged(few, rows(HARD))


def test_a_candidate_that_answers_nothing_never_passes():
    nothing = tuple(row.__class__(*row_values(row), 0.0, 0.0) for row in rows(HARD))
    found = judged(nothing, rows(HARD))
    assert found.outcome is GateOutcome.TOO_LITTLE_EVIDENCE
    assert found.findings[0].candidate is None
    assert found.metrics == {}


def row_values(row):
    return row.suite, row.scene, row.dimension, row.value, row.metric


def test_the_same_rows_in_any_order_give_the_same_judgement():
    noise = np.random.default_rng(6).normal(0.0, 5.0, 30)
    mine, theirs = rows(HARD + noise), rows(HARD)
    shuffled = random.Random(1).sample(mine, len(mine))
    assert judged(shuffled, theirs) == judged(mine, theirs)


def test_a_judgement_is_json_that_reads_back():
    found = judged(rows(HARD), rows(HARD - 3.0))
    assert Judgement.from_json(found.to_json()) == found
    assert found.scenes == {"s": 30}
    assert found.metrics["s"]["in_spec_percent"] == pytest.approx(HARD.mean(), abs=1e-5)
    assert (found.candidate_label, found.champion_label) == ("new-2", "old-1")


def test_every_slice_of_a_whole_suite_is_judged():
    values = [f"v{index}" for index in range(45)]
    mine, theirs = (
        tuple(row for v in values for row in rows(np.full(240, s), dimension="aerosol", value=v))
        for s in (80.0, 70.0)
    )
    found = judged(mine + rows(HARD), theirs + rows(HARD), OVERALL, TOWN)
    assert len(found.findings) == 46

"""The tables of rules: every sentence can be said, every code is stable."""

import re
import subprocess
import sys
from collections import Counter

import pytest

from undersky.batch.driver import Trouble
from undersky.errors import Reason
from undersky.validation import cover, level1, maps, objects, surface
from undersky.validation.rules import Failure, Rule, Severity, Verdict

TABLES = {"level-1": level1.RULES, "surface": surface.RULES, "map": cover.RULES, "objects": objects.RULES}
ALL = (*level1.RULES, *surface.RULES, *cover.RULES, *(r for r in objects.RULES if r not in maps.RULES))


def rule(**changes: object) -> Rule:
    known = {
        "about": "scene",
        "column": "x",
        "severity": Severity.CRITICAL,
        "code": "x_wrong",
        "sentence": "x is {x}",
        "source": "a book",
    }
    return Rule(**{**known, **changes})


@pytest.mark.parametrize("each", ALL, ids=lambda rule: f"{rule.code}-{rule.column}")
def test_a_rule_has_a_stable_code_a_sentence_and_a_source(each):
    assert re.fullmatch(r"[a-z0-9_]{3,40}", each.code)
    assert len(each.sentence) > 20
    assert each.source


@pytest.mark.parametrize(
    "each", [r for r in ALL if r.severity > Severity.WARNING], ids=lambda rule: rule.code
)
def test_what_stops_a_product_says_what_to_do_or_that_it_is_expected(each):
    cures = ("again", "re-make", "report", "no product is", "look at", "compare")
    assert any(cure in each.sentence for cure in cures)


@pytest.mark.parametrize("rules", TABLES.values(), ids=TABLES)
def test_a_column_is_judged_by_a_code_once_for_each_family(rules):
    counted = Counter(
        (each.code, each.column, family)
        for each in rules
        for family in (["sentinel-2", "landsat"] if each.family is None else [each.family])
    )
    assert max(counted.values()) == 1


def test_codes_are_not_those_of_the_driver():
    assert not {each.code for each in ALL} & {str(trouble) for trouble in Trouble}


def test_a_code_of_the_readers_means_the_same_here():
    assert {each.code for each in ALL} & {str(reason) for reason in Reason} <= {"grid_mismatch"}


def test_a_rule_reads_as_words():
    assert rule(high=5).expected == "at most 5"
    assert rule(low=0.5).expected == "at least 0.5"
    assert rule(low=0, high=1).expected == "0 to 1"
    assert rule(one_of=(True,)).expected == "yes"
    assert rule(one_of=("a", "b")).expected == "one of a, b"
    assert rule().expected == "a value"


def test_a_rule_has_bounds_or_values_and_not_both():
    with pytest.raises(ValueError, match="not both"):
        rule(high=5, one_of=("a",))


def test_a_warning_decides_nothing():
    warning = Failure(rule(severity=Severity.WARNING), "so what", ())
    critical = Failure(rule(), "bad", ())
    assert Verdict(2, (warning,)).worst is None
    assert Verdict(2, (critical, warning)).worst is critical
    assert Verdict(2, ()).worst is None


def test_rules_and_facts_are_read_without_great_expectations():
    code = (
        "import sys, undersky.validation.level1, undersky.validation.surface_facts, undersky.batch.run;"
        "import undersky.validation.cover_facts, undersky.validation.object_facts;"
        "found = {'great_expectations', 'pandas', 'torch'} & set(sys.modules);"
        "sys.exit(str(found) if found else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

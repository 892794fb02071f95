"""Plain values into frozen dataclasses, strictly."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

import pytest

from undersky.errors import ConfigError
from undersky.models.package import Json
from undersky.section import section


class Kind(StrEnum):
    SOFT = "soft"
    HARD = "hard"


@dataclass(frozen=True, slots=True)
class Layer:
    width: int
    kind: Kind = Kind.SOFT


@dataclass(frozen=True, slots=True)
class Plan:
    rate: float = 0.5
    deep: bool = False
    label: str | None = None
    mode: Literal["a", "b"] = "a"
    span: tuple[float, float] = (0.0, 1.0)
    layers: tuple[Layer, ...] = ()
    shares: Mapping[str, float] | None = None
    rest: Mapping[str, Json] | None = None

    def __post_init__(self):
        if self.rate < 0:
            raise ValueError("rate must not be negative")


def plan(**values):
    return section(Plan, values, where="plan")


def test_lists_become_tuples_and_mappings_become_dataclasses():
    made = plan(layers=[{"width": 3, "kind": "hard"}, {"width": 4}], span=[1, 2.5], mode="b")
    assert made.layers == (Layer(3, Kind.HARD), Layer(4))
    assert made.span == (1.0, 2.5)
    assert isinstance(made.span[0], float)
    hash((made.layers, made.span))


def test_absent_keys_keep_their_defaults():
    assert plan() == Plan()


def test_null_is_taken_where_it_may_stand_and_only_there():
    assert plan(label=None).label is None
    with pytest.raises(ConfigError, match="plan: rate is None"):
        plan(rate=None)


def test_json_is_passed_on_as_it_is():
    values = {"a": [1, 2.5, None, {"b": True}], "c": "text"}
    assert plan(rest=values).rest == values


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"rat": 1}, "plan: 'rat' is no key here; known: rate deep"),
        ({3: 1}, "plan: 3 is no key here"),
        ({"rate": "fast"}, r"plan: rate is 'fast' \(str\), expected a number"),
        ({"rate": True}, "rate is True"),
        ({"rate": float("nan")}, "rate is nan"),
        ({"rate": 10**400}, "rate is 1000"),
        ({"rate": -1.0}, "plan: rate must not be negative"),
        ({"deep": 1}, "deep is 1 .*expected true or false"),
        ({"label": 3}, "label is 3 .*expected text or null"),
        ({"mode": "c"}, "mode is 'c' .*expected one of a b"),
        ({"span": [1.0]}, "span has 1 values, expected 2"),
        ({"span": 1.0}, "span is 1.0 .*expected a list"),
        ({"span": [1.0, "x"]}, r"span\[1\] is 'x'"),
        ({"layers": [{"width": 1}, {"width": 2.5}]}, r"layers\[1\]: width is 2.5 .*a whole number"),
        ({"layers": [{}]}, r"layers\[0\]: width is missing; needed and known: width kind"),
        ({"layers": [{"width": 1, "kind": "odd"}]}, "kind is 'odd' .*one of soft hard"),
        ({"layers": [7]}, r"layers\[0\]: found 7"),
        ({"shares": {"a": "b"}}, "shares: a is 'b'"),
        ({"rest": {1: 2}}, "rest: the key 1 .*is no text"),
        ({"rest": {"a": float("inf")}}, "rest: a is inf"),
        ({"rest": {"a": [object()]}}, r"rest: a\[0\] is <object"),
    ],
)
def test_what_does_not_fit_is_named_with_its_place(values, told):
    with pytest.raises(ConfigError, match=told):
        section(Plan, values, where="plan")


@pytest.mark.parametrize("values", [None, [], "text", 3])
def test_something_other_than_a_mapping_is_refused(values):
    with pytest.raises(ConfigError, match="expected keys and values: rate deep"):
        section(Plan, values, where="plan")

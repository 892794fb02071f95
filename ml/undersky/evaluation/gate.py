"""The gate of a model: which rules a candidate must keep beside the champion, read from one YAML file.

    version, confidence, resamples, seed, minimum_scenes, suites
    rules: [{metric, dimension, tolerance, required, at_least_scenes}, ...]

An unknown or missing key, a wrong type, and a metric or dimension that no evidence has are errors.
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import TypeVar

import yaml

from undersky.errors import ConfigError
from undersky.evaluation.evidence import DIMENSIONS, METRICS
from undersky.strict_yaml import parse_yaml

T = TypeVar("T", int, float, bool, str)

GATES = Path(__file__).with_name("gates")
"""Where the shipped ones lie, `<model>.yaml`."""

_MAX_BYTES = 1 << 16
_KINDS: Mapping[type, str] = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


@dataclass(frozen=True, slots=True)
class Rule:
    """What is asked of every slice along one dimension."""

    metric: str
    """A key of evidence.METRICS."""
    dimension: str
    """A key of evidence.DIMENSIONS."""
    tolerance: float
    """How much worse the candidate may be, in the metric's units."""
    required: bool = False
    """Nothing passes while it is undecided."""
    at_least_scenes: int | None = None
    """Scenes that a slice needs; the gate's `minimum_scenes` when None."""

    @property
    def decides(self) -> bool:
        """Whether the judgement waits for it: what holds overall is always asked."""
        return self.required or self.dimension == "all"


@dataclass(frozen=True, slots=True)
class Gate:
    """The rules of one model, and how they are tested."""

    model: str
    """`correction`."""
    version: int
    """Counts up when a rule changes."""
    confidence: float
    """Of the interval of a difference, 0.95."""
    resamples: int
    """Draws of the bootstrap."""
    seed: int
    """Of the draws: the same evidence, the same judgement."""
    minimum_scenes: int
    """A slice with fewer is not judged."""
    suites: tuple[str, ...]
    """Without one of them there is too little evidence."""
    rules: tuple[Rule, ...]
    """At least one of them over all scenes."""
    digest: str
    """sha256 of the file."""

    def needed(self, rule: Rule) -> int:
        """Scenes that a slice needs to be judged by the rule."""
        return self.minimum_scenes if rule.at_least_scenes is None else rule.at_least_scenes


def load_gate(model: str, folder: Path = GATES) -> Gate:
    """The gate of a model.

    Raises:
        ConfigError: There is none, or its file cannot be used; the message names the file and the key.
    """
    path = folder / f"{model}.yaml"
    known = " ".join(sorted(found.stem for found in folder.glob("*.yaml"))) or "none"
    if model not in known.split():
        raise ConfigError(f"there is no gate for the model {model!r}; there are: {known}")
    content = path.read_bytes()
    if len(content) > _MAX_BYTES:
        raise ConfigError(f"{path.name} has {len(content)} bytes, a gate at most {_MAX_BYTES}; give a gate")
    try:
        values = parse_yaml(content.decode("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path.name} is no YAML: {error}") from error
    return _gate(model, values, digest=hashlib.sha256(content).hexdigest(), where=path.name)


def _gate(model: str, values: object, *, digest: str, where: str) -> Gate:
    held = _keys(Gate, values, given=("model", "digest"), where=where)
    gate = Gate(
        model=model,
        version=_scalar(int, held["version"], f"{where}: version"),
        confidence=_scalar(float, held["confidence"], f"{where}: confidence"),
        resamples=_scalar(int, held["resamples"], f"{where}: resamples"),
        seed=_scalar(int, held["seed"], f"{where}: seed"),
        minimum_scenes=_scalar(int, held["minimum_scenes"], f"{where}: minimum_scenes"),
        suites=tuple(
            _scalar(str, name, f"{where}: suites") for name in _list(held["suites"], f"{where}: suites")
        ),
        rules=tuple(
            _rule(rule, where=f"{where}: rules[{index}]")
            for index, rule in enumerate(_list(held["rules"], f"{where}: rules"))
        ),
        digest=digest,
    )
    _check(gate, where=where)
    return gate


def _check(gate: Gate, *, where: str) -> None:
    if not 0.5 < gate.confidence < 1.0:
        raise ConfigError(f"{where}: confidence is {gate.confidence:g}, expected above 0.5 and below 1")
    low = [name for name in ("version", "resamples", "minimum_scenes") if getattr(gate, name) < 1]
    if low or gate.seed < 0:
        raise ConfigError(f"{where}: {' '.join(low) or 'seed'} is below what makes sense; expected 1 or more")
    if not any(rule.dimension == "all" for rule in gate.rules):
        raise ConfigError(f"{where}: no rule is of dimension all, so nothing holds overall; add one")
    asked = [(rule.metric, rule.dimension) for rule in gate.rules]
    if doubled := [pair for pair in asked if asked.count(pair) > 1]:
        raise ConfigError(f"{where}: {' by '.join(doubled[0])} has two rules; keep one")


def _rule(values: object, *, where: str) -> Rule:
    held = _keys(Rule, values, where=where)
    scenes = held.get("at_least_scenes")
    rule = Rule(
        metric=_choice(held["metric"], METRICS, f"{where}: metric"),
        dimension=_choice(held["dimension"], DIMENSIONS, f"{where}: dimension"),
        tolerance=_scalar(float, held["tolerance"], f"{where}: tolerance"),
        required=_scalar(bool, held.get("required", False), f"{where}: required"),
        at_least_scenes=None if scenes is None else _scalar(int, scenes, f"{where}: at_least_scenes"),
    )
    if rule.tolerance < 0.0 or (rule.at_least_scenes or 1) < 1:
        raise ConfigError(f"{where}: a tolerance is 0 or more, at_least_scenes 1 or more; correct it")
    return rule


def _keys(
    kind: type[Gate] | type[Rule], values: object, *, given: tuple[str, ...] = (), where: str
) -> Mapping[str, object]:
    """The values by key, all keys known and none missing."""
    known = {field.name: field.default is MISSING for field in fields(kind) if field.name not in given}
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where}: found {_shown(values)}, expected keys and values: {' '.join(known)}")
    if unknown := [key for key in values if key not in known]:
        raise ConfigError(f"{where}: {unknown[0]!r} is no key here; known: {' '.join(known)}")
    if missing := [key for key, needed in known.items() if needed and key not in values]:
        raise ConfigError(f"{where}: {missing[0]} is missing; known: {' '.join(known)}")
    return values


def _list(value: object, where: str) -> list[object]:
    if not isinstance(value, list) or not value:
        raise ConfigError(f"{where} is {_shown(value)}, expected a list of one or more")
    return value


def _scalar(kind: type[T], value: object, where: str) -> T:
    found = float(value) if kind is float and type(value) is int else value
    if type(found) is kind and (kind is not float or math.isfinite(found)):
        return found
    raise ConfigError(f"{where} is {_shown(value)}, expected {_KINDS[kind]}")


def _choice(value: object, known: Mapping[str, object], where: str) -> str:
    if not isinstance(value, str) or value not in known:
        raise ConfigError(f"{where} is {_shown(value)}, expected one of {' '.join(known)}")
    return value


def _shown(value: object) -> str:
    return f"{str(value)[:60]!r} ({type(value).__name__})"

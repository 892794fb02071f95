"""A mapping of plain values into a frozen dataclass, strictly: nothing is guessed, nothing is passed over."""

import math
import sys
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from undersky.errors import ConfigError

T = TypeVar("T")

_SCALARS: Mapping[object, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    NoneType: "null",
}
_SHOWN = 60


def section(kind: type[T], values: object, *, where: str) -> T:
    """The values as a `kind`, a dataclass: tuples from lists, nested dataclasses from mappings.

    Understood are bool, int, float, str, None, enums, `Literal`, unions, `tuple`, `Mapping[str, ...]`, and
    `Json` for what only somebody else understands. A whole number may stand where a number is expected.

    Args:
        kind: The dataclass.
        values: What YAML or JSON gave.
        where: How messages begin, `tiny.yaml` or `tiny.yaml: dataset`.

    Raises:
        ConfigError: An unknown or a missing key, a value of another type, or one that the dataclass refuses.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where}: found {_shown(values)}, expected keys and values: {_known(kind)}")
    hints = get_type_hints(kind)
    names = {field.name for field in fields(cast("Any", kind)) if field.init}
    if unknown := [key for key in values if key not in names]:
        raise ConfigError(f"{where}: {unknown[0]!r} is no key here; known: {_known(kind)}")
    missing = [
        field.name
        for field in fields(cast("Any", kind))
        if field.init and field.name not in values
        and field.default is MISSING and field.default_factory is MISSING
    ]  # fmt: skip
    if missing:
        raise ConfigError(f"{where}: {missing[0]} is missing; needed and known: {_known(kind)}")
    found = {str(key): _value(hints[str(key)], value, f"{where}: {key}") for key, value in values.items()}
    try:
        return kind(**found)
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from error


def _value(kind: Any, value: object, where: str) -> object:
    """The value as a `kind`, or an error that begins with `where`."""
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        parts = get_args(kind)
        return _plain(value, where) if set(_SCALARS) <= set(parts) else _one_of(parts, value, where)
    if origin is Literal or (isinstance(kind, type) and issubclass(kind, Enum)):
        return _choice(kind, value, where)
    if isinstance(kind, type) and is_dataclass(kind):
        return section(kind, value, where=where)
    if origin is tuple and isinstance(value, list | tuple):
        return _tuple(get_args(kind), value, where)
    if origin in (dict, Mapping) and isinstance(value, Mapping):
        of = get_args(kind)[1]
        return {_text(key, where): _value(of, item, f"{where}: {key}") for key, item in value.items()}
    return _scalar(kind, value, where)


def _scalar(kind: Any, value: object, where: str) -> object:
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        if abs(value) <= sys.float_info.max:
            return float(value)
    elif kind in _SCALARS and type(value) is kind:
        return value
    raise ConfigError(f"{where} is {_shown(value)}, expected {_expected(kind)}")


def _plain(value: object, where: str) -> object:
    """What JSON can say, as it is: `Json` of models/package.py, which only somebody else understands."""
    if isinstance(value, Mapping):
        return {_text(key, where): _plain(item, f"{where}: {key}") for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, f"{where}[{index}]") for index, item in enumerate(value)]
    if type(value) in _SCALARS and not (isinstance(value, float) and not math.isfinite(value)):
        return value
    raise ConfigError(
        f"{where} is {_shown(value)}, expected a finite number, text, true, false, null or more"
    )


def _one_of(parts: tuple[Any, ...], value: object, where: str) -> object:
    """The value as the first of several types that takes it; the exact type is asked first."""
    problems: list[ConfigError] = []
    for part in sorted(parts, key=lambda part: part is not type(value)):
        try:
            return _value(part, value, where)
        except ConfigError as error:
            problems.append(error)
    told = [problem for problem in problems if not str(problem).startswith(f"{where} is ")]
    if told:  # a problem inside a mapping or list says more than a list of types
        raise told[0]
    raise ConfigError(f"{where} is {_shown(value)}, expected {' or '.join(map(_expected, parts))}")


def _choice(kind: Any, value: object, where: str) -> object:
    if get_origin(kind) is Literal:
        choices = {choice: choice for choice in get_args(kind)}
    else:
        choices = {member.value: member for member in kind}
    for plain, choice in choices.items():
        if type(plain) is type(value) and plain == value:
            return choice
    raise ConfigError(f"{where} is {_shown(value)}, expected one of {' '.join(map(str, choices))}")


def _tuple(parts: tuple[Any, ...], value: list[object] | tuple[object, ...], where: str) -> object:
    kinds = [parts[0]] * len(value) if parts[-1] is Ellipsis else list(parts)
    if len(kinds) != len(value):
        raise ConfigError(f"{where} has {len(value)} values, expected {len(kinds)}")
    pairs = enumerate(zip(kinds, value, strict=True))
    return tuple(_value(kind, item, f"{where}[{index}]") for index, (kind, item) in pairs)


def _text(key: object, where: str) -> str:
    if not isinstance(key, str):
        raise ConfigError(f"{where}: the key {_shown(key)} is no text; put it in quotes")
    return key


def _expected(kind: Any) -> str:
    """A type in the words of somebody who writes YAML."""
    if get_origin(kind) is tuple:
        return "a list"
    if get_origin(kind) in (dict, Mapping) or is_dataclass(kind):
        return "keys and values"
    if get_origin(kind) is Literal:
        return "one of " + " ".join(map(str, get_args(kind)))
    return _SCALARS.get(kind, getattr(kind, "__name__", str(kind)))


def _known(kind: Any) -> str:
    return " ".join(field.name for field in fields(kind) if field.init) or "none"


def _shown(value: object) -> str:
    text = repr(value)
    return f"{text if len(text) <= _SHOWN else text[:_SHOWN] + '...'} ({type(value).__name__})"

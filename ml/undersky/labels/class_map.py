"""A class map is read: what a file calls things, and what we call them; nothing goes unsaid.

    attribute: land_use            the column (vectors); COCO has its categories, GeoTIFF its pixel values
    classes: {12: cropland, wood: tree_cover}
    ignore: [0, clouded]           regions that nobody shall look at
    crowds: ignore                 COCO: what is marked iscrowd is such a region (default: objects)
    attribution, valid_from, valid_to, task, about, source     what a profile knows besides

Values are compared as text, whole numbers without a decimal point: 12, 12.0 and "12" are one value.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from undersky.errors import ConfigError
from undersky.labels.tasks import IGNORE, Task, task_of
from undersky.strict_yaml import parse_yaml

_KNOWN = {
    *("attribute", "classes", "ignore", "crowds", "about", "task"),
    *("attribution", "valid_from", "valid_to", "source"),
}
_LISTED = 12
"""Unmapped values that a message names."""


@dataclass(frozen=True, slots=True)
class Tiles:
    """A map of the world in files of equal degrees, each named by its lower left corner."""

    href: str
    """Address with `{tile}` in it; `N45E012` takes its place."""
    degrees: int
    """Side of a tile."""


@dataclass(frozen=True, slots=True)
class ClassMap:
    """What a file calls things, and what we call them."""

    name: str
    """Of the profile or the file it was read from."""
    attributes: tuple[str, ...]
    """Columns that may hold the value; the first that the file has is taken."""
    classes: Mapping[str, str]
    """Value, as text, to slug of the class."""
    ignore: frozenset[str]
    """Values of regions that do not count."""
    ignores_crowds: bool = False
    """COCO: what is marked iscrowd is a region to ignore, not an object."""
    task: str | None = None
    """The only task it serves; any with those classes when None."""
    about: str = ""
    """One sentence."""
    attribution: str = ""
    """Whom to thank, under what terms."""
    valid_from: date | None = None
    """First day on which the labels hold."""
    valid_to: date | None = None
    """Last day."""
    source: Tiles | None = None
    """Where the labels lie, if the profile brings them itself."""

    def codes(self, task: Task) -> Mapping[str, int]:
        """Value to stored number, ignored values among them.

        Raises:
            ConfigError: The map is for another task, or names a class that the task does not have.
        """
        if self.task not in (None, task.key):
            raise ConfigError(f"class map {self.name} is for {self.task}, not for {task.key}")
        strangers = sorted(set(self.classes.values()) - set(task.slugs))
        if strangers:
            raise ConfigError(
                f"class map {self.name} names {' '.join(strangers)}; {task.key} has {' '.join(task.slugs)}"
            )
        number = dict(zip(task.slugs, task.codes, strict=True))
        mapped = {value: number[slug] for value, slug in self.classes.items()}
        return mapped | dict.fromkeys(self.ignore, IGNORE)

    def refuse_unmapped(self, met: Mapping[str, int], where: str) -> None:
        """Returns if every value that was met is mapped or ignored.

        Args:
            met: Value to how often it was met.
            where: The file, and what of it.

        Raises:
            ConfigError: Some are neither; each is named with its count.
        """
        unknown = {v: n for v, n in met.items() if v not in self.classes and v not in self.ignore}
        if not unknown:
            return
        ranked = sorted(unknown.items(), key=lambda pair: (-pair[1], pair[0]))
        told = ", ".join(f"{value} ({count})" for value, count in ranked[:_LISTED])
        more = f" and {len(ranked) - _LISTED} more" if len(ranked) > _LISTED else ""
        raise ConfigError(
            f"{where} holds values that class map {self.name} neither maps nor ignores: {told}{more}; "
            "write each under `classes:` or `ignore:`"
        )


def value_text(value: object) -> str:
    """A value as class maps write it: 12.0 is `12`, a text without the blanks around it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float) or hasattr(value, "item"):
        number = value.item() if hasattr(value, "item") else value
        if isinstance(number, float) and number.is_integer():
            return str(int(number))
        return str(number).strip()
    return str(value).strip()


def shipped_maps() -> tuple[str, ...]:
    """Names of the profiles that come with Undersky."""
    folder = files("undersky.labels") / "profiles"
    return tuple(
        sorted(each.name.removesuffix(".yaml") for each in folder.iterdir() if each.name.endswith(".yaml"))
    )


def read_class_map(reference: str | Path) -> ClassMap:
    """The shipped profile of that name, or the class map in that YAML or JSON file.

    Raises:
        ConfigError: There is none, or it says something that a class map does not.
    """
    path = Path(reference)
    if str(reference) in shipped_maps():
        text = (files("undersky.labels") / "profiles" / f"{reference}.yaml").read_text(encoding="utf-8")
        name = str(reference)
    else:
        try:
            text, name = path.read_text(encoding="utf-8"), path.stem
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"class map {reference} cannot be read ({error}); give a YAML or JSON file, or one of the "
                f"shipped {' '.join(shipped_maps())}"
            ) from error
    try:
        fields = parse_yaml(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"class map {reference} is malformed: {error}") from error
    return _checked(name, fields)


def _checked(name: str, fields: object) -> ClassMap:
    if not isinstance(fields, dict):
        raise ConfigError(f"class map {name} is no mapping; it starts with `classes:`")
    unknown = sorted(str(key) for key in fields.keys() - _KNOWN)
    if unknown:
        raise ConfigError(f"class map {name} knows no {' '.join(unknown)}; it has {' '.join(sorted(_KNOWN))}")
    classes = _classes(name, fields.get("classes"))
    ignored = fields.get("ignore") or []
    if not isinstance(ignored, list) or any(isinstance(each, list | dict) for each in ignored):
        raise ConfigError(f"class map {name}: ignore is a list of values, found {ignored!r}")
    ignore = frozenset(map(value_text, ignored))
    both = sorted(ignore & classes.keys())
    if both:
        raise ConfigError(f"class map {name} maps and ignores {' '.join(both)}; decide for one")
    crowds = fields.get("crowds", "objects")
    if crowds not in ("objects", "ignore"):
        raise ConfigError(f"class map {name}: crowds is objects or ignore, found {crowds!r}")
    task = fields.get("task")
    if task is not None:
        task_of(str(task))
    return ClassMap(
        name=name,
        attributes=_attributes(name, fields.get("attribute")),
        classes=MappingProxyType(classes),
        ignore=ignore,
        ignores_crowds=crowds == "ignore",
        task=None if task is None else str(task),
        about=str(fields.get("about", "")),
        attribution=str(fields.get("attribution", "")),
        valid_from=_day(name, fields, "valid_from"),
        valid_to=_day(name, fields, "valid_to"),
        source=_tiles(name, fields.get("source")),
    )


def _classes(name: str, given: object) -> dict[str, str]:
    if not isinstance(given, dict) or not given:
        raise ConfigError(f"class map {name}: classes maps each value to a class, found {given!r}")
    texts = [(value_text(value), slug) for value, slug in given.items()]
    if odd := [value for value, slug in texts if not isinstance(slug, str)]:
        raise ConfigError(
            f"class map {name}: {odd[0]} is mapped to no class name; write `{odd[0]}: cropland`"
        )
    mapped = dict(texts)
    if len(mapped) < len(texts):
        raise ConfigError(f"class map {name} maps a value twice, once as a number and once as a text")
    return mapped


def _attributes(name: str, given: object) -> tuple[str, ...]:
    names = [given] if isinstance(given, str) else given or []
    if not isinstance(names, list) or not all(isinstance(each, str) for each in names):
        raise ConfigError(f"class map {name}: attribute is a column or a list of them, found {given!r}")
    return tuple(names)


def _day(name: str, fields: Mapping[str, Any], key: str) -> date | None:
    value = fields.get(key)
    if value is None or type(value) is date:
        return value
    try:
        return date.fromisoformat(str(value))
    except ValueError as error:
        raise ConfigError(f"class map {name}: {key} {value!r} is no day; write 2021-01-01") from error


def _tiles(name: str, given: object) -> Tiles | None:
    if given is None:
        return None
    if not isinstance(given, dict) or set(given) != {"tiles", "degrees"}:
        raise ConfigError(f"class map {name}: source has `tiles:` and `degrees:`, found {given!r}")
    href, degrees = str(given["tiles"]), given["degrees"]
    if "{tile}" not in href or not isinstance(degrees, int) or not 1 <= degrees <= 90:
        raise ConfigError(f"class map {name}: source has `tiles:` with {{tile}} in it, and `degrees:`")
    return Tiles(href, degrees)

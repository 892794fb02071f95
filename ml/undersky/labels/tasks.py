"""What can be labelled: three tasks, each with its classes."""

from dataclasses import dataclass
from types import MappingProxyType

from undersky.errors import ConfigError
from undersky.landcover import CLASSES, CoverClass

NODATA = 0
"""Stored where nobody said anything."""
IGNORE = 255
"""Stored where somebody said: do not look here."""
UNLABELLED = -1
"""What training and evaluation do not count: nothing said, ignored, or too near to an edge."""


@dataclass(frozen=True, slots=True)
class Task:
    """What a model learns from labels."""

    key: str
    """`landcover`, `quality` or `vessels`."""
    classes: tuple[CoverClass, ...]
    """In the order of a model's output channels; class number i is `classes[i]`."""
    counted_in: str
    """`pixels` or `objects`: what its labels are counted in."""

    @property
    def slugs(self) -> tuple[str, ...]:
        """The names a class map may use."""
        return tuple(kind.slug for kind in self.classes)

    @property
    def codes(self) -> tuple[int, ...]:
        """The stored number of each class."""
        return tuple(kind.code for kind in self.classes)


_QUALITY = (
    CoverClass(1, "Cloud", "cloud", (235, 90, 90)),
    CoverClass(2, "Cloud shadow", "cloud_shadow", (90, 60, 120)),
    CoverClass(3, "Cirrus", "cirrus", (240, 170, 200)),
    CoverClass(4, "Snow or ice", "snow", (90, 220, 240)),
    CoverClass(5, "Water", "water", (0, 100, 200)),
    CoverClass(6, "Clear land", "clear", (120, 180, 90)),
)
_VESSELS = (CoverClass(1, "Vessel", "vessel", (230, 60, 0)),)

TASKS = MappingProxyType(
    {
        task.key: task
        for task in (
            Task("landcover", CLASSES, "pixels"),
            Task("quality", _QUALITY, "pixels"),
            Task("vessels", _VESSELS, "objects"),
        )
    }
)
"""Every task by its key."""


def task_of(key: str) -> Task:
    """The task of that key.

    Raises:
        ConfigError: There is none.
    """
    if key not in TASKS:
        raise ConfigError(f"no task {key!r}; labels are for {' '.join(TASKS)}")
    return TASKS[key]

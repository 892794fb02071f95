"""What is expected of a fact: one line of a table that people read and suites are built from."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

Fact = str | float | bool | None
"""NaN and None: not applicable, and so never judged unless presence is expected."""
Row = Mapping[str, Fact]
Family = Literal["sentinel-2", "landsat"]


class Severity(IntEnum):
    """What follows when an expectation does not hold; the worst one decides."""

    WARNING = 1
    """It is recorded."""
    NON_PRODUCT = 2
    """Expected from time to time: the scene is skipped."""
    CRITICAL = 3
    """The delivered scene is quarantined, our own product held."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One expectation: the column lies within bounds, is one of some values, or is there at all."""

    about: Literal["scene", "bands"]
    """Which table of facts."""
    column: str
    """Which fact."""
    severity: Severity
    """What follows when it does not hold."""
    code: str
    """Stable reason code."""
    sentence: str
    """For a person, filled with the facts of the row that broke it: what was found, what to do."""
    source: str
    """Where the bound comes from."""
    low: float | None = None
    """Smallest value that holds."""
    high: float | None = None
    """Largest value that holds."""
    one_of: tuple[str | bool, ...] = ()
    """The values that hold, where the fact is no quantity."""
    family: Family | None = None
    """The constellation it is meant for; None for both."""

    def __post_init__(self) -> None:
        if self.one_of and (self.low is not None or self.high is not None):
            raise ValueError(f"{self.code}: a rule has bounds or a set of values, not both")

    @property
    def expected(self) -> str:
        """The bound in words."""
        if self.one_of:
            return "yes" if self.one_of == (True,) else f"one of {', '.join(map(str, self.one_of))}"
        if self.low is None and self.high is None:
            return "a value"
        if self.low is None:
            return f"at most {self.high:g}"
        return f"at least {self.low:g}" if self.high is None else f"{self.low:g} to {self.high:g}"


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one product."""

    level: str
    """`level-1`, `surface`, `map` or `objects`."""
    family: Family
    """Which suites judge it."""
    label: str
    """Name of the product, for people."""
    scene: Row
    """Facts of the whole."""
    bands: tuple[Row, ...]
    """Facts of each band or layer; each has a `band`."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An expectation that did not hold."""

    rule: Rule
    """Which."""
    sentence: str
    """For a person, with the values found."""
    rows: tuple[str, ...]
    """The bands that broke it; empty where it is about the scene."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the suites said of one product."""

    expectations: int
    """How many were tried."""
    failures: tuple[Failure, ...]
    """Those that did not hold, worst first."""

    @property
    def worst(self) -> Failure | None:
        """The failure that decides; None where nothing worse than a warning was found."""
        first = self.failures[0] if self.failures else None
        return first if first is not None and first.rule.severity > Severity.WARNING else None

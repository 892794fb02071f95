"""What things cost, as the operator writes it down: one YAML file, whose numbers are his own."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import yaml

from undersky.errors import ConfigError
from undersky.section import section
from undersky.strict_yaml import parse_yaml

_MAX_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class PriceList:
    """Prices in one currency; one that is left out is not needed, or the plan asks for it."""

    currency: str
    """`EUR`."""
    source: str
    """Whose prices they are, and where they stand."""
    as_of: str
    """Day or month of the prices."""
    core_hour: float
    """One processor core for an hour."""
    gib_hour: float
    """One GiB of memory for an hour; 0 where cores come with theirs."""
    gpu_hour: float | None = None
    s3_gib_month: float | None = None
    """One GiB in the bucket for a month."""
    egress_gib: float | None = None
    """One GiB that readers take out."""

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if isinstance(value, float) and value < 0:
                raise ValueError(f"{name} is {value:g}, and no price is below 0")
            if isinstance(value, str) and not value.strip():
                raise ValueError(f"{name} is empty: say it")

    def needed(self, name: str, why: str) -> float:
        """The price of that name.

        Raises:
            ConfigError: It is left out.
        """
        value = getattr(self, name)
        if value is None:
            raise ConfigError(f"the price list has no {name}, and {why}: add it")
        return float(value)


def read_prices(path: Path) -> PriceList:
    """The price list in a file.

    Raises:
        ConfigError: It cannot be read, has an unknown key or lacks one; the message names file and key.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}; name a price list") from error
    if len(content) > _MAX_BYTES:
        raise ConfigError(f"{path} has {len(content)} bytes, a price list at most {_MAX_BYTES}")
    try:
        values = parse_yaml(content.decode("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no YAML: {error}") from error
    if isinstance(values, Mapping):  # YAML makes a date of 2026-11-28, a person means the text
        values = {key: str(value) if isinstance(value, date) else value for key, value in values.items()}
    return section(PriceList, values, where=path.name)

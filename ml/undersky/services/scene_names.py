"""Names of Level-1 products, taken apart.

S2B_MSIL1C_20250619T095753_N0511_R066_T32TQM_20250619T132734
platform   datatake start  baseline   tile   made (or another discriminator)

LC09_L1TP_192029_20250613_20250620_02_T1
platform  path, row  sensed   made  collection, tier
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

_SENTINEL2 = re.compile(
    r"(S2[A-Z])_MSIL(1C|2A)_(\d{8}T\d{6})_N(\d{2})(\d{2})_R\d{3}_T(\d{2}[A-Z]{3})_(\d{8}T\d{6})"
)
_SENTINEL2_OLD = re.compile(r"S2[A-Z]_(?:OPER|USER)_(?:PRD_)?MSI\w*")
_LANDSAT = re.compile(r"(L[A-Z])(\d\d)_(L\w{3})_(\d{3})(\d{3})_(\d{8})_(\d{8})_(\d{2})_(RT|T1|T2)(?:_.*)?")
_SENTINEL2_PLATFORMS = ("S2A", "S2B", "S2C")
_LANDSAT_LEVELS = ("L1TP", "L1GT", "L1GS")


class Refused(ValueError):  # noqa: N818  it says what happened
    """Something upstream has that is not wanted, with a stable reason."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class SceneName:
    """What a product's name says."""

    scene: str
    """The name itself, without extension."""
    platform: str
    """`S2B`, `LC09`."""
    tile: str
    """`32TQM`, or path and row `192029`."""
    sensed: datetime
    """Start of the datatake; noon of the day for Landsat, whose names know no hour (UTC)."""
    produced: datetime
    """When the agency made it, as far as the name tells (UTC)."""
    baseline: str | None
    """`05.11`; None of Landsat."""
    tier: str | None
    """`RT`, `T1`, `T2`; None of Sentinel-2."""

    @property
    def is_landsat(self) -> bool:
        """A Landsat, else a Sentinel-2."""
        return self.tier is not None

    @property
    def key(self) -> str:
        """Of the granule: `S2B_20250619T095753_32TQM`, `LC09_192029_20250613`."""
        if self.is_landsat:
            return f"{self.platform}_{self.tile}_{self.sensed:%Y%m%d}"
        return f"{self.platform}_{self.sensed:%Y%m%dT%H%M%S}_{self.tile}"


def read_name(text: str, collection: str) -> SceneName:
    """The name of a product of one of our collections.

    Raises:
        Refused: `unknown_id`, `wrong_level`, `unsupported_sensor`, `thermal_only`, `old_collection`.
    """
    name = text.strip().removesuffix(".zip").removesuffix(".SAFE")
    try:
        return _landsat(name) if collection.startswith("landsat") else _sentinel2(name)
    except Refused:
        raise
    except ValueError as error:  # a date that is none
        raise Refused("unknown_id", f"{name[:80]!r} is no name of a product: {error}") from error


def _sentinel2(name: str) -> SceneName:
    found = _SENTINEL2.fullmatch(name)
    if found is None:
        old = (
            ", an old one of several granules, renamed by the agency since"
            if _SENTINEL2_OLD.match(name)
            else ""
        )
        raise Refused("unknown_id", f"{name[:80]!r} is no name of a Sentinel-2 product (S2A_MSIL1C_...){old}")
    platform, level, datatake, major, minor, tile, made = found.groups()
    if level != "1C":
        raise Refused("wrong_level", f"{name} is Level-{level}, corrected by the agency; Level-1C is read")
    if platform not in _SENTINEL2_PLATFORMS:
        known = ", ".join(_SENTINEL2_PLATFORMS)
        raise Refused("unsupported_sensor", f"{name} is from {platform}; known are {known}")
    return SceneName(name, platform, tile, _moment(datatake), _moment(made), f"{major}.{minor}", None)


def _landsat(name: str) -> SceneName:
    found = _LANDSAT.fullmatch(name)
    if found is None:
        raise Refused("unknown_id", f"{name[:80]!r} is no name of a Landsat product (LC08_L1TP_...)")
    sensor, number, level, path, row, sensed, made, collection, tier = found.groups()
    scene = name[: found.end(9)]
    if number not in ("08", "09"):
        raise Refused("unsupported_sensor", f"{scene} is from Landsat {int(number)}; only 8 and 9 are read")
    if sensor == "LT":
        raise Refused("thermal_only", f"{scene} holds thermal bands alone, no reflectance")
    if sensor not in ("LC", "LO"):
        raise Refused("unsupported_sensor", f"{scene} is from the instrument {sensor}; only OLI is read")
    if level not in _LANDSAT_LEVELS:
        raise Refused(
            "wrong_level",
            f"{scene} is {level}, corrected by the agency; {' '.join(_LANDSAT_LEVELS)} are read",
        )
    if collection != "02":
        raise Refused("old_collection", f"{scene} is of Collection {int(collection)}; 2 replaced it")
    return SceneName(
        scene,
        f"{sensor}{number}",
        f"{path}{row}",
        _moment(f"{sensed}T120000"),
        _moment(f"{made}T000000"),
        None,
        tier,
    )


def _moment(text: str) -> datetime:
    return datetime.strptime(text, "%Y%m%dT%H%M%S").replace(tzinfo=UTC)

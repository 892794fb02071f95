"""Every name inside a Sentinel-2 Level-1C product, from the few facts that decide them.

Source: Sentinel-2 Products Specification Document 14.9, section 4.8 (compact naming convention). Orbit
numbers follow the real ones: 143 orbits in ten days from each launch; relative ones as the mission counts.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from undersky.errors import ConfigError

_LAUNCH = {
    "S2A": datetime(2015, 6, 23, tzinfo=UTC),
    "S2B": datetime(2017, 3, 7, tzinfo=UTC),
    "S2C": datetime(2024, 9, 5, tzinfo=UTC),
}
_ORBITS_A_DAY = 14.3
# relative orbit = (absolute + shift) modulo 143, plus one; S2C flies in the place of S2A
_ORBIT_SHIFT = {"S2A": 2, "S2B": -27, "S2C": 2}
_NEW_SINCE = (4, 0)  # offsets, raster masks and aerosol forecasts came together

S2C_FIRST_BASELINE = "05.11"
"""Sentinel-2C never flew under an older one."""


@dataclass(frozen=True, slots=True)
class SafeNames:
    """One granule's identity and all that is named after it."""

    sensor: str
    """`S2A`, `S2B`, `S2C`."""
    tile: str
    """MGRS tile without its T: `32TQM`."""
    acquired: datetime
    """Sensing time of the granule (UTC, aware)."""
    baseline: str
    """Processing baseline: `02.09`, `05.11`."""

    def __post_init__(self) -> None:
        if self.sensor not in _LAUNCH:
            raise ConfigError(f"{self.sensor} is no Sentinel-2; SAFE products exist for {' '.join(_LAUNCH)}")
        if not re.fullmatch(r"\d\d\.\d\d", self.baseline):
            raise ConfigError(f"{self.baseline!r} is no processing baseline; write it as 05.11")
        if self.acquired < _LAUNCH[self.sensor]:
            launch = _LAUNCH[self.sensor].date()
            raise ConfigError(f"{self.sensor} was launched on {launch}; give a later date")
        if self.sensor == "S2C" and self.version < (5, 11):
            raise ConfigError(f"S2C has no baseline {self.baseline}; give {S2C_FIRST_BASELINE} or later")

    @property
    def version(self) -> tuple[int, int]:
        """The baseline as two comparable numbers."""
        major, minor = self.baseline.split(".")
        return int(major), int(minor)

    @property
    def has_offsets(self) -> bool:
        """True from baseline 04.00: radiometric offsets and raster masks."""
        return self.version >= _NEW_SINCE

    @property
    def has_cams(self) -> bool:
        """True when the product brings a CAMS forecast beside ECMWF's."""
        return self.version >= _NEW_SINCE

    @property
    def absolute_orbit(self) -> int:
        """Orbits since launch."""
        return int((self.acquired - _LAUNCH[self.sensor]).total_seconds() / 86400 * _ORBITS_A_DAY) + 1

    @property
    def relative_orbit(self) -> int:
        """1 to 143."""
        return (self.absolute_orbit + _ORBIT_SHIFT[self.sensor]) % 143 + 1

    @property
    def datatake_start(self) -> datetime:
        """When the satellite began to look, a few minutes before it reached this granule."""
        return (self.acquired - timedelta(minutes=5, seconds=29)).replace(microsecond=24000)

    @property
    def datastrip_start(self) -> datetime:
        """When the datastrip began."""
        return (self.acquired - timedelta(seconds=41)).replace(microsecond=0)

    @property
    def generated(self) -> datetime:
        """When the product was made: three hours and some minutes later."""
        return (self.acquired + timedelta(hours=3, minutes=24, seconds=12)).replace(microsecond=0)

    @property
    def centre(self) -> str:
        """The processing centre, four characters."""
        return f"2{self.sensor[-1]}PS" if self.has_offsets else "SGS_"

    @property
    def product(self) -> str:
        """The product identifier, without `.SAFE`."""
        code = f"N{self.baseline.replace('.', '')}"
        return (
            f"{self.sensor}_MSIL1C_{stamp(self.datatake_start)}_{code}_R{self.relative_orbit:03d}"
            f"_T{self.tile}_{stamp(self.generated)}"
        )

    @property
    def granule(self) -> str:
        """The granule's folder."""
        return f"L1C_T{self.tile}_A{self.absolute_orbit:06d}_{stamp(self.datastrip_start)}"

    @property
    def granule_id(self) -> str:
        """The granule's long identifier."""
        return f"{self.sensor}_OPER_MSI_L1C_TL_{self._suffix}_{self._place}_N{self.baseline}"

    @property
    def datastrip(self) -> str:
        """The datastrip's folder."""
        return f"DS_{self._suffix}_S{stamp(self.datastrip_start)}"

    @property
    def datastrip_id(self) -> str:
        """The datastrip's long identifier."""
        return f"{self.sensor}_OPER_MSI_L1C_{self.datastrip}_N{self.baseline}"

    @property
    def datatake_id(self) -> str:
        """The datatake's identifier."""
        return f"G{self.sensor}_{stamp(self.datatake_start)}_{self.absolute_orbit:06d}_N{self.baseline}"

    @property
    def prefix(self) -> str:
        """What every image's name begins with."""
        return f"T{self.tile}_{stamp(self.datatake_start)}"

    def mask_id(self, kind: str, band: str) -> str:
        """The identifier of a vector mask: kind `DETFOO`, band `B02`."""
        return f"{self.sensor}_OPER_MSK_{kind}_{self._suffix}_{self._place}_{band}_MSIL1C"

    @property
    def _place(self) -> str:
        return f"A{self.absolute_orbit:06d}_T{self.tile}"

    @property
    def _suffix(self) -> str:
        return f"{self.centre}_{stamp(self.generated)}"


def stamp(time: datetime) -> str:
    """`20250613T101031`."""
    return time.strftime("%Y%m%dT%H%M%S")


def iso(time: datetime) -> str:
    """`2025-06-13T10:10:31.024Z`."""
    return time.strftime("%Y-%m-%dT%H:%M:%S.") + f"{time.microsecond // 1000:03d}Z"

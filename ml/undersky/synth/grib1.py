"""GRIB edition 1 messages as ESA cuts them from ECMWF and CAMS forecasts into a Sentinel-2 granule.

    | IS 8 | PDS 52 (local definition 1) | GDS 32 (lat/lon) | BDS 11 + 2 a value | 7777 |

Only what those files use: one 9 x 9 latitude-longitude grid, simple packing in 16 bits, no bitmap.
Source: WMO Manual on Codes, FM 92 GRIB edition 1; ECMWF local definition 1; a real product's octets.
"""

import math
import struct
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

_CENTRE_ECMWF = 98
_BITS = 16
_SURFACE = 1


@dataclass(frozen=True, slots=True)
class Box:
    """The corner nodes of a latitude-longitude grid."""

    north: float
    """Latitude of the first row, degrees."""
    west: float
    """Longitude of the first column, degrees."""
    south: float
    """Latitude of the last row, degrees."""
    east: float
    """Longitude of the last column, degrees."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """What a message's numbers mean, in ECMWF's tables."""

    number: int
    """Indicator of parameter: 137 is total column water vapour in table 128."""
    table: int = 128
    """Parameter table version."""
    level_type: int = _SURFACE
    """1 surface, 100 isobaric."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """When a forecast was begun and for when it speaks."""

    reference: datetime
    """Start of the forecast (UTC)."""
    minutes: int
    """From there to the moment it speaks of."""


def message(values: npt.NDArray[np.floating], parameter: Parameter, *, box: Box, forecast: Forecast) -> bytes:
    """One complete message; each value is kept to 1/65535 of the field's range.

    Args:
        values: (y, x), north to south and west to east, in the parameter's own unit.
        parameter: What the values are.
        box: Where the corner nodes lie; kept to a thousandth of a degree.
        forecast: Reference time and step.
    """
    rows, cols = values.shape
    body = _product(parameter, forecast) + _grid(rows, cols, box) + _data(values)
    total = 8 + len(body) + 4
    return b"GRIB" + _three_octets(total) + b"\x01" + body + b"7777"


def _product(parameter: Parameter, forecast: Forecast) -> bytes:
    century, year = divmod(forecast.reference.year - 1, 100)
    local = struct.pack(">BBBH4sBB", 1, 14, 9, 1025, b"0001", 0, 0)
    head = struct.pack(
        ">BBBBBBBH",
        parameter.table,
        _CENTRE_ECMWF,
        128,
        255,
        0x80,
        parameter.number,
        parameter.level_type,
        0,
    )
    time = forecast.reference
    # time range 10: the step fills both octets P1 and P2
    when = struct.pack(
        ">BBBBBBHB", year + 1, time.month, time.day, time.hour, time.minute, 0, forecast.minutes, 10
    )
    tail = struct.pack(">HBBBh", 0, 0, century + 1, 0, 0)
    body = head + when + tail + bytes(12) + local
    return _three_octets(52) + body.ljust(49, b"\0")


def _grid(rows: int, cols: int, box: Box) -> bytes:
    steps = (abs(box.east - box.west) / (cols - 1), abs(box.north - box.south) / (rows - 1))
    first = _signed_milli(box.north) + _signed_milli(box.west)
    last = _signed_milli(box.south) + _signed_milli(box.east)
    body = struct.pack(">BBBHH", 0, 255, 0, cols, rows) + first + b"\x80" + last
    body += struct.pack(">HHB", *(round(step * 1000) for step in steps), 0) + bytes(4)
    return _three_octets(32) + body


def _data(values: npt.NDArray[np.floating]) -> bytes:
    field = values.astype(np.float64).ravel()
    reference = _ibm_below(float(field.min()))
    spread = float(field.max()) - _ibm_value(reference)
    scale = math.ceil(math.log2(spread / (2**_BITS - 1))) if spread > 0 else 0
    packed = np.rint((field - _ibm_value(reference)) / 2.0**scale).astype(">u2").tobytes()
    padding = (11 + len(packed)) % 2
    head = bytes([8 * padding]) + _signed(scale, octets=2) + reference + bytes([_BITS])
    return _three_octets(11 + len(packed) + padding) + head + packed + bytes(padding)


def _three_octets(number: int) -> bytes:
    return number.to_bytes(3, "big")


def _signed(number: int, *, octets: int) -> bytes:
    """Sign and magnitude, as GRIB 1 writes integers."""
    sign = (1 << (8 * octets - 1)) if number < 0 else 0
    return (sign | abs(number)).to_bytes(octets, "big")


def _signed_milli(degrees: float) -> bytes:
    return _signed(round(degrees * 1000), octets=3)


def _ibm_below(number: float) -> bytes:
    """The largest IBM System/360 single float that is not above the number."""
    if number == 0:
        return bytes(4)
    exponent = math.floor(math.log(abs(number), 16)) + 1
    fraction = abs(number) / 16.0**exponent * 2**24
    mantissa = math.ceil(fraction) if number < 0 else math.floor(fraction)
    if mantissa >= 1 << 24:
        mantissa, exponent = mantissa >> 4, exponent + 1
        mantissa += 1 if number < 0 else 0
    if exponent < -64:  # smaller than the format knows: zero, or the negative number next to it
        return b"\x80\0\0\1" if number < 0 else bytes(4)
    return bytes([(0x80 if number < 0 else 0) | (exponent + 64)]) + mantissa.to_bytes(3, "big")


def _ibm_value(octets: bytes) -> float:
    sign = -1.0 if octets[0] & 0x80 else 1.0
    return float(sign * int.from_bytes(octets[1:], "big") / 2**24 * 16.0 ** ((octets[0] & 0x7F) - 64))

"""The metadata of a Landsat Collection 2 Level-1 product in its three spellings: MTL.txt, .xml, .json.

Groups, keys, order and number formats follow real Landsat 8 and 9 products; ground control and ephemeris,
which a simulation has not, are left out.
Source: LSDS-1822, Landsat 8-9 Calibration and Validation Level 1 Data Format Control Book v2.0, section 3.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from rasterio.warp import transform

from undersky.grid import Grid, resolution_m
from undersky.synth.geometry import earth_sun_distance_au, epsg

REFLECTANCE_MULT = 2e-5
"""Reflectance, before the sun's elevation is divided out, per digital number."""
REFLECTANCE_ADD = -0.1
"""The same at digital number zero."""
PROCESSED_AFTER = timedelta(days=7)
"""From the acquisition to the making of the product."""
THERMAL_ADD = 0.1
"""Radiance of the thermal bands at digital number zero, W/(m2 sr um)."""

_NUMBERS = range(1, 12)
_REFLECTIVE = range(1, 10)
# radiance per digital number of bands 1 to 9 at one astronomical unit, from real products
_RADIANCE_MULT = {
    "L8": (1.2556e-2, 1.2857e-2, 1.1848e-2, 9.9908e-3, 6.1139e-3, 1.5205e-3, 5.1248e-4, 1.1307e-2, 2.3894e-3),
    "L9": (1.2515e-2, 1.2854e-2, 1.1858e-2, 9.9906e-3, 6.1232e-3, 1.5220e-3, 5.1289e-4, 1.1275e-2, 2.3933e-3),
}


@dataclass(frozen=True, slots=True)
class Thermal:
    """Calibration of one thermal band."""

    k1: float
    """Planck constant K1, W/(m2 sr um)."""
    k2: float
    """Planck constant K2, kelvin."""
    mult: float
    """Radiance per digital number."""


THERMAL: Mapping[str, Mapping[int, Thermal]] = {
    "L8": {10: Thermal(774.8853, 1321.0789, 3.3420e-4), 11: Thermal(480.8883, 1201.1442, 3.3420e-4)},
    "L9": {10: Thermal(799.0284, 1329.2405, 3.8000e-4), 11: Thermal(475.6581, 1198.3494, 3.4900e-4)},
}
"""By sensor and band number; from real products."""


class Bare(str):
    """A value that MTL.txt writes without quotation marks: a number, a date."""

    __slots__ = ()


Group = dict[str, "str | Group"]


@dataclass(frozen=True, slots=True)
class Facts:
    """What the metadata says of one product."""

    product: str
    """`LC08_L1TP_192028_20250613_20250620_02_T1`."""
    sensor: str
    """`L8`, `L9`."""
    acquired: datetime
    """Scene centre time (UTC)."""
    grid: Grid
    """Of the 30 m bands."""
    pan: Grid
    """Of band 8."""
    sun_elevation: float
    """Degrees at the scene's centre."""
    sun_azimuth: float
    """Degrees clockwise from north at the scene's centre."""
    cloud_percent: float
    """0 to 100."""

    @property
    def path_row(self) -> tuple[int, int]:
        """WRS-2 path and row."""
        digits = self.product.split("_")[2]
        return int(digits[:3]), int(digits[3:])

    @property
    def earth_sun_distance(self) -> float:
        """Astronomical units."""
        return earth_sun_distance_au(self.acquired)


def metadata(facts: Facts) -> Group:
    """The whole tree, in the order of a real product."""
    files = _file_names(facts.product)
    path, row = facts.path_row
    scene = f"LC{facts.sensor[1]}{path:03d}{row:03d}{facts.acquired:%Y%j}LGN00"
    identity: Group = {
        "ORIGIN": "Image courtesy of the U.S. Geological Survey",
        "DIGITAL_OBJECT_IDENTIFIER": "https://doi.org/10.5066/P975CC9B",
    }
    tree: Group = {
        "PRODUCT_CONTENTS": {
            **identity,
            "LANDSAT_PRODUCT_ID": facts.product,
            "PROCESSING_LEVEL": "L1TP",
            "COLLECTION_NUMBER": Bare("02"),
            "COLLECTION_CATEGORY": "T1",
            "OUTPUT_FORMAT": "GEOTIFF",
            **files,
            **_data_types(),
        },
        "IMAGE_ATTRIBUTES": _image(facts),
        "PROJECTION_ATTRIBUTES": _projection(facts),
        "LEVEL1_PROCESSING_RECORD": {
            **identity,
            "REQUEST_ID": "0000000_00001",
            "LANDSAT_SCENE_ID": scene,
            "LANDSAT_PRODUCT_ID": facts.product,
            "PROCESSING_LEVEL": "L1TP",
            "COLLECTION_CATEGORY": "T1",
            "OUTPUT_FORMAT": "GEOTIFF",
            "DATE_PRODUCT_GENERATED": Bare(f"{facts.acquired + PROCESSED_AFTER:%Y-%m-%dT%H:%M:%SZ}"),
            "PROCESSING_SOFTWARE_VERSION": "LPGS_16.4.0",
            **files,
            "DATA_SOURCE_ELEVATION": "GLS2000",
        },
        **_calibration(facts),
        "LEVEL1_PROJECTION_PARAMETERS": {**_map(facts), "RESAMPLING_OPTION": "CUBIC_CONVOLUTION"},
    }
    return {"LANDSAT_METADATA_FILE": tree}


def _file_names(product: str) -> Group:
    names: Group = {f"FILE_NAME_BAND_{number}": f"{product}_B{number}.TIF" for number in _NUMBERS}
    for key, suffix in (
        ("QUALITY_L1_PIXEL", "QA_PIXEL.TIF"),
        ("QUALITY_L1_RADIOMETRIC_SATURATION", "QA_RADSAT.TIF"),
        ("ANGLE_COEFFICIENT", "ANG.txt"),
        ("ANGLE_SENSOR_AZIMUTH_BAND_4", "VAA.TIF"),
        ("ANGLE_SENSOR_ZENITH_BAND_4", "VZA.TIF"),
        ("ANGLE_SOLAR_AZIMUTH_BAND_4", "SAA.TIF"),
        ("ANGLE_SOLAR_ZENITH_BAND_4", "SZA.TIF"),
        ("METADATA_ODL", "MTL.txt"),
        ("METADATA_XML", "MTL.xml"),
    ):
        names[f"FILE_NAME_{key}"] = f"{product}_{suffix}"
    return names


def _data_types() -> Group:
    types: Group = {f"DATA_TYPE_BAND_{number}": "UINT16" for number in _NUMBERS}
    types |= {f"DATA_TYPE_QUALITY_L1_{key}": "UINT16" for key in ("PIXEL", "RADIOMETRIC_SATURATION")}
    for key in ("SENSOR_AZIMUTH", "SENSOR_ZENITH", "SOLAR_AZIMUTH", "SOLAR_ZENITH"):
        types[f"DATA_TYPE_ANGLE_{key}_BAND_4"] = "INT16"
    return types


def _image(facts: Facts) -> Group:
    path, row = facts.path_row
    return {
        "SPACECRAFT_ID": f"LANDSAT_{facts.sensor[1]}",
        "SENSOR_ID": "OLI_TIRS",
        "WRS_TYPE": Bare("2"),
        "WRS_PATH": Bare(str(path)),
        "WRS_ROW": Bare(str(row)),
        "NADIR_OFFNADIR": "NADIR",
        "TARGET_WRS_PATH": Bare(str(path)),
        "TARGET_WRS_ROW": Bare(str(row)),
        "DATE_ACQUIRED": Bare(f"{facts.acquired:%Y-%m-%d}"),
        "SCENE_CENTER_TIME": f"{facts.acquired:%H:%M:%S.%f}0Z",
        "STATION_ID": "LGN",
        "CLOUD_COVER": Bare(f"{facts.cloud_percent:.2f}"),
        "CLOUD_COVER_LAND": Bare(f"{facts.cloud_percent:.2f}"),
        "IMAGE_QUALITY_OLI": Bare("9"),
        "IMAGE_QUALITY_TIRS": Bare("9"),
        **{f"SATURATION_BAND_{number}": "N" for number in _REFLECTIVE},
        "ROLL_ANGLE": Bare("0.000"),
        "SUN_AZIMUTH": Bare(f"{facts.sun_azimuth:.8f}"),
        "SUN_ELEVATION": Bare(f"{facts.sun_elevation:.8f}"),
        "EARTH_SUN_DISTANCE": Bare(f"{facts.earth_sun_distance:.7f}"),
    }


def _map(facts: Facts) -> Group:
    return {
        "MAP_PROJECTION": "UTM",
        "DATUM": "WGS84",
        "ELLIPSOID": "WGS84",
        "UTM_ZONE": Bare(str(epsg(facts.grid) % 100)),
        "GRID_CELL_SIZE_PANCHROMATIC": Bare("15.00"),
        "GRID_CELL_SIZE_REFLECTIVE": Bare("30.00"),
        "GRID_CELL_SIZE_THERMAL": Bare("30.00"),
        "ORIENTATION": "NORTH_UP",
    }


def _projection(facts: Facts) -> Group:
    fields = _map(facts)
    for name, grid in (("PANCHROMATIC", facts.pan), ("REFLECTIVE", facts.grid), ("THERMAL", facts.grid)):
        fields[f"{name}_LINES"] = Bare(str(grid.shape[0]))
        fields[f"{name}_SAMPLES"] = Bare(str(grid.shape[1]))
    fields["ORIENTATION"] = fields.pop("ORIENTATION")
    corners = _corners(facts.grid)
    lons, lats = transform(str(facts.grid.crs), "EPSG:4326", *zip(*corners.values(), strict=True))
    for name, lon, lat in zip(corners, lons, lats, strict=True):
        fields[f"CORNER_{name}_LAT_PRODUCT"] = Bare(f"{lat:.5f}")
        fields[f"CORNER_{name}_LON_PRODUCT"] = Bare(f"{lon:.5f}")
    for name, (x, y) in corners.items():
        fields[f"CORNER_{name}_PROJECTION_X_PRODUCT"] = Bare(f"{x:.3f}")
        fields[f"CORNER_{name}_PROJECTION_Y_PRODUCT"] = Bare(f"{y:.3f}")
    return fields


def _corners(grid: Grid) -> dict[str, tuple[float, float]]:
    """Map positions of the corner pixels' centres, as Landsat counts corners."""
    box, half = grid.boundingbox, resolution_m(grid) / 2
    left, right, top, bottom = box.left + half, box.right - half, box.top - half, box.bottom + half
    return {"UL": (left, top), "UR": (right, top), "LL": (left, bottom), "LR": (right, bottom)}


def _calibration(facts: Facts) -> Group:
    thermal = THERMAL[facts.sensor]
    distance = facts.earth_sun_distance**2
    mult = {
        number: value / distance
        for number, value in zip(_REFLECTIVE, _RADIANCE_MULT[facts.sensor], strict=True)
    }
    add = {number: REFLECTANCE_ADD / REFLECTANCE_MULT * value for number, value in mult.items()}
    mult |= {number: band.mult for number, band in thermal.items()}
    add |= dict.fromkeys(thermal, THERMAL_ADD)
    radiance, reflectance, pixels = {}, {}, {}
    for number in _NUMBERS:
        for limit, digital in (("MAXIMUM", 65535), ("MINIMUM", 1)):
            radiance[f"RADIANCE_{limit}_BAND_{number}"] = Bare(f"{mult[number] * digital + add[number]:.5f}")
            value = REFLECTANCE_MULT * digital + REFLECTANCE_ADD
            if number in _REFLECTIVE:
                reflectance[f"REFLECTANCE_{limit}_BAND_{number}"] = Bare(f"{value:.6f}")
            pixels[f"QUANTIZE_CAL_{limit[:3]}_BAND_{number}"] = Bare(str(digital))
    rescaling = {f"RADIANCE_MULT_BAND_{number}": Bare(f"{mult[number]:.4E}") for number in _NUMBERS}
    rescaling |= {f"RADIANCE_ADD_BAND_{number}": Bare(f"{add[number]:.5f}") for number in _NUMBERS}
    rescaling |= {
        f"REFLECTANCE_MULT_BAND_{number}": Bare(f"{REFLECTANCE_MULT:.4E}") for number in _REFLECTIVE
    }
    rescaling |= {f"REFLECTANCE_ADD_BAND_{number}": Bare(f"{REFLECTANCE_ADD:.6f}") for number in _REFLECTIVE}
    constants = {}
    for number, band in thermal.items():
        constants[f"K1_CONSTANT_BAND_{number}"] = Bare(f"{band.k1:.4f}")
        constants[f"K2_CONSTANT_BAND_{number}"] = Bare(f"{band.k2:.4f}")
    return {
        "LEVEL1_MIN_MAX_RADIANCE": {**radiance},
        "LEVEL1_MIN_MAX_REFLECTANCE": {**reflectance},
        "LEVEL1_MIN_MAX_PIXEL_VALUE": {**pixels},
        "LEVEL1_RADIOMETRIC_RESCALING": {**rescaling},
        "LEVEL1_THERMAL_CONSTANTS": {**constants},
    }


def as_odl(group: Group) -> str:
    """MTL.txt."""
    return "\n".join([*_odl_lines(group, indent=""), "END", ""])


def _odl_lines(group: Group, *, indent: str) -> list[str]:
    lines = []
    for key, value in group.items():
        if isinstance(value, dict):
            inner = _odl_lines(value, indent=indent + "  ")
            lines += [f"{indent}GROUP = {key}", *inner, f"{indent}END_GROUP = {key}"]
        else:
            lines.append(
                f"{indent}{key} = {value}" if isinstance(value, Bare) else f'{indent}{key} = "{value}"'
            )
    return lines


def as_xml(group: Group) -> str:
    """MTL.xml."""
    return "\n".join(['<?xml version="1.0" encoding="UTF-8"?>', *_xml_lines(group, indent=""), ""])


def _xml_lines(group: Group, *, indent: str) -> list[str]:
    lines = []
    for key, value in group.items():
        if isinstance(value, dict):
            lines += [f"{indent}<{key}>", *_xml_lines(value, indent=indent + "  "), f"{indent}</{key}>"]
        else:
            lines.append(f"{indent}<{key}>{value}</{key}>")
    return lines


def as_json(group: Group) -> str:
    """MTL.json: every value a string, as the agency writes it."""
    return json.dumps(group)

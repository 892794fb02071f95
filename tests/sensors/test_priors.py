"""The forecasts inside Sentinel-2 products, checked against a GRIB decoder written here."""

import re
import shutil
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import rasterio.warp

from undersky.errors import DataError, Reason
from undersky.scene import Finding
from undersky.sensors import open_scene
from undersky.sensors.archive import open_files
from undersky.sensors.coarse import nodes_xy
from undersky.sensors.priors import DOBSON_KG_M2, read_grib

pytestmark = pytest.mark.oracle
T51 = "s2-l1c-safe-t51mup-20230804-metadata/S2A_MSIL1C_20230804T021351_N0509_R060_T51MUP_20230804T052642.SAFE"
T55 = (
    "s2-l1c-safe-t55jej-20171207-decimated/S2A_MSIL1C_20171207T002051_N0206_R116_T55JEJ_20171207T032513.SAFE"
)


@dataclass
class Message:
    table: int
    parameter: int
    values: np.ndarray
    latitudes: np.ndarray
    longitudes: np.ndarray


def three(data: bytes) -> int:
    return int.from_bytes(data, "big")


def signed(data: bytes) -> int:
    """GRIB's sign and magnitude."""
    value = int.from_bytes(data, "big")
    top = 1 << (8 * len(data) - 1)
    return -(value - top) if value & top else value


def ibm(data: bytes) -> float:
    sign, exponent, fraction = data[0] >> 7, data[0] & 0x7F, three(data[1:4])
    return (-1.0) ** sign * 16.0 ** (exponent - 64) * fraction / (1 << 24)


def messages(data: bytes) -> Iterator[Message]:
    """GRIB edition 1, WMO Manual on Codes 306 part II: simple packing on a latitude-longitude grid."""
    at = 0
    while (at := data.find(b"GRIB", at)) >= 0:
        assert data[at + 7] == 1
        product = data[at + 8 :]
        flags, decimal = product[7], signed(product[26:28])
        grid = product[three(product[0:3]) :]
        assert flags & 0x80
        assert grid[5] == 0
        columns, rows = struct.unpack(">HH", grid[6:10])
        first, last = (signed(grid[10:13]), signed(grid[13:16])), (signed(grid[17:20]), signed(grid[20:23]))
        packed = grid[three(grid[0:3]) :]
        if flags & 0x40:
            packed = packed[three(packed[0:3]) :]
        scale, reference, bits = signed(packed[4:6]), ibm(packed[6:10]), packed[10]
        stream = int.from_bytes(packed[11 : three(packed[0:3])], "big")
        length = (three(packed[0:3]) - 11) * 8
        count = rows * columns
        integers = [
            (stream >> (length - (index + 1) * bits)) & ((1 << bits) - 1) if bits else 0
            for index in range(count)
        ]
        values = (reference + np.array(integers, float) * 2.0**scale) / 10.0**decimal
        yield Message(
            product[3],
            product[8],
            values.reshape(rows, columns),
            np.linspace(first[0], last[0], rows) / 1000,
            np.linspace(first[1], last[1], columns) / 1000,
        )
        at += three(data[at + 4 : at + 7])


def auxiliary(product: Path, name: str) -> Path:
    return next(product.glob(f"GRANULE/*/AUX_DATA/{name}"))


@pytest.mark.parametrize(("product", "name"), [(T51, "AUX_ECMWFT"), (T51, "AUX_CAMSFO"), (T55, "AUX_ECMWFT")])
def test_every_field_is_what_the_bytes_say(samples: Path, product: str, name: str) -> None:
    path = auxiliary(samples / product, name)
    fields = read_grib(open_files(path.parent), name)
    decoded = list(messages(path.read_bytes()))
    assert len(decoded) == len(fields.values)
    for message, (key, values) in zip(decoded, fields.values.items(), strict=True):
        np.testing.assert_allclose(values, message.values, rtol=1e-6, atol=1e-9)
        if message.table == 210:
            assert key == str(message.parameter)
        np.testing.assert_allclose(fields.latitudes, message.latitudes, atol=2e-3)
        np.testing.assert_allclose(fields.longitudes, message.longitudes, atol=2e-3)


def test_the_prior_is_the_forecast_over_the_footprint(samples: Path) -> None:
    scene = open_scene(samples / T51)
    prior = scene.prior
    assert prior is not None
    assert prior.source == "AUX_ECMWFT+AUX_CAMSFO"
    weather = {m.parameter: m for m in messages(auxiliary(samples / T51, "AUX_ECMWFT").read_bytes())}
    aerosol = {m.parameter: m for m in messages(auxiliary(samples / T51, "AUX_CAMSFO").read_bytes())}
    # ECMWF table 128: 137 water vapour, 151 sea level pressure, 206 ozone; table 210: 207 optical depth
    checks = (
        (prior.water_vapour, weather[137], 0.1),
        (prior.sea_level_pressure_hpa, weather[151], 0.01),
        (prior.ozone_dobson, weather[206], 1 / 2.1415e-5),
        (prior.altitude_m, aerosol[129], 1 / 9.80665),
        (prior.aot_550, aerosol[207], 1.0),
        (prior.aot_550_by_species["sea_salt"], aerosol[208], 1.0),
        (prior.aot_550_by_species["dust"], aerosol[209], 1.0),
        (prior.aot_550_by_species["organic_matter"], aerosol[210], 1.0),
        (prior.aot_550_by_species["black_carbon"], aerosol[211], 1.0),
        (prior.aot_550_by_species["sulphate"], aerosol[212], 1.0),
    )
    columns, rows = nodes_xy(scene.grid)
    middle_x, middle_y = columns[11], rows[11]
    (lon,), (lat,) = rasterio.warp.transform(str(scene.grid.crs), "EPSG:4326", [middle_x], [middle_y])[:2]
    for ours, message, unit in checks:
        assert ours is not None
        along = [np.interp(lon, message.longitudes, row) for row in message.values]
        expected = np.interp(-lat, -message.latitudes, along) * unit
        assert ours[11, 11] == pytest.approx(
            expected, rel=2e-3, abs=1e-3 if message.parameter == 129 else 1e-5
        )
        assert ours.min() >= message.values.min() * unit - 1e-5
        assert ours.max() <= message.values.max() * unit * 1.00001


def test_values_are_those_of_an_atmosphere(samples: Path) -> None:
    for name in (T51, T55):
        prior = open_scene(samples / name).prior
        assert prior is not None
        for field, low, high in (
            (prior.water_vapour, 0.1, 7.0),
            (prior.ozone_dobson, 150.0, 500.0),
            (prior.sea_level_pressure_hpa, 900.0, 1080.0),
        ):
            assert field is not None
            assert low < field.min() <= field.max() < high


def test_species_add_up_to_the_whole(samples: Path) -> None:
    prior = open_scene(samples / T51).prior
    assert prior is not None
    total = sum(prior.aot_550_by_species.values())
    # CAMS forecasts more species (nitrate, ammonium, secondary organics) than the product carries
    assert prior.aot_550 is not None
    assert (total <= prior.aot_550 * 1.01).all()
    assert (total >= prior.aot_550 * 0.5).all()


def test_an_older_product_has_weather_but_no_aerosol(samples: Path) -> None:
    scene = open_scene(samples / T55)
    assert scene.prior is not None
    assert scene.prior.aot_550 is None
    assert scene.prior.aot_550_by_species == {}
    assert any(note.finding is Finding.PRIOR_MISSING and "aerosol" in note.sentence for note in scene.notes)


@pytest.mark.faults
@pytest.mark.parametrize("content", [b"", b"GRIB", b"GRIB\0\0\x20\1" + bytes(40), b"no forecast"])
def test_a_damaged_forecast_is_noted_and_left_out(samples: Path, tmp_path: Path, content: bytes) -> None:
    copy = tmp_path / (samples / T51).name
    shutil.copytree(samples / T51, copy)
    auxiliary(copy, "AUX_CAMSFO").write_bytes(content)
    scene = open_scene(copy)
    assert scene.prior is not None
    assert scene.prior.aot_550 is None
    assert scene.prior.water_vapour is not None
    assert any(
        re.search("AUX_CAMSFO", note.sentence)
        for note in scene.notes
        if note.finding is Finding.PRIOR_MISSING
    )


@pytest.mark.faults
def test_a_forecast_of_absurd_size_is_hostile(tmp_path: Path) -> None:
    (tmp_path / "AUX_ECMWFT").write_bytes(bytes(2 << 20))
    with pytest.raises(DataError) as caught:
        read_grib(open_files(tmp_path), "AUX_ECMWFT")
    assert caught.value.reason is Reason.METADATA_HOSTILE


def test_a_dobson_unit_is_a_hundredth_of_a_millimetre_of_ozone() -> None:
    # 1e-5 m of gas at 273.15 K and 101325 Pa: 0.44615 mol/m3 * 1e-3 * 47.998 g/mol
    assert pytest.approx(1e-5 * 101325 / (8.31446 * 273.15) * 47.9982e-3, rel=1e-3) == DOBSON_KG_M2

"""GRIB 1 as written, against GDAL and against the octets of a real product."""

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from undersky.synth.grib1 import Box, Forecast, Parameter, _ibm_below, _ibm_value, message
from undersky.synth.safe_names import SafeNames
from undersky.synth.safe_priors import cams_grib, ecmwf_grib

BOX = Box(north=-5.426, west=121.195, south=-6.421, east=122.184)
FORECAST = Forecast(datetime(2023, 8, 3, 12, 0), 858)  # noqa: DTZ001
REAL = "s2-l1c-safe-t51mup-20230804-metadata"


def _tags(path: Path) -> list[tuple[str, str]]:
    with rasterio.open(path) as raster:
        return [(raster.tags(i)["GRIB_ELEMENT"], raster.tags(i)["GRIB_SHORT_NAME"]) for i in raster.indexes]


@pytest.mark.oracle
@settings(max_examples=40, deadline=None)
@given(
    field=hnp.arrays(np.float64, (9, 9), elements=st.floats(-1e5, 1e5, allow_subnormal=False)),
    scale=st.sampled_from([1.0, 1e-4, 1e-8]),
)
def test_gdal_reads_the_field_to_a_65535th_of_its_range(field, scale, tmp_path_factory):
    values = field * scale
    path = tmp_path_factory.mktemp("grib") / "AUX"
    path.write_bytes(message(values, Parameter(137), box=BOX, forecast=FORECAST))
    with rasterio.open(path) as raster:
        read = raster.read(1)
    spread = np.ptp(values)
    reference = np.abs(values).max() * 2.0**-20  # a single float's own resolution, base 16
    assert np.abs(read - values).max() <= spread / 65535 + reference + 1e-12


@given(st.floats(-1e6, 1e6, allow_subnormal=False))
def test_the_reference_value_is_just_below_the_number(number):
    value = _ibm_value(_ibm_below(number))
    assert value <= number
    assert number - value <= abs(number) * 2.0**-20 + 1e-70


def test_a_constant_field_is_kept(tmp_path):
    path = tmp_path / "AUX"
    path.write_bytes(message(np.full((9, 9), 0.05), Parameter(209, table=210), box=BOX, forecast=FORECAST))
    with rasterio.open(path) as raster:
        np.testing.assert_allclose(raster.read(1), 0.05, atol=1e-7)


@pytest.mark.oracle
@pytest.mark.parametrize("name", ["AUX_ECMWFT", "AUX_CAMSFO"])
def test_a_real_file_written_again_has_the_same_octets_around_its_data(samples, name):
    real = next((samples / REAL).glob(f"*.SAFE/GRANULE/*/AUX_DATA/{name}"))
    octets, size = real.read_bytes(), 270
    with rasterio.open(real) as raster:
        fields = raster.read()
    for index, field in enumerate(fields):
        theirs = octets[index * size : (index + 1) * size]
        parameter = Parameter(theirs[16], table=theirs[11], level_type=theirs[17])
        ours = message(field, parameter, box=BOX, forecast=FORECAST)
        assert len(ours) == size
        assert ours[:96] == theirs[:96]  # all sections but the packed values
        assert ours[-4:] == theirs[-4:] == b"7777"


@pytest.mark.oracle
def test_a_granules_forecasts_carry_the_messages_of_a_real_one_in_their_order(handmade, samples, tmp_path):
    acquisition = handmade("S2A")
    names = SafeNames("S2A", "32TQM", acquisition.acquired, "05.11")
    for name, write in (("AUX_ECMWFT", ecmwf_grib), ("AUX_CAMSFO", cams_grib)):
        path = tmp_path / name
        path.write_bytes(write(acquisition.prior, names, grid=acquisition.grid))
        real = next((samples / REAL).glob(f"*.SAFE/GRANULE/*/AUX_DATA/{name}"))
        assert _tags(path) == _tags(real)


def test_old_baselines_bring_three_fields_only(handmade, tmp_path):
    acquisition = handmade("S2A")
    names = SafeNames("S2A", "32TQM", acquisition.acquired, "02.09")
    path = tmp_path / "AUX_ECMWFT"
    path.write_bytes(ecmwf_grib(acquisition.prior, names, grid=acquisition.grid))
    assert [element for element, _ in _tags(path)] == ["PWC", "MSL", "TCO3"]


def test_the_forecast_of_the_acquisition_comes_back_in_its_units_and_at_its_time(handmade, tmp_path):
    acquisition = handmade("S2A", size_m=10_980)
    names = SafeNames("S2A", "32TQM", acquisition.acquired, "05.11")
    path = tmp_path / "AUX_ECMWFT"
    path.write_bytes(ecmwf_grib(acquisition.prior, names, grid=acquisition.grid))
    with rasterio.open(path) as raster:
        water, pressure, ozone = (raster.read(i) for i in (1, 2, 3))
        valid = float(raster.tags(1)["GRIB_VALID_TIME"])
        west, south, east, north = raster.bounds
    prior = acquisition.prior
    corners = [(0, 0), (0, -1), (-1, 0), (-1, -1)]
    for corner in corners:
        assert water[corner] / 10 == pytest.approx(prior.water_vapour[corner], abs=1e-3)
        assert pressure[corner] / 100 == pytest.approx(prior.sea_level_pressure_hpa[corner], abs=0.01)
        assert ozone[corner] / 2.1415e-5 == pytest.approx(prior.ozone_dobson[corner], abs=0.05)
    assert abs(valid - acquisition.acquired.timestamp()) <= 30
    assert west < 11.55 < east
    assert south < 45.07 < north


def test_species_without_a_forecast_share_the_total(handmade, tmp_path):
    import dataclasses

    acquisition = handmade("S2A")
    prior = dataclasses.replace(acquisition.prior, aot_550_by_species={})
    names = SafeNames("S2A", "32TQM", acquisition.acquired, "05.11")
    path = tmp_path / "AUX_CAMSFO"
    path.write_bytes(cams_grib(prior, names, grid=acquisition.grid))
    with rasterio.open(path) as raster:
        total, species = raster.read(3), raster.read([7, 8, 9, 10, 11])
    np.testing.assert_allclose(species.sum(axis=0), total, atol=1e-5)

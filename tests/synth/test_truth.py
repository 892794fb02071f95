"""The truth beside a simulated product comes back exactly."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio

from undersky.errors import ConfigError
from undersky.synth.safe import write_safe
from undersky.synth.truth import read_truth, truth_folder, write_truth


@pytest.fixture(scope="module")
def written(handmade, tmp_path_factory):
    acquisition = handmade("S2A")
    product = write_safe(acquisition, tmp_path_factory.mktemp("truth"))
    return acquisition, product, write_truth(acquisition, product)


@pytest.mark.parametrize(
    ("product", "truth"),
    [
        ("S2A_X.SAFE", "S2A_X.truth"),
        ("S2A_X.zip", "S2A_X.truth"),
        ("LC08_L1TP_192028_20250613_20250620_02_T1", "LC08_L1TP_192028_20250613_20250620_02_T1.truth"),
    ],
)
def test_the_truth_lies_beside_its_product(product, truth):
    assert truth_folder(Path("/data") / product) == Path("/data") / truth


def test_surface_reflectance_comes_back_bit_for_bit(written):
    acquisition, _, folder = written
    truth = read_truth(folder)
    assert set(truth.surface) == set(acquisition.surface)
    for name, surface in acquisition.surface.items():
        np.testing.assert_array_equal(truth.surface[name], surface)


def test_truth_rasters_lie_on_the_band_grids(written):
    acquisition, _, folder = written
    for name in acquisition.surface:
        with rasterio.open(folder / f"{name}.tif") as raster:
            assert raster.dtypes == ("float32",)
            assert raster.transform == acquisition.grids[name].affine


def test_quality_comes_back(written):
    acquisition, _, folder = written
    truth = read_truth(folder)
    assert truth.quality.dtype == np.uint16
    np.testing.assert_array_equal(truth.quality, acquisition.quality)


def test_the_atmosphere_comes_back(written):
    acquisition, _, folder = written
    state = read_truth(folder).state
    for name in ("aot_550", "water_vapour", "ozone_dobson", "pressure_hpa", "aerosol_fractions"):
        np.testing.assert_allclose(getattr(state, name), getattr(acquisition.state, name), atol=1e-8)


def test_the_request_is_kept_as_json(written):
    acquisition, _, folder = written
    request = json.loads((folder / "request.json").read_text())
    assert request["sensor"] == acquisition.request.sensor
    assert request["acquired"] == acquisition.request.acquired.isoformat()
    assert request == dict(read_truth(folder).request)


def test_writing_again_gives_the_same_bytes(written):
    acquisition, product, folder = written
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    write_truth(acquisition, product)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_folder_without_truth_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"request\.json"):
        read_truth(tmp_path)

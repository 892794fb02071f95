"""Real and simulated products through the whole stage, from the path on the disk to the Item."""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import rasterio
from memory_scene import StatedEstimator
from rio_cogeo import cog_validate

from undersky.atmosphere.inversion import InversionFields, remove_with_fields
from undersky.grid import upsample, whole
from undersky.raster import encoding as enc
from undersky.sensors import open_scene
from undersky.stages.correct import CorrectedProduct, CorrectOptions, correct, estimator_for
from undersky.stages.simulate import Order, simulate
from undersky.synth.acquisition import Request
from undersky.synth.truth import read_truth

SAFE = (
    "s2-l1c-safe-t55jej-20171207-decimated/S2A_MSIL1C_20171207T002051_N0206_R116_T55JEJ_20171207T032513.SAFE"
)
LANDSAT = "landsat8-l1tp-c2-decimated-20201029"

pytestmark = pytest.mark.oracle


def _digital_numbers(path: Path) -> np.ndarray:
    with rasterio.open(path) as dataset:
        return dataset.read(1).astype(np.float64)


def _expected(toa: np.ndarray, product: Path, band: str) -> np.ndarray:
    scene = open_scene(product)
    index = [b.name for b in scene.sensor.corrected_bands].index(band)
    fields = StatedEstimator().estimate(scene, np.zeros((1, 1), dtype=np.uint16)).fields
    grid = scene.bands[band].grid
    names = ("gain", "offset", "albedo", "q0", "q1", "q2")
    at = InversionFields(*(upsample(getattr(fields, n)[index], grid.shape.yx, whole(grid)) for n in names))
    return remove_with_fields(toa, at)


def _checked(product: CorrectedProduct) -> dict:
    for path in product.folder.glob("*.tif"):
        assert cog_validate(path, quiet=True)[0], path.name
    return json.loads(product.item.read_text(encoding="utf-8"))


def _stored(product: CorrectedProduct, key: str) -> np.ndarray:
    with rasterio.open(product.folder / f"{key}.tif") as dataset:
        return dataset.read(1)


def test_the_real_sentinel_2_product_becomes_its_exact_inversion(samples: Path, tmp_path: Path) -> None:
    path = samples / SAFE
    product = correct(path, tmp_path, estimator=StatedEstimator())
    item = _checked(product)
    assert item["properties"]["undersky:source"]["id"] == path.stem
    assert item["properties"]["datetime"].startswith("2017-12-07T00:2")
    assert item["properties"]["grid:code"] == "MGRS-55JEJ"
    assert item["properties"]["attribution"] == "Contains modified Copernicus Sentinel data 2017"
    for band in ("B01", "B04", "B8A", "B12"):
        numbers = _digital_numbers(next(path.glob(f"GRANULE/*/IMG_DATA/*_{band}.jp2")))
        expected = _expected(np.where(numbers == 0, np.nan, numbers / 10000.0), path, band)
        layer = enc.reflectance_layer(open_scene(path).sensor.band(band))
        found = enc.decode(_stored(product, band), layer)
        np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
        assert np.nanmax(np.abs(found - np.clip(expected, *layer.range))) < 0.6e-4, band


def test_the_real_landsat_product_becomes_its_exact_inversion(samples: Path, tmp_path: Path) -> None:
    path = samples / LANDSAT
    product = correct(path, tmp_path, estimator=StatedEstimator())
    item = _checked(product)
    metadata = (path / "LC08_L1TP_092084_20201029_20201106_02_T1_MTL.txt").read_text(encoding="ascii")
    values = dict(line.strip().split(" = ") for line in metadata.splitlines() if " = " in line)
    assert item["properties"]["grid:code"] == "WRS2-092084"
    assert item["collection"] == "landsat-8-9-sr"
    for number in (2, 5, 7):
        numbers = _digital_numbers(next(path.glob(f"*_B{number}.TIF")))
        toa = numbers * float(values[f"REFLECTANCE_MULT_BAND_{number}"]) + float(
            values[f"REFLECTANCE_ADD_BAND_{number}"]
        )
        toa /= np.sin(np.radians(float(values["SUN_ELEVATION"])))
        expected = _expected(np.where(numbers == 0, np.nan, toa), path, f"B{number}")
        layer = enc.reflectance_layer(open_scene(path).sensor.band(f"B{number}"))
        found = enc.decode(_stored(product, f"SR_B{number}"), layer)
        np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
        # the scene's sun varies over the footprint where angle bands are there; here the MTL's stands for all
        assert np.nanmax(np.abs(found - expected)) < 0.6e-4, number


def test_a_real_product_names_every_source_file_with_its_checksum(samples: Path, tmp_path: Path) -> None:
    import hashlib

    product = correct(samples / LANDSAT, tmp_path, estimator=StatedEstimator(), options=CorrectOptions())
    sums = json.loads(product.item.read_text(encoding="utf-8"))["properties"]["undersky:source_sha256"]
    assert len(sums) >= 11
    for name, found in sums.items():
        content = next((samples / LANDSAT).glob(f"**/{Path(name).name}")).read_bytes()
        assert found == hashlib.sha256(content).hexdigest(), name


@pytest.mark.parametrize("sample", [SAFE, LANDSAT], ids=["sentinel-2", "landsat"])
def test_a_second_run_on_a_real_product_does_nothing(samples: Path, tmp_path: Path, sample: str) -> None:
    first = correct(samples / sample, tmp_path, estimator=StatedEstimator())
    estimator = StatedEstimator()
    second = correct(samples / sample, tmp_path, estimator=estimator)
    assert second.was_there
    assert estimator.asked == 0
    assert second.digest == first.digest


@pytest.mark.parametrize(
    ("sensor", "tile", "baseline"),
    [
        ("S2A", "32TQM", "02.09"),
        ("S2B", "32TQM", "05.11"),
        ("S2C", "32TQM", "05.11"),
        ("L8", "192028", ""),
        ("L9", "192028", ""),
    ],
)
def test_with_the_true_state_the_reflectance_is_the_truth(
    tmp_path: Path, sensor: str, tile: str, baseline: str
) -> None:
    years = {"S2A": 2018, "S2B": 2024, "S2C": 2025, "L8": 2020, "L9": 2024}
    request = Request(
        sensor=sensor, tile=tile, acquired=datetime(years[sensor], 6, 13, 10, 15, tzinfo=UTC), seed=5,
        size_m=3_600, cloud_cover=0.0, noise=False,
    )  # fmt: skip
    order = Order(request, baseline=baseline) if baseline else Order(request)
    made = simulate(tmp_path / "l1", order=order)
    product = correct(made.product, tmp_path / "l2", estimator=estimator_for(state=made.truth / "state.json"))
    item, truth = _checked(product), read_truth(made.truth)
    assert item["properties"]["undersky:bytes"] < 2.9 * sum(a.size for a in truth.surface.values()) + 200_000
    for band in open_scene(made.product).sensor.corrected_bands:
        if band.role != "surface":
            continue
        rho = enc.decode(_stored(product, band.asset), enc.reflectance_layer(band))
        true = truth.surface[band.name]
        excess = np.abs(rho - true) - (0.001 + 0.005 * np.abs(true))
        assert np.nanpercentile(excess, 99) <= 0.0, f"{band.name}: {np.nanpercentile(excess, 99):.5f} beyond"

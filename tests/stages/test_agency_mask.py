"""What the agency says of a pixel stands in the product beside what our own tests say."""

import dataclasses

import numpy as np
import pytest
import rasterio
from memory_scene import StatedEstimator, memory_scene

from undersky.grid import whole
from undersky.quality import Quality
from undersky.sensors import open_scene
from undersky.stages.correct import CorrectOptions, correct, correct_scene, estimator_for
from undersky.stages.simulate import Order, request_for, simulate


@dataclasses.dataclass(frozen=True)
class Checkerboard:
    """An agency that calls every second row cirrus."""

    def quality(self, window):
        rows = (window.row + np.arange(window.height)) % 2 == 0
        bits = np.where(rows, np.uint16(Quality.CIRRUS), np.uint16(0))
        return np.broadcast_to(bits[:, None], window.shape).astype(np.uint16)


def quality_of(product):
    with rasterio.open(product.folder / "quality.tif") as raster:
        return raster.read(1)


def made(scene, out, *, strip_pixels=100_000):
    options = CorrectOptions(threads=1, strip_pixels=strip_pixels)
    return correct_scene(scene, out, estimator=StatedEstimator(), options=options)


def test_the_agencys_bits_are_added_row_by_row_across_strips(tmp_path):
    plain = made(memory_scene("L8"), tmp_path / "plain")
    scene = dataclasses.replace(memory_scene("L8"), agency_mask=Checkerboard())
    with_mask = made(scene, tmp_path / "masked")
    expected = quality_of(plain) | Checkerboard().quality(whole(scene.grid))
    np.testing.assert_array_equal(quality_of(with_mask), expected)


def test_the_agencys_bits_are_counted(tmp_path):
    scene = dataclasses.replace(memory_scene("L8"), agency_mask=Checkerboard())
    assert made(scene, tmp_path).quality_percent["cirrus"] >= 49.0


@pytest.mark.parametrize("sensor", ["S2B", "L9"])
def test_every_bit_of_a_products_own_mask_arrives(tmp_path, sensor):
    request = request_for(sensor, size_m=3600, cloud_percent=30.0)
    product = simulate(tmp_path, order=Order(request)).product
    made = correct(product, tmp_path / "out", estimator=estimator_for(), options=CorrectOptions(threads=1))
    scene = open_scene(product)
    agency = scene.agency_mask.quality(whole(scene.grid))
    assert (agency & np.uint16(Quality.CLOUD)).any()
    assert ((quality_of(made) & agency) == agency).all()

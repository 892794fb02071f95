"""Probabilities become classes; quality bits have their say."""

from pathlib import Path

import numpy as np
import pytest

from surface_products import cover_package, write_surface
from undersky.errors import DataError, Reason
from undersky.grid import Window, whole
from undersky.inference.cover import SNOW_TRUST, decide, in_colours, map_pixels, read_inputs
from undersky.landcover import BY_SLUG, SLUGS
from undersky.models.package import load_package
from undersky.models.segmentation import Segmenter, build_segmenter
from undersky.quality import Quality
from undersky.raster.surface_product import SurfaceProduct

TREES, SNOW = SLUGS.index("tree_cover"), SLUGS.index("snow_ice")


def _sure(index: int, probability: float = 0.8) -> np.ndarray:
    """(class, 1, 1): one class has this probability, the others share the rest."""
    rest = (1.0 - probability) / (len(SLUGS) - 1)
    found = np.full((len(SLUGS), 1, 1), rest, dtype=np.float32)
    found[index] = probability
    return found


def _bits(flag: int) -> np.ndarray:
    return np.array([[flag]], dtype=np.uint16)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Segmenter:
    folder = tmp_path_factory.mktemp("package")
    cover_package(folder)
    return build_segmenter(load_package(folder), "landcover")


def test_the_most_probable_class_is_mapped_with_its_probability() -> None:
    found = decide(_sure(TREES), _bits(0))
    assert found.codes[0, 0] == BY_SLUG["tree_cover"].code
    assert found.confidence[0, 0] == pytest.approx(0.8)


@pytest.mark.parametrize("flag", [Quality.NODATA, Quality.CLOUD, Quality.CLOUD_SHADOW, Quality.CIRRUS])
def test_ground_that_was_not_seen_has_no_class(flag: Quality) -> None:
    found = decide(_sure(TREES), _bits(flag))
    assert found.codes[0, 0] == 0
    assert np.isnan(found.confidence[0, 0])


def test_the_snow_bit_decides_even_against_a_sure_network() -> None:
    found = decide(_sure(TREES, 0.999), _bits(Quality.SNOW))
    assert found.codes[0, 0] == BY_SLUG["snow_ice"].code
    assert SNOW_TRUST <= found.confidence[0, 0] <= 1.0


def test_the_water_bit_tips_a_doubtful_network_and_not_a_sure_one() -> None:
    doubtful, sure = (decide(_sure(TREES, p), _bits(Quality.WATER)) for p in (0.4, 0.95))
    assert doubtful.codes[0, 0] == BY_SLUG["water"].code
    assert sure.codes[0, 0] == BY_SLUG["tree_cover"].code


def test_a_snow_bit_under_cloud_is_still_cloud() -> None:
    assert decide(_sure(SNOW), _bits(Quality.SNOW | Quality.CLOUD)).codes[0, 0] == 0


def test_probabilities_are_left_as_they_were() -> None:
    before = _sure(TREES)
    decide(before, _bits(Quality.SNOW))
    np.testing.assert_array_equal(before, _sure(TREES))


def test_landsat_lends_its_narrow_near_infrared_and_has_no_red_edge(model: Segmenter, tmp_path: Path) -> None:
    with SurfaceProduct.open(write_surface(tmp_path, "L8")) as product:
        window = Window(3, 5, 20, 16)
        values = read_inputs(product, model, window)
        np.testing.assert_array_equal(values[3], product.read(("nir08",), window)[0])
    assert np.isnan(values[6:]).all()
    assert np.isfinite(values[:6]).all()


def test_a_band_the_model_needs_and_the_product_lacks_is_refused(model: Segmenter, tmp_path: Path) -> None:
    folder = write_surface(tmp_path, "L8")
    path = folder / f"{folder.name}.json"
    path.write_text(path.read_text().replace('"SR_B6": {', '"SR_B6x": {'))
    with SurfaceProduct.open(folder) as product, pytest.raises(DataError, match="has no swir16") as caught:
        read_inputs(product, model, whole(product.grid))
    assert caught.value.reason is Reason.BAND_MISSING


def test_confidence_is_at_least_a_fair_share_and_at_most_one(model: Segmenter) -> None:
    values = np.random.default_rng(1).uniform(0, 0.4, (9, 40, 36)).astype(np.float32)
    found = map_pixels(model, values, np.zeros((40, 36), dtype=np.uint16))
    assert found.confidence.min() >= 1 / len(SLUGS)
    assert found.confidence.max() <= 1.0


def test_colours_are_worldcovers_and_nodata_is_black() -> None:
    picture = in_colours(np.array([[0, 10, 80]], dtype=np.uint8))
    assert picture[0].tolist() == [[0, 0, 0], [0, 100, 0], [0, 100, 200]]

"""The learned mask: its bits are what the network finds likely, and the rules around it."""

import numpy as np
import pytest
import torch

from undersky.errors import DataError, Reason
from undersky.inference.correction import CorrectionOptions, open_estimator
from undersky.inference.mask import (
    SceneMask,
    bits_of,
    cast_only,
    learned_mask,
    rooted,
    seen_by,
    shadow_threshold,
    threshold_mask,
)
from undersky.inference.view import View
from undersky.models.package import load_package, package_folder, save_package
from undersky.models.segmentation import (
    SegmentationConfig,
    SegmentationNetwork,
    Segmenter,
    build_segmenter,
    segmentation_package,
)
from undersky.quality import Quality

ROLES = ("blue", "green", "red", "nir08", "swir16", "swir22", "cirrus")
CLASSES = ("cloud", "cloud_shadow", "cirrus", "snow", "water")
SEEN = np.full((7, 4, 4), 0.1, dtype=np.float32)
BLIND = np.concatenate([SEEN[:6], np.full((1, 4, 4), np.nan, dtype=np.float32)])
"""Without the cirrus band."""
GROUND = {"B02": 0.1, "B03": 0.09, "B04": 0.07, "B8A": 0.3, "B10": 0.002, "B11": 0.18, "B12": 0.09}


def planes(shape=(4, 4), **likely):
    """Probabilities of a hundredth, but for those that are given."""
    return {name: np.full(shape, likely.get(name, 0.01), dtype=np.float32) for name in CLASSES}


def has(bits, flag):
    return (bits & int(flag)) != 0


@pytest.fixture
def bright() -> Segmenter:
    """A network that takes for cloud whatever is brighter than about 0.25 in the blue."""
    zero, one = (0.0,) * len(ROLES), (1.0,) * len(ROLES)
    config = SegmentationConfig(
        ROLES,
        CLASSES,
        zero,
        one,
        80.0,
        optional=("cirrus",),
        outputs="sigmoid",
        features=(4, 8),
        body="plain",
    )

    class Bright(SegmentationNetwork):
        def forward(self, values: torch.Tensor) -> torch.Tensor:
            root = values[:, :1].nan_to_num()
            return torch.cat([40.0 * (root - 0.5), torch.full_like(root, -9.0).expand(-1, 4, -1, -1)], dim=1)

    return Segmenter(Bright(config).eval())


def test_a_statement_is_made_where_it_is_likelier_than_its_threshold() -> None:
    found = planes(cloud=0.45, water=0.6)
    assert has(bits_of(found, {}, SEEN), Quality.WATER).all()
    assert not has(bits_of(found, {}, SEEN), Quality.CLOUD).any()
    eager = bits_of(found, {"threshold_cloud": 0.4}, SEEN)
    assert has(eager, Quality.CLOUD).all()
    assert not has(eager, Quality.WATER).any()


def test_cloud_hides_what_lies_below_and_cirrus_needs_its_band() -> None:
    everything = planes(cloud=0.9, cloud_shadow=0.9, cirrus=0.9, snow=0.9, water=0.9)
    assert (bits_of(everything, {}, SEEN) == Quality.CLOUD | Quality.CIRRUS).all()
    assert (bits_of(everything, {}, BLIND) == Quality.CLOUD).all()


def test_as_much_ground_is_in_shadow_as_clouds_leave_to_be_seen_in_it() -> None:
    cloud, seen = np.zeros((100, 100), dtype=bool), np.ones((100, 100), dtype=bool)
    cloud[:, :30] = True
    shadow = np.linspace(0.1, 0.7, 10_000, dtype=np.float32).reshape(100, 100).T.copy()
    said = (shadow > shadow_threshold(shadow, cloud, seen)) & ~cloud
    assert said.mean() == pytest.approx(0.3 * 0.7, abs=0.002)
    # what has no data counts for nothing
    wide = np.pad(seen, ((0, 0), (0, 900)))
    far = [np.pad(plane, ((0, 0), (0, 900))) for plane in (shadow, cloud)]
    assert shadow_threshold(*far, wide) == shadow_threshold(shadow, cloud, seen)


@pytest.mark.parametrize(("likely", "threshold"), [(0.05, 0.1), (0.9, 0.7)])
def test_nothing_is_in_shadow_that_is_unlikely_and_all_that_is_nearly_sure(likely, threshold) -> None:
    cloud = np.zeros((10, 10), dtype=bool)
    cloud[:3] = True
    shadow = np.full((10, 10), likely, dtype=np.float32)
    assert shadow_threshold(shadow, cloud, ~np.zeros_like(cloud)) == pytest.approx(threshold)
    assert shadow_threshold(shadow, ~np.zeros_like(cloud), ~np.zeros_like(cloud)) == pytest.approx(0.7)


def test_a_shadow_that_no_cloud_can_throw_is_dark_ground() -> None:
    bits = np.zeros((60, 60), dtype=np.uint16)
    bits[30:34, 30:34] = Quality.CLOUD
    bits[10:14, 30:34] = bits[50:54, 30:34] = Quality.CLOUD_SHADOW
    found = cast_only(bits, 80.0, sun=(45.0, 180.0))
    # the sun stands in the south: shadows fall to the north
    assert has(found[10:14, 30:34], Quality.CLOUD_SHADOW).all()
    assert not has(found[50:54], Quality.CLOUD_SHADOW).any()
    assert has(bits[50:54, 30:34], Quality.CLOUD_SHADOW).all()


def test_dark_is_water_only_where_no_cloud_throws_its_shadow() -> None:
    bits = np.zeros((60, 60), dtype=np.uint16)
    bits[30:34, 30:34] = Quality.CLOUD
    bits[10:14, 30:34] = bits[50:54, 30:34] = Quality.CLOUD_SHADOW | Quality.WATER
    found = cast_only(bits, 80.0, sun=(45.0, 180.0))
    assert (found[10:14, 30:34] == Quality.CLOUD_SHADOW).all()
    assert (found[50:54, 30:34] == Quality.WATER).all()


def test_without_a_cloud_there_is_no_shadow() -> None:
    bits = np.full((20, 20), int(Quality.CLOUD_SHADOW), dtype=np.uint16)
    assert not cast_only(bits, 80.0, sun=(45.0, 120.0)).any()


def test_the_probability_of_cloud_is_kept_beside_the_bits(make_scene, bright) -> None:
    toa = {name: np.where(np.arange(60) < 30, 0.6, value) for name, value in GROUND.items()}
    mask = learned_mask(View(make_scene(toa)), bright)
    assert has(mask.bits[:, :30], Quality.CLOUD).all()
    assert not has(mask.bits[:, 30:], Quality.CLOUD).any()
    assert mask.cloud_probability[:, :30].min() > 0.9
    assert mask.cloud_probability[:, 30:].max() < 0.1
    assert mask.clear_percent == pytest.approx(50.0)


def test_nodata_is_said_and_nothing_else_of_it(make_scene, bright) -> None:
    toa = dict(GROUND) | {"B04": np.where(np.arange(60) < 6, np.nan, 0.07)}
    mask = learned_mask(View(make_scene(toa)), bright)
    assert (mask.bits[:, :6] == Quality.NODATA).all()
    assert np.isnan(mask.cloud_probability[:, :6]).all()
    assert not has(mask.bits[:, 6:], Quality.NODATA).any()
    assert np.isfinite(mask.cloud_probability[:, 6:]).all()


def test_a_missing_cirrus_band_is_missing_not_dark(make_scene) -> None:
    without = {name: value for name, value in GROUND.items() if name != "B10"}
    values = seen_by(View(make_scene(without)), ROLES)
    assert np.isnan(values[-1]).all()
    assert np.isfinite(values[:-1]).all()


def test_clear_percent_counts_pixels_with_data_alone() -> None:
    bits = np.zeros((10, 10), dtype=np.uint16)
    bits[:5] = Quality.NODATA
    bits[5, :] = Quality.CLOUD_SHADOW
    bits[6, :] = Quality.WATER
    probability = np.zeros(bits.shape, dtype=np.float32)
    assert SceneMask(bits, probability).clear_percent == pytest.approx(80.0)
    assert SceneMask(np.full_like(bits, Quality.NODATA), probability).clear_percent == 0.0


def test_threshold_tests_know_no_probability(make_scene) -> None:
    mask = threshold_mask(View(make_scene(GROUND)))
    assert (mask.bits == 0).all()
    assert np.isnan(mask.cloud_probability).all()


def test_the_root_of_a_reflectance_below_zero_is_zero() -> None:
    np.testing.assert_array_equal(rooted(np.array([-0.01, 0.25], dtype=np.float32)), [0.0, 0.5])
    assert np.isnan(rooted(np.array([np.nan], dtype=np.float32)))


def test_the_digest_of_the_quality_model_is_a_parameter_of_the_product(make_scene) -> None:
    learned = open_estimator(CorrectionOptions(model="physics", quality="quality"))
    tests = open_estimator(CorrectionOptions(model="physics"))
    package = load_package(package_folder("quality"))
    assert learned.parameters["quality"] == package.digest
    assert learned.quality_model is not None
    assert (learned.quality_model.name, learned.quality_model.digest) == ("quality", package.digest)
    assert (tests.parameters["quality"], tests.quality_model) == ("thresholds", None)
    scene = make_scene(GROUND)
    np.testing.assert_array_equal(learned.mask(scene), learned.see(scene).bits)


def test_a_model_of_something_else_is_no_quality_model(make_scene, tmp_path) -> None:
    config = SegmentationConfig(
        ("blue",), ("tree", "rock"), (0.0,), (1.0,), 10.0, features=(4, 8), body="plain"
    )
    package = segmentation_package("landcover", "landcover-x", SegmentationNetwork(config), {})
    save_package(package, tmp_path)
    estimator = open_estimator(CorrectionOptions(model="physics", quality=tmp_path))
    with pytest.raises(DataError) as caught:
        estimator.see(make_scene(GROUND))
    assert caught.value.reason is Reason.MODEL_REFUSED


def test_the_shipped_mask_tells_a_bright_cloud_from_the_ground_around_it(make_scene) -> None:
    cloud = {"B02": 0.5, "B03": 0.49, "B04": 0.5, "B8A": 0.52, "B10": 0.02, "B11": 0.38, "B12": 0.28}
    here = np.zeros((60, 60), dtype=bool)
    here[22:38, 22:38] = True
    toa = {name: np.where(here, cloud[name], GROUND[name]) for name in GROUND}
    model = build_segmenter(load_package(package_folder("quality")), "quality")
    mask = learned_mask(View(make_scene(toa)), model)
    assert has(mask.bits[25:35, 25:35], Quality.CLOUD).all()
    here[18:42, 18:42] = True
    assert has(mask.bits[~here], Quality.CLOUD).mean() < 0.02

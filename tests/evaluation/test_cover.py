"""Land cover is measured: counts, intervals, the baseline, folds that held out what they are tested on."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from surface_products import cover_package
from undersky.datasets.landuse import FOLDS, IGNORED
from undersky.errors import DataError, Reason
from undersky.evaluation.confusion import Confusion, bootstrap_accuracy
from undersky.evaluation.cover import SCENES, evaluate_landcover, suite_digest
from undersky.evaluation.cover_real import load_fold, score_ground
from undersky.evaluation.ground import RealGround
from undersky.evaluation.maps import MapsOptions
from undersky.evaluation.nearest_spectrum import learn_spectra
from undersky.landcover import SLUGS
from undersky.models.package import load_package, save_package
from undersky.models.segmentation import build_segmenter

AB = ("a", "b")


def _confusion(truth: list[int], found: list[int]) -> Confusion:
    return Confusion.of(np.array(truth), np.array(found), AB)


def test_figures_of_a_confusion_are_those_counted_by_hand() -> None:
    found = _confusion([0, 0, 0, 1], [0, 0, 1, 1])
    assert found.accuracy == 0.75
    assert found.iou == {"a": pytest.approx(2 / 3), "b": pytest.approx(1 / 2)}
    assert found.miou == pytest.approx((2 / 3 + 1 / 2) / 2)
    counted = found.counted()["b"]
    assert (counted.right, counted.extra, counted.missed) == (1.0, 1.0, 0.0)


def test_a_class_that_is_neither_there_nor_mapped_does_not_count() -> None:
    found = Confusion.of(np.array([0, 1]), np.array([0, 1]), ("a", "b", "c"))
    assert found.miou == 1.0
    assert np.isnan(found.iou["c"])


def test_confusions_add_up() -> None:
    both = _confusion([0, 1], [0, 1]) + _confusion([1], [0])
    assert (both.pixels, both.accuracy) == (3, pytest.approx(2 / 3))


def test_the_interval_is_wider_over_blocks_that_differ() -> None:
    alike = [_confusion([0] * 9 + [1], [0] * 9 + [0])] * 8
    apart = [_confusion([0] * 10, [0] * 10)] * 4 + [_confusion([0] * 10, [0] * 8 + [1] * 2)] * 4
    assert bootstrap_accuracy(alike) == (0.9, 0.9)
    low, high = bootstrap_accuracy(apart)
    assert low < 0.9 < high


def test_the_nearest_spectrum_knows_spectra_and_no_neighbours() -> None:
    generator = np.random.default_rng(1)
    pixels = np.concatenate([generator.normal(level, 0.01, (300, 3)) for level in (0.1, 0.3)]).astype(
        np.float32
    )
    baseline = learn_spectra(pixels, np.repeat([4, 7], 300))
    values = np.stack([np.full((2, 2), 0.1), np.full((2, 2), 0.11), np.full((2, 2), 0.09)]).astype(np.float32)
    values[:, 0, 1] = 0.3
    assert baseline.classify(values).tolist() == [[4, 7], [4, 4]]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("package")
    cover_package(folder)
    return folder


def test_a_model_nobody_trained_scores_below_the_baseline_and_leaves_evidence(package: Path) -> None:
    score = evaluate_landcover(MapsOptions(model=package, scenes=3))
    assert set(score.result) == {"simulated_miou", "real_oa"}
    assert score.result["real_oa"] is None
    assert 0.0 < float(str(score.result["simulated_miou"])) < 0.3
    assert {row.scene for row in score.rows} == {"landscape-000", "landscape-026", "landscape-053"}
    assert {row.dimension for row in score.rows} == {"all", "class", "season", "sensor"}
    assert score.suites == {"simulated": suite_digest()}
    assert len(score.views) == 3
    assert score.views[0].truth.shape == score.views[0].picture.shape == score.views[0].found.shape
    assert "nearest spectrum" in score.markdown
    assert SCENES >= 50


def _fold(folder: Path, fold: str, said: str | None) -> None:
    made = cover_package(folder / "plain")
    provenance = {"recipe": {"dataset": {"hold_out": said}}}
    save_package(replace(made, provenance=provenance), folder / f"landcover-{fold}")


def test_a_fold_that_did_not_hold_out_what_it_is_tested_on_is_refused(tmp_path: Path) -> None:
    _fold(tmp_path, "0", "0")
    _fold(tmp_path, "1", "2")
    assert load_fold(tmp_path, "0").name == "landcover"
    with pytest.raises(DataError, match="held out '2', it would be tested on '1'") as caught:
        load_fold(tmp_path, "1")
    assert caught.value.reason is Reason.MODEL_REFUSED


def test_clouded_and_unlabelled_pixels_do_not_count(package: Path) -> None:
    shape = (48, 64)
    generator = np.random.default_rng(2)
    labels = generator.integers(0, 2, shape)
    labels[:4] = IGNORED
    clear = np.ones((2, *shape), dtype=bool)
    clear[1, :, 10:20] = False
    surface = generator.uniform(0.0, 0.4, (2, 9, *shape)).astype(np.float32)
    model = build_segmenter(load_package(package), "landcover")
    score = score_ground(RealGround(("a", "b"), surface, clear, labels), dict.fromkeys(FOLDS, model))
    assert score.together.pixels == 44 * 64 + 44 * 54
    assert score.together.classes == SLUGS
    low, high = score.interval
    assert low <= score.together.accuracy <= high
    assert "overall accuracy" in score.markdown()

"""The evaluation of the quality mask counts what is known, and believes no fold that saw its chip."""

import numpy as np
import pytest

from undersky.datasets.cloud_chips import CHIPS, FOLDER
from undersky.datasets.cloudy import CLASSES
from undersky.datasets.cloudy_air import ROLES
from undersky.errors import ConfigError, DataError
from undersky.evaluation.maps import SIMULATED, Counted, MapsOptions
from undersky.evaluation.masks import SCENES, as_look, counts, evaluate_quality, f1
from undersky.evaluation.masks_real import AGREEMENT, agreement, evaluate_chips, open_fold
from undersky.models.package import load_package, package_folder, save_package, shipped
from undersky.models.segmentation import (
    SegmentationConfig,
    SegmentationNetwork,
    build_segmenter,
    segmentation_package,
)
from undersky.quality import Quality


@pytest.fixture(scope="module")
def small():
    """A network of the right shape that has learned nothing."""
    config = SegmentationConfig(
        ROLES,
        CLASSES,
        (0.5,) * len(ROLES),
        (0.2,) * len(ROLES),
        80.0,
        optional=("cirrus",),
        outputs="sigmoid",
        features=(4, 8),
        body="plain",
    )
    return SegmentationNetwork(config).eval()


def fold(network, folder, chip, *, said=None, seen=None):
    others = [name for name in CHIPS if name != chip]
    provenance = {"held_out": said or chip, "chips": others if seen is None else seen}
    package = segmentation_package("quality", f"quality-{chip}", network, provenance)
    save_package(package, folder / f"quality-{chip}")


@pytest.fixture
def made(tmp_path):
    """Chips of half cloud, and dates that another mask calls cloud as a whole or not at all."""
    (tmp_path / FOLDER).mkdir()
    labels = np.full((64, 64, 1), 3, dtype=np.uint8)
    labels[:, :32] = 4
    labels[:, 32:36] = 0
    for name in CHIPS:
        image = np.where(labels == 4, 0.5, 0.1).astype(np.float32) * np.ones(6, dtype=np.float32)
        np.savez(tmp_path / FOLDER / f"{name}_left.npz", img=image, msk=labels)
    (tmp_path / AGREEMENT).mkdir()
    np.save(tmp_path / AGREEMENT / "BANDS-S2-L1C.npy", np.full((2, 16, 16, 13), 0.1, dtype=np.float32))
    masks = np.zeros((2, 16, 16, 1), dtype=np.uint8)
    masks[1] = 1
    np.save(tmp_path / AGREEMENT / "CLM.npy", masks)
    return tmp_path


def test_pixels_of_which_nobody_knows_are_not_counted() -> None:
    said = np.full((len(CLASSES), 2, 3), np.nan, dtype=np.float32)
    said[0] = [[1.0, 1.0, np.nan], [0.0, 0.0, np.nan]]
    bits = np.full((2, 3), int(Quality.CLOUD), dtype=np.uint16)
    bits[0, 1] = 0
    assert counts(bits, said)["cloud"] == Counted(1.0, 2.0, 1.0)
    assert counts(bits, said)["water"] == Counted(0.0, 0.0, 0.0)
    assert f1(Counted(1.0, 2.0, 1.0)) == pytest.approx(0.4)
    assert f1(Counted(0.0, 0.0, 0.0)) == 0.0


def test_the_threshold_tests_are_given_the_bands_that_are_there() -> None:
    toa = np.full((len(ROLES), 4, 4), 0.1, dtype=np.float32)
    toa[-1] = np.nan
    assert set(as_look(toa, 20.0).toa) == {"blue", "green", "red", "nir", "swir16", "swir22"}


def test_the_simulated_suite_is_the_same_for_every_model_and_needs_no_samples(small, tmp_path) -> None:
    save_package(segmentation_package("quality", "quality-none", small, {}), tmp_path)
    shipped_one = evaluate_quality(MapsOptions(scenes=2))
    other = evaluate_quality(MapsOptions(model=tmp_path, scenes=2))
    assert shipped_one.result == {"cloud_f1": None, "shadow_f1": None}
    assert shipped_one.digests() == other.digests()
    assert [(row.scene, row.dimension, row.value, row.metric) for row in shipped_one.rows] == [
        (row.scene, row.dimension, row.value, row.metric) for row in other.rows
    ]
    assert {row.suite for row in other.rows} == {SIMULATED}
    assert {row.dimension for row in other.rows} == {"class", "all", "sensor", "pixel"}
    assert len({row.scene for row in other.rows}) == len(other.views) == 2
    picture = other.views[0]
    assert picture.picture.shape == picture.truth.shape == picture.found.shape
    assert "F1 of the threshold tests" in other.markdown
    assert SCENES >= 30


def test_a_fold_is_believed_only_where_it_says_that_it_held_its_chip_out(small, tmp_path) -> None:
    fold(small, tmp_path, "landsat5")
    assert open_fold(tmp_path, "landsat5").config.classes == CLASSES
    fold(small, tmp_path, "landsat7", said="landsat5")
    fold(small, tmp_path, "sentinel2", seen=["sentinel2", "landsat7"])
    for chip in ("landsat7", "sentinel2"):
        with pytest.raises(ConfigError, match=f"held out {chip}"):
            open_fold(tmp_path, chip)


def test_a_fold_that_is_not_there_names_the_command_that_makes_it(tmp_path) -> None:
    with pytest.raises(ConfigError, match="undersky train quality-landsat5"):
        open_fold(tmp_path, "landsat5")


def test_every_chip_is_scored_by_its_own_fold_with_the_tests_beside_it(small, made, tmp_path) -> None:
    folds = tmp_path / "folds"
    for chip in CHIPS:
        fold(small, folds, chip)
    found = evaluate_chips(made, folds)
    assert 0.0 <= found.cloud_f1 <= 1.0
    assert [line.split("|")[1].strip() for line in found.markdown.splitlines()[4:]] == [*CHIPS, "all"]
    assert "real" in found.markdown
    assert "6,144" in found.markdown.splitlines()[-1]


def test_agreement_is_told_by_date_and_never_called_accuracy(small, made) -> None:
    table = agreement(build_segmenter(segmentation_package("quality", "x", small, {}), "quality"), made)
    assert "not accuracy" in table
    rows = [line for line in table.splitlines() if line.startswith("| date ")]
    assert [row.split("|")[4].strip() for row in rows[1:]] == ["0.0 %", "100.0 %"]


def test_dates_that_are_missing_are_refused(small, tmp_path) -> None:
    model = build_segmenter(segmentation_package("quality", "x", small, {}), "quality")
    with pytest.raises(DataError, match="cannot be read"):
        agreement(model, tmp_path)


@pytest.mark.parametrize("chip", CHIPS)
def test_the_shipped_folds_held_out_their_chips(chip) -> None:
    package = load_package(shipped("folds") / f"quality-{chip}")
    assert package.provenance["held_out"] == chip
    assert chip not in package.provenance["chips"]
    assert open_fold(shipped("folds"), chip).config.inputs == ROLES


def test_the_shipped_model_saw_all_chips() -> None:
    assert load_package(package_folder("quality")).provenance["chips"] == list(CHIPS)


@pytest.mark.oracle
def test_the_real_chips_are_masked_as_well_as_the_readme_says(samples) -> None:
    found = evaluate_chips(samples, shipped("folds"))
    assert found.cloud_f1 > 0.8
    assert found.shadow_f1 > 0.6

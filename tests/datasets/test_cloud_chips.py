"""Labelled chips: read as published, cut at any pixel size, silent where nobody looked."""

import numpy as np
import pytest
import torch

from undersky.datasets.cloud_chips import CHIPS, FOLDER, draw_crops, load_chips, reduced_by
from undersky.datasets.cloudy import CLASSES
from undersky.datasets.cloudy_air import ROLES
from undersky.errors import ConfigError, DataError, Reason


@pytest.fixture
def samples_made(tmp_path):
    """Three small chips: the western half cloud, then a stripe of shadow, water, snow, land."""
    folder = tmp_path / FOLDER
    folder.mkdir()
    labels = np.full((64, 64), 3, dtype=np.uint8)
    labels[:, :32], labels[:, 32:40], labels[:, 40:48], labels[:, 48:52] = 4, 0, 1, 2
    image = np.where(labels[..., None] == 4, 0.5, 0.1).astype(np.float32) * np.ones(6, dtype=np.float32)
    for name in CHIPS:
        np.savez(folder / f"{name}_left.npz", img=image, msk=labels[..., None])
    return tmp_path


def test_a_chip_has_the_bands_of_the_mask_and_no_cirrus(samples_made) -> None:
    chips = load_chips(samples_made)
    assert [chip.name for chip in chips] == list(CHIPS)
    assert chips[0].toa.shape == (len(ROLES), 64, 64)
    assert np.isnan(chips[0].toa[-1]).all()
    assert chips[0].truth("cloud").mean() == 0.5
    assert chips[0].truth("cloud_shadow").mean() == 0.125


def test_a_chip_that_is_held_out_is_not_even_opened(samples_made) -> None:
    (samples_made / FOLDER / "landsat5_left.npz").unlink()
    names = [chip.name for chip in load_chips(samples_made, without=("landsat5",))]
    assert names == ["sentinel2", "landsat7"]


def test_holding_out_a_chip_that_does_not_exist_is_refused(samples_made) -> None:
    with pytest.raises(ConfigError, match="no chip 'landsat9'"):
        load_chips(samples_made, without=("landsat9",))


@pytest.mark.parametrize("harm", ["missing", "shape", "class"])
def test_a_chip_that_is_not_as_described_is_refused(samples_made, harm) -> None:
    path = samples_made / FOLDER / "landsat7_left.npz"
    path.unlink()
    labels = np.zeros((8, 8, 1), dtype=np.uint8)
    if harm == "shape":
        np.savez(path, img=np.zeros((8, 8, 4), dtype=np.float32), msk=labels)
    if harm == "class":
        np.savez(path, img=np.zeros((8, 8, 6), dtype=np.float32), msk=labels + 9)
    with pytest.raises(DataError) as caught:
        load_chips(samples_made)
    assert caught.value.reason is Reason.DATASET_DAMAGED


def test_crops_say_what_people_said_and_nothing_of_cirrus(samples_made) -> None:
    values, said = draw_crops(load_chips(samples_made), 12, size=16, chance=np.random.default_rng(4))
    assert values.shape == (12, len(ROLES), 16, 16)
    of = dict(zip(CLASSES, said.movedim(1, 0), strict=True))
    assert torch.isnan(of["cirrus"]).all()
    cloud = of["cloud"] == 1.0
    assert cloud.any()
    assert torch.isnan(of["water"][cloud]).all()
    assert (of["cloud_shadow"][cloud] == 0.0).all()
    assert float(values[:, 0][cloud].min()) > 0.3
    assert float(values[:, 0][of["cloud"] == 0.0].max()) < 0.4


def test_a_crop_that_is_larger_than_its_chip_is_silent_beyond_it(samples_made) -> None:
    values, said = draw_crops(load_chips(samples_made), 3, size=80, chance=np.random.default_rng(1))
    assert torch.isnan(values[:, :, 64:]).all()
    assert torch.isnan(said[:, :, :, 64:]).all()


def test_crops_are_a_function_of_the_generator(samples_made) -> None:
    chips = load_chips(samples_made)
    one, same = (draw_crops(chips, 4, size=16, chance=np.random.default_rng(7)) for _ in range(2))
    assert torch.equal(one[0].nan_to_num(), same[0].nan_to_num())


def test_reducing_takes_means_and_leaves_out_what_fills_no_block() -> None:
    field = np.arange(25, dtype=np.float32).reshape(1, 5, 5)
    np.testing.assert_array_equal(reduced_by(field, 2), [[[3.0, 5.0], [13.0, 15.0]]])


@pytest.mark.oracle
def test_water_of_the_real_chips_is_darker_in_the_near_infrared_than_land(samples) -> None:
    for chip in load_chips(samples):
        water = chip.truth("water")
        assert not (chip.labels == 2).any()
        if water.any():
            nir, green = chip.toa[ROLES.index("nir08")], chip.toa[ROLES.index("green")]
            assert nir[water].mean() < 0.6 * nir[chip.labels == 3].mean()
            assert green[water].mean() < 0.2

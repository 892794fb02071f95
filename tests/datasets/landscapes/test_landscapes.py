"""Simulated landscapes: repeatable, varied within each class, seen as each sensor sees them."""

import json
from pathlib import Path

import numpy as np
import pytest

from undersky.bands import SENSORS
from undersky.datasets.landscapes.bank import (
    MANIFEST,
    LandscapeSpec,
    load_landscapes,
    prepare_landscapes,
    spec_digest,
)
from undersky.datasets.landscapes.compose import draw_landscape
from undersky.datasets.landscapes.layout import COUNTRIES, draw_layout, rough
from undersky.datasets.landscapes.mixing import Season, shares_of
from undersky.datasets.landscapes.spectra import BANDS, STUFF, band_of, load_spectra, names_of
from undersky.errors import DataError, Reason
from undersky.landcover import SLUGS

SPEC = LandscapeSpec(seed=5, train=3, validation=2, size=16)


def test_the_same_seed_is_the_same_landscape() -> None:
    one, other = (draw_landscape("train", (4, 2), size=32) for _ in range(2))
    np.testing.assert_array_equal(one.reflectance, other.reflectance)
    np.testing.assert_array_equal(one.cover, other.cover)


def test_splits_of_one_seed_are_other_ground() -> None:
    covers = [draw_landscape(split, (4, 2), size=32).cover for split in ("train", "validation", "suite")]
    assert (covers[0] != covers[1]).mean() > 0.2
    assert (covers[1] != covers[2]).mean() > 0.2


def test_no_spectrum_is_in_two_splits() -> None:
    train, validation, suite = (set(names_of(split)) for split in ("train", "validation", "suite"))
    assert not train & validation
    assert not (train | validation) & suite


@pytest.mark.parametrize("split", ["train", "validation", "suite"])
def test_every_material_has_spectra_in_every_split(split: str) -> None:
    spectra = load_spectra(split, "S2A")
    assert all(spectra.members[kind] for kind in STUFF)


def test_landsat_has_no_red_edge_and_its_near_infrared_is_the_narrow_one() -> None:
    seen = draw_landscape("train", (1,), size=32, sensor="L8").reflectance
    missing = [name for index, name in enumerate(BANDS) if np.isnan(seen[index]).all()]
    assert missing == ["rededge071", "rededge075", "rededge078"]
    assert np.isfinite(seen[:6]).all()
    assert band_of(SENSORS["L8"], "nir") == "B5"
    assert band_of(SENSORS["S2A"], "nir") == "B08"


def test_reflectance_is_physical_and_every_pixel_has_a_class_of_the_country() -> None:
    for number in range(6):
        found = draw_landscape("suite", (9, number), size=48)
        assert np.nanmin(found.reflectance) >= -0.02
        assert np.nanmax(found.reflectance) <= 1.2
        allowed = {SLUGS.index(name) for name in COUNTRIES[found.country][1]}
        assert set(np.unique(found.cover)) <= allowed


def test_every_class_lies_in_some_country() -> None:
    assert {name for _, classes in COUNTRIES.values() for name in classes} == set(SLUGS)


@pytest.mark.parametrize("name", SLUGS)
def test_shares_of_a_class_are_physical_and_vary(name: str) -> None:
    generator = np.random.default_rng(3)
    layout = draw_layout(48, generator)
    shares = shares_of(name, layout, Season.draw(generator), generator)
    total = np.sum(list(shares.values()), axis=0)
    assert set(shares) <= set(STUFF)
    assert min(float(share.min()) for share in shares.values()) >= -0.06
    assert total.max() < 1.6
    assert max(float(share.std()) for share in shares.values()) > 0.01


def test_trees_are_speckled_and_meadows_smooth() -> None:
    generator = np.random.default_rng(8)
    layout, season = draw_layout(64, generator), Season(1.0, 0.0)

    def grain(name: str) -> float:
        share = max(shares_of(name, layout, season, generator).values(), key=lambda field: field.mean())
        return float(np.diff(share, axis=1).std() / share.mean())

    assert grain("tree_cover") > 2 * grain("grassland")


def test_a_rough_field_has_zero_mean_and_unit_variance() -> None:
    field = rough(64, 20.0, np.random.default_rng(1))
    assert field.mean() == pytest.approx(0.0, abs=1e-5)
    assert field.std() == pytest.approx(1.0, abs=1e-3)


def test_a_bank_is_drawn_once_and_read_back(tmp_path: Path) -> None:
    told: list[float] = []
    first = prepare_landscapes(SPEC, tmp_path, progress=lambda done, _: told.append(done))
    again = prepare_landscapes(SPEC, tmp_path, progress=lambda done, _: told.append(-done))
    assert told[-1] == 1.0
    assert first.digest == again.digest
    assert first.train.reflectance.shape == (3, len(BANDS), 16, 16)
    drawn = draw_landscape("train", (5, 0), size=16)
    np.testing.assert_array_equal(first.train.cover[0], drawn.cover)


def test_a_damaged_bank_is_refused(tmp_path: Path) -> None:
    prepare_landscapes(SPEC, tmp_path)
    home = tmp_path / f"landscapes-{spec_digest(SPEC)[:16]}"
    blob = bytearray((home / "train.safetensors").read_bytes())
    blob[-1] ^= 1
    (home / "train.safetensors").write_bytes(bytes(blob))
    with pytest.raises(DataError, match="not what the manifest says") as caught:
        load_landscapes(home)
    assert caught.value.reason is Reason.DATASET_DAMAGED


def test_a_manifest_of_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_text(json.dumps({"files": {}}))
    with pytest.raises(DataError, match="damaged"):
        load_landscapes(tmp_path)


def test_another_seed_is_another_dataset() -> None:
    assert spec_digest(SPEC) != spec_digest(LandscapeSpec(seed=6, train=3, validation=2, size=16))


def test_a_spec_that_networks_cannot_halve_is_refused() -> None:
    with pytest.raises(ValueError, match="in eights"):
        LandscapeSpec(size=60)

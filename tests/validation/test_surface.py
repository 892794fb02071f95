"""A finished product passes; each way to break the promise of docs/product.md is a fact with its own code."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio

from undersky.errors import ConfigError
from undersky.raster import encoding as enc
from undersky.raster.commit import sha256_of
from undersky.stages.correct import correct, estimator_for
from undersky.stages.simulate import Order, request_for, simulate
from undersky.stages.validate import Pages, Validated, item_in, validate, validate_surface
from undersky.validation.rules import Severity
from undersky.validation.surface_facts import read_item


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """The folder of a small Landsat product."""
    folder = tmp_path_factory.mktemp("surface")
    scene = simulate(folder, order=Order(request_for("L9", size_m=18_000))).product
    return correct(scene, folder / "out", estimator=estimator_for()).folder


@pytest.fixture
def product(finished, tmp_path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(finished, tmp_path / finished.name))


def item_of(folder: Path) -> tuple[Path, dict]:
    path = folder / f"{folder.name}.json"
    return path, json.loads(path.read_text())


def edit(folder: Path, change: Callable[[dict], object]) -> None:
    path, item = item_of(folder)
    change(item)
    path.write_text(json.dumps(item))


def redescribe(folder: Path, key: str) -> None:
    """The Item gives the file's present size and checksum: only its content is wrong."""
    path = folder / f"{key}.tif"
    new = {"file:size": path.stat().st_size, "file:checksum": f"1220{sha256_of(path)}"}
    edit(folder, lambda item: item["assets"][key].update(new))


def rewrite(folder: Path, key: str, change: Callable[[np.ndarray], np.ndarray], **profile: object) -> None:
    """The layer with other pixels or another profile, as COG unless another driver is named."""
    path = folder / f"{key}.tif"
    with rasterio.open(path) as dataset:
        pixels, known = dataset.read(1), dataset.profile
    options = {
        "driver": "COG", "width": known["width"], "height": known["height"], "count": 1,
        "dtype": known["dtype"], "crs": known["crs"], "transform": known["transform"],
        "nodata": known["nodata"], **profile,
    }  # fmt: skip
    pixels = change(pixels).astype(options["dtype"])
    path.unlink()
    with rasterio.open(path, "w", **options) as dataset:
        dataset.write(pixels, 1)
    redescribe(folder, key)


def codes(done: Validated, *, least: Severity = Severity.CRITICAL) -> set[str]:
    return {failure.rule.code for failure in done.verdict.failures if failure.rule.severity >= least}


def test_a_finished_product_fails_nothing(finished):
    done = validate(finished)
    assert done.verdict.failures == ()
    scene = done.facts.scene
    _, item = item_of(finished)
    assert scene["schema_error"] == "none"
    assert scene["bytes"] == item["properties"]["undersky:bytes"]
    assert {row["band"] for row in done.facts.bands} == set(item["assets"])


def test_facts_of_values_agree_with_rasterio(finished):
    rows = {row["band"]: row for row in validate(finished).facts.bands}
    with rasterio.open(finished / "SR_B4.tif") as dataset:
        stored = dataset.read(1, masked=True).astype(float) * 1e-4
    assert rows["SR_B4"]["p50"] == pytest.approx(float(np.ma.median(stored)), rel=0.1)
    assert rows["SR_B4"]["mean"] == pytest.approx(float(stored.mean()), rel=0.02)
    assert rows["SR_B4"]["nodata_percent"] == pytest.approx(100 * np.ma.getmaskarray(stored).mean(), abs=0.5)
    assert 0 < rows["unc_SR_B4"]["median_uncertainty"] < 0.1


def negative(pixels: np.ndarray) -> np.ndarray:
    return np.where(pixels == -9999, -9999, -700)


def bright(pixels: np.ndarray) -> np.ndarray:
    return np.where(pixels == -9999, -9999, 15_000)


def half_gone(pixels: np.ndarray) -> np.ndarray:
    gone = pixels.copy()
    gone[: len(gone) // 2] = -9999
    return gone


def same(pixels: np.ndarray) -> np.ndarray:
    return pixels


SPOILT: dict[str, Callable[[Path], object]] = {
    "item_invalid": lambda p: edit(p, lambda item: item.pop("geometry")),
    "layer_missing": lambda p: edit(p, lambda item: item["assets"].pop("quality")),
    "asset_missing": lambda p: (p / "SR_B2.tif").unlink(),
    "asset_size": lambda p: (p / "SR_B2.tif").write_bytes((p / "SR_B2.tif").read_bytes()[:-9]),
    "asset_checksum": lambda p: edit(
        p, lambda item: item["assets"]["SR_B2"].update({"file:checksum": "1220" + "0" * 64})
    ),
    "asset_unreadable": lambda p: ((p / "SR_B2.tif").write_bytes(b"II*\0 no tiff"), redescribe(p, "SR_B2")),
    "not_a_cog": lambda p: rewrite(p, "SR_B2", same, driver="GTiff"),
    "encoding_mismatch": lambda p: rewrite(p, "SR_B2", same, dtype="int32"),
    "grid_mismatch": lambda p: edit(
        p, lambda item: item["assets"]["SR_B2"].update({"proj:transform": [30, 0, 0, 0, -30, 0]})
    ),
    "bands_disagree": lambda p: rewrite(p, "SR_B2", half_gone),
    "uncertainty_missing": lambda p: rewrite(p, "SR_B2", half_gone),
    "uncertainty_zero": lambda p: rewrite(p, "unc_SR_B2", np.zeros_like),
    "reflectance_implausible": lambda p: rewrite(p, "SR_B2", bright),
    "over_corrected": lambda p: rewrite(p, "SR_B2", negative),
}


@pytest.mark.parametrize("code", SPOILT)
def test_each_broken_promise_is_critical_by_its_own_code(product, code):
    SPOILT[code](product)
    done = validate(product)
    assert code in codes(done)
    (failure,) = [failure for failure in done.verdict.failures if failure.rule.code == code]
    assert "{" not in failure.sentence
    assert not failure.rows or {row.removeprefix("unc_") for row in failure.rows} == {"SR_B2"}


def test_a_layer_on_another_grid_is_told_even_where_the_item_agrees(product):
    from affine import Affine

    moved = Affine(30, 0, 600_015, 0, -30, 5_000_000)
    rewrite(product, "SR_B3", same, transform=moved)
    edit(product, lambda item: item["assets"]["SR_B3"].update({"proj:transform": list(moved)[:6]}))
    assert "grids_differ" in codes(validate(product))


def test_a_folder_named_after_another_digest_is_told(finished):
    _, item = item_of(finished)
    digest = item["properties"]["undersky:digest"]
    assert codes(validate_surface(finished, digest=digest)) == set()
    assert codes(validate_surface(finished, digest="0" * 64)) == {"digest_mismatch"}


def test_a_product_without_a_value_is_an_expected_non_product(product):
    _, item = item_of(product)
    for key in item["assets"]:
        if key.startswith(("SR_", "unc_")):
            rewrite(product, key, lambda pixels, n=key: np.full_like(pixels, 255 if "unc" in n else -9999))
    done = validate(product)
    assert done.verdict.worst.rule.code == "too_little_ground"
    assert codes(done) == set()


def test_links_that_leave_the_folder_are_not_followed(product, tmp_path):
    (tmp_path / "secret.tif").write_bytes(b"x")
    edit(product, lambda item: item["assets"]["SR_B2"].update({"href": "../secret.tif"}))
    assert "asset_missing" in codes(validate(product))


def test_which_folders_hold_a_product_of_ours(finished, tmp_path):
    assert item_in(finished)["id"] == finished.name
    assert item_in(tmp_path) is None
    (tmp_path / "LC09_MTL.json").write_text('{"LANDSAT_METADATA_FILE": {}}')
    assert item_in(tmp_path) is None


@pytest.mark.parametrize("text", [None, "{}", "[1]", "no json", '{"properties":{"platform":"landsat-5"}}'])
def test_a_folder_without_an_item_of_ours_is_refused(tmp_path, text):
    if text is not None:
        (tmp_path / "x.json").write_text(text)
    with pytest.raises(ConfigError, match=r"undersky correct|expected one Item"):
        read_item(tmp_path)


def test_every_layer_of_the_format_is_a_row(finished):
    item, sensor = read_item(finished)
    rows = {
        row["band"]: row for row in validate(finished, pages=Pages(finished.parent / "pages")).facts.bands
    }
    keys = {layer.key for layer in enc.layers_of(sensor)} | {"thumbnail", "thumbnail_before"}
    assert keys == set(rows) == set(item["assets"])
    assert (finished.parent / "pages" / "index.html").is_file()


def test_the_middle_of_the_vapour_band_is_told_but_not_judged() -> None:
    """Over cloud it is corrected for vapour that lies below, and comes out beyond all reason."""
    from undersky.bands import SENSORS
    from undersky.raster.encoding import reflectance_layer
    from undersky.validation.surface_facts import _median_of

    layers = {band.name: reflectance_layer(band) for band in SENSORS["S2A"].corrected_bands}
    named = {name: _median_of(layer, "reflectance") for name, layer in layers.items()}
    assert named.pop("B09") == "median"
    assert set(named.values()) == {"p50"}

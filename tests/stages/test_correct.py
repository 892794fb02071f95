"""The stage: exact where it computes, whole or absent where it writes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from memory_scene import StatedEstimator, StatedModel, memory_scene

from undersky.atmosphere.inversion import InversionFields, remove_with_fields, sigma_with_fields
from undersky.errors import DataError
from undersky.grid import upsample, whole
from undersky.quality import Quality
from undersky.raster import encoding as enc
from undersky.raster.cog import read_reduced
from undersky.scene import Scene
from undersky.stages.correct import CorrectedProduct, CorrectOptions, TooCloudyError, correct_scene

VOLATILE = ("created", "undersky:run_id", "undersky:seconds", "undersky:cpu_seconds")


def _correct(scene: Scene, out: Path, **changes: object) -> CorrectedProduct:
    estimator = changes.pop("estimator", None) or StatedEstimator()
    return correct_scene(
        scene, out, estimator=estimator, options=CorrectOptions(**{"strip_pixels": 70_000} | changes)
    )


def _stored(product: CorrectedProduct, key: str) -> np.ndarray:
    with rasterio.open(product.folder / f"{key}.tif") as dataset:
        return dataset.read(1)


def _value(product: CorrectedProduct, layer: enc.Layer) -> np.ndarray:
    return enc.decode(_stored(product, layer.key), layer)


@pytest.fixture(scope="module")
def scene() -> Scene:
    return memory_scene("S2A")


@pytest.fixture(scope="module")
def product(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> CorrectedProduct:
    return _correct(scene, tmp_path_factory.mktemp("products"), estimator=StatedEstimator(cloudy=True))


def _fields_at(scene: Scene, index: int) -> InversionFields:
    fields = StatedEstimator().estimate(scene, np.zeros((1, 1), dtype=np.uint16)).fields
    grid = scene.bands[scene.sensor.corrected_bands[index].name].grid
    names = ("gain", "offset", "albedo", "q0", "q1", "q2")
    return InversionFields(*(upsample(getattr(fields, n)[index], grid.shape.yx, whole(grid)) for n in names))


@pytest.mark.parametrize("index", range(12))
def test_every_band_is_the_exact_inversion_within_half_a_step(
    scene: Scene, product: CorrectedProduct, index: int
) -> None:
    band = scene.sensor.corrected_bands[index]
    expected = remove_with_fields(scene.bands[band.name].toa, _fields_at(scene, index))
    found = _value(product, enc.reflectance_layer(band))
    assert found.shape == expected.shape
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    assert np.nanmax(np.abs(found - expected)) < 0.5e-4 + 2e-6


@pytest.mark.parametrize("index", [0, 1, 11])
def test_uncertainty_keeps_five_percent_of_the_propagated_sigma(
    scene: Scene, product: CorrectedProduct, index: int
) -> None:
    band = scene.sensor.corrected_bands[index]
    fields = _fields_at(scene, index)
    expected = sigma_with_fields(remove_with_fields(scene.bands[band.name].toa, fields), fields)
    found = _value(product, enc.uncertainty_layer(band))
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    assert np.nanmax(np.abs(found / expected - 1.0)) < 0.05


def test_every_layer_of_the_contract_is_there_and_nothing_else(
    scene: Scene, product: CorrectedProduct
) -> None:
    names = {f"{layer.key}.tif" for layer in enc.layers_of(scene.sensor)}
    others = {"thumbnail.jpg", "before.jpg", product.item.name}
    assert {path.name for path in product.folder.iterdir()} == names | others
    assert {path.name for path in product.folder.parent.iterdir()} == {product.id, "sentinel-2-sr.json"}


def test_bands_keep_their_own_grid(scene: Scene, product: CorrectedProduct) -> None:
    for band in scene.sensor.corrected_bands:
        with rasterio.open(product.folder / f"{band.asset}.tif") as dataset:
            assert dataset.shape == scene.bands[band.name].grid.shape.yx
            assert dataset.transform == scene.bands[band.name].grid.affine


def test_nodata_of_any_band_is_said_in_the_quality_layer(product: CorrectedProduct) -> None:
    quality = _stored(product, "quality")
    assert (quality[:60] & Quality.NODATA).all()
    assert not (quality[60:] & Quality.NODATA).any()
    assert product.quality_percent["nodata"] == pytest.approx(100 * 60 / 2400, abs=0.001)


def test_saturation_of_a_coarse_band_covers_its_footprint(scene: Scene, product: CorrectedProduct) -> None:
    saturation, quality = _stored(product, "saturation"), _stored(product, "quality")
    coarse = [band.name for band in scene.sensor.corrected_bands].index("B09")
    where = np.argwhere(saturation & (1 << coarse))
    first = scene.sensor.bands.index(scene.sensor.band("B09")) * 6
    assert (where.min(axis=0).tolist(), where.max(axis=0).tolist()) == ([2394, first], [2399, first + 5])
    assert (((quality & Quality.SATURATED) > 0) == (saturation > 0)).all()


def test_the_coarse_mask_is_repeated_onto_the_finest_grid(product: CorrectedProduct) -> None:
    cloud = (_stored(product, "quality") & Quality.CLOUD) > 0
    assert cloud.sum() == 10 * 10 * 36
    assert cloud[120:180, 30:90].all()


def test_the_probability_of_cloud_lies_on_the_pixels_of_the_mask(
    scene: Scene, product: CorrectedProduct
) -> None:
    mask = StatedEstimator(cloudy=True).see(scene)
    found = _value(product, enc.CLOUD_PROBABILITY)
    np.testing.assert_allclose(found, mask.cloud_probability, atol=0.005)
    with rasterio.open(product.folder / "cloud_probability.tif") as dataset:
        assert dataset.shape == mask.bits.shape
        left, bottom, right, top = dataset.bounds
    extent = scene.grid.extent.boundingbox
    np.testing.assert_allclose((left, bottom, right, top), extent.bbox)


def test_a_scene_that_shows_too_little_ground_is_not_made(scene: Scene, tmp_path: Path) -> None:
    clear = StatedEstimator(cloudy=True).see(scene).clear_percent
    estimator = StatedEstimator(cloudy=True)
    with pytest.raises(TooCloudyError, match=r"% of the pixels show the ground") as caught:
        _correct(scene, tmp_path, estimator=estimator, min_clear_percent=clear + 1.0)
    assert caught.value.reason == "too_cloudy"
    assert estimator.asked == 0
    assert list(tmp_path.iterdir()) == []
    assert not _correct(scene, tmp_path, estimator=estimator, min_clear_percent=clear - 1.0).was_there


def test_the_item_names_the_model_that_told_cloud_from_ground(scene: Scene, tmp_path: Path) -> None:
    mask = StatedModel(name="quality", version="quality-9", digest="cd" * 32)
    products = [
        _correct(scene, tmp_path / str(number), estimator=StatedEstimator(quality_model=model))
        for number, model in enumerate((None, mask))
    ]
    first, second = (
        json.loads(made.item.read_text(encoding="utf-8"))["properties"]["undersky:quality_model"]
        for made in products
    )
    assert first == {"name": "thresholds"}
    assert second == {"name": "quality", "version": "quality-9", "digest": "cd" * 32}


def test_coarse_layers_carry_the_estimate_and_the_mean_angles(
    scene: Scene, product: CorrectedProduct
) -> None:
    estimate = StatedEstimator().estimate(scene, np.zeros((1, 1), dtype=np.uint16))
    np.testing.assert_allclose(_value(product, enc.AOT), estimate.aot_550, atol=6e-5)
    np.testing.assert_allclose(_value(product, enc.WATER_VAPOUR), estimate.water_vapour, atol=6e-4)
    np.testing.assert_allclose(_value(product, enc.SUN_ZENITH), scene.angles.sun_zenith, atol=6e-3)
    names = [band.name for band in scene.sensor.corrected_bands]
    mean = np.mean([scene.angles.view_zenith[name] for name in names], axis=0)
    np.testing.assert_allclose(_value(product, enc.VIEW_ZENITH), mean, atol=6e-3)
    np.testing.assert_allclose(_value(product, enc.RELATIVE_AZIMUTH), 50.0, atol=6e-3)


def test_running_it_twice_changes_nothing(scene: Scene, tmp_path: Path) -> None:
    first = _correct(scene, tmp_path)
    before = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in tmp_path.rglob("*")}
    asked = StatedEstimator()
    second = _correct(scene, tmp_path, estimator=asked)
    assert (first.was_there, second.was_there, asked.asked) == (False, True, 0)
    assert {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in tmp_path.rglob("*")} == before
    assert second.quality_percent == first.quality_percent
    assert second.bytes == first.bytes


def test_a_rerun_elsewhere_gives_the_same_bytes_whatever_the_threads_and_strips(
    scene: Scene, tmp_path: Path
) -> None:
    one = _correct(scene, tmp_path / "one", threads=1)
    two = _correct(scene, tmp_path / "two", threads=3, run_id="other", strip_pixels=10_000_000)
    for path in sorted(one.folder.iterdir()):
        if path != one.item:
            assert path.read_bytes() == (two.folder / path.name).read_bytes(), path.name
    items = [json.loads(p.item.read_text()) for p in (one, two)]
    for item in items:
        for key in VOLATILE:
            del item["properties"][key]
    assert items[0] == items[1]


@pytest.mark.parametrize(
    "other",
    [
        StatedEstimator(model=StatedModel(digest="cd" * 32)),
        StatedEstimator(parameters={"altitude_m": 500.0}),
    ],
    ids=["model", "parameters"],
)
def test_what_changes_pixels_changes_the_name_and_leaves_the_old_product_alone(
    scene: Scene, product: CorrectedProduct, other: StatedEstimator, tmp_path: Path
) -> None:
    first = _correct(scene, tmp_path)
    second = _correct(scene, tmp_path, estimator=other)
    assert first.digest == product.digest
    assert second.digest != first.digest
    assert second.folder != first.folder
    assert first.item.exists()


def test_other_source_bytes_give_another_digest(tmp_path: Path) -> None:
    digests = set()
    for content in (b"a", b"b"):
        (tmp_path / "MTD.xml").write_bytes(content)
        digests.add(_correct(memory_scene("L8", source=tmp_path / "MTD.xml"), tmp_path / "out").digest)
    assert len(digests) == 2


@pytest.mark.faults
def test_a_band_that_breaks_half_way_leaves_nothing_and_says_why(tmp_path: Path) -> None:
    broken = memory_scene("S2A")
    broken.bands["B05"].fails_at_row = 600
    with pytest.raises(DataError, match="deliver it again"):
        _correct(broken, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.faults
@pytest.mark.parametrize("damage", ["B04.tif", "item", "shorter"])
def test_a_product_that_lost_a_file_is_made_again(scene: Scene, tmp_path: Path, damage: str) -> None:
    first = _correct(scene, tmp_path)
    if damage == "shorter":
        (first.folder / "B03.tif").write_bytes(b"II*")
    else:
        (first.item if damage == "item" else first.folder / damage).unlink()
    second = _correct(scene, tmp_path)
    assert not second.was_there
    assert _correct(scene, tmp_path).was_there


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from memory_scene import StatedEstimator, memory_scene
from undersky.stages.correct import CorrectOptions, correct_scene
def die(done, sentence):
    if sentence.startswith(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
options = CorrectOptions(progress=die, strip_pixels=70_000)
correct_scene(memory_scene("S2A"), Path(sys.argv[1]), estimator=StatedEstimator(), options=options)
"""


@pytest.mark.faults
@pytest.mark.parametrize("moment", ["correcting B8A", "joining", "describing"])
def test_a_run_killed_at_any_moment_leaves_nothing_that_looks_finished(tmp_path: Path, moment: str) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-c", KILLED, str(out), moment, str(Path(__file__).parent)]
    child = subprocess.run(command, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}, check=False)
    assert child.returncode == -9
    assert [path for path in out.iterdir() if not path.name.startswith(".")] == []
    product = _correct(memory_scene("S2A"), out)
    assert sorted(path.name for path in out.iterdir()) == sorted([product.id, "sentinel-2-sr.json"])


def test_progress_rises_from_nothing_to_everything(scene: Scene, tmp_path: Path) -> None:
    told: list[tuple[float, str]] = []
    _correct(scene, tmp_path, progress=lambda done, sentence: told.append((done, sentence)))
    fractions = [done for done, _ in told]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0.0, 1.0)
    assert told[-1][1] == "done"


@pytest.mark.parametrize("key", ["S2B", "S2C", "L8", "L9"])
def test_every_sensor_makes_a_product(key: str, tmp_path: Path) -> None:
    scene = memory_scene(key)
    product = _correct(scene, tmp_path)
    assert product.id.startswith(f"{key}_{scene.tile}_2024050")
    for band in scene.sensor.corrected_bands:
        layer = enc.reflectance_layer(band)
        mean = np.nanmean(read_reduced(product.folder / f"{layer.key}.tif", layer=layer, shape=(50, 5)))
        assert 0.1 < mean < 0.4


def test_a_product_stays_within_its_stated_bytes(scene: Scene, product: CorrectedProduct) -> None:
    pixels = sum(scene.bands[band.name].toa.size for band in scene.sensor.corrected_bands)
    assert product.bytes < 2.9 * pixels + 200_000

"""Landsat 8 and 9 Level-1, on tiny folders whose every number was chosen."""

import tarfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import rasterio

from undersky.errors import DataError, Reason
from undersky.grid import Window, upsample, whole
from undersky.quality import Quality
from undersky.scene import Finding, Scene
from undersky.sensors import open_scene, require_bands, verify_pixels

Make = Callable[..., Path]


def findings(scene: Scene) -> set[Finding]:
    return {note.finding for note in scene.notes}


def test_the_metadata_becomes_the_scene(make_landsat: Make) -> None:
    root = make_landsat()
    scene = open_scene(root)
    assert scene.id == root.name
    assert scene.sensor.key == "L9"
    # the seventh decimal of the second is cut
    assert scene.acquired == datetime(2023, 8, 4, 23, 50, 12, 123456, tzinfo=UTC)
    assert (scene.level, scene.baseline, scene.tile) == ("L1TP", "02 T1", "090080")
    assert list(scene.bands) == [f"B{n}" for n in range(1, 10)]
    assert scene.declared_cloud_percent == 7.25
    assert findings(scene) == {Finding.PRIOR_MISSING}
    # quality lives on the corrected bands' 30 m, not on the panchromatic 15 m
    assert tuple(scene.grid.shape) == (80, 100)
    require_bands(scene)
    verify_pixels(scene)


@pytest.mark.parametrize("kind", ["txt", "json", "xml"])
def test_the_three_metadata_formats_are_one(make_landsat: Make, kind: str) -> None:
    scene = open_scene(make_landsat(kind=kind))
    assert scene.tile == "090080"
    assert scene.bands["B4"].calibration.mult == 2e-5
    assert scene.bands["B4"].calibration.add == -0.1


def test_reflectance_is_divided_by_the_cosine_of_each_pixels_own_sun(make_landsat: Make) -> None:
    root = make_landsat()
    scene = open_scene(root)
    with rasterio.open(root / f"{root.name}_B4.TIF") as dataset:
        numbers = dataset.read(1).astype(float)
    with rasterio.open(root / f"{root.name}_SZA.TIF") as dataset:
        zenith = dataset.read(1) * 0.01
    expected = np.where(numbers == 0, np.nan, (numbers * 2e-5 - 0.1) / np.cos(np.radians(zenith)))
    ours = scene.bands["B4"].toa_reflectance(whole(scene.grid))
    assert np.isnan(ours[0, :3]).all()
    np.testing.assert_allclose(ours, expected, rtol=2e-3)
    # the coarse field interpolates what the raster holds in steps of a hundredth
    field = upsample(scene.angles.sun_zenith, (80, 100), whole(scene.grid))
    assert np.abs(field - zenith).max() < 0.02


def test_without_angle_bands_the_scene_centre_stands_in(make_landsat: Make) -> None:
    root = make_landsat(angles=False)
    scene = open_scene(root)
    assert {Finding.SUN_ANGLES_FROM_SCENE_CENTRE, Finding.VIEW_ANGLES_ASSUMED_NADIR} <= findings(scene)
    assert scene.is_incomplete
    with rasterio.open(root / f"{root.name}_B3.TIF") as dataset:
        numbers = dataset.read(1).astype(float)
    expected = np.where(numbers == 0, np.nan, (numbers * 2e-5 - 0.1) / np.sin(np.radians(33.25)))
    np.testing.assert_allclose(scene.bands["B3"].toa_reflectance(whole(scene.grid)), expected, rtol=1e-5)


def test_view_angles_come_from_their_bands(make_landsat: Make) -> None:
    angles = open_scene(make_landsat()).angles
    # VZA rises by a tenth of a degree a column, VAA is 98.5; SAA -10.5 is 349.5
    np.testing.assert_allclose(angles.view_zenith["B5"][:, -1], 9.95, atol=0.06)
    np.testing.assert_allclose(angles.view_zenith["B5"][:, 0], 0.0, atol=0.12)
    np.testing.assert_allclose(angles.view_azimuth["B5"][:, -1], 98.5, atol=0.05)
    np.testing.assert_allclose(angles.sun_azimuth, 349.5, atol=1e-3)


def test_quality_bits_are_translated_one_by_one(make_landsat: Make) -> None:
    scene = open_scene(make_landsat())
    assert scene.agency_mask is not None
    quality = scene.agency_mask.quality(whole(scene.grid))
    expected = [
        Quality.CLOUD,
        Quality.CIRRUS,
        Quality.CLOUD,
        Quality.CLOUD_SHADOW,
        Quality.SNOW,
        Quality.WATER,
    ]
    assert [int(value) for value in quality[10:16, 2]] == [int(bit) for bit in expected]
    assert not quality[:, 5:].any()
    assert not quality[0, :3].any()  # fill says nothing, even with other bits set
    np.testing.assert_array_equal(scene.agency_mask.quality(Window(9, 1, 8, 9)), quality[9:17, 1:10])


def test_saturation_is_each_bands_own(make_landsat: Make) -> None:
    scene = open_scene(make_landsat())
    places = {
        name: set(zip(*np.nonzero(band.saturated(whole(band.grid))), strict=True))
        for name, band in scene.bands.items()
    }
    assert places["B2"] == {(5, 6)}
    assert places["B9"] == {(7, 8)}
    assert not any(places[name] for name in places if name not in ("B2", "B9"))


def test_missing_quality_bands_make_testing_incomplete(make_landsat: Make) -> None:
    scene = open_scene(make_landsat(qa=False))
    assert scene.agency_mask is None
    assert {Finding.AGENCY_CLOUD_MASK_MISSING, Finding.SATURATION_MASK_MISSING} <= findings(scene)
    assert not scene.bands["B4"].saturated(whole(scene.grid)).any()


def test_a_missing_band_is_noted_and_refused_where_it_is_needed(make_landsat: Make) -> None:
    root = make_landsat()
    (root / f"{root.name}_B5.TIF").unlink()
    (root / f"{root.name}_B9.TIF").unlink()
    scene = open_scene(root)
    assert {Finding.BAND_MISSING, Finding.CIRRUS_BAND_MISSING} <= findings(scene)
    with pytest.raises(DataError, match="no B5;") as caught:
        require_bands(scene)
    assert caught.value.reason is Reason.BAND_MISSING


def test_a_tar_reads_as_the_folder_does(make_landsat: Make, tmp_path: Path) -> None:
    root = make_landsat()
    archive = tmp_path / f"{root.name}.tar"
    with tarfile.open(archive, "w") as tar:
        for path in sorted(root.iterdir()):
            tar.add(path, path.name)
    packed, plain = open_scene(archive), open_scene(root)
    assert packed.id == plain.id
    assert packed.sources == {archive.name: archive}
    for name in plain.bands:
        window = whole(plain.bands[name].grid)
        np.testing.assert_array_equal(
            packed.bands[name].toa_reflectance(window), plain.bands[name].toa_reflectance(window)
        )
    np.testing.assert_array_equal(packed.angles.view_zenith["B1"], plain.angles.view_zenith["B1"])


def test_averaging_divides_by_the_mean_sun(make_landsat: Make) -> None:
    band = open_scene(make_landsat()).bands["B6"]
    fine = band.toa_reflectance(Window(10, 20, 40, 60))
    coarse = band.toa_reflectance(Window(10, 20, 40, 60), shape=(10, 15))
    np.testing.assert_allclose(coarse, fine.reshape(10, 4, 15, 4).mean(axis=(1, 3)), rtol=1e-4)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"SPACECRAFT_ID": "LANDSAT_7"}, Reason.UNSUPPORTED_SENSOR),
        ({"SENSOR_ID": "TIRS"}, Reason.UNSUPPORTED_SENSOR),
        ({"PROCESSING_LEVEL": "L2SP"}, Reason.UNKNOWN_PRODUCT),
        ({"UTM_ZONE": "61"}, Reason.METADATA_INVALID),
        ({"MAP_PROJECTION": "AEA"}, Reason.METADATA_INVALID),
        ({"SCENE_CENTER_TIME": "half past"}, Reason.METADATA_INVALID),
        ({"LANDSAT_PRODUCT_ID": "../../etc"}, Reason.METADATA_INVALID),
        ({"REFLECTANCE_MULT_BAND_3": "nan"}, Reason.METADATA_INVALID),
        ({"REFLECTANCE_MULT_BAND_3": "0"}, Reason.METADATA_INVALID),
        ({"CORNER_LR_PROJECTION_X_PRODUCT": "0"}, Reason.METADATA_INVALID),
        ({"UTM_ZONE": "56"}, Reason.CRS_MISMATCH),
        (
            {"CORNER_UL_PROJECTION_X_PRODUCT": "301300", "CORNER_LR_PROJECTION_X_PRODUCT": "304270"},
            Reason.GRID_MISMATCH,
        ),
    ],
)
def test_metadata_that_makes_no_sense_is_refused(
    make_landsat: Make, changes: dict[str, str], reason: Reason
) -> None:
    with pytest.raises(DataError) as caught:
        open_scene(make_landsat(**changes))
    assert caught.value.reason is reason


def test_sun_below_the_horizon_is_refused(make_landsat: Make) -> None:
    with pytest.raises(DataError, match="SUN_ELEVATION") as caught:
        open_scene(make_landsat(angles=False, SUN_ELEVATION="-3"))
    assert caught.value.reason is Reason.METADATA_INVALID


def test_a_file_name_of_the_metadata_cannot_reach_outside(make_landsat: Make, tmp_path: Path) -> None:
    (tmp_path / "secret.TIF").write_bytes(b"II*\0secret")
    scene = open_scene(make_landsat(FILE_NAME_BAND_3="../secret.TIF"))
    assert "B3" not in scene.bands
    assert all("secret" not in name for name in scene.sources)

"""A user's scenes: what is documented is read as it stands, what is wrong is refused with its cure."""

import pickle
import zipfile
from datetime import UTC, datetime

import numpy as np
import pytest

from undersky.datasets import folders
from undersky.datasets.folders import UNKNOWN_COVER, load_folder, read_scene
from undersky.errors import ConfigError, DataError, Reason

BANDS = ("B2", "B3", "B4", "B5", "B6", "B7")


def scene(**changes):
    """The arrays of a good scene; a change to None leaves an array out."""
    generator = np.random.default_rng(3)
    surface = generator.uniform(0.02, 0.4, (len(BANDS), 6, 5)).astype(np.float32)
    good = {
        "toa": surface + np.float32(0.03),
        "surface": surface,
        "sensor": "L8",
        "bands": np.array(BANDS),
        "sun_zenith": 41.5,
        "view_zenith": 3.0,
        "relative_azimuth": 77.0,
        "ozone_dobson": 300.0,
        "altitude_km": 0.2,
        "latitude": 12.5,
        "longitude": -86.5,
        "acquired": "2015-12-05T16:06:06Z",
        "pixel_m": 30.0,
        "origin": "real",
    }
    return {name: value for name, value in (good | changes).items() if value is not None}


def save(folder, name="one", **changes):
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.npz"
    np.savez(path, **scene(**changes))
    return path


def refused(path):
    with pytest.raises(DataError) as found:
        read_scene(path)
    assert path.name in str(found.value)
    return found.value


def test_a_scene_is_read_as_it_was_written(tmp_path):
    path = save(tmp_path, "lake")
    found = read_scene(path)
    written = scene()
    assert found.observation.id == "lake"
    assert found.observation.sensor.key == "L8"
    assert found.observation.bands == BANDS
    assert np.array_equal(found.observation.toa, written["toa"])
    assert np.array_equal(found.truth.surface, written["surface"])
    assert found.origin == "real"


def test_geometry_and_place_are_those_of_the_file(tmp_path):
    found = read_scene(save(tmp_path)).observation
    angles = (found.sun_zenith, found.view_zenith, found.relative_azimuth)
    assert angles == (41.5, 3.0, 77.0)
    assert (found.ozone_dobson, found.altitude_km) == (300.0, 0.2)
    assert (found.place.latitude, found.place.longitude, found.place.pixel_m) == (12.5, -86.5, 30.0)
    assert found.place.acquired == datetime(2015, 12, 5, 16, 6, 6, tzinfo=UTC)


def test_what_nobody_said_is_unknown_not_assumed(tmp_path):
    found = read_scene(save(tmp_path))
    assert found.aerosol is None
    assert np.isnan(found.truth.aot_550)
    assert np.isnan(found.truth.water_vapour)
    assert (found.truth.cover == UNKNOWN_COVER).all()


def test_a_known_state_is_kept(tmp_path):
    found = read_scene(save(tmp_path, aot_550=0.31, water_vapour=2.2, aerosol="urban"))
    assert (found.truth.aot_550, found.truth.water_vapour, found.aerosol) == (0.31, 2.2, "urban")


def test_nodata_of_the_file_is_nodata(tmp_path):
    toa = scene()["toa"]
    toa[:, 0, 0] = np.nan
    assert np.isnan(read_scene(save(tmp_path, toa=toa)).observation.toa[:, 0, 0]).all()


def test_double_precision_is_taken_too(tmp_path):
    found = read_scene(save(tmp_path, toa=scene()["toa"].astype(np.float64)))
    assert found.observation.toa.dtype == np.float32


def test_a_folder_holds_its_scenes_in_the_order_of_their_names(tmp_path):
    for name in ("b", "a", "c"):
        save(tmp_path / "mine", name)
    found = load_folder(tmp_path / "mine")
    assert found.name == "mine"
    assert [one.path.stem for one in found.scenes] == ["a", "b", "c"]
    assert found.origin == "real"


def test_simulated_and_real_scenes_in_one_folder_are_refused(tmp_path):
    save(tmp_path, "a", origin="simulated")
    save(tmp_path, "b", origin="real")
    with pytest.raises(ConfigError, match=r"split .* into two folders"):
        load_folder(tmp_path)


def test_a_folder_without_scenes_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"holds no \.npz"):
        load_folder(tmp_path)
    with pytest.raises(ConfigError, match="is no folder"):
        load_folder(tmp_path / "absent")


def test_one_bad_scene_is_refused_when_the_folder_is_opened(tmp_path):
    save(tmp_path, "a")
    save(tmp_path, "b", sensor="S9")
    with pytest.raises(DataError) as found:
        load_folder(tmp_path)
    assert found.value.reason is Reason.UNSUPPORTED_SENSOR


@pytest.mark.parametrize("name", ["toa", "surface", "sensor", "bands", "sun_zenith", "acquired", "origin"])
def test_a_missing_array_is_named(tmp_path, name):
    error = refused(save(tmp_path, **{name: None}))
    assert error.reason is Reason.METADATA_MISSING
    assert name in str(error)


def test_an_unknown_array_is_refused_so_that_a_typo_is_no_silence(tmp_path):
    error = refused(save(tmp_path, aot550=0.2))
    assert error.reason is Reason.METADATA_INVALID
    assert "aot550" in str(error)
    assert "aot_550" in str(error)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sun_zenith", 95.0),
        ("sun_zenith", np.nan),
        ("view_zenith", -1.0),
        ("relative_azimuth", 250.0),
        ("ozone_dobson", 0.3),
        ("altitude_km", 1870.0),
        ("latitude", 91.0),
        ("pixel_m", 0.0),
        ("aot_550", -0.1),
        ("water_vapour", 25.0),
        ("sun_zenith", np.array([40.0, 41.0])),
        ("sun_zenith", "forty"),
    ],
)
def test_a_number_beyond_belief_is_refused_with_its_limits(tmp_path, name, value):
    error = refused(save(tmp_path, **{name: value}))
    assert error.reason is Reason.METADATA_INVALID
    assert f"{name} is" in str(error)
    assert "expected one number from" in str(error)


@pytest.mark.parametrize("acquired", ["yesterday", "2015-12-05T16:06:06", 20151205])
def test_a_time_without_zone_or_sense_is_refused(tmp_path, acquired):
    assert refused(save(tmp_path, acquired=acquired)).reason is Reason.METADATA_INVALID


@pytest.mark.parametrize("origin", ["measured", "", "Real"])
def test_an_origin_is_simulated_or_real(tmp_path, origin):
    assert "expected simulated or real" in str(refused(save(tmp_path, origin=origin)))


@pytest.mark.parametrize(
    "bands", [("B3", "B2", "B4", "B5", "B6", "B7"), ("B2", "B3", "B4", "B5", "B6", "B99")]
)
def test_bands_out_of_order_or_unknown_are_refused(tmp_path, bands):
    assert refused(save(tmp_path, bands=np.array(bands))).reason is Reason.BANDS_MISMATCH


@pytest.mark.parametrize(("gone", "said"), [("B6", "swir16"), ("B5", "nir")])
def test_a_scene_without_a_band_that_the_masks_need_is_refused(tmp_path, gone, said):
    rows = [index for index, name in enumerate(BANDS) if name != gone]
    good = scene()
    changes = {"toa": good["toa"][rows], "surface": good["surface"][rows], "bands": np.array(BANDS)[rows]}
    error = refused(save(tmp_path, **changes))
    assert error.reason is Reason.BAND_MISSING
    assert f"lacks {said};" in str(error)


@pytest.mark.parametrize(
    "toa",
    [np.zeros((5, 6, 5), np.float32), np.zeros((6, 30), np.float32), np.zeros((6, 6, 5), np.int16)],
)
def test_an_array_of_the_wrong_shape_or_kind_is_refused(tmp_path, toa):
    assert refused(save(tmp_path, toa=toa)).reason is Reason.GRID_MISMATCH


def test_a_truth_on_another_grid_is_refused(tmp_path):
    error = refused(save(tmp_path, surface=np.full((6, 5, 6), 0.1, np.float32)))
    assert error.reason is Reason.GRID_MISMATCH


def test_a_scene_of_nodata_alone_is_refused(tmp_path):
    assert refused(save(tmp_path, toa=np.full((6, 6, 5), np.nan))).reason is Reason.ALL_NODATA


def test_digital_numbers_are_refused_with_the_cure(tmp_path):
    assert "scale digital numbers" in str(refused(save(tmp_path, toa=1e4 * scene()["toa"])))


class _Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.faults
def test_a_pickle_is_refused_and_never_run(tmp_path):
    path, sprung = tmp_path / "trap.npz", tmp_path / "sprung"
    np.savez(path, **scene(), allow_pickle=True, aerosol=np.array([_Trap(sprung)], dtype=object))
    assert refused(path).reason is Reason.RASTER_UNREADABLE
    path.write_bytes(pickle.dumps(_Trap(sprung)))
    assert refused(path).reason is Reason.RASTER_UNREADABLE
    assert not sprung.exists()


@pytest.mark.faults
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_truncated_file_is_refused(tmp_path, share):
    path = save(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert refused(path).reason is Reason.RASTER_UNREADABLE


@pytest.mark.faults
def test_an_archive_that_unpacks_to_too_much_is_refused_unread(tmp_path, monkeypatch):
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("toa.npy", bytes(2_000_000))
    monkeypatch.setattr(folders, "LARGEST_BYTES", 1_000_000)
    assert refused(path).reason is Reason.RASTER_TOO_LARGE

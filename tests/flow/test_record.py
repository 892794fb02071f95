"""`undersky record` puts true Items where unrecorded ones lay."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fixtures_archive import SAFE, Archive, small_landsat, small_safe
from undersky.errors import ConfigError, ServiceError
from undersky.flow.record import file_name, record

NOW = datetime(2025, 6, 25, 12, tzinfo=UTC)
PLACE = {"type": "Polygon", "coordinates": [[[9, 42], [13, 42], [13, 46], [9, 46], [9, 42]]]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "items"
    found.mkdir()
    return found


def test_a_current_item_takes_the_place_of_an_unrecorded_one(archive: Archive, folder: Path) -> None:
    small_safe(archive.folder)
    path = folder / file_name("copernicus-dataspace", "sentinel-2-l1c")
    path.write_text('{"label": "unrecorded"}')
    (found,) = record(archive.profiles, "copernicus-dataspace", folder, now=NOW, place=PLACE)
    assert (found.path, found.id, found.reads) == (path, SAFE, True)
    assert found.sentence == "granule S2B_20250619T095753_32TQM"
    kept = json.loads(path.read_text())
    assert kept["label"] == "recorded"
    assert kept["recorded"] == "2025-06-25T12:00:00Z"
    assert kept["source"] == archive.profiles["copernicus-dataspace"].stac
    assert kept["item"]["id"] == SAFE
    assert sorted(folder.iterdir()) == [path]


def test_an_item_that_reads_is_taken_before_one_that_does_not(archive: Archive, folder: Path) -> None:
    small_landsat(archive.folder, "LC09_L2SP_192029_20250623_20250624_02_T1")
    small_landsat(archive.folder, "LC09_L1TP_192029_20250621_20250622_02_T1")
    (found,) = record(archive.profiles, "usgs-landsatlook", folder, now=NOW, place=PLACE)
    assert found.id == "LC09_L1TP_192029_20250621_20250622_02_T1"


def test_where_none_reads_the_first_is_kept_and_the_reason_said(archive: Archive, folder: Path) -> None:
    small_landsat(archive.folder, "LC09_L2SP_192029_20250623_20250624_02_T1")
    (found,) = record(archive.profiles, "usgs-landsatlook", folder, now=NOW, place=PLACE)
    assert not found.reads
    assert "L2SP, corrected by the agency" in found.sentence
    assert found.path.is_file()


def test_older_days_are_looked_at_where_recent_ones_are_empty(archive: Archive, folder: Path) -> None:
    small_landsat(archive.folder, "LC09_L1TP_192029_20250528_20250530_02_T1")
    (found,) = record(archive.profiles, "usgs-landsatlook", folder, now=NOW, place=PLACE)
    assert found.reads


def test_where_there_is_nothing_what_lies_there_stays(archive: Archive, folder: Path) -> None:
    path = folder / file_name("usgs-landsatlook", "landsat-c2-l1")
    path.write_text("kept")
    with pytest.raises(ServiceError, match="has no landsat-c2-l1 of the last 40 days"):
        record(archive.profiles, "usgs-landsatlook", folder, now=NOW, place=PLACE)
    assert path.read_text() == "kept"


def test_unknown_profiles_and_folders_are_named(archive: Archive, folder: Path) -> None:
    with pytest.raises(ConfigError, match="no profile is called 'nowhere'"):
        record(archive.profiles, "nowhere", folder, now=NOW)
    with pytest.raises(ConfigError, match="is no folder"):
        record(archive.profiles, "earth-search", folder / "missing", now=NOW)

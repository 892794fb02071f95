"""Level-1 files come out of the store as the readers want them, and never beside their folder."""

import hashlib

import pytest

from scene_batches import bare_ref
from undersky.batch.fetched import fetch_scene
from undersky.errors import DataError, ServiceError
from undersky.refs import FileRef
from undersky.services.store import Store


def put(store: Store, name: str, data: bytes = b"data", **changes: object) -> FileRef:
    key = f"l1/c/s/{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    store.put(key, data)
    sha256 = hashlib.sha256(data).hexdigest()
    known = {"name": name, "href": store.href(key), "size": len(data), "checksum": f"sha256:{sha256}"}
    return FileRef(**{**known, **changes})


def fetch(store: Store, folder, *files: FileRef):
    return fetch_scene(store, bare_ref(), files, folder / "l1")


def test_files_keep_their_place_inside_the_product(store, tmp_path):
    path = fetch(store, tmp_path, put(store, "MTD_MSIL1C.xml"), put(store, "GRANULE/a/IMG_DATA/B02.jp2"))
    assert path.is_dir()
    assert path.name == bare_ref().scene
    assert (path / "GRANULE/a/IMG_DATA/B02.jp2").read_bytes() == b"data"


def test_one_archive_is_the_product(store, tmp_path):
    assert fetch(store, tmp_path, put(store, "scene.zip")).name == "scene.zip"


def test_a_safe_folder_inside_is_the_product(store, tmp_path):
    path = fetch(store, tmp_path, put(store, "S2B_X.SAFE/MTD_MSIL1C.xml"), put(store, "S2B_X.SAFE/a/b.jp2"))
    assert path.name == "S2B_X.SAFE"


def test_a_single_file_is_a_folder_with_it(store, tmp_path):
    assert fetch(store, tmp_path, put(store, "a_MTL.txt")).is_dir()


@pytest.mark.parametrize("name", ["../up", "/etc/passwd", "a/../../up", "a\\b", "", "\0"])
def test_a_name_that_climbs_is_refused_before_anything_is_written(store, tmp_path, name):
    with pytest.raises(DataError) as caught:
        fetch(store, tmp_path, put(store, name))
    assert caught.value.reason == "archive_unsafe"
    assert not (tmp_path / "l1").exists()


def test_a_file_listed_twice_is_refused(store, tmp_path):
    with pytest.raises(DataError, match="twice"):
        fetch(store, tmp_path, put(store, "a"), put(store, "./a"))


def test_a_scene_without_files_is_refused(store, tmp_path):
    with pytest.raises(DataError) as caught:
        fetch(store, tmp_path)
    assert caught.value.reason == "metadata_missing"


def test_a_file_the_store_lost_is_a_matter_of_time(store, tmp_path):
    lost = put(store, "a")
    store.delete(store.key(lost.href))
    with pytest.raises(ServiceError):
        fetch(store, tmp_path, lost, put(store, "b"))


@pytest.mark.parametrize("change", [{"size": 5}, {"checksum": "sha256:" + "0" * 64}])
def test_bytes_that_are_not_the_ingested_ones_are_no_product(store, tmp_path, change):
    with pytest.raises(DataError) as caught:
        fetch(store, tmp_path, put(store, "a", **change))
    assert caught.value.reason in {"size_mismatch", "checksum_mismatch"}


def test_a_checksum_of_another_kind_is_left_to_ingest(store, tmp_path):
    assert fetch(store, tmp_path, put(store, "a", checksum="md5:0")).is_dir()


def test_a_file_where_another_has_a_folder_is_refused(store, tmp_path):
    with pytest.raises(DataError) as caught:
        fetch(store, tmp_path, put(store, "a"), put(store, "a/b"))
    assert caught.value.reason == "archive_unsafe"

"""Files of any size in and out of the bucket."""

import hashlib
import os
import random
import tracemalloc
from datetime import timedelta
from pathlib import Path

import pytest
from botocore.exceptions import ReadTimeoutError

from undersky.errors import ConfigError, DataError, Reason, ServiceError
from undersky.services.store import NotInStore, Store, files

SMALL = random.Random(1).randbytes(100_000)
BIG = random.Random(2).randbytes(12 << 20)


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of some MiB are big ones here: 5 MiB is the smallest part that S3 takes."""
    monkeypatch.setattr(files, "PART", 5 << 20)


@pytest.fixture(params=["small", "big", "empty"])
def body(request: pytest.FixtureRequest) -> bytes:
    return {"small": SMALL, "big": BIG, "empty": b""}[request.param]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def on_disk(folder: Path, data: bytes) -> Path:
    path = folder / "source.tif"
    path.write_bytes(data)
    return path


class _Client:
    """The client of a store, some of whose calls go wrong."""

    def __init__(self, store: Store, **wrong: object) -> None:
        self._client, self._wrong = store.client, wrong
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> object:
        self.calls.append(name)
        return self._wrong.get(name, getattr(self._client, name))


def with_client(store: Store, client: _Client) -> Store:
    return Store(store.url, store.bucket, client, tries=3, pause_s=0.001)  # type: ignore[arg-type]


def test_a_file_goes_in_and_comes_out_the_same(store: Store, tmp_path: Path, body: bytes) -> None:
    stored = store.put_file("products/B02.tif", on_disk(tmp_path, body))
    assert (stored.size, stored.sha256) == (len(body), sha256(body))
    assert stored.content_type == "image/tiff; application=geotiff; profile=cloud-optimized"
    out = tmp_path / "deep" / "er" / "out.tif"
    store.get_file("products/B02.tif", out, size=len(body), sha256=sha256(body))
    assert out.read_bytes() == body
    assert [path.name for path in out.parent.iterdir()] == ["out.tif"]


def test_a_big_file_goes_in_parts_whose_checksums_the_server_verifies(store: Store, tmp_path: Path) -> None:
    watched = _Client(store)
    with_client(store, watched).put_file("big.bin", on_disk(tmp_path, BIG))
    assert watched.calls.count("upload_part") == 3
    assert "put_object" not in watched.calls


def test_an_equal_object_is_left_as_it_is(store: Store, tmp_path: Path, body: bytes) -> None:
    path = on_disk(tmp_path, body)
    first = store.put_file("a.tif", path)
    watched = _Client(store)
    assert with_client(store, watched).put_file("a.tif", path) == first
    assert set(watched.calls) == {"head_object"}


def test_another_object_is_replaced(store: Store, tmp_path: Path, body: bytes) -> None:
    store.put("a.tif", b"something else")
    store.put_file("a.tif", on_disk(tmp_path, body))
    assert store.get("a.tif") == body


def test_notes_stand_beside_the_object(store: Store, tmp_path: Path, body: bytes) -> None:
    store.put_file("a.tif", on_disk(tmp_path, body), content_type="text/x-test", notes={"source": "md5:1"})
    found = store.metadata("a.tif")
    assert found is not None
    assert found[0].content_type == "text/x-test"
    assert found[1]["source"] == "md5:1"


def test_a_file_that_is_not_what_was_promised_is_not_put(store: Store, tmp_path: Path, body: bytes) -> None:
    with pytest.raises(DataError) as caught:
        store.put_file("a.tif", on_disk(tmp_path, body), sha256="0" * 64)
    assert caught.value.reason is Reason.CHECKSUM_MISMATCH
    assert store.head("a.tif") is None


def test_a_file_that_is_not_there_is_the_operators(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        store.put_file("a.tif", tmp_path / "none")


def test_a_part_that_fails_is_sent_again(store: Store, tmp_path: Path) -> None:
    failures = {1: 1, 3: 2}  # of each part: whichever comes when, none of them fails for all of its tries

    def flaky(**asked: object) -> object:
        number = int(str(asked["PartNumber"]))
        if failures.get(number, 0):
            failures[number] -= 1
            raise ReadTimeoutError(endpoint_url="s3")
        return store.client.upload_part(**asked)  # type: ignore[arg-type]

    with_client(store, _Client(store, upload_part=flaky)).put_file("big.bin", on_disk(tmp_path, BIG))
    assert store.get("big.bin") == BIG
    assert failures == {1: 0, 3: 0}


def test_a_put_that_fails_leaves_no_unfinished_upload_and_no_object(store: Store, tmp_path: Path) -> None:
    def fails(**_: object) -> object:
        raise ReadTimeoutError(endpoint_url="s3")

    with pytest.raises(ServiceError, match="part"):
        with_client(store, _Client(store, upload_part=fails)).put_file("big.bin", on_disk(tmp_path, BIG))
    assert store.head("big.bin") is None
    assert "Uploads" not in store.client.list_multipart_uploads(Bucket=store.bucket)


def test_a_put_whose_last_answer_was_lost_is_known_to_be_done(store: Store, tmp_path: Path) -> None:
    def loses(**asked: object) -> object:
        store.client.complete_multipart_upload(**asked)  # type: ignore[arg-type]
        raise ReadTimeoutError(endpoint_url="s3")

    client = _Client(store, complete_multipart_upload=loses)
    assert with_client(store, client).put_file("big.bin", on_disk(tmp_path, BIG)).sha256 == sha256(BIG)


def test_uploads_that_killed_processes_left_are_cleared_a_day_later(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("big.bin", "big.bin.other"):
        store.client.create_multipart_upload(Bucket=store.bucket, Key=key)  # moto: begun in 2010
    monkeypatch.setattr(files, "_FORGOTTEN", timedelta(days=20_000))
    store.put_file("big.bin", on_disk(tmp_path, BIG))
    assert len(store.client.list_multipart_uploads(Bucket=store.bucket)["Uploads"]) == 2
    monkeypatch.setattr(files, "_FORGOTTEN", timedelta(days=1))
    store.delete("big.bin")
    store.put_file("big.bin", tmp_path / "source.tif")
    left = store.client.list_multipart_uploads(Bucket=store.bucket)["Uploads"]
    assert [upload["Key"] for upload in left] == ["big.bin.other"]


def test_a_file_that_changes_while_it_is_put_leaves_nothing(
    store: Store, tmp_path: Path, body: bytes
) -> None:
    path = on_disk(tmp_path, body)

    def then_changed(name: str):
        def call(**asked: object) -> object:
            with path.open("ab") as file:  # not written anew: another part may be read meanwhile
                file.write(b"more")
            return getattr(store.client, name)(**asked)

        return call

    wrong = {name: then_changed(name) for name in ("put_object", "upload_part")}
    with pytest.raises(ServiceError, match="changed while it was put"):
        with_client(store, _Client(store, **wrong)).put_file("a.tif", path)
    assert store.head("a.tif") is None


def test_what_is_not_there_cannot_be_fetched_and_leaves_no_file(store: Store, tmp_path: Path) -> None:
    with pytest.raises(NotInStore):
        store.get_file("none", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_an_object_of_another_size_than_the_manifest_says_is_refused(
    store: Store, tmp_path: Path, body: bytes
) -> None:
    store.put("a", body)
    with pytest.raises(DataError) as caught:
        store.get_file("a", tmp_path / "out", size=17)
    assert caught.value.reason is Reason.SIZE_MISMATCH


def test_an_object_with_other_bytes_than_the_manifest_says_is_refused_and_the_old_file_stays(
    store: Store, tmp_path: Path, body: bytes
) -> None:
    store.put("a", body)
    (tmp_path / "out").write_bytes(b"old")
    with pytest.raises(DataError) as caught:
        store.get_file("a", tmp_path / "out", sha256="0" * 64)
    assert caught.value.reason is Reason.CHECKSUM_MISMATCH
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out").read_bytes() == b"old"


def test_bytes_that_rot_in_the_store_do_not_become_a_file(store: Store, tmp_path: Path) -> None:
    store.client.put_object(
        Bucket=store.bucket, Key="rotten", Body=SMALL, Metadata={"sha256": sha256(b"healthy")}
    )
    with pytest.raises(DataError, match="damaged in the store"):
        store.get_file("rotten", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_cut_download_goes_on_at_the_byte_where_it_was_cut(store: Store, tmp_path: Path) -> None:
    store.put("a", BIG[: 4 << 20])
    asked: list[str] = []

    class Cut:
        def __init__(self, body: object, after: int) -> None:
            self._body, self._after = body, after

        def iter_chunks(self, size: int):  # noqa: ARG002
            yield self._body.read(self._after)  # type: ignore[attr-defined]
            raise ReadTimeoutError(endpoint_url="s3")

        def close(self) -> None:
            self._body.close()  # type: ignore[attr-defined]

    def get_object(**wanted: str) -> object:
        asked.append(wanted["Range"])
        answer = dict(store.client.get_object(**wanted))  # type: ignore[arg-type]
        if len(asked) < 3:
            answer["Body"] = Cut(answer["Body"], 1_000_000)
        return answer

    with_client(store, _Client(store, get_object=get_object)).get_file("a", tmp_path / "out")
    assert asked == [f"bytes={start}-{(4 << 20) - 1}" for start in (0, 1_000_000, 2_000_000)]
    assert (tmp_path / "out").read_bytes() == BIG[: 4 << 20]


def test_an_object_that_is_replaced_meanwhile_is_never_mixed(store: Store, tmp_path: Path) -> None:
    store.put("a", SMALL)

    def get_object(**wanted: str) -> object:
        store.put("a", os.urandom(len(SMALL)))
        return store.client.get_object(**wanted)  # type: ignore[arg-type]

    with pytest.raises(ServiceError, match="was replaced while it was read"):
        with_client(store, _Client(store, get_object=get_object)).get_file("a", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_a_file_is_the_operators(store: Store, tmp_path: Path) -> None:
    store.put("a", SMALL)
    (tmp_path / "taken").write_bytes(b"")
    with pytest.raises(ConfigError, match="cannot be used"):
        store.get_file("a", tmp_path / "taken" / "out")


class TestOnSeaweedFS:
    """Parts, ranges and checksums on a real server."""

    def test_a_big_file_goes_in_and_comes_out(self, weed: Store, tmp_path: Path) -> None:
        stored = weed.put_file("l1/big.jp2", on_disk(tmp_path, BIG))
        assert (stored.size, stored.sha256, stored.content_type) == (len(BIG), sha256(BIG), "image/jp2")
        weed.get_file("l1/big.jp2", tmp_path / "out", sha256=sha256(BIG))
        assert (tmp_path / "out").read_bytes() == BIG
        head = weed.head("l1/big.jp2")
        assert head == stored

    @pytest.mark.slow
    def test_memory_stays_bounded_by_the_parts_in_flight(self, weed: Store, tmp_path: Path) -> None:
        path = tmp_path / "huge"
        with path.open("wb") as file:
            for _ in range(24):
                file.write(random.Random(3).randbytes(4 << 20))
        tracemalloc.start()
        weed.put_file("huge", path)
        weed.get_file("huge", tmp_path / "out")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 3 * files.WORKERS * files.PART < path.stat().st_size

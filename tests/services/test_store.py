"""One bucket: documents, conditions, checksums, refusals."""

import hashlib
import json
import threading
import urllib.error
import urllib.request

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError, ReadTimeoutError

from undersky.errors import ConfigError, ServiceError
from undersky.refs import FileRef
from undersky.services.store import NotInStore, PreconditionFailed, Store, content_type_of
from undersky.services.store.failures import converted, patiently


def test_a_document_comes_back_as_it_was_put(store: Store) -> None:
    etag = store.put("a/b.json", b"{}", content_type="application/json")
    assert store.get("a/b.json") == store.find("a/b.json") == b"{}"
    document = store.read("a/b.json")
    assert document is not None
    assert document.stored.etag == etag
    assert document.stored.sha256 == hashlib.sha256(b"{}").hexdigest()
    assert document.stored.content_type == "application/json"
    assert document.stored.changed is not None


def test_what_is_not_there_is_an_answer_not_a_failure(store: Store) -> None:
    assert store.find("nothing") is None
    assert store.head("nothing") is None
    assert store.read("nothing") is None
    with pytest.raises(NotInStore, match="s3://undersky-tests/nothing is not there"):
        store.get("nothing")
    store.delete("nothing")


def test_references_are_put_as_json(store: Store) -> None:
    ref = FileRef(name="B02.jp2", href="s3://undersky-tests/l1/B02.jp2", size=3)
    store.put_json("ref.json", ref)
    assert FileRef.from_json(store.get("ref.json")) == ref
    head = store.head("ref.json")
    assert head is not None
    assert head.content_type == "application/json"


def test_a_second_put_if_absent_is_refused_and_changes_nothing(store: Store) -> None:
    store.put("item.json", b"first", if_absent=True)
    with pytest.raises(PreconditionFailed, match="another writer was first"):
        store.put("item.json", b"second", if_absent=True)
    assert store.get("item.json") == b"first"


def test_an_equal_put_if_absent_is_refused_too_the_caller_decides(store: Store) -> None:
    store.put("item.json", b"same", if_absent=True)
    with pytest.raises(PreconditionFailed):
        store.put("item.json", b"same", if_absent=True)


def test_if_match_takes_only_the_version_that_was_read(store: Store) -> None:
    first = store.put("item.json", b"1")
    second = store.put("item.json", b"2", if_match=first)
    with pytest.raises(PreconditionFailed):
        store.put("item.json", b"3", if_match=first)
    store.put("item.json", b"3", if_match=second)
    assert store.get("item.json") == b"3"


def test_if_match_on_a_deleted_object_is_refused(store: Store) -> None:
    etag = store.put("item.json", b"1")
    store.delete("item.json")
    with pytest.raises(PreconditionFailed):
        store.put("item.json", b"2", if_match=etag)
    assert store.find("item.json") is None


def test_a_put_whose_answer_was_lost_knows_its_own_object(store: Store) -> None:
    class LosesTheFirstAnswer:
        def __init__(self) -> None:
            self.calls = 0

        def __getattr__(self, name: str) -> object:
            return getattr(store.client, name)

        def put_object(self, **asked: object) -> object:
            self.calls += 1
            answer = store.client.put_object(**asked)  # type: ignore[arg-type]
            if self.calls == 1:
                raise ReadTimeoutError(endpoint_url="http://s3")
            return answer

    client = LosesTheFirstAnswer()
    forgetful = Store(store.url, store.bucket, client, tries=3, pause_s=0.001)  # type: ignore[arg-type]
    etag = forgetful.put("item.json", b"mine", if_absent=True)
    assert client.calls == 2
    head = store.head("item.json")
    assert head is not None
    assert head.etag == etag


def test_list_pages_through_every_object_in_order(store: Store) -> None:
    class TenAtATime:
        def __getattr__(self, name: str) -> object:
            return getattr(store.client, name)

        def list_objects_v2(self, **asked: object) -> object:
            return store.client.list_objects_v2(MaxKeys=10, **asked)  # type: ignore[arg-type]

    keys = [f"l1/{number:04d}" for number in range(25)]
    for key in reversed(keys):
        store.put(key, b"x")
    store.put("other/a", b"yy")
    paged = Store(store.url, store.bucket, TenAtATime())  # type: ignore[arg-type]
    assert [each.key for each in paged.list("l1/")] == keys
    assert [(each.key, each.size) for each in paged.list("other/")] == [("other/a", 2)]
    assert list(paged.list("none/")) == []


def test_addresses_and_keys_are_two_ways_to_say_the_same(store: Store) -> None:
    assert store.href("l1/a b.tif") == "s3://undersky-tests/l1/a b.tif"
    assert store.key("s3://undersky-tests/l1/a.tif") == "l1/a.tif"
    with pytest.raises(ConfigError, match="does not lie in s3://undersky-tests"):
        store.key("s3://undersky-tests-2/l1/a.tif")


@pytest.mark.parametrize("key", ["", "/a", "a//b", "../a", "a/..", "a/./b", "a/"])
def test_keys_that_servers_resolve_like_paths_are_refused(store: Store, key: str) -> None:
    with pytest.raises(ConfigError, match="is no key"):
        store.put(key, b"")


@pytest.mark.parametrize("url", ["s3:/x", "http://x", "s3://", "s3://bucket/folder", "bucket"])
def test_only_a_bucket_is_a_store(url: str) -> None:
    with pytest.raises(ConfigError, match="is no bucket"):
        Store.open(url)


@pytest.mark.parametrize("endpoint", ["127.0.0.1:8333", "ftp://x", "http://", "http://user:pw@host"])
def test_an_endpoint_that_is_no_address_is_refused_without_its_password(endpoint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Store.open("s3://bucket", endpoint=endpoint)
    assert "pw" not in str(caught.value)


def test_a_bucket_is_made_once(store: Store) -> None:
    store.make_bucket()
    store.check()


def test_a_bucket_that_does_not_exist_is_the_operators_to_make(store: Store) -> None:
    absent = Store.open("s3://undersky-absent")
    for ask in (absent.check, lambda: absent.put("a", b""), lambda: absent.get("a")):
        with pytest.raises(ConfigError, match="create it, or correct UNDERSKY_STORE"):
            ask()


def test_publishing_keeps_the_statements_of_others(store: Store) -> None:
    other = {
        "Sid": "Other",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:DeleteObject",
        "Resource": "arn:aws:s3:::undersky-tests/*",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [other]})
    store.client.put_bucket_policy(Bucket=store.bucket, Policy=policy)
    store.publish_prefixes(("products/", "stac/"))
    store.publish_prefixes(("products/",))
    kept = json.loads(store.client.get_bucket_policy(Bucket=store.bucket)["Policy"])["Statement"]
    assert [each["Sid"] for each in kept] == ["Other", "UnderskyPublished"]
    assert kept[1]["Resource"] == ["arn:aws:s3:::undersky-tests/products/*"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("B02.TIF", "image/tiff; application=geotiff; profile=cloud-optimized"),
        ("detections.geojson", "application/geo+json"),
        ("T32TQM_B02.jp2", "image/jp2"),
        ("items.parquet", "application/vnd.apache.parquet"),
        ("LICENSE", "application/octet-stream"),
    ],
)
def test_media_types_follow_names(name: str, kind: str) -> None:
    assert content_type_of(name) == kind


@pytest.mark.parametrize(
    ("code", "status", "kind", "cure"),
    [
        ("AccessDenied", 403, ConfigError, "grant it"),
        ("403", 403, ConfigError, "grant it"),
        ("SignatureDoesNotMatch", 403, ConfigError, "AWS_SECRET_ACCESS_KEY"),
        ("InvalidAccessKeyId", 403, ConfigError, "AWS_ACCESS_KEY_ID"),
        ("RequestTimeTooSkewed", 403, ConfigError, "clock"),
        ("PermanentRedirect", 301, ConfigError, "AWS_REGION"),
        ("EntityTooLarge", 400, ConfigError, "refuses"),
        ("ExpiredToken", 400, ServiceError, "ExpiredToken"),
        ("SlowDown", 503, ServiceError, "SlowDown"),
        ("InternalError", 500, ServiceError, "InternalError"),
        ("ConditionalRequestConflict", 409, ServiceError, "Conflict"),
        ("BadDigest", 400, ServiceError, "BadDigest"),
        ("NoSuchKey", 404, NotInStore, "not there"),
        ("PreconditionFailed", 412, PreconditionFailed, "first"),
    ],
)
def test_what_s3_answers_becomes_an_error_by_who_must_act(
    code: str, status: int, kind: type[Exception], cure: str
) -> None:
    answer = {"Error": {"Code": code, "Message": "m"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    with pytest.raises(kind, match=cure) as caught, converted("put", "s3://b/k"):
        raise ClientError(answer, "PutObject")  # type: ignore[arg-type]
    assert "s3://b/k" in str(caught.value)
    assert type(caught.value) is kind


def test_a_server_that_does_not_answer_is_a_service_error_and_missing_keys_a_setting() -> None:
    with pytest.raises(ServiceError, match="interrupted"), converted("put", "s3://b/k"):
        raise EndpointConnectionError(endpoint_url="http://127.0.0.1:1")
    with pytest.raises(ConfigError, match="AWS_ACCESS_KEY_ID"), converted("put", "s3://b/k"):
        raise NoCredentialsError


def test_patience_ends_and_never_waits_for_what_is_not_there() -> None:
    calls: list[int] = []

    def fails() -> None:
        calls.append(1)
        raise ServiceError("down")

    with pytest.raises(ServiceError):
        patiently(fails, tries=3, pause_s=0.0)
    assert len(calls) == 3

    def absent() -> None:
        calls.append(1)
        raise NotInStore("gone")

    with pytest.raises(NotInStore):
        patiently(absent, tries=3, pause_s=0.0)
    assert len(calls) == 4


def test_bytes_that_rot_in_the_store_are_never_handed_out(store: Store) -> None:
    store.client.put_object(
        Bucket=store.bucket,
        Key="rotten",
        Body=b"rotten",
        Metadata={"sha256": hashlib.sha256(b"x").hexdigest()},
    )
    with pytest.raises(ServiceError, match="do not have the sha256"):
        store.get("rotten")


def test_objects_of_others_without_our_checksum_are_read(store: Store) -> None:
    store.client.put_object(Bucket=store.bucket, Key="plain", Body=b"plain")
    document = store.read("plain")
    assert document is not None
    assert (document.data, document.stored.sha256) == (b"plain", None)


def test_a_race_in_memory_has_one_winner(store: Store) -> None:
    report = store.race(writers=8, rounds=2)
    assert report.holds
    assert report.winners == (1, 1)
    assert "exactly one won" in report.sentence
    assert list(store.list("doctor/")) == []


def test_a_server_whose_every_writer_wins_is_found_out(store: Store) -> None:
    gate = threading.Lock()

    class Unconditional:
        def __getattr__(self, name: str) -> object:
            return getattr(store.client, name)

        def put_object(self, **asked: object) -> object:
            asked.pop("IfNoneMatch", None)
            with gate:
                return store.client.put_object(**asked)  # type: ignore[arg-type]

    careless = Store(store.url, store.bucket, Unconditional())  # type: ignore[arg-type]
    report = careless.race(writers=4, rounds=2)
    assert not report.holds
    assert report.winners == (4, 4)
    assert "UNDERSKY_COMMIT=ledger" in report.sentence


class TestOnSeaweedFS:
    """The same promises on a real server, which moto only imitates."""

    def test_documents_conditions_and_refusals_hold(self, weed: Store) -> None:
        etag = weed.put("stac/item.json", b"1", if_absent=True)
        with pytest.raises(PreconditionFailed):
            weed.put("stac/item.json", b"2", if_absent=True)
        with pytest.raises(PreconditionFailed):
            weed.put("stac/item.json", b"2", if_match='"0123456789abcdef0123456789abcdef"')
        weed.put("stac/item.json", b"2", if_match=etag)
        assert weed.get("stac/item.json") == b"2"
        assert weed.find("stac/none.json") is None
        assert [each.key for each in weed.list("stac/")] == ["stac/item.json"]

    def test_anybody_reads_what_is_published_and_nothing_else(self, weed: Store) -> None:
        weed.put("products/a.txt", b"open")
        weed.put("l1/a.txt", b"closed")
        weed.publish_prefixes()
        address = f"{weed.client.meta.endpoint_url}/{weed.bucket}"
        with urllib.request.urlopen(f"{address}/products/a.txt", timeout=10) as answer:
            assert answer.read() == b"open"
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"{address}/l1/a.txt", timeout=10)
        caught.value.close()
        assert caught.value.code == 403

    def test_a_wrong_secret_is_the_operators_to_correct(
        self, weed: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "quite-wrong")
        stranger = Store.open(weed.url, endpoint=weed.client.meta.endpoint_url)
        with pytest.raises(ConfigError, match="AWS_SECRET_ACCESS_KEY") as caught:
            stranger.get("a")
        assert "quite-wrong" not in str(caught.value)

    def test_a_bucket_that_does_not_exist_is_found_by_check(self, weed: Store) -> None:
        absent = Store.open("s3://t-absent", endpoint=weed.client.meta.endpoint_url)
        with pytest.raises(ConfigError, match="create it"):
            absent.check()

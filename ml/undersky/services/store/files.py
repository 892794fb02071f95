"""Files of any size, in and out of the bucket: in parallel, in bounded memory, verified, all or nothing.

    put_file    one put up to PART bytes; above, parts of a multipart upload, WORKERS at a time
    get_file    ranges of PART bytes, WORKERS at a time, each resumed where it was cut; sha256; rename

A killed process leaves an unfinished upload (cleared by the next put of that key, a day later) or a hidden
`.partial` file in its scratch folder, never half an object and never half a file under the final name.
"""

import base64
import hashlib
import os
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from undersky.errors import DataError, Reason, ServiceError, UnderskyError
from undersky.services.store.failures import converted, disk_converted, patiently
from undersky.services.store.values import NotInStore, PreconditionFailed, Stored

if TYPE_CHECKING:
    from types_boto3_s3.type_defs import CompletedPartTypeDef

    from undersky.services.store.bucket import Store

T = TypeVar("T")

PART = 16 << 20
"""Bytes of one part."""
PARTS = 8
"""Parts in memory at once, over all files that one store puts: 128 MiB."""
MAX_PARTS = 10_000
"""S3's limit of one upload."""
WORKERS = 4
_CHUNK = 1 << 20
_FORGOTTEN = timedelta(days=1)
"""An unfinished upload of that age belongs to nobody any more."""


@dataclass(frozen=True, slots=True)
class Beside:
    """What is written beside the bytes of an object."""

    content_type: str
    notes: Mapping[str, str]
    """ASCII."""


def put_file(store: "Store", key: str, path: Path, *, beside: Beside, sha256: str | None = None) -> Stored:
    """The object holds the file's bytes; an equal one that is there (size, sha256, type) is left as it is.

    Args:
        store: The bucket.
        key: Where to.
        path: The file; it must not change meanwhile.
        beside: What is written beside it.
        sha256: Hex digest that the file must have.

    Raises:
        DataError: The file does not have that digest.
        ServiceError: It changed while it was read, or the store failed.
        ConfigError: It cannot be read, or the store refuses.
    """
    with disk_converted(path):
        before = path.stat()
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    if sha256 not in {None, digest}:
        raise DataError(
            Reason.CHECKSUM_MISMATCH, f"{path.name} has sha256 {digest}, expected {sha256}: make it again"
        )
    found = store.metadata(key)
    if found and _is_equal(found, before.st_size, digest, beside):
        return found[0]
    if before.st_size <= PART:
        _put_whole(store, key, path, beside=beside, digest=digest)
    else:
        _put_parts(store, key, path, beside=beside, size_and_digest=(before.st_size, digest))
    after = path.stat()
    if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        store.delete(key)
        raise ServiceError(f"{path} changed while it was put to {store.href(key)}: nothing is left there")
    stored = store.head(key)
    if stored is None or (stored.size, stored.sha256) != (before.st_size, digest):
        raise ServiceError(f"{store.href(key)} was put and is not there as it was put: another writer?")
    return stored


def _is_equal(found: tuple[Stored, dict[str, str]], size: int, digest: str, beside: Beside) -> bool:
    """Whether the object is what would be put."""
    stored, notes = found
    same = (stored.size, stored.sha256, stored.content_type) == (size, digest, beside.content_type)
    return same and notes == {**notes, **beside.notes}


def _put_whole(store: "Store", key: str, path: Path, *, beside: Beside, digest: str) -> None:
    """The object holds the file, unless that changed since it was hashed."""
    with store.parts:
        with disk_converted(path):
            data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() == digest:
            store.put(key, data, content_type=beside.content_type, notes=beside.notes)


def _put_parts(
    store: "Store", key: str, path: Path, *, beside: Beside, size_and_digest: tuple[int, str]
) -> None:
    """The object holds the file, sent as a multipart upload that is abandoned when it fails."""
    size, digest = size_and_digest
    _clear_forgotten(store, key)
    mark = uuid.uuid4().hex
    href = store.href(key)

    def begin() -> str:
        with converted("begin to put", href):
            return store.client.create_multipart_upload(
                Bucket=store.bucket,
                Key=key,
                ContentType=beside.content_type,
                ChecksumAlgorithm="SHA256",
                Metadata={**beside.notes, "sha256": digest, "mark": mark},
            )["UploadId"]

    upload = _patiently(store, begin)
    step = max(PART, ceil(size / MAX_PARTS))
    try:
        with path.open("rb") as file:
            descriptor = file.fileno()

            def send(number: int) -> "CompletedPartTypeDef":
                with store.parts:
                    return _send_part(store, key, upload, number=number, data=(descriptor, step))

            parts = in_parallel(send, range(1, ceil(size / step) + 1))

        def finish() -> None:
            with converted("finish to put", href):
                store.client.complete_multipart_upload(
                    Bucket=store.bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}
                )

        _finished(store, key, finish, mark=mark)
    except BaseException:
        with suppress(Exception):
            store.client.abort_multipart_upload(Bucket=store.bucket, Key=key, UploadId=upload)
        raise


def _send_part(
    store: "Store", key: str, upload: str, *, number: int, data: tuple[int, int]
) -> "CompletedPartTypeDef":
    """One part lies at the server, its sha256 verified there."""
    descriptor, step = data
    body = os.pread(descriptor, step, (number - 1) * step)
    checksum = base64.b64encode(hashlib.sha256(body).digest()).decode()

    def send() -> "CompletedPartTypeDef":
        with converted(f"put part {number} of", store.href(key)):
            answer = store.client.upload_part(
                Bucket=store.bucket,
                Key=key,
                UploadId=upload,
                PartNumber=number,
                Body=body,
                ChecksumSHA256=checksum,
            )
        return {"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": checksum}

    return _patiently(store, send)


def _finished(store: "Store", key: str, finish: Callable[[], None], *, mark: str) -> None:
    """The upload is complete, also when the answer that said so was lost and asking again finds no upload."""
    try:
        _patiently(store, finish)
    except ServiceError:
        found = store.metadata(key)
        if not found or found[1].get("mark") != mark:
            raise


def _clear_forgotten(store: "Store", key: str) -> None:
    """No unfinished upload of this very key is older than a day: a killed process paid for it until now."""
    now = datetime.now(UTC)
    with suppress(UnderskyError), converted("look for unfinished uploads of", store.href(key)):
        answer = store.client.list_multipart_uploads(Bucket=store.bucket, Prefix=key)
        for upload in answer.get("Uploads", []):
            if upload["Key"] == key and now - upload["Initiated"] > _FORGOTTEN:
                store.client.abort_multipart_upload(Bucket=store.bucket, Key=key, UploadId=upload["UploadId"])


def get_file(
    store: "Store", key: str, path: Path, *, size: int | None = None, sha256: str | None = None
) -> None:
    """The file holds the object, whole and verified; on any failure what was at `path` is untouched.

    Args:
        store: The bucket.
        key: Where from.
        path: Where to; its folder is made.
        size: Bytes that the object must have.
        sha256: Hex digest that it must have; the one it was stored with when None.

    Raises:
        NotInStore: There is no such object.
        DataError: The stored object has another size or digest than it should.
        ServiceError: The store failed, or the disk is full.
    """
    for last in (False, True):
        stored = store.head(key)
        if stored is None:
            raise NotInStore(f"{store.href(key)} is not there")
        if size not in {None, stored.size}:
            raise DataError(
                Reason.SIZE_MISMATCH, f"{store.href(key)} has {stored.size} bytes, expected {size}"
            )
        with disk_converted(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.partial-{os.getpid()}-{threading.get_ident()}")
        try:
            found = _get_ranges(store, stored, partial)
            expected = sha256 or stored.sha256
            if expected in {None, found}:
                with disk_converted(path):
                    partial.replace(path)
                return
        finally:
            partial.unlink(missing_ok=True)
        if last:
            raise DataError(
                Reason.CHECKSUM_MISMATCH,
                f"{store.href(key)} arrived twice with sha256 {found}, expected {expected}: it is damaged "
                "in the store, put it again",
            )


def _get_ranges(store: "Store", stored: Stored, partial: Path) -> str:
    """The partial file holds the object; the sha256 of what arrived."""
    with disk_converted(partial), partial.open("w+b") as file:
        if stored.size:
            os.posix_fallocate(file.fileno(), 0, stored.size)
        descriptor = file.fileno()

        def fetch(start: int) -> None:
            _get_range(store, stored, descriptor, (start, min(start + PART, stored.size)))

        in_parallel(fetch, range(0, stored.size, PART))
        file.seek(0)
        return hashlib.file_digest(file, "sha256").hexdigest()


def _get_range(store: "Store", stored: Stored, descriptor: int, span: tuple[int, int]) -> None:
    """One range lies in the file; a cut connection goes on where it was cut."""
    at, end = span
    href = store.href(stored.key)

    def resume() -> None:
        nonlocal at
        with converted("read", href):
            answer = store.client.get_object(
                Bucket=store.bucket, Key=stored.key, IfMatch=stored.etag, Range=f"bytes={at}-{end - 1}"
            )
            with closing(answer["Body"]) as body:
                for chunk in body.iter_chunks(_CHUNK):
                    if at + len(chunk) > end:
                        raise ServiceError(f"{href}: more bytes than were asked for")
                    at += os.pwrite(descriptor, chunk, at)
        if at < end:
            raise ServiceError(f"{href}: cut at byte {at} of {stored.size}")

    try:
        _patiently(store, resume)
    except PreconditionFailed as error:
        raise ServiceError(f"{href} was replaced while it was read: read it again") from error


def in_parallel(work: Callable[[int], T], items: Iterable[int]) -> list[T]:
    """The results in order, WORKERS at a time; the first error ends the rest and is raised."""
    with ThreadPoolExecutor(WORKERS) as pool:
        futures: list[Future[T]] = [pool.submit(work, item) for item in items]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        failed = [each for each in futures if not each.cancelled() and each.exception()]
        return [each.result() for each in failed or futures]


def _patiently(store: "Store", work: Callable[[], T]) -> T:
    return patiently(work, tries=store.tries, pause_s=store.pause_s)

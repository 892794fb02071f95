"""One bucket: documents read and put whole, conditionally where a race must have one winner."""

import base64
import hashlib
import json
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypedDict, TypeVar
from urllib.parse import urlsplit

from pydantic import ValidationError

from undersky.errors import ConfigError, ServiceError
from undersky.refs import Reference
from undersky.services.store import files, race
from undersky.services.store.client import make_client
from undersky.services.store.failures import converted, patiently
from undersky.services.store.policies import PUBLISHED, public_policy, with_public
from undersky.services.store.values import Document, NotInStore, PreconditionFailed, Stored, content_type_of

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

R = TypeVar("R", bound=Reference)


class _Condition(TypedDict, total=False):
    IfNoneMatch: str
    IfMatch: str


@dataclass(frozen=True, slots=True)
class Store:
    """A bucket and the way to it; safe to share between threads."""

    url: str
    """`s3://bucket`."""
    bucket: str
    client: "S3Client"
    tries: int = 4
    """How often an operation is tried, each with botocore's own tries within."""
    pause_s: float = 0.2
    """First pause between tries; the next ones double, to 20 s."""
    parts: threading.BoundedSemaphore = field(
        default_factory=lambda: threading.BoundedSemaphore(files.PARTS), repr=False, compare=False
    )
    """Parts of files in memory at once, over all files on their way."""

    @classmethod
    def open(cls, url: str, *, endpoint: str | None = None) -> Self:
        """The bucket behind `s3://bucket`; nothing is asked of the server yet.

        Args:
            url: `s3://bucket`, without a path.
            endpoint: Address of a server that is not AWS, `http://127.0.0.1:8333`.

        Raises:
            ConfigError: Not such a URL, or no client can be made.
        """
        parts = urlsplit(url.rstrip("/"))
        if parts.scheme != "s3" or not parts.netloc or parts.path:
            raise ConfigError(f"UNDERSKY_STORE={url} is no bucket: give s3://name without a path")
        return cls(f"s3://{parts.netloc}", parts.netloc, make_client(endpoint=endpoint))

    def href(self, key: str) -> str:
        """The address of an object, `s3://bucket/key`."""
        return f"{self.url}/{_checked(key)}"

    def key(self, href: str) -> str:
        """The key of an address in this bucket.

        Raises:
            ConfigError: It lies in another bucket.
        """
        if not href.startswith(f"{self.url}/"):
            raise ConfigError(f"{href} does not lie in {self.url}: UNDERSKY_STORE names another bucket")
        return _checked(href.removeprefix(f"{self.url}/"))

    def read(self, key: str) -> Document | None:
        """The whole object with its etag, its checksum verified; None where there is none.

        Raises:
            ServiceError, ConfigError: See `failures`.
        """
        try:
            return patiently(lambda: self._read(key), tries=self.tries, pause_s=self.pause_s)
        except NotInStore:
            return None

    def _read(self, key: str) -> Document:
        href = self.href(key)
        with converted("read", href):
            answer = self.client.get_object(Bucket=self.bucket, Key=key)
            with closing(answer["Body"]) as body:
                data = body.read()
            stored = Stored(
                key,
                answer["ContentLength"],
                answer["ETag"],
                answer["Metadata"].get("sha256"),
                answer["ContentType"],
                answer["LastModified"],
            )
        if len(data) != stored.size:
            raise ServiceError(f"{href}: {len(data)} of {stored.size} bytes arrived; the connection was cut")
        if stored.sha256 not in {None, hashlib.sha256(data).hexdigest()}:
            raise ServiceError(f"{href}: the bytes that arrived do not have the sha256 they were stored with")
        return Document(data, stored)

    def find(self, key: str) -> bytes | None:
        """The bytes of an object, None where there is none."""
        document = self.read(key)
        return document.data if document else None

    def get(self, key: str) -> bytes:
        """The bytes of an object.

        Raises:
            NotInStore: There is none.
        """
        data = self.find(key)
        if data is None:
            raise NotInStore(f"{self.href(key)} is not there")
        return data

    def head(self, key: str) -> Stored | None:
        """What the store knows of an object, None where there is none."""
        found = self.metadata(key)
        return found[0] if found else None

    def metadata(self, key: str) -> tuple[Stored, dict[str, str]] | None:
        """An object's description with everything that was written beside it; None where there is none."""

        def ask() -> tuple[Stored, dict[str, str]]:
            with converted("look at", self.href(key)):
                answer = self.client.head_object(Bucket=self.bucket, Key=key)
            notes = answer["Metadata"]
            size, etag, kind = answer["ContentLength"], answer["ETag"], answer["ContentType"]
            return Stored(key, size, etag, notes.get("sha256"), kind, answer["LastModified"]), notes

        try:
            return patiently(ask, tries=self.tries, pause_s=self.pause_s)
        except NotInStore:
            return None

    def list(self, prefix: str) -> Iterator[Stored]:
        """Every object whose key starts so, in the order of keys; without sha256 and content type."""
        more: str | None = ""
        while more is not None:
            page, more = self._page(prefix, more)
            yield from page

    def _page(self, prefix: str, more: str) -> tuple[tuple[Stored, ...], str | None]:
        def ask() -> tuple[tuple[Stored, ...], str | None]:
            with converted("list", f"{self.url}/{prefix}"):
                if more:
                    answer = self.client.list_objects_v2(
                        Bucket=self.bucket, Prefix=prefix, ContinuationToken=more
                    )
                else:
                    answer = self.client.list_objects_v2(Bucket=self.bucket, Prefix=prefix)
            found = tuple(
                Stored(each["Key"], each["Size"], each["ETag"], changed=each["LastModified"])
                for each in answer.get("Contents", [])
            )
            return found, answer.get("NextContinuationToken") if answer["IsTruncated"] else None

        return patiently(ask, tries=self.tries, pause_s=self.pause_s)

    def put(
        self,
        key: str,
        data: bytes,
        *,
        content_type: str | None = None,
        notes: Mapping[str, str] | None = None,
        if_absent: bool = False,
        if_match: str | None = None,
    ) -> str:
        """The object holds the data; its etag.

        Args:
            key: Where.
            data: The whole object.
            content_type: Media type; by the name of the key when None.
            notes: Written beside the object, ASCII; `metadata` reads them.
            if_absent: Only where there is no object: of many racing writers exactly one succeeds.
            if_match: Only where the object still has this etag.

        Raises:
            PreconditionFailed: The condition did not hold. A put that was carried out although its answer was
                lost does not fail so: the object carries a mark by which its own writer knows it.
            ServiceError, ConfigError: See `failures`.
        """
        mark = uuid.uuid4().hex
        condition: _Condition = {}
        if if_absent:
            condition["IfNoneMatch"] = "*"
        if if_match is not None:
            condition["IfMatch"] = if_match

        def send() -> str:
            with converted("put", self.href(key)):
                answer = self.client.put_object(
                    Bucket=self.bucket,
                    Key=key,
                    Body=data,
                    ContentType=content_type or content_type_of(key),
                    ChecksumSHA256=checksum_of(data),
                    Metadata={**(notes or {}), "sha256": hashlib.sha256(data).hexdigest(), "mark": mark},
                    **condition,
                )
                return answer["ETag"]

        try:
            return patiently(send, tries=self.tries, pause_s=self.pause_s)
        except NotInStore as error:
            # S3 answers an If-Match on an absent object with 404.
            raise PreconditionFailed(f"{self.href(key)}: put refused: the object is gone") from error
        except PreconditionFailed:
            found = self.metadata(key)
            if found and found[1].get("mark") == mark:
                return found[0].etag
            raise

    def put_json(self, key: str, value: Reference) -> str:
        """The object holds the value as JSON; its etag."""
        return self.put(key, value.to_json().encode(), content_type="application/json")

    def get_json(self, key: str, kind: type[R]) -> R:
        """The document of that kind that lies there.

        Raises:
            ConfigError: There is none, or it is of another kind or version.
            ServiceError: See `failures`.
        """
        text = self.find(key)
        if text is None:
            raise ConfigError(f"{self.href(key)} is not there: did what comes before it end well?")
        try:
            return kind.from_json(text)
        except ValidationError as error:
            raise ConfigError(
                f"{self.href(key)} is no {kind.__name__} ({error.errors()[0]['msg']}); was it written by "
                "another version of Undersky?"
            ) from error

    def put_file(
        self,
        key: str,
        path: Path,
        *,
        content_type: str | None = None,
        sha256: str | None = None,
        notes: Mapping[str, str] | None = None,
    ) -> Stored:
        """The object holds the file, whatever its size; see `files.put_file`."""
        return files.put_file(
            self,
            key,
            path,
            sha256=sha256,
            beside=files.Beside(content_type or content_type_of(key), notes or {}),
        )

    def get_file(self, key: str, path: Path, *, size: int | None = None, sha256: str | None = None) -> None:
        """The file holds the object, whole and verified, or is not there; see `files.get_file`."""
        files.get_file(self, key, path, size=size, sha256=sha256)

    def delete(self, key: str) -> None:
        """There is no object of that key."""

        def ask() -> None:
            with converted("delete", self.href(key)):
                self.client.delete_object(Bucket=self.bucket, Key=key)

        patiently(ask, tries=self.tries, pause_s=self.pause_s)

    def check(self) -> None:
        """The bucket is there and may be listed.

        Raises:
            ConfigError: It is not, or the credentials do not allow it.
            ServiceError: The server does not answer.
        """
        next(self.list("a-key-that-nobody-has/"), None)

    def make_bucket(self) -> None:
        """The bucket exists; one that is ours already is left as it is.

        Raises:
            ConfigError: Its name is taken by somebody else, or buckets may not be made.
        """
        with converted("make the bucket", self.url):
            region = self.client.meta.region_name
            try:
                if region in {"us-east-1", "aws-global"}:
                    self.client.create_bucket(Bucket=self.bucket)
                else:
                    self.client.create_bucket(
                        Bucket=self.bucket,
                        CreateBucketConfiguration={"LocationConstraint": region},  # type: ignore[typeddict-item]  # the stubs list regions
                    )
            except self.client.exceptions.BucketAlreadyOwnedByYou:
                return
            except self.client.exceptions.BucketAlreadyExists as error:
                raise ConfigError(
                    f"{self.url}: somebody else has a bucket of that name: choose another in UNDERSKY_STORE"
                ) from error

    def publish_prefixes(self, prefixes: Sequence[str] = PUBLISHED) -> None:
        """Anybody may read what lies under the prefixes; other statements of the bucket's policy stay.

        Raises:
            ConfigError: The policy may not be set: on AWS, Block Public Access forbids it.
        """
        with converted("read the policy", self.url):
            try:
                policy = json.loads(self.client.get_bucket_policy(Bucket=self.bucket)["Policy"])
            except self.client.exceptions.ClientError as error:
                if error.response.get("Error", {}).get("Code") != "NoSuchBucketPolicy":
                    raise
                policy = public_policy(self.bucket, ())
        wanted = json.dumps(with_public(policy, self.bucket, prefixes))
        with converted("allow anonymous reading (on AWS, lift Block Public Access)", self.url):
            self.client.put_bucket_policy(Bucket=self.bucket, Policy=wanted)

    def race(self, writers: int = 16, rounds: int = 3) -> "race.RaceReport":
        """Whether conditional puts hold on this server; see `race.race`."""
        return race.race(self, writers=writers, rounds=rounds)

    def patient(self, *, tries: int, pause_s: float) -> "Store":
        """The same bucket with another patience."""
        return replace(self, tries=tries, pause_s=pause_s)


def checksum_of(data: bytes) -> str:
    """sha256 as S3 writes it, base64."""
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def _checked(key: str) -> str:
    """The key, if every server keeps it as it is.

    Raises:
        ConfigError: It is empty or absolute, or has parts that some servers resolve like a path.
    """
    if not key or any(part in {"", ".", ".."} for part in key.split("/")):
        raise ConfigError(f"{key!r} is no key: parts between slashes must be names")
    return key

"""An archive's bucket: objects read from any byte on, under their etag, paid for where the archive asks."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self, TypedDict

from undersky.services.store.client import make_client
from undersky.services.store.failures import converted

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

_CHUNK = 1 << 18


class _Ask(TypedDict, total=False):
    Range: str
    IfMatch: str
    RequestPayer: Literal["requester"]


@dataclass(frozen=True, slots=True)
class Flow:
    """The bytes of an object from an offset on."""

    size: int
    """Bytes of the whole object."""
    etag: str
    chunks: Iterator[bytes]


@dataclass(frozen=True, slots=True)
class UpstreamBucket:
    """Any bucket of one archive."""

    client: "S3Client"
    requester_pays: bool = False

    @classmethod
    def open(
        cls,
        *,
        endpoint: str | None = None,
        region: str | None = None,
        requester_pays: bool = False,
        login: tuple[str, str] | None = None,
    ) -> Self:
        """The archive at that endpoint (AWS when None).

        Args:
            endpoint: Address of a server that is not AWS.
            region: AWS region of the bucket.
            requester_pays: Every request says that we pay.
            login: Access key and secret key; boto3's own chain when None.

        Raises:
            ConfigError: No client can be made.
        """
        return cls(make_client(endpoint=endpoint, region=region, login=login), requester_pays)

    @contextmanager
    def flow(self, href: str, *, offset: int, etag: str | None) -> Iterator[Flow]:
        """The object's bytes from the offset on.

        Args:
            href: `s3://bucket/key`.
            offset: First byte wanted.
            etag: The object must still have it; any when None.

        Raises:
            NotInStore: There is no such object.
            PreconditionFailed: The object has changed.
            ServiceError, ConfigError: See `failures`.
        """
        bucket, _, key = href.removeprefix("s3://").partition("/")
        ask: _Ask = {"RequestPayer": "requester"} if self.requester_pays else {}
        if offset:
            ask["Range"] = f"bytes={offset}-"
        if etag:
            ask["IfMatch"] = etag
        with converted("read", href):
            answer = self.client.get_object(Bucket=bucket, Key=key, **ask)
            whole = answer["ContentLength"]
            if offset:
                whole = int(answer["ContentRange"].rpartition("/")[2])
            with closing(answer["Body"]) as body:
                yield Flow(whole, answer["ETag"], body.iter_chunks(_CHUNK))

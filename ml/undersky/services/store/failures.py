"""boto's errors, sorted by who must act, and the patience to try again.

    NoSuchKey, 404 ................................ NotInStore
    412 ........................................... PreconditionFailed
    no bucket, denied, wrong keys, wrong region ... ConfigError
    5xx, throttling, 409, cut, damaged, slow ...... ServiceError

botocore tries every request again by itself; what is here goes on where it gives up.
"""

import errno
import logging
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from botocore import exceptions as boto
from urllib3.exceptions import HTTPError as Urllib3Error

from undersky.errors import ConfigError, ServiceError, UnderskyError
from undersky.services.store.values import NotInStore, PreconditionFailed

T = TypeVar("T")
_log = logging.getLogger(__name__)

_ABSENT = {"NoSuchKey", "404", "NotFound", "NoSuchVersion"}
_PASSES = {
    *("BadDigest", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch", "InvalidDigest"),
    *("IncompleteBody", "RequestTimeout", "SlowDown", "Throttling", "ThrottlingException", "TooManyRequests"),
    *("ConditionalRequestConflict", "OperationAborted", "InvalidRange", "NoSuchUpload", "InvalidPart"),
    *("ExpiredToken", "RequestExpired"),
}
_CURES = {
    "NoSuchBucket": "the bucket does not exist: create it, or correct UNDERSKY_STORE",
    "InvalidBucketName": "no bucket can have that name: correct UNDERSKY_STORE",
    "PermanentRedirect": "the bucket lies in another region: set AWS_REGION",
    "301": "the bucket lies in another region: set AWS_REGION",
    "AuthorizationHeaderMalformed": "the bucket lies in another region: set AWS_REGION",
    "RequestTimeTooSkewed": "the clocks differ by more than 15 minutes: set this machine's clock",
    "InvalidAccessKeyId": "the access key is unknown there: correct AWS_ACCESS_KEY_ID or the profile",
    "SignatureDoesNotMatch": "the secret key is wrong: correct AWS_SECRET_ACCESS_KEY or the profile",
}
_DENIED = "the credentials do not allow it: grant it in the bucket's or the user's policy"
_NO_CREDENTIALS = "no credentials: give AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile or a role"
_OPERATOR = (
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.ProfileNotFound,
    boto.ParamValidationError,
    boto.NoRegionError,
    boto.InvalidRegionError,
    boto.UnauthorizedSSOTokenError,
    boto.TokenRetrievalError,
)


@contextmanager
def converted(action: str, where: str) -> Iterator[None]:
    """Whatever boto raises inside leaves as an error of this project that names the object.

    Args:
        action: What was tried, `put`, `read`.
        where: The object or bucket, `s3://bucket/key`.

    Raises:
        NotInStore: There is no such object.
        PreconditionFailed: A conditional request was refused.
        ConfigError: The operator must act.
        ServiceError: The same call may succeed later.
    """
    try:
        yield
    except boto.ClientError as error:
        raise _from_answer(error, action, where) from error
    except _OPERATOR as error:
        missing = isinstance(error, boto.NoCredentialsError | boto.PartialCredentialsError)
        raise ConfigError(f"{where}: cannot {action}: {_NO_CREDENTIALS if missing else error}") from error
    except (boto.BotoCoreError, boto.HTTPClientError, Urllib3Error, ConnectionError, TimeoutError) as error:
        raise ServiceError(
            f"{where}: {action} was interrupted ({type(error).__name__}); the server or the network failed"
        ) from error


def _from_answer(error: boto.ClientError, action: str, where: str) -> UnderskyError:
    """The typed error for what the server answered."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    said = str(error.response.get("Error", {}).get("Message", "")) or code
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in _CURES:
        return ConfigError(f"{where}: cannot {action}: {_CURES[code]}")
    if code in _PASSES or status >= 500 or status in {408, 409, 429}:
        return ServiceError(f"{where}: {action} failed: {code}, {said}")
    if code in _ABSENT or status == 404:
        return NotInStore(f"{where} is not there")
    if status == 412 or code == "PreconditionFailed":
        return PreconditionFailed(f"{where}: {action} refused: another writer was first")
    if status in {401, 403}:
        return ConfigError(f"{where}: cannot {action}: {_DENIED} ({code})")
    return ConfigError(f"{where}: the server refuses to {action}: {code}, {said}")


@contextmanager
def disk_converted(path: object) -> Iterator[None]:
    """A disk that is full or refuses leaves as an error of this project.

    Raises:
        ServiceError: The disk is full; it may have room later.
        ConfigError: The folder cannot be written or the file cannot be read.
    """
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EIO}:
            raise ServiceError(f"{path}: {error.strerror}; free space on that disk") from error
        raise ConfigError(f"{path} cannot be used: {error.strerror}") from error


def patiently(work: Callable[[], T], *, tries: int, pause_s: float) -> T:
    """The result of `work`, tried again after a ServiceError with growing, jittered pauses.

    A missing object is an answer, not a failure: `NotInStore` is raised at once.

    Raises:
        ServiceError: The last try failed too.
    """
    for number in range(1, tries):
        try:
            return work()
        except NotInStore:
            raise
        except ServiceError as error:
            _log.info("try %d of %d failed, trying again: %s", number, tries, error)
            time.sleep(random.uniform(0.5, 1.0) * min(pause_s * 2**number, 20.0))  # noqa: S311  jitter
    return work()

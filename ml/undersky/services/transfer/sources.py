"""Bytes of an upstream file from an offset on, over https or s3, and only from where the profile allows.

    href -> check -> resolve -> request -> redirect? check again -> status -> Flow(size, validator, chunks)

A redirect is followed by hand, so that every hop passes the same checks; a name that resolves into a private
network is refused before the request and, since a name may resolve differently a moment later, again by the
address that was really connected to. Proxies and certificates of the environment are not used: a proxy would
resolve names where nothing here can look.
"""

import re
import socket
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx

from undersky.errors import ConfigError, DataError, Reason, ServiceError
from undersky.services.access import Access, HrefRefused, SignIn
from undersky.services.store import NotInStore, PreconditionFailed, UpstreamBucket

if TYPE_CHECKING:
    from undersky.services.doors import Door

_HOPS = 5
_TIMEOUT = httpx.Timeout(60.0, connect=15.0)
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_REDIRECTS = {301, 302, 303, 307, 308}
_LONGEST_WAIT_S = 600.0


class Busy(ServiceError):  # noqa: N818  what the server said
    """The server asks for patience."""

    def __init__(self, message: str, wait_s: float) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class Changed(Exception):  # noqa: N818  caught where the file is begun anew, never by a caller
    """The file is no longer the one of which a part is here."""


@dataclass(frozen=True, slots=True)
class Flow:
    """An answer, its body not yet read."""

    start: int
    """Offset of the first byte: the one asked for, or 0 where the server sends all again."""
    size: int | None
    """Bytes of the whole file, where the server says so."""
    validator: str | None
    """Strong ETag, or Last-Modified: what a later request must find unchanged."""
    chunks: Iterator[bytes]


class Sources:
    """The files of one provider; threads share it."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._door: Door = access.door()
        self._client = httpx.Client(
            follow_redirects=False,
            trust_env=False,
            timeout=_TIMEOUT,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=access.transfers),
            headers={"Accept-Encoding": "identity", "User-Agent": "undersky"},
        )
        self._close = weakref.finalize(self, self._client.close)  # also where nobody closes it
        self._bucket = self._open_bucket() if "s3" in access.rules.schemes else None

    def close(self) -> None:
        """No connection is left open."""
        self._close()

    def check(self, href: str) -> None:
        """The profile allows the address.

        Raises:
            DataError: SOURCE_REFUSED.
        """
        try:
            self._access.check(href)
        except HrefRefused as error:
            raise DataError(Reason.SOURCE_REFUSED, f"profile {self._access.profile}: {error}") from error

    @contextmanager
    def flow(self, href: str, *, offset: int, validator: str | None) -> Iterator[Flow]:
        """The file's bytes, from the offset on where the file is still the one with that validator.

        Raises:
            DataError: SOURCE_REFUSED by the profile's rules, or SOURCE_GONE.
            Changed: The file is another one than before.
            ConfigError: The provider wants other credentials.
            ServiceError: It failed, or the connection was cut, also while the body is read.
        """
        try:
            self._access.check(href)
            opened = self._over_s3 if href.startswith("s3:") else self._over_http
            with opened(href, offset, validator) as flow:
                yield flow
        except HrefRefused as error:
            raise DataError(Reason.SOURCE_REFUSED, f"profile {self._access.profile}: {error}") from error

    def _open_bucket(self) -> UpstreamBucket:
        s3, who = self._access.s3, self._access.credential
        keys = (who.user, who.secret) if who and self._access.authentication.kind is SignIn.S3_KEYS else None
        return UpstreamBucket.open(
            endpoint=s3.endpoint, region=s3.region, requester_pays=s3.requester_pays, login=keys
        )

    @contextmanager
    def _over_s3(self, href: str, offset: int, validator: str | None) -> Iterator[Flow]:
        if self._bucket is None:
            raise HrefRefused(f"{shown(href)} is no address of this profile")
        try:
            with self._bucket.flow(href, offset=offset, etag=validator) as found:
                yield Flow(offset, found.size, found.etag, found.chunks)
        except NotInStore as error:
            raise _gone(href) from error
        except PreconditionFailed as error:
            raise Changed from error
        except ConfigError as error:
            raise ConfigError(f"profile {self._access.profile}, upstream: {error}") from error

    @contextmanager
    def _over_http(self, href: str, offset: int, validator: str | None) -> Iterator[Flow]:
        ask = {"Range": f"bytes={offset}-"} if offset else {}
        if offset and validator:
            ask["If-Range"] = validator
        try:
            with self._answer(href, ask) as answer:
                yield self._flow(href, answer, offset)
        except httpx.HTTPError as error:
            raise ServiceError(f"{shown(href)}: the connection was cut ({type(error).__name__})") from error

    @contextmanager
    def _answer(self, href: str, ask: Mapping[str, str]) -> Iterator[httpx.Response]:
        """The last answer of a chain of redirects, every hop checked; a stale login is renewed once."""
        url, renewed = href, False
        for _ in range(_HOPS + 2):
            answer = self._send(url, ask)
            try:
                if answer.status_code == httpx.codes.UNAUTHORIZED and not renewed:
                    self._door.refused()
                    url, renewed = href, True
                elif answer.status_code in _REDIRECTS:
                    target = self._target(url, answer)
                    if target is None:  # to the login page
                        if renewed:
                            raise self._denied(href, answer.status_code)
                        self._door.refused()
                        url, renewed = href, True
                    else:
                        url = target
                else:
                    yield answer
                    return
            finally:
                answer.close()
        raise DataError(Reason.SOURCE_REFUSED, f"{shown(href)} redirects more than {_HOPS} times")

    def _send(self, url: str, ask: Mapping[str, str]) -> httpx.Response:
        self._check_addresses(url)
        headers = {**self._door.headers(url), **ask}
        answer = self._client.send(self._client.build_request("GET", url, headers=headers), stream=True)
        try:
            peer = answer.extensions["network_stream"].get_extra_info("server_addr")
            self._check_address(url, str(peer[0]))
        except HrefRefused:
            answer.close()
            raise
        except OSError as error:  # who hung up has no address any more
            answer.close()
            raise ServiceError(f"{shown(url)}: the connection was cut ({error.strerror})") from error
        return answer

    def _target(self, url: str, answer: httpx.Response) -> str | None:
        """Where the redirect leads; None where that is the profile's login page."""
        location = answer.headers.get("location", "")
        try:
            return self._access.redirect(url, location)
        except HrefRefused:
            login = urlsplit(self._access.authentication.url or "").hostname
            if login and login == urlsplit(location).hostname:
                return None
            raise

    def _flow(self, href: str, answer: httpx.Response, offset: int) -> Flow:
        """What a 200 or 206 brings.

        Raises:
            Changed: A range was asked for that the file no longer has.
        """
        self._check_status(href, answer)
        encoding = answer.headers.get("content-encoding", "identity")
        if encoding != "identity":
            raise ServiceError(f"{shown(href)} arrives as {encoding}, though it was asked for as it is")
        page = answer.headers.get("content-type", "").startswith("text/html")
        if page and not urlsplit(href).path.endswith((".html", ".htm")):
            raise ServiceError(
                f"{shown(href)}: a web page arrives instead of the file; maintenance, or a login?"
            )
        length = answer.headers.get("content-length", "")
        size, start = int(length) if length.isdigit() else None, 0
        if answer.status_code == httpx.codes.PARTIAL_CONTENT:
            found = _RANGE.fullmatch(answer.headers.get("content-range", ""))
            if not found or int(found[1]) != offset:
                raise Changed
            size, start = (None if found[3] == "*" else int(found[3])), offset
        etag = answer.headers.get("etag", "")
        strong = etag if etag and not etag.startswith("W/") else answer.headers.get("last-modified")
        return Flow(start, size, strong, answer.iter_raw())

    def _check_status(self, href: str, answer: httpx.Response) -> None:
        status = answer.status_code
        if status in {200, 206}:
            return
        if status == 416:
            raise Changed
        if status in {404, 410}:
            raise _gone(href)
        if status in {401, 403}:
            raise self._denied(href, status)
        if status in {408, 409, 425, 429} or status >= 500:
            raise Busy(f"{shown(href)} answers {status}; try again later", _patience(answer))
        raise DataError(Reason.SOURCE_REFUSED, f"{shown(href)} answers {status}, expected the file")

    def _denied(self, href: str, status: int) -> ConfigError:
        name = self._access.authentication.credentials
        cure = f'check entry "{name}" of UNDERSKY_CREDENTIALS' if name else "the profile states no login"
        return ConfigError(
            f"{shown(href)} answers {status}: profile {self._access.profile} may not read it; {cure} "
            "and what the account may read"
        )

    def _check_addresses(self, url: str) -> None:
        """Every address that the host's name resolves to is public, or the profile allows private ones."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        if self._access.rules.private or _literal(host):
            return
        try:
            found = socket.getaddrinfo(host, parts.port or 443, type=socket.SOCK_STREAM)
        except OSError as error:
            raise ServiceError(f"{host} cannot be resolved: {error.strerror or error}") from error
        for each in found:
            self._check_address(url, str(each[4][0]))

    def _check_address(self, url: str, address: str) -> None:
        host = urlsplit(url).hostname or ""
        # a literal got here only because the profile lists that very host
        if not (self._access.rules.private or _literal(host) or _is_public(address)):
            raise HrefRefused(
                f"{shown(url)} resolves to {address}, an address of a private network; an archive in-house "
                "needs `private: true` in the rules of its profile"
            )


def shown(href: str) -> str:
    """The address without its query, which may be a signature."""
    return href.split("?", 1)[0][:200]


def _gone(href: str) -> DataError:
    return DataError(
        Reason.SOURCE_GONE, f"{shown(href)} is not there, though it was announced: withdrawn or moved?"
    )


def _patience(answer: httpx.Response) -> float:
    """Seconds the server asks for, 0 where it names none. A date is taken as a minute: clocks differ."""
    text = answer.headers.get("retry-after", "").strip()
    if not text:
        return 0.0
    return min(float(text), _LONGEST_WAIT_S) if text.isdigit() else 60.0


def _literal(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _is_public(address: str) -> bool:
    """Whether the address is one of the internet."""
    found = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address) and found.ipv4_mapped:
        found = found.ipv4_mapped
    return found.is_global and not found.is_multicast

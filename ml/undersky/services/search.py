"""Searching an upstream archive: a STAC API, page by page, at the profile's pace, never led elsewhere.

for page in search(profile, Question(collection, geometry, begin, end)):
    page.items      as they came: Items, or whatever stands in their place
"""

import json
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from pystac_client import ItemSearch
from pystac_client.stac_api_io import StacApiIO

from undersky.errors import ConfigError, ServiceError
from undersky.services.profiles import Profile

TRIES = 5
"""Of one request."""
MAX_WAIT_S = 120.0
"""Longer waits than this are left to the next run."""
MAX_PAGE_BYTES = 64 << 20
"""A page of 100 Items has a few megabytes."""
_TIMEOUT_S = (10.0, 60.0)
_FIRST_BACKOFF_S = 1.0
_MAX_REDIRECTS = 3
_BLOCK = 1 << 18


class TooManyPages(ServiceError):  # noqa: N818  it says what happened
    """A window holds more than the profile's number of pages: search smaller ones."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is looked for."""

    collection: str
    """Ours."""
    geometry: Mapping[str, object]
    """GeoJSON, degrees."""
    begin: datetime
    """Of sensing, aware."""
    end: datetime


@dataclass(frozen=True, slots=True)
class Page:
    """Part of an answer."""

    number: int
    """From 1."""
    items: tuple[object, ...]
    """What stands where Items belong; each is to be checked."""


@dataclass(slots=True)
class Pace:
    """Keeps a distance between requests, on a clock that nobody sets. Threads share one."""

    per_second: float
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _next: float = field(default=0.0, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def wait(self) -> None:
        """Returns when the next request may begin."""
        with self._lock:
            now = self.clock()
            begin = max(now, self._next)
            self._next = begin + 1.0 / self.per_second
        if begin > now:
            self.sleep(begin - now)


def search(profile: Profile, question: Question, *, pace: Pace | None = None) -> Iterator[Page]:
    """The pages of an answer, one request each.

    Raises:
        TooManyPages: The window is too large for the profile's `max_pages`.
        ServiceError: The archive does not answer, or not with Items, after all tries.
        ConfigError: It refuses the question: a wrong address, collection or login.
    """
    io = _GuardedIO(profile, pace or Pace(profile.requests_per_second))
    asked = ItemSearch(
        url=f"{profile.stac.rstrip('/')}/search",
        method=profile.method,
        limit=profile.page_items,
        collections=[profile.product(question.collection).collection],
        intersects=dict(question.geometry),
        datetime=f"{_iso(question.begin)}/{_iso(question.end)}",
        stac_io=io,
    )
    try:
        yield from _checked(asked, profile, question)
    finally:
        io.session.close()


def _checked(asked: ItemSearch, profile: Profile, question: Question) -> Iterator[Page]:
    """Pages with Items, each of them another one, and not too many."""
    before: object = None
    for number, page in enumerate(_pages(asked, profile), start=1):
        if number > profile.max_pages:
            raise TooManyPages(
                f"{profile.name} has more than {profile.max_pages} pages of {question.collection} from "
                f"{_iso(question.begin)} to {_iso(question.end)}: search a smaller window"
            )
        items = page.get("features")
        if not isinstance(items, list) or items == before:
            what = "the same page twice" if items else "no list of Items"
            raise ServiceError(f"{profile.stac} answered with {what}; the search is broken off")
        before = items
        yield Page(number, tuple(items))


def _pages(asked: ItemSearch, profile: Profile) -> Iterator[Mapping[str, Any]]:
    """Its pages, with whatever the client makes of an answer that is none turned into our error."""
    pages = asked.pages_as_dicts()
    while True:
        try:
            page = next(pages)
        except StopIteration:
            return
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            sentence = f"{profile.stac} answered with something that is no page of Items ({error})"
            raise ServiceError(sentence) from error
        yield page


class _GuardedIO(StacApiIO):
    """Requests of the STAC client: paced, tried again, and kept to the API's own host."""

    def __init__(self, profile: Profile, pace: Pace) -> None:
        super().__init__(max_retries=None)
        self._profile, self._pace = profile, pace
        self._origin = _origin(profile.stac)

    def request(
        self,
        href: str,
        method: str | None = None,
        headers: dict[str, str] | None = None,
        parameters: dict[str, Any] | None = None,
    ) -> str:
        """The text of an answer."""
        last = "no answer"
        for turn in range(TRIES):
            self._pace.wait()
            try:
                answer = self._once(href, (method or "GET").upper(), headers, parameters)
            except requests.RequestException as error:
                last, wait = f"{type(error).__name__}", None
            else:
                if answer.status_code < 300:
                    return _text(answer)
                last, wait = self._judge(answer, href)
            if turn + 1 < TRIES:
                self._pace.sleep(_backoff(turn) if wait is None else wait)
        raise ServiceError(
            f"{_shown(href)} failed {TRIES} times, at last with {last}; the next run asks again"
        )

    def _once(
        self, href: str, method: str, headers: dict[str, str] | None, parameters: dict[str, Any] | None
    ) -> requests.Response:
        for _ in range(_MAX_REDIRECTS + 1):
            if _origin(href) != self._origin:
                raise ConfigError(
                    f"{self._profile.stac} leads to {_shown(href)}, another host; nothing of profile "
                    f"{self._profile.name} is searched there. If the archive has moved, change `stac`"
                )
            request = (
                requests.Request(method, href, headers=headers, json=parameters)
                if method == "POST"
                else requests.Request(method, href, headers=headers, params=parameters)
            )
            prepared = self.session.prepare_request(request)
            sent = self.session.send(
                prepared,
                timeout=_TIMEOUT_S,
                stream=True,
                allow_redirects=False,
                **self._surroundings(prepared.url or href),
            )
            if not sent.is_redirect:
                return sent
            href = urljoin(href, sent.headers["location"])
            sent.close()
        raise ServiceError(f"{self._profile.stac} redirects in a circle; the next run asks again")

    def _surroundings(self, url: str) -> dict[str, Any]:
        """Proxies and certificates, as requests finds them."""
        found = self.session.merge_environment_settings(url, {}, None, None, None)
        return {key: found[key] for key in ("proxies", "verify", "cert")}

    def _judge(self, answer: requests.Response, href: str) -> tuple[str, float | None]:
        """What to say of a failed answer, and how long its server asks us to wait."""
        code, said = answer.status_code, _excerpt(answer)
        if code in (408, 425, 429) or code >= 500:
            wait = _retry_after(answer.headers.get("retry-after"))
            if wait is not None and wait > MAX_WAIT_S:
                raise ServiceError(
                    f"{_shown(href)} asks to wait {wait:.0f} s ({code}); the next run asks again"
                )
            return f"{code} {said}".strip(), wait
        raise ConfigError(f"{_shown(href)} refuses the search with {code}: {said or 'no reason given'}")


def _text(answer: requests.Response) -> str:
    blocks, size = [], 0
    try:
        for block in answer.iter_content(_BLOCK):
            size += len(block)
            if size > MAX_PAGE_BYTES:
                raise ServiceError(f"{_shown(answer.url)} answered with more than {MAX_PAGE_BYTES >> 20} MB")
            blocks.append(block)
    except requests.RequestException as error:
        raise ServiceError(f"{_shown(answer.url)} broke off its answer; the next run asks again") from error
    return b"".join(blocks).decode("utf-8", "replace")


def _excerpt(answer: requests.Response) -> str:
    """A little of what a server says of its failure."""
    try:
        raw = answer.raw.read(2_000, decode_content=True).decode("utf-8", "replace")
        said = json.loads(raw)
        raw = str(said.get("description") or said.get("message") or said.get("detail") or raw)
    except (ValueError, AttributeError, OSError):
        pass
    finally:
        answer.close()
    return " ".join(raw.split())[:200] if isinstance(raw, str) else ""


def _retry_after(text: str | None) -> float | None:
    """Seconds of a Retry-After header, a number or a date; None where there is none."""
    if not text:
        return None
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None


def _backoff(turn: int) -> float:
    """1, 2, 4 ... seconds, and up to half more so that clients do not march in step."""
    return float(_FIRST_BACKOFF_S * 2**turn * (1.0 + random.random() / 2.0))  # noqa: S311  no secret


def _origin(href: str) -> tuple[str, str, int | None]:
    try:
        parts = urlsplit(href)
        port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    except ValueError:
        return "", "", None
    return parts.scheme, (parts.hostname or "").lower(), port


def _shown(href: str) -> str:
    return href.partition("?")[0][:160]


def _iso(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

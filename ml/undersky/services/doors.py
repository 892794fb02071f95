"""Logins of providers as request headers: a token of OpenID Connect, the cookies of the USGS.

A door is asked for the headers of every single request, each hop of a redirect included, and gives its secret
to the profile's own hosts only.
"""

import html
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import httpx

from undersky.errors import ConfigError, ServiceError

_TIMEOUT_S = 30.0
_EARLY_S = 60.0
"""A token is renewed that long before it ends."""
_CSRF = re.compile(r'<input[^>]*name="csrf"[^>]*value="([^"]+)"')
_DENIED = (400, 401, 403)

Login = tuple[str, str]
Check = Callable[[str], None]


class Door(Protocol):
    """What opens a provider's files. Threads share one."""

    def headers(self, href: str) -> Mapping[str, str]:
        """Headers for a request to that address.

        Raises:
            HrefRefused: The address is none of the profile's.
            ConfigError: The login was refused.
            ServiceError: The login's server does not answer.
        """

    def refused(self) -> None:
        """The server answered 401: what `headers` gave is stale, the next call signs in again."""


@dataclass(frozen=True, slots=True)
class OpenDoor:
    """For files that anybody reads."""

    def headers(self, href: str) -> Mapping[str, str]:  # noqa: ARG002  a Door
        """None."""
        return {}

    def refused(self) -> None:
        """Nothing is kept."""


class OidcPassword:
    """Bearer tokens for user and password, renewed before they end.

    Source: RFC 6749, section 4.3; the Copernicus Data Space documents the grant and a life of 600 s.
    """

    def __init__(
        self,
        url: str,
        client_id: str,
        login: Login,
        *,
        allowed: Check,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url, self._client_id, self._login = url, client_id, login
        self._allowed, self._clock = allowed, clock
        self._lock = threading.Lock()
        self._token, self._ends = "", 0.0

    def headers(self, href: str) -> Mapping[str, str]:
        """The bearer token, for the profile's own hosts."""
        self._allowed(href)
        with self._lock:
            if not self._token or self._clock() >= self._ends:
                self._sign_in()
            return {"Authorization": f"Bearer {self._token}"}

    def refused(self) -> None:
        """The token is thrown away."""
        with self._lock:
            self._token = ""

    def _sign_in(self) -> None:
        user, secret = self._login
        form = {"grant_type": "password", "client_id": self._client_id, "username": user, "password": secret}
        with httpx.Client(timeout=_TIMEOUT_S) as client:
            answer = _asked(self._url, lambda: client.post(self._url, data=form))
        try:
            body = answer.json()
            token, seconds = str(body["access_token"]), float(body.get("expires_in", 600))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ServiceError(f"{self._url} answered without a token; try again later") from error
        self._token = token
        self._ends = self._clock() + max(seconds - _EARLY_S, seconds / 2)


class ErsLogin:
    """The cookies that USGS's login gives to a form with user and password."""

    def __init__(self, url: str, login: Login, *, allowed: Check) -> None:
        self._url, self._login, self._allowed = url, login, allowed
        self._lock = threading.Lock()
        self._cookies = ""

    def headers(self, href: str) -> Mapping[str, str]:
        """The session's cookies, for the profile's own hosts."""
        self._allowed(href)
        with self._lock:
            if not self._cookies:
                self._sign_in()
            return {"Cookie": self._cookies}

    def refused(self) -> None:
        """The session is thrown away."""
        with self._lock:
            self._cookies = ""

    def _sign_in(self) -> None:
        user, secret = self._login
        with httpx.Client(timeout=_TIMEOUT_S) as client:
            page = _asked(self._url, lambda: client.get(self._url))
            found = _CSRF.search(page.text)
            form = {"username": user, "password": secret}
            if found:
                form["csrf"] = html.unescape(found[1])
            _asked(self._url, lambda: client.post(self._url, data=form))
            session = {c.name: c.value or "" for c in client.cookies.jar if "SSO" in c.name}
        if not session:
            raise ConfigError(f"{self._url} refused the login of {user!r}: check UNDERSKY_CREDENTIALS")
        self._cookies = "; ".join(f"{name}={value}" for name, value in session.items())


def _asked(url: str, ask: Callable[[], httpx.Response]) -> httpx.Response:
    """The answer of a login's server. No message repeats what was sent."""
    try:
        answer = ask()
    except httpx.HTTPError as error:
        raise ServiceError(f"{url} does not answer ({type(error).__name__}); try again later") from error
    if answer.status_code in _DENIED:
        raise ConfigError(f"{url} refused the login ({answer.status_code}): check UNDERSKY_CREDENTIALS")
    if answer.status_code >= 400:
        raise ServiceError(f"{url} answered {answer.status_code}; try again later")
    return answer

"""Which addresses of a provider may be fetched, and who we are there: all that a transfer must know.

    rules = Rules(schemes, hosts, buckets)    check(href)     HrefRefused unless it is one of them
                                              redirect(a, b)  where a redirect leads, checked again
    access = profile.access(credentials)      rules, s3 options, which files may be absent, how many at once
    door = access.door()                      headers(href)   the header that opens it; refused() after a 401

An href is refused by default: only an exact scheme, host (with its port) or bucket of the profile passes. So
no redirect, address literal, user info or file:// of a hostile Item leads anywhere.
"""

import fnmatch
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path, PurePosixPath
from typing import Literal
from urllib.parse import SplitResult, urljoin, urlsplit

from pydantic import ConfigDict, SecretStr, TypeAdapter, ValidationError

from undersky.errors import ConfigError, UnderskyError
from undersky.services.doors import Door, ErsLogin, OidcPassword, OpenDoor

Scheme = Literal["https", "http", "s3"]

MAX_HREF = 2_000
"""Characters; real ones have up to 300."""
_DEFAULT_PORT = {"https": 443, "http": 80}
_BLANK = re.compile(r"[\x00-\x20\x7f-\x9f\\]")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*(?:/[A-Za-z0-9_][A-Za-z0-9_.\-]*){0,7}")


class HrefRefused(UnderskyError):  # noqa: N818  it says what happened
    """An address that a profile does not allow: nobody fetches it, and no retry helps."""

    exit_code = 3
    reason = "hostile_href"


class SignIn(StrEnum):
    """How a provider's files are opened."""

    NONE = "none"
    """Anybody reads them."""
    OIDC_PASSWORD = "oidc_password"  # noqa: S105  the name of a method
    """A token of OpenID Connect for user and password, as the Copernicus Data Space gives them."""
    USGS_ERS = "usgs_ers"
    """The cookies of a USGS login."""
    S3_KEYS = "s3_keys"
    """An access key of S3; without credentials whatever boto3 finds (instance profile, shared config)."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Where files may come from."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    schemes: tuple[Scheme, ...]
    """Best first: of an asset's addresses the first scheme that it has is taken."""
    hosts: tuple[str, ...] = ()
    """Host names of https, exact; `host:port` where the port is not the scheme's own."""
    buckets: tuple[str, ...] = ()
    """Buckets of s3, exact."""
    private: bool = False
    """Host names may resolve to addresses of private networks: an archive in-house."""

    def __post_init__(self) -> None:
        if "s3" in self.schemes and not self.buckets:
            raise ValueError("schemes has s3, buckets is empty")
        if set(self.schemes) & {"https", "http"} and not self.hosts:
            raise ValueError("schemes has https, hosts is empty")

    def check(self, href: str) -> None:
        """The address may be fetched.

        Raises:
            HrefRefused: Another scheme, host, port or bucket, or an address that can be read in two ways.
        """
        parts = _split(href)
        if parts.scheme not in self.schemes:
            raise HrefRefused(
                f"{_shown(href)} has the scheme {parts.scheme!r}; allowed: {_list(self.schemes)}"
            )
        if parts.scheme == "s3":
            if parts.netloc not in self.buckets or not parts.path.strip("/") or parts.query:
                raise HrefRefused(f"{_shown(href)} is no object of the buckets {_list(self.buckets)}")
            return
        if _place(parts) not in {_with_port(host, parts.scheme) for host in self.hosts}:
            literal = "an address literal" if _is_literal(parts.hostname or "") else "no host of this profile"
            raise HrefRefused(f"{_shown(href)} leads to {literal}; allowed: {_list(self.hosts)}")

    def redirect(self, href: str, location: str) -> str:
        """Where a redirect from `href` leads, as a whole address.

        Raises:
            HrefRefused: Out of the profile's hosts, or from https to http.
        """
        target = urljoin(href, location)
        self.check(target)
        if href.startswith("https:") and not target.startswith("https:"):
            raise HrefRefused(f"{_shown(href)} redirects to {_shown(target)}, which is not encrypted")
        return target


@dataclass(frozen=True, slots=True)
class Credential:
    """One login of a provider."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    user: str
    """User name, client id, or access key id."""
    secret: str = field(repr=False)
    """Password or secret key."""


@dataclass(frozen=True, slots=True)
class Authentication:
    """Who we are at a provider, without the secret."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    kind: SignIn = SignIn.NONE
    credentials: str | None = None
    """Name of the entry in UNDERSKY_CREDENTIALS."""
    url: str | None = None
    """Token endpoint, or login page."""
    client_id: str | None = None
    """Of OpenID Connect."""

    def __post_init__(self) -> None:
        signs = self.kind in (SignIn.OIDC_PASSWORD, SignIn.USGS_ERS)
        if signs and not (self.credentials and (self.url or "").startswith(("https://", "http://"))):
            raise ValueError(f"{self.kind} needs credentials and the url to sign in at")
        if self.kind is SignIn.OIDC_PASSWORD and not self.client_id:
            raise ValueError("oidc_password needs client_id")


@dataclass(frozen=True, slots=True)
class UpstreamS3:
    """The S3 server behind a profile's s3:// addresses."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    endpoint: str | None = None
    """Address of a server that is not AWS."""
    region: str | None = None
    requester_pays: bool = False
    """We pay for what we fetch: every request says so."""


@dataclass(frozen=True, slots=True)
class Access:
    """All that a transfer must know of a profile, secrets resolved."""

    profile: str
    rules: Rules
    authentication: Authentication
    s3: UpstreamS3
    credential: Credential | None
    """None where the profile needs none, or leaves it to boto3."""
    transfers: int
    """Files fetched at once at most."""
    optional: tuple[str, ...]
    """Patterns of the names that upstream may not have (404): the product opens without them."""

    def check(self, href: str) -> None:
        """As `Rules.check`."""
        self.rules.check(href)

    def redirect(self, href: str, location: str) -> str:
        """As `Rules.redirect`."""
        return self.rules.redirect(href, location)

    def may_be_absent(self, name: str) -> bool:
        """Whether a product is whole without this file: a 404 on it is no failure."""
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in self.optional)

    def door(self) -> Door:
        """What opens the files that https serves; it keeps a token, so one serves a whole batch.

        Raises:
            ConfigError: The profile needs a login and UNDERSKY_CREDENTIALS has none of that name.
        """
        kind, url = self.authentication.kind, self.authentication.url or ""
        if kind not in (SignIn.OIDC_PASSWORD, SignIn.USGS_ERS):
            return OpenDoor()
        if self.credential is None:
            raise ConfigError(
                f"profile {self.profile} needs a login: give UNDERSKY_CREDENTIALS an entry "
                f'"{self.authentication.credentials}" with user and secret (docs/providers.md)'
            )
        login = self.credential.user, self.credential.secret
        if kind is SignIn.OIDC_PASSWORD:
            return OidcPassword(url, self.authentication.client_id or "", login, allowed=self.rules.check)
        return ErsLogin(url, login, allowed=self.rules.check)


def check_name(name: str) -> str:
    """The name, which is a plain relative path: what a file is called inside its product.

    Raises:
        HrefRefused: Absolute, climbing out, hidden, too long or of letters that no agency uses.
    """
    if len(name) > 240 or not _NAME.fullmatch(name) or ".." in PurePosixPath(name).parts:
        raise HrefRefused(f"{name[:80]!r} is no name of a product's file")
    return name


def read_credentials(setting: SecretStr | None) -> Mapping[str, Credential]:
    """The logins of UNDERSKY_CREDENTIALS: a JSON object, or the path of a file that holds one.

    Raises:
        ConfigError: Neither; the message never repeats what stands there.
    """
    if setting is None:
        return {}
    text = setting.get_secret_value().strip()
    if not text.startswith("{"):
        try:
            text = Path(text).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is no path"
            raise ConfigError(f"UNDERSKY_CREDENTIALS names a file that cannot be read: {reason}") from None
    try:
        return TypeAdapter(dict[str, Credential]).validate_python(json.loads(text))
    except (ValueError, ValidationError):
        raise ConfigError(
            "UNDERSKY_CREDENTIALS is no set of logins; expected "
            '{"<name>": {"user": "...", "secret": "..."}} (docs/providers.md)'
        ) from None


def _split(href: str) -> SplitResult:
    if not href or len(href) > MAX_HREF or _BLANK.search(href) or not href.isascii():
        raise HrefRefused(f"{_shown(href)} is no address: blanks, other letters than ASCII, or too long")
    try:
        parts = urlsplit(href)
        port = parts.port
    except ValueError as error:
        raise HrefRefused(f"{_shown(href)} is no address: {error}") from error
    if parts.username is not None or parts.password is not None or "@" in parts.netloc:
        raise HrefRefused(f"{_shown(href)} carries user info, which can hide the true host")
    if parts.fragment or port == 0:
        raise HrefRefused(f"{_shown(href)} carries a fragment or port 0")
    return parts


def _place(parts: SplitResult) -> tuple[str, int]:
    return (parts.hostname or "").lower(), parts.port or _DEFAULT_PORT[parts.scheme]


def _with_port(host: str, scheme: str) -> tuple[str, int]:
    return _place(urlsplit(f"{scheme}://{host}"))


def _is_literal(host: str) -> bool:
    if re.fullmatch(r"(0x)?[0-9a-f.]+", host):  # 0x7f.1 and 2130706433 are addresses to many a resolver
        return True
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _shown(href: str) -> str:
    """The address as a message may show it: short, printable, without its query, which may be a signature."""
    plain = href.split("?", 1)[0].encode("ascii", "backslashreplace").decode()
    plain = re.sub(r"//[^/@]*@", "//...@", "".join(c if c.isprintable() else "?" for c in plain))
    return plain if len(plain) <= 160 else f"{plain[:160]}..."


def _list(values: tuple[str, ...]) -> str:
    return ", ".join(values) or "none"

"""Nothing but a profile's own addresses is fetched, and secrets go nowhere else."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from pydantic import SecretStr

from undersky.errors import ConfigError, ServiceError
from undersky.services.access import (
    Access,
    Authentication,
    Credential,
    HrefRefused,
    Rules,
    SignIn,
    UpstreamS3,
    check_name,
    read_credentials,
)
from undersky.services.doors import ErsLogin, OidcPassword

RULES = Rules(schemes=("https", "s3"), hosts=("archive.example", "files.example:8443"), buckets=("bucket",))
LOCAL = Rules(schemes=("http",), hosts=("127.0.0.1:9000",))


def access(authentication: Authentication, credential: Credential | None = None) -> Access:
    return Access("test", RULES, authentication, UpstreamS3(), credential, 4, ("qi/*", "*_ANG.txt"))


class TestRules:
    @pytest.mark.parametrize(
        "href",
        [
            "https://archive.example/a/b.tif",
            "https://ARCHIVE.example:443/Products(1)/$value",
            "https://files.example:8443/a",
            "s3://bucket/key/of/object",
        ],
    )
    def test_own_addresses_pass(self, href: str) -> None:
        RULES.check(href)

    @pytest.mark.parametrize(
        "href",
        [
            "",
            "B02.jp2",
            "./B02.jp2",
            "//archive.example/a",
            "file:///etc/passwd",
            "ftp://archive.example/a",
            "gopher://archive.example/a",
            "http://archive.example/a",
            "https://archive.example.evil.example/a",
            "https://evil.example/archive.example",
            "https://sub.archive.example/a",
            "https://archive.example:8080/a",
            "https://archive.example:0/a",
            "https://archive.example:99999/a",
            "https://archive.example@evil.example/a",
            "https://user:secret@archive.example/a",
            "https://archive.example\\@evil.example/a",
            "https://archive.example/a b",
            "https://archive.example/a\r\nHost: evil.example",
            "https://archive.example/a#fragment",
            "https://аrchive.example/a",  # noqa: RUF001  a Cyrillic letter
            "https://archive.example./a",
            "https://127.0.0.1/a",
            "https://2130706433/a",
            "https://0x7f.1/a",
            "https://[::1]/a",
            "https://[::ffff:127.0.0.1]/a",
            "https://169.254.169.254/latest/meta-data",
            "https://localhost/a",
            "https:archive.example/a",
            "s3://other/key",
            "s3://bucket",
            "s3://bucket/",
            "s3://bucket/key?versionId=1",
            "s3://user@bucket/key",
            "S3:/bucket/key",
            "https://[archive.example/a",
            "https://archive.example/" + "a" * 3000,
        ],
    )
    def test_everything_else_is_refused_by_name(self, href: str) -> None:
        with pytest.raises(HrefRefused) as caught:
            RULES.check(href)
        assert caught.value.reason == "hostile_href"
        assert len(str(caught.value)) < 400
        assert "secret" not in str(caught.value)

    def test_an_address_literal_passes_where_the_profile_names_that_very_one(self) -> None:
        LOCAL.check("http://127.0.0.1:9000/a")
        for href in ("http://127.0.0.1/a", "http://127.0.0.1:9001/a", "http://127.1:9000/a"):
            with pytest.raises(HrefRefused, match="address literal"):
                LOCAL.check(href)

    def test_a_signature_is_not_repeated_in_the_message(self) -> None:
        with pytest.raises(HrefRefused) as caught:
            RULES.check("https://evil.example/a?X-Amz-Signature=abc")
        assert "Signature" not in str(caught.value)

    @pytest.mark.parametrize(
        ("location", "target"),
        [
            ("/c", "https://archive.example/c"),
            ("c?x=1", "https://archive.example/a/c?x=1"),
            ("https://files.example:8443/c", "https://files.example:8443/c"),
        ],
    )
    def test_a_redirect_inside_the_profile_is_followed(self, location: str, target: str) -> None:
        assert RULES.redirect("https://archive.example/a/b", location) == target

    @pytest.mark.parametrize(
        "location",
        [
            "https://evil.example/",
            "//evil.example/a",
            "http://archive.example/a",
            "file:///etc/passwd",
            "s3://o/k",
        ],
    )
    def test_a_redirect_out_of_the_profile_is_refused(self, location: str) -> None:
        with pytest.raises(HrefRefused):
            RULES.redirect("https://archive.example/a/b", location)

    def test_a_redirect_to_plain_http_is_refused_even_where_http_is_allowed(self) -> None:
        both = Rules(schemes=("https", "http"), hosts=("archive.example",))
        with pytest.raises(HrefRefused, match="not encrypted"):
            both.redirect("https://archive.example/a", "http://archive.example/a")

    def test_rules_that_allow_nothing_are_no_rules(self) -> None:
        for rules in ({"schemes": ("s3",)}, {"schemes": ("https",)}):
            with pytest.raises(ValueError, match="is empty"):
                Rules(**rules)


class TestNames:
    @pytest.mark.parametrize("name", ["S2A_X.zip", "qi/MSK_CLOUDS_B00.gml", "metadata.xml", "a/b/c/d.TIF"])
    def test_names_of_product_files_pass(self, name: str) -> None:
        assert check_name(name) == name

    @pytest.mark.parametrize(
        "name",
        [
            "",
            "/etc/passwd",
            "../x",
            "a/../b",
            "a//b",
            "a\\b",
            "C:x",
            ".hidden",
            "a/.b",
            "a b",
            "a\n",
            "é",
            "x" * 300,
        ],
    )
    def test_names_that_lead_elsewhere_are_refused(self, name: str) -> None:
        with pytest.raises(HrefRefused):
            check_name(name)


class TestCredentials:
    def test_they_are_read_from_the_setting_or_from_a_file(self, tmp_path: Path) -> None:
        text = '{"cdse": {"user": "me", "secret": "hush"}}'
        file = tmp_path / "credentials.json"
        file.write_text(text)
        for setting in (text, str(file)):
            found = read_credentials(SecretStr(setting))
            assert found == {"cdse": Credential("me", "hush")}
            assert "hush" not in repr(found)
        assert read_credentials(None) == {}

    @pytest.mark.parametrize(
        "text",
        [
            '{"cdse": "hush"}',
            '{"cdse": {"user": "me"}}',
            "{hush",
            '{"a": {"user": "m", "secret": "hush", "x": 1}}',
        ],
    )
    def test_what_is_none_is_refused_without_repeating_it(self, text: str) -> None:
        with pytest.raises(ConfigError) as caught:
            read_credentials(SecretStr(text))
        assert "hush" not in str(caught.value)
        assert caught.value.__cause__ is None

    def test_a_file_that_is_not_there_is_named_as_a_problem_of_the_setting(self) -> None:
        with pytest.raises(ConfigError, match="UNDERSKY_CREDENTIALS names a file that cannot be read"):
            read_credentials(SecretStr("/nowhere/credentials.json"))

    def test_a_login_without_a_place_to_sign_in_is_no_login(self) -> None:
        for kind in (SignIn.OIDC_PASSWORD, SignIn.USGS_ERS):
            with pytest.raises(ValueError, match="needs credentials"):
                Authentication(kind)
        with pytest.raises(ValueError, match="client_id"):
            Authentication(SignIn.OIDC_PASSWORD, "cdse", "https://identity.example/token")


class TestAccess:
    def test_files_that_may_be_absent_are_told_from_those_that_may_not(self) -> None:
        found = access(Authentication())
        assert found.may_be_absent("qi/MSK_CLOUDS_B00.gml")
        assert found.may_be_absent("LC09_X_ANG.txt")
        assert not found.may_be_absent("B02.jp2")

    def test_open_archives_need_no_header(self) -> None:
        for kind in (SignIn.NONE, SignIn.S3_KEYS):
            door = access(Authentication(kind)).door()
            assert door.headers("https://archive.example/a") == {}
            door.refused()

    def test_a_missing_login_says_where_to_put_it(self) -> None:
        wanted = Authentication(SignIn.OIDC_PASSWORD, "cdse", "https://identity.example/token", "public")
        with pytest.raises(ConfigError, match=r'UNDERSKY_CREDENTIALS an entry "cdse"'):
            access(wanted).door()
        assert isinstance(access(wanted, Credential("me", "hush")).door(), OidcPassword)


class LoginServer:
    """Plays the servers that people sign in at."""

    def __init__(self) -> None:
        self.forms: list[dict[str, str]] = []
        self.status, self.body = 200, b""
        self.cookie: str | None = None
        handler = type("Handler", (_LoginHandler,), {"owner": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/login"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class _LoginHandler(BaseHTTPRequestHandler):
    owner: LoginServer

    def do_GET(self) -> None:
        self._answer(b'<form><input type="hidden" name="csrf" value="a&amp;b"></form>')

    def do_POST(self) -> None:
        length = int(self.headers["content-length"])
        form = {key: values[0] for key, values in parse_qs(self.rfile.read(length).decode()).items()}
        self.owner.forms.append(form)
        self._answer(self.owner.body)

    def _answer(self, body: bytes) -> None:
        self.send_response(self.owner.status)
        if self.owner.cookie and self.command == "POST":
            self.send_header("Set-Cookie", self.owner.cookie)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def login_server() -> Iterator[LoginServer]:
    server = LoginServer()
    yield server
    server.close()


class TestDoors:
    HREF = "https://archive.example/a"

    def oidc(self, server: LoginServer, clock: list[float]) -> OidcPassword:
        server.body = json.dumps({"access_token": "t1", "expires_in": 600}).encode()
        return OidcPassword(server.url, "public", ("me", "hush"), allowed=RULES.check, clock=lambda: clock[0])

    def test_a_token_is_asked_for_once_and_renewed_before_it_ends(self, login_server: LoginServer) -> None:
        clock = [0.0]
        door = self.oidc(login_server, clock)
        assert door.headers(self.HREF) == {"Authorization": "Bearer t1"}
        clock[0] = 500.0
        door.headers(self.HREF)
        assert len(login_server.forms) == 1
        clock[0] = 545.0
        login_server.body = b'{"access_token": "t2", "expires_in": 600}'
        assert door.headers(self.HREF) == {"Authorization": "Bearer t2"}
        assert login_server.forms[0] == {
            "grant_type": "password",
            "client_id": "public",
            "username": "me",
            "password": "hush",
        }

    def test_a_refused_token_is_renewed_at_once(self, login_server: LoginServer) -> None:
        door = self.oidc(login_server, [0.0])
        door.headers(self.HREF)
        door.refused()
        door.headers(self.HREF)
        assert len(login_server.forms) == 2

    def test_a_token_is_never_given_to_another_host(self, login_server: LoginServer) -> None:
        door = self.oidc(login_server, [0.0])
        with pytest.raises(HrefRefused):
            door.headers("https://evil.example/a")
        assert login_server.forms == []

    @pytest.mark.parametrize(
        ("status", "body", "error"),
        [
            (401, b"", ConfigError),
            (400, b'{"error": "invalid_grant"}', ConfigError),
            (503, b"", ServiceError),
            (200, b"<html>", ServiceError),
            (200, b"[]", ServiceError),
        ],
    )
    def test_a_login_that_fails_says_who_must_act_and_no_secret(
        self, login_server: LoginServer, status: int, body: bytes, error: type[Exception]
    ) -> None:
        door = self.oidc(login_server, [0.0])
        login_server.status, login_server.body = status, body
        with pytest.raises(error) as caught:
            door.headers(self.HREF)
        assert "hush" not in str(caught.value)

    def test_a_login_server_that_is_away_is_a_matter_of_time(self, login_server: LoginServer) -> None:
        door = self.oidc(login_server, [0.0])
        login_server.close()
        with pytest.raises(ServiceError, match="does not answer"):
            door.headers(self.HREF)

    def test_the_usgs_gives_cookies_for_a_form(self, login_server: LoginServer) -> None:
        login_server.cookie = "EROS_SSO_production_secure=abc; Path=/"
        door = ErsLogin(login_server.url, ("me", "hush"), allowed=RULES.check)
        assert door.headers(self.HREF) == {"Cookie": "EROS_SSO_production_secure=abc"}
        assert login_server.forms == [{"username": "me", "password": "hush", "csrf": "a&b"}]
        door.headers(self.HREF)
        assert len(login_server.forms) == 1
        door.refused()
        door.headers(self.HREF)
        assert len(login_server.forms) == 2

    def test_a_wrong_password_of_the_usgs_shows_as_a_missing_cookie(self, login_server: LoginServer) -> None:
        door = ErsLogin(login_server.url, ("me", "hush"), allowed=RULES.check)
        with pytest.raises(ConfigError, match="refused the login of 'me'"):
            door.headers(self.HREF)

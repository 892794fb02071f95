import http.server
import threading
import warnings
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from undersky.errors import ConfigError, ServiceError
from undersky.services.health import database_ahead_s, sign_of_life


@pytest.fixture
def server():
    """A server that says whatever `server.status` and `server.date` say."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response_only(self.server.status)
            if self.server.date is not None:
                self.send_header("Date", self.server.date)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Answer)
    server.status, server.date = 200, None
    server.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("minutes", [-20, 0, 3])
def test_the_date_header_tells_how_far_a_clock_is_ahead(server, minutes):
    server.date = format_datetime(datetime.now(UTC) + timedelta(minutes=minutes), usegmt=True)
    assert abs(sign_of_life(server.url).ahead_s - 60 * minutes) < 3


@pytest.mark.parametrize("date", [None, "yesterday"])
def test_a_server_that_does_not_tell_the_time_lives_all_the_same(server, date):
    server.date, server.status = date, 403
    assert sign_of_life(server.url).ahead_s is None
    assert sign_of_life(server.url).status == 403


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "no address", "http://[", "ftp://127.0.0.1"])
def test_where_nothing_answers_is_a_service_error(url):
    with pytest.raises(ServiceError, match="does not answer"):
        sign_of_life(url)


def test_a_local_database_has_our_clock_whether_migrated_or_not(ledger_url, empty_url):
    assert abs(database_ahead_s(ledger_url)) < 2
    assert abs(database_ahead_s(empty_url)) < 2


def test_a_database_that_is_away_is_told_from_a_wrong_address():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ServiceError, match="does not answer"):
            database_ahead_s("postgresql://u@127.0.0.1:9/x")
    with pytest.raises(ConfigError, match="PostgreSQL"):
        database_ahead_s("sqlite:///x.db")

"""Archives are searched page by page, at their pace, with patience, and never elsewhere."""

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from fixtures_archive import Archive, small_landsat
from undersky.errors import ConfigError, ServiceError
from undersky.services.access import Rules
from undersky.services.profiles import FileRule, Product, Profile
from undersky.services.search import MAX_PAGE_BYTES, Pace, Question, TooManyPages, search

SQUARE = {"type": "Polygon", "coordinates": [[[9, 43], [12, 43], [12, 46], [9, 46], [9, 43]]]}
JUNE = Question("landsat-c2-l1", SQUARE, datetime(2025, 6, 1, tzinfo=UTC), datetime(2025, 7, 1, tzinfo=UTC))


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def pace(self, per_second: float = 1e9) -> Pace:
        return Pace(per_second, lambda: self.now, self.sleep)


def ids(profile: Profile, question: Question = JUNE, pace: Pace | None = None) -> list[str]:
    return [
        item["id"] for page in search(profile, question, pace=pace or Clock().pace()) for item in page.items
    ]  # type: ignore[index]


class TestPages:
    @pytest.fixture(autouse=True)
    def scenes(self, archive: Archive) -> None:
        for day in range(10, 22):
            small_landsat(archive.folder, f"LC09_L1TP_192029_202506{day}_20250630_02_T1")

    @pytest.mark.parametrize("method", ["POST", "GET"])
    def test_every_item_comes_once_whatever_the_size_of_a_page(self, archive: Archive, method: str) -> None:
        for size in (1, 5, 12, 100):
            profile = archive.profile("usgs-landsatlook", page_items=size, method=method)
            found = ids(profile)
            assert len(found) == len(set(found)) == 12

    def test_place_and_time_are_asked_for(self, archive: Archive) -> None:
        profile = archive.profile("usgs-landsatlook")
        two = Question(
            "landsat-c2-l1", SQUARE, datetime(2025, 6, 10, tzinfo=UTC), datetime(2025, 6, 12, tzinfo=UTC)
        )
        assert len(ids(profile, two)) == 2
        far = {"type": "Point", "coordinates": [100, 10]}
        assert ids(profile, Question("landsat-c2-l1", far, JUNE.begin, JUNE.end)) == []

    def test_too_many_pages_are_broken_off(self, archive: Archive) -> None:
        profile = archive.profile("usgs-landsatlook", page_items=2, max_pages=3)
        pages = search(profile, JUNE, pace=Clock().pace())
        assert [next(pages).number for _ in range(3)] == [1, 2, 3]
        with pytest.raises(TooManyPages, match="more than 3 pages of landsat-c2-l1"):
            next(pages)

    def test_a_collection_that_the_profile_has_not_is_our_mistake(self, archive: Archive) -> None:
        question = Question("sentinel-2-l1c", SQUARE, JUNE.begin, JUNE.end)
        with pytest.raises(ConfigError):
            ids(archive.profile("usgs-landsatlook"), question)

    def test_a_broken_item_leaves_the_others(self, archive: Archive) -> None:
        archive.faults({"kind": "broken", "times": 1})
        assert len(ids(archive.profile("usgs-landsatlook"))) == 12

    @pytest.mark.faults
    def test_throttling_and_server_errors_are_waited_for(self, archive: Archive) -> None:
        archive.faults(
            {"kind": "throttle", "match": "search", "times": 1, "seconds": 7},
            {"kind": "error", "match": "search", "times": 1},
        )
        clock = Clock()
        assert len(ids(archive.profile("usgs-landsatlook"), pace=clock.pace())) == 12
        assert any(wait == 7 for wait in clock.slept)
        assert any(2 <= wait <= 3 for wait in clock.slept)

    @pytest.mark.faults
    def test_patience_ends(self, archive: Archive) -> None:
        archive.faults({"kind": "error", "match": "search", "status": 503})
        clock = Clock()
        with pytest.raises(ServiceError, match=r"failed 5 times, at last with 503 the server is not well"):
            ids(archive.profile("usgs-landsatlook"), pace=clock.pace())
        assert len([wait for wait in clock.slept if wait > 0.5]) == 4

    @pytest.mark.faults
    def test_a_wait_of_hours_is_left_to_the_next_run(self, archive: Archive) -> None:
        archive.faults({"kind": "throttle", "match": "search", "seconds": 7200})
        with pytest.raises(ServiceError, match="asks to wait 7200 s"):
            ids(archive.profile("usgs-landsatlook"))

    @pytest.mark.faults
    def test_a_refused_search_is_for_the_operator(self, archive: Archive) -> None:
        archive.faults({"kind": "missing", "match": "search"})
        with pytest.raises(ConfigError, match=r"refuses the search with 404: there is no such thing here"):
            ids(archive.profile("usgs-landsatlook"))

    @pytest.mark.faults
    def test_a_redirect_to_another_host_is_not_followed(self, archive: Archive) -> None:
        archive.faults({"kind": "redirect", "match": "search", "to": "http://localhost:1/search"})
        with pytest.raises(ConfigError, match="another host"):
            ids(archive.profile("usgs-landsatlook"))
        archive.faults({"kind": "redirect", "match": "search", "to": "/landsatlook/search"})
        with pytest.raises(ServiceError, match="redirects in a circle"):
            ids(archive.profile("usgs-landsatlook"))


class Scripted:
    """A server that answers what it is told."""

    def __init__(self) -> None:
        self.answer: Callable[[dict[str, Any]], object] = lambda _: {}
        self.raw: bytes | None = None
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                raw = owner.raw if owner.raw is not None else json.dumps(owner.answer(body)).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    @property
    def profile(self) -> Profile:
        product = Product("c", (FileRule("{scene}.zip", asset="a"),), 1.0)
        rules = Rules(("https",), ("files.example",))
        return Profile("scripted", "Scripted", f"{self.url}/", {"landsat-c2-l1": product}, rules)


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    server = Scripted()
    yield server
    server.server.shutdown()
    server.server.server_close()
    server.thread.join()


class TestStrangeAnswers:
    @pytest.mark.parametrize(
        "raw", [b"", b"<html>", b"[1]", b'{"features": 5}', b'{"features": {"a": 1}}', b"7"]
    )
    def test_what_is_no_page_is_an_error_of_the_service(self, scripted: Scripted, raw: bytes) -> None:
        scripted.raw = raw
        with pytest.raises(ServiceError, match="answered with"):
            ids(scripted.profile)

    def test_an_empty_answer_is_an_answer(self, scripted: Scripted) -> None:
        scripted.answer = lambda _: {"features": [], "links": []}
        assert ids(scripted.profile) == []

    def test_a_next_page_on_another_host_is_not_fetched(self, scripted: Scripted) -> None:
        link = {"rel": "next", "method": "POST", "href": "http://evil.example/search", "body": {}}
        scripted.answer = lambda _: {"features": [{"id": "a"}], "links": [link]}
        with pytest.raises(ConfigError, match=r"leads to http://evil.example/search, another host"):
            ids(scripted.profile)

    def test_a_page_that_leads_to_itself_is_broken_off(self, scripted: Scripted) -> None:
        link = {"rel": "next", "method": "POST", "href": f"{scripted.url}/search", "body": {"token": "x"}}
        scripted.answer = lambda _: {"features": [{"id": "a"}], "links": [link]}
        with pytest.raises(ServiceError, match="the same page twice"):
            ids(scripted.profile)

    def test_links_that_are_none_are_an_error_of_the_service(self, scripted: Scripted) -> None:
        scripted.answer = lambda _: {"features": [{"id": "a"}], "links": [{"href": "x"}]}
        with pytest.raises(ServiceError, match="no page of Items"):
            ids(scripted.profile)

    def test_an_endless_page_is_not_read_to_its_end(self, scripted: Scripted) -> None:
        scripted.raw = b" " * (MAX_PAGE_BYTES + 1)
        with pytest.raises(ServiceError, match="more than 64 MB"):
            ids(scripted.profile)

    def test_the_question_is_spelled_as_the_specification_says(self, scripted: Scripted) -> None:
        asked: list[dict[str, Any]] = []
        scripted.answer = lambda body: asked.append(body) or {"features": []}
        ids(scripted.profile)
        assert asked[0]["datetime"] == "2025-06-01T00:00:00Z/2025-07-01T00:00:00Z"
        assert (asked[0]["collections"], asked[0]["limit"]) == (["c"], 100)
        assert asked[0]["intersects"]["type"] == "Polygon"

    def test_a_server_that_is_away_is_a_matter_of_time(self, scripted: Scripted) -> None:
        profile = scripted.profile
        scripted.server.shutdown()
        scripted.server.server_close()
        with pytest.raises(ServiceError, match="ConnectionError"):
            ids(profile)


class TestPace:
    def test_requests_keep_their_distance(self) -> None:
        clock = Clock()
        pace = clock.pace(per_second=4.0)
        begins = []
        for _ in range(5):
            pace.wait()
            begins.append(clock.now)
        assert begins == [100.0, 100.25, 100.5, 100.75, 101.0]

    def test_time_that_has_passed_anyway_counts(self) -> None:
        clock = Clock()
        pace = clock.pace(per_second=1.0)
        pace.wait()
        clock.now += 5.0
        pace.wait()
        assert clock.slept == []

    def test_threads_share_it(self) -> None:
        clock = Clock()
        pace = clock.pace(per_second=100.0)
        threads = [threading.Thread(target=pace.wait) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert pace._next == pytest.approx(100.0 + 20 / 100.0)

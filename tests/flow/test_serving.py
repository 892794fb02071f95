"""The kept STAC API: it follows the index, outlives a bucket that is away, and leaves nothing behind."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from undersky.errors import ConfigError, ServiceError
from undersky.flow import serving
from undersky.flow.index import INDEX, Index
from undersky.flow.serving import Keeper

COLLECTION = {
    "type": "Collection", "stac_version": "1.1.0", "description": "a test's", "license": "proprietary",
    "extent": {"spatial": {"bbox": [[0, 0, 1, 1]]}, "temporal": {"interval": [[None, None]]}}, "links": [],
}  # fmt: skip


def announce(store, *collections):
    """An index over Collections without Items."""
    from datetime import UTC, datetime

    for name in collections:
        store.put(f"stac/{name}/collection.json", json.dumps({**COLLECTION, "id": name}).encode())
        store.put(f"stac/{name}/items.parquet", no_items())
    at = datetime(2026, 1, 1, tzinfo=UTC)
    months = {name: {} for name in collections}
    store.put_json(INDEX, Index(digest="-".join(collections), base="s3://b", months=months, items=0, at=at))


def no_items():
    from pathlib import Path
    from tempfile import TemporaryDirectory

    from undersky.services.geoparquet import write_items

    with TemporaryDirectory() as folder:
        write_items([an_item()], Path(folder, "items.parquet"))
        return Path(folder, "items.parquet").read_bytes()


def an_item():
    return {
        "type": "Feature", "stac_version": "1.1.0", "id": "one", "collection": "first", "links": [],
        "assets": {}, "geometry": {"type": "Point", "coordinates": [0.5, 0.5]}, "bbox": [0.5, 0.5, 0.5, 0.5],
        "properties": {"datetime": "2026-01-01T00:00:00Z"}, "stac_extensions": [],
    }  # fmt: skip


def answer(address, path="/collections"):
    for _ in range(100):
        try:
            with urllib.request.urlopen(f"http://{address}{path}", timeout=2) as reply:
                return json.loads(reply.read())
        except OSError:
            time.sleep(0.1)
    raise AssertionError("nobody answers")


def names(address):
    return {each["id"] for each in answer(address)["collections"]}


@pytest.fixture
def said():
    return []


@pytest.fixture
def keeper(store, tmp_path, said):
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    folder = tmp_path / "catalog"
    folder.mkdir()
    made = Keeper(store, address, folder, said.append)
    yield made
    made.stop()


def test_it_serves_the_index_that_is_there_and_then_the_next_on_the_same_address(keeper, store):
    announce(store, "first")
    keeper.look()
    assert names(keeper.address) == {"first"}
    before = keeper.server.pid
    keeper.look()
    assert keeper.server.pid == before
    announce(store, "first", "second")
    keeper.look()
    assert keeper.server.pid != before
    assert names(keeper.address) == {"first", "second"}
    assert len(list(keeper.folder.iterdir())) == 1


def test_before_the_first_index_it_answers_with_nothing(keeper):
    keeper.look()
    assert names(keeper.address) == set()


def test_a_bucket_that_is_away_leaves_the_old_index_served(keeper, store, said, monkeypatch):
    announce(store, "first")
    keeper.look()

    def away(_):
        raise ServiceError("the bucket is away")

    monkeypatch.setattr(serving, "index_digest", away)
    keeper.look()
    assert names(keeper.address) == {"first"}
    assert "the bucket is away" in said[-1]


def test_a_server_that_ends_by_itself_ends_the_keeper(keeper, said, monkeypatch):
    monkeypatch.setattr(serving, "_start", lambda *_: subprocess.Popen([sys.executable, "-c", "exit(3)"]))
    monkeypatch.setattr(serving.time, "sleep", lambda _: keeper.server.wait())
    assert keeper.keep(every_s=0) == 1
    assert said[-1] == "rustac ended with 3"
    assert keeper.server is None


def test_without_rustac_the_package_is_named(keeper, monkeypatch):
    monkeypatch.setattr(serving.sys, "executable", "/nowhere/python")
    with pytest.raises(ConfigError, match="install the package rustac"):
        keeper.look()


@pytest.mark.oracle
def test_the_verb_serves_until_it_is_told_to_end_and_leaves_no_server(weed_server, weed, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    announce(weed, "first")
    environment = {**os.environ, **weed_server.environment, "UNDERSKY_STORE": weed.url}
    command = [sys.executable, "-m", "undersky", "catalog", "serve", "--port", str(port), "--folder"]
    process = subprocess.Popen(
        [*command, str(tmp_path / "c"), "--every", "0.1"], env=environment, stderr=subprocess.DEVNULL
    )
    try:
        assert names(f"127.0.0.1:{port}") == {"first"}
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2)

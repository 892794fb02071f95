"""Each real stage, and the flow between them, runs with the keys of an account that may do its work alone."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fixtures_archive import Archive
from fixtures_registry import a_verdict
from fixtures_shelf import Shelf
from fixtures_store import S3Server
from policy_accounts import Hall, Office
from undersky.flow.promote import promote
from undersky.models.package import load_package, shipped
from undersky.refs import Kind
from undersky.services.ledger import Actor, Area, Ledger
from undersky.services.store import Store
from undersky.stages.simulate import Order, request_for, simulate
from undersky.tiles import footprint, geojson

TILE, PROFILE = "32TQM", "copernicus-dataspace"
BY = Actor("test", "test")

pytestmark = pytest.mark.slow


@pytest.fixture
def settings(ledger_url: str, archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What all workers have in common; their keys are nobody's."""
    known = {
        "UNDERSKY_LEDGER": ledger_url,
        "UNDERSKY_SCRATCH": str(tmp_path),
        "UNDERSKY_PROFILES": str(archive.folder.parent / "served" / "profiles"),
        "UNDERSKY_LOG_LEVEL": "error",
        "AWS_ACCESS_KEY_ID": "of-nobody",
        "AWS_SECRET_ACCESS_KEY": "of-nobody",
    }
    for name, value in known.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def hall(weed: Store, weed_server: S3Server, settings: None, capsys: pytest.CaptureFixture[str]) -> Hall:
    """An empty bucket and an empty ledger."""
    return Hall(Office.of(weed, weed_server), capsys)


def announce(archive: Archive, ledger: Ledger) -> None:
    """One small scene lies upstream, and its ground is wanted."""
    day = datetime.now(UTC).date() - timedelta(days=2)
    request = request_for("S2B", tile=TILE, day=day, size_m=3600, theme="fields", cloud_percent=5.0)
    simulate(archive.folder, order=Order(request))
    ground = geojson(footprint(TILE))
    ledger.add_area(Area("fields", ground, ("sentinel-2-l1c",), day, profiles=(PROFILE,)), BY)


def release(ledger: Ledger, store: Store) -> None:
    """The shipped models are champions; their packages lie where the flow's account put them."""
    shelf = Shelf()
    names = {"correction": "physics", "quality": "quality", "landcover": "landcover", "vessels": "vessels"}
    for name, folder in names.items():
        package = load_package(shipped(folder))
        verdict = a_verdict(name, package.digest, package.version, answer="approved", why="a test")
        promote(shelf, ledger, store, shelf.register(shipped(folder), verdict), by=BY)


def test_a_scene_is_ingested_corrected_mapped_and_published(
    hall: Hall, ledger: Ledger, archive: Archive
) -> None:
    announce(archive, ledger)
    release(ledger, hall.office.store("flow"))
    hall.says("flow", "discover")
    href = hall.batch("flow", "ingest")
    hall.done("ingest", href)
    hall.done("validate-l1", href)
    assert hall.says("flow", "settle", href)["counts"] == {"valid": 1}

    hall.says("flow", "pin", "--run", "run-1")
    for kind, stages in {
        Kind.SURFACE: ("correct", "validate-surface"),
        Kind.LANDCOVER: ("map", "validate-map"),
        Kind.VESSELS: ("detect", "validate-objects"),
    }.items():
        href = hall.batch("flow", str(kind), "--run", "run-1")
        for stage in stages:
            hall.done(stage, href)
        [scene] = hall.says("flow", "publish", href)["scenes"]
        assert (scene["state"], scene["new"]) == ("published", True), scene

    [order] = hall.says("flow", "rolling", "claim", "--run", "run-1")["orders"]
    hall.says("roll", "rolling", "stage", "roll", order["order"])
    assert hall.says("flow", "rolling", "publish", order["order"])["state"] == "published"
    assert hall.says("flow", "index")["items"] == 4
    hall.says("flow", "page", "run-1")
    hall.says("flow", "account", "run-1")
    assert hall.says("flow", "ledger", "verify")["orphans"] == []

"""`undersky roll` and `undersky rolling` as a shell sees them."""

import json
from pathlib import Path

import pytest

from tile_maps import TILE, ground, put_map, put_published
from undersky.cli import main
from undersky.services.ledger import Ledger
from undersky.services.store import Store


def _answer(capsys: pytest.CaptureFixture[str]) -> dict:
    return json.loads(capsys.readouterr().out)


def test_maps_roll_into_one_that_says_what_the_ground_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    maps = [put_map(tmp_path, day, ground(code)) for day, code in ((0, 10), (30, 10), (60, 40))]
    assert main(["roll", *map(str, maps), "--out", str(tmp_path / "latest")]) == 0
    assert "ground: tree_cover 100 %" in capsys.readouterr().out
    assert main(["roll", *map(str, maps), "--out", str(tmp_path / "latest"), "--json"]) == 0
    assert _answer(capsys)["was_there"] is True
    assert main(["roll", str(tmp_path), "--out", str(tmp_path / "latest")]) == 3


@pytest.fixture
def settings(ledger_url: str, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment names ledger and store of the test."""
    monkeypatch.setenv("UNDERSKY_LEDGER", ledger_url)
    monkeypatch.setenv("UNDERSKY_STORE", store.url)
    monkeypatch.setenv("UNDERSKY_SCRATCH", str(tmp_path / "scratch"))


@pytest.mark.usefixtures("settings")
def test_the_flow_of_a_tile_by_hand(
    ledger: Ledger, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put_published(ledger, store, put_map(tmp_path, 0, ground(10)), 0)
    assert main(["rolling", "claim", "--run", "by-hand-7", "--json"]) == 0
    [order] = _answer(capsys)["orders"]
    assert (order["tile"], order["maps"]) == (TILE, 1)
    assert main(["rolling", "publish", order["order"]]) == 1, "nobody made it yet"
    assert "stage_died" not in capsys.readouterr().out
    assert main(["rolling", "again", TILE, "--why", "a test"]) == 0
    assert "again" in capsys.readouterr().out
    assert main(["rolling", "claim", "--run", "by-hand-8", "--json"]) == 0
    [order] = _answer(capsys)["orders"]
    assert main(["rolling", "stage", "roll", order["order"]]) == 0
    assert main(["rolling", "publish", order["order"]]) == 0
    capsys.readouterr()
    assert main(["rolling", "list", "--json"]) == 0
    [tile] = _answer(capsys)["tiles"]
    assert (tile["state"], tile["maps"]) == ("built", 1)
    assert main(["rolling", "claim"]) == 0
    assert "every rolling map is of the maps that are published" in capsys.readouterr().out

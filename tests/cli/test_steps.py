"""The light steps as verbs: what they say, to people and machines, and with which exit code."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fixtures_ledger import BY, announcement, claimed, one_valid, outcome, publish, released
from fixtures_shelf import Shelf, a_version
from undersky.cli import main
from undersky.flow.promote import promote
from undersky.refs import Ending, Manifest, ModelRef, Outcome, ReleaseSet, Stage
from undersky.services.ledger import Actor, Ledger
from undersky.services.ledger.schema import REVISIONS
from undersky.services.store import Store

Say = Callable[..., tuple[int, dict[str, object]]]


@pytest.fixture
def say(
    ledger_url: str, store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Say]:
    """Exit code and JSON of a verb, with ledger and store in the settings."""
    monkeypatch.setenv("UNDERSKY_LEDGER", ledger_url)
    monkeypatch.setenv("UNDERSKY_STORE", store.url)
    monkeypatch.delenv("UNDERSKY_S3_ENDPOINT", raising=False)
    monkeypatch.delenv("UNDERSKY_REGISTRY", raising=False)

    def said(*words: str) -> tuple[int, dict[str, object]]:
        capsys.readouterr()
        code = main([*words, "--json"])
        return code, json.loads(capsys.readouterr().out)

    return said


def lay(store: Store, run: str, stage: Stage, *outcomes: Outcome) -> None:
    manifest = Manifest(run=run, batch="000", stage=stage, outcomes=outcomes)
    store.put_json(f"batches/{run}/000/{stage}.json", manifest)


def test_a_scene_goes_through_the_ingest_steps_by_hand(ledger: Ledger, store: Store, say: Say) -> None:
    ledger.announce(announcement(), BY)
    code, claimed_ = say("claim", "ingest", "--run", "by-hand-7")
    href = "s3://undersky-tests/batches/by-hand-7/000/batch.json"
    assert (code, claimed_["run"]) == (0, "by-hand-7")
    assert claimed_["batches"] == [{"scenes": 1, "tiles": "32TQM", "batch": href}]
    [ref] = ledger.holding("by-hand-7")
    lay(store, "by-hand-7", Stage.INGEST, outcome(ref, stage=Stage.INGEST))
    lay(store, "by-hand-7", Stage.VALIDATE_L1, outcome(ref))
    code, settled = say("settle", href)
    assert (code, settled["counts"]) == (0, {"valid": 1})
    code, account = say("account", "by-hand-7")
    assert (code, account["counts"], account["unexpected"]) == (0, {"valid": 1}, [])
    assert ledger.events("by-hand-7")[-1].task.startswith("by-hand (")


def test_a_claim_without_a_name_gets_one_that_is_fit_for_a_key(ledger: Ledger, say: Say) -> None:
    ledger.announce(announcement(), BY)
    _, claimed_ = say("claim", "ingest")
    assert ledger.holding(str(claimed_["run"]))


def test_a_run_is_pinned_by_hand_and_needs_no_registry_for_it(
    ledger: Ledger, store: Store, say: Say, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shelf = Shelf()
    done = promote(shelf, ledger, store, a_version(shelf, tmp_path, "network-1"), by=BY)
    code, pinned = say("pin", "--run", "r")
    assert (code, pinned["run"], pinned["digest"]) == (0, "r", done.release.digest)
    assert ReleaseSet.from_json(store.get("batches/r/release.json")) == done.release
    assert main(["pin", "--run", "r"]) == 0
    text = capsys.readouterr().out
    assert "correction network-1, version 1" in text
    assert "next: undersky claim surface --run r" in text


def test_surface_work_needs_pinned_models(ledger: Ledger, store: Store, say: Say) -> None:
    ref = one_valid(ledger)
    ledger.give_back([ref], BY, "stopped", "x")
    code, error = say("claim", "surface", "--run", "r")
    assert code == 2
    assert "undersky pin --run r" in error["error"]["message"]
    model = ModelRef(
        name="correction", version="1", label="physics-1", digest="m", href="s3://undersky-tests/m"
    )
    store.put_json("batches/r/release.json", ReleaseSet(digest="r1", models=(model,)))
    assert say("claim", "surface", "--run", "r") == (0, {"run": "r", "batches": []})


def test_maps_are_claimed_by_kind_with_the_pinned_models(
    ledger: Ledger, store: Store, say: Say, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(ledger, one_valid(ledger))
    code, error = say("claim", "landcover", "--run", "r")
    assert (code, "undersky pin --run r" in error["error"]["message"]) == (2, True)
    store.put_json("batches/r/release.json", released(correction="physics-1", landcover="cover-1"))
    code, found = say("claim", "landcover", "--run", "r")
    [batch] = found["batches"]
    assert (code, batch["batch"]) == (0, "s3://undersky-tests/batches/r/landcover-000/batch.json")
    assert say("claim", "vessels", "--run", "r") == (0, {"run": "r", "batches": []})
    assert main(["claim", "landcover", "--run", "r"]) == 0
    assert f"next: undersky batch map {batch['batch']}" in capsys.readouterr().out
    code, report = say("publish", str(batch["batch"]))
    assert (code, report["scenes"][0]["state"]) == (0, "given_back")


def test_a_batch_whose_stages_died_is_given_back_and_named(ledger: Ledger, store: Store, say: Say) -> None:
    from undersky.services.ledger import Selection

    ref = one_valid(ledger)
    ledger.give_back([ref], BY, "stopped", "x")
    ledger.retry(Selection(tile="32TQM"), by=BY, why="now")
    store.put_json("batches/r/release.json", ReleaseSet(digest="r1", models=()))
    say("claim", "surface", "--run", "r")
    code, report = say("publish", "s3://undersky-tests/batches/r/000/batch.json")
    assert (code, report["scenes"][0]["state"]) == (0, "given_back")
    code, account = say("account", "r")
    assert code == 1
    assert "stage_died" in account["unexpected"][0]


def test_bad_news_is_said_to_people_too(ledger: Ledger, say: Say, capsys: pytest.CaptureFixture[str]) -> None:
    ledger.announce(announcement(), BY)
    [ref] = claimed(ledger, by=Actor("r"))
    ledger.settle(ref, outcome(ref, Ending.FAILED, "crashed"), Actor("r"))
    assert main(["account", "r"]) == 1
    assert f"! {ref.acquisition} failed, crashed: crashed was found" in capsys.readouterr().out


def test_verify_exits_by_whether_ledger_and_store_agree(ledger: Ledger, store: Store, say: Say) -> None:
    href = publish(ledger, one_valid(ledger))
    code, found = say("ledger", "verify")
    assert (code, found["missing"]) == (1, [store.key(href)])
    store.put(store.key(href), b"{}", content_type="application/geo+json")
    assert say("ledger", "verify")[0] == 0
    store.put("stac/c/2025/06/scene/stranger.json", b"{}", content_type="application/geo+json")
    code, found = say("ledger", "verify")
    assert (code, found["orphans"]) == (1, ["stac/c/2025/06/scene/stranger.json"])


def test_migrate_says_the_revision_and_may_be_said_again(
    empty_url: str, monkeypatch: pytest.MonkeyPatch, say: Say
) -> None:
    monkeypatch.setenv("UNDERSKY_LEDGER", empty_url)
    code, error = say("account", "r")
    assert code == 2
    assert "undersky ledger migrate" in error["error"]["message"]
    assert say("ledger", "migrate") == say("ledger", "migrate") == (0, {"schema": REVISIONS[-1]})
    assert say("account", "r")[0] == 0


def test_discover_with_no_area_asks_nobody(ledger: Ledger, say: Say) -> None:
    code, found = say("discover")
    assert (code, found["searches"], found["failures"]) == (0, 0, [])


def test_index_says_whether_anything_changed(ledger: Ledger, say: Say) -> None:
    code, first = say("index")
    assert (code, first["items"]) == (0, 0)
    assert say("index")[1]["changed"] is False


@pytest.mark.parametrize("words", [("pin",), ("settle", "s3://undersky-tests/batches/x/000/batch.json")])
def test_what_is_missing_is_named(ledger: Ledger, say: Say, words: tuple[str, ...]) -> None:
    code, error = say(*words)
    assert code == 2
    assert any(part in error["error"]["message"] for part in ("undersky model bootstrap", "is not there"))


@pytest.mark.parametrize(
    "verb", ["discover", "pin", "claim", "settle", "publish", "account", "index", "ledger migrate"]
)
def test_help_teaches_by_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*verb.split(), "--help"])
    assert ended.value.code == 0
    assert f"example:\n  undersky {verb}" in capsys.readouterr().out

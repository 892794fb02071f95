"""`undersky model` as a shell sees it: what is said to people and machines, and with which exit code."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from fixtures_registry import a_verdict
from fixtures_shelf import Shelf, a_package, a_version
from undersky.cli import main
from undersky.judgement import Finding, GateOutcome, Verdict
from undersky.services.ledger import Ledger
from undersky.services.store import Store
from undersky.stages.judge import FirstOptions

Say = Callable[..., tuple[int, dict[str, object]]]

VERBS = (
    *(
        "accounts",
        "bootstrap",
        "submit",
        "list",
        "show",
        "compare",
        "approve",
        "reject",
        "promote",
        "rollback",
        "stage",
    ),
)


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch) -> Shelf:
    """The registry of the settings."""
    made = Shelf()
    monkeypatch.setattr("undersky.services.opened.open_registry", lambda *_: made)
    return made


@pytest.fixture
def run(
    ledger_url: str, store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Exit code, output and complaint of a verb."""
    monkeypatch.setenv("UNDERSKY_LEDGER", ledger_url)
    monkeypatch.setenv("UNDERSKY_STORE", store.url)
    monkeypatch.delenv("UNDERSKY_S3_ENDPOINT", raising=False)
    monkeypatch.setenv("COLUMNS", "300")

    def ran(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([str(word) for word in words])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return ran


@pytest.fixture
def say(run: Callable[..., tuple[int, str, str]]) -> Say:
    """Exit code and JSON of `undersky model ...`."""

    def said(*words: object) -> tuple[int, dict[str, object]]:
        code, out, _ = run("model", *words, "--json")
        return code, json.loads(out)

    return said


@pytest.mark.parametrize("verb", VERBS)
def test_help_teaches_by_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["model", verb, "--help"])
    text = capsys.readouterr().out
    assert ended.value.code == 0
    assert f"example:\n  undersky model {verb}" in text
    assert "--json" in text


def test_help_of_the_group_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["model", "--help"])
    text = capsys.readouterr().out
    assert all(verb in text for verb in VERBS)


def test_a_version_goes_from_review_to_champion_by_hand(shelf, ledger: Ledger, say: Say, tmp_path) -> None:
    version = a_version(shelf, tmp_path, "network-1", answer=None)
    code, approved = say("approve", "1", "--why", "sharper over towns")
    assert (code, approved["sentence"]) == (0, "version 1 of correction is approved")
    verdict = shelf.read_verdict(shelf.version("correction", "1"))
    assert (verdict.digest, verdict.via) == (approved["verdict"], "command line")
    code, promoted = say("promote", "1")
    assert (code, promoted["changed"]) == (0, True)
    assert promoted["release"] == ledger.release().digest
    assert ledger.release().release.model("correction").digest == version.digest
    assert ledger.release().run == verdict.by
    assert say("promote", "1")[1]["changed"] is False


def test_the_second_answer_exits_2_and_tells_the_first(shelf, ledger: Ledger, say: Say, tmp_path) -> None:
    a_version(shelf, tmp_path, "network-1", answer=None)
    assert say("reject", "1", "--why", "halo along the coast")[0] == 0
    code, error = say("approve", "1", "--why", "it was the tide")
    assert code == 2
    assert "answered before: rejected: halo along the coast" in error["error"]["message"]
    assert shelf.version("correction", "1").answer == "rejected"


def test_a_refusal_without_a_reason_exits_2(shelf, ledger: Ledger, say: Say, tmp_path) -> None:
    a_version(shelf, tmp_path, "network-1", answer=None)
    code, error = say("reject", "1")
    assert (code, error["error"]["reason"]) == (2, "ConfigError")
    assert "a refusal needs a reason" in error["error"]["message"]


def test_an_approval_against_the_gate_needs_a_reason(shelf, ledger: Ledger, say: Say, tmp_path) -> None:
    a_version(shelf, tmp_path, "network-1", answer=None, outcome=GateOutcome.FAIL)
    code, error = say("approve", "1")
    assert code == 2
    assert "the gate says fail" in error["error"]["message"]
    assert say("approve", "1", "--why", "the suite is wrong there")[0] == 0


def test_what_nobody_approved_is_not_promoted(shelf, ledger: Ledger, say: Say, tmp_path) -> None:
    a_version(shelf, tmp_path, "network-1", answer=None)
    code, error = say("promote", "1")
    assert (code, error["error"]["reason"]) == (3, "model_refused")
    assert ledger.release() is None


@pytest.mark.parametrize("words", [("show", "99"), ("approve", "99"), ("promote", "99")])
def test_a_version_that_is_not_there_exits_2(shelf, ledger: Ledger, say: Say, words) -> None:
    code, error = say(*words)
    assert code == 2
    assert "version 99" in error["error"]["message"]


def test_a_rollback_tells_what_it_marked_and_what_making_again_would_take(
    shelf, ledger: Ledger, store: Store, say: Say, tmp_path
) -> None:
    first, second = (a_version(shelf, tmp_path, label) for label in ("network-1", "network-2"))
    say("promote", first.number)
    say("promote", second.number)
    code, done = say("rollback", "--why", "halo along the coast")
    assert code == 0
    assert (done["champion"], done["withdrawn"]) == ("network-1", "network-2")
    assert (done["deprecated"], done["offer"]) == (0, "")
    assert done["remake"] == {"scenes": 0, "hours": 0.0, "bytes": 0}
    assert ledger.release().kind == "rollback"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("rollback", "--why", " "), "needs a reason"),
        (("rollback", "--why", "x"), "no version of correction was released yet"),
        (("rollback", "landcover", "--why", "x"), "no version of landcover was released yet"),
    ],
)
def test_a_rollback_that_cannot_be_exits_2(shelf, ledger: Ledger, say: Say, words, message) -> None:
    code, error = say(*words)
    assert code == 2
    assert message in error["error"]["message"]


def test_a_rollback_without_why_is_a_wrong_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["model", "rollback"])
    assert ended.value.code == 2
    assert "--why" in capsys.readouterr().err


def test_the_list_shows_every_version_and_reads_a_reason_as_it_was_written(
    shelf, ledger: Ledger, run, say: Say, tmp_path
) -> None:
    a_version(shelf, tmp_path, "network-1", answer=None)
    say("reject", "1", "--why", "[/bold] halo [red]")
    a_version(shelf, tmp_path, "network-2", answer=None, outcome=GateOutcome.FAIL)
    shelf.set_alias(shelf.version("correction", "1"), "candidate")
    code, found = say("list")
    assert code == 0
    assert [(row["version"], row["aliases"], row["gate"], row["answer"]) for row in found["versions"]] == [
        ("1", "candidate", "pass", "rejected"), ("2", "", "fail", ""),
    ]  # fmt: skip
    code, out, _ = run("model", "list")
    assert code == 0
    assert "[/bold] halo [red]" in out
    assert say("list", "landcover") == (0, {"versions": []})


def test_one_version_is_shown_with_judgement_and_verdict(shelf, ledger: Ledger, run, say, tmp_path) -> None:
    finding = Finding(
        suite="direct-6s", dimension="surface", value="urban", metric="rmse", scenes=12, tolerance=0.001,
        outcome=GateOutcome.PASS, sentence="over [urban] no worse",
    )  # fmt: skip
    a_version(shelf, tmp_path, "network-1", answer=None, findings=(finding,))
    code, found = say("show", "1")
    assert (code, found["verdict"], found["judgement"]["outcome"]) == (0, None, "pass")
    assert found["page"].endswith("/models/correction/versions/1")
    say("approve", "1", "--why", "sharper [sic]")
    code, out, _ = run("model", "show", "1")
    assert code == 0
    assert "pass: nowhere worse" in out
    assert "over [urban] no worse" in out
    assert "approved: sharper [sic] (" in out
    assert say("show", "1")[1]["verdict"]["why"] == "sharper [sic]"


def test_bootstrap_says_so_where_something_is_released(shelf, ledger, run, say, tmp_path) -> None:
    a_version(shelf, tmp_path, "network-1")
    say("promote", "1")
    code, found = say("bootstrap", "correction", "--suite", "no such suite: nothing is evaluated")
    [only] = found["models"]
    assert (code, only["model"], only["changed"], only["label"]) == (0, "correction", False, "network-1")
    assert "nothing was changed" in run("model", "bootstrap", "correction")[1]


def test_bootstrap_releases_every_kind_in_the_order_of_the_flow(
    shelf, ledger: Ledger, say, monkeypatch, tmp_path
) -> None:
    kinds = ["correction", "quality", "landcover", "vessels"]
    packages = {kind: a_package(tmp_path, f"{kind}-1", name=kind) for kind in kinds}

    def judge(options: FirstOptions) -> tuple[Verdict, str]:
        package = packages[str(options.model or "correction")]
        return a_verdict(package.name, package.digest, package.version, via="bootstrap"), "| tables |"

    def folder(options: FirstOptions) -> Path:
        return tmp_path / f"{options.model or 'correction'}-1"

    monkeypatch.setattr("undersky.stages.judge.judge", judge)
    monkeypatch.setattr("undersky.stages.judge.judged_folder", folder)
    code, found = say("bootstrap", "--limit", "2")
    assert code == 0
    assert [(each["model"], each["changed"]) for each in found["models"]] == [(k, True) for k in kinds]
    record = ledger.release()
    assert record is not None
    assert {model.name for model in record.release.models} == set(kinds)
    assert [each["changed"] for each in say("bootstrap")[1]["models"]] == [False] * 4


def test_a_package_of_another_kind_than_was_named_is_refused(shelf, ledger, say, tmp_path) -> None:
    a_package(tmp_path, "own-1", name="vessels")
    code, error = say("bootstrap", "landcover", "--model", tmp_path / "own-1")
    assert code == 2
    assert "is a package of vessels, and landcover was named" in error["error"]["message"]


def test_submitted_weights_tell_how_to_go_on(store: Store, run, say: Say, tmp_path) -> None:
    package = a_package(tmp_path, "network-1", recipe={"name": "default"}, dataset_digest="cd" * 32)
    words = ("submit", tmp_path / "network-1", "--recipe", "default", "--dataset", "cd" * 6)
    code, found = say(*words)
    assert (code, found["digest"]) == (0, package.digest)
    form = {"model": "correction", "begin": "evaluate", "weights": package.digest[:12]}
    assert json.loads(found["trigger"]) == form
    assert store.find(f"candidates/correction/{package.digest}/package.json") is not None
    assert "next: trigger model_release with" in run("model", *words)[1]


@pytest.mark.parametrize(("recipe", "dataset"), [("other", "cd" * 6), ("default", "ab" * 6)])
def test_weights_that_say_another_origin_exit_3(store: Store, say: Say, tmp_path, recipe, dataset) -> None:
    a_package(tmp_path, "network-1", recipe={"name": "default"}, dataset_digest="cd" * 32)
    code, error = say("submit", tmp_path / "network-1", "--recipe", recipe, "--dataset", dataset)
    assert (code, error["error"]["reason"]) == (3, "model_refused")
    assert list(store.list("candidates/")) == []


def test_a_stage_without_its_order_exits_2(store: Store, say: Say) -> None:
    code, error = say("stage", "evaluate", "s3://undersky-tests/releases/none/order.json")
    assert code == 2
    assert "order.json" in error["error"]["message"]


def test_without_a_registry_the_setting_is_named(ledger_url: str, monkeypatch, say: Say) -> None:
    monkeypatch.delenv("UNDERSKY_REGISTRY", raising=False)
    code, error = say("list")
    assert code == 2
    assert "UNDERSKY_REGISTRY" in error["error"]["message"]

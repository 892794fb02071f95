"""`undersky campaign` as a shell sees it: what is said to people and machines, and with which exit code."""

import json
from collections.abc import Callable

import pytest

from fixtures_ledger import BY, map_of, one_valid, publish, released, want
from undersky.cli import main
from undersky.flow.promote import release_set
from undersky.refs import ModelRef
from undersky.services.ledger import CampaignState, Ledger

Say = Callable[..., tuple[int, dict[str, object]]]

VERBS = ("propose", "list", "start", "pause", "abort", "resize")
NEW = ModelRef(
    name="correction", version="4", label="network-1", digest="ab" * 32, href="s3://undersky-tests/models/y"
)


@pytest.fixture
def say(ledger_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Say:
    """Exit code and JSON of `undersky campaign ...`."""
    monkeypatch.setenv("UNDERSKY_LEDGER", ledger_url)

    def said(*words: str) -> tuple[int, dict[str, object]]:
        capsys.readouterr()
        code = main(["campaign", *words, "--json"])
        return code, json.loads(capsys.readouterr().out)

    return said


@pytest.fixture
def filled(ledger: Ledger) -> Ledger:
    """Two products of `physics-1`, and `network-1` released since."""
    for number in range(2):
        publish(ledger, one_valid(ledger, number), f"d{number}")
    ledger.set_release(release_set([NEW]), kind="bootstrap", why="first", by=BY, seen=None)
    return ledger


@pytest.mark.parametrize("verb", VERBS)
def test_help_teaches_by_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["campaign", verb, "--help"])
    text = capsys.readouterr().out
    assert ended.value.code == 0
    assert f"example:\n  undersky campaign {verb}" in text
    assert "--json" in text


def test_a_campaign_is_proposed_started_paused_resized_and_aborted(filled: Ledger, say: Say) -> None:
    code, found = say("propose", "june", "--model", "physics-1", "--why", "new champion")
    assert (code, found["state"], found["estimate"]["scenes"]) == (0, "proposed", 2)
    assert (found["at_once"], found["budget_hours"]) == (20, None)
    assert say("start", "june")[1]["state"] == "running"
    assert say("pause", "june", "--why", "the disk is full")[1]["sentence"] == "the disk is full"
    code, found = say("resize", "june", "--at-once", "3", "--budget-hours", "2.5")
    assert (code, found["at_once"], found["budget_hours"]) == (0, 3, 2.5)
    assert say("abort", "june", "--why", "wrong month")[1]["state"] == "aborted"
    assert filled.campaign("june").state is CampaignState.ABORTED


def test_days_tile_and_area_say_which(filled: Ledger, say: Say) -> None:
    words = ("--area", "valley", "--tile", "t32tqm", "--from", "2025-06-19", "--until", "2025-06-19")
    code, found = say("propose", "june", *words, "--why", "new champion")
    assert (code, found["estimate"]["scenes"]) == (0, 2)
    assert found["selection"]["sensed_from"] == "2025-06-19"
    code, found = say("propose", "july", "--from", "2025-07-01", "--why", "new champion")
    assert (code, found["estimate"]["scenes"]) == (0, 0)


def test_a_campaign_is_of_the_kind_that_is_said_or_that_the_model_made(ledger: Ledger, say: Say) -> None:
    publish(ledger, one_valid(ledger))
    [ref] = want(ledger)
    publish(ledger, ref, made=map_of(ref))
    now = released(correction="network-1", landcover="cover-2")
    ledger.set_release(now, kind="bootstrap", why="first", by=BY, seen=None)
    _, by_model = say("propose", "covers", "--model", "cover-1", "--why", "better")
    assert (by_model["selection"]["kind"], by_model["estimate"]["hours"]) == ("landcover", 0.5)
    _, by_kind = say("propose", "again", "--kind", "landcover", "--tile", "32TQM", "--why", "better")
    assert (by_kind["selection"]["kind"], by_kind["estimate"]["scenes"]) == ("landcover", 1)


def test_the_list_says_how_far_each_is(filled: Ledger, say: Say, capsys: pytest.CaptureFixture[str]) -> None:
    assert say("list") == (0, {"campaigns": []})
    assert main(["campaign", "list"]) == 0
    assert "no campaign was proposed yet" in capsys.readouterr().out
    say("propose", "june", "--model", "physics-1", "--why", "new [champion]")
    (row,) = say("list")[1]["campaigns"]
    assert (row["name"], row["progress"]["left"]) == ("june", 2)
    assert main(["campaign", "list"]) == 0
    assert "june is proposed: 0 published" in (out := capsys.readouterr().out)
    assert "new [champion]" in out


def test_people_are_told_what_it_would_take_and_how_to_go_on(
    filled: Ledger, say: Say, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["campaign", "propose", "june", "--model", "physics-1", "--why", "new"]) == 0
    assert capsys.readouterr().out == (
        "june: 2 scenes, about 0.0 compute hours and 0.00 GB\n  next: undersky campaign start june\n"
    )
    assert main(["campaign", "start", "june"]) == 0
    assert capsys.readouterr().out == "june is running\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("propose", "june", "--why", "x"), "over everything is refused"),
        (("propose", "June", "--tile", "32TQM", "--why", "x"), "no name of a campaign"),
        (("propose", "june", "--tile", "32TQM", "--why", " "), "needs a reason"),
        (("propose", "june", "--tile", "Bern", "--why", "x"), "Bern"),
        (("propose", "june", "--from", "June", "--why", "x"), "'June' is no day"),
        (("propose", "june", "--tile", "32TQM", "--why", "x", "--at-once", "0"), "lets nothing through"),
        (("start", "july"), "no campaign is called 'july'"),
        (("pause", "july"), "say why"),
        (("abort", "july", "--why", "x"), "no campaign is called 'july'"),
        (("resize", "july", "--at-once", "3"), "no campaign is called 'july'"),
    ],
)
def test_what_cannot_be_exits_2_with_the_cure(filled: Ledger, say: Say, words, message: str) -> None:
    code, error = say(*words)
    assert code == 2
    assert message in error["error"]["message"]


def test_before_anything_was_released_the_verb_is_named(ledger: Ledger, say: Say) -> None:
    code, error = say("propose", "june", "--tile", "32TQM", "--why", "x")
    assert code == 2
    assert "undersky model bootstrap" in error["error"]["message"]


def test_without_a_ledger_the_setting_is_named(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UNDERSKY_LEDGER")
    code, error = say("list")
    assert code == 2
    assert "UNDERSKY_LEDGER" in error["error"]["message"]

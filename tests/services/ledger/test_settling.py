"""Where an acquisition stands after its stages."""

import os
import signal
import subprocess
import sys

import pytest

from fixtures_ledger import BY, announcement, claimed, ingested, one_valid, outcome
from undersky.refs import Ending, Lane, SceneRef, Stage
from undersky.services.ledger import AcquisitionState, Actor, LeaseLost, Ledger, ProductState, Story


def one_claimed(ledger: Ledger, **changes: object) -> SceneRef:
    ledger.announce(announcement(**changes), BY)
    return claimed(ledger)[0]


def told(ledger: Ledger, ref: SceneRef) -> Story:
    story = ledger.story(ref.acquisition)
    assert story is not None
    return story


def test_a_good_scene_becomes_valid_and_its_product_wanted(ledger: Ledger) -> None:
    ref = one_claimed(ledger)
    assert ledger.settle(ref, outcome(ref), BY) == AcquisitionState.VALID
    story = told(ledger, ref)
    assert (story.acquisition.lease, story.acquisition.l1) == (None, ingested().files)
    [product] = story.products
    assert (product.state, product.kind, product.lane, product.scene) == (
        "wanted",
        "surface",
        "fresh",
        ref.scene,
    )
    path = [(event.before, event.after) for event in story.history]
    assert path[-3:] == [("discovered", "ingested"), ("ingested", "valid"), (None, "wanted")]


def test_saying_it_twice_changes_nothing(ledger: Ledger) -> None:
    ref = one_claimed(ledger)
    ledger.settle(ref, outcome(ref), BY)
    before = told(ledger, ref)
    assert ledger.settle(ref, outcome(ref), Actor("run-1", "settle", 2)) == AcquisitionState.VALID
    assert told(ledger, ref) == before


@pytest.mark.parametrize(
    ("ending", "state"),
    [
        (Ending.QUARANTINED, AcquisitionState.QUARANTINED),
        (Ending.SKIPPED, AcquisitionState.SKIPPED),
        (Ending.FAILED, AcquisitionState.FAILED),
        (Ending.HELD, AcquisitionState.QUARANTINED),
    ],
)
def test_other_endings_stand_with_reason_and_sentence(
    ledger: Ledger, ending: Ending, state: AcquisitionState
) -> None:
    ref = one_claimed(ledger)
    assert ledger.settle(ref, outcome(ref, ending, "band_missing"), BY) == state
    row = told(ledger, ref).acquisition
    assert (row.state, row.reason, row.sentence) == (state, "band_missing", "band_missing was found")
    assert (row.lease, row.log) == (None, "https://airflow/log/1")
    assert told(ledger, ref).products == ()
    assert claimed(ledger) == []


def test_a_scene_that_is_home_but_not_judged_keeps_its_lease(ledger: Ledger) -> None:
    ref = one_claimed(ledger)
    assert ledger.settle(ref, outcome(ref, stage=Stage.INGEST), BY) == AcquisitionState.INGESTED
    assert ledger.holding("run-1") == [ref]
    assert ledger.settle(ref, outcome(ref, ingested=None), BY) == AcquisitionState.VALID


def test_a_scene_that_is_home_when_it_is_given_back_is_claimed_for_the_rest(ledger: Ledger) -> None:
    ref = one_claimed(ledger)
    assert ledger.settle(ref, outcome(ref, Ending.RETRY, "service_failed"), BY) == AcquisitionState.INGESTED
    row = told(ledger, ref).acquisition
    assert (row.tries, row.not_before is not None, row.lease) == (1, True, None)
    with pytest.raises(LeaseLost):
        ledger.settle(ref, outcome(ref), BY)


def test_a_historical_scene_wants_a_historical_product(ledger: Ledger) -> None:
    ledger.announce(announcement(lane=Lane.HISTORICAL), BY)
    [ref] = claimed(ledger, lane=Lane.HISTORICAL)
    ledger.settle(ref, outcome(ref), BY)
    assert claimed(ledger, "surface") == []
    assert len(claimed(ledger, "surface", lane=Lane.HISTORICAL)) == 1


def test_a_second_valid_delivery_wants_one_product_more(ledger: Ledger) -> None:
    one_valid(ledger, scene="old", baseline="05.10")
    ledger.announce(announcement(), BY)
    [ref] = claimed(ledger)
    ledger.settle(ref, outcome(ref), BY)
    states = [product.state for product in told(ledger, ref).products]
    assert states == [ProductState.WITHDRAWN, ProductState.WANTED]


@pytest.mark.faults
@pytest.mark.parametrize("step", ["move_acquisition", "want_surface"])
def test_a_settle_that_is_cut_off_has_written_nothing(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    from undersky.services.ledger import settling

    ref = one_claimed(ledger)
    before = told(ledger, ref)
    real, calls = getattr(settling, step), []

    def cut(*arguments: object, **values: object) -> object:
        done = real(*arguments, **values)
        calls.append(done)
        if step == "want_surface" or len(calls) == 2:
            raise KeyboardInterrupt  # after the statements, before the commit
        return done

    with monkeypatch.context() as patch:
        patch.setattr(settling, step, cut)
        with pytest.raises(KeyboardInterrupt):
            ledger.settle(ref, outcome(ref), BY)
    assert told(ledger, ref) == before
    assert ledger.settle(ref, outcome(ref), BY) == AcquisitionState.VALID
    assert len(told(ledger, ref).products) == 1


CHILD = """
import os, signal, sys
from undersky.refs import Outcome, SceneRef
from undersky.services.ledger import Actor, Ledger, settling

real = settling.want_surface

def die(*arguments, **values):
    real(*arguments, **values)
    os.kill(os.getpid(), signal.SIGKILL)

settling.want_surface = die
ref, said = SceneRef.from_json(sys.argv[2]), Outcome.from_json(sys.argv[3])
Ledger.open(sys.argv[1]).settle(ref, said, Actor("run-1"))
"""


@pytest.mark.faults
def test_a_process_killed_before_its_commit_has_written_nothing(ledger: Ledger, ledger_url: str) -> None:
    ref = one_claimed(ledger)
    before = told(ledger, ref)
    words = [sys.executable, "-c", CHILD, ledger_url, ref.to_json(), outcome(ref).to_json()]
    paths = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run(words, env=paths, check=False).returncode == -signal.SIGKILL
    assert told(ledger, ref) == before
    assert ledger.settle(ref, outcome(ref), BY) == AcquisitionState.VALID

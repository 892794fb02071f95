"""An ingest batch is settled: scene by scene, from what its stages left in the store."""

import pytest

from fixtures_ledger import BY, LEASE, announcement, claimed, outcome
from undersky.errors import ServiceError
from undersky.flow.claim import claim, read_batch
from undersky.flow.settle import last_outcome, settle
from undersky.refs import Ending, Lane, Manifest, Outcome, SceneRef, Stage
from undersky.services.ledger import AcquisitionState, Actor, Ledger
from undersky.services.store import Store


def batch_of(ledger: Ledger, store: Store, number: int) -> tuple[str, list[SceneRef]]:
    for each in range(number):
        ledger.announce(announcement(each), BY)
    [href] = claim(
        ledger,
        store,
        work="ingest",
        lane=Lane.FRESH,
        run="run-1",
        by=BY,
        limit=99,
        batch_scenes=99,
        lease=LEASE,
    )
    return href, list(read_batch(store, href).scenes)


def fetched(ref: SceneRef, ending: Ending = Ending.DONE, reason: str = "ok") -> Outcome:
    return outcome(ref, ending, reason, stage=Stage.INGEST, judged=None)


def lay(store: Store, stage: Stage, *outcomes: Outcome) -> None:
    manifest = Manifest(run="run-1", batch="000", stage=stage, outcomes=outcomes)
    store.put_json(f"batches/run-1/000/{stage}.json", manifest)


def state(ledger: Ledger, ref: SceneRef) -> tuple[str, str]:
    story = ledger.story(ref.acquisition)
    assert story is not None
    return story.acquisition.state, story.acquisition.reason


def test_each_scene_stands_where_its_last_outcome_puts_it(ledger: Ledger, store: Store) -> None:
    href, (valid, cloudy, broken, later, mute) = batch_of(ledger, store, 5)
    done = [fetched(ref) for ref in (valid, cloudy, broken)]
    lay(store, Stage.INGEST, *done, fetched(later, Ending.RETRY, "service_failed"))
    lay(
        store,
        Stage.VALIDATE_L1,
        outcome(valid, ingested=None),
        outcome(cloudy, Ending.SKIPPED, "too_cloudy"),
        outcome(broken, Ending.QUARANTINED, "band_missing"),
    )
    report = settle(ledger, store, href, BY)
    assert [scene.state for scene in report.scenes] == [
        *("valid", "skipped", "quarantined", "given_back", "given_back"),
    ]
    assert report.counts() == {"given_back": 2, "quarantined": 1, "skipped": 1, "valid": 1}
    assert state(ledger, valid) == ("valid", "valid")
    assert state(ledger, broken) == ("quarantined", "band_missing")
    assert state(ledger, later) == ("discovered", "service_failed") or state(ledger, later)[0] == "ingested"
    assert state(ledger, mute) == ("discovered", "stage_died")
    assert ledger.holding("run-1") == []


def test_settling_again_changes_nothing(ledger: Ledger, store: Store) -> None:
    href, (valid, quarantined) = batch_of(ledger, store, 2)
    lay(store, Stage.INGEST, fetched(valid), fetched(quarantined))
    judged = outcome(quarantined, Ending.QUARANTINED, "all_nodata")
    lay(store, Stage.VALIDATE_L1, outcome(valid), judged)
    first = settle(ledger, store, href, BY)
    stories = [ledger.story(ref.acquisition) for ref in (valid, quarantined)]
    assert settle(ledger, store, href, Actor("run-1", "settle", 2)) == first
    assert [ledger.story(ref.acquisition) for ref in (valid, quarantined)] == stories


def test_a_scene_that_was_taken_over_is_reported_and_left_alone(ledger: Ledger, store: Store) -> None:
    href, (ref, fine) = batch_of(ledger, store, 2)
    lay(store, Stage.INGEST, fetched(ref), fetched(fine))
    lay(store, Stage.VALIDATE_L1, outcome(ref), outcome(fine))
    ledger.announce(announcement(1, scene="newer", baseline="05.12"), BY)
    report = settle(ledger, store, href, BY)
    assert [(scene.state, scene.reason) for scene in report.scenes] == [
        ("lost", "lease_lost"),
        ("valid", "ok"),
    ]
    assert state(ledger, ref) == ("discovered", "newer_delivery")
    assert [each.scene for each in claimed(ledger)] == ["newer"]


def test_outcomes_of_a_stage_that_died_before_its_manifest_count(ledger: Ledger, store: Store) -> None:
    href, (one, two) = batch_of(ledger, store, 2)
    store.put_json(f"batches/run-1/000/ingest/{one.acquisition}.json", fetched(one))
    store.put_json(f"batches/run-1/000/validate-l1/{one.acquisition}.json", outcome(one))
    report = settle(ledger, store, href, BY)
    assert [scene.state for scene in report.scenes] == ["valid", "given_back"]
    assert state(ledger, two) == ("discovered", "stage_died")


def test_a_scene_that_is_home_but_was_not_judged_is_given_back_as_it_is(ledger: Ledger, store: Store) -> None:
    href, (ref,) = batch_of(ledger, store, 1)
    lay(store, Stage.INGEST, fetched(ref))
    [scene] = settle(ledger, store, href, BY).scenes
    assert (scene.state, scene.reason) == ("given_back", "stage_died")
    assert "its validation died" in scene.sentence
    assert state(ledger, ref) == ("ingested", "stage_died")


def test_a_judgement_from_before_another_try_of_ingest_does_not_count() -> None:
    ref = SceneRef(acquisition="a", scene="s", collection="c", tile="t", sensed=announcement().sensed)
    again = fetched(ref, Ending.RETRY, "service_failed")
    assert last_outcome(again, outcome(ref)) == again
    assert last_outcome(None, outcome(ref)) is None


def test_tries_that_are_used_up_are_reported_as_failed(ledger_url: str, store: Store) -> None:
    ledger = Ledger.open(ledger_url, max_tries=1)
    href, (ref,) = batch_of(ledger, store, 1)
    lay(store, Stage.INGEST, fetched(ref, Ending.RETRY, "out_of_memory"))
    [scene] = settle(ledger, store, href, BY).scenes
    assert scene.state == AcquisitionState.FAILED
    assert state(ledger, ref) == ("failed", "out_of_memory")
    ledger.close()


@pytest.mark.faults
@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_settle_killed_between_scenes_is_ended_by_the_next(
    ledger: Ledger, store: Store, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    href, refs = batch_of(ledger, store, 3)
    lay(store, Stage.INGEST, *(fetched(ref) for ref in refs))
    lay(store, Stage.VALIDATE_L1, *(outcome(ref) for ref in refs))
    real, calls = Ledger.settle, []

    def cut(self: Ledger, ref: SceneRef, said: Outcome, by: Actor) -> AcquisitionState:
        if len(calls) == after:
            raise ServiceError("the ledger went away")
        calls.append(ref)
        return real(self, ref, said, by)

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "settle", cut)
        with pytest.raises(ServiceError):
            settle(ledger, store, href, BY)
    assert settle(ledger, store, href, BY).counts() == {"valid": 3}
    assert len(ledger.holding("run-1")) == 0
    assert sum(len(ledger.story(ref.acquisition).products) for ref in refs) == 3

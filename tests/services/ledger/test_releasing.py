"""Release sets: one after the other, each with its reason; what a rollback withdraws, a promotion returns."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from fixtures_ledger import BY
from undersky.errors import ConfigError, ServiceError
from undersky.refs import ModelRef, ReleaseSet
from undersky.services.ledger import Actor, Ledger, ReleaseKind, ReleaseRecord

ANN = Actor("ann", "promote", log="https://airflow/log/7")


def model(label: str, name: str = "correction") -> ModelRef:
    return ModelRef(
        name=name, version="1", label=label, digest=f"digest-{label}", href=f"s3://undersky/models/{label}"
    )


ONE, TWO, THREE = model("physics-1"), model("physics-2"), model("physics-3")
CLOUDS = model("clouds-1", "cloud")


def release(*models: ModelRef) -> ReleaseSet:
    return ReleaseSet(digest="+".join(each.label for each in models), models=models)


def step(ledger: Ledger, kind: ReleaseKind, *models: ModelRef, **changes: object) -> ReleaseRecord:
    """As the flow does: looks, then sets."""
    newest = ledger.release()
    fields = {"why": f"{kind} it is", "by": ANN, "seen": newest.id if newest else None} | changes
    return ledger.set_release(release(*models), kind=kind, **fields)


def test_before_the_first_there_is_none(ledger: Ledger) -> None:
    assert ledger.release() is None
    assert ledger.releases() == ()
    assert ledger.withdrawn_models() == {}
    assert ledger.withdrawn_release("physics-1") is None


def test_the_newest_release_set_is_the_one_in_use(ledger: Ledger) -> None:
    first = step(ledger, "bootstrap", ONE)
    second = step(ledger, "promotion", TWO, CLOUDS, why="sharper over towns")
    assert ledger.release() == second
    assert ledger.releases() == (second, first)
    assert ledger.releases(limit=1) == (second,)
    assert second.release == release(TWO, CLOUDS)
    assert (second.digest, second.kind, second.why) == (
        "physics-2+clouds-1",
        "promotion",
        "sharper over towns",
    )
    assert (second.run, second.task, second.log) == ("ann", "promote", ANN.log)
    assert (second.withdrawn, second.time > first.time) == (None, True)


def test_the_same_step_said_again_is_one_record(ledger: Ledger) -> None:
    first = step(ledger, "bootstrap", ONE)
    second = step(ledger, "promotion", TWO)
    assert step(ledger, "promotion", TWO, seen=first.id) == second
    back = step(ledger, "rollback", ONE, withdrawn=TWO)
    assert step(ledger, "rollback", ONE, withdrawn=TWO, seen=second.id) == back
    assert len(ledger.releases()) == 3


def test_what_is_in_use_already_is_no_other_release(ledger: Ledger) -> None:
    first = step(ledger, "bootstrap", ONE)
    assert step(ledger, "promotion", ONE) == first
    assert len(ledger.releases()) == 1


@pytest.mark.parametrize("seen", [None, 4711])
def test_whoever_looked_too_early_must_look_again(ledger: Ledger, seen: int | None) -> None:
    step(ledger, "bootstrap", ONE)
    with pytest.raises(
        ServiceError, match=r"a bootstrap of .* by ann: another release came between; look again"
    ):
        step(ledger, "promotion", TWO, seen=seen)
    assert len(ledger.releases()) == 1


def test_a_record_that_is_not_there_was_not_seen(ledger: Ledger) -> None:
    with pytest.raises(ServiceError, match="no release set is on record"):
        step(ledger, "bootstrap", ONE, seen=1)


@pytest.mark.faults
def test_of_many_who_release_at_once_one_is_first_and_the_others_look_again(ledger: Ledger) -> None:
    seen = step(ledger, "bootstrap", ONE).id
    gate = threading.Barrier(8)

    def race(number: int) -> bool:
        gate.wait()
        try:
            step(ledger, "promotion", model(f"physics-{number}"), seen=seen)
        except ServiceError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(race, range(2, 10))) == 1
    assert len(ledger.releases()) == 2


def test_a_release_without_a_reason_is_refused(ledger: Ledger) -> None:
    with pytest.raises(ConfigError, match="a bootstrap needs a reason"):
        step(ledger, "bootstrap", ONE, why=" ")


def test_only_a_rollback_withdraws_and_only_what_it_leaves_behind(ledger: Ledger) -> None:
    step(ledger, "bootstrap", ONE)
    with pytest.raises(ConfigError, match="only a rollback does"):
        step(ledger, "promotion", TWO, withdrawn=ONE)
    with pytest.raises(ConfigError, match="choose an earlier one without it"):
        step(ledger, "rollback", ONE, withdrawn=ONE)
    assert len(ledger.releases()) == 1


def test_a_rollback_withdraws_a_model_until_it_is_promoted_again(ledger: Ledger) -> None:
    step(ledger, "bootstrap", ONE)
    step(ledger, "promotion", TWO)
    back = step(ledger, "rollback", ONE, withdrawn=TWO, why="stripes over water")
    assert back.withdrawn == TWO
    assert ledger.withdrawn_models() == {TWO.digest: "stripes over water"}
    step(ledger, "promotion", THREE)
    assert ledger.withdrawn_models() == {TWO.digest: "stripes over water"}
    step(ledger, "promotion", TWO, why="the stripes were the display's")
    assert ledger.withdrawn_models() == {}
    step(ledger, "rollback", THREE, withdrawn=TWO, why="they were not")
    assert ledger.withdrawn_models() == {TWO.digest: "they were not"}


def test_going_back_to_a_model_is_no_promotion_of_it(ledger: Ledger) -> None:
    for label in ("physics-1", "physics-2", "physics-3"):
        step(ledger, "promotion", model(label))
    step(ledger, "rollback", TWO, withdrawn=THREE, why="stripes")
    step(ledger, "rollback", ONE, withdrawn=TWO, why="stripes too")
    assert ledger.withdrawn_models() == {THREE.digest: "stripes", TWO.digest: "stripes too"}


def test_every_release_set_with_a_withdrawn_model_is_withdrawn(ledger: Ledger) -> None:
    step(ledger, "bootstrap", ONE)
    step(ledger, "promotion", TWO)
    step(ledger, "promotion", TWO, CLOUDS)
    step(ledger, "rollback", ONE, CLOUDS, withdrawn=TWO, why="stripes", by=BY)
    reasons = {each.digest: ledger.withdrawn_release(each.digest) for each in ledger.releases()}
    assert reasons == {
        "physics-1": None,
        "physics-2": "stripes",
        "physics-2+clouds-1": "stripes",
        "physics-1+clouds-1": None,
    }
    assert ledger.withdrawn_release("of another ledger") is None

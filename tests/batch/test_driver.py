"""One stage over one batch: isolation, resumption, bookkeeping, signals."""

import errno
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from scene_batches import Log, bare_ref, ingest, put_batch
from undersky.batch.driver import Context, Running, Trouble, exit_code, run_batch
from undersky.errors import ConfigError, DataError, Reason, ServiceError
from undersky.refs import Ending, Ingested, Judged, Made, Manifest, Outcome, SceneRef, Stage
from undersky.services.store import Store

REFS = tuple(bare_ref(number) for number in range(3))
TEMPLATE = b'{"run":"r","name":"0","lane":"fresh","scenes":[%s]}'
FIRST, SECOND, THIRD = (ref.acquisition for ref in REFS)


def fine(ref: SceneRef, context: Context) -> Outcome:
    return context.ended(ref)


class Failing:
    """Raises for one acquisition, a number of times; counts who was worked on."""

    def __init__(self, error: BaseException, *, acquisition: str = SECOND, times: int = 99) -> None:
        self.error, self.acquisition, self.times = error, acquisition, times
        self.seen: list[str] = []

    def __call__(self, ref: SceneRef, context: Context) -> Outcome:
        self.seen.append(ref.acquisition)
        if ref.acquisition == self.acquisition and self.times > 0:
            self.times -= 1
            raise self.error
        return fine(ref, context)


def run(
    store: Store, work: object, *, stage: Stage = Stage.INGEST, running: Running | None = None
) -> Manifest:
    return run_batch(store, store.href("batches/run-1/000/batch.json"), stage, work, running=running)


@pytest.fixture
def batch(store: Store) -> str:
    return put_batch(store, *REFS)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (DataError(Reason.BAND_MISSING, "no B08"), (Ending.QUARANTINED, "band_missing", 0)),
        (ServiceError("the bucket is away"), (Ending.RETRY, "service_failed", 75)),
        (ZeroDivisionError("oh"), (Ending.FAILED, "unexpected", 0)),
        (MemoryError(), (Ending.FAILED, "out_of_memory", 0)),
        (OSError(errno.ENOSPC, "No space left on device"), (Ending.RETRY, "scratch_full", 75)),
        (OSError(errno.EIO, "Input/output error"), (Ending.FAILED, "unexpected", 0)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_an_error_ends_its_own_scene_and_no_other(store, batch, error, expected):
    manifest = run(store, Failing(error))
    found = manifest.by_acquisition()
    assert (found[SECOND].ending, found[SECOND].reason, exit_code(manifest)) == expected
    assert found[SECOND].sentence
    assert found[FIRST].ending == found[THIRD].ending == Ending.DONE


def test_the_manifest_in_the_store_is_the_one_returned_in_the_batch_s_order(store, batch):
    manifest = run(store, fine)
    assert Manifest.from_json(store.get("batches/run-1/000/ingest.json")) == manifest
    assert [outcome.acquisition for outcome in manifest.outcomes] == [FIRST, SECOND, THIRD]


def test_each_scene_s_outcome_is_there_as_soon_as_it_ends(store, batch):
    def look(ref: SceneRef, context: Context) -> Outcome:
        ended = [ref.acquisition for ref in REFS[: REFS.index(ref)]]
        assert all(store.find(f"batches/run-1/000/ingest/{name}.json") for name in ended)
        assert store.find(f"batches/run-1/000/ingest/{ref.acquisition}.begun")
        assert store.find(f"batches/run-1/000/ingest/{ref.acquisition}.json") is None
        return fine(ref, context)

    assert exit_code(run(store, look)) == 0


def test_a_config_error_is_raised_when_every_scene_had_its_turn(store, batch):
    work = Failing(ConfigError("UNDERSKY_X is wrong"), times=1)
    with pytest.raises(ConfigError, match="UNDERSKY_X"):
        run(store, work)
    assert work.seen == [FIRST, SECOND, THIRD]
    left = Manifest.from_json(store.get("batches/run-1/000/ingest.json")).by_acquisition()
    assert (left[SECOND].ending, left[SECOND].reason) == (Ending.RETRY, "config")
    assert left[THIRD].ending == Ending.DONE
    assert run(store, work).by_acquisition()[SECOND].ending == Ending.DONE
    assert work.seen == [FIRST, SECOND, THIRD, SECOND]


def test_a_config_error_never_counts_as_a_crash(store, batch):
    work = Failing(ConfigError("wrong"), times=5)
    for _ in range(5):
        with pytest.raises(ConfigError):
            run(store, work)
    assert run(store, work).by_acquisition()[SECOND].ending == Ending.DONE


def test_only_scenes_to_be_tried_again_are_done_again(store, batch):
    work = Failing(ServiceError("away"), times=1)
    assert exit_code(run(store, work)) == 75
    manifest = run(store, work)
    assert exit_code(manifest) == 0
    assert work.seen == [FIRST, SECOND, THIRD, SECOND]
    assert manifest.by_acquisition()[SECOND].tries == 2
    assert manifest.by_acquisition()[FIRST].tries == 1


def test_a_third_run_of_finished_work_touches_nothing(store, batch):
    first = run(store, fine)
    before = {stored.key: stored.etag for stored in store.list("batches/")}
    work = Failing(ServiceError("away"))
    assert run(store, work) == first
    assert work.seen == []
    assert {stored.key: stored.etag for stored in store.list("batches/")} == before


def test_a_scene_that_killed_its_process_twice_is_failed_and_holds_nobody_up(store, batch):
    class Killed(BaseException):
        pass

    for _ in range(2):
        with pytest.raises(Killed):
            run(store, Failing(Killed()))
    found = run(store, Failing(Killed())).by_acquisition()
    assert (found[SECOND].ending, found[SECOND].reason, found[SECOND].tries) == (Ending.FAILED, "crashed", 2)
    assert "memory" in found[SECOND].sentence
    assert found[THIRD].ending == Ending.DONE


def test_a_retry_between_two_kills_starts_the_count_anew(store, batch):
    class Killed(BaseException):
        pass

    with pytest.raises(Killed):
        run(store, Failing(Killed()))
    run(store, Failing(ServiceError("away")))
    with pytest.raises(Killed):
        run(store, Failing(Killed()))
    assert run(store, fine).by_acquisition()[SECOND].ending == Ending.DONE


def test_the_scratch_folder_of_a_scene_is_empty_at_its_start_and_gone_at_its_end(store, batch, tmp_path):
    seen: list[Path] = []

    def work(ref: SceneRef, context: Context) -> Outcome:
        assert list(context.scratch.iterdir()) == []
        assert not any(path.exists() for path in seen)
        (context.scratch / "big.tif").write_bytes(b"x")
        seen.append(context.scratch)
        if ref.acquisition == FIRST:
            raise DataError(Reason.ALL_NODATA, "nothing")
        return fine(ref, context)

    run(store, work, running=Running(tmp_path / "scratch"))
    assert len(set(seen)) == 3
    assert list((tmp_path / "scratch").iterdir()) == []


def test_every_scene_is_one_event_with_its_facts(store, batch):
    log = Log()
    run(store, Failing(DataError(Reason.BAND_MISSING, "no B08")), running=Running(tell=log))
    ended = log.named("scene ended")
    assert [facts["acquisition"] for facts in ended] == [FIRST, SECOND, THIRD]
    assert ended[1]["reason"] == "band_missing"
    assert ended[1]["sentence"] == "no B08"
    assert log.named("stage ended")[0]["endings"] == {"done": 2, "quarantined": 1}


def test_the_traceback_of_an_unexpected_error_is_in_the_log(store, batch):
    log, error = Log(), ZeroDivisionError("oh")
    run(store, Failing(error), running=Running(tell=log))
    (facts,) = log.named("unexpected error")
    assert facts["exc_info"] is error
    assert facts["level"] == "error"


def test_a_stage_takes_up_only_what_the_stage_before_left_done(store, batch):
    run(store, Failing(DataError(Reason.SOURCE_GONE, "gone")))
    work = Failing(ServiceError("never"), acquisition="nobody")
    manifest = run(store, work, stage=Stage.VALIDATE_L1)
    assert work.seen == [FIRST, THIRD]
    carried = manifest.by_acquisition()[SECOND]
    assert (carried.stage, carried.reason) == (Stage.INGEST, "source_gone")


def test_a_retry_of_the_stage_before_is_no_failure_of_this_one(store, batch):
    run(store, Failing(ServiceError("away")))
    manifest = run(store, fine, stage=Stage.VALIDATE_L1)
    assert manifest.by_acquisition()[SECOND].ending == Ending.RETRY
    assert exit_code(manifest) == 0


def test_a_scene_that_arrives_later_is_done_by_the_next_run(store, batch):
    work = Failing(ServiceError("away"), times=1)
    run(store, work)
    run(store, fine, stage=Stage.VALIDATE_L1)
    run(store, work)
    later = Failing(ServiceError("never"), acquisition="nobody")
    assert run(store, later, stage=Stage.VALIDATE_L1).by_acquisition()[SECOND].ending == Ending.DONE
    assert later.seen == [SECOND]


def test_a_stage_without_the_one_before_is_refused(store, batch):
    with pytest.raises(ConfigError, match="no outcome of stage correct"):
        run(store, fine, stage=Stage.VALIDATE_SURFACE)


def test_a_stage_before_that_lost_its_manifest_is_read_scene_by_scene(store, batch):
    ingest(store, batch)
    store.delete("batches/run-1/000/ingest.json")
    store.delete(f"batches/run-1/000/ingest/{THIRD}.json")
    work = Failing(ServiceError("never"), acquisition="nobody")
    found = run(store, work, stage=Stage.VALIDATE_L1).by_acquisition()
    assert work.seen == [FIRST, SECOND]
    assert (found[THIRD].ending, found[THIRD].stage) == (Ending.RETRY, Stage.INGEST)


def test_what_earlier_stages_made_is_carried_along(store, batch):
    made = Made(id="x", digest="d", prefix="p", collection="c", item="i", bytes=1, seconds=1, cpu_seconds=1)
    run(store, lambda ref, context: context.ended(ref, made=made), stage=Stage.CORRECT)
    judged = Judged(expectations=7)
    manifest = run(
        store, lambda ref, context: context.ended(ref, judged=judged), stage=Stage.VALIDATE_SURFACE
    )
    assert {(o.made, o.judged, o.stage) for o in manifest.outcomes} == {
        (made, judged, Stage.VALIDATE_SURFACE)
    }


def test_the_work_sees_what_the_stage_before_said(store, batch):
    ingest(store, batch)

    def work(ref: SceneRef, context: Context) -> Outcome:
        assert context.earlier is not None
        assert isinstance(context.earlier.ingested, Ingested)
        assert context.place == "run-1/000"
        return fine(ref, context)

    assert exit_code(run(store, work, stage=Stage.VALIDATE_L1)) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_interrupts_the_scene_and_leaves_everything_in_order(store, batch, tmp_path, number):
    def work(ref: SceneRef, context: Context) -> Outcome:
        if ref.acquisition == SECOND:
            (context.scratch / "half").write_bytes(b"x")
            os.kill(os.getpid(), number)
            signal.pause()
        return fine(ref, context)

    before = signal.getsignal(number)
    manifest = run(store, work, running=Running(tmp_path / "scratch"))
    found = manifest.by_acquisition()
    assert [found[name].ending for name in (FIRST, SECOND, THIRD)] == [
        Ending.DONE,
        Ending.RETRY,
        Ending.RETRY,
    ]
    assert {found[SECOND].reason, found[THIRD].reason} == {"stopped"}
    assert exit_code(manifest) == 75
    assert list((tmp_path / "scratch").iterdir()) == []
    assert signal.getsignal(number) is before
    assert exit_code(run(store, fine)) == 0


def test_a_signal_that_hits_a_finaliser_is_not_lost(store, batch):
    class Finalised:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            signal.sigtimedwait([], 0.01)  # the handler raises in here, where Python lets nothing out

    def work(ref: SceneRef, context: Context) -> Outcome:
        del ref, context
        Finalised()
        time.sleep(30)
        raise AssertionError

    before, began = sys.unraisablehook, time.monotonic()
    assert exit_code(run(store, work)) == 75
    assert time.monotonic() - began < 20
    assert sys.unraisablehook is before
    assert exit_code(run(store, fine)) == 0


def test_any_number_of_stops_is_no_crash(store, batch):
    def work(ref: SceneRef, context: Context) -> Outcome:
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pause()
        raise AssertionError

    for _ in range(4):
        assert exit_code(run(store, work)) == 75
    assert run(store, fine).by_acquisition()[FIRST].tries == 5


def test_a_signal_between_scenes_waits_for_the_bookkeeping(store, batch):
    class Signals:
        def __call__(self, event: str, /, **facts: object) -> None:
            if event == "scene ended" and facts["acquisition"] == FIRST:
                os.kill(os.getpid(), signal.SIGTERM)

    manifest = run(store, fine, running=Running(tell=Signals()))
    assert [outcome.ending for outcome in manifest.outcomes] == [Ending.DONE, Ending.RETRY, Ending.RETRY]
    assert store.find(f"batches/run-1/000/ingest/{SECOND}.begun") is None


def test_an_outcome_survives_a_store_that_fails_for_a_while(store, batch):
    class Flaky(Store):
        def put_json(self, key: str, value: object) -> str:
            if key.endswith(f"{SECOND}.json") and self.tries <= 4:
                raise ServiceError("away")
            return Store.put_json(self, key, value)

    flaky = Flaky(store.url, store.bucket, store.client, store.tries, store.pause_s)
    assert exit_code(run(flaky, fine)) == 0


@pytest.mark.parametrize(
    ("href", "says"),
    [
        ("s3://undersky-tests/batches/nowhere/000/batch.json", "is not there"),
        ("s3://undersky-tests/products/x/batch.json", "is no batch"),
        ("s3://undersky-tests/batches/run-1/000/ingest.json", "is no batch"),
        ("s3://elsewhere/batches/run-1/000/batch.json", "elsewhere"),
    ],
)
def test_an_address_that_is_no_batch_is_refused_with_the_cure(store, href, says):
    with pytest.raises(ConfigError, match=says):
        run_batch(store, href, Stage.INGEST, fine)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"{}", "run: Field required"),
        (b"no json", "Invalid JSON"),
        (TEMPLATE, None),
    ],
    ids=["empty", "no-json", "template"],
)
def test_a_document_that_is_no_batch_is_refused(store, text, says):
    if says is None:
        ref = bare_ref(acquisition="../../etc").to_json().encode()
        text, says = TEMPLATE % ref, "can be no key"
    store.put("batches/run-1/000/batch.json", text)
    with pytest.raises(ConfigError, match=says):
        run(store, fine)


def test_an_acquisition_may_be_in_a_batch_once(store):
    put_batch(store, REFS[0], REFS[0])
    with pytest.raises(ConfigError, match="twice"):
        run(store, fine)


def test_an_empty_batch_ends_well(store):
    put_batch(store)
    assert run(store, fine).outcomes == ()
    assert exit_code(run(store, fine, stage=Stage.VALIDATE_L1)) == 0


def test_every_trouble_has_its_own_code():
    assert len({str(trouble) for trouble in Trouble}) == len(Trouble)
    assert not {str(trouble) for trouble in Trouble} & {str(reason) for reason in Reason}

"""kill -9 of a stage at every step boundary, then one more run: the same bytes, one outcome a scene.

The process is a fork of the test's. What it does to the store goes through a store that counts, and each put
and each log event is a boundary: the process kills itself at the one it was told. Nothing in the product
knows of this.
"""

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fixtures_store import S3Server
from scene_batches import bare_ref, pin_shipped, put_batch, put_product
from undersky.batch.driver import Context, Running, exit_code, run_batch
from undersky.batch.run import run_stage
from undersky.refs import Ending, Manifest, Outcome, SceneRef, Stage
from undersky.services.store import Store
from undersky.settings import Settings
from undersky.stages.simulate import Order, request_for, simulate

pytestmark = pytest.mark.faults

Job = Callable[[Store, "Reaper"], None]


@dataclass
class Reaper:
    """Counts boundaries and kills this process at one of them; also a log."""

    at: int | None
    passed: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def boundary(self) -> None:
        with self.lock:
            if self.passed == self.at:
                os.kill(os.getpid(), signal.SIGKILL)
            self.passed += 1

    def __call__(self, _event: str, /, **_facts: object) -> None:
        self.boundary()


REAPER: list[Reaper] = []


class Deadly(Store):
    """A store in whose every put the process may end: before it, and (at the next boundary) after it."""

    def put(self, key: str, data: bytes, **options: object) -> str:
        REAPER[-1].boundary()
        return Store.put(self, key, data, **options)


def in_child(store: Store, server: S3Server, job: Job, *, at: int | None) -> int | None:
    """The job in a process of its own; the number of boundaries it passed, None when it was killed."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            reaper = Reaper(at)
            REAPER.append(reaper)
            own = Store.open(store.url, endpoint=server.endpoint)
            deadly = Deadly(own.url, own.bucket, own.client, own.tries, own.pause_s)
            job(deadly, reaper)
            os.write(writing, str(reaper.passed).encode())
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        passed = pipe.read()
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return None
    assert os.WEXITSTATUS(status) == 0
    return int(passed)


def contents(store: Store, prefix: str) -> dict[str, str]:
    return {stored.key: stored.etag for stored in store.list(prefix)}


def clear(store: Store, *prefixes: str) -> None:
    for prefix in prefixes:
        for stored in list(store.list(prefix)):
            store.delete(stored.key)


def manifest_of(store: Store, stage: Stage) -> Manifest:
    return Manifest.from_json(store.get(f"batches/run-1/000/{stage}.json"))


def settled(store: Store, stage: Stage, scenes: int) -> None:
    """Every scene has one outcome, and it is done."""
    found = manifest_of(store, stage)
    assert [outcome.ending for outcome in found.outcomes] == [Ending.DONE] * scenes
    written = [s.key for s in store.list(f"batches/run-1/000/{stage}/") if s.key.endswith(".json")]
    assert len(written) == scenes


def writing_work(ref: SceneRef, context: Context) -> Outcome:
    """Two assets, then the document that commits them."""
    context.tell("half way")
    (context.scratch / "big").write_bytes(b"x")
    for name in ("a.tif", "b.tif", "item.json"):
        context.store.put(f"products/{ref.acquisition}/{name}", f"{ref.acquisition} {name}".encode())
    return context.ended(ref)


def writing_job(scratch: Path) -> Job:
    def job(store: Store, reaper: Reaper) -> None:
        href = store.href("batches/run-1/000/batch.json")
        manifest = run_batch(store, href, Stage.INGEST, writing_work, running=Running(scratch, reaper))
        assert exit_code(manifest) == 0

    return job


def test_a_kill_at_every_boundary_of_the_driver_costs_nothing_but_time(weed, weed_server, tmp_path):
    put_batch(weed, bare_ref(0), bare_ref(1))
    job = writing_job(tmp_path)
    boundaries = in_child(weed, weed_server, job, at=None)
    whole = contents(weed, "products/")
    assert len(whole) == 6
    assert boundaries > 15
    for at in range(boundaries):
        clear(weed, "products/", "batches/run-1/000/ingest")
        assert in_child(weed, weed_server, job, at=at) is None
        assert in_child(weed, weed_server, job, at=None) is not None
        assert contents(weed, "products/") == whole, at
        settled(weed, Stage.INGEST, 2)
        assert list(tmp_path.iterdir()) == [], at


def test_a_scene_whose_process_is_killed_twice_fails_and_the_others_go_on(weed, weed_server, tmp_path):
    put_batch(weed, bare_ref(0), bare_ref(1))
    job = writing_job(tmp_path)
    for _ in range(2):
        assert in_child(weed, weed_server, job, at=5) is None
    assert in_child(weed, weed_server, job, at=None) is not None
    first, second = manifest_of(weed, Stage.INGEST).outcomes
    assert (first.ending, first.reason, first.tries) == (Ending.FAILED, "crashed", 2)
    assert second.ending == Ending.DONE


@pytest.fixture(scope="module")
def product(tmp_path_factory):
    """The smallest scene."""
    request = request_for("L9", size_m=3600)
    return simulate(tmp_path_factory.mktemp("l1"), order=Order(request)).product


def correcting_job(scratch: Path) -> Job:
    def job(store: Store, reaper: Reaper) -> None:
        href = store.href("batches/run-1/000/batch.json")
        settings = Settings(scratch=scratch)
        manifest = run_stage(Stage.CORRECT, href, store=store, settings=settings, tell=reaper)
        assert exit_code(manifest) == 0

    return job


def killed_corrections(weed, weed_server, product, tmp_path, chosen: Callable[[int], list[int]]) -> None:
    """Every chosen boundary of stage correct: killed there, run again, compared with the undisturbed run."""
    put_batch(weed, put_product(weed, product), release=pin_shipped(weed))
    job = correcting_job(tmp_path)
    boundaries = in_child(weed, weed_server, job, at=None)
    whole = contents(weed, "products/")
    for at in chosen(boundaries):
        clear(weed, "products/", "batches/run-1/000/correct")
        assert in_child(weed, weed_server, job, at=at) is None
        assert in_child(weed, weed_server, job, at=None) is not None
        found = contents(weed, "products/")
        assert {key for key in found | whole if found.get(key) != whole.get(key)} <= {
            key for key in whole if key.endswith(".json")
        }
        settled(weed, Stage.CORRECT, 1)
        made = manifest_of(weed, Stage.CORRECT).outcomes[0].made
        assert made.item in found
        assert list(tmp_path.iterdir()) == []


def test_a_correction_killed_between_its_steps_ends_with_the_same_bytes(weed, weed_server, product, tmp_path):
    # among the assets, and between Item and outcome
    killed_corrections(weed, weed_server, product, tmp_path, lambda n: [n // 2, n - 4])


@pytest.mark.slow
def test_a_correction_killed_at_every_boundary_ends_with_the_same_bytes(weed, weed_server, product, tmp_path):
    killed_corrections(weed, weed_server, product, tmp_path, lambda n: list(range(n)))

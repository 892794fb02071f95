"""The running stack whose stages are pods: the same flow, the same models, by settings alone.

The cluster is the tests' own: it runs each pod as a process. The tests are one story, in their order.
"""

import time
from collections.abc import Iterator

import pytest
from onemachine.folder import Folder
from showcase.releasing import ENDED, Releasing

from cluster.faults import Fault
from cluster.kubelet import namespace_command
from fixtures_cluster import FakeCluster, make_cluster
from stack_world import World, running_world

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(1800),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return Folder.at(tmp_path_factory.mktemp("pods") / "stack")


@pytest.fixture(scope="module")
def place(folder: Folder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeCluster]:
    if namespace_command() is None:
        pytest.skip("no PID namespace can be made here: `unshare --pid --fork true` fails")
    secrets = folder.secrets()
    store = {"AWS_ACCESS_KEY_ID": secrets.s3_key, "AWS_SECRET_ACCESS_KEY": secrets.s3_secret}
    trainer = {"UNDERSKY_TRAINER_LOGIN": f"trainer:{secrets.mlflow_trainer}"}
    made = make_cluster(tmp_path_factory.mktemp("cluster"), store=store, more={"undersky-trainer": trainer})
    yield made
    made.close()


@pytest.fixture(scope="module")
def world(folder: Folder, place: FakeCluster) -> Iterator[World]:
    """A stack of its own, in runtime kubernetes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("UNDERSKY_SAMPLES", raising=False)
        for name, value in place.settings.items():
            patch.setenv(name, value)
        with running_world(folder, purpose="the end-to-end tests of pods") as world:
            yield world


def test_a_scene_is_published_through_pods_one_of_which_is_evicted(world: World, place: FakeCluster) -> None:
    place.control.script[("correct", "*")] = [Fault.EVICTED]
    scene = world.announce("S2B", days_ago=1, seed=3)
    world.let_flow(scene)
    ran = [pod.work[1] for pod in place.control.ever]
    assert ran == ["ingest", "validate-l1", "correct", "correct", "validate-surface"]
    assert place.control.pods == {}


def test_a_small_training_is_preempted_goes_on_and_is_judged(world: World, place: FakeCluster) -> None:
    place.control.script[("train", "*")] = [Fault.PREEMPTED]
    place.control.midway["train"] = "step"
    releasing = Releasing(world.stack, world.api, print, attended=False)
    run = releasing.trigger({"recipe": "tiny", "begin": "dataset"}, 8)
    deadline = time.monotonic() + 1500
    # it may then wait for a person: eight scenes are little evidence
    while releasing.task(run, "gate") not in ENDED and not releasing.ended(run):
        assert time.monotonic() < deadline
        time.sleep(5)
    tasks = [releasing.task(run, name) for name in ("dataset", "train", "evaluate", "gate")]
    assert tasks == ["success"] * 4
    ran = [pod.work[1] for pod in place.control.ever if pod.work[1] in ("dataset", "train", "evaluate")]
    assert ran == ["dataset", "train", "train", "evaluate"]
    assert place.control.pods == {}
    assert set(place.control.most_alive.values()) == {1}

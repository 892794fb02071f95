"""The table of what pods take: the shipped one, and what an operator changes."""

from pathlib import Path

import pytest

from undersky.errors import ConfigError
from undersky.refs import ReleaseStage, Stage
from undersky_airflow.rooms import STAGES, room_of


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_has_a_room_with_more_memory_to_fall_back_on(stage: Stage) -> None:
    room = room_of(stage, None)
    assert room.memory_after_oom is not None
    assert room.memory_after_oom != room.memory
    assert room.service_account == f"undersky-{stage}"


def test_a_stage_beats_every_and_the_operator_beats_what_is_shipped() -> None:
    pods = "every: {priority_class: ours, cpu: '8', poll_s: 3}\ntrain: {memory: 20Gi}"
    train, correct = room_of(ReleaseStage.TRAIN, pods), room_of(Stage.CORRECT, pods)
    assert (train.priority_class, correct.priority_class) == ("undersky-training", "ours")
    assert (train.cpu, correct.cpu) == ("4", "2"), "the shipped lines of a stage say their own"
    assert (train.memory, train.poll_s) == ("20Gi", 3)


def test_mappings_are_merged_and_lists_replaced() -> None:
    pods = "every: {labels: {a: b}, secrets: [mine]}\nmap: {labels: {c: d}, secrets: []}"
    assert room_of(Stage.MAP, pods).labels == {"a": "b", "c": "d"}
    assert room_of(Stage.MAP, pods).secrets == ()
    assert room_of(Stage.CORRECT, pods).secrets == ("mine",)


def test_it_may_be_a_file(tmp_path: Path) -> None:
    file = tmp_path / "pods.yaml"
    file.write_text("map: {gpus: 0}", encoding="utf-8")
    assert room_of(Stage.MAP, str(file)).gpus == 0


@pytest.mark.parametrize(
    ("pods", "said"),
    [
        ("mapp: {gpus: 0}", "names mapp, which is none of every, ingest"),
        ("map: {gpu: 0}", "map.gpu: Extra inputs are not permitted"),
        ("map: {memory: 6000}", "map.memory"),
        ("map: {memory: 6GB}", "map.memory"),
        ("map: {scratch: 9Gi}", "scratch 9Gi is more than ephemeral 7Gi"),
        ("train: {shm: 15Gi}", "shm 15Gi is more than memory 14Gi"),
        ("map: [1]", "is no table"),
        ("map: {", "is no YAML"),
        ("nowhere", "nowhere cannot be read"),
    ],
)
def test_what_is_wrong_is_named(pods: str, said: str) -> None:
    stage = ReleaseStage.TRAIN if "train" in pods else Stage.MAP
    with pytest.raises(ConfigError, match="UNDERSKY_PODS") as refused:
        room_of(stage, pods)
    assert said in str(refused.value)

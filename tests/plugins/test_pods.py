"""The pod of each stage, as the cluster would get it, checked against the schemas of Kubernetes."""

from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures_airflow import context
from undersky.errors import ConfigError
from undersky.refs import ReleaseStage, Stage
from undersky.settings import Settings

RELEASES = ("1.33", "1.35", "1.37")
SETTINGS = Settings(
    runtime="kubernetes",
    worker_image="registry.example/undersky-worker:1",
    store="s3://undersky",
    s3_endpoint="https://s3.example",
    registry="https://mlflow.example",
    release_login="release:hidden",
    trainer_login="trainer:hidden",
    ledger="postgresql://secret@host/ledger",
    credentials="topsecret",
)
AnyStage = Stage | ReleaseStage
each_stage = pytest.mark.parametrize("stage", [*Stage, *ReleaseStage])


@pytest.fixture(scope="module", autouse=True)
def _no_cluster() -> Iterator[None]:
    """Whether it runs in a cluster is asked of a hook that would need one."""
    from undersky_airflow.pods import StagePod

    patch = pytest.MonkeyPatch()
    patch.setattr(StagePod, "hook", SimpleNamespace(is_in_cluster=False), raising=False)
    yield
    patch.undo()


def _pod(stage: AnyStage, *, settings: Settings = SETTINGS, **facts: Any) -> dict[str, Any]:
    """The request as JSON."""
    from kubernetes.client import ApiClient

    from undersky_airflow.pods import StagePod
    from undersky_airflow.runners import Task

    href = "s3://undersky/batches/surface_maps.scheduled__2026-11-22T18-30-00-00-00.3f2a91/007/batch.json"
    if isinstance(stage, ReleaseStage):
        href = f"s3://undersky/releases/model_release.manual__{'x' * 70}.3f2a91/order.json"
    task = Task(stage, href, timedelta(hours=1), f"surface_batch.{stage.replace('-', '_')}")
    pod = StagePod.for_task(task, settings)
    there = context(**facts)
    pod._name_the_run(there)
    wire: dict[str, Any] = ApiClient().sanitize_for_serialization(pod.build_pod_request_obj(there))
    return wire


@each_stage
@pytest.mark.oracle
@pytest.mark.parametrize("release", RELEASES)
def test_three_releases_of_kubernetes_take_it(stage: AnyStage, release: str) -> None:
    import kubernetes_validate

    kubernetes_validate.validate(_pod(stage), release, strict=True)


@pytest.mark.oracle
def test_the_schema_would_catch_a_misspelled_field() -> None:
    import kubernetes_validate

    wrong = _pod(Stage.CORRECT)
    wrong["spec"]["containers"][0]["resource"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, RELEASES[0], strict=True)


@each_stage
def test_it_runs_the_verb_that_everybody_can_type(stage: AnyStage) -> None:
    (container,) = _pod(stage)["spec"]["containers"]
    assert container["command"] == ["undersky"]
    verb = ["model", "stage"] if isinstance(stage, ReleaseStage) else ["batch"]
    assert container["args"][:-1] == [*verb, str(stage)]
    assert container["image"] == "registry.example/undersky-worker:1"


@each_stage
def test_it_satisfies_the_restricted_standard(stage: AnyStage) -> None:
    spec = _pod(stage)["spec"]
    (container,) = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "privileged": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not spec.get("hostNetwork")
    assert spec["automountServiceAccountToken"] is False


@each_stage
def test_the_only_place_to_write_is_a_scratch_of_bounded_size(stage: AnyStage) -> None:
    spec = _pod(stage)["spec"]
    (container,) = spec["containers"]
    (volume,), (mount,) = spec["volumes"], container["volumeMounts"]
    assert volume["emptyDir"]["sizeLimit"] == container["resources"]["limits"]["ephemeral-storage"]
    assert mount == {"name": volume["name"], "mountPath": "/scratch"}
    values = {each["name"]: each["value"] for each in container["env"]}
    assert values["UNDERSKY_SCRATCH"] == values["TMPDIR"] == values["HOME"] == "/scratch"


@each_stage
def test_memory_and_disk_are_limited_to_what_is_requested(stage: AnyStage) -> None:
    resources = _pod(stage)["spec"]["containers"][0]["resources"]
    for kind in ("memory", "ephemeral-storage"):
        assert resources["requests"][kind] == resources["limits"][kind]
    assert "cpu" in resources["requests"]


@each_stage
def test_secrets_come_by_reference_and_the_ledger_never(stage: AnyStage) -> None:
    pod = _pod(stage)
    assert "secret@host" not in str(pod)
    assert "topsecret" not in str(pod)
    assert "hidden" not in str(pod)
    names = [each["secretRef"]["name"] for each in pod["spec"]["containers"][0]["envFrom"]]
    more = {
        Stage.INGEST: ["undersky-providers"],
        ReleaseStage.TRAIN: ["undersky-trainer"],
        ReleaseStage.EVALUATE: ["undersky-trainer"],
    }
    assert names == ["undersky-store", *more.get(stage, [])]


@each_stage
def test_only_a_training_gets_a_gpu_and_only_what_tells_the_registry_its_address(stage: AnyStage) -> None:
    (container,) = _pod(stage)["spec"]["containers"]
    resources = container["resources"]
    gpus = "1" if stage == ReleaseStage.TRAIN else None
    assert resources["limits"].get("nvidia.com/gpu") == resources["requests"].get("nvidia.com/gpu") == gpus
    values = {each["name"]: each["value"] for each in container["env"]}
    tells = stage in (ReleaseStage.TRAIN, ReleaseStage.EVALUATE)
    assert values.get("UNDERSKY_REGISTRY") == ("https://mlflow.example" if tells else None)


def test_the_labels_of_a_release_fit_however_long_its_run_is_named() -> None:
    labels = _pod(ReleaseStage.TRAIN)["metadata"]["labels"]
    assert all(len(value) <= 63 for value in labels.values())
    assert labels["undersky/batch"].endswith(".3f2a91")


@each_stage
def test_it_ends_by_itself_and_is_never_restarted_in_place(stage: AnyStage) -> None:
    spec = _pod(stage)["spec"]
    assert spec["activeDeadlineSeconds"] == 3600
    assert spec["terminationGracePeriodSeconds"] == 60
    assert spec["restartPolicy"] == "Never"


def test_there_is_no_xcom_sidecar() -> None:
    assert len(_pod(Stage.CORRECT)["spec"]["containers"]) == 1


def test_labels_say_where_it_belongs() -> None:
    labels = _pod(Stage.VALIDATE_SURFACE, try_number=2, map_index=7)["metadata"]["labels"]
    assert labels["dag_id"] == "surface_maps"
    assert labels["undersky/stage"] == "validate-surface"
    assert labels["undersky/batch"] == "007"
    assert labels["undersky/run"].startswith("surface_maps.scheduled__2026-11-22T18-30-00-00-00")
    assert (labels["map_index"], labels["try_number"]) == ("7", "2")
    assert all(len(value) <= 63 for value in labels.values())


def test_each_try_gets_a_pod_of_its_own() -> None:
    from undersky_airflow.pods import StagePod
    from undersky_airflow.runners import Task

    names = {_pod(Stage.CORRECT)["metadata"]["name"] for _ in range(3)}
    assert len(names) == 3
    pod = StagePod.for_task(
        Task(Stage.CORRECT, "s3://b/batches/r/000/batch.json", timedelta(1), "x"), SETTINGS
    )
    assert pod.durable is False
    assert pod.deferrable is True
    assert pod.do_xcom_push is False


def test_without_an_image_the_setting_is_named() -> None:
    with pytest.raises(ConfigError, match="UNDERSKY_WORKER_IMAGE"):
        _pod(Stage.CORRECT, settings=Settings(runtime="kubernetes"))


def _ended(code: int | None, *, reason: str | None = None, name: str = "base") -> Any:
    from kubernetes.client import models as k8s

    terminated = k8s.V1ContainerStateTerminated(exit_code=code) if code is not None else None
    status = k8s.V1ContainerStatus(
        name=name,
        image="i",
        image_id="i",
        ready=False,
        restart_count=0,
        state=k8s.V1ContainerState(terminated=terminated),
    )
    return k8s.V1Pod(status=k8s.V1PodStatus(phase="Failed", reason=reason, container_statuses=[status]))


@pytest.mark.parametrize("code", [0, 2, 75, 137])
def test_the_exit_code_is_read_from_the_pod(code: int) -> None:
    from undersky_airflow.pods import exit_code

    assert exit_code(_ended(code), "base") == code


def test_a_pod_that_was_taken_away_has_no_exit_code() -> None:
    from undersky_airflow.pods import exit_code

    assert exit_code(None, "base") is None
    assert exit_code(_ended(137, reason="Evicted"), "base") is None
    assert exit_code(_ended(None), "base") is None
    assert exit_code(_ended(0, name="istio-proxy"), "base") is None


class _Failing:
    """A pod operator whose pod ended badly."""

    def __init__(self, pod: Any) -> None:
        self.pod = pod

    def __call__(self) -> None:
        from airflow.sdk.exceptions import AirflowException

        raise AirflowException("the pod failed")


@pytest.mark.parametrize("code", [2, 75, 137])
def test_a_failed_pod_is_judged_by_the_exit_code_of_its_stage(code: int) -> None:
    from undersky_airflow.pods import StagePod
    from undersky_airflow.runners import Task

    pod = StagePod.for_task(
        Task(Stage.CORRECT, "s3://b/batches/r/000/batch.json", timedelta(1), "x"), SETTINGS
    )
    pod.pod = _ended(code)
    assert pod._code_after(_Failing(pod.pod)) == code


def test_a_pod_that_hangs_counts_as_a_timeout_and_an_evicted_one_as_unexpected() -> None:
    from airflow.sdk.exceptions import AirflowException, AirflowTaskTimeout

    from undersky_airflow.pods import StagePod
    from undersky_airflow.runners import Task

    pod = StagePod.for_task(
        Task(Stage.CORRECT, "s3://b/batches/r/000/batch.json", timedelta(1), "x"), SETTINGS
    )
    pod.pod = _ended(None, reason="DeadlineExceeded")
    with pytest.raises(AirflowTaskTimeout, match="deadline, 86400 s"):
        pod._code_after(_Failing(pod.pod))
    pod.pod = _ended(None, reason="Evicted")
    with pytest.raises(AirflowException, match="the pod failed"):
        pod._code_after(_Failing(pod.pod))

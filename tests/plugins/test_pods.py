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
from undersky.tile_refs import TileStage

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
AnyStage = Stage | ReleaseStage | TileStage
each_stage = pytest.mark.parametrize("stage", [*Stage, *TileStage, *ReleaseStage])


@pytest.fixture(scope="module", autouse=True)
def _no_cluster() -> Iterator[None]:
    """Whether it runs in a cluster is asked of a hook that would need one."""
    from undersky_airflow.pods import StagePod

    patch = pytest.MonkeyPatch()
    patch.setattr(StagePod, "hook", SimpleNamespace(is_in_cluster=False), raising=False)
    yield
    patch.undo()


def _stage_pod(stage: AnyStage, href: str, *, settings: Settings = SETTINGS) -> Any:
    from undersky_airflow.pods import StagePod
    from undersky_airflow.rooms import room_of
    from undersky_airflow.runners import Task

    task = Task(stage, href, timedelta(hours=1), f"surface_batch.{stage.replace('-', '_')}")
    return StagePod.for_task(task, settings, room_of(stage, settings.pods))


def _pod(stage: AnyStage, *, settings: Settings = SETTINGS, pods: str = "", **facts: Any) -> dict[str, Any]:
    """The request as JSON."""
    from kubernetes.client import ApiClient

    if pods:
        settings = settings.model_copy(update={"pods": pods})
    href = "s3://undersky/batches/surface_maps.scheduled__2026-11-22T18-30-00-00-00.3f2a91/007/batch.json"
    if isinstance(stage, ReleaseStage):
        href = f"s3://undersky/releases/model_release.manual__{'x' * 70}.3f2a91/order.json"
    if isinstance(stage, TileStage):
        href = "s3://undersky/rolls/ground_maps.manual__2026-11-22.3f2a91/32TQM/order.json"
    pod = _stage_pod(stage, href, settings=settings)
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
    verb = {Stage: ["batch"], ReleaseStage: ["model", "stage"], TileStage: ["rolling", "stage"]}[type(stage)]
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
def test_the_only_places_to_write_are_of_bounded_size(stage: AnyStage) -> None:
    spec = _pod(stage)["spec"]
    (container,) = spec["containers"]
    sizes = {each["name"]: each["emptyDir"]["sizeLimit"] for each in spec["volumes"]}
    places = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
    shared = {"shm": "/dev/shm"} if stage == ReleaseStage.TRAIN else {}
    assert places == {"scratch": "/scratch", **shared}
    assert sizes.keys() == places.keys()
    values = {each["name"]: each["value"] for each in container["env"]}
    assert values["UNDERSKY_SCRATCH"] == values["TMPDIR"] == values["HOME"] == "/scratch"


def test_a_training_shares_memory_between_its_processes() -> None:
    shm = next(each for each in _pod(ReleaseStage.TRAIN)["spec"]["volumes"] if each["name"] == "shm")
    assert shm["emptyDir"] == {"medium": "Memory", "sizeLimit": "2Gi"}


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
def test_maps_and_trainings_get_a_gpu_and_stand_where_only_such_may(stage: AnyStage) -> None:
    spec = _pod(stage)["spec"]
    resources = spec["containers"][0]["resources"]
    takes = stage in (Stage.MAP, Stage.DETECT, ReleaseStage.TRAIN)
    gpus = "1" if takes else None
    assert resources["limits"].get("nvidia.com/gpu") == resources["requests"].get("nvidia.com/gpu") == gpus
    assert ("nvidia.com/gpu" in str(spec.get("tolerations"))) is takes


@each_stage
def test_only_what_tells_the_registry_gets_its_address(stage: AnyStage) -> None:
    (container,) = _pod(stage)["spec"]["containers"]
    values = {each["name"]: each["value"] for each in container["env"]}
    tells = stage in (ReleaseStage.TRAIN, ReleaseStage.EVALUATE)
    assert values.get("UNDERSKY_REGISTRY") == ("https://mlflow.example" if tells else None)


@each_stage
def test_each_stage_has_an_account_and_models_give_way_to_scenes(stage: AnyStage) -> None:
    spec = _pod(stage)["spec"]
    assert spec["serviceAccountName"] == f"undersky-{stage}"
    of_models = isinstance(stage, ReleaseStage)
    assert spec["priorityClassName"] == ("undersky-training" if of_models else "undersky-scenes")


OPERATORS = """
every:
  labels: {kueue.x-k8s.io/queue-name: earth}
  annotations: {cost-centre: "4711"}
  image_pull_secrets: [registry-login]
  ca_config_map: our-ca
  env: {HTTPS_PROXY: "http://proxy.example:3128", NO_PROXY: s3.example}
train:
  image: registry.example/undersky-worker:1-cuda
  node_selector: {gpu: h100}
  tolerations: [{key: spot, operator: Exists}]
  affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [
    {matchExpressions: [{key: zone, operator: In, values: [a]}]}]}}}
  claims: {real-scenes: /samples}
  gpus: 2
"""


def test_what_an_operator_says_of_pods_reaches_them() -> None:
    import kubernetes_validate

    train, correct = _pod(ReleaseStage.TRAIN, pods=OPERATORS), _pod(Stage.CORRECT, pods=OPERATORS)
    for pod in (train, correct):
        assert pod["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "earth"
        assert pod["metadata"]["annotations"] == {"cost-centre": "4711"}
        assert pod["spec"]["imagePullSecrets"] == [{"name": "registry-login"}]
        values = {each["name"]: each["value"] for each in pod["spec"]["containers"][0]["env"]}
        assert values["HTTPS_PROXY"] == "http://proxy.example:3128"
        certificates = {values[name] for name in ("SSL_CERT_FILE", "AWS_CA_BUNDLE", "CURL_CA_BUNDLE")}
        assert certificates == {"/etc/undersky/ca/ca.crt"}
        for release in RELEASES:
            kubernetes_validate.validate(pod, release, strict=True)
    spec = train["spec"]
    assert spec["containers"][0]["image"].endswith("-cuda")
    assert spec["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "2"
    assert spec["nodeSelector"] == {"gpu": "h100"}
    assert {each["key"] for each in spec["tolerations"]} == {"spot", "nvidia.com/gpu"}
    assert {"mountPath": "/samples", "name": "claim-0", "readOnly": True} in spec["containers"][0][
        "volumeMounts"
    ]
    assert "affinity" in spec
    assert "nodeSelector" not in correct["spec"] or not correct["spec"]["nodeSelector"]


def test_the_labels_of_a_release_fit_however_long_its_run_is_named() -> None:
    labels = _pod(ReleaseStage.TRAIN)["metadata"]["labels"]
    assert all(len(value) <= 63 for value in labels.values())
    assert labels["undersky/batch"].endswith(".3f2a91")


@each_stage
def test_it_ends_by_itself_and_is_never_restarted_in_place(stage: AnyStage) -> None:
    spec = _pod(stage)["spec"]
    assert spec["activeDeadlineSeconds"] == 3600
    assert spec["terminationGracePeriodSeconds"] == (300 if stage == ReleaseStage.TRAIN else 60)
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
    names = {_pod(Stage.CORRECT)["metadata"]["name"] for _ in range(3)}
    assert len(names) == 3
    pod = _stage_pod(Stage.CORRECT, "s3://b/batches/r/000/batch.json")
    assert pod.durable is False
    assert pod.deferrable is True
    assert pod.do_xcom_push is False


def test_without_an_image_the_setting_is_named() -> None:
    with pytest.raises(ConfigError, match="UNDERSKY_WORKER_IMAGE"):
        _pod(Stage.CORRECT, settings=Settings(runtime="kubernetes"))

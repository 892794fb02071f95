"""A stage as a pod: what it may use, what it may do, how its end is read. Loads the Kubernetes client."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowException, AirflowTaskTimeout
from kubernetes.client import models as k8s

from undersky.refs import ReleaseStage, Stage
from undersky.settings import Settings, needed
from undersky.tile_refs import TileStage
from undersky_airflow.actors import run_key
from undersky_airflow.runners import FOR_SOME, AnyStage, Task

SCRATCH = "/scratch"
GRACE_S = 60
"""For the stage to write down what it has when it is told to end."""
STARTUP_S = 900
"""A node may have to be added and an image pulled."""


@dataclass(frozen=True, slots=True)
class Room:
    """What a stage needs of a node."""

    cpu: str
    memory: str
    """Requested and limited: a stage that needs more is killed, and its batch isolates the scene."""
    scratch: str
    """Disk for working files; the pod is evicted beyond."""
    secrets: tuple[str, ...]
    """Kubernetes Secrets whose keys become environment variables."""
    gpus: int = 0
    """NVIDIA GPUs; they are limited to what is requested."""


_STORE = ("undersky-store",)
ROOMS: Mapping[AnyStage, Room] = {
    Stage.INGEST: Room("500m", "1Gi", "2Gi", (*_STORE, "undersky-providers")),
    Stage.VALIDATE_L1: Room("1", "2Gi", "6Gi", _STORE),
    Stage.CORRECT: Room("2", "3Gi", "12Gi", _STORE),
    Stage.VALIDATE_SURFACE: Room("1", "2Gi", "6Gi", _STORE),
    Stage.MAP: Room("2", "6Gi", "6Gi", _STORE),
    Stage.VALIDATE_MAP: Room("1", "2Gi", "3Gi", _STORE),
    Stage.DETECT: Room("2", "6Gi", "6Gi", _STORE),
    Stage.VALIDATE_OBJECTS: Room("1", "2Gi", "3Gi", _STORE),
    TileStage.ROLL: Room("2", "4Gi", "12Gi", _STORE),
    ReleaseStage.DATASET: Room("2", "6Gi", "12Gi", _STORE),
    ReleaseStage.TRAIN: Room("4", "12Gi", "12Gi", (*_STORE, "undersky-trainer"), gpus=1),
    ReleaseStage.EVALUATE: Room("4", "6Gi", "6Gi", (*_STORE, "undersky-trainer")),
}


class StagePod(KubernetesPodOperator):
    """One try of a stage in a pod of its own, restricted, with secrets by reference alone.

    There is no XCom sidecar: results are manifests in the store. `durable=False`: a later try never takes up
    a pod, which it might find evicted or half dead.
    """

    @classmethod
    def for_task(cls, task: Task, settings: Settings) -> Self:
        """The pod of that try.

        Raises:
            ConfigError: No worker image is set.
        """
        room = ROOMS[task.stage]
        image = needed(settings.worker_image, "worker_image", cure="name the image of the stages")
        return cls(
            task_id=task.name.rpartition(".")[2],
            name=f"undersky-{task.stage}",
            namespace=settings.worker_namespace,
            image=image,
            cmds=["undersky"],
            arguments=task.arguments,
            labels={
                "app.kubernetes.io/name": "undersky",
                "app.kubernetes.io/component": "stage",
                "undersky/stage": str(task.stage),
                "undersky/batch": task.href.split("/")[-2][-63:].strip("-_."),
            },
            env_vars=_environment(settings, task.stage),
            env_from=[
                k8s.V1EnvFromSource(secret_ref=k8s.V1SecretEnvSource(name=name)) for name in room.secrets
            ],
            container_resources=_resources(room),
            volumes=[
                k8s.V1Volume(name="scratch", empty_dir=k8s.V1EmptyDirVolumeSource(size_limit=room.scratch))
            ],
            volume_mounts=[k8s.V1VolumeMount(name="scratch", mount_path=SCRATCH)],
            security_context=_pod_security(),
            container_security_context=_container_security(),
            automount_service_account_token=False,
            service_account_name="undersky-worker",
            active_deadline_seconds=int(task.timeout.total_seconds()),
            # The pod's own deadline comes first; Airflow's is the one that catches a lost node.
            execution_timeout=task.timeout + timedelta(seconds=STARTUP_S),
            termination_grace_period=GRACE_S,
            termination_message_policy="FallbackToLogsOnError",
            startup_timeout_seconds=STARTUP_S,
            schedule_timeout_seconds=STARTUP_S,
            deferrable=True,
            durable=False,
            do_xcom_push=False,
            get_logs=True,
            random_name_suffix=True,
            log_events_on_failure=True,
            on_finish_action="delete_pod",
            on_kill_action="delete_pod",
            poll_interval=10,
        )

    def launch(self, context: Context) -> int:
        """The pod exists.

        Raises:
            TaskDeferred: Always, unless it has ended already.
        """
        self._name_the_run(context)
        return self._code_after(lambda: self.execute_async(context))

    def come_back(self, context: Context, event: Mapping[str, object]) -> int:
        """Exit code of the stage; its log is in the task's.

        Raises:
            AirflowException: The pod ended without one: evicted, never started, lost with its node.
            AirflowTaskTimeout where it ran into its deadline.
        """
        self._name_the_run(context)
        return self._code_after(lambda: self.trigger_reentry(context, dict(event)))

    def _name_the_run(self, context: Context) -> None:
        self.labels = {**self.labels, "undersky/run": run_key(context)[-63:].strip("-_.")}

    def _code_after(self, act: Callable[[], object]) -> int:
        try:
            act()
        except AirflowException:
            if self.pod is not None and self.pod.status.reason == "DeadlineExceeded":
                raise AirflowTaskTimeout(
                    f"the pod ran into its deadline, {self.active_deadline_seconds} s"
                ) from None
            code = exit_code(self.pod, self.base_container_name)
            if code is None:
                raise
            return code
        return 0


def exit_code(pod: k8s.V1Pod | None, container: str) -> int | None:
    """Exit code of the container; None while there is none, and where the pod was taken away from outside."""
    status = pod.status if pod is not None else None
    if status is None or status.reason in ("Evicted", "NodeLost", "Preempting"):
        return None
    for each in status.container_statuses or []:
        if each.name == container and each.state is not None and each.state.terminated is not None:
            return int(each.state.terminated.exit_code)
    return None


def _environment(settings: Settings, stage: AnyStage) -> list[k8s.V1EnvVar]:
    """Settings of a stage that are no secrets, and every temporary file in the scratch volume."""
    values = {
        "UNDERSKY_STORE": settings.store,
        "UNDERSKY_S3_ENDPOINT": settings.s3_endpoint,
        "UNDERSKY_PUBLIC_URL": settings.public_url,
        "UNDERSKY_THREADS": str(settings.threads),
        "UNDERSKY_LOG_LEVEL": settings.log_level,
        "UNDERSKY_LOG_FORMAT": settings.log_format,
        "UNDERSKY_PROFILES": str(settings.profiles) if settings.profiles else None,
        "UNDERSKY_SCRATCH": SCRATCH,
        "TMPDIR": SCRATCH,
        "HOME": SCRATCH,
        "PYTHONUNBUFFERED": "1",
    }
    if stage in FOR_SOME["UNDERSKY_REGISTRY"]:
        values["UNDERSKY_REGISTRY"] = settings.registry
    return [k8s.V1EnvVar(name=name, value=value) for name, value in values.items() if value is not None]


def _resources(room: Room) -> k8s.V1ResourceRequirements:
    """Memory and disk are limited to what is requested; processor time may be borrowed."""
    held = {"memory": room.memory, "ephemeral-storage": room.scratch}
    if room.gpus:
        held["nvidia.com/gpu"] = str(room.gpus)
    return k8s.V1ResourceRequirements(requests={"cpu": room.cpu, **held}, limits=held)


def _pod_security() -> k8s.V1PodSecurityContext:
    """The `restricted` standard of Kubernetes."""
    return k8s.V1PodSecurityContext(
        run_as_non_root=True,
        run_as_user=10001,
        run_as_group=10001,
        fs_group=10001,
        seccomp_profile=k8s.V1SeccompProfile(type="RuntimeDefault"),
    )


def _container_security() -> k8s.V1SecurityContext:
    return k8s.V1SecurityContext(
        allow_privilege_escalation=False,
        privileged=False,
        read_only_root_filesystem=True,
        capabilities=k8s.V1Capabilities(drop=["ALL"]),
    )

"""What the pod of a stage is made of: environment, resources, volumes, security."""

from collections.abc import Mapping
from typing import Any

from kubernetes.client import models as k8s

from undersky.settings import Settings
from undersky_airflow.rooms import AnyStage, Room
from undersky_airflow.runners import FOR_SOME

SCRATCH = "/scratch"
CERTIFICATES = "/etc/undersky/ca"
GPU = "nvidia.com/gpu"
USER = 10001
_CA_READERS = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""Of Python, requests, boto3 and GDAL."""


def of(room: Room, stage: AnyStage, settings: Settings) -> dict[str, Any]:
    """The arguments of a KubernetesPodOperator that follow from the room."""
    volumes, mounts = _volumes(room)
    return {
        "env_vars": _environment(room, stage, settings),
        "env_from": [
            # Optional: a stage says better what it lacks than a container that cannot be made.
            k8s.V1EnvFromSource(secret_ref=k8s.V1SecretEnvSource(name=name, optional=True))
            for name in room.secrets
        ],
        "image_pull_secrets": [k8s.V1LocalObjectReference(name=name) for name in room.image_pull_secrets],
        "container_resources": _resources(room),
        "volumes": volumes,
        "volume_mounts": mounts,
        "security_context": _pod_security(),
        "container_security_context": _container_security(),
        "automount_service_account_token": False,
        "service_account_name": room.service_account,
        "priority_class_name": room.priority_class,
        "annotations": dict(room.annotations),
        "node_selector": dict(room.node_selector),
        "tolerations": _tolerations(room),
        "affinity": dict(room.affinity),
    }


def _environment(room: Room, stage: AnyStage, settings: Settings) -> list[k8s.V1EnvVar]:
    """Settings of a stage that are no secrets, and every temporary file in the scratch volume."""
    values = {
        "UNDERSKY_STORE": settings.store,
        "UNDERSKY_S3_ENDPOINT": settings.s3_endpoint,
        "UNDERSKY_PUBLIC_URL": settings.public_url,
        "UNDERSKY_THREADS": str(settings.threads),
        "UNDERSKY_LOG_LEVEL": "info" if settings.log_level == "warning" else settings.log_level,
        "UNDERSKY_LOG_FORMAT": settings.log_format,
        "UNDERSKY_PROFILES": str(settings.profiles) if settings.profiles else None,
        "UNDERSKY_SCRATCH": SCRATCH,
        "TMPDIR": SCRATCH,
        "HOME": SCRATCH,
        "PYTHONUNBUFFERED": "1",
        "COLUMNS": "200",
    }
    if stage in FOR_SOME["UNDERSKY_REGISTRY"]:
        values["UNDERSKY_REGISTRY"] = settings.registry
    if room.ca_config_map:
        values |= dict.fromkeys(_CA_READERS, f"{CERTIFICATES}/ca.crt")
    values |= room.env
    return [k8s.V1EnvVar(name=name, value=value) for name, value in values.items() if value is not None]


def _resources(room: Room) -> k8s.V1ResourceRequirements:
    """Memory, disk and GPUs are limited to what is requested; processor time may be borrowed."""
    held = {"memory": room.memory, "ephemeral-storage": room.ephemeral}
    if room.gpus:
        held[GPU] = str(room.gpus)
    borrowed = {"cpu": room.cpu_limit} if room.cpu_limit else {}
    return k8s.V1ResourceRequirements(requests={"cpu": room.cpu, **held}, limits={**held, **borrowed})


def _volumes(room: Room) -> tuple[list[k8s.V1Volume], list[k8s.V1VolumeMount]]:
    """Scratch always; shared memory, certificates and claims where the room says so."""
    scratch = k8s.V1EmptyDirVolumeSource(size_limit=room.scratch)
    volumes, mounts = [k8s.V1Volume(name="scratch", empty_dir=scratch)], [_mount("scratch", SCRATCH)]
    if room.shm:
        memory = k8s.V1EmptyDirVolumeSource(medium="Memory", size_limit=room.shm)
        volumes.append(k8s.V1Volume(name="shm", empty_dir=memory))
        mounts.append(_mount("shm", "/dev/shm"))  # noqa: S108  what it is called
    if room.ca_config_map:
        certificates = k8s.V1ConfigMapVolumeSource(name=room.ca_config_map)
        volumes.append(k8s.V1Volume(name="ca", config_map=certificates))
        mounts.append(_mount("ca", CERTIFICATES, read_only=True))
    for number, (name, folder) in enumerate(sorted(room.config_maps.items())):
        texts = k8s.V1ConfigMapVolumeSource(name=name)
        volumes.append(k8s.V1Volume(name=f"config-{number}", config_map=texts))
        mounts.append(_mount(f"config-{number}", folder, read_only=True))
    for number, (claim, folder) in enumerate(sorted(room.claims.items())):
        source = k8s.V1PersistentVolumeClaimVolumeSource(claim_name=claim, read_only=True)
        volumes.append(k8s.V1Volume(name=f"claim-{number}", persistent_volume_claim=source))
        mounts.append(_mount(f"claim-{number}", folder, read_only=True))
    return volumes, mounts


def _mount(name: str, path: str, *, read_only: bool | None = None) -> k8s.V1VolumeMount:
    return k8s.V1VolumeMount(name=name, mount_path=path, read_only=read_only)


def _tolerations(room: Room) -> list[Mapping[str, Any]]:
    """A stage with GPUs may stand where only such stages may."""
    gpu = [{"key": GPU, "operator": "Exists", "effect": "NoSchedule"}] if room.gpus else []
    return [*gpu, *room.tolerations]


def _pod_security() -> k8s.V1PodSecurityContext:
    """The `restricted` standard of Kubernetes."""
    return k8s.V1PodSecurityContext(
        run_as_non_root=True,
        run_as_user=USER,
        run_as_group=USER,
        fs_group=USER,
        seccomp_profile=k8s.V1SeccompProfile(type="RuntimeDefault"),
    )


def _container_security() -> k8s.V1SecurityContext:
    return k8s.V1SecurityContext(
        allow_privilege_escalation=False,
        privileged=False,
        read_only_root_filesystem=True,
        capabilities=k8s.V1Capabilities(drop=["ALL"]),
    )

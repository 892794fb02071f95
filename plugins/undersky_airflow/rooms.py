"""What the pod of a stage takes of the cluster: the table `pods.yaml`, and what UNDERSKY_PODS changes of it.

A line of a stage beats one of `every`, and the operator's beats the shipped one. Mappings are merged key by
key, everything else is replaced.
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from undersky.errors import ConfigError
from undersky.refs import ReleaseStage, Stage
from undersky.tile_refs import TileStage

AnyStage = Stage | ReleaseStage | TileStage
EVERY = "every"
STAGES: tuple[AnyStage, ...] = (*Stage, *TileStage, *ReleaseStage)
SHIPPED = Path(__file__).with_name("pods.yaml")

Size = Annotated[str, Field(pattern=r"^[1-9]\d*(Mi|Gi|Ti)$")]
"""Bytes, as Kubernetes writes them; binary units alone, so that sizes can be compared."""
Cores = Annotated[str, Field(pattern=r"^[1-9]\d*m?$")]
"""Processor time: `2`, or `500m`."""
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")]
"""Of an object of the cluster."""

_UNITS = {"Mi": 1, "Gi": 1024, "Ti": 1024**2}


class Room(BaseModel):
    """What a stage takes of a node, and how it stands among others."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    image: str | None = None
    """Of this stage; UNDERSKY_WORKER_IMAGE without. One built with CUDA, where only some stages have GPUs."""
    image_pull_secrets: tuple[Name, ...] = ()
    """Secrets with which nodes fetch it."""
    cpu: Cores
    """Requested; time of a processor may be borrowed beyond, up to `cpu_limit`."""
    cpu_limit: Cores | None = None
    """None: whatever the node has left."""
    memory: Size
    """Requested and limited: a stage that needs more is killed."""
    memory_after_oom: Size | None = None
    """Memory of the tries after it was killed for that."""
    ephemeral: Size
    """Disk of the node, for working files, logs and all; the pod is evicted beyond."""
    scratch: Size
    """Disk for working files, of that."""
    shm: Size | None = None
    """Shared memory between the processes of a training; counts as memory."""
    gpus: int = Field(0, ge=0, le=16)
    """NVIDIA GPUs; a pod that wants one tolerates their taint."""
    priority_class: Name | None = None
    """Who gives way to whom when the cluster is full."""
    service_account: str
    """Whose rights the pod has; its token is never mounted."""
    secrets: tuple[Name, ...] = ()
    """Secrets of the cluster whose keys become environment variables."""
    env: Mapping[str, str] = {}
    """More environment variables: a proxy, UNDERSKY_SAMPLES."""
    ca_config_map: Name | None = None
    """ConfigMap whose key `ca.crt` holds the certificates that are trusted in place of the public ones."""
    config_maps: Mapping[Name, str] = {}
    """ConfigMaps, mounted at those folders: profiles of providers, where UNDERSKY_PROFILES names one."""
    claims: Mapping[Name, str] = {}
    """PersistentVolumeClaims, mounted read-only at those folders: real scenes to evaluate on."""
    labels: Mapping[str, str] = {}
    """More labels: a queue of Kueue, a cost centre."""
    annotations: Mapping[str, str] = {}
    """More annotations."""
    node_selector: Mapping[str, str] = {}
    """Labels that a node must have."""
    tolerations: tuple[Mapping[str, Any], ...] = ()
    """Taints that are tolerated, as Kubernetes writes them."""
    affinity: Mapping[str, Any] = {}
    """Which nodes and neighbours, as Kubernetes writes it."""
    grace_s: int = Field(60, ge=5, le=3600)
    """Between being told to end and being killed: enough for what has to be written down."""
    poll_s: float = Field(10, gt=0, le=300)
    """Between two looks at the pod."""
    schedule_s: int = Field(3600, ge=10)
    """For a node to have room: others may go first, or one has to be added."""
    startup_s: int = Field(900, ge=10)
    """For the image to be fetched, after that."""
    lost_after_s: int = Field(300, ge=1)
    """A pod that should be gone, or that the cluster has lost sight of, is lost so long after its grace."""

    @property
    def waiting(self) -> timedelta:
        """How long its pod may wait before it works."""
        return timedelta(seconds=self.schedule_s + self.startup_s)

    @model_validator(mode="after")
    def _fits(self) -> "Room":
        for less, more in (
            ("scratch", "ephemeral"),
            ("shm", "memory"),
            ("memory", "memory_after_oom"),
        ):
            small, large = getattr(self, less), getattr(self, more)
            if small and large and _mebibytes(small) > _mebibytes(large):
                raise ValueError(f"{less} {small} is more than {more} {large}")
        return self


def room_of(stage: AnyStage, pods: str | None) -> Room:
    """The room of a stage.

    Args:
        stage: Which.
        pods: What UNDERSKY_PODS says: YAML, or the path of a file with it.

    Raises:
        ConfigError: It is no such table; the message names stage and line.
    """
    merged: dict[str, Any] = {}
    for table in (shipped := _table(SHIPPED.read_text(encoding="utf-8"))), (own := _operators(pods)):
        _merge(merged, table.get(EVERY) or {})
    for table in shipped, own:
        _merge(merged, table.get(str(stage)) or {})
    try:
        room = Room.model_validate(merged)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join([str(stage), *(str(part) for part in first["loc"])])
        raise ConfigError(
            f"UNDERSKY_PODS cannot be used: {where}: {first['msg']}, found {first['input']!r}"
        ) from error
    return room.model_copy(update={"service_account": room.service_account.replace("{stage}", str(stage))})


def _operators(pods: str | None) -> Mapping[str, Any]:
    if not pods:
        return {}
    if "\n" not in pods and ":" not in pods:
        try:
            return _table(Path(pods).read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"UNDERSKY_PODS: {pods} cannot be read ({error.strerror})") from error
    return _table(pods)


def _table(text: str) -> Mapping[str, Any]:
    """The table that the text holds, by stage.

    Raises:
        ConfigError: It is no YAML, no mapping of mappings, or names what is no stage.
    """
    known = [EVERY, *map(str, STAGES)]
    try:
        table = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise ConfigError(f"UNDERSKY_PODS is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(table, dict) or not all(isinstance(line or {}, dict) for line in table.values()):
        raise ConfigError(f"UNDERSKY_PODS is no table: expected {EVERY} or a stage, then its lines")
    if unknown := [str(name) for name in table if name not in known]:
        raise ConfigError(f"UNDERSKY_PODS names {unknown[0]}, which is none of {', '.join(known)}")
    return table


def _merge(into: dict[str, Any], more: Mapping[str, Any]) -> None:
    for name, value in more.items():
        old = into.get(name)
        into[name] = {**old, **value} if isinstance(old, dict) and isinstance(value, dict) else value


def _mebibytes(size: str) -> int:
    match = re.fullmatch(r"(\d+)(\w+)", size)
    assert match is not None, "the pattern of Size"
    return int(match[1]) * _UNITS[match[2]]

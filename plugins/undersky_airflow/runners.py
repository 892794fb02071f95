"""What a stage runs in: a child process, or a pod. One Protocol, two runners; nothing else tells them apart.

Both run `undersky batch STAGE HREF`, or `undersky rolling stage STAGE HREF`, which see the store alone: no
ledger, no registry, no Airflow; or
`undersky model stage STAGE HREF`, which tells the registry of its training besides, as the trainer's account.
"""

import os
import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from airflow.sdk import Context

from undersky.errors import ConfigError, ServiceError
from undersky.refs import ReleaseStage, Stage
from undersky.settings import Settings
from undersky.tile_refs import TileStage
from undersky_airflow.child import Child
from undersky_airflow.exits import StageOutOfMemory, code_of
from undersky_airflow.rooms import AnyStage, room_of

Say = Callable[[str], None]

VERBS: Mapping[type[AnyStage], tuple[str, ...]] = {
    Stage: ("batch",),
    ReleaseStage: ("model", "stage"),
    TileStage: ("rolling", "stage"),
}
"""Of the command `undersky`, that do a stage."""

KEPT_FROM_STAGES = (
    "AIRFLOW",
    "_AIRFLOW",
    "UNDERSKY_LEDGER",
    "UNDERSKY_RELEASE_LOGIN",
    "UNDERSKY_ADMIN",
    "PG",
)
"""Beginnings of variables that no stage gets: passwords of services that are none of its business."""
FOR_SOME: Mapping[str, tuple[str, ...]] = {
    "UNDERSKY_CREDENTIALS": (Stage.INGEST,),
    "UNDERSKY_REGISTRY": (ReleaseStage.TRAIN, ReleaseStage.EVALUATE),
    "UNDERSKY_TRAINER_LOGIN": (ReleaseStage.TRAIN, ReleaseStage.EVALUATE),
    "MLFLOW": (ReleaseStage.TRAIN, ReleaseStage.EVALUATE),
}
"""Beginnings of variables that these stages get, and no other."""


@dataclass(frozen=True, slots=True)
class Task:
    """One try of a stage."""

    stage: AnyStage
    href: str
    """Address of what is to be done: of `batch.json`, or `order.json`."""
    timeout: timedelta
    name: str
    """Id of the task."""

    @property
    def arguments(self) -> list[str]:
        """Of the command `undersky`."""
        return [*VERBS[type(self.stage)], str(self.stage), self.href]


class Runner(Protocol):
    """Runs a stage somewhere."""

    def run(self, task: Task, context: Context, event: Mapping[str, object] | None) -> int:
        """Exit code of the stage.

        Args:
            task: What is to be run.
            context: Of the Airflow task.
            event: What the trigger saw, on return from a deferral; None at first.

        Raises:
            TaskDeferred: It runs elsewhere; Airflow comes back with an event.
        """
        ...

    def kill(self) -> None:
        """What runs is told to end. May be called by a signal handler."""
        ...

    def abandon(self, task: Task, context: Context) -> None:
        """What still runs elsewhere is told to end: the task will not come back to it."""
        ...


class ProcessRunner:
    """A child process: everything on one machine."""

    def __init__(self, settings: Settings, say: Say) -> None:
        self._worker = shlex.split(settings.worker) if settings.worker else [sys.executable, "-m", "undersky"]
        self._say = say
        self._child: Child | None = None

    def run(self, task: Task, context: Context, event: Mapping[str, object] | None) -> int:  # noqa: ARG002
        """As the protocol says; it never defers."""
        command = [*self._worker, *task.arguments]
        self._say(f"$ {shlex.join(command)}")
        self._child = Child(command, stage_environment(task.stage, os.environ))
        try:
            return self._child.run(self._say)
        except (FileNotFoundError, PermissionError) as error:
            message = (
                f"UNDERSKY_WORKER: {command[0]} cannot be run ({error.strerror}); name the undersky command"
            )
            raise ConfigError(message) from error

    def abandon(self, task: Task, context: Context) -> None:
        """Nothing runs elsewhere."""

    def kill(self) -> None:
        """SIGTERM to the process group, SIGKILL after the grace."""
        if self._child is not None:
            self._child.stop()


class PodRunner:
    """A fresh pod for each try; the task is deferred while it runs."""

    def __init__(self, settings: Settings, say: Say) -> None:
        self._settings = settings
        self._say = say
        self._kill: Callable[[], None] | None = None

    def run(self, task: Task, context: Context, event: Mapping[str, object] | None) -> int:
        """As the protocol says.

        Raises:
            TaskDeferred: As the protocol says.
            AirflowException: The pod ended without an exit code of the stage, as `exits` says.
        """
        from undersky_airflow.pods import StagePod

        room = room_of(task.stage, self._settings.pods)
        if room.memory_after_oom and _remembers(context, _OUT_OF_MEMORY):
            self._say(f"an earlier try was killed for its use of memory: {room.memory_after_oom} this time")
            room = room.model_copy(update={"memory": room.memory_after_oom})
        pod = StagePod.for_task(task, self._settings, room)
        self._kill = pod.on_kill
        if event is None:
            pod.launch(context)
            raise AssertionError("it defers")
        end = pod.come_back(context, event)
        self._say(f"pod {event['name']}: {end.ending}: {end.said}")
        try:
            return code_of(end, str(event["name"]))
        except StageOutOfMemory:
            _remember(context, _OUT_OF_MEMORY)
            raise

    def abandon(self, task: Task, context: Context) -> None:
        """The pods of that batch and stage are deleted, as far as the cluster answers."""
        from undersky_airflow.pods import StagePod

        room = room_of(task.stage, self._settings.pods)
        try:
            StagePod.for_task(task, self._settings, room).abandon(context)
        except ServiceError as error:
            self._say(f"pods may be left behind, a later try ends them: {error}")

    def kill(self) -> None:
        """The pod is deleted."""
        if self._kill is not None:
            self._kill()


_OUT_OF_MEMORY = "undersky_out_of_memory"


def _remembers(context: Context, what: str) -> bool:
    """Whether an earlier try of this task has left that note: Airflow keeps it from try to try."""
    notes = context.get("task_state_store")
    return notes is not None and bool(notes.get(what))


def _remember(context: Context, what: str) -> None:
    notes = context.get("task_state_store")
    if notes is not None:
        notes.set(what, True)


def runner_for(settings: Settings, say: Say) -> Runner:
    """The runner that the settings name."""
    return PodRunner(settings, say) if settings.runtime == "kubernetes" else ProcessRunner(settings, say)


def stage_environment(stage: AnyStage, environment: Mapping[str, str]) -> dict[str, str]:
    """What a stage gets of a task's environment. It says how each scene ends, as it happens."""
    kept_back = (*KEPT_FROM_STAGES, *(name for name, stages in FOR_SOME.items() if stage not in stages))
    given = {name: value for name, value in environment.items() if not name.startswith(kept_back)}
    # COLUMNS: tables for people would be folded to the 80 columns of a terminal that is not there.
    return {"UNDERSKY_LOG_LEVEL": "info", "COLUMNS": "200", **given, "PYTHONUNBUFFERED": "1"}

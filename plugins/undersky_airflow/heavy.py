"""A heavy stage, of scenes, tiles or models, as a task: a line of `undersky`, run where the settings say."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import TaskDeferralError, TaskDeferralTimeout

from undersky.refs import ReleaseStage, Stage
from undersky.settings import read_settings
from undersky.tile_refs import TileStage
from undersky_airflow.exits import accept
from undersky_airflow.rooms import room_of
from undersky_airflow.runners import Runner, Task, runner_for


@dataclass(frozen=True, slots=True)
class Needs:
    """What a stage takes, the same in every runtime."""

    pool: str
    """Pool of its tasks; historical batches have theirs."""
    timeout: timedelta
    """One that takes longer hangs."""
    does: str
    """A sentence for the task's documentation."""


class HeavyOperator(BaseOperator):
    """Runs its stage by the runner that the settings name. Again, without harm.

    In the pod runtime it defers: it holds a slot of its pool, but no worker.
    """

    def __init__(self, *, stage: Stage | ReleaseStage | TileStage, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stage = stage
        self._runner: Runner | None = None

    def trigger_reentry(self, context: Context, event: Mapping[str, object]) -> None:
        """The same, on return from a deferral."""
        self.run_stage(context, event)

    def resume_execution(
        self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context
    ) -> object:
        """As Airflow has it; where nobody watched to the end, nothing is left running.

        Raises:
            TaskDeferralError: The watch failed, or outlasted its time.
        """
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except (TaskDeferralError, TaskDeferralTimeout):
            runner_for(read_settings(), self.log.info).abandon(self._task(), context)
            raise

    def on_kill(self) -> None:
        """What runs is told to end."""
        if self._runner is not None:
            self._runner.kill()

    def run_stage(self, context: Context, event: Mapping[str, object] | None) -> None:
        """The stage has ended well.

        Raises:
            AirflowException: As `exits` says.
        """
        task = self._task()
        self._runner = runner_for(read_settings(), self.log.info)
        accept(self._runner.run(task, context, event), task.arguments)

    def lasts(self) -> timedelta:
        """How long the stage may take, the wait for a node included."""
        settings = read_settings()
        waits = (
            room_of(self.stage, settings.pods).waiting if settings.runtime == "kubernetes" else timedelta()
        )
        return self.needs().timeout + waits

    def _task(self) -> Task:
        return Task(self.stage, self.href(), self.needs().timeout, self.task_id)

    def href(self) -> str:
        """Address of what is to be done."""
        raise NotImplementedError

    def needs(self) -> Needs:
        """What the stage takes."""
        raise NotImplementedError

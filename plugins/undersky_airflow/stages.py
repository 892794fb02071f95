"""A heavy stage over one batch, as a task."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

from airflow.sdk import BaseOperator, Context, TriggerRule

from undersky.refs import Lane, Stage
from undersky.settings import read_settings
from undersky_airflow.desk import keep_lease
from undersky_airflow.exits import accept
from undersky_airflow.runners import Runner, Task, runner_for

if TYPE_CHECKING:
    from airflow.sdk import XComArg

    from undersky_airflow.cards import Card


@dataclass(frozen=True, slots=True)
class Needs:
    """What a stage takes, the same in every runtime."""

    pool: str
    """Pool of fresh batches; historical ones have theirs."""
    timeout: timedelta
    """A batch that takes longer hangs."""
    does: str
    """A sentence for the task's documentation."""


NEEDS = {
    Stage.INGEST: Needs(
        "ingest",
        timedelta(hours=1),
        "Brings the files of each scene into the bucket: checksummed, from the profile's hosts only.",
    ),
    Stage.VALIDATE_L1: Needs(
        "ingest",
        timedelta(minutes=30),
        "Measures each scene and judges it: valid, quarantined, or skipped because nobody expects a product.",
    ),
    Stage.CORRECT: Needs(
        "correct",
        timedelta(hours=2),
        "Removes the atmosphere with the pinned model. The assets lie in the bucket, unpublished.",
    ),
    Stage.VALIDATE_SURFACE: Needs(
        "correct",
        timedelta(minutes=30),
        "Judges each product. One that fails is held: it is not published, and a person decides.",
    ),
}


class StageOperator(BaseOperator):
    """`undersky batch STAGE HREF`, by the runner that the settings name. Runs again without harm.

    In the pod runtime it defers: it holds a slot of its pool, but no worker.
    """

    template_fields = ("batch",)
    ui_color = "#d8e8d8"

    def __init__(self, *, stage: Stage, batch: "Card | XComArg", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stage = stage
        self.batch = batch
        self._runner: Runner | None = None

    def execute(self, context: Context) -> None:
        """Every scene of the batch has left the stage.

        Raises:
            AirflowException: As `exits` says; AirflowSkipException when the batch is another run's by now.
        """
        keep_lease(context, self._href(), at_least=NEEDS[self.stage].timeout)
        self._go(context, None)

    def trigger_reentry(self, context: Context, event: Mapping[str, object]) -> None:
        """The same, on return from a deferral."""
        self._go(context, event)

    def on_kill(self) -> None:
        """What runs is told to end."""
        if self._runner is not None:
            self._runner.kill()

    def _go(self, context: Context, event: Mapping[str, object] | None) -> None:
        task = Task(self.stage, self._href(), NEEDS[self.stage].timeout, self.task_id)
        self._runner = runner_for(read_settings(), self.log.info)
        accept(self._runner.run(task, context, event), task.arguments)

    def _href(self) -> str:
        return cast("Card", self.batch)["href"]  # a card, once templates are rendered


def stage(name: Stage, batch: "Card | XComArg", *, lane: Lane) -> StageOperator:
    """The task of a stage. It runs whatever became of the stage before: partial results count."""
    needs = NEEDS[name]
    return StageOperator(
        task_id=name.replace("-", "_"),
        stage=name,
        batch=batch,
        pool=needs.pool if lane == Lane.FRESH else "historical",
        execution_timeout=needs.timeout,
        trigger_rule=TriggerRule.ALL_DONE,
        map_index_template="{{ task.batch['label'] }}",
        doc_md=needs.does,
    )

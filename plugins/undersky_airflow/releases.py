"""A heavy stage of the model flow, as a task: `undersky model stage STAGE HREF`, by the same runners."""

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, Context, TriggerRule
from airflow.sdk.exceptions import AirflowSkipException

from undersky.refs import Begin, ReleaseStage
from undersky.settings import read_settings
from undersky_airflow.exits import accept
from undersky_airflow.runners import Runner, Task, runner_for
from undersky_airflow.stages import Needs

if TYPE_CHECKING:
    from airflow.sdk import XComArg

NEEDS = {
    ReleaseStage.DATASET: Needs(
        "models",
        timedelta(hours=6),
        "Makes what the recipe trains on, checked for leaks. Unchanged, it is not made again.",
    ),
    ReleaseStage.TRAIN: Needs(
        "gpu",
        timedelta(days=2),
        "Trains the recipe's model. Stopped, it leaves a checkpoint; the next try goes on from there.",
    ),
    ReleaseStage.EVALUATE: Needs(
        "models",
        timedelta(hours=6),
        "Measures candidate and champion on the same scenes, asks the gate, draws the review page.",
    ),
}
_ORDER = list(Begin)


class ReleaseOperator(BaseOperator):
    """`undersky model stage STAGE HREF`. Runs again without harm; skipped where the run begins after it."""

    template_fields = ("order",)
    ui_color = "#d8d8e8"

    def __init__(self, *, stage: ReleaseStage, order: "str | XComArg", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stage = stage
        self.order = order
        self._runner: Runner | None = None

    def execute(self, context: Context) -> None:
        """What the stage makes lies in the store.

        Raises:
            AirflowException: As `exits` says; AirflowSkipException where the run begins after this stage.
        """
        begins = Begin(str(context["params"]["begin"]))
        if _ORDER.index(begins) > _ORDER.index(Begin(self.stage)):
            raise AirflowSkipException(f"the run begins with {begins}: {self.stage} is not needed")
        self._go(context, None)

    def trigger_reentry(self, context: Context, event: Mapping[str, object]) -> None:
        """The same, on return from a deferral."""
        self._go(context, event)

    def on_kill(self) -> None:
        """What runs is told to end."""
        if self._runner is not None:
            self._runner.kill()

    def _go(self, context: Context, event: Mapping[str, object] | None) -> None:
        task = Task(self.stage, str(self.order), NEEDS[self.stage].timeout, self.task_id)
        self._runner = runner_for(read_settings(), self.log.info)
        accept(self._runner.run(task, context, event), task.arguments)


def release_stage(name: ReleaseStage, order: "str | XComArg") -> ReleaseOperator:
    """The task of a stage; it runs unless one before it failed."""
    needs = NEEDS[name]
    return ReleaseOperator(
        task_id=name.value,
        stage=name,
        order=order,
        pool=needs.pool,
        execution_timeout=needs.timeout,
        trigger_rule=TriggerRule.NONE_FAILED,
        doc_md=needs.does,
    )


def dataset(order: "str | XComArg") -> ReleaseOperator:
    """What the recipe trains on."""
    return release_stage(ReleaseStage.DATASET, order)


def train(order: "str | XComArg") -> ReleaseOperator:
    """The candidate."""
    return release_stage(ReleaseStage.TRAIN, order)


def evaluate(order: "str | XComArg") -> ReleaseOperator:
    """Candidate and champion on the same scenes."""
    return release_stage(ReleaseStage.EVALUATE, order)

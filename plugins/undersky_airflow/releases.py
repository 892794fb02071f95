"""A heavy stage of the model flow, as a task: `undersky model stage STAGE HREF`, by the same runners."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context, TriggerRule
from airflow.sdk.exceptions import AirflowSkipException

from undersky.refs import Begin, ReleaseStage
from undersky_airflow.exits import TRAINING_TRIES_AGAIN, TRIES_AGAIN, RetryRule
from undersky_airflow.heavy import HeavyOperator, Needs

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


class ReleaseOperator(HeavyOperator):
    """`undersky model stage STAGE HREF`; skipped where the run begins after it."""

    template_fields = ("order",)
    ui_color = "#d8d8e8"

    def __init__(self, *, order: "str | XComArg", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.order = order

    def execute(self, context: Context) -> None:
        """What the stage makes lies in the store.

        Raises:
            AirflowException: As `exits` says; AirflowSkipException where the run begins after this stage.
        """
        begins = Begin(str(context["params"]["begin"]))
        if _ORDER.index(begins) > _ORDER.index(Begin(self.stage)):
            raise AirflowSkipException(f"the run begins with {begins}: {self.stage} is not needed")
        self.run_stage(context, None)

    def href(self) -> str:
        """Of `order.json`."""
        return str(self.order)

    def needs(self) -> Needs:
        """What the stage takes."""
        return NEEDS[ReleaseStage(self.stage)]


def release_stage(name: ReleaseStage, order: "str | XComArg") -> ReleaseOperator:
    """The task of a stage; it runs unless one before it failed."""
    needs = NEEDS[name]
    again = TRAINING_TRIES_AGAIN if name is ReleaseStage.TRAIN else TRIES_AGAIN
    return ReleaseOperator(
        task_id=name.value,
        stage=name,
        order=order,
        pool=needs.pool,
        execution_timeout=needs.timeout,
        retries=again,
        retry_policy=RetryRule(again),
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

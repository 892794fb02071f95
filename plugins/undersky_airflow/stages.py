"""A heavy stage over one batch, as a task."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

from airflow.sdk import Context, TriggerRule

from undersky.refs import Lane, Stage
from undersky_airflow.desk import keep_lease
from undersky_airflow.heavy import HeavyOperator, Needs

if TYPE_CHECKING:
    from airflow.sdk import XComArg

    from undersky_airflow.cards import Card


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
    Stage.MAP: Needs(
        "map",
        timedelta(hours=2),
        "Maps the ground of each published surface product, with the pinned model. Unpublished so far.",
    ),
    Stage.VALIDATE_MAP: Needs(
        "map",
        timedelta(minutes=30),
        "Judges each map. One that fails is held, and a person decides; its reflectance stands published.",
    ),
    Stage.DETECT: Needs(
        "map",
        timedelta(hours=2),
        "Finds the vessels of each published surface product, with the pinned model. Unpublished so far.",
    ),
    Stage.VALIDATE_OBJECTS: Needs(
        "map",
        timedelta(minutes=30),
        "Judges what was found. What fails is held, and a person decides; its reflectance stands published.",
    ),
}


class StageOperator(HeavyOperator):
    """`undersky batch STAGE HREF`."""

    template_fields = ("batch",)
    ui_color = "#d8e8d8"

    def __init__(self, *, batch: "Card | XComArg", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.batch = batch

    def execute(self, context: Context) -> None:
        """Every scene of the batch has left the stage.

        Raises:
            AirflowException: As `exits` says; AirflowSkipException when the batch is another run's by now.
        """
        keep_lease(context, self.href(), at_least=self.lasts())
        self.run_stage(context, None)

    def href(self) -> str:
        """Of `batch.json`; a card carries it, once templates are rendered."""
        return cast("Card", self.batch)["href"]

    def needs(self) -> Needs:
        """What the stage takes."""
        return NEEDS[Stage(self.stage)]


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

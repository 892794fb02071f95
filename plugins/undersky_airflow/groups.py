"""What happens to a batch. Each flows alone: one that fails or hangs holds up no other."""

from typing import TYPE_CHECKING

from airflow.sdk import chain, task_group

from undersky.refs import Lane, Stage
from undersky_airflow.assets import SURFACE_PRODUCTS, VALID_ACQUISITIONS
from undersky_airflow.stages import stage
from undersky_airflow.steps import publish, settle

if TYPE_CHECKING:
    from undersky_airflow.cards import Card

# One producer an asset: historical batches wake nobody.
_WAKES = {Lane.FRESH: [VALID_ACQUISITIONS], Lane.HISTORICAL: []}
_TELLS = {Lane.FRESH: [SURFACE_PRODUCTS], Lane.HISTORICAL: []}


@task_group
def ingest_batch(batch: "Card", lane: Lane) -> None:
    """Level-1 files into the bucket, judged, and the ledger told: valid, quarantined or skipped."""
    chain(
        stage(Stage.INGEST, batch, lane=lane),
        stage(Stage.VALIDATE_L1, batch, lane=lane),
        settle.override(outlets=_WAKES[lane])(batch),
    )


@task_group
def surface_batch(batch: "Card", lane: Lane) -> None:
    """Surface reflectance made and judged; what is good is published, what is not is held."""
    chain(
        stage(Stage.CORRECT, batch, lane=lane),
        stage(Stage.VALIDATE_SURFACE, batch, lane=lane),
        publish.override(outlets=_TELLS[lane])(batch),
    )

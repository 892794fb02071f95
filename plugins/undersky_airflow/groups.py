"""What happens to a batch. Each flows alone: one that fails or hangs holds up no other."""

from typing import TYPE_CHECKING

from airflow.sdk import chain, task_group

from undersky.refs import STAGES, Kind, Lane, Stage
from undersky_airflow.assets import (
    LANDCOVER_PRODUCTS,
    SURFACE_PRODUCTS,
    VALID_ACQUISITIONS,
    VESSELS_PRODUCTS,
)
from undersky_airflow.stages import stage
from undersky_airflow.steps import publish, settle

if TYPE_CHECKING:
    from undersky_airflow.cards import Card

# One producer an asset: historical batches wake nobody.
_WAKES = {Lane.FRESH: [VALID_ACQUISITIONS], Lane.HISTORICAL: []}
_TELLS = {
    Kind.SURFACE: {Lane.FRESH: [SURFACE_PRODUCTS], Lane.HISTORICAL: []},
    Kind.LANDCOVER: {Lane.FRESH: [LANDCOVER_PRODUCTS], Lane.HISTORICAL: []},
    Kind.VESSELS: {Lane.FRESH: [VESSELS_PRODUCTS], Lane.HISTORICAL: []},
}


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
    _made(Kind.SURFACE, batch, lane=lane)


@task_group
def landcover_batch(batch: "Card", lane: Lane) -> None:
    """Land cover mapped and judged; what is good is published, what is not is held."""
    _made(Kind.LANDCOVER, batch, lane=lane)


@task_group
def vessels_batch(batch: "Card", lane: Lane) -> None:
    """Vessels found and judged; what is good is published, what is not is held."""
    _made(Kind.VESSELS, batch, lane=lane)


def _made(kind: Kind, batch: "Card", *, lane: Lane) -> None:
    """Products of that kind made, judged, published."""
    making, judging = STAGES[kind]
    chain(
        stage(making, batch, lane=lane),
        stage(judging, batch, lane=lane),
        publish.override(outlets=_TELLS[kind][lane])(batch),
    )

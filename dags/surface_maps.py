"""Surface reflectance of every valid scene.

Woken by each batch that `ingest_acquisitions` has settled, and every quarter of an hour in case a wake-up
was lost: what is to be done, the ledger alone decides.

| task | what is true afterwards |
|---|---|
| `pin` | the champion of every model is resolved and verified; skipped if no scene waits |
| `claim_surface` | up to *limit* valid scenes, newest first, are leased to this run, in batches |
| `correct` | the atmosphere is removed; the assets lie in the bucket, unseen by readers |
| `validate_surface` | each product is judged like any product |
| `publish` | the STAC Item of each good product is put, once; a bad one is **held** for a person |
| `index` | searches find what was published |
| `page` | all that the run made can be looked at: before and after, maps, what was held |
| `account` | **fails if anything unexpected happened, and names it** |

**When it is red**, read the log of `account`. Nothing is lost: what did not end was given back and a later
run takes it. Clearing any task is safe: a published product is never written again. Held products are
listed by `undersky status`; release, retry or skip them with the DAG `manage_scenes`.

The buttons on `publish` lead to the products and their Data Docs, the one on `pin` to the model version, the
one on `page` to the page of the run.
"""

from undersky_airflow.versions import written_for

__release__ = written_for("0.1")

from datetime import timedelta

from airflow.sdk import AssetOrTimeSchedule, CronTriggerTimetable, Param, chain, dag

from undersky_airflow.assets import VALID_ACQUISITIONS
from undersky_airflow.defaults import FRESH
from undersky_airflow.groups import surface_batch
from undersky_airflow.steps import account, claim_surface, index, page, pin


@dag(
    schedule=AssetOrTimeSchedule(
        timetable=CronTriggerTimetable("*/15 * * * *", timezone="UTC"), assets=VALID_ACQUISITIONS
    ),
    catchup=False,
    max_active_runs=8,
    dagrun_timeout=timedelta(hours=8),
    default_args=FRESH,
    doc_md=__doc__,
    tags=["undersky", "fresh"],
    params={
        "limit": Param(
            None,
            type=["null", "integer"],
            minimum=1,
            maximum=20000,
            title="Limit",
            description="Scenes to claim at most; UNDERSKY_CLAIM_SCENES when empty.",
        ),
    },
)
def surface_maps() -> None:
    """Pin the models, and batch by batch correct, validate, publish."""
    batches = claim_surface(lane="fresh", release=pin(lane="fresh"))
    chain(surface_batch.partial(lane="fresh").expand(batch=batches), index(), page(), account())


surface_maps()

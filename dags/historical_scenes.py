"""Past dates, without delaying fresh scenes.

An area that begins in the past has its past scenes in the **historical lane**, and so has everything that
is re-made on request, and every campaign (`reprocess`), of which each run takes a few scenes. This DAG does
with that lane what `ingest_acquisitions`, `surface_maps` and `ground_maps` do with the fresh one.

Fresh scenes never wait for it: every task here takes a slot of the pool `historical` and has the lowest
weight, so that a free worker goes to a fresh scene first. **To go faster**, give the pool more slots
(Admin, Pools) while there is room; **to stop**, pause this DAG: what is leased ends, what waits stays in
the ledger.

A run claims *limit* scenes for each of its three parts: the first makes scenes valid, the second publishes
reflectance of these and of whatever was valid before, the third maps what is published and has no map yet, as
the whole archive has after the first release of a map's model. `account` at the end **fails if anything
unexpected happened, and names it**; clearing any task is safe.
"""

from undersky_airflow.versions import written_for

__release__ = written_for("0.1")

from datetime import timedelta

from airflow.sdk import AssetOrTimeSchedule, CronTriggerTimetable, Param, chain, dag

from undersky_airflow.assets import CAMPAIGN_GOES_ON, CAMPAIGN_STARTED
from undersky_airflow.campaign_steps import feed, go_on
from undersky_airflow.defaults import HISTORICAL
from undersky_airflow.groups import ingest_batch, landcover_batch, surface_batch, vessels_batch
from undersky_airflow.steps import (
    EVERY_KIND,
    account,
    claim_ingest,
    claim_landcover,
    claim_surface,
    claim_vessels,
    discover,
    index,
    page,
    pin,
)


@dag(
    schedule=AssetOrTimeSchedule(
        timetable=CronTriggerTimetable("*/20 * * * *", timezone="UTC"),
        assets=CAMPAIGN_STARTED | CAMPAIGN_GOES_ON,
    ),
    catchup=False,
    max_active_runs=2,
    dagrun_timeout=timedelta(hours=24),
    default_args=HISTORICAL,
    doc_md=__doc__,
    tags=["undersky", "historical"],
    params={
        "areas": Param(
            [],
            type="array",
            items={"type": "string"},
            title="Areas",
            description="Names of the areas to search; all that are not paused when empty.",
        ),
        "limit": Param(
            None,
            type=["null", "integer"],
            minimum=1,
            maximum=20000,
            title="Limit",
            description="Scenes to claim at most in each part; UNDERSKY_CLAIM_SCENES when empty.",
        ),
    },
)
def historical_scenes() -> None:
    """Discover and ingest, then pin, correct and publish, then map, in the historical lane."""
    searched = discover(lane="historical")
    wanted = claim_ingest(lane="historical")
    models = pin(lane="historical", kinds=EVERY_KIND)
    ingested = ingest_batch.partial(lane="historical").expand(batch=wanted)
    valid = claim_surface(lane="historical", release=models)
    chain(searched, wanted)
    chain(ingested, feed(), models)
    corrected = surface_batch.partial(lane="historical").expand(batch=valid)
    ground = claim_landcover(lane="historical", release=models)
    water = claim_vessels(lane="historical", release=models)
    chain(corrected, [ground, water])
    maps = [
        landcover_batch.partial(lane="historical").expand(batch=ground),
        vessels_batch.partial(lane="historical").expand(batch=water),
    ]
    chain(maps, index(), [page(), go_on()], account(searched))


historical_scenes()

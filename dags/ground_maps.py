"""Maps of every published surface product: what the ground is, and which vessels are on the water.

Woken by each batch that `surface_maps` has published, and every quarter of an hour in case a wake-up was
lost: what is to be done, the ledger alone decides. Every kind of map is a product of its own, so **a map
that is held never holds back its reflectance**, which stands published already.

| task | what is true afterwards |
|---|---|
| `pin` | the champion of every model is resolved and verified; skipped if no map waits |
| `claim_landcover`, `claim_vessels` | up to *limit* surface products, newest first, are leased, in batches |
| `map`, `detect` | the map is made of the published reflectance; its assets lie in the bucket, unseen |
| `validate_map`, `validate_objects` | each map is judged: one class everywhere, thousands of vessels |
| `publish` | the STAC Item of each good map is put, once; a bad one is **held** for a person |
| `claim_tiles` | tiles whose published maps changed are leased |
| `roll`, `publish_rolled` | the tile's rolling map is fused anew, and takes the place of the one before |
| `index` | searches find what was published |
| `page` | the maps that the run made can be looked at, and what was held |
| `account` | **fails if anything unexpected happened, and names it** |

A kind whose model nobody has released yet is left out; its first release has the archive mapped, in the
historical lane (`historical_scenes`). A surface product that is made again gets new maps. Rolling maps of
both lanes are made here.

**When it is red**, read the log of `account`. Nothing is lost: what did not end was given back and a later
run takes it. Clearing any task is safe. Held maps are listed by `undersky status`; release, retry or skip
them with the DAG `manage_scenes`.
"""

from undersky_airflow.versions import written_for

__release__ = written_for("0.1")

from datetime import timedelta

from airflow.sdk import AssetOrTimeSchedule, CronTriggerTimetable, Param, chain, dag

from undersky_airflow.assets import SURFACE_PRODUCTS
from undersky_airflow.defaults import FRESH
from undersky_airflow.groups import landcover_batch, vessels_batch
from undersky_airflow.steps import MAPS, account, claim_landcover, claim_vessels, index, page, pin
from undersky_airflow.tiles import claim_tiles, tile_batch


@dag(
    schedule=AssetOrTimeSchedule(
        timetable=CronTriggerTimetable("*/15 * * * *", timezone="UTC"), assets=SURFACE_PRODUCTS
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
            description="Maps of each kind to claim at most; UNDERSKY_CLAIM_SCENES when empty.",
        ),
    },
)
def ground_maps() -> None:
    """Pin the models, and batch by batch map or detect, validate, publish; then roll each tile."""
    models = pin(lane="fresh", kinds=MAPS)
    ground = claim_landcover(lane="fresh", release=models)
    water = claim_vessels(lane="fresh", release=models)
    mapped = landcover_batch.partial(lane="fresh").expand(batch=ground)
    found = vessels_batch.partial(lane="fresh").expand(batch=water)
    tiles = claim_tiles()
    rolled = tile_batch.expand(order=tiles)
    chain(mapped, tiles)
    chain([mapped, rolled, found], index(), page(), account())


ground_maps()

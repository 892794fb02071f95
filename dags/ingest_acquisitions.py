"""Fresh acquisitions, brought home and judged.

Every five minutes this asks every provider for what is new over the **areas** in the ledger (`undersky
area list`), and brings home what waits:

| task | what is true afterwards |
|---|---|
| `discover` | what is wanted is in the ledger; so is every search, and every rejected id with its reason |
| `claim_ingest` | up to *limit* scenes, newest first, are leased to this run, in batches |
| `ingest` | the Level-1 files of the batch lie in the bucket, checksummed |
| `validate_l1` | Great Expectations has judged each scene |
| `settle` | each scene is valid, quarantined, skipped or given back; the ledger says why |
| `account` | **fails if anything unexpected happened, and names it** |

**When it is red**, read the log of `account`: it names scenes and tasks. Nothing is lost: a scene that did
not end was given back and a later run takes it. Clearing any task is safe. `undersky why --tile 32TQM
--date 2025-06-19` tells about one place and day, `undersky show SCENE` the whole story of a scene.

Batches flow alone, runs overlap: one that hangs holds a slot of the pool `ingest` until its timeout, and
delays nobody else as long as the pool has another. A run that finds nothing waiting is over in seconds.
"""

from undersky_airflow.versions import written_for

__release__ = written_for("0.1")

from datetime import timedelta

from airflow.sdk import Param, chain, dag

from undersky_airflow.defaults import FRESH
from undersky_airflow.groups import ingest_batch
from undersky_airflow.steps import account, claim_ingest, discover


@dag(
    schedule="*/5 * * * *",
    catchup=False,
    max_active_runs=8,
    dagrun_timeout=timedelta(hours=8),
    default_args=FRESH,
    doc_md=__doc__,
    tags=["undersky", "fresh"],
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
            description="Scenes to claim at most; UNDERSKY_CLAIM_SCENES when empty.",
        ),
    },
)
def ingest_acquisitions() -> None:
    """Discover, and batch by batch ingest, validate, settle."""
    searched, batches = discover(lane="fresh"), claim_ingest(lane="fresh")
    chain(searched, batches)
    chain(ingest_batch.partial(lane="fresh").expand(batch=batches), account(searched))


ingest_acquisitions()

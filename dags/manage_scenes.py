"""What a person decides about scenes.

Trigger it, fill in the form, look at the log of `manage`. **It changes nothing unless you untick *dry
run***: run it once as it is, read what it would do, then run it again.

| action | what it does |
|---|---|
| `retry` | failed, quarantined and delayed scenes are tried again (skipped, held: if *state* says so) |
| `release` | held products are published; quarantined or skipped acquisitions count as valid |
| `skip` | nothing more is done with them; what is published stays |
| `remake` | published products are made again in the historical lane; the old versions stay readable |

Every criterion that you give must hold; an empty selection is refused. The reason goes into the history of
each scene: `undersky show SCENE` tells who did what, when, and why. The same on the command line:
`undersky retry --state failed --since 2026-11-20T00:00Z --why "provider was down" --dry-run`.
"""

from undersky_airflow.versions import written_for

__release__ = written_for("0.1")

from datetime import timedelta

from airflow.sdk import Param, dag

from undersky_airflow.defaults import FRESH
from undersky_airflow.forms import ACTIONS, KINDS, STATES
from undersky_airflow.steps import manage

CRITERION = ["null", "string"]


@dag(
    schedule=None,
    catchup=False,
    max_active_runs=4,
    dagrun_timeout=timedelta(hours=1),
    default_args=FRESH,
    doc_md=__doc__,
    tags=["undersky", "form"],
    params={
        "action": Param("retry", enum=ACTIONS, title="Action", description="See the table above."),
        "dry_run": Param(
            True, type="boolean", title="Dry run", description="Only say what would change. Untick to do it."
        ),
        "why": Param("", type="string", minLength=5, title="Why", description="Goes into the history."),
        "scenes": Param(
            [],
            type="array",
            items={"type": "string"},
            title="Scenes",
            description="Keys or scene ids, a line each.",
        ),
        "state": Param(
            None,
            type=CRITERION,
            enum=[None, *STATES],
            title="State",
            description="Of acquisition or product.",
        ),
        "reason": Param(
            None, type=CRITERION, title="Reason", description="Code, such as `raster_truncated`."
        ),
        "since": Param(
            None,
            type=CRITERION,
            title="Since",
            description="Entered that state since then: a day, a time, or `6h` for six hours ago.",
        ),
        "tile": Param(None, type=CRITERION, title="Tile", description="32TQM, or path and row, 192029."),
        "model": Param(
            None,
            type=CRITERION,
            title="Model version",
            description="Label, version or digest that made the product.",
        ),
        "kind": Param(
            None,
            type=CRITERION,
            enum=[None, *KINDS],
            title="Kind",
            description="Of product; held maps are released or skipped by it.",
        ),
    },
)
def manage_scenes() -> None:
    """One step."""
    manage()


manage_scenes()

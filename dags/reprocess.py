"""A campaign: published products that are to be made again with the models of now.

Say which: products of a model version, of an area or a tile, of some days, that ended with some reason. Every
criterion that you give must hold. **Nothing happens before somebody agrees** to the estimate, below *Required
actions*; then the historical lane works on it:

- never more than *at once* scenes are under way, and fresh scenes go first;
- a scene that has a product of the models of now is not made again, so a campaign may be started over;
- when *budget* compute hours are spent, it pauses and says so.

`undersky campaign list` shows how far it is; `pause`, `start`, `abort` and `resize` do what they say. What
was published before stays readable and gets a successor.
"""

from undersky_airflow.versions import written_for

__release__ = written_for("0.1")

from datetime import timedelta

from airflow.sdk import Param, chain, dag

from undersky_airflow.approvals import Approval, words
from undersky_airflow.campaign_steps import propose, start
from undersky_airflow.defaults import FRESH
from undersky_airflow.forms import KINDS

CRITERION = ["null", "string"]


@dag(
    schedule=None,
    catchup=False,
    max_active_runs=4,
    dagrun_timeout=timedelta(days=40),
    default_args=FRESH,
    doc_md=__doc__,
    tags=["undersky", "historical", "form"],
    params={
        "name": Param(
            "", type="string", pattern="^[a-z0-9-]+$", title="Name", description="As in reprocess-june."
        ),
        "why": Param("", type="string", minLength=5, title="Why", description="Goes into the history."),
        "model": Param(
            None,
            type=CRITERION,
            title="Model version",
            description="Label, version or digest that made them.",
        ),
        "kind": Param(
            None,
            type=CRITERION,
            enum=[None, *KINDS],
            title="Kind",
            description="Of product; by what the model makes when empty, or surface.",
        ),
        "area": Param(None, type=CRITERION, title="Area", description="Name of an area."),
        "tile": Param(None, type=CRITERION, title="Tile", description="32TQM, or path and row, 192029."),
        "sensed_from": Param(
            None, type=CRITERION, format="date", title="Sensed from", description="First day, UTC."
        ),
        "sensed_until": Param(
            None, type=CRITERION, format="date", title="Sensed until", description="Last day, UTC."
        ),
        "reason": Param(None, type=CRITERION, title="Reason", description="Code of the product's state."),
        "at_once": Param(20, type="integer", minimum=1, title="At once", description="Scenes under way."),
        "budget_hours": Param(
            None, type=["null", "number"], exclusiveMinimum=0, title="Budget", description="Compute hours."
        ),
    },
)
def reprocess() -> None:
    """Estimate, ask, start."""
    proposed = propose()
    agreed = Approval(task_id="agree", **words(proposed))
    chain(proposed, agreed, start(proposed, agreed.output))


reprocess()

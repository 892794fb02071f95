"""A model on its way to a release, the same for every model.

| task | what is true afterwards |
|---|---|
| `begin` | the order lies in the store: what is made, and the champion it is held against |
| `dataset` | what the recipe trains on lies in the store; unchanged, it is not made again |
| `train` | the candidate's weights lie in the store, its training in MLflow |
| `evaluate` | candidate and champion are measured on the same scenes, the review page is drawn |
| `gate` | it says pass, fail, or too little evidence, and why |
| `register` | the candidate is a version in MLflow, with all of that |
| `review_here`, `review_there` | somebody has answered: below *Required actions*, or in MLflow |
| `promote` | the version is champion; every run from now on is pinned to the new release set |

**To answer in MLflow**, give the version the tag `review`: `approve by NAME: WHY` or `reject by NAME: WHY`.
The first answer counts, wherever it is given. What the **gate refuses** is registered but put to nobody;
whoever knows better says so with a reason, `undersky model approve`.

Weights that were trained elsewhere: `undersky model submit` says the digest to begin with, at `evaluate`.
"""

from undersky_airflow.versions import written_for

__release__ = written_for("0.1")

from datetime import timedelta

from airflow.sdk import Param, chain, dag

from undersky_airflow.approvals import ReviewHere, ReviewThere, words
from undersky_airflow.defaults import MODELS
from undersky_airflow.forms import BEGIN
from undersky_airflow.model_steps import begin, conclude, decide, gate, promote, put_to_review, register
from undersky_airflow.releases import dataset, evaluate, train

KINDS = ["correction", "quality", "landcover", "vessels"]
RECIPES = [
    *("default", "tiny", "sigma", "pairs", "quality", "quality-tiny"),
    *("landcover", "landcover-real", "landcover-tiny", "vessels", "vessels-tiny"),
]
MODEL = "{{ params.model }}"
ANSWERED = "{{ ti.xcom_pull(task_ids='put_to_review') }}"
"""No edge: `decide` runs after the first answer, not after the question."""


@dag(
    schedule=None,
    catchup=False,
    max_active_runs=4,
    dagrun_timeout=timedelta(days=40),
    default_args=MODELS,
    doc_md=__doc__,
    tags=["undersky", "models"],
    params={
        "model": Param("correction", enum=KINDS, title="Model", description="Which model."),
        "recipe": Param(
            "default",
            type="string",
            title="Recipe",
            examples=RECIPES,
            description="A shipped one, or s3://bucket/file.yaml: default tiny sigma pairs train the "
            "correction; quality.. landcover.. vessels.. the model they begin with.",
        ),
        "begin": Param("dataset", enum=BEGIN, title="Begin", description="What comes before is there."),
        "weights": Param(
            "", type="string", title="Weights", description="Digest of a candidate, to begin with evaluate."
        ),
        "version": Param(
            "", type="string", title="Version", description="Of MLflow, to begin with review or promote."
        ),
        "suites": Param(
            [], type="array", items={"type": "string"}, title="Suites", description="The gate's when empty."
        ),
        "scenes": Param(
            None,
            type=["null", "integer"],
            minimum=1,
            title="Scenes",
            description="Of each suite; all when empty.",
        ),
    },
)
def model_release() -> None:
    """Make a candidate, measure it, ask a person, promote it."""
    order = begin()
    made = dataset(order) >> train(order) >> evaluate(order) >> gate(order)
    registered = register(order)
    version = put_to_review(registered)
    asked = [
        ReviewHere(task_id="review_here", model=MODEL, version=version, **words(registered)),
        ReviewThere(task_id="review_there", model=MODEL, version=version),
    ]
    decided, ended = decide(MODEL, ANSWERED), conclude(registered)
    chain(made, registered)
    chain(asked, decided, promote(MODEL, decided), ended)
    chain(asked, ended)


model_release()

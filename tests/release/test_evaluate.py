"""Stage `evaluate`: candidate and champion on the same few scenes; what a reviewer and the gate get of it."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from orders import Works, as_champion, put_shipped
from pydantic import SecretStr
from small_maps import untrained

from fixtures_shelf import a_package
from miniature import MINIATURE
from undersky.errors import ConfigError, DataError, Reason
from undersky.evaluation.evaluating import EVALUATORS
from undersky.judgement import Judgement
from undersky.refs import Begin, PackageRef, ReleaseOrder, ReleaseSet, ReleaseStage

DATASET, TRAIN, EVALUATE = ReleaseStage

FEW = {"model": "correction", "suites": ("direct-6s",), "scenes": 3}


def _order(works: Works, run: str = "one", **differs: Any) -> str:
    """The shipped network is held against the shipped physics."""
    champion = put_shipped(works.store, "physics", "models")
    known = {**FEW, "begin": Begin.EVALUATE, "champion": as_champion(champion)}
    known["weights"] = put_shipped(works.store, "learned", "candidates")
    return works.order(run, **(known | differs))


def test_it_leaves_judgement_evidence_slices_and_a_page_that_anybody_may_read(works: Works) -> None:
    done = works.run(EVALUATE, _order(works))
    assert works.keys("releases/one/") == [
        f"releases/one/{name}"
        for name in ("evaluate.json", "evidence.parquet", "judgement.json", "order.json", "slices.csv")
    ]
    judgement = works.store.get_json(done.judgement, Judgement)
    assert (judgement.candidate, judgement.scenes) == (done.package.digest, {"direct-6s": 3})
    assert judgement.champion != judgement.candidate
    assert (done.outcome, done.sentence) == (str(judgement.outcome), judgement.sentence)
    assert done.outcome == "too_little_evidence", "three scenes can show nothing"
    rows = list(csv.DictReader(io.StringIO(works.store.get(done.slices).decode())))
    assert {row["suite"] for row in rows} == {"direct-6s"}
    assert done.page == works.store.href("reports/releases/one/index.html")
    page = works.store.get(works.store.key(done.page)).decode()
    assert page.count("data:image/") > 10
    assert judgement.candidate_label in page
    assert done.mlflow_run is None
    assert works.run(EVALUATE, works.store.href("releases/one/order.json")) == done


def test_the_champions_downstream_are_tried_on_what_it_makes(works: Works, tmp_path: Path) -> None:
    package = untrained(tmp_path / "cover", "landcover")
    for path in (tmp_path / "cover").iterdir():
        works.store.put_file(f"models/landcover/1/{path.name}", path)
    order = _order(works, scenes=1)
    cover = PackageRef(
        name="landcover",
        label=package.version,
        digest=package.digest,
        href=works.store.href("models/landcover/1"),
    )
    champions = (works.store.get_json("releases/one/order.json", ReleaseOrder).champion, as_champion(cover))
    release = ReleaseSet(digest="d" * 64, models=tuple(model for model in champions if model is not None))
    works.store.put_json("releases/one/release.json", release)
    judgement = works.store.get_json(works.run(EVALUATE, order).judgement, Judgement)
    assert judgement.downstream == {"landcover": package.digest}
    assert judgement.scenes == {"direct-6s": 1, "downstream": 1}
    slices = works.store.get("releases/one/slices.csv").decode()
    assert "downstream,downstream,landcover,f1_percent,1," in slices


def test_two_maps_are_held_against_each_other_in_the_same_way(
    works: Works, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setitem(EVALUATORS, "landcover", ("map_scores", "evaluate"))
    refs = {}
    for name, right in (("new", 0.9), ("old", 0.8)):
        package = a_package(tmp_path, name, name="landcover", right=right)
        where = f"models/landcover/{name}"
        for path in (tmp_path / name).iterdir():
            works.store.put_file(f"{where}/{path.name}", path)
        refs[name] = PackageRef(
            name="landcover", label=name, digest=package.digest, href=works.store.href(where)
        )
    order = works.order(
        model="landcover", begin=Begin.EVALUATE, weights=refs["new"], champion=as_champion(refs["old"])
    )
    done = works.run(EVALUATE, order)
    judgement = works.store.get_json(done.judgement, Judgement)
    assert (judgement.model, judgement.candidate_label) == ("landcover", "new")
    assert b'id="scenes-9"' in works.store.get(works.store.key(done.page))
    assert {facts["suite"] for event, facts in works.told if event == "comparing"} == {"mapping"}


def test_without_a_champion_there_is_nothing_to_hold_it_against(works: Works) -> None:
    with pytest.raises(ConfigError, match="undersky model bootstrap"):
        works.run(EVALUATE, _order(works, champion=None))


def test_without_a_candidate_it_names_what_is_missing(works: Works) -> None:
    with pytest.raises(ConfigError, match=r"releases/one/train\.json is not there"):
        works.run(EVALUATE, _order(works, begin=Begin.DATASET, weights=None))


def test_a_package_of_another_digest_than_the_orders_is_refused(works: Works) -> None:
    weights = put_shipped(works.store, "learned", "candidates").model_copy(update={"digest": "0" * 64})
    with pytest.raises(DataError) as caught:
        works.run(EVALUATE, _order(works, weights=weights))
    assert caught.value.reason is Reason.MODEL_REFUSED
    assert works.keys("releases/one/evaluate") == []


@pytest.mark.parametrize(
    ("differs", "says"), [({"suites": ("weather",)}, "no suite 'weather'"), ({"scenes": 0}, "1 or more")]
)
def test_an_unknown_suite_or_no_scene_is_refused(works: Works, differs: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        works.run(EVALUATE, _order(works, **differs))


@pytest.mark.slow
def test_train_and_evaluate_are_one_run_of_the_trainer_in_the_registry(works: Works, registry: Any) -> None:
    login = SecretStr(f"{registry.server.trainer.name}:{registry.server.trainer.password}")
    there = works.elsewhere("told", registry=registry.server.uri, trainer_login=login)  # and nobody else's
    champion = as_champion(put_shipped(works.store, "physics", "models"))
    order = works.order(**FEW, champion=champion, recipe=works.recipe(MINIATURE))
    made, trained, evaluated = (there.run(stage, order) for stage in (DATASET, TRAIN, EVALUATE))
    assert trained.mlflow_run == evaluated.mlflow_run is not None
    client = registry(registry.server.trainer).client
    run = client.get_run(trained.mlflow_run)
    assert run.info.status == "FINISHED"
    assert run.data.tags["undersky.by"] == "ada"
    assert run.data.params["recipe"] == "miniature"
    assert run.data.params["dataset_digest"] == made.digest
    assert run.data.metrics.keys() >= {"direct-6s.in_spec_percent", "direct-6s.in_spec_percent.change"}
    assert len(run.data.metrics) <= 30
    assert run.inputs.dataset_inputs[0].dataset.digest == made.digest[:36]
    files = {entry.path for entry in client.list_artifacts(run.info.run_id)}
    assert {"report.html", "judgement.json", "slices.json", "training.json"} <= files

"""What the DAGs promise by their shape."""

import json
from typing import Any

import pytest

from fixtures_airflow import ROOT

FRESH = ["ingest_acquisitions", "surface_maps", "ground_maps"]
SCENES = [*FRESH, "historical_scenes"]
MAPPED = {"ingest_acquisitions": 3, "surface_maps": 3, "ground_maps": 8, "historical_scenes": 12}
each_dag = pytest.mark.parametrize("name", [*SCENES, "manage_scenes", "model_release", "reprocess"])
each_quick_dag = pytest.mark.parametrize("name", [*SCENES, "manage_scenes"])
each_flow = pytest.mark.parametrize("name", SCENES)


def _tasks(parsed: Any, name: str) -> dict[str, dict[str, Any]]:
    tasks: dict[str, dict[str, Any]] = parsed["dags"][name]["tasks"]
    return tasks


@each_dag
def test_no_run_is_made_for_the_past_and_runs_may_overlap(parsed: Any, name: str) -> None:
    dag = parsed["dags"][name]
    assert dag["catchup"] is False
    assert dag["max_active_runs"] > 1
    assert dag["timeout"] > 0


@each_quick_dag
def test_every_task_has_a_timeout_the_one_retry_rule_and_a_sentence(parsed: Any, name: str) -> None:
    for task in _tasks(parsed, name).values():
        assert 0 < task["timeout"] <= 2 * 3600
        assert (task["retries"], task["policy"]) == (3, "RetryRule")
        assert task["doc"]


@each_dag
def test_every_parameter_explains_itself(parsed: Any, name: str) -> None:
    for param in parsed["dags"][name]["params"].values():
        assert param["title"]
        assert param["description"].endswith(".")


@each_flow
def test_the_last_task_is_account_and_it_runs_whatever_happened(parsed: Any, name: str) -> None:
    tasks = _tasks(parsed, name)
    upstream = {before for task in tasks.values() for before in task["upstream"]}
    assert set(tasks) - upstream == {"account"}, "the state of a run is that of its last tasks"
    assert tasks["account"]["rule"] == "all_done"


@each_flow
def test_batches_flow_alone_and_partial_results_count(parsed: Any, name: str) -> None:
    tasks = _tasks(parsed, name)
    mapped = {task_id: task for task_id, task in tasks.items() if task["mapped"]}
    assert len(mapped) == MAPPED[name]
    for task_id, task in mapped.items():
        group = task_id.split(".")[0]
        assert task["rule"] == "all_done"
        assert "label" in task["label"]
        outside = [before for before in task["upstream"] if not before.startswith(f"{group}.")]
        assert all(before.startswith("claim_") for before in outside), "only its claim holds a batch up"


def test_a_failed_search_does_not_hold_up_what_is_known(parsed: Any) -> None:
    claim = _tasks(parsed, "ingest_acquisitions")["claim_ingest"]
    assert (claim["upstream"], claim["rule"]) == (["discover"], "all_done")


@pytest.mark.parametrize("name", ["surface_maps", "historical_scenes"])
def test_nothing_is_claimed_for_models_that_are_not_pinned(parsed: Any, name: str) -> None:
    claim = _tasks(parsed, name)["claim_surface"]
    assert (claim["upstream"], claim["rule"]) == (["pin"], "all_success")


@each_dag
def test_every_pool_is_one_that_the_stack_makes(parsed: Any, name: str) -> None:
    pools = json.loads((ROOT / "plugins" / "pools.json").read_text(encoding="utf-8"))
    used = {task["pool"] for task in _tasks(parsed, name).values()}
    assert used <= {*pools, "default_pool"}
    # A deferred pod holds its slot, or a pool would bound nothing in the pod runtime.
    assert all(pool["include_deferred"] and pool["slots"] > 0 for pool in pools.values())


def test_fresh_pools_have_a_slot_beside_one_that_hangs() -> None:
    pools = json.loads((ROOT / "plugins" / "pools.json").read_text(encoding="utf-8"))
    assert pools["ingest"]["slots"] > 1
    assert pools["correct"]["slots"] > 1
    assert pools["map"]["slots"] > 1


def test_historical_tasks_never_take_a_slot_or_a_worker_from_fresh_ones(parsed: Any) -> None:
    historical = _tasks(parsed, "historical_scenes").values()
    fresh = [task for name in FRESH for task in _tasks(parsed, name).values()]
    assert {task["pool"] for task in historical} == {"historical"}
    assert "historical" not in {task["pool"] for task in fresh}
    assert len(historical) * max(task["weight"] for task in historical) < min(
        task["weight"] for task in fresh
    )


@each_flow
def test_a_batch_under_way_goes_before_one_that_has_not_begun(parsed: Any, name: str) -> None:
    # Airflow sums own and upstream weights when it schedules.
    assert {task["weight_rule"].rpartition(".")[2].lower() for task in _tasks(parsed, name).values()} == {
        "upstream"
    }


def test_each_asset_has_one_producer_and_no_historical_batch_wakes_anybody(parsed: Any) -> None:
    producers: dict[str, list[str]] = {}
    for name, dag in parsed["dags"].items():
        for task_id, task in dag["tasks"].items():
            for asset in task["outlets"]:
                producers.setdefault(asset, []).append(f"{name}.{task_id}")
    assert producers == {
        "valid_acquisitions": ["ingest_acquisitions.ingest_batch.settle"],
        "surface_products": ["surface_maps.surface_batch.publish"],
        "landcover_products": ["ground_maps.landcover_batch.publish"],
        "vessels_products": ["ground_maps.vessels_batch.publish"],
        "campaign_started": ["reprocess.start"],
        "campaign_goes_on": ["historical_scenes.go_on"],
    }


@pytest.mark.parametrize(
    ("name", "woken_by"),
    [("surface_maps", ["valid_acquisitions"]), ("ground_maps", ["surface_products"])],
)
def test_it_is_woken_by_what_was_made_before_and_has_a_clock_too(
    parsed: Any, name: str, woken_by: list[str]
) -> None:
    dag = parsed["dags"][name]
    assert dag["schedule"] == "AssetOrTimeSchedule"
    assert dag["woken_by"] == woken_by


@pytest.mark.parametrize("name", ["ground_maps", "historical_scenes"])
def test_maps_of_each_kind_are_claimed_whatever_became_of_what_is_before(parsed: Any, name: str) -> None:
    tasks = _tasks(parsed, name)
    before = [] if name == "ground_maps" else ["surface_batch.publish"]
    assert tasks["claim_landcover"]["upstream"] == sorted(["pin", *before])
    assert tasks["claim_vessels"]["upstream"] == sorted(["pin", *before])
    assert tasks["claim_landcover"]["rule"] == tasks["claim_vessels"]["rule"] == "all_done"


@pytest.mark.parametrize("name", ["ground_maps", "historical_scenes"])
def test_each_kind_of_map_is_made_judged_and_published_by_itself(parsed: Any, name: str) -> None:
    tasks = _tasks(parsed, name)
    for group, made in {
        "landcover_batch": ("map", "validate_map"),
        "vessels_batch": ("detect", "validate_objects"),
    }.items():
        making, judging = (f"{group}.{stage}" for stage in made)
        assert making in tasks[judging]["upstream"]
        assert judging in tasks[f"{group}.publish"]["upstream"]
    published = {"landcover_batch.publish", "vessels_batch.publish"}
    assert published <= set(tasks["index"]["upstream"]), "searches find both"


def test_tiles_are_rolled_once_their_new_maps_are_published_and_keep_no_fresh_scene_waiting(
    parsed: Any,
) -> None:
    tasks = _tasks(parsed, "ground_maps")
    claim = tasks["claim_tiles"]
    assert (claim["upstream"], claim["rule"]) == (["landcover_batch.publish"], "all_done")
    assert tasks["tile_batch.publish_rolled"]["upstream"] == ["claim_tiles", "tile_batch.roll"]
    assert "tile_batch.publish_rolled" in tasks["index"]["upstream"]
    rolling = [name for name, task in tasks.items() if task["pool"] == "tiles"]
    assert rolling == ["tile_batch.roll"]


def test_the_form_changes_nothing_unless_it_is_told_to_and_asks_why(parsed: Any) -> None:
    params = parsed["dags"]["manage_scenes"]["params"]
    assert params["dry_run"]["value"] is True
    assert params["why"]["minLength"] > 0
    assert not params["why"]["value"]
    assert set(params["action"]["enum"]) == {"retry", "release", "skip", "remake"}
    assert {"state", "reason", "since", "tile", "model", "scenes"} <= set(params)


def test_buttons_stand_on_the_tasks_that_know_where_they_lead(parsed: Any) -> None:
    found = {task: links for task, links in parsed["dags"]["surface_maps"]["links"].items() if links}
    assert found == {
        "page": ["Page of this run"],
        "pin": ["Model version"],
        "surface_batch.publish": ["Data Docs", "Model version", "Products"],
    }
    found = {task: links for task, links in parsed["dags"]["ground_maps"]["links"].items() if links}
    assert found == {
        "page": ["Page of this run"],
        "pin": ["Model version"],
        "landcover_batch.publish": ["Data Docs", "Model version", "Products"],
        "vessels_batch.publish": ["Data Docs", "Model version", "Products"],
        "tile_batch.publish_rolled": ["Products"],
    }
    found = {task: links for task, links in parsed["dags"]["ingest_acquisitions"]["links"].items() if links}
    assert found == {"ingest_batch.settle": ["Data Docs"]}

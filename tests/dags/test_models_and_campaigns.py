"""What the model flow and the campaigns promise by their shape: a person is asked before anything counts."""

from typing import Any

import pytest

ASKED = ["review_here", "review_there"]
DAYS = 86_400


@pytest.fixture
def model(parsed: Any) -> dict[str, dict[str, Any]]:
    """Tasks of `model_release`."""
    tasks: dict[str, dict[str, Any]] = parsed["dags"]["model_release"]["tasks"]
    return tasks


def test_the_model_flow_goes_from_an_order_to_a_promotion(model: dict[str, dict[str, Any]]) -> None:
    assert {name: task["upstream"] for name, task in model.items()} == {
        "begin": [],
        "dataset": ["begin"],
        "train": ["begin", "dataset"],
        "evaluate": ["begin", "train"],
        "gate": ["begin", "evaluate"],
        "register": ["begin", "gate"],
        "put_to_review": ["register"],
        "review_here": ["put_to_review"],
        "review_there": ["put_to_review"],
        "decide": ASKED,
        "promote": ["decide"],
        "conclude": ["promote", "register", *ASKED],
    }


def test_what_is_skipped_holds_up_nothing_and_what_fails_holds_up_the_rest(
    model: dict[str, dict[str, Any]],
) -> None:
    rules = {name: task["rule"] for name, task in model.items() if task["rule"] != "all_success"}
    assert rules == {
        **dict.fromkeys(("dataset", "train", "evaluate", "gate", "register"), "none_failed"),
        "decide": "one_success",
        "conclude": "all_done",
    }


def test_trainings_take_the_gpu_and_other_heavy_stages_the_pool_of_models(
    model: dict[str, dict[str, Any]],
) -> None:
    pools = {name: task["pool"] for name, task in model.items() if task["pool"] != "default_pool"}
    assert pools == {"dataset": "models", "train": "gpu", "evaluate": "models"}


def test_every_task_ends_by_itself_or_looks_again_within_minutes(model: dict[str, dict[str, Any]]) -> None:
    approvals = {name for name, task in model.items() if task["kind"] == "ReviewHere"}
    assert approvals == {"review_here"}
    for name, task in model.items():
        bound = task["response"] if name in approvals else task["timeout"]
        assert 0 < bound <= (300 if name in approvals else 2 * DAYS), name
        # a training gives way to scenes as often as they need its GPU
        assert (task["retries"], task["policy"]) == (50 if name == "train" else 3, "RetryRule")


def test_steps_and_stages_of_the_model_flow_have_a_sentence(model: dict[str, dict[str, Any]]) -> None:
    assert [name for name, task in model.items() if not task["doc"]] == ASKED
    # what these two do stands in the DAG's own page, whose words they are asked with


def test_the_form_of_an_approval_asks_for_a_reason_and_not_for_the_dags_parameters(parsed: Any) -> None:
    assert parsed["dags"]["model_release"]["tasks"]["review_here"]["form"] == ["why"]
    assert parsed["dags"]["reprocess"]["tasks"]["agree"]["form"] == ["why"]


def test_fresh_scenes_go_before_models_and_models_before_past_scenes(parsed: Any) -> None:
    weights = {
        name: [task["weight"] for task in dag["tasks"].values()] for name, dag in parsed["dags"].items()
    }
    assert min(weights["surface_maps"]) > max(weights["model_release"])


def test_a_run_may_begin_wherever_the_flow_can(parsed: Any) -> None:
    from undersky.refs import Begin

    params = parsed["dags"]["model_release"]["params"]
    assert params["begin"]["enum"] == [str(each) for each in Begin]
    assert params["begin"]["value"] == "dataset"
    assert set(params) == {"model", "recipe", "begin", "weights", "version", "suites", "scenes"}


def test_the_form_offers_every_model_that_can_be_released_and_recipes_that_are_shipped(parsed: Any) -> None:
    from undersky.evaluation.evaluating import SHIPPED
    from undersky.training.recipe import RECIPES

    params = parsed["dags"]["model_release"]["params"]
    assert params["model"]["enum"] == list(SHIPPED)
    assert params["model"]["value"] == "correction"
    shipped = {path.stem for path in RECIPES.glob("*.yaml")}
    assert set(params["recipe"]["examples"]) <= shipped
    assert {"default", "quality", "landcover", "vessels"} <= set(params["recipe"]["examples"])
    assert "enum" not in params["recipe"], "a recipe of one's own lies in the store"


def test_report_and_version_have_buttons(parsed: Any) -> None:
    found = {task: links for task, links in parsed["dags"]["model_release"]["links"].items() if links}
    assert found == {
        "gate": ["Report"],
        "register": ["Model version", "Report"],
        "promote": ["Model version"],
    }


def test_a_campaign_is_estimated_agreed_to_and_only_then_started(parsed: Any) -> None:
    dag = parsed["dags"]["reprocess"]
    upstream = {name: task["upstream"] for name, task in dag["tasks"].items()}
    assert upstream == {"propose": [], "agree": ["propose"], "start": ["agree", "propose"]}
    assert {task["rule"] for task in dag["tasks"].values()} == {"all_success"}
    assert dag["timeout"] == 40 * DAYS, "which ends a question that nobody answers"
    assert dag["params"]["why"]["minLength"] > 0


def test_a_campaign_is_fed_before_models_are_pinned_and_goes_on_before_the_account(parsed: Any) -> None:
    tasks = parsed["dags"]["historical_scenes"]["tasks"]
    assert "feed" in tasks["pin"]["upstream"]
    assert tasks["feed"]["rule"] == tasks["go_on"]["rule"] == "all_done"
    assert "go_on" in tasks["account"]["upstream"]
    assert tasks["go_on"]["upstream"] == ["index"]


def test_the_historical_lane_is_woken_by_campaigns_and_has_a_clock_too(parsed: Any) -> None:
    dag = parsed["dags"]["historical_scenes"]
    assert dag["schedule"] == "AssetOrTimeSchedule"
    assert dag["woken_by"] == ["campaign_goes_on", "campaign_started"]

"""Exit codes and errors become retries in one place."""

from datetime import timedelta

import pytest

from undersky.errors import ConfigError, DataError, Reason, ServiceError

ARGUMENTS = ["batch", "correct", "s3://bucket/batches/run/000/batch.json"]


def _decision(error: BaseException, *, attempt: int = 1, max_tries: int = 3) -> tuple[str, timedelta | None]:
    from undersky_airflow.exits import RetryRule

    decision = RetryRule().evaluate(error, attempt, max_tries)
    return decision.action.value, decision.retry_delay


def test_exit_0_is_a_success() -> None:
    from undersky_airflow.exits import accept

    accept(0, ARGUMENTS)


def test_a_wrong_setting_fails_without_a_retry() -> None:
    from airflow.sdk.exceptions import AirflowFailException

    from undersky_airflow.exits import accept

    with pytest.raises(AirflowFailException, match=r"undersky batch correct s3://.*exit 2"):
        accept(2, ARGUMENTS)


def test_a_refused_model_fails_without_a_retry() -> None:
    from airflow.sdk.exceptions import AirflowFailException

    from undersky_airflow.exits import accept

    with pytest.raises(AirflowFailException, match=r"undersky model stage evaluate s3://.*exit 3"):
        accept(3, ["model", "stage", "evaluate", "s3://bucket/releases/run/order.json"])


def test_unfinished_scenes_are_tried_again_after_a_wait_that_doubles() -> None:
    from undersky_airflow.exits import StageUnfinished, accept

    with pytest.raises(StageUnfinished) as caught:
        accept(75, ARGUMENTS)
    waits = [_decision(caught.value, attempt=attempt) for attempt in (1, 2, 3)]
    assert waits == [("retry", timedelta(seconds=seconds)) for seconds in (20, 40, 80)]


@pytest.mark.parametrize(
    ("code", "spelled"), [(1, "exit 1"), (-9, "SIGKILL"), (137, "SIGKILL"), (-11, "SIGSEGV"), (4, "exit 4")]
)
def test_any_other_end_is_unexpected_and_named(code: int, spelled: str) -> None:
    from undersky_airflow.exits import StageCrashed, accept

    with pytest.raises(StageCrashed, match=spelled):
        accept(code, ARGUMENTS)


def test_a_killed_stage_is_tried_until_it_knows_which_scene_kills_it() -> None:
    from undersky_airflow.exits import StageCrashed

    assert [_decision(StageCrashed(""), attempt=n)[0] for n in (1, 2, 3)] == ["retry", "retry", "fail"]


def test_a_step_that_fails_unexpectedly_is_tried_once_more() -> None:
    assert [_decision(ZeroDivisionError(), attempt=n)[0] for n in (1, 2)] == ["retry", "fail"]


def test_a_step_whose_service_failed_is_tried_again_and_one_with_a_wrong_setting_is_not() -> None:
    assert _decision(ServiceError("the ledger does not answer"))[0] == "retry"
    assert _decision(ConfigError("UNDERSKY_STORE is not set"))[0] == "fail"
    assert _decision(DataError(Reason.MODEL_REFUSED, "no verdict"))[0] == "fail"


def test_what_hangs_is_not_tried_again_in_this_run() -> None:
    from airflow.sdk.exceptions import AirflowTaskTimeout

    assert _decision(AirflowTaskTimeout("two hours"))[0] == "fail"


def test_clearing_a_task_begins_to_count_anew() -> None:
    # Airflow keeps the number of the try and raises max_tries by `retries`.
    assert _decision(ZeroDivisionError(), attempt=3, max_tries=5)[0] == "retry"
    assert _decision(ZeroDivisionError(), attempt=4, max_tries=5)[0] == "fail"


def test_a_wait_never_grows_beyond_ten_minutes() -> None:
    assert _decision(ServiceError(""), attempt=40, max_tries=3)[1] == timedelta(minutes=10)

"""A heavy stage of the model flow as a task: skipped before its beginning, else run as the settings say."""

import sys
from pathlib import Path

import pytest

from fixtures_airflow import context
from undersky.refs import Begin, ReleaseStage

HREF = "s3://bucket/releases/model_release.one.3f2a91/order.json"


def _execute(stage: ReleaseStage, begin: Begin) -> None:
    from airflow.sdk.bases.operator import ExecutorSafeguard

    from undersky_airflow.releases import ReleaseOperator

    there = context(dag_id="model_release", task_id=str(stage))
    there["params"] = {"begin": str(begin)}
    operator = ReleaseOperator(task_id=str(stage), stage=stage, order=HREF)
    token = ExecutorSafeguard.tracker.set(operator)
    try:
        operator.execute(there)
    finally:
        ExecutorSafeguard.tracker.reset(token)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """File into which the worker writes what it was called with; it ends as `CODE` says."""
    file, script = tmp_path / "said", tmp_path / "worker.py"
    script.write_text(
        f"import os, sys\nopen({str(file)!r}, 'w').write(' '.join(sys.argv[1:]))\n"
        "sys.exit(int(os.environ.get('CODE', '0')))\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("UNDERSKY_WORKER", f"{sys.executable} {script}")
    return file


@pytest.mark.parametrize(
    ("begin", "runs"),
    [
        (Begin.DATASET, ["dataset", "train", "evaluate"]),
        (Begin.TRAIN, ["train", "evaluate"]),
        (Begin.EVALUATE, ["evaluate"]),
        (Begin.REVIEW, []),
        (Begin.PROMOTE, []),
    ],
)
def test_stages_before_the_beginning_of_the_run_are_skipped(
    said: Path, begin: Begin, runs: list[str]
) -> None:
    from airflow.sdk.exceptions import AirflowSkipException

    ran = []
    for stage in ReleaseStage:
        said.unlink(missing_ok=True)
        try:
            _execute(stage, begin)
        except AirflowSkipException:
            assert not said.exists(), "what is skipped runs nothing"
        else:
            assert said.read_text(encoding="utf-8") == f"model stage {stage} {HREF}"
            ran.append(str(stage))
    assert ran == runs


@pytest.mark.parametrize(
    ("code", "error"),
    [(2, "AirflowFail"), (3, "AirflowFail"), (75, "StageUnfinished"), (1, "StageCrashed")],
)
def test_its_end_means_to_airflow_what_the_rule_says(
    said: Path, monkeypatch: pytest.MonkeyPatch, code: int, error: str
) -> None:
    from airflow.sdk.exceptions import AirflowException

    monkeypatch.setenv("CODE", str(code))
    with pytest.raises(AirflowException, match=f"undersky model stage train {HREF}") as caught:
        _execute(ReleaseStage.TRAIN, Begin.TRAIN)
    assert type(caught.value).__name__.startswith(error)


def test_killing_a_task_that_has_not_begun_does_nothing() -> None:
    from undersky_airflow.releases import ReleaseOperator

    ReleaseOperator(task_id="train", stage=ReleaseStage.TRAIN, order=HREF).on_kill()

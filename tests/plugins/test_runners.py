"""Two runners behind one Protocol."""

import sys
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from fixtures_airflow import context
from undersky.errors import ConfigError
from undersky.refs import ReleaseStage, Stage
from undersky.settings import Settings

HREF = "s3://bucket/batches/run/000/batch.json"


def _task(stage: Stage = Stage.CORRECT) -> Any:
    from undersky_airflow.runners import Task

    return Task(stage, HREF, timedelta(hours=1), "surface_batch.correct")


def _script(folder: Path, code: str) -> str:
    file = folder / "worker.py"
    file.write_text(code, encoding="utf-8")
    return f"{sys.executable} {file}"


def _run(folder: Path, code: str, stage: Stage = Stage.CORRECT) -> tuple[int, list[str]]:
    from undersky_airflow.runners import ProcessRunner

    said: list[str] = []
    runner = ProcessRunner(Settings(worker=_script(folder, code)), said.append)
    return runner.run(_task(stage), context(), None), said


def test_the_setting_chooses_the_runner() -> None:
    from undersky_airflow.runners import PodRunner, ProcessRunner, runner_for

    assert isinstance(runner_for(Settings(), print), ProcessRunner)
    assert isinstance(runner_for(Settings(runtime="kubernetes"), print), PodRunner)


def test_a_stage_is_the_verb_that_everybody_can_type(tmp_path: Path) -> None:
    code, said = _run(tmp_path, "import sys; print(sys.argv[1:])")
    assert code == 0
    assert said[0].endswith(f"batch correct {HREF}"), "the log begins with a line to paste"
    assert said[1] == str(["batch", "correct", HREF])


def test_without_a_setting_it_is_this_pythons_undersky() -> None:
    from undersky_airflow.runners import ProcessRunner

    said: list[str] = []
    code = ProcessRunner(Settings(), said.append).run(_task(), context(), None)
    assert said[0].startswith(f"$ {sys.executable} -m undersky batch correct")
    assert code in (2, 75), "there is no such store"


def test_a_stage_never_sees_the_ledger_the_registry_or_airflow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = ("UNDERSKY_LEDGER", "UNDERSKY_REGISTRY", "MLFLOW_TRACKING_PASSWORD", "PGPASSWORD")
    for name in (
        *secrets,
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
        "AWS_ACCESS_KEY_ID",
        "UNDERSKY_CREDENTIALS",
    ):
        monkeypatch.setenv(name, "x")
    _, said = _run(tmp_path, "import os; print(*os.environ)")
    seen = set(said[1].split())
    assert not seen & {*secrets, "UNDERSKY_CREDENTIALS"}
    assert not [name for name in seen if "AIRFLOW" in name]
    assert "AWS_ACCESS_KEY_ID" in seen


def test_the_logins_of_providers_are_for_ingest_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNDERSKY_CREDENTIALS", "{}")
    _, said = _run(tmp_path, "import os; print('UNDERSKY_CREDENTIALS' in os.environ)", Stage.INGEST)
    assert said[1] == "True"


def test_a_stage_of_the_model_flow_is_a_verb_too() -> None:
    from undersky_airflow.runners import Task

    order = "s3://bucket/releases/run/order.json"
    task = Task(ReleaseStage.TRAIN, order, timedelta(days=2), "train")
    assert task.arguments == ["model", "stage", "train", order]


@pytest.mark.parametrize("stage", [*Stage, *ReleaseStage])
def test_each_stage_gets_the_logins_that_are_its_business_and_no_other(stage: Stage | ReleaseStage) -> None:
    from undersky_airflow.runners import stage_environment

    trainers = {"UNDERSKY_REGISTRY", "UNDERSKY_TRAINER_LOGIN", "MLFLOW_TRACKING_USERNAME"}
    nobodys = {"UNDERSKY_RELEASE_LOGIN", "UNDERSKY_LEDGER", "PGPASSWORD", "AIRFLOW__CORE__FERNET_KEY"}
    everybodys = {"UNDERSKY_STORE", "AWS_SECRET_ACCESS_KEY", "UNDERSKY_SAMPLES"}
    environment = dict.fromkeys({*trainers, *nobodys, *everybodys, "UNDERSKY_CREDENTIALS"}, "x")
    seen = {name for name, value in stage_environment(stage, environment).items() if value == "x"}
    expected = set(everybodys)
    if stage in (ReleaseStage.TRAIN, ReleaseStage.EVALUATE):
        expected |= trainers
    if stage == Stage.INGEST:
        expected |= {"UNDERSKY_CREDENTIALS"}
    assert seen == expected


def test_a_stage_says_how_scenes_end_unless_the_operator_wants_it_quieter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "import os; print(os.environ['UNDERSKY_LOG_LEVEL'])"
    monkeypatch.delenv("UNDERSKY_LOG_LEVEL", raising=False)
    assert _run(tmp_path, code)[1][1] == "info"
    monkeypatch.setenv("UNDERSKY_LOG_LEVEL", "error")
    assert _run(tmp_path, code)[1][1] == "error"


def test_killing_the_runner_ends_its_process(tmp_path: Path) -> None:
    from undersky_airflow.runners import ProcessRunner

    said: list[str] = []
    code = "import time; print('begun', flush=True); time.sleep(600)"
    runner = ProcessRunner(Settings(worker=_script(tmp_path, code)), said.append)

    def kill() -> None:
        while len(said) < 2:
            time.sleep(0.05)
        runner.kill()

    threading.Thread(target=kill).start()
    assert runner.run(_task(), context(), None) == -15


def test_killing_a_runner_that_runs_nothing_does_nothing() -> None:
    from undersky_airflow.runners import PodRunner, ProcessRunner

    ProcessRunner(Settings(), print).kill()
    PodRunner(Settings(), print).kill()


def test_a_worker_that_is_not_there_is_named_with_its_setting() -> None:
    from undersky_airflow.runners import ProcessRunner

    with pytest.raises(ConfigError, match="UNDERSKY_WORKER: no-such-undersky cannot be run"):
        ProcessRunner(Settings(worker="no-such-undersky"), print).run(_task(), context(), None)

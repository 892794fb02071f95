"""Runs of the trainer in the real registry: one a training, whatever interrupts it, and never in its way."""

import json
import time

import pytest

from undersky.errors import ConfigError, ServiceError
from undersky.services.registry import (
    MAX_METRICS,
    TRAINING,
    TrainingRun,
    find_run,
    open_run,
    reopen_run,
    training_id,
)
from undersky.services.registry.outbox import AFTER_FAILURE_S, EVERY_S, Outbox, Point

DATASET = ("worlds", "d" * 64, "s3://undersky/worlds")
ROWS = [{"slice": "urban", "rmse": 0.01}, {"slice": "snow", "rmse": 0.02, "scenes": 3}]


@pytest.fixture
def trainer(registry):
    return registry(registry.server.trainer)


def opened(trainer, name, recipe="a" * 64, **params):
    tags = {TRAINING: training_id(recipe, DATASET[1])}
    return open_run(trainer, name, name="sigma", params=params, tags=tags, dataset=DATASET)


def test_a_finished_run_has_its_curve_headline_table_files_and_data_set(registry, trainer):
    with opened(trainer, registry.name, steps=700, rate=0.003) as run:
        for step in range(3):
            run.log(step, {"loss": 1.0 / (step + 1)})
        run.finish({"rmse": 0.01}, artifacts={"report/report.html": b"<p>"}, tables={"slices": ROWS})
    client = trainer.client
    known = client.get_run(run.id)
    assert known.info.status == "FINISHED"
    assert known.data.params == {"steps": "700", "rate": "0.003"}
    assert known.data.metrics["rmse"] == 0.01
    assert [point.value for point in client.get_metric_history(run.id, "loss")] == [
        1.0,
        0.5,
        pytest.approx(1 / 3),
    ]
    (used,) = known.inputs.dataset_inputs
    assert (used.dataset.name, used.dataset.digest) == ("worlds", "d" * 36)
    assert (used.dataset.source, known.data.tags["undersky.dataset"]) == (DATASET[2], DATASET[1])
    assert {entry.path for entry in client.list_artifacts(run.id)} == {"report", "slices.json"}
    assert json.loads(known.data.tags["mlflow.loggedArtifacts"]) == [{"path": "slices.json", "type": "table"}]
    assert run.page.endswith(f"/runs/{run.id}")


def test_the_table_has_every_slice_once_even_when_it_is_said_again(registry, trainer, tmp_path):
    run = opened(trainer, registry.name)
    run._tabulate({"slices": ROWS})
    run.finish({}, tables={"slices": ROWS})
    table = json.loads(open_text(trainer, run, tmp_path))
    assert table["columns"] == ["slice", "rmse", "scenes"]
    assert table["data"] == [["urban", 0.01, None], ["snow", 0.02, 3]]


def open_text(trainer, run, tmp_path):
    from pathlib import Path

    return Path(trainer.client.download_artifacts(run.id, "slices.json", str(tmp_path))).read_text()


def interrupted(run, error):
    with run:
        run.log(1, {"loss": 1.0})
        raise error


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt, "KILLED"), (ValueError, "FAILED")])
def test_an_interrupted_training_goes_on_in_the_same_run(registry, trainer, error, status):
    first = opened(trainer, registry.name, device="cpu")
    with pytest.raises(error):
        interrupted(first, error)
    known = trainer.client.get_run(first.id)
    assert (known.info.status, known.data.metrics) == (status, {"loss": 1.0})
    with opened(trainer, registry.name, device="cuda", ranks=2) as second:
        assert second.id == first.id
        assert trainer.client.get_run(first.id).info.status == "RUNNING"
        second.finish({})
    known = trainer.client.get_run(first.id)
    assert (known.info.status, known.data.params) == ("FINISHED", {"device": "cpu", "ranks": "2"})
    assert len(known.inputs.dataset_inputs) == 1


def test_a_run_left_without_its_end_may_be_taken_up_and_a_finished_one_may_not(registry, trainer):
    value = training_id("a" * 64, DATASET[1])
    assert find_run(trainer, registry.name, TRAINING, value) is None
    with opened(trainer, registry.name) as run:
        pass
    assert trainer.client.get_run(run.id).info.status == "KILLED"
    assert find_run(trainer, registry.name, TRAINING, value) == run.id
    assert opened(trainer, registry.name, recipe="b" * 64).id != run.id
    opened(trainer, registry.name).finish({})
    assert find_run(trainer, registry.name, TRAINING, value) is None
    assert opened(trainer, registry.name).id != run.id


def test_more_is_said_of_a_finished_run_when_it_was_evaluated(registry, trainer):
    with opened(trainer, registry.name) as run:
        run.finish({"loss": 0.1}, artifacts={"recipe.json": b"{}"})
    with reopen_run(trainer, run.id) as again:
        assert trainer.client.get_run(run.id).info.status == "RUNNING"
        again.finish({"direct-6s.rmse": 0.01}, tables={"slices": ROWS})
    known = trainer.client.get_run(run.id)
    assert (known.info.status, known.data.metrics) == ("FINISHED", {"loss": 0.1, "direct-6s.rmse": 0.01})
    assert {entry.path for entry in trainer.client.list_artifacts(run.id)} == {"recipe.json", "slices.json"}
    assert again.page == run.page
    with pytest.raises(ConfigError):
        reopen_run(trainer, "f" * 32)


def test_a_tag_with_quotes_reaches_no_query(registry, trainer):
    with pytest.raises(ConfigError, match="leave out the quotes"):
        find_run(trainer, registry.name, TRAINING, "' or ''='")


def test_a_run_has_headline_metrics_and_no_code(registry, trainer):
    run = opened(trainer, registry.name)
    with pytest.raises(ConfigError, match="put the rest in a table"):
        run.finish({f"m{number}": 0.0 for number in range(MAX_METRICS + 1)})
    with pytest.raises(ConfigError, match="execute"):
        run.finish({}, artifacts={"checkpoint.pt": b""})
    run.finish({f"m{number}": 0.0 for number in range(MAX_METRICS)})
    assert len(trainer.client.get_run(run.id).data.metrics) == MAX_METRICS


@pytest.mark.faults
def test_a_server_that_is_away_neither_stops_nor_slows_a_training(registry, trainer):
    from mlflow import MlflowClient

    told = []
    away = MlflowClient(tracking_uri="http://127.0.0.1:9")
    with TrainingRun(away, "r-1", page="", tell=told.append) as run:
        began = time.monotonic()
        for step in range(100):
            run.log(step, {"loss": 1.0})
        assert time.monotonic() - began < 5
    assert ["the training goes on" in told[0], "still counts as running" in told[1]] == [True, True]
    assert len(told) == 2
    with pytest.raises(ServiceError):
        TrainingRun(away, "r-1", page="", tell=told.append).finish({"rmse": 0.1})


class Line:
    """Stands for the way to the server: open or cut."""

    def __init__(self):
        self.sent, self.told, self.now, self.is_cut = [], [], 100.0, False
        self.outbox = Outbox(self.send, tell=self.told.append, clock=lambda: self.now)

    def send(self, points):
        if self.is_cut:
            raise ServiceError("cut")
        self.sent.append([point.step for point in points])

    def put(self, *steps):
        self.outbox.put([Point("loss", 1.0, step, 0) for step in steps])
        if self.outbox._under_way is not None:
            self.outbox._under_way.result()


def test_figures_go_out_in_batches_and_seldom():
    line = Line()
    line.put(1)
    line.put(2)
    line.now += EVERY_S - 0.1
    line.put(3)
    assert line.sent == [[1]]
    line.now += 0.2
    line.put(4)
    assert line.sent == [[1], [2, 3, 4]]
    line.put(5)
    assert line.outbox.close()
    assert line.sent == [[1], [2, 3, 4], [5]]


@pytest.mark.faults
def test_what_failed_is_told_once_and_sent_again_later_in_its_order():
    line = Line()
    line.is_cut = True
    line.put(1)
    line.now += EVERY_S
    line.put(2)  # the failure is known now
    line.now += AFTER_FAILURE_S
    line.put(3)
    line.put(4)
    assert len(line.told) == 1
    line.is_cut = False
    line.now += AFTER_FAILURE_S
    line.put(5)
    assert line.sent == [[1, 2, 3, 4, 5]]
    line.is_cut = True
    line.put(6)
    assert not line.outbox.close()
    assert len(line.told) == 1

"""Runs of the trainer: one run a training in the experiment `<model>-training`, whatever interrupts it.

    open_run --log, log, log--> figures over steps --finish--> headline metrics, tables, files   FINISHED
        ^                             |  an error: FAILED; stopped: KILLED
        +---- the same TRAINING tag --+  taken up again

A training never waits for the server and never ends by it: what it logs is sent beside it.
"""

import logging
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Self

from undersky.errors import ConfigError, UnderskyError
from undersky.services.registry.outbox import Outbox, Point
from undersky.services.registry.packages import check_paths
from undersky.services.registry.server import experiment, plain, typed
from undersky.services.registry.values import Tag

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from undersky.services.registry.client import Registry

TRAINING = "undersky.training"
"""Tag that says which training a run is: `training_id` of its recipe and data set."""
MAX_METRICS = 30
"""Headline metrics of a run at most: what people compare; all else is in its tables."""

Rows = Sequence[Mapping[str, object]]

_FINISHED, _FAILED, _KILLED, _RUNNING = "FINISHED", "FAILED", "KILLED", "RUNNING"
_DIGEST_CHARS = 36
"""MLflow keeps this much of a data set's digest; the tag has all of it."""
_PARAMS_A_CALL, _PARAM_CHARS, _POINTS_A_CALL = 100, 6000, 1000
"""MLflow's own bounds."""
_NO_FILES: Mapping[str, bytes] = MappingProxyType({})
_NO_TABLES: Mapping[str, Rows] = MappingProxyType({})
_log = logging.getLogger(__name__)


class TrainingRun:
    """One run, open: `with open_run(...) as run`. Left without `finish`, it may be taken up again."""

    def __init__(
        self, client: "MlflowClient", run_id: str, *, page: str, tell: Callable[[str], None]
    ) -> None:
        self.id = run_id
        """MLflow's."""
        self.page = page
        """Where people look at it."""
        self._client, self._tell = client, tell
        self._outbox = Outbox(self._send, tell=tell)
        self._is_finished = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_finished:
            return
        self._outbox.close()
        is_error = kind is not None and issubclass(kind, Exception)
        try:
            self._end(_FAILED if is_error else _KILLED)
        except UnderskyError as failure:
            self._tell(f"the run {self.id} still counts as running: {failure}")

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        """The figures of a step are on their way; whether they arrive changes nothing for the training."""
        now = int(time.time() * 1000)
        self._outbox.put([Point(name, float(value), step, now) for name, value in figures.items()])

    def finish(
        self,
        metrics: Mapping[str, float],
        *,
        artifacts: Mapping[str, bytes] = _NO_FILES,
        tables: Mapping[str, Rows] = _NO_TABLES,
    ) -> None:
        """The run is FINISHED, with all that is to be kept of it; saying it again adds no row to a table.

        Args:
            metrics: Headline metrics, which people compare.
            artifacts: Path to content, `report.html`.
            tables: Name to rows; each is one table in MLflow's pages, `slices`.

        Raises:
            ConfigError: Too many metrics, a file that may not lie there, or an account that may not write.
            ServiceError: The server failed; the same call may succeed later.
        """
        if len(metrics) > MAX_METRICS:
            raise ConfigError(
                f"{len(metrics)} headline metrics, expected at most {MAX_METRICS}: put the rest in a table"
            )
        check_paths(artifacts)
        if not self._outbox.close():
            self._tell(f"some figures of the run {self.id} are lost: the server did not take them")
        now = int(time.time() * 1000)
        self._send([Point(name, float(value), 0, now) for name, value in metrics.items()])
        self._keep(artifacts)
        self._tabulate(tables)
        self._end(_FINISHED)
        self._is_finished = True

    def _send(self, points: Sequence[Point]) -> None:
        from mlflow.entities import Metric  # noqa: PLC0415  costs seconds

        metrics = [Metric(point.name, point.value, point.at_ms, point.step) for point in points]
        with typed(f"figures of the run {self.id}"):
            for at in range(0, len(metrics), _POINTS_A_CALL):
                self._client.log_batch(self.id, metrics=metrics[at : at + _POINTS_A_CALL])

    def _keep(self, artifacts: Mapping[str, bytes]) -> None:
        if not artifacts:
            return
        with TemporaryDirectory() as scratch, typed(f"files of the run {self.id}"):
            for name, content in artifacts.items():
                path = Path(scratch) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            self._client.log_artifacts(self.id, scratch)

    def _tabulate(self, tables: Mapping[str, Rows]) -> None:
        with typed(f"tables of the run {self.id}"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # how MLflow calls pandas is not the operator's to hear
            there = {entry.path for entry in self._client.list_artifacts(self.id)} if tables else set()
            for name, rows in tables.items():
                path = f"{name}.json"
                if path not in there:  # MLflow would add the rows to those that are there
                    self._client.log_table(self.id, data=_columns(rows), artifact_file=path)

    def _end(self, status: str) -> None:
        with typed(f"the end of the run {self.id}"):
            self._client.set_terminated(self.id, status)


def training_id(recipe: str, dataset: str) -> str:
    """What TRAINING says of a training: it is the same one where the digests of both are."""
    return f"{recipe}+{dataset}"


def find_run(registry: "Registry", model: str, tag: str, value: str) -> str | None:
    """Id of the newest run of the model's trainings with that tag that is not finished; None where none is.

    Raises:
        ConfigError: The account may not read it, or the tag cannot stand in a query.
        ServiceError: The server failed.
    """
    if {"'", '"', "`"} & set(tag + value):
        raise ConfigError(f"the tag {tag}={value!r} cannot be searched for: leave out the quotes")
    client, name = registry.client, _experiment(model)
    with typed(f"the runs of {name}"):
        where = client.get_experiment_by_name(name)
        if where is None:
            return None
        query = f"tags.`{tag}` = '{value}' and attributes.status != '{_FINISHED}'"
        found = client.search_runs(
            [where.experiment_id], query, max_results=1, order_by=["attributes.start_time DESC"]
        )
    return str(found[0].info.run_id) if found else None


def open_run(
    registry: "Registry",
    model: str,
    *,
    name: str,
    params: Mapping[str, object],
    tags: Mapping[str, str],
    dataset: tuple[str, str, str],
    tell: Callable[[str], None] = _log.warning,
) -> TrainingRun:
    """A run of the model's trainings; an unfinished one with the same TRAINING tag is taken up.

    Args:
        registry: Opened as the account that trains; it owns the experiment, which is made where it is none.
        model: Its name.
        name: Of the run, for people.
        params: How it is trained; of a run that is taken up, those stand that were there.
        tags: With TRAINING, a training that is interrupted goes on in the same run.
        dataset: Name, digest and source of what it learns from.
        tell: Told once when the server fails while the training goes on.

    Raises:
        ConfigError: The account may not train this model.
        ServiceError: The server failed; the same call may succeed later.
    """
    client = registry.client
    where = experiment(client, _experiment(model))
    known = find_run(registry, model, TRAINING, tags[TRAINING]) if TRAINING in tags else None
    with typed(f"a run of {_experiment(model)}"):
        if known is None:
            every_tag = {Tag.DATASET: dataset[1], **tags}
            known = str(client.create_run(where, tags=every_tag, run_name=name).info.run_id)
        else:
            client.update_run(known, status=_RUNNING)
        _describe(client, known, params, dataset)
    return TrainingRun(client, known, page=_page(registry, where, known), tell=tell)


def reopen_run(
    registry: "Registry", run_id: str, *, tell: Callable[[str], None] = _log.warning
) -> TrainingRun:
    """The run of that id is RUNNING again, a finished one too: more is said of what it made.

    Raises:
        ConfigError: There is none, or it is another account's.
        ServiceError: The server failed; the same call may succeed later.
    """
    client = registry.client
    with typed(f"the run {run_id}"):
        where = client.get_run(run_id).info.experiment_id
        client.update_run(run_id, status=_RUNNING)
    return TrainingRun(client, run_id, page=_page(registry, where, run_id), tell=tell)


def _describe(
    client: "MlflowClient", run_id: str, params: Mapping[str, object], dataset: tuple[str, str, str]
) -> None:
    """What the run lacks of its parameters and its data set is there."""
    from mlflow.entities import Dataset, DatasetInput, InputTag, Param  # noqa: PLC0415  costs seconds

    run = client.get_run(run_id)
    missing = [
        Param(key, str(value)[:_PARAM_CHARS]) for key, value in params.items() if key not in run.data.params
    ]
    for at in range(0, len(missing), _PARAMS_A_CALL):
        client.log_batch(run_id, params=missing[at : at + _PARAMS_A_CALL])
    if run.inputs is None or not run.inputs.dataset_inputs:
        name, digest, source = dataset
        used = Dataset(name, digest[:_DIGEST_CHARS], source_type="undersky", source=source)
        client.log_inputs(run_id, [DatasetInput(used, [InputTag("mlflow.data.context", "training")])])


def _experiment(model: str) -> str:
    return f"{plain(model)}-training"


def _page(registry: "Registry", where: str, run_id: str) -> str:
    return f"{registry.uri}/#/experiments/{where}/runs/{run_id}"


def _columns(rows: Rows) -> dict[str, list[object]]:
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}

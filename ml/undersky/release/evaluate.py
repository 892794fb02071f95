"""Stage `evaluate`: candidate and champion on the same scenes, the gate's judgement, the review page.

candidates/..., models/... --hold_against--> releases/<run>/{judgement.json, evidence.parquet, slices.csv}
                                         --> reports/releases/<run>/index.html, the registry's run

Models that work on what the candidate makes are tried on it too: the champions of the release set that
`releases/<run>/release.json` pins.
"""

import csv
import io
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from undersky.batch.scratch import working_folder
from undersky.errors import ConfigError
from undersky.judgement import Judgement
from undersky.models.package import ModelPackage
from undersky.refs import EvaluatedRef, PackageRef, ReleaseOrder, ReleaseSet, TrainedRef
from undersky.release.candidates import get_candidate
from undersky.release.comparing import Held, hold_against
from undersky.release.told import tenths
from undersky.settings import Settings

if TYPE_CHECKING:
    from undersky.services.registry import TrainingRun
    from undersky.services.store import Store

RELEASE_FILE = "release.json"
"""Beside the order: the release set of when the run began."""
MOST_FIGURES = 24
"""Headline figures of a run that an evaluation adds; all else is in its table of slices."""
_TYPES = {"csv": "text/csv", "parquet": "application/vnd.apache.parquet", "html": "text/html"}


def evaluate(
    order: ReleaseOrder, store: "Store", settings: Settings, tell: Callable[..., None]
) -> EvaluatedRef:
    """The order's candidate, held against the champion that the order pinned.

    Raises:
        ConfigError: There is no candidate, or no champion to hold it against.
        DataError: A package is refused.
        ServiceError: A service failed.
    """
    began = time.monotonic()
    candidate, trained = _candidate(order, store)
    if order.champion is None:
        raise ConfigError(
            f"there is no champion of {order.model} to hold it against: `undersky model bootstrap` first"
        )
    champion = PackageRef(
        name=order.model, label=order.champion.label, digest=order.champion.digest, href=order.champion.href
    )
    with working_folder(settings.scratch) as folder:
        package = get_candidate(store, candidate, folder / "candidate")
        get_candidate(store, champion, folder / "champion")
        held = hold_against(
            folder / "candidate",
            folder / "champion",
            suites=order.suites,
            scenes=order.scenes,
            workers=settings.threads,
            others=_others(order, store, folder / "others"),
            progress=tenths(lambda at, suite: tell("comparing", suite=suite, percent=round(100 * at))),
        )
        tell("comparing is done", outcome=str(held.judgement.outcome), sentence=held.judgement.sentence)
        page = held.page().encode()
    return _written(
        order, store, held, page, seconds=time.monotonic() - began,
        candidate=candidate, run_id=_told(order, settings, held, page, package=package, trained=trained),
    )  # fmt: skip


def _others(order: ReleaseOrder, store: "Store", folder: Path) -> dict[str, Path]:
    """Model to folder of the champion of every other model of the release set that the run pinned."""
    pinned = store.find(f"releases/{order.run}/{RELEASE_FILE}")
    if pinned is None:
        return {}
    others = [model for model in ReleaseSet.from_json(pinned).models if model.name != order.model]
    for model in others:
        ref = PackageRef(name=model.name, label=model.label, digest=model.digest, href=model.href)
        get_candidate(store, ref, folder / model.name)
    return {model.name: folder / model.name for model in others}


def _candidate(order: ReleaseOrder, store: "Store") -> tuple[PackageRef, TrainedRef | None]:
    if order.weights is not None:
        return order.weights, None
    trained = store.get_json(f"releases/{order.run}/train.json", TrainedRef)
    return trained.package, trained


def _written(
    order: ReleaseOrder,
    store: "Store",
    held: Held,
    page: bytes,
    *,
    candidate: PackageRef,
    run_id: str | None,
    seconds: float,
) -> EvaluatedRef:
    folder, report = f"releases/{order.run}", f"reports/releases/{order.run}/index.html"
    comparison, judgement = held.comparison, held.judgement
    for key, data in (
        (f"{folder}/evidence.parquet", comparison.table()),
        (f"{folder}/slices.csv", comparison.slices().encode()),
        (report, page),
    ):
        store.put(key, data, content_type=_TYPES[key.rpartition(".")[2]])
    store.put_json(f"{folder}/judgement.json", judgement)
    return EvaluatedRef(
        package=candidate,
        judgement=f"{folder}/judgement.json",
        outcome=str(judgement.outcome),
        sentence=judgement.sentence,
        page=store.href(report),
        slices=f"{folder}/slices.csv",
        mlflow_run=run_id,
        seconds=round(seconds, 1),
    )


def _told(
    order: ReleaseOrder,
    settings: Settings,
    held: Held,
    page: bytes,
    *,
    package: ModelPackage,
    trained: TrainedRef | None,
) -> str | None:
    """The registry's run has the figures: that of the training, or one of its own; its id."""
    if settings.registry is None:
        return None
    with _run(order, settings, package, trained) as run:
        run.finish(
            _headline(held.judgement),
            artifacts={
                "report.html": page,
                "judgement.json": held.judgement.to_json().encode(),
                **held.figures(),
            },
            tables={"slices": list(csv.DictReader(io.StringIO(held.comparison.slices())))},
        )
        return run.id


def _run(
    order: ReleaseOrder, settings: Settings, package: ModelPackage, trained: TrainedRef | None
) -> "TrainingRun":
    from undersky.services.opened import open_registry  # noqa: PLC0415  loads MLflow
    from undersky.services.registry import open_run, reopen_run  # noqa: PLC0415  the same

    registry = open_registry(settings, "trainer")
    if trained is not None and trained.mlflow_run is not None:
        return reopen_run(registry, trained.mlflow_run)
    origin: Mapping[str, object] = package.provenance
    dataset = str(origin.get("dataset_digest", ""))
    return open_run(
        registry,
        order.model,
        name=f"evaluate {package.version}",
        params={"recipe": order.recipe, "package": package.digest, "dataset_digest": dataset},
        tags={"undersky.run": order.run, "undersky.by": order.by},
        dataset=(f"{order.model}-{dataset[:12]}", dataset or package.digest, "elsewhere"),
    )


def _headline(judgement: Judgement) -> dict[str, float]:
    """Suite and metric to the candidate's figure, and to how much it differs."""
    figures: dict[str, float] = {}
    changes: dict[str, float] = {}
    for suite, metrics in judgement.metrics.items():
        before = judgement.champion_metrics.get(suite, {})
        figures |= {f"{suite}.{name}": value for name, value in metrics.items()}
        changes |= {
            f"{suite}.{name}.change": value - before[name]
            for name, value in metrics.items()
            if name in before
        }
    return dict([*figures.items(), *changes.items()][:MOST_FIGURES])

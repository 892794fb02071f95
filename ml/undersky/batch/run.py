"""Which work each stage does, and what it needs; the science of a stage is imported when it runs."""

from pathlib import Path
from typing import TYPE_CHECKING

from undersky.batch.driver import Running, Tell, Work, run_batch
from undersky.batch.journal import read_batch
from undersky.batch.pinned import pinned_model
from undersky.batch.scratch import working_folder
from undersky.refs import MODELS, Kind, Manifest, Stage
from undersky.settings import Settings

if TYPE_CHECKING:
    from undersky.services.store import Store


def run_stage(stage: Stage, href: str, *, store: "Store", settings: Settings, tell: Tell) -> Manifest:
    """Every scene of the batch has left the stage.

    Args:
        stage: Which stage.
        href: Address of `batch.json`.
        store: The own bucket.
        settings: Scratch folder and threads.
        tell: Where log events go.

    Raises:
        ConfigError: See `run_batch`; or the batch lacks what the stage needs.
        ServiceError: The store does not answer.
    """
    with working_folder(settings.scratch) as folder:
        work = _work(stage, href, store=store, settings=settings, folder=folder)
        return run_batch(store, href, stage, work, running=Running(settings.scratch, tell))


def _work(stage: Stage, href: str, *, store: "Store", settings: Settings, folder: Path) -> Work:
    match stage:
        case Stage.INGEST:
            from undersky.batch.ingest import ingest_work  # noqa: PLC0415

            return ingest_work(settings)
        case Stage.VALIDATE_L1:
            from undersky.batch.validate import judge_level1  # noqa: PLC0415

            return judge_level1
        case Stage.CORRECT:
            from undersky.batch.correct import MODEL, Correction, quality_model  # noqa: PLC0415

            release = read_batch(store, href).release
            model, mask = pinned_model(release, MODEL), quality_model(release)
            return Correction(store, folder, model, mask, threads=settings.threads)
        case Stage.MAP | Stage.DETECT:
            return _mapping(stage, href, store=store, settings=settings, folder=folder)
        case Stage.VALIDATE_MAP | Stage.VALIDATE_OBJECTS:
            from undersky.batch.validate import judge_map  # noqa: PLC0415

            return judge_map
        case Stage.VALIDATE_SURFACE:
            from undersky.batch.validate import judge_surface  # noqa: PLC0415

            return judge_surface


def _mapping(stage: Stage, href: str, *, store: "Store", settings: Settings, folder: Path) -> Work:
    """The maps of one kind, by the model that the batch pinned for it."""
    from undersky.batch.ground import Ground  # noqa: PLC0415

    release = read_batch(store, href).release
    if stage == Stage.MAP:
        from undersky.batch.cover import CoverMaker  # noqa: PLC0415

        model = pinned_model(release, MODELS[Kind.LANDCOVER][0])
        return Ground(store, CoverMaker(store, folder, model, threads=settings.threads))
    from undersky.batch.objects import ObjectMaker  # noqa: PLC0415

    model = pinned_model(release, MODELS[Kind.VESSELS][0])
    return Ground(store, ObjectMaker(store, folder, model, threads=settings.threads))

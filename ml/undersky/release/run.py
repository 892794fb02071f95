"""`model stage STAGE HREF`: one stage of the model flow, by its order in the store.

    releases/<run>/order.json --dataset--> dataset.json --train--> train.json --evaluate--> evaluate.json

A stage whose document is there is done: running it again changes nothing. The stages are imported when they
are asked for.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from undersky.refs import DatasetRef, EvaluatedRef, Reference, ReleaseOrder, ReleaseStage, TrainedRef
from undersky.settings import Settings

if TYPE_CHECKING:
    from undersky.services.store import Store

Tell = Callable[..., None]
Work = Callable[[ReleaseOrder, "Store", Settings, Tell], Reference]

DOCUMENTS: dict[ReleaseStage, type[Reference]] = {
    ReleaseStage.DATASET: DatasetRef,
    ReleaseStage.TRAIN: TrainedRef,
    ReleaseStage.EVALUATE: EvaluatedRef,
}
"""What each stage leaves at `releases/<run>/<stage>.json`."""


def run_release(
    stage: ReleaseStage, href: str, *, store: "Store", settings: Settings, tell: Tell
) -> Reference:
    """The stage is done; what it left.

    Args:
        stage: Which.
        href: Address of `order.json`.
        store: The own bucket.
        settings: Scratch folder, threads, registry.
        tell: Where log events go.

    Raises:
        ConfigError: No such order, or one that the stage cannot carry out.
        DataError: A dataset or a package is refused.
        ServiceError: A service failed, or a signal asked for the end; the same call goes on.
    """
    key = store.key(href)
    order = store.get_json(key, ReleaseOrder)
    there = f"{key.rpartition('/')[0]}/{stage}.json"
    if store.find(there) is not None:
        tell("was done before", stage=str(stage), document=store.href(there))
        return store.get_json(there, DOCUMENTS[stage])
    done = _work(stage)(order, store, settings, tell)
    store.put_json(there, done)
    return done


def _work(stage: ReleaseStage) -> "Work":
    match stage:
        case ReleaseStage.DATASET:
            from undersky.release.dataset import make  # noqa: PLC0415  loads torch, as the others do

            return make
        case ReleaseStage.TRAIN:
            from undersky.release.train import train  # noqa: PLC0415  see above

            return train
        case ReleaseStage.EVALUATE:
            from undersky.release.evaluate import evaluate  # noqa: PLC0415  see above

            return evaluate

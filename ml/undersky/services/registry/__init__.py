"""The model registry: MLflow, of which names, tags, aliases, files and runs are used; nothing is unpickled.

    version of `correction`   tags     digests of package, judgement and verdict; answer; code version; label
                              source   a LoggedModel with the artifacts
                                       package/package.json  package/weights.safetensors
                                       judgement.json  verdict.json  MLmodel  README.md  report.*
    aliases                   champion, candidate, previous
    `correction-training`     one run a training, taken up again after an interruption

MLflow costs seconds to import, so it is imported when a registry is opened. Its client acts as
MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD say, or as the account it is opened with.
"""

from undersky.judgement import Verdict
from undersky.services.registry.client import Registry
from undersky.services.registry.runs import (
    MAX_METRICS,
    TRAINING,
    TrainingRun,
    find_run,
    open_run,
    reopen_run,
    training_id,
)
from undersky.services.registry.server import ping
from undersky.services.registry.values import (
    CANDIDATE,
    CHAMPION,
    JUDGEMENT_FILE,
    PACKAGE_FILES,
    PREVIOUS,
    VERDICT_FILE,
    Version,
)

__all__ = [
    "CANDIDATE",
    "CHAMPION",
    "JUDGEMENT_FILE",
    "MAX_METRICS",
    "PACKAGE_FILES",
    "PREVIOUS",
    "TRAINING",
    "VERDICT_FILE",
    "Registry",
    "TrainingRun",
    "Verdict",
    "Version",
    "find_run",
    "open_run",
    "ping",
    "reopen_run",
    "training_id",
]

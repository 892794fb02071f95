"""The only reader of the environment: every setting is `UNDERSKY_<NAME>`, each with a default that works."""

import os
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from undersky.errors import ConfigError

T = TypeVar("T")


class Settings(BaseSettings):
    """Built once at the entry; each part is handed what it needs."""

    model_config = SettingsConfigDict(env_prefix="UNDERSKY_", frozen=True, extra="ignore")

    samples: Path | None = Field(None, description="Folder of real scenes and archive pairs to evaluate on.")
    threads: int = Field(2, ge=1, le=64, description="Threads that decode, correct and encode one product.")
    log_level: str = Field("warning", pattern="^(debug|info|warning|error)$", description="What is logged.")
    log_format: str = Field("text", pattern="^(text|json)$", description="Lines for people or for machines.")

    ledger: SecretStr | None = Field(None, description="PostgreSQL of the ledger, postgresql://user@host/db.")
    store: str | None = Field(None, pattern="^s3://[^/]+$", description="Bucket of all files, s3://bucket.")
    s3_endpoint: str | None = Field(None, description="Address of an S3 server that is not AWS.")
    commit: Literal["store", "ledger"] = Field(
        "store",
        description="What decides a race to publish: the store's conditional put or the ledger.",
    )
    public_url: str | None = Field(
        None, description="Where readers reach the bucket, https://host/bucket; s3://bucket when unset."
    )
    profiles: Path | None = Field(None, description="Folder of provider profiles that replace shipped ones.")
    credentials: SecretStr | None = Field(
        None, description="Logins of providers: a JSON object or a file with one, see docs/providers.md."
    )
    registry: str | None = Field(None, description="Address of the MLflow server.")
    release_login: SecretStr | None = Field(
        None, description="Account that registers and promotes, name:password; MLflow's own when unset."
    )
    trainer_login: SecretStr | None = Field(
        None, description="Account under which trainings are logged, name:password; MLflow's own when unset."
    )
    admin_login: SecretStr | None = Field(
        None, description="Administrator of the registry, for `undersky model accounts` alone, name:password."
    )
    reviewers: str | None = Field(
        None, description="Accounts of Airflow that may answer a review, a,b; whoever may trigger when unset."
    )
    catalog_url: str | None = Field(None, description="Address of the STAC API over what was published.")
    airflow_url: str | None = Field(None, description="Address of the Airflow UI, for links to logs.")
    scratch: Path | None = Field(None, description="Folder for working files; the system's when unset.")
    runtime: Literal["process", "kubernetes"] = Field("process", description="What a batch stage runs in.")
    worker: str | None = Field(
        None, description="Command of a batch stage in runtime process; this Python's undersky when unset."
    )
    worker_image: str | None = Field(None, description="Image of a batch stage in runtime kubernetes.")
    worker_pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field(
        "IfNotPresent", description="When a node fetches the image in runtime kubernetes."
    )
    worker_namespace: str = Field("undersky", description="Namespace of the pods in runtime kubernetes.")
    kubeconfig: Path | None = Field(
        None, description="How to reach the cluster, a kubeconfig; the pod's own service account when unset."
    )
    pods: str | None = Field(
        None,
        description="What the pods of stages need, where it differs from the shipped table: YAML or a file.",
    )
    batch_scenes: int = Field(4, ge=1, le=500, description="Scenes that flow together.")
    claim_scenes: int = Field(60, ge=1, le=20_000, description="Scenes that one run claims at most.")
    lease_minutes: float = Field(120, gt=0, description="How long a claim stands without a sign of life.")
    max_tries: int = Field(5, ge=1, description="Runs that may try a scene before it counts as failed.")


def read_settings() -> Settings:
    """The settings of this process.

    Raises:
        ConfigError: A variable has a value that its setting does not take.
    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = f"UNDERSKY_{'_'.join(str(part) for part in first['loc'])}".upper()
        raise ConfigError(f"{name}={first['input']!r} cannot be used: {first['msg']}") from error


def needed(value: T | None, name: str, *, cure: str) -> T:
    """The value of a setting that this verb cannot do without.

    Raises:
        ConfigError: It is not set.
    """
    if value is None:
        raise ConfigError(f"UNDERSKY_{name.upper()} is not set: {cure}")
    return value


def mlflow_login() -> str | None:
    """MLflow's own account, name:password, of MLFLOW_TRACKING_USERNAME and _PASSWORD; None where unset."""
    name, password = (os.environ.get(f"MLFLOW_TRACKING_{part}") for part in ("USERNAME", "PASSWORD"))
    return f"{name}:{password}" if name and password else None


class Ranks(NamedTuple):
    """This process among those that `torchrun` started together."""

    rank: int
    """Of this process."""
    ranks: int
    """How many there are."""
    local_rank: int
    """Of this process on its machine."""


def torchrun_ranks() -> Ranks:
    """What `torchrun` has put into the environment; alone where it has put nothing there.

    Raises:
        ConfigError: It holds something else under those names.
    """
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
    found = [os.environ.get(name) for name in names]
    if None in found:  # other launchers set some of them for purposes of their own
        return Ranks(0, 1, 0)
    try:
        ranks = Ranks(*(int(value or "") for value in found))
    except ValueError as error:
        raise ConfigError(
            f"{' '.join(names)} are {found}, expected the numbers that torchrun sets"
        ) from error
    if not (0 <= ranks.rank < ranks.ranks and 0 <= ranks.local_rank <= ranks.rank):
        raise ConfigError(f"{' '.join(names)} are {found}, which is no place among that many ranks")
    return ranks


def one_thread_a_library() -> None:
    """Keeps OpenBLAS and OpenMP at one thread each, unless the environment says otherwise.

    Undersky works on bands in parallel and its matrices are small: library threads only spin against each
    other (three times the CPU-seconds on two cores). To be called before numpy and torch are loaded.
    """
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, "1")

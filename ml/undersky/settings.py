"""The only reader of the environment: every setting is `UNDERSKY_<NAME>`, each with a default that works."""

import os
from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from undersky.errors import ConfigError


class Settings(BaseSettings):
    """Built once at the entry; each part is handed what it needs."""

    model_config = SettingsConfigDict(env_prefix="UNDERSKY_", frozen=True, extra="ignore")

    samples: Path | None = Field(None, description="Folder of real scenes and archive pairs to evaluate on.")
    threads: int = Field(2, ge=1, le=64, description="Threads that decode, correct and encode one product.")
    log_level: str = Field("warning", pattern="^(debug|info|warning|error)$", description="What is logged.")
    log_format: str = Field("text", pattern="^(text|json)$", description="Lines for people or for machines.")


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


def one_thread_a_library() -> None:
    """Keeps OpenBLAS and OpenMP at one thread each, unless the environment says otherwise.

    Undersky works on bands in parallel and its matrices are small: library threads only spin against each
    other (three times the CPU-seconds on two cores). To be called before numpy and torch are loaded.
    """
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, "1")

"""What belongs together: DAG files, plugin and package of one release, under an Airflow that both know.

Each DAG file begins with

    from undersky_airflow.versions import written_for

    __release__ = written_for("0.1")

before its other imports: a name that another release does not have would hide the sentence that follows
behind an ImportError. What is raised here stands in the UI as the file's import error.
"""

from importlib.metadata import PackageNotFoundError, version

import undersky
from undersky.errors import ConfigError

RELEASE = "0.1"
"""The release of this plugin; patches of one release go together."""

AIRFLOW = "3.3"
"""The Airflow that this release is tested with, and any patch of it."""


def written_for(release: str) -> str:
    """The release, where DAGs, plugin and package are all of it and Airflow is one that it knows.

    Args:
        release: What the DAG file was written for, `0.1`.

    Raises:
        ConfigError: Two of them differ; both are named.
    """
    if release != RELEASE:
        raise ConfigError(
            f"this DAG is of Undersky {release}, the plugin is of {RELEASE}: deploy DAGs and plugin of one "
            "release, then restart every component of Airflow"
        )
    if _series(undersky.__version__) != RELEASE:
        raise ConfigError(
            f"the plugin is of Undersky {RELEASE}, the package beside it is {undersky.__version__}: install "
            f"undersky {RELEASE} where Airflow runs, then restart every component"
        )
    found = _airflow()
    if found is None or _series(found) != AIRFLOW:
        raise ConfigError(
            f"Undersky {RELEASE} works with Airflow {AIRFLOW}, {found or 'none'} is installed: install "
            f"apache-airflow {AIRFLOW}, or the release of Undersky that is meant for this one"
        )
    return release


def _series(full: str) -> str:
    """`3.3` of `3.3.2`."""
    return ".".join(full.split(".")[:2])


def _airflow() -> str | None:
    try:
        return version("apache-airflow-core")
    except PackageNotFoundError:
        return None

"""What Airflow loads as a plugin: the links on the tasks of a batch.

Everything else of this folder is a package that the DAGs import; `.airflowignore` keeps Airflow from
executing its files one by one under their bare names. `pools.json` is for `airflow pools import`.
"""

from typing import Any

from airflow.plugins_manager import AirflowPlugin

from undersky_airflow.links import LINKS


class UnderskyPlugin(AirflowPlugin):
    """Shown under Admin, Plugins."""

    name = "undersky"
    operator_extra_links: list[Any] = list(LINKS)  # noqa: RUF012  as Airflow declares it

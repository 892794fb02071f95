"""Who acts: a task of Airflow, as the ledger's history names it."""

import hashlib
import re
from typing import TYPE_CHECKING

from airflow.sdk import Context

if TYPE_CHECKING:
    from undersky.services.ledger import Actor

_LONGEST = 100


def run_key(context: Context) -> str:
    """Name of the run, unique among all DAGs and fit for a key in the store.

    Airflow's run ids are unique within their DAG alone and hold colons and plus signs.
    """
    dag_id, run_id = context["dag_run"].dag_id, context["dag_run"].run_id
    exact = hashlib.sha256(f"{dag_id}/{run_id}".encode()).hexdigest()[:6]
    plain = re.sub(r"[^A-Za-z0-9_.]+", "-", f"{dag_id}.{run_id}")
    return f"{plain[:_LONGEST]}.{exact}"


def actor(context: Context, airflow_url: str | None) -> "Actor":
    """The task of this context, with the address of its log.

    Args:
        context: Of the running task.
        airflow_url: Where people reach the UI; as Airflow's `api.base_url` says when None.
    """
    from undersky.services.ledger import Actor

    ti = context["ti"]
    log = str(getattr(ti, "log_url", ""))
    if airflow_url is not None:
        log = f"{airflow_url.rstrip('/')}/dags/{log.partition('/dags/')[2]}"
    return Actor(run=run_key(context), task=ti.task_id, attempt=ti.try_number, log=log or None)

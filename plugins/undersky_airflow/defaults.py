"""What every task has unless it says otherwise: timeout, retries, pool, weight."""

from datetime import timedelta
from typing import Any

from undersky_airflow.exits import FIRST_WAIT, TRIES_AGAIN, RetryRule

STEP_TIMEOUT = timedelta(minutes=15)
SEARCH_TIMEOUT = timedelta(hours=1)
"""A provider answers a request or two a second, and there may be hundreds of pages."""

FRESH: dict[str, Any] = {
    "owner": "undersky",
    "retries": TRIES_AGAIN,
    "retry_delay": FIRST_WAIT,
    "retry_policy": RetryRule(),
    "execution_timeout": STEP_TIMEOUT,
    # With `upstream` a task outweighs those before it, so that batches are finished before new ones begin.
    "weight_rule": "upstream",
    "priority_weight": 100,
}
"""Fresh scenes go first."""

MODELS: dict[str, Any] = {**FRESH, "priority_weight": 10}
"""The model flow: after fresh scenes, before past ones."""

HISTORICAL: dict[str, Any] = {**FRESH, "priority_weight": 1, "pool": "historical"}
"""Past scenes have a pool of their own and the lowest weight, their light steps too."""

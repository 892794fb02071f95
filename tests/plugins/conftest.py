"""The plugins are imported within the tests: Airflow takes seconds to load."""

import logging
from collections.abc import Iterator

import pytest
import structlog

from fixtures_airflow import HOME

assert HOME, "Airflow has a home of its own before anything imports it"


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """Airflow sets up logging for the whole process when it is imported; other tests have their own."""
    root, config = logging.getLogger(), structlog.get_config()
    level, handlers = root.level, list(root.handlers)
    yield
    root.setLevel(level)
    root.handlers[:] = handlers
    structlog.configure(**config)

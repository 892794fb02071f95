"""The plugins are imported within the tests: Airflow takes seconds to load."""

import hashlib
import logging
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import structlog

from fixtures_airflow import HOME
from fixtures_registry import a_judgement
from undersky.judgement import GateOutcome
from undersky.models.package import shipped

assert HOME, "Airflow has a home of its own before anything imports it"


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """Airflow sets up logging for the whole process when it is imported; other tests have their own."""
    root, config = logging.getLogger(), structlog.get_config()
    level, handlers = root.level, list(root.handlers)
    # Airflow's classes keep the first logger that they get: one that prints where a test alone looked is dead
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.__stderr__))
    yield
    root.setLevel(level)
    root.handlers[:] = handlers
    structlog.configure(**config)


@pytest.fixture
def there(registry: Any, ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., SimpleNamespace]:
    """Registers a version that the gate has judged; settings name registry, ledger and release account."""
    folder = shipped("physics")
    digest = hashlib.sha256((folder / "package.json").read_bytes()).hexdigest()
    release, reader = registry.server.release, registry.server.reader
    monkeypatch.setenv("UNDERSKY_REGISTRY", registry.server.uri)
    monkeypatch.setenv("UNDERSKY_RELEASE_LOGIN", f"{release.name}:{release.password}")
    monkeypatch.setenv("UNDERSKY_LEDGER", ledger_url)

    def made(outcome: GateOutcome = GateOutcome.PASS) -> SimpleNamespace:
        opened = registry()
        version = opened.register(folder, judgement=a_judgement(registry.name, digest, outcome=outcome))
        registry(reader)  # from now on whoever gives no account reads alone
        return SimpleNamespace(name=registry.name, number=version.number, as_release=registry)

    return made

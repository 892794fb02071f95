"""What waits in the triggerer."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from undersky.errors import ServiceError
from undersky.settings import read_settings

log = logging.getLogger(__name__)

POLL_S = 10.0
"""Between two looks at the registry."""


class ReviewTrigger(BaseTrigger):
    """Fires when somebody has answered about a version: in the registry, or anywhere else.

    It reads tags as the reader; whoever wakes up writes down what they mean. A registry that does not answer
    is asked again.
    """

    def __init__(self, model: str, version: str, poll_s: float = POLL_S) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's own
        self.model, self.version, self.poll_s = model, version, poll_s

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """How it is made anew in the triggerer."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {"model": self.model, "version": self.version, "poll_s": self.poll_s},
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """One event, when there is an answer."""
        while True:
            try:
                if await asyncio.to_thread(self._is_answered):
                    said = {"model": self.model, "version": self.version}
                    yield TriggerEvent(said)  # type: ignore[no-untyped-call]  # Airflow's own
                    return
            except ServiceError as error:
                log.warning("the registry is asked again: %s", error)
            await asyncio.sleep(self.poll_s)

    def _is_answered(self) -> bool:
        from undersky.services.opened import open_registry

        registry = open_registry(read_settings())
        version = registry.version(self.model, self.version)
        return bool(version.verdict) or registry.requested_answer(version) is not None

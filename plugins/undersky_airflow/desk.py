"""What a step works with: ledger and store open, and the name under which it acts."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from undersky.refs import Batch, Kind, Lane, Stage
from undersky.settings import Settings, read_settings
from undersky_airflow.actors import actor
from undersky_airflow.links import public

if TYPE_CHECKING:
    from undersky.services.ledger import Actor, Ledger
    from undersky.services.store import Store

MARGIN = timedelta(minutes=30)
"""Between the end of a stage and whoever renews or ends the lease after it."""


@dataclass(frozen=True, slots=True)
class Desk:
    """Services and name of one running task."""

    settings: Settings
    ledger: "Ledger"
    store: "Store"
    by: "Actor"

    @property
    def lease(self) -> timedelta:
        """How long a claim stands without a sign of life."""
        return timedelta(minutes=self.settings.lease_minutes)

    def batch(self, href: str) -> Batch:
        """The batch that lies there."""
        return Batch.from_json(self.store.get(self.store.key(href)))

    def has_work(self, lane: Lane, kinds: Collection[Kind]) -> bool:
        """Whether a product of these kinds could be claimed now, or this run has claimed some already."""
        from undersky.flow.maps import has_map_work

        if any(kind.is_map for kind in kinds):
            ready = has_map_work(self.ledger, lane=lane, by=self.by)
            if not {*kinds}.isdisjoint(ready):
                return True
        return Kind.SURFACE in kinds and self._has_surface_work(lane)

    def _has_surface_work(self, lane: Lane) -> bool:
        queues = (each for each in self.ledger.waiting() if (each.work, each.lane) == ("surface", lane))
        return any(each.ready for each in queues) or bool(self.ledger.holding(self.by.run, "surface"))

    def data_docs(self, href: str, stage: Stage) -> str | None:
        """Address of the Data Docs page of that batch and stage, as a browser reaches it."""
        from undersky.flow.publish import outcomes

        folder = self.store.key(href).rpartition("/")[0]
        judged = (outcome.judged for outcome in outcomes(self.store, folder, stage).values())
        return public(next((each.docs for each in judged if each and each.docs), None), self.settings)


@contextmanager
def desk(context: Context) -> Iterator[Desk]:
    """Services as the settings name them; closed at the end.

    Raises:
        ConfigError: A setting is missing or wrong.
        ServiceError: The ledger does not answer.
    """
    from undersky.services.opened import open_ledger, open_store

    settings = read_settings()
    ledger = open_ledger(settings)
    try:
        yield Desk(settings, ledger, open_store(settings), actor(context, settings.airflow_url))
    finally:
        ledger.close()


def keep_lease(context: Context, href: str, *, at_least: timedelta) -> None:
    """The batch's lease stands for as long as the stage may take, and the margin.

    A batch may wait for a slot longer than its lease stands. If another run has taken some scenes meanwhile,
    the stage does them in vain (what comes of it carries a stale token and counts for nothing); if all, it
    ends here.

    Raises:
        AirflowSkipException: No scene of the batch is this run's any more.
        ConfigError: A setting is missing or wrong.
        ServiceError: Ledger or store do not answer.
    """
    with desk(context) as at:
        scenes = at.batch(href).scenes
        lost = at.ledger.renew(scenes, at.by, max(at.lease, at_least + MARGIN))
    if scenes and len(lost) == len(scenes):
        raise AirflowSkipException(
            f"{href}: each scene is settled, or another run's by now; nothing is left to do"
        )

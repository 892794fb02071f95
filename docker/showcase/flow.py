"""The scene flow, run to its end through Airflow's REST API."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from onemachine.folder import StackError
from onemachine.rest import AirflowApi
from onemachine.stack import Stack

from showcase.cast import Expected
from showcase.following import Standing, follow
from undersky.services.ledger import Ledger

DAGS = (
    *("ingest_acquisitions", "surface_maps", "ground_maps", "historical_scenes", "manage_scenes"),
    *("model_release", "reprocess"),
)
STARTED = ("ingest_acquisitions", "historical_scenes")
"""Those that nobody else wakes: `surface_maps` is woken by what was ingested."""
RUNNING = ("queued", "running")


@dataclass(slots=True)
class Flow:
    """Drives and watches."""

    stack: Stack
    api: AirflowApi
    ledger: Ledger

    def unpause(self) -> None:
        """Every DAG may run; waits for those that are not parsed yet.

        Raises:
            StackError: One cannot be parsed, or is not there after two minutes.
        """
        deadline = time.monotonic() + 120
        for dag in DAGS:
            while (
                self.api.call("PATCH", f"/dags/{dag}", {"is_paused": False}, good=(404,)).get("dag_id") != dag
            ):
                self.stack.supervisor.check()
                errors = self.api.get("/importErrors")["import_errors"]
                if errors:
                    raise StackError(f"{errors[0]['filename']} cannot be parsed:\n{errors[0]['stack_trace']}")
                if time.monotonic() > deadline:
                    raise StackError(
                        f"Airflow does not know the DAG {dag} after two minutes: see its dag-processor"
                    )
                time.sleep(1.0)

    def trigger(self) -> None:
        """Discovery begins now, in both lanes: by the run that Airflow makes up for, or by one of ours."""
        deadline = time.monotonic() + 8.0
        missing = set(STARTED)
        while missing and time.monotonic() < deadline:
            missing -= {dag for dag, _ in self.runs(RUNNING)}
            time.sleep(1.0)
        for dag in sorted(missing):
            self.api.trigger(dag)

    def follow_to_the_end(
        self, expected: Sequence[Expected], *, patience_s: float, show: Callable[[Sequence[Standing]], None]
    ) -> list[Standing]:
        """The standings, once all are final or the patience has ended."""
        deadline = time.monotonic() + patience_s
        while True:
            self.stack.supervisor.check()
            standings = follow(self.ledger, expected)
            show(standings)
            if all(each.is_final for each in standings) or time.monotonic() > deadline:
                return standings
            time.sleep(2.0)

    def settle_down(self, *, patience_s: float) -> bool:
        """Whether no run is left in progress after at most that time."""
        deadline = time.monotonic() + patience_s
        while self.runs(RUNNING):
            self.stack.supervisor.check()
            if time.monotonic() > deadline:
                return False
            time.sleep(1.0)
        return True

    def runs(self, states: Sequence[str]) -> list[tuple[str, str]]:
        """DAG and run id of every run in one of those states."""
        found = []
        for state in states:
            page = self.api.get("/dags/~/dagRuns", state=state, limit=100)
            found += [(run["dag_id"], run["dag_run_id"]) for run in page["dag_runs"]]
        return found

    def failed(self, known: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        """Failed runs beyond those that were known before."""
        return [run for run in self.runs(("failed",)) if run not in known]

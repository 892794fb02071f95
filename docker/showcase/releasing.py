"""The model flow of the demo: shipped weights are released, a small training is refused, scenes re-made."""

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from onemachine.folder import StackError
from onemachine.rest import AirflowApi
from onemachine.stack import Stack

DAG = "model_release"
JUDGED_ON = 48
"""Scenes of the suite on which the gate decides; fewer are too little evidence."""
REFUSED_ON = 16
"""Scenes that show that a small training is worse."""
PERSON_S = 600.0
"""How long a person at the terminal may take to answer."""
ENDED = ("success", "failed")
WHY = "stand-in reviewer of the demo: nobody watches, and the gate says pass"

Say = Callable[[str], None]


@dataclass(slots=True)
class Releasing:
    """Drives the DAG `model_release` and watches it."""

    stack: Stack
    api: AirflowApi
    say: Say
    attended: bool
    """Whether somebody sits before it who may answer."""

    def release_shipped(self) -> bool:
        """The shipped weights are champion; whether all went as it must."""
        digest = self.submit("learned")
        self.say(f"releasing the shipped weights, {digest[:12]}, against the physics baseline")
        run = self.trigger({"recipe": "default", "begin": "evaluate", "weights": digest}, JUDGED_ON)
        asked = self._wait(lambda: self.task(run, "review_here") == "awaiting_input" or self.ended(run))
        if not asked or self.ended(run):
            return self._unexpected(run, "nobody was asked about the shipped weights")
        gate = self.result(run, "gate")
        self.say(f"  gate: {gate['outcome']}: {gate['sentence']}")
        self.say(f"  review page: {self.report(run)}")
        self._answer(run)
        if not self._wait(lambda: self.task(run, "promote") in (*ENDED, "upstream_failed", "skipped")):
            return self._unexpected(run, "the shipped weights were not promoted in time")
        if self.task(run, "promote") != "success":
            return self._unexpected(run, "the shipped weights were not promoted")
        self.say(f"  {self.result(run, 'promote')['sentence']}")
        return True

    def refuse_small(self) -> bool:
        """A model of the recipe `tiny` is trained, and the gate refuses it; whether it did."""
        self.say("training `tiny`, which is too small to be good")
        run = self.trigger({"recipe": "tiny", "begin": "dataset"}, REFUSED_ON)
        if not self._wait(lambda: self.ended(run)):
            return self._unexpected(run, "the small training did not end in time")
        if self.task(run, "gate") != "success":
            return self._unexpected(run, "the small training was not judged")
        gate = self.result(run, "gate")
        self.say(f"  gate: {gate['outcome']}: {gate['sentence']}")
        self.say(f"  its page: {self.report(run)}")
        refused = gate["outcome"] == "fail" and self.task(run, "promote") == "skipped"
        return refused or self._unexpected(run, "the gate did not refuse the small training")

    def remake(self, scenes: Sequence[str]) -> bool:
        """The scenes are made again with the champion of now, by a campaign; whether it was started."""
        name = "with-learned-weights"
        self.say(f"making {len(scenes)} scenes again by the campaign {name}")
        chosen = [part for scene in scenes for part in ("--scene", scene)]
        why = "the learned weights are champion"
        self._undersky("campaign", "propose", name, "--why", why, "--at-once", "4", *chosen)
        started = self._undersky("campaign", "start", name, "--why", why)
        self.api.trigger("historical_scenes")
        return bool(started["state"] == "running")

    def submit(self, shipped: str) -> str:
        """Digest of a shipped package, a candidate now."""
        package = self._shipped(shipped)
        origin = package["provenance"]
        recipe, dataset = str(origin["recipe_digest"]), str(origin["dataset_digest"])
        done = self._undersky("model", "submit", shipped, "--recipe", recipe, "--dataset", dataset)
        return str(done["digest"])

    def _shipped(self, name: str) -> dict[str, Any]:
        from undersky.models.package import shipped  # noqa: PLC0415  numpy is loaded when it is needed

        found: dict[str, Any] = json.loads((shipped(name) / "package.json").read_text(encoding="utf-8"))
        return found

    def trigger(self, form: Mapping[str, object], scenes: int) -> str:
        """Id of a new run that is judged on so many scenes."""
        return self.api.trigger(DAG, {"model": "correction", "scenes": scenes, **form})

    def _answer(self, run: str) -> None:
        """A person answers, or the stand-in does and says so."""
        if self.attended:
            page = f"{self.stack.site.url('airflow')}/required_actions"
            minutes = f"{PERSON_S / 60:.0f} minutes"
            self.say(f"  your turn: approve or reject at {page}; after {minutes} the demo approves")
            if self._wait(lambda: self.task(run, "review_here") != "awaiting_input", patience_s=PERSON_S):
                return
        path = f"/dags/{DAG}/dagRuns/{run}/taskInstances/review_here/-1/hitlDetails"
        answer = {"chosen_options": ["Approve"], "params_input": {"why": WHY}}
        self.api.call("PATCH", path, answer, good=(http.client.CONFLICT,))
        self.say(f"  approved through Airflow's REST API by the {WHY}")

    def _wait(self, holds: Callable[[], bool], *, patience_s: float = 900.0) -> bool:
        deadline = time.monotonic() + patience_s
        while not holds():
            self.stack.supervisor.check()
            if time.monotonic() > deadline:
                return False
            time.sleep(1.0)
        return True

    def ended(self, run: str) -> bool:
        """Whether nothing more comes of the run."""
        return self.api.get(f"/dags/{DAG}/dagRuns/{run}")["state"] in ENDED

    def task(self, run: str, task: str) -> str:
        """State of a task."""
        return str(self.api.get(f"/dags/{DAG}/dagRuns/{run}/taskInstances/{task}")["state"])

    def result(self, run: str, task: str) -> dict[str, Any]:
        """What a task returned."""
        path = f"/dags/{DAG}/dagRuns/{run}/taskInstances/{task}/xcomEntries/return_value"
        value = self.api.get(path, deserialize="true")["value"]
        return dict(json.loads(value) if isinstance(value, str) else value)

    def report(self, run: str) -> str:
        """Address of the review page."""
        links = self.api.get(f"/dags/{DAG}/dagRuns/{run}/taskInstances/gate/links")["extra_links"]
        return str(links.get("Report", ""))

    def _unexpected(self, run: str, what: str) -> bool:
        page = f"{self.stack.site.url('airflow')}/dags/{DAG}/runs/{run}"
        self.say(f"NOT AS EXPECTED  {what}: {page}")
        return False

    def _undersky(self, *verb: str) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-m", "undersky", *verb, "--json"],
            env=self.stack.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise StackError(f"undersky {' '.join(verb)} failed: {done.stderr.strip()[-500:]}")
        return dict(json.loads(done.stdout))

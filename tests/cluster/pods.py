"""What the fake cluster knows of a pod, in the form in which the API writes it."""

import copy
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Json = dict[str, Any]


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class Pod:
    """A pod, its process, and everything that was ever said of it."""

    body: Json
    """As it was asked for."""
    log: Path
    fault: str | None = None
    """What will happen to it, see `faults`."""
    priority: int = 0
    status: Json = field(default_factory=dict)
    events: list[Json] = field(default_factory=list)
    told_to_end: threading.Event = field(default_factory=threading.Event)
    grace_s: float = 30.0
    deleted: str | None = None
    """When it was told to be gone."""

    @property
    def name(self) -> str:
        return str(self.body["metadata"]["name"])

    @property
    def labels(self) -> dict[str, str]:
        return dict(self.body["metadata"].get("labels") or {})

    @property
    def container(self) -> Json:
        (container,) = self.body["spec"]["containers"]
        return dict(container)

    @property
    def work(self) -> tuple[str, str, str]:
        """What it works on: run, stage, batch."""
        return (
            self.labels["undersky/run"],
            self.labels["undersky/stage"],
            self.labels["undersky/batch"],
        )

    @property
    def gpus(self) -> int:
        return int(self.container["resources"]["requests"].get("nvidia.com/gpu", 0))

    @property
    def has_ended(self) -> bool:
        return self.status.get("phase") in ("Succeeded", "Failed")

    def is_in(self, state: str, **facts: Any) -> None:
        """State of its container."""
        self.status["containerStatuses"] = [
            {
                "name": self.container["name"],
                "image": self.container["image"],
                "imageID": "",
                "ready": state == "running",
                "restartCount": 0,
                "state": {state: facts},
            }
        ]

    def condition(self, kind: str, reason: str, *, holds: bool = True, message: str = "") -> None:
        others = [each for each in self.status.get("conditions", []) if each["type"] != kind]
        new = {"type": kind, "status": "True" if holds else "False", "reason": reason, "message": message}
        self.status["conditions"] = [*others, {**new, "lastTransitionTime": now()}]

    def event(self, reason: str, message: str, *, kind: str = "Normal") -> None:
        number = len(self.events) + 1
        self.events.append(
            {
                "metadata": {
                    "name": f"{self.name}.{number}",
                    "namespace": self.body["metadata"]["namespace"],
                    "resourceVersion": str(number),
                    "uid": f"{self.name}-{number}",
                },
                "involvedObject": {"kind": "Pod", "name": self.name},
                "reason": reason,
                "message": message,
                "type": kind,
                "count": 1,
                "lastTimestamp": now(),
            }
        )

    def document(self) -> Json:
        """As the API answers."""
        body = copy.deepcopy(self.body)
        if self.deleted is not None:
            body["metadata"]["deletionTimestamp"] = self.deleted
        return {**body, "status": copy.deepcopy(self.status)}

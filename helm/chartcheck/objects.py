"""The chart as Helm renders it: objects, their pods and containers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import helm_python
import yaml

Json = Mapping[str, Any]
NAMESPACE = "undersky"
"""Where a release is rendered to."""
_TEMPLATES = {
    "Pod": (),
    "Deployment": ("template",),
    "StatefulSet": ("template",),
    "DaemonSet": ("template",),
    "Job": ("template",),
    "CronJob": ("jobTemplate", "spec", "template"),
}
"""Kind to where its pods are described, below its spec."""


@dataclass(frozen=True, slots=True)
class Object:
    """One object of the cluster."""

    body: Json
    """All of it."""
    template: str = ""
    """Which file it comes from."""

    @property
    def kind(self) -> str:
        """`Deployment`."""
        return str(self.body.get("kind"))

    @property
    def name(self) -> str:
        """`Deployment/undersky-mlflow`, for people."""
        return f"{self.kind}/{self.body.get('metadata', {}).get('name')}"

    @property
    def namespace(self) -> str | None:
        """Where it lies; None for what is the whole cluster's."""
        found = self.body["metadata"].get("namespace")
        return None if found is None else str(found)

    @property
    def pod(self) -> Json | None:
        """What its pods are, `metadata` and `spec`; None where it has none."""
        if self.kind not in _TEMPLATES:
            return None
        found: Json = self.body if self.kind == "Pod" else self.body["spec"]
        for step in _TEMPLATES[self.kind]:
            found = found[step]
        return found

    @property
    def pod_spec(self) -> Json:
        """The spec of its pods; empty where it has none."""
        pod = self.pod
        return {} if pod is None else pod["spec"]

    def containers(self) -> Iterator[Json]:
        """Every container, those that come first too."""
        yield from self.pod_spec.get("initContainers") or ()
        yield from self.pod_spec.get("containers") or ()


@dataclass(frozen=True, slots=True)
class Rendered:
    """What one file of values makes of the chart."""

    objects: tuple[Object, ...]
    """In the order of their templates."""
    notes: str
    """What the installer is told."""


def render(chart: Path, values: Json) -> Rendered:
    """The objects of a release named `undersky`.

    Raises:
        helm_python.HelmError: Values or templates are wrong; Helm says which.
    """
    with helm_python.Chart.load(chart) as loaded:
        files = loaded.render(dict(values), name="undersky", namespace=NAMESPACE, is_install=True)
    notes = "".join(text for path, text in files.items() if path.endswith("NOTES.txt"))
    objects = tuple(
        Object(body, path)
        for path, text in sorted(files.items())
        if path.endswith(".yaml")
        for body in yaml.safe_load_all(text)
        if body
    )
    return Rendered(objects, notes)


def lint(chart: Path, values: Json) -> list[str]:
    """What `helm lint --strict` has against it."""
    report = helm_python.lint(chart, dict(values), strict=True, namespace=NAMESPACE)
    worst = [f"{each['path']}: {each['error']}" for each in report["messages"] if each["severity"] > 1]
    return [*worst, *(str(error) for error in report["errors"] if not worst)]


def values_of(path: Path) -> Json:
    """A file of values."""
    found: Json = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    return found

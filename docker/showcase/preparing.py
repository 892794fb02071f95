"""What the demo does to a fresh stack before the flow may run, each as a step beside the booting servers."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

from onemachine.archive import samples
from onemachine.component import Component, Site, run_once
from onemachine.stack import flow_settings

HERE = Path(__file__).parent
JUDGED_ON, MAPS_JUDGED_ON = 24, 8
"""Scenes of a suite: a figure for the verdict, not an evaluation."""


def steps(site: Site) -> list[Component]:
    """Acquisitions made, real products looked at, areas added, a model in use."""
    return [
        *(_making(site, number, count) for count in [_workers()] for number in range(count)),
        *([_looking(site, samples()[0])] if samples() else []),
        _step(
            "areas",
            lambda: _python(site, "areas", HERE / "areas.py", upstream(site), real(site)),
            ("ledger-and-bucket", *(["real-products"] if samples() else [])),
        ),
        _step("model", lambda: bootstrap(site), ("mlflow", "ledger-and-bucket")),
        _step("mask", lambda: bootstrap_mask(site), ("model",)),
    ]


def upstream(site: Site) -> Path:
    """Where the simulated acquisitions lie."""
    return site.folder.path / "upstream"


def real(site: Site) -> Path:
    """Where what is known of the real products lies."""
    return site.folder.path / "real"


def _workers() -> int:
    return max(1, min(4, (os.cpu_count() or 2)))


def _making(site: Site, number: int, count: int) -> Component:
    name = f"acquisitions-{number + 1}"
    script = HERE / "making.py"
    return _step(name, lambda: _python(site, name, script, upstream(site), number, count), ())


def _looking(site: Site, folder: Path) -> Component:
    return _step(
        "real-products", lambda: _python(site, "real-products", HERE / "real.py", folder, real(site)), ()
    )


def bootstrap(site: Site, *, model: str = "physics", scenes: int = JUDGED_ON) -> None:
    """A correction is in use: the physics baseline where nobody chose another."""
    _bootstrap(site, "model", "--model", model, "--limit", str(scenes))


def bootstrap_mask(site: Site) -> None:
    """The shipped quality mask is in use."""
    _bootstrap(site, "quality", "quality", "--limit", str(MAPS_JUDGED_ON))


def bootstrap_maps(site: Site) -> None:
    """Shipped land cover and vessels are in use: from now on every published scene is mapped."""
    _bootstrap(site, "maps", "landcover", "vessels", "--limit", str(MAPS_JUDGED_ON))


def _bootstrap(site: Site, name: str, *words: str) -> None:
    verb = ("model", "bootstrap", *words)
    environment = {**site.environment, **flow_settings(site)}
    run_once(
        name,
        (sys.executable, "-m", "undersky", *verb),
        site=site,
        environment=environment,
        patience_s=600.0,
    )


def _python(site: Site, name: str, script: Path, *arguments: object) -> None:
    command: tuple[str | Path, ...] = (sys.executable, script, *map(str, arguments))
    environment = {**site.environment, **flow_settings(site)}
    run_once(name, command, site=site, environment=environment, patience_s=900.0)


def _step(name: str, work: Callable[[], None], needs: tuple[str, ...]) -> Component:
    return Component(name, (), {}, waits_for=lambda: None, needs=needs, prepare=work)

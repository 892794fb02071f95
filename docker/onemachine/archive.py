"""The upstream archive: a STAC API that plays three providers over folders of products."""

import os
import sys
from pathlib import Path

from onemachine.component import ROOT, Component, Site, answers

SERVER = ROOT / "docker" / "archive" / "server.py"


def archive(site: Site) -> Component:
    """The server over `upstream/` and, where UNDERSKY_SAMPLES names one, the folder of real products."""
    own = site.folder.path / "upstream"
    faults = site.folder.path / "upstream-faults.json"
    folders: list[Path] = [own, *samples()]
    port = str(site.ports["archive"])
    return Component(
        "archive",
        (
            *(sys.executable, SERVER),
            *folders,
            *("--port", port, "--cache", site.folder.path / "upstream-cache", "--faults", faults),
            *("--write-profiles", profiles(site)),
        ),
        site.environment,
        waits_for=lambda: answers(f"{site.url('archive')}/requests"),
        prepare=lambda: own.mkdir(exist_ok=True),
        port="archive",
        patience_s=90.0,
    )


def samples() -> list[Path]:
    """The folder of real products, where one is named."""
    named = os.environ.get("UNDERSKY_SAMPLES")
    return [Path(named).expanduser().resolve()] if named and Path(named).is_dir() else []


def profiles(site: Site) -> Path:
    """Where the profiles of the played providers lie."""
    return site.folder.path / "profiles"

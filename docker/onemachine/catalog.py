"""The STAC API over what was published, kept by `undersky catalog serve`."""

import sys
from collections.abc import Mapping

from onemachine.component import Component, Site, answers
from onemachine.ports import LOOPBACK


def catalog(site: Site, *, flow: Mapping[str, str]) -> Component:
    """The keeper and its server; ready as soon as it answers, with whatever was published by then."""
    port = str(site.ports["catalog"])
    return Component(
        "catalog",
        (
            *(sys.executable, "-m", "undersky", "catalog", "serve", "--host", LOOPBACK, "--port", port),
            *("--folder", site.folder.path / "catalog"),
        ),
        {**site.environment, **flow},
        waits_for=lambda: answers(f"{site.url('catalog')}/"),
        needs=("ledger-and-bucket",),
        port="catalog",
        patience_s=90.0,
    )

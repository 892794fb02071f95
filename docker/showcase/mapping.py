"""What is on the ground and on the water of every published scene: the last part of the demo."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from urllib.parse import quote

from onemachine.rest import AirflowApi
from onemachine.stack import Stack

from showcase import preparing, telling
from showcase.flow import Flow
from showcase.following import MOST, Standing
from undersky.refs import Kind
from undersky.services.ledger import Ledger, Product, Selection

KINDS = (Kind.LANDCOVER, Kind.VESSELS)
STANDING = ("published", "held")
ENDED = (*STANDING, "withdrawn", "failed")
PATIENCE_S = 900.0


def map_published(
    stack: Stack,
    api: AirflowApi,
    ledger: Ledger,
    standings: Sequence[Standing],
    *,
    say: Callable[[str], None],
) -> bool:
    """Whether the maps of every published scene stand, or are held for a person, who is told."""
    preparing.bootstrap_maps(stack.site)
    wanted = [each for each in standings if each.state == "published"]
    sharp = sum(each.expected.scene.startswith("S2") for each in wanted)
    expected = len(wanted) + sharp  # vessels are looked for at 10 m alone
    say(f"mapping the ground of {len(wanted)} published scenes, and the water of {sharp}")
    api.trigger("ground_maps")
    deadline = time.monotonic() + PATIENCE_S
    while True:
        stack.supervisor.check()
        maps = _maps(ledger, wanted)
        ended = [each for each in maps if each.state in ENDED]
        if len(ended) == expected:
            break
        if time.monotonic() > deadline:
            say(f"NOT AS EXPECTED  {len(ended)} of {expected} maps ended in time")
            break
        time.sleep(2.0)
    for kind in KINDS:
        counts = Counter(str(each.state) for each in maps if each.kind is kind)
        say(f"  {kind}: " + ", ".join(f"{number} {state}" for state, number in sorted(counts.items())))
    for each in maps:
        if each.state in ("held", "failed"):
            say(f"  {each.kind} of {each.scene}: {each.state}, {each.sentence}")
    return len(ended) == expected and all(each.state in STANDING for each in maps)


def pages(stack: Stack, flow: Flow) -> list[str]:
    """Addresses of the pages of all runs that mapped something."""
    found = []
    for dag, run in flow.runs(("success", "failed")):
        if dag == "ground_maps":
            entry = f"/dags/{dag}/dagRuns/{quote(run)}/taskInstances/page/xcomEntries/return_value"
            href = flow.api.call("GET", entry, good=(404,)).get("value")
            found += [telling.public(stack.site, href)] if href else []
    return found


def _maps(ledger: Ledger, wanted: Sequence[Standing]) -> list[Product]:
    """The newest map of each kind of each scene."""
    scenes = tuple(each.expected.scene for each in wanted)
    newest: dict[tuple[Kind, str], Product] = {}
    for kind in KINDS:
        for product in ledger.products(Selection(scenes=scenes, kind=kind), limit=MOST):
            known = newest.get((kind, product.scene))
            if known is None or product.id > known.id:
                newest[kind, product.scene] = product
    return list(newest.values())

"""What is on the ground of every published scene: the last part of the demo."""

import time
from collections import Counter
from collections.abc import Callable, Sequence

from onemachine.rest import AirflowApi
from onemachine.stack import Stack

from showcase import preparing
from showcase.following import MOST, Standing
from undersky.refs import Kind
from undersky.services.ledger import Ledger, Product, Selection

ENDED = ("published", "held", "withdrawn", "failed")
PATIENCE_S = 900.0


def map_published(
    stack: Stack,
    api: AirflowApi,
    ledger: Ledger,
    standings: Sequence[Standing],
    *,
    say: Callable[[str], None],
) -> list[Product]:
    """The land-cover map of every published scene, as far as it came; said when one did not."""
    preparing.bootstrap_maps(stack.site)
    wanted = [each for each in standings if each.state == "published"]
    say(f"mapping the ground of {len(wanted)} published scenes")
    api.trigger("ground_maps")
    deadline = time.monotonic() + PATIENCE_S
    while True:
        stack.supervisor.check()
        maps = _maps(ledger, wanted)
        if len(maps) == len(wanted) and all(each.state in ENDED for each in maps):
            break
        if time.monotonic() > deadline:
            say(f"NOT AS EXPECTED  {len(maps)} of {len(wanted)} maps ended in time")
            break
        time.sleep(2.0)
    counts = Counter(str(each.state) for each in maps)
    say("  " + ", ".join(f"{number} {state}" for state, number in sorted(counts.items())))
    for each in maps:
        if each.state in ("held", "failed"):
            say(f"  {each.scene}: {each.state}, {each.sentence}")
    return maps


def _maps(ledger: Ledger, wanted: Sequence[Standing]) -> list[Product]:
    """The newest map of each scene."""
    chosen = Selection(scenes=tuple(each.expected.scene for each in wanted), kind=Kind.LANDCOVER)
    newest: dict[str, Product] = {}
    for product in ledger.products(chosen, limit=MOST):
        known = newest.get(product.scene)
        if known is None or product.id > known.id:
            newest[product.scene] = product
    return list(newest.values())

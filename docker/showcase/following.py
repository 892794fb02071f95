"""Where every announced scene stands, as the ledger has it, held against how it must end."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from showcase.cast import PUBLISHED, QUARANTINED, SKIPPED, Expected
from undersky.refs import Kind
from undersky.services.ledger import Acquisition, Ledger, Product, Selection

REFUSED = "refused upstream"
FINAL = (PUBLISHED, SKIPPED, QUARANTINED, "held", "failed", REFUSED)
MOST = 1000


@dataclass(frozen=True, slots=True)
class Standing:
    """One scene, and what became of it so far."""

    expected: Expected
    """What must become of it."""
    state: str
    """The ledger's word; `not announced yet`, or `refused upstream` where discovery rejected it."""
    reason: str
    sentence: str
    acquisition: Acquisition | None = None
    product: Product | None = None

    @property
    def is_final(self) -> bool:
        """Whether nothing more is to come."""
        return self.state in FINAL

    @property
    def is_right(self) -> bool:
        """Whether it ended as it must."""
        found = SKIPPED if self.state == REFUSED else self.state
        if (found, self.reason) == (self.expected.ending, self.expected.reason):
            return True
        # A real product that cannot be used may be refused for what its Item says or lacks, before its files
        # are judged by hand's rules.
        unusable = self.expected.is_real and self.expected.ending != PUBLISHED
        lacks_files = (found, self.reason, self.expected.reason) == (
            QUARANTINED,
            "source_gone",
            "band_missing",
        )
        return unusable and (self.state == REFUSED or lacks_files)


def follow(ledger: Ledger, expected: Sequence[Expected]) -> list[Standing]:
    """Every scene's standing now."""
    chosen = Selection(scenes=tuple(each.scene for each in expected))
    acquisitions = {each.scene: each for each in ledger.acquisitions(chosen, limit=MOST)}
    products: dict[str, Product] = {}
    for product in ledger.products(replace(chosen, kind=Kind.SURFACE), limit=MOST):
        known = products.get(product.scene)
        if known is None or product.id > known.id:
            products[product.scene] = product
    return [
        _standing(ledger, each, acquisitions.get(each.scene), products.get(each.scene)) for each in expected
    ]


def _standing(
    ledger: Ledger, expected: Expected, acquisition: Acquisition | None, product: Product | None
) -> Standing:
    if acquisition is None:
        tile, day = granule(expected.scene)
        named = ledger.rejections(item_id=expected.scene)
        for rejection in (*named, *ledger.rejections(tile=tile, day=day)):
            if rejection.reason != "incomplete_item" and rejection.item_id[:3] == expected.scene[:3]:
                return Standing(expected, REFUSED, rejection.reason, rejection.sentence)
        return Standing(expected, "not announced yet", "", "")
    if product is None or product.state == "withdrawn":
        state = "waiting" if acquisition.state == "valid" else str(acquisition.state)
        return Standing(expected, state, acquisition.reason, acquisition.sentence, acquisition, product)
    reason = "ok" if product.state == PUBLISHED else product.reason
    return Standing(expected, str(product.state), reason, product.sentence, acquisition, product)


def haziest(products: Path, standings: Sequence[Standing], *, count: int = 2) -> list[Standing]:
    """Published simulated scenes whose true optical depth is farthest from what was assumed."""
    found = []
    for standing in standings:
        made = standing.product.made if standing.product else None
        name = standing.expected.scene.removesuffix(".SAFE")
        states = sorted(products.rglob(f"{name}*.truth/state.json"))
        if standing.state == PUBLISHED and made is not None and made.aot_550 is not None and states:
            true = json.loads(states[0].read_text(encoding="utf-8"))["aot_550"]
            found.append((abs(_mean(true) - made.aot_550), standing.expected.scene, standing))
    return [standing for *_, standing in sorted(found, reverse=True, key=lambda each: each[:2])[:count]]


def _mean(values: Any) -> float:
    if isinstance(values, list):
        return sum(map(_mean, values)) / len(values)
    return float(values)


def tally(standings: Sequence[Standing]) -> str:
    """`4 discovered, 7 valid, 2 published`."""
    counts = Counter(standing.state for standing in standings)
    order = ("not announced yet", "discovered", "ingested", "waiting", "wanted", "made", "checked", *FINAL)
    return ", ".join(f"{counts[state]} {state}" for state in order if counts[state]) or "nothing yet"


def granule(scene: str) -> tuple[str, date]:
    """Tile and day of a product, as its name says: providers call their Items otherwise."""
    parts = scene.split("_")
    if scene.startswith("S2"):
        return parts[5][1:], datetime.strptime(parts[2][:8], "%Y%m%d").replace(tzinfo=UTC).date()
    return parts[2], datetime.strptime(parts[3], "%Y%m%d").replace(tzinfo=UTC).date()

"""Rolling maps, as tasks: one tile a card, leased by the ledger, made by `undersky rolling stage roll`."""

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

from airflow.sdk import Context, TriggerRule, chain, get_current_context, task_group
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from undersky.tile_refs import TileStage
from undersky_airflow.actors import run_key
from undersky_airflow.cards import Card
from undersky_airflow.desk import MARGIN, desk
from undersky_airflow.heavy import HeavyOperator, Needs
from undersky_airflow.links import PRODUCTS, public
from undersky_airflow.operators import found_out, step
from undersky_airflow.plain import plain
from undersky_airflow.steps import ANYWAY, LABEL

if TYPE_CHECKING:
    from airflow.sdk import XComArg

log = logging.getLogger(__name__)

NEEDS = Needs(
    "tiles",
    timedelta(hours=2),
    "Fuses the published maps of a tile into what its ground is now. The assets lie in the bucket, unseen.",
)


class RollOperator(HeavyOperator):
    """`undersky rolling stage roll HREF`."""

    template_fields = ("order",)
    ui_color = "#d8e8d8"

    def __init__(self, *, order: "Card | XComArg", **kwargs: Any) -> None:
        super().__init__(stage=TileStage.ROLL, **kwargs)
        self.order = order

    def execute(self, context: Context) -> None:
        """The tile has left the stage.

        Raises:
            AirflowException: As `exits` says; AirflowSkipException when the tile is another run's by now.
        """
        from undersky.flow.roll import read_order

        with desk(context) as at:
            tile = read_order(at.store, self.href()).tile
            held = at.ledger.renew_tile(tile, at.by, max(at.lease, self.lasts() + MARGIN))
        if not held:
            raise AirflowSkipException(
                f"{tile.tile} is settled, or another run's by now: nothing is left to do"
            )
        self.run_stage(context, None)

    def href(self) -> str:
        """Of `order.json`; a card carries it, once templates are rendered."""
        return cast("Card", self.order)["href"]

    def needs(self) -> Needs:
        """What the stage takes."""
        return NEEDS


@step(trigger_rule=ANYWAY)
def claim_tiles() -> list[Card]:
    """Leases the tiles whose published maps are not those that their rolling map is of.

    Run again it finds the orders that this run has already.
    """
    from undersky.flow.roll import claim_tiles as claim
    from undersky.flow.roll import read_order

    context = get_current_context()
    with desk(context) as at:
        limit = context["params"].get("limit") or at.settings.claim_scenes
        hrefs = claim(at.ledger, at.store, run=run_key(context), by=at.by, limit=limit, lease=at.lease)
        tiles = [read_order(at.store, href).tile for href in hrefs]
    return [
        Card(href=href, label=f"{ref.tile}, {len(ref.products)} maps")
        for href, ref in zip(hrefs, tiles, strict=True)
    ]


@step(trigger_rule=ANYWAY, map_index_template=LABEL, links=[PRODUCTS])
def publish_rolled(order: Card) -> object:
    """Puts the Item of the tile's rolling map, in the place of the one before; or gives the tile back.

    It fails where the tile could not be rolled for a reason that somebody should look at.
    """
    from undersky.flow.roll import publish_rolled as put

    with desk(get_current_context()) as at:
        report = put(at.ledger, at.store, order["href"], at.by, commit=at.settings.commit)
        found_out(Products=public(report.item, at.settings))
    log.info("%s: %s %s", report.tile, report.state, report.item or report.sentence)
    if report.is_unexpected:
        raise AirflowFailException(f"{report.tile} was given back, {report.reason}: {report.sentence}")
    return plain(report.model_dump(mode="json"))


@task_group
def tile_batch(order: "Card") -> None:
    """The rolling map of a tile made, and published in the place of the one before."""
    roll = RollOperator(
        task_id=TileStage.ROLL.value,
        order=order,
        pool=NEEDS.pool,
        execution_timeout=NEEDS.timeout,
        trigger_rule=TriggerRule.ALL_DONE,
        map_index_template="{{ task.order['label'] }}",
        doc_md=NEEDS.does,
    )
    chain(roll, publish_rolled(order))

"""A selection as the condition of a query."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, Text, cast, false, func, or_, select
from sqlalchemy.dialects.postgresql import ARRAY

from undersky.services.ledger.records import Selection
from undersky.services.ledger.searches import bounds
from undersky.services.ledger.tables import acquisition, delivery, product


def acquisitions_meant(selection: Selection) -> Select[Any]:
    """The acquisitions that are meant: state, reason and time are the acquisition's own.

    None where a kind of product is named: whoever speaks of maps does not speak of level-1 scenes.
    """
    statement = _of_scenes(select(acquisition), selection)
    if selection.kind is not None:
        return statement.where(false())
    if selection.state is not None:
        statement = statement.where(acquisition.c.state == selection.state)
    if selection.reason is not None:
        statement = statement.where(acquisition.c.reason == selection.reason)
    if selection.since is not None:
        statement = statement.where(acquisition.c.state_since >= selection.since)
    if selection.model is not None:
        of_model = select(product.c.acquisition).where(_by_model(selection.model))
        statement = statement.where(acquisition.c.key.in_(of_model))
    return statement


def products_meant(selection: Selection) -> Select[Any]:
    """The products that are meant, with what their acquisition adds: state, reason and time are their own."""
    columns = (
        *product.c,
        acquisition.c.geometry.label("geometry"),
        acquisition.c.collection.label("l1_collection"),
    )
    joined = select(*columns).join(acquisition, acquisition.c.key == product.c.acquisition)
    statement = _of_scenes(joined, selection)
    if selection.state is not None:
        statement = statement.where(product.c.state == selection.state)
    if selection.reason is not None:
        statement = statement.where(product.c.reason == selection.reason)
    if selection.since is not None:
        statement = statement.where(product.c.state_since >= selection.since)
    if selection.model is not None:
        statement = statement.where(_by_model(selection.model))
    if selection.kind is not None:
        statement = statement.where(product.c.kind == selection.kind)
    return statement


def keys_of(names: Sequence[str]) -> Any:
    """Keys of acquisitions that are called so, or of which a delivery is."""
    # A union and no OR: PostgreSQL would read the whole table for that.
    itself = select(func.unnest(cast(list(names), ARRAY(Text))))
    return itself.union_all(select(delivery.c.acquisition).where(delivery.c.scene.in_(names)))


def _of_scenes(statement: Select[Any], selection: Selection) -> Select[Any]:
    if selection.scenes:
        statement = statement.where(acquisition.c.key.in_(keys_of(selection.scenes)))
    if selection.tile is not None:
        statement = statement.where(acquisition.c.tile == selection.tile)
    if selection.collection is not None:
        statement = statement.where(acquisition.c.collection == selection.collection)
    if selection.area is not None:
        statement = statement.where(acquisition.c.area == selection.area)
    if selection.sensed_from is not None:
        statement = statement.where(acquisition.c.sensed >= bounds(selection.sensed_from)[0])
    if selection.sensed_until is not None:
        statement = statement.where(acquisition.c.sensed < bounds(selection.sensed_until)[1])
    return statement


def _by_model(name: str) -> Any:
    made = product.c.made
    parts = ("label", "version", "digest")
    return or_(
        *(made[role][part].as_string() == name for role in ("model", "quality") for part in parts),
        product.c.release == name,
    )

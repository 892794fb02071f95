"""Stage `roll`: the published maps of a tile in the own store, its rolling map in the own store.

    order -> Items of the maps -> digest -> is that map there, complete?  --yes--> it is the answer
                                    |
                                    classes and confidence -> the map -> upload assets -> the Item, last

A rolling map lies at `products/<collection>-latest/<yyyy>/<mm>/<tile>/<digest>/`, under the month of its
newest view.
"""

from typing import TYPE_CHECKING

from undersky.batch.driver import Tell
from undersky.batch.fetched import fetch_assets
from undersky.batch.products import Json, Place, complete, upload
from undersky.batch.scratch import working_folder
from undersky.errors import ConfigError, DataError
from undersky.refs import Ending, Kind, Made
from undersky.settings import Settings
from undersky.stages.roll import RollOptions, RollPlan, plan_roll, roll
from undersky.tile_refs import RolledRef, TileOrder, TileRef

if TYPE_CHECKING:
    from undersky.services.store import Store

READ = frozenset({"classification", "confidence"})
"""STAC roles of the assets of a map that a rolling map is made of."""


def roll_tile(href: str, *, store: "Store", settings: Settings, tell: Tell) -> RolledRef:
    """The tile has left the stage, as `rolled.json` beside its order says; a second call changes nothing.

    A tile whose maps cannot be fused ends `failed`, with its reason; one without maps ends `done`, with
    nothing made: its rolling map is to be taken back.

    Raises:
        ConfigError: No such order, or a map is not as the ledger says.
        ServiceError: The store failed; the same call goes on.
    """
    key = store.key(href)
    order = store.get_json(key, TileOrder)
    there = f"{key.rpartition('/')[0]}/rolled.json"
    if store.find(there) is not None:
        tell("was done before", stage="roll", tile=order.tile.tile)
        return store.get_json(there, RolledRef)
    tell("tile begins", stage="roll", tile=order.tile.tile, maps=len(order.tile.products))
    try:
        made = _rolled(order, store, settings, tell) if order.tile.products else None
        ended = RolledRef(tile=order.tile.tile, ending=Ending.DONE, made=made)
    except DataError as error:
        ended = RolledRef(
            tile=order.tile.tile, ending=Ending.FAILED, reason=str(error.reason), sentence=str(error)
        )
    store.put_json(there, ended)
    tell("tile ended", stage="roll", tile=ended.tile, ending=str(ended.ending), reason=ended.reason)
    return ended


def _rolled(order: TileOrder, store: "Store", settings: Settings, tell: Tell) -> Made:
    """The rolling map, complete in the store."""
    ref = order.tile
    with working_folder(settings.scratch) as scratch:
        folders = {each.digest: scratch / str(number) for number, each in enumerate(ref.products)}
        for each in ref.products:
            item, _ = fetch_assets(store, each, folders[each.digest], roles=())
            _require(store, each, item)
        plan = plan_roll(folders.values())
        place = _place(plan, ref)
        item_there = complete(store, place)
        if item_there is not None:
            tell("map is there already", tile=ref.tile, digest=place.digest[:12])
            return _described(place, item_there)
        used = {each.digest for each in plan.maps}
        for each in ref.products:
            if each.digest in used:
                fetch_assets(store, each, folders[each.digest], roles=READ)
        options = RollOptions(threads=settings.threads, run_id=order.run)
        made = roll([folders[digest] for digest in used], scratch / "out", options=options)
        tell("uploading", tile=ref.tile, bytes=made.bytes)
        return _described(place, upload(store, place, made.folder))


def _require(store: "Store", made: Made, item: Json) -> None:
    found = item.get("properties", {}).get("undersky:digest")
    if found != made.digest:
        raise ConfigError(
            f"{store.href(made.item)} has digest {str(found)[:12]}, the ledger says {made.digest[:12]}: "
            "somebody replaced it; run `undersky ledger verify`"
        )


def _place(plan: RollPlan, ref: TileRef) -> Place:
    month = f"{plan.maps[-1].sensed:%Y/%m}"
    return Place(f"products/{plan.collection}/{month}/{ref.tile}/{plan.digest}", plan.id, plan.digest)


def _described(place: Place, item: Json) -> Made:
    properties = item["properties"]
    return Made(
        id=str(item["id"]),
        digest=place.digest,
        prefix=place.prefix,
        collection=str(item["collection"]),
        item=place.item,
        bytes=int(properties["undersky:bytes"]),
        seconds=float(properties["undersky:seconds"]),
        cpu_seconds=float(properties["undersky:cpu_seconds"]),
        kind=Kind.LANDCOVER,
        summary={name: float(value) for name, value in properties["undersky:summary"].items()},
    )

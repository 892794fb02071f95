"""What a scene takes of each stage, as it was measured: on the bench, or here in the batches of late.

    ledger: last published products --> their runs --> batches/<run>/<batch>/<stage>/<acquisition>.json
                                                       rolls/<run>/<tile>/rolled.json

Nothing is estimated: what nobody measured is None.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

from undersky.refs import Ending, Ingested, Kind, Made, Outcome, Stage
from undersky.services.ledger import ProductState, Selection
from undersky.services.profiles import Profile
from undersky.tile_refs import RolledRef, TileStage

if TYPE_CHECKING:
    from undersky.services.ledger import Ledger
    from undersky.services.store import Store

LEARNT_FROM = 40
"""Products of each kind whose batches are looked at."""
SENTINEL_2, LANDSAT = "sentinel-2-l1c", "landsat-c2-l1"


@dataclass(frozen=True, slots=True)
class Spent:
    """What one scene takes of one stage; None where nobody measured it."""

    seconds: float | None = None
    """Of one worker."""
    cpu_seconds: float | None = None
    memory_gib: float | None = None
    """Peak."""
    bytes: int | None = None
    """Left in the store."""
    source: str = "not measured"


_ROLL = Spent(cpu_seconds=370.0, source="24 maps of a full tile: docs/decisions/2026-11-28-maps.md")
_MAKE = (Stage.CORRECT, Stage.MAP, Stage.DETECT)
"""Stages that leave a product."""


@cache
def bench() -> Mapping[str, Spent]:
    """What ships, of Sentinel-2 alone, as `tests/bench/stages.py` wrote it down.

    How long `ingest` takes, the network decides.
    """
    written = json.loads(Path(__file__).with_name("bench.json").read_text(encoding="utf-8"))
    measured: dict[str, Spent] = {
        stage: Spent(
            seconds=figures["seconds"],
            cpu_seconds=figures["cpu_seconds"],
            memory_gib=figures["peak_rss_mb"] / 1024.0,
            bytes=figures["bytes"] if stage in _MAKE else None,
            source=figures["how"],
        )
        for stage, figures in written.items()
        if figures is not None
    }
    return {**measured, TileStage.ROLL: _ROLL}


def shipped(collection: str, profiles: Mapping[str, Profile]) -> Mapping[str, Spent]:
    """What is known before anything was made here: the bench, and what providers say their files weigh."""
    stated = max(
        (
            (profile.product(collection).megabytes, name)
            for name, profile in profiles.items()
            if collection in profile.collections
        ),
        default=None,
    )
    known = dict(bench()) if collection == SENTINEL_2 else {}
    if stated is not None:
        said = f"bytes: as the profile {stated[1]} states"
        known[Stage.INGEST] = Spent(bytes=round(stated[0] * 1e6), source=said)
    return known


def measured_here(ledger: "Ledger", store: "Store", collection: str) -> Mapping[str, Spent]:
    """What the last scenes of that collection took here, transfers between store and disk with it.

    Raises:
        ServiceError: Ledger or store failed.
    """
    keys = _late(ledger, collection)
    found: defaultdict[str, dict[str, Outcome]] = defaultdict(dict)
    rolled: list[Made] = []
    for run in dict.fromkeys(run for key in keys for run in _runs(ledger, key)):
        for outcome in _outcomes(store, run, keys):
            found[outcome.stage][outcome.acquisition] = outcome
        rolled += _rolled(store, run, collection)
    spent: dict[str, Spent] = {stage: _mean(list(by_scene.values())) for stage, by_scene in found.items()}
    if rolled:
        spent[TileStage.ROLL] = _of_made([each.seconds for each in rolled], rolled)
    return spent


def best(here: Mapping[str, Spent], before: Mapping[str, Spent]) -> Mapping[str, Spent]:
    """What was measured here, and figure by figure what was measured before where it was not."""
    return {
        stage: _filled(here.get(stage, Spent()), before.get(stage, Spent()))
        for stage in (*Stage, *TileStage)
        if stage in here or stage in before
    }


def mixed(parts: Sequence[tuple[float, Mapping[str, Spent]]]) -> Mapping[str, Spent]:
    """What a mean scene takes of a mix: a figure that one part lacks is lacking."""
    weighted = [(share, spent) for share, spent in parts if share > 0]
    if len(weighted) == 1:
        return weighted[0][1]
    return {
        stage: _weighted([(share, spent.get(stage, Spent())) for share, spent in weighted])
        for stage in (*Stage, *TileStage)
    }


def _late(ledger: "Ledger", collection: str) -> dict[str, None]:
    """Keys of the acquisitions that were published last."""
    published = [
        product
        for kind in Kind
        for product in ledger.products(
            Selection(state=ProductState.PUBLISHED, collection=collection, kind=kind), limit=LEARNT_FROM
        )
    ]
    return dict.fromkeys(product.acquisition for product in published)


def _runs(ledger: "Ledger", key: str) -> Iterator[str]:
    story = ledger.story(key)
    return iter(dict.fromkeys(event.run for event in story.history)) if story is not None else iter(())


def _outcomes(store: "Store", run: str, keys: Mapping[str, None]) -> Iterator[Outcome]:
    """How those scenes left each stage in that run, where they were done in it."""
    for stored in store.list(f"batches/{run}/"):
        place, _, name = stored.key.rpartition("/")
        if name.removesuffix(".json") in keys and place.rpartition("/")[2] in set(Stage):
            outcome = Outcome.from_json(store.get(stored.key))
            if outcome.ending is Ending.DONE and outcome.seconds > 0:
                yield outcome


def _rolled(store: "Store", run: str, collection: str) -> Iterator[Made]:
    """The rolling maps that the run made of that sensor's maps."""
    family = collection.partition("-")[0]
    for stored in store.list(f"rolls/{run}/"):
        if stored.key.endswith("/rolled.json"):
            made = RolledRef.from_json(store.get(stored.key)).made
            if made is not None and made.collection.startswith(family):
                yield made


def _mean(outcomes: Sequence[Outcome]) -> Spent:
    """Of the scenes that left one stage."""
    stage, seconds = outcomes[0].stage, [outcome.seconds for outcome in outcomes]
    if stage is Stage.INGEST:
        return _of_made(seconds, [each.ingested for each in outcomes if each.ingested is not None])
    if stage in _MAKE:
        return _of_made(seconds, [each.made for each in outcomes if each.made is not None])
    return _of_made(seconds, ())


def _of_made(seconds: Sequence[float], left: Sequence[Made | Ingested]) -> Spent:
    """The mean of what each took, and of what it left."""
    cpu = [each.cpu_seconds for each in left if isinstance(each, Made)]
    return Spent(
        seconds=mean(seconds),
        cpu_seconds=mean(cpu) if cpu else None,
        bytes=round(mean(each.bytes for each in left)) if left else None,
        source=f"mean of the last {len(seconds)} here" if len(seconds) > 1 else "the last one here",
    )


def _filled(here: Spent, before: Spent) -> Spent:
    lacking = {
        field.name: getattr(before, field.name)
        for field in fields(Spent)
        if getattr(here, field.name) is None and getattr(before, field.name) is not None
    }
    if here == Spent():
        return before
    source = f"{here.source}; {', '.join(lacking)}: {before.source}" if lacking else here.source
    return replace(here, **lacking, source=source)


def _weighted(parts: Sequence[tuple[float, Spent]]) -> Spent:
    def over(name: str) -> float | None:
        known = [(share, getattr(spent, name)) for share, spent in parts]
        if any(value is None for _, value in known):
            return None
        return float(sum(share * value for share, value in known))

    memory = [spent.memory_gib for _, spent in parts]
    size = over("bytes")
    return Spent(
        seconds=over("seconds"),
        cpu_seconds=over("cpu_seconds"),
        memory_gib=None if None in memory else max(value for value in memory if value is not None),
        bytes=None if size is None else round(size),
        source="; ".join(f"{share:.0%} {spent.source}" for share, spent in parts),
    )

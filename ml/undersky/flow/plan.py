"""How large a cluster must be for so many scenes a day, and its bill, from what a scene was measured to take.

    at once = scenes a day x seconds / 86,400 / utilisation        pods of a stage
    cores   = scenes a day x CPU-seconds / 86,400 / utilisation

Every scene is counted as if it were published and mapped. What was not measured is said, and left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import ceil

from undersky.errors import ConfigError
from undersky.flow.prices import PriceList
from undersky.flow.spent import Spent
from undersky.flow.words import listed
from undersky.refs import Stage
from undersky.tile_refs import TileStage

STAGES: tuple[str, ...] = (*Stage, *TileStage)
DAY_S = 86_400.0
MONTH_DAYS = 30.0
GIB = 2.0**30

POOLS: Mapping[str, tuple[str, ...]] = {
    "ingest": (Stage.INGEST, Stage.VALIDATE_L1),
    "correct": (Stage.CORRECT, Stage.VALIDATE_SURFACE),
    "map": (Stage.MAP, Stage.VALIDATE_MAP, Stage.DETECT, Stage.VALIDATE_OBJECTS),
    "tiles": (TileStage.ROLL,),
}
"""Pool of Airflow to the stages that take its slots."""
_FEWEST = {"tiles": 1}
"""Slots of a pool at least; elsewhere two, so that one batch that hangs does not stop the flow."""

_READS: Mapping[str, tuple[str, ...]] = {
    Stage.VALIDATE_L1: (Stage.INGEST,),
    Stage.CORRECT: (Stage.INGEST,),
    Stage.VALIDATE_SURFACE: (Stage.CORRECT,),
    Stage.MAP: (Stage.CORRECT,),
    Stage.VALIDATE_MAP: (Stage.MAP,),
    Stage.DETECT: (Stage.CORRECT,),
    Stage.VALIDATE_OBJECTS: (Stage.DETECT,),
}
"""Stage to the stages whose files it fetches."""
_MAKES = (Stage.INGEST, Stage.CORRECT, Stage.MAP, Stage.DETECT, TileStage.ROLL)
"""Stages that leave more than a page."""


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked of the cluster."""

    scenes_per_day: float
    utilisation: float = 0.7
    """Share of what is paid for that works; the rest is for bad hours and what is tried again."""
    keep_months: float = 12.0
    """How long everything is kept: the bill is that of a store which is full."""
    gpu_stages: tuple[str, ...] = ()
    """Stages whose pods hold a GPU, for the seconds that were measured."""
    egress_gib_per_day: float = 0.0
    """What readers take out."""

    def __post_init__(self) -> None:
        if not self.scenes_per_day > 0:
            raise ConfigError(f"{self.scenes_per_day:g} scenes a day need no cluster: give more than 0")
        if not 0 < self.utilisation <= 1:
            raise ConfigError(f"a utilisation of {self.utilisation:g} is no share: give 0.7, say, at most 1")
        if self.keep_months < 0 or self.egress_gib_per_day < 0:
            raise ConfigError("months and GiB cannot be less than none: give 0 or more")


@dataclass(frozen=True, slots=True)
class Line:
    """What one stage needs; None where it was not measured."""

    stage: str
    seconds: float | None
    """Of one worker, a scene."""
    at_once: float | None
    """Workers that are needed on average, at that utilisation."""
    pods: int | None
    """The same, whole."""
    cores: float | None
    memory_gib: float | None
    """Peak of one worker."""
    memory_at_once_gib: float | None
    scratch_gib: float | None
    """What one worker fetches and makes, on its disk."""
    gpus: float
    source: str


@dataclass(frozen=True, slots=True)
class Bill:
    """What it costs, in the currency of the price list."""

    currency: str
    prices: str
    """Whose they are, and of when."""
    per_day: Mapping[str, float]
    """By what is paid for: cores, memory, gpus, store, egress."""

    @property
    def day(self) -> float:
        """All of it."""
        return sum(self.per_day.values())


@dataclass(frozen=True, slots=True)
class Plan:
    """What so many scenes a day need."""

    load: Load
    lines: tuple[Line, ...]
    slots: Mapping[str, int | None]
    """Of each pool; None where a stage of it was not measured."""
    stored_gib_per_day: float | None
    moved_gib_per_day: float | None
    """Between store and pods, at most: a stage may fetch a part of a product."""
    lacking: tuple[str, ...]
    """A sentence for each thing that was not measured and is in no sum."""
    bill: Bill | None

    def as_json(self) -> dict[str, object]:
        """For machines; months are those of 30 days."""
        bill = self.bill
        cost = None if bill is None else {
            "currency": bill.currency, "prices": bill.prices, "per_day_by_part": dict(bill.per_day),
            "per_day": bill.day, "per_month": bill.day * MONTH_DAYS,
            "per_scene": bill.day / self.load.scenes_per_day,
        }  # fmt: skip
        return {
            **asdict(self.load),
            "stages": [asdict(line) for line in self.lines],
            "slots": dict(self.slots),
            "stored_gib_per_day": self.stored_gib_per_day,
            "moved_gib_per_day": self.moved_gib_per_day,
            "lacking": list(self.lacking),
            "cost": cost,
        }


def plan(load: Load, spent: Mapping[str, Spent], *, prices: PriceList | None = None) -> Plan:
    """What the load needs, of stages that take what they were measured to take.

    Raises:
        ConfigError: A price that is needed is missing, or a stage with a GPU is none.
    """
    if strange := [stage for stage in load.gpu_stages if stage not in STAGES]:
        raise ConfigError(f"{strange[0]!r} is no stage; one of {', '.join(STAGES)}")
    known = {stage: spent.get(stage, Spent()) for stage in STAGES}
    lines = tuple(_line(stage, known, load) for stage in STAGES)
    stored = _stored(known)
    per_day = load.scenes_per_day / GIB
    return Plan(
        load=load,
        lines=lines,
        slots={pool: _slots(pool, lines) for pool in POOLS},
        stored_gib_per_day=None if stored is None else stored * per_day,
        moved_gib_per_day=None if stored is None else (stored + _read(known)) * per_day,
        lacking=tuple(_lacking(known)),
        bill=None if prices is None else _bill(load, lines, prices, stored),
    )


def _line(stage: str, known: Mapping[str, Spent], load: Load) -> Line:
    spent = known[stage]
    a_second = load.scenes_per_day / DAY_S / load.utilisation
    at_once = None if spent.seconds is None else spent.seconds * a_second
    return Line(
        stage=stage,
        seconds=spent.seconds,
        at_once=at_once,
        pods=None if at_once is None else ceil(at_once),
        cores=None if spent.cpu_seconds is None else spent.cpu_seconds * a_second,
        memory_gib=spent.memory_gib,
        memory_at_once_gib=(
            None if at_once is None or spent.memory_gib is None else at_once * spent.memory_gib
        ),
        scratch_gib=_scratch_gib(stage, known),
        gpus=at_once if stage in load.gpu_stages and at_once is not None else 0.0,
        source=spent.source,
    )


def _scratch_gib(stage: str, known: Mapping[str, Spent]) -> float | None:
    """What one worker fetches and makes; None where a part of it was not measured."""
    needed = [*_READS.get(stage, ()), *([stage] if stage in _MAKES else [])]
    sizes = [known[each].bytes for each in needed]
    return None if any(size is None for size in sizes) else sum(size or 0 for size in sizes) / GIB


def _slots(pool: str, lines: Sequence[Line]) -> int | None:
    """Slots of a pool, so that its stages keep up."""
    at_once = [line.at_once for line in lines if line.stage in POOLS[pool]]
    if any(each is None for each in at_once):
        return None
    return max(_FEWEST.get(pool, 2), ceil(sum(each for each in at_once if each is not None)))


def _stored(known: Mapping[str, Spent]) -> int | None:
    """Bytes that a scene leaves in the store; None where not even the files that come in were measured."""
    sizes = [spent.bytes for spent in known.values() if spent.bytes is not None]
    return sum(sizes) if sizes else None


def _read(known: Mapping[str, Spent]) -> int:
    """Bytes that the stages fetch of the store for a scene."""
    return sum(known[source].bytes or 0 for sources in _READS.values() for source in sources)


def _lacking(known: Mapping[str, Spent]) -> list[str]:
    """What is in no sum."""
    said = []
    for words, name, stages in (
        ("the seconds of", "seconds", STAGES),
        ("the CPU-seconds of", "cpu_seconds", STAGES),
        ("the peak memory of", "memory_gib", STAGES),
        ("the bytes that stay of", "bytes", (Stage.INGEST, Stage.CORRECT, Stage.MAP, Stage.DETECT)),
    ):
        absent = [str(stage) for stage in stages if getattr(known[stage], name) is None]
        if absent:
            said.append(f"{words} {listed(absent, most=len(STAGES))}")
    return [*said, "requests to the store", "growth of the ledger", "trainings and their GPU"]


def _bill(load: Load, lines: Sequence[Line], prices: PriceList, stored: int | None) -> Bill:
    cores = sum(line.cores or 0.0 for line in lines)
    memory = sum(line.memory_at_once_gib or 0.0 for line in lines)
    gpus = sum(line.gpus for line in lines)
    parts = {"cores": cores * 24 * prices.core_hour, "memory": memory * 24 * prices.gib_hour}
    if gpus:
        parts["gpus"] = gpus * 24 * prices.needed("gpu_hour", f"{gpus:.2f} GPUs are needed")
    if stored:
        kept = stored * load.scenes_per_day / GIB * load.keep_months * MONTH_DAYS
        gib_month = prices.needed("s3_gib_month", f"{kept:,.0f} GiB are kept")
        parts["store"] = kept * gib_month / MONTH_DAYS
    if load.egress_gib_per_day:
        price = prices.needed("egress_gib", f"{load.egress_gib_per_day:g} GiB a day are read")
        parts["egress"] = load.egress_gib_per_day * price
    return Bill(prices.currency, f"{prices.source}, {prices.as_of}", parts)

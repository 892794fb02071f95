r"""Release sets: which models are in use, which were withdrawn, and what those had made.

bootstrap --> promotion --> promotion --> rollback      the newest one is in use
                                \___ model ___/         withdrawn, until a later promotion has it again
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, insert, literal, or_, select, update

from undersky.errors import ConfigError, ServiceError
from undersky.refs import MODELS, Kind, ModelRef, ReleaseSet
from undersky.services.ledger.history import Record, Why, note
from undersky.services.ledger.records import Actor, ProductState, ReleaseKind, Selection
from undersky.services.ledger.rows import product_of, release_of
from undersky.services.ledger.selecting import products_meant
from undersky.services.ledger.tables import product, release_set
from undersky.services.ledger.views import Product, ReleaseRecord

LOCK = "undersky release_set"
"""Of `pg_advisory_xact_lock`: one release set is appended after the other."""


@dataclass(frozen=True, slots=True)
class Step:
    """A release set that is to be in use from now on."""

    release: ReleaseSet
    kind: ReleaseKind
    why: str
    withdrawn: ModelRef | None = None
    """The model version that it takes out of use."""

    def __post_init__(self) -> None:
        if not self.why.strip():
            raise ConfigError(f"a {self.kind} needs a reason: it stands in the history of the release sets")
        if self.withdrawn is None:
            return
        if self.kind != "rollback":
            raise ConfigError(f"a {self.kind} withdraws no model: only a rollback does")
        if self.withdrawn.digest in _digests(self.release):
            raise ConfigError(
                f"model {self.withdrawn.name} {self.withdrawn.label} is to be withdrawn and is part of the "
                "release set to go back to: choose an earlier one without it"
            )


def newest(connection: Connection) -> ReleaseRecord | None:
    """The release set in use; None before the first."""
    found = listed(connection, limit=1)
    return found[0] if found else None


def listed(connection: Connection, *, limit: int | None) -> tuple[ReleaseRecord, ...]:
    """Release sets, newest first."""
    statement = select(release_set).order_by(release_set.c.id.desc()).limit(limit)
    return tuple(map(release_of, connection.execute(statement)))


def append(connection: Connection, step: Step, *, by: Actor, seen: int | None) -> ReleaseRecord:
    """The release set is the newest, once, however often it is said; its record.

    Raises:
        ServiceError: The newest is another one than the caller saw.
    """
    connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(LOCK, 0))))
    last = newest(connection)
    if last is not None and _is_step(last, step):
        return last
    if seen != (None if last is None else last.id):
        raise ServiceError(f"{_told(last)}: another release came between; look again")
    if last is not None and last.digest == step.release.digest and step.withdrawn is None:
        return last
    values = {
        "digest": step.release.digest,
        "models": step.release.model_dump(mode="json", exclude_none=True),
        "kind": step.kind,
        "why": step.why,
        "withdrawn": step.withdrawn and step.withdrawn.model_dump(mode="json", exclude_none=True),
        "run": by.run,
        "task": by.task,
        "log": by.log,
    }
    return release_of(connection.execute(insert(release_set).values(values).returning(release_set)).one())


def withdrawn_models(connection: Connection) -> dict[str, str]:
    """Package digest to reason of the model versions whose last word is a rollback."""
    return _withdrawn(listed(connection, limit=None))


def withdrawn_release(connection: Connection, digest: str, kind: Kind) -> str | None:
    """Why no product of that kind must be made with the release set; None if it may, or nobody knows it."""
    records = listed(connection, limit=None)
    withdrawn = _withdrawn(records)
    known = (record for record in records if record.digest == digest)
    named = (model for record in known for model in _digests(record.release, kind))
    return next((withdrawn[model] for model in named if model in withdrawn), None)


def to_deprecate(connection: Connection, *, limit: int) -> tuple[Product, ...]:
    """Published products that a withdrawn model made or helped to make, not marked yet; oldest first.

    A surface product is made by its correction and its mask, a map by its own model, and by those that made
    the surface product that it is of: such maps come last. Other models of a release set had no part in it.
    """
    records = listed(connection, limit=None)
    withdrawn = _withdrawn(records)
    if not withdrawn:
        return ()
    sets = {
        kind: {record.digest for record in records if withdrawn.keys() & _digests(record.release, kind)}
        for kind in Kind
    }
    unmarked = products_meant(Selection()).where(
        product.c.state == ProductState.PUBLISHED, product.c.deprecated.is_(None)
    )
    source = product.alias("source")
    of_bad = product.c.source.in_(select(source.c.id).where(_made_by(source, withdrawn, sets)))
    own = _made_by(product, withdrawn, sets)
    # Two questions and no OR: PostgreSQL would read the whole table for that.
    found: list[Record] = []
    for condition in (own, of_bad & func.coalesce(~own, literal(True))):
        rest = unmarked.where(condition).order_by(product.c.id).limit(limit - len(found))
        found += connection.execute(rest).all()
    return tuple(map(product_of, found))


def deprecate(connection: Connection, number: int, *, reason: str, by: Actor) -> None:
    """The published product is marked, and its history says why; twice changes nothing.

    Raises:
        ConfigError: No such product, or one that was never published.
    """
    statement = select(product).where(product.c.id == number).with_for_update(key_share=True)
    row = connection.execute(statement).one_or_none()
    if row is None:
        raise ConfigError(f"there is no product {number}: `undersky show SCENE` names a scene's products")
    if row.published is None:
        raise ConfigError(
            f"product {number} of {row.acquisition} is {row.state} and was never published: "
            "only what people can read is deprecated"
        )
    if row.deprecated is None:
        _mark(connection, row, reason, by)


def _made_by(table: Any, models: Mapping[str, str], sets: Mapping[Kind, set[str]]) -> Any:
    """Whether a row is of one of these models, by its own word or by that of its release set."""
    roles = (table.c.made[(role, "digest")].astext for role in ("model", "quality"))
    own = (role.in_(models) for role in roles)
    pinned = ((table.c.kind == kind) & table.c.release.in_(known) for kind, known in sets.items())
    return or_(*own, *pinned)


def _mark(connection: Connection, row: Record, reason: str, by: Actor) -> None:
    note(connection, row, row.state, Why("model_withdrawn", reason), by)
    marked = update(product).where(product.c.id == row.id)
    connection.execute(marked.values(deprecated=reason, changed=func.clock_timestamp()))


def _withdrawn(records: Sequence[ReleaseRecord]) -> dict[str, str]:
    found: dict[str, str] = {}
    for record in reversed(records):
        if record.kind == "promotion":
            found = {model: why for model, why in found.items() if model not in _digests(record.release)}
        if record.withdrawn is not None:
            found[record.withdrawn.digest] = record.why
    return found


def _digests(release: ReleaseSet, kind: Kind | None = None) -> set[str]:
    """Package digests of the set's models; only of those that have a part in that kind of product."""
    names = None if kind is None else MODELS[kind]
    return {model.digest for model in release.models if names is None or model.name in names}


def _is_step(record: ReleaseRecord, step: Step) -> bool:
    """Whether the record is what this very step wrote, when it was said before."""
    taken_out = [None if each is None else each.digest for each in (record.withdrawn, step.withdrawn)]
    return record.digest == step.release.digest and record.kind == step.kind and taken_out[0] == taken_out[1]


def _told(last: ReleaseRecord | None) -> str:
    if last is None:
        return "no release set is on record"
    return (
        f"the newest release set is {last.id}, a {last.kind} of {last.time:%Y-%m-%d %H:%M:%SZ} by {last.run}"
    )

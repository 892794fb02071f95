r"""Campaigns: proposed, let run, paused, aborted and resumed by people.

    proposed --> running <--> paused      paused by itself once its budget is used up
                 |  ^   \
                 v  |    \__> done        by itself once nothing is left: see `feeding`
                aborted                   what waited is withdrawn; resumed, it takes up the rest

Every move is one row of `campaign` under its lock, and a line in `campaign_history`.
"""

import re
from dataclasses import dataclass, replace

from sqlalchemy import Connection, func, insert, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from undersky.errors import ConfigError
from undersky.refs import Kind
from undersky.services.ledger.history import UNLEASED, Record, Why, move_product
from undersky.services.ledger.records import Actor, CampaignState, ProductState, Selection
from undersky.services.ledger.rows import campaign_of, estimate_json, selection_json
from undersky.services.ledger.tables import campaign, campaign_history, product
from undersky.services.ledger.views import Campaign, CampaignEstimate

ALLOWED = {
    CampaignState.PROPOSED: (CampaignState.RUNNING, CampaignState.ABORTED),
    CampaignState.RUNNING: (CampaignState.PAUSED, CampaignState.ABORTED),
    CampaignState.PAUSED: (CampaignState.RUNNING, CampaignState.ABORTED),
    CampaignState.ABORTED: (CampaignState.RUNNING,),
    CampaignState.DONE: (),
}
"""Where a person may move a campaign."""

TAKEN_BACK = "campaign_aborted"
"""Reason of products that an abort took back: they do not count as tried."""

_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")


@dataclass(frozen=True, slots=True)
class Caps:
    """How much a campaign may do."""

    at_once: int | None = None
    """Products that may wait or be worked on at a time."""
    budget_hours: float | None = None
    """Hours of one CPU core."""

    def __post_init__(self) -> None:
        if self.at_once is not None and self.at_once < 1:
            raise ConfigError(f"at once {self.at_once} lets nothing through: give 1 or more")
        if self.budget_hours is not None and not self.budget_hours > 0:
            raise ConfigError(
                f"a budget of {self.budget_hours} hours lets nothing through: give more than 0, or none"
            )

    @property
    def given(self) -> dict[str, object]:
        """Those that are stated."""
        both = {"at_once": self.at_once, "budget_hours": self.budget_hours}
        return {name: value for name, value in both.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Proposal:
    """A campaign that somebody wants."""

    name: str
    selection: Selection
    why: str
    caps: Caps

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ConfigError(
                f"{self.name!r} is no name of a campaign: lower-case letters, digits and hyphens"
            )
        if self.selection.is_empty:
            raise ConfigError(
                f"campaign {self.name} over everything is refused: say which scenes, by model, tile or days"
            )
        if not self.why.strip():
            raise ConfigError(f"campaign {self.name} needs a reason: it stands in the history of every scene")


@dataclass(frozen=True, slots=True)
class Move:
    """Where a campaign is to stand, and why."""

    state: CampaignState
    why: str
    caps: Caps = Caps()
    """New ones; what is None stays."""


def propose(connection: Connection, wanted: Proposal, estimate: CampaignEstimate, by: Actor) -> Campaign:
    """The campaign is on record, once.

    Raises:
        ConfigError: Another one has that name.
    """
    values = {
        "name": wanted.name,
        "selection": selection_json(wanted.selection),
        "why": wanted.why,
        "sentence": wanted.why,
        "at_once": wanted.caps.at_once,
        "budget_hours": wanted.caps.budget_hours,
        "estimate": estimate_json(estimate),
        **_by(by),
    }
    statement = upsert(campaign).values(values).on_conflict_do_nothing()
    row = connection.execute(statement.returning(campaign)).one_or_none()
    if row is None:
        return _same(one(connection, wanted.name), wanted)
    _note(connection, wanted.name, CampaignState.PROPOSED, wanted.why, by)
    return campaign_of(row)


def one(connection: Connection, name: str) -> Campaign:
    """The campaign of that name.

    Raises:
        ConfigError: There is none.
    """
    row = connection.execute(select(campaign).where(campaign.c.name == name)).one_or_none()
    if row is None:
        raise _unknown(connection, name)
    return campaign_of(row)


def listed(connection: Connection, *, state: CampaignState | None) -> tuple[Campaign, ...]:
    """Every campaign, newest first; only those in that state."""
    statement = select(campaign).order_by(campaign.c.created.desc(), campaign.c.name)
    if state is not None:
        statement = statement.where(campaign.c.state == state)
    return tuple(map(campaign_of, connection.execute(statement)))


def locked(connection: Connection, name: str) -> Record:
    """The row of the campaign, locked: it is moved and fed by one at a time.

    Raises:
        ConfigError: There is none.
    """
    statement = select(campaign).where(campaign.c.name == name).with_for_update(key_share=True)
    row = connection.execute(statement).one_or_none()
    if row is None:
        raise _unknown(connection, name)
    return row


def move(connection: Connection, name: str, wanted: Move, by: Actor) -> Campaign:
    """The campaign stands where it is wanted, with the caps that are stated.

    Raises:
        ConfigError: No such campaign, no way there, or no reason.
    """
    row = locked(connection, name)
    if wanted.state == row.state:
        return _capped(connection, row, wanted, by)
    if wanted.state not in ALLOWED[CampaignState(row.state)]:
        there = " or ".join(ALLOWED[CampaignState(row.state)]) or "nothing else: propose another one"
        raise ConfigError(
            f"campaign {name} is {row.state} and cannot become {wanted.state}; it can become {there}"
        )
    if not wanted.why.strip():
        raise ConfigError(f"campaign {name} cannot become {wanted.state} without a reason for its history")
    if wanted.state == CampaignState.ABORTED:
        _take_back(connection, name, Why(TAKEN_BACK, f"campaign {name} was aborted: {wanted.why}"), by)
    return campaign_of(enter(connection, row, wanted, by))


def enter(connection: Connection, row: Record, wanted: Move, by: Actor) -> Record:
    """The locked campaign has that state, its history a line more; the row as it is then."""
    _note(connection, row.name, wanted.state, wanted.why, by)
    values = {
        "state": wanted.state,
        "sentence": wanted.why,
        "state_since": func.clock_timestamp(),
        "changed": func.clock_timestamp(),
        **wanted.caps.given,
    }
    statement = update(campaign).where(campaign.c.name == row.name).values(values)
    return connection.execute(statement.returning(campaign)).one()


def _capped(connection: Connection, row: Record, wanted: Move, by: Actor) -> Campaign:
    """A campaign that stands there already, with the caps that are stated."""
    columns = row._mapping  # noqa: SLF001  SQLAlchemy's public name for it
    new = {name: value for name, value in wanted.caps.given.items() if columns[name] != value}
    if not new:
        return campaign_of(row)
    told = ", ".join(f"{name} {columns[name]} becomes {value}" for name, value in new.items())
    _note(connection, row.name, "changed", f"{told}: {wanted.why}", by)
    statement = update(campaign).where(campaign.c.name == row.name)
    changed = statement.values(changed=func.clock_timestamp(), **new).returning(campaign)
    return campaign_of(connection.execute(changed).one())


def _take_back(connection: Connection, name: str, why: Why, by: Actor) -> None:
    """Products that wait and that nobody works on are not wanted any more."""
    waiting = (
        select(product)
        .where(
            product.c.campaign == name,
            product.c.state == ProductState.WANTED,
            or_(product.c.holder.is_(None), product.c.lease_until < func.now()),
        )
        .order_by(product.c.acquisition, product.c.id)
        .with_for_update(key_share=True)
    )
    for row in connection.execute(waiting).all():
        move_product(connection, row, ProductState.WITHDRAWN, why, by, token=row.token + 1, **UNLEASED)


def _same(known: Campaign, wanted: Proposal) -> Campaign:
    caps = Caps(known.at_once, known.budget_hours)
    # One that was proposed before there were maps names no kind: it is of surface products.
    meant = replace(known.selection, kind=known.selection.kind or Kind.SURFACE)
    if (meant, known.why, caps) != (wanted.selection, wanted.why, wanted.caps):
        raise ConfigError(
            f"another campaign is called {known.name}, proposed {known.created:%Y-%m-%d} because of "
            f"{known.why!r}: give this one another name"
        )
    return known


def _unknown(connection: Connection, name: str) -> ConfigError:
    names = ", ".join(connection.scalars(select(campaign.c.name).order_by(campaign.c.name)))
    return ConfigError(f"no campaign is called {name!r}: {names or 'there is none yet'}")


def _note(connection: Connection, name: str, what: str, sentence: str, by: Actor) -> None:
    values = {"campaign": name, "what": str(what), "sentence": sentence, **_by(by)}
    connection.execute(insert(campaign_history).values(values))


def _by(by: Actor) -> dict[str, object]:
    return {"run": by.run, "task": by.task, "log": by.log}

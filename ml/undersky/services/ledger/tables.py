"""The tables as the code speaks of them; the migrations make them, and a test holds the two together."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Float,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

SCHEMA = "ledger"
"""Of its own, so that the ledger may share a database with Airflow or MLflow."""

metadata = MetaData(schema=SCHEMA)

_moment = DateTime(timezone=True)
_now = func.clock_timestamp()


def _text(name: str, default: str | None = None) -> Column[str]:
    return Column(name, Text, nullable=False, server_default=default)


def _time(name: str) -> Column[Any]:
    return Column(name, _moment, nullable=False, server_default=_now)


def _state(begin: str) -> tuple[Column[Any], ...]:
    """What every worked-on row has: where it stands and who holds it."""
    return (
        _text("lane"),
        _text("state", begin),
        _text("reason"),
        _text("sentence", ""),
        Column("log", Text),
        _time("state_since"),
        _time("wanted_since"),
        Column("token", BigInteger, nullable=False, server_default="0"),
        Column("holder", Text),
        Column("holder_task", Text),
        Column("lease_until", _moment),
        Column("tries", Integer, nullable=False, server_default="0"),
        Column("not_before", _moment),
    )


area = Table(
    "area",
    metadata,
    Column("name", Text, primary_key=True),
    Column("geometry", JSONB, nullable=False),
    Column("collections", ARRAY(Text), nullable=False),
    Column("since", Date, nullable=False),
    Column("until", Date),
    Column("max_cloud", Float),
    Column("profiles", ARRAY(Text), nullable=False),
    Column("paused", Boolean, nullable=False, server_default="false"),
    Column("paused_reason", Text),
    _time("created"),
    _text("run"),
)

area_history = Table(
    "area_history",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    _time("time"),
    Column("area", Text, ForeignKey(area.c.name), nullable=False),
    _text("what"),
    _text("sentence"),
    _text("run"),
    _text("task"),
    Column("log", Text),
)

search = Table(
    "search",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    _time("time"),
    _text("area"),
    _text("profile"),
    _text("collection"),
    _text("lane"),
    Column("begin", _moment, nullable=False),
    Column("end", _moment, nullable=False),
    Column("found", Integer, nullable=False),
    Column("accepted", Integer, nullable=False),
    Column("pages", Integer, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("error", Text),
    _text("run"),
    _text("task"),
    Column("attempt", Integer, nullable=False),
    Column("log", Text),
)
Index("search_time", search.c.time)
Index("search_area", search.c.area, search.c.id)
Index("search_window", search.c.begin, search.c.end)

rejection = Table(
    "rejection",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    _text("area"),
    _text("profile"),
    _text("item_id"),
    _text("reason"),
    _text("sentence"),
    Column("collection", Text),
    Column("tile", Text),
    Column("sensed", _moment),
    Column("first_search", BigInteger, nullable=False),
    Column("last_search", BigInteger, nullable=False),
    _time("first_seen"),
    _time("last_seen"),
    UniqueConstraint("area", "profile", "item_id", "reason", name="rejection_once"),
)
Index("rejection_day", rejection.c.tile, rejection.c.sensed)
Index("rejection_item", rejection.c.item_id)

acquisition = Table(
    "acquisition",
    metadata,
    Column("key", Text, primary_key=True),
    _text("scene"),
    _text("collection"),
    _text("platform"),
    _text("tile"),
    Column("sensed", _moment, nullable=False),
    _text("profile"),
    _text("area"),
    Column("baseline", Text),
    Column("tier", Text),
    Column("produced", _moment),
    Column("datastrip", Text),
    Column("cloud_percent", Float),
    Column("sun_elevation", Float),
    Column("geometry", JSONB(none_as_null=True)),
    Column("files", JSONB, nullable=False),
    Column("l1", JSONB(none_as_null=True)),
    *_state("discovered"),
    _time("discovered"),
    _time("changed"),
)
Index(
    "acquisition_claim",
    acquisition.c.lane,
    acquisition.c.sensed.desc(),
    postgresql_where=text("state in ('discovered', 'ingested')"),
)
Index("acquisition_family", acquisition.c.key, postgresql_ops={"key": "text_pattern_ops"})
Index("acquisition_changed", acquisition.c.changed)
Index("acquisition_day", acquisition.c.tile, acquisition.c.sensed)
Index("acquisition_area", acquisition.c.area, acquisition.c.sensed)
Index("acquisition_state", acquisition.c.state, acquisition.c.changed)
Index("acquisition_holder", acquisition.c.holder, postgresql_where=text("holder is not null"))

delivery = Table(
    "delivery",
    metadata,
    Column("acquisition", Text, ForeignKey(acquisition.c.key), primary_key=True),
    Column("scene", Text, primary_key=True),
    _text("profile"),
    Column("baseline", Text),
    Column("tier", Text),
    Column("produced", _moment),
    Column("superseded_by", Text),
    _time("announced"),
)
Index("delivery_scene", delivery.c.scene)

release_set = Table(
    "release_set",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    _text("digest"),
    Column("models", JSONB, nullable=False),
    _text("kind"),
    _text("why"),
    Column("withdrawn", JSONB(none_as_null=True)),
    _text("run"),
    _text("task"),
    Column("log", Text),
    _time("time"),
)
Index("release_set_digest", release_set.c.digest)

campaign = Table(
    "campaign",
    metadata,
    Column("name", Text, primary_key=True),
    Column("selection", JSONB, nullable=False),
    _text("why"),
    _text("state", "proposed"),
    _text("sentence", ""),
    Column("at_once", Integer, nullable=False),
    Column("budget_hours", Float),
    Column("estimate", JSONB, nullable=False),
    _time("created"),
    _time("state_since"),
    _time("changed"),
    _text("run"),
    _text("task"),
    Column("log", Text),
)

campaign_history = Table(
    "campaign_history",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    _time("time"),
    Column("campaign", Text, ForeignKey(campaign.c.name), nullable=False),
    _text("what"),
    _text("sentence"),
    _text("run"),
    _text("task"),
    Column("log", Text),
)
Index("campaign_history_campaign", campaign_history.c.campaign, campaign_history.c.id)

product = Table(
    "product",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("acquisition", Text, ForeignKey(acquisition.c.key), nullable=False),
    _text("kind"),
    _text("scene"),
    _text("tile"),
    Column("sensed", _moment, nullable=False),
    Column("digest", Text),
    Column("collection", Text),
    Column("made", JSONB(none_as_null=True)),
    Column("judged", JSONB(none_as_null=True)),
    Column("release", Text),
    Column("href", Text),
    Column("published", _moment),
    Column("successor", BigInteger, ForeignKey("ledger.product.id")),
    Column("released", Boolean, nullable=False, server_default="false"),
    *_state("wanted"),
    _time("created"),
    _time("changed"),
    Column("deprecated", Text),
    Column("campaign", Text, ForeignKey(campaign.c.name)),
    Column("source", BigInteger, ForeignKey("ledger.product.id")),
)
made_with = product.c.made[("model", "digest")].astext
"""Digest of the model that made a product; in these words, because an index answers to its own words only."""
masked_with = product.c.made[("quality", "digest")].astext
"""Digest of the model of a surface product's mask, in the words of its index."""

Index(
    "product_once",
    product.c.acquisition,
    product.c.kind,
    product.c.digest,
    unique=True,
    postgresql_where=text("state <> 'withdrawn'"),
)
Index(
    "product_open",
    product.c.acquisition,
    product.c.kind,
    unique=True,
    postgresql_where=text("state in ('wanted', 'made', 'checked')"),
)
Index(
    "product_claim",
    product.c.kind,
    product.c.lane,
    product.c.sensed.desc(),
    postgresql_where=text("state in ('wanted', 'made', 'checked')"),
)
Index("product_changed", product.c.changed)
Index("product_acquisition", product.c.acquisition)
Index("product_day", product.c.tile, product.c.sensed)
Index("product_state", product.c.state, product.c.changed)
Index("product_digest", product.c.digest)
Index("product_holder", product.c.holder, postgresql_where=text("holder is not null"))
Index("product_published", product.c.id, postgresql_where=text("state = 'published'"))
Index("product_release", product.c.release, postgresql_where=text("state = 'published'"))
Index(
    "product_model",
    made_with,
    postgresql_where=text("state = 'published'"),
)
Index(
    "product_quality",
    masked_with,
    postgresql_where=text("state = 'published'"),
)
Index("product_source", product.c.source, postgresql_where=text("source is not null"))
Index(
    "product_current_map",
    product.c.collection,
    product.c.tile,
    product.c.sensed.desc(),
    postgresql_where=text(
        "kind = 'landcover' and state = 'published' and successor is null and deprecated is null"
    ),
)
Index("product_campaign", product.c.campaign, postgresql_where=text("campaign is not null"))

history = Table(
    "history",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    _time("time"),
    Column("acquisition", Text, ForeignKey(acquisition.c.key), nullable=False),
    Column("product", BigInteger, ForeignKey(product.c.id)),
    _text("scene"),
    _text("run"),
    _text("task"),
    Column("attempt", Integer, nullable=False),
    _text("reason"),
    _text("sentence"),
    Column("log", Text),
    Column("before", Text),
    _text("after"),
)
Index("history_acquisition", history.c.acquisition, history.c.id)
Index("history_run", history.c.run, history.c.id)

tile_map = Table(
    "tile_map",
    metadata,
    Column("collection", Text, primary_key=True),
    Column("tile", Text, primary_key=True),
    _text("state", "wanted"),
    _text("reason", "wanted"),
    _text("sentence", ""),
    Column("log", Text),
    Column("products", ARRAY(Text), nullable=False, server_default="{}"),
    Column("rule", Text),
    Column("digest", Text),
    Column("made", JSONB(none_as_null=True)),
    Column("href", Text),
    Column("built", _moment),
    Column("wanted", ARRAY(Text), nullable=False, server_default="{}"),
    Column("token", BigInteger, nullable=False, server_default="0"),
    Column("holder", Text),
    Column("holder_task", Text),
    Column("lease_until", _moment),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("not_before", _moment),
    _time("changed"),
)
Index("tile_map_holder", tile_map.c.holder, postgresql_where=text("holder is not null"))

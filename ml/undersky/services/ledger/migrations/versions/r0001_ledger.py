"""The ledger as it began: areas, searches, acquisitions, deliveries, products, and the history of all."""

from alembic import op

revision = "0001"
down_revision = None

# What every worked-on row has: where it stands and who holds it.
STATE = """
    lane TEXT NOT NULL CHECK (lane IN ('fresh', 'historical')),
    state TEXT NOT NULL DEFAULT '{begin}' CHECK (state IN ({states})),
    reason TEXT NOT NULL,
    sentence TEXT NOT NULL DEFAULT '',
    log TEXT,
    state_since TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    wanted_since TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    token BIGINT NOT NULL DEFAULT 0,
    holder TEXT,
    holder_task TEXT,
    lease_until TIMESTAMPTZ,
    tries INTEGER NOT NULL DEFAULT 0,
    not_before TIMESTAMPTZ,
    CHECK ((holder IS NULL) = (lease_until IS NULL)),
"""

AREAS = """
CREATE TABLE ledger.area (
    name TEXT PRIMARY KEY,
    geometry JSONB NOT NULL,
    collections TEXT[] NOT NULL,
    since DATE NOT NULL,
    until DATE,
    max_cloud FLOAT,
    profiles TEXT[] NOT NULL,
    paused BOOLEAN NOT NULL DEFAULT FALSE,
    paused_reason TEXT,
    created TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    run TEXT NOT NULL
);
CREATE TABLE ledger.area_history (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    time TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    area TEXT NOT NULL REFERENCES ledger.area (name),
    what TEXT NOT NULL,
    sentence TEXT NOT NULL,
    run TEXT NOT NULL,
    task TEXT NOT NULL,
    log TEXT
);
"""

SEARCHES = """
CREATE TABLE ledger.search (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    time TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    area TEXT NOT NULL,
    profile TEXT NOT NULL,
    collection TEXT NOT NULL,
    lane TEXT NOT NULL CHECK (lane IN ('fresh', 'historical')),
    begin TIMESTAMPTZ NOT NULL,
    "end" TIMESTAMPTZ NOT NULL,
    found INTEGER NOT NULL,
    accepted INTEGER NOT NULL,
    pages INTEGER NOT NULL,
    seconds FLOAT NOT NULL,
    error TEXT,
    run TEXT NOT NULL,
    task TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    log TEXT
);
CREATE INDEX search_time ON ledger.search (time);
CREATE INDEX search_area ON ledger.search (area, id);
CREATE INDEX search_window ON ledger.search (begin, "end");
CREATE TABLE ledger.rejection (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    area TEXT NOT NULL,
    profile TEXT NOT NULL,
    item_id TEXT NOT NULL,
    reason TEXT NOT NULL,
    sentence TEXT NOT NULL,
    collection TEXT,
    tile TEXT,
    sensed TIMESTAMPTZ,
    first_search BIGINT NOT NULL,
    last_search BIGINT NOT NULL,
    first_seen TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    last_seen TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT rejection_once UNIQUE (area, profile, item_id, reason)
);
CREATE INDEX rejection_day ON ledger.rejection (tile, sensed);
CREATE INDEX rejection_item ON ledger.rejection (item_id);
"""

ACQUISITIONS = f"""
CREATE TABLE ledger.acquisition (
    key TEXT PRIMARY KEY,
    scene TEXT NOT NULL,
    collection TEXT NOT NULL,
    platform TEXT NOT NULL,
    tile TEXT NOT NULL,
    sensed TIMESTAMPTZ NOT NULL,
    profile TEXT NOT NULL,
    area TEXT NOT NULL,
    baseline TEXT,
    tier TEXT,
    produced TIMESTAMPTZ,
    datastrip TEXT,
    cloud_percent FLOAT,
    sun_elevation FLOAT,
    geometry JSONB,
    files JSONB NOT NULL,
    l1 JSONB,
    {
    STATE.format(
        begin="discovered",
        states="'discovered', 'ingested', 'valid', 'quarantined', 'skipped', 'superseded', 'failed'",
    )
}
    discovered TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    changed TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX acquisition_claim ON ledger.acquisition (lane, sensed DESC)
    WHERE state IN ('discovered', 'ingested');
CREATE INDEX acquisition_family ON ledger.acquisition (key text_pattern_ops);
CREATE INDEX acquisition_changed ON ledger.acquisition (changed);
CREATE INDEX acquisition_day ON ledger.acquisition (tile, sensed);
CREATE INDEX acquisition_state ON ledger.acquisition (state, changed);
CREATE INDEX acquisition_holder ON ledger.acquisition (holder) WHERE holder IS NOT NULL;
CREATE TABLE ledger.delivery (
    acquisition TEXT NOT NULL REFERENCES ledger.acquisition (key),
    scene TEXT NOT NULL,
    profile TEXT NOT NULL,
    baseline TEXT,
    tier TEXT,
    produced TIMESTAMPTZ,
    superseded_by TEXT,
    announced TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (acquisition, scene)
);
CREATE INDEX delivery_scene ON ledger.delivery (scene);
"""

PRODUCTS = f"""
CREATE TABLE ledger.product (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    acquisition TEXT NOT NULL REFERENCES ledger.acquisition (key),
    kind TEXT NOT NULL,
    scene TEXT NOT NULL,
    tile TEXT NOT NULL,
    sensed TIMESTAMPTZ NOT NULL,
    digest TEXT,
    collection TEXT,
    made JSONB,
    judged JSONB,
    release TEXT,
    href TEXT,
    published TIMESTAMPTZ,
    successor BIGINT REFERENCES ledger.product (id),
    released BOOLEAN NOT NULL DEFAULT FALSE,
    {
    STATE.format(
        begin="wanted",
        states="'wanted', 'made', 'checked', 'published', 'held', 'failed', 'withdrawn'",
    )
}
    created TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    changed TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    CHECK (state <> 'published' OR (digest IS NOT NULL AND href IS NOT NULL AND published IS NOT NULL))
);
CREATE INDEX product_changed ON ledger.product (changed);
CREATE INDEX product_acquisition ON ledger.product (acquisition);
CREATE INDEX product_claim ON ledger.product (lane, sensed DESC)
    WHERE state IN ('wanted', 'made', 'checked');
CREATE INDEX product_day ON ledger.product (tile, sensed);
CREATE INDEX product_digest ON ledger.product (digest);
CREATE INDEX product_holder ON ledger.product (holder) WHERE holder IS NOT NULL;
CREATE UNIQUE INDEX product_once ON ledger.product (acquisition, kind, digest) WHERE state <> 'withdrawn';
CREATE UNIQUE INDEX product_open ON ledger.product (acquisition, kind)
    WHERE state IN ('wanted', 'made', 'checked');
CREATE INDEX product_published ON ledger.product (id) WHERE state = 'published';
CREATE INDEX product_state ON ledger.product (state, changed);
"""

HISTORY = """
CREATE TABLE ledger.history (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    time TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    acquisition TEXT NOT NULL REFERENCES ledger.acquisition (key),
    product BIGINT REFERENCES ledger.product (id),
    scene TEXT NOT NULL,
    run TEXT NOT NULL,
    task TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    reason TEXT NOT NULL,
    sentence TEXT NOT NULL,
    log TEXT,
    before TEXT,
    after TEXT NOT NULL
);
CREATE INDEX history_acquisition ON ledger.history (acquisition, id);
CREATE INDEX history_run ON ledger.history (run, id);
"""


def upgrade() -> None:
    """All tables, empty."""
    for part in (AREAS, SEARCHES, ACQUISITIONS, PRODUCTS, HISTORY):
        op.execute(part)

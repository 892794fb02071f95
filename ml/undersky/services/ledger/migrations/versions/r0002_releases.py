"""Release sets and campaigns: which models are in use, and what is made again with them."""

from alembic import op

revision = "0002"
down_revision = "0001"

RELEASES = """
CREATE TABLE ledger.release_set (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest TEXT NOT NULL,
    models JSONB NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('bootstrap', 'promotion', 'rollback')),
    why TEXT NOT NULL,
    withdrawn JSONB CHECK (withdrawn IS NULL OR kind = 'rollback'),
    run TEXT NOT NULL,
    task TEXT NOT NULL,
    log TEXT,
    time TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX release_set_digest ON ledger.release_set (digest);
"""

CAMPAIGNS = """
CREATE TABLE ledger.campaign (
    name TEXT PRIMARY KEY,
    selection JSONB NOT NULL,
    why TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'proposed'
        CHECK (state IN ('proposed', 'running', 'paused', 'done', 'aborted')),
    sentence TEXT NOT NULL DEFAULT '',
    at_once INTEGER NOT NULL CHECK (at_once >= 1),
    budget_hours FLOAT CHECK (budget_hours > 0),
    estimate JSONB NOT NULL,
    created TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    state_since TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    changed TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    run TEXT NOT NULL,
    task TEXT NOT NULL,
    log TEXT
);
CREATE TABLE ledger.campaign_history (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    time TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    campaign TEXT NOT NULL REFERENCES ledger.campaign (name),
    what TEXT NOT NULL,
    sentence TEXT NOT NULL,
    run TEXT NOT NULL,
    task TEXT NOT NULL,
    log TEXT
);
CREATE INDEX campaign_history_campaign ON ledger.campaign_history (campaign, id);
"""

PRODUCTS = """
ALTER TABLE ledger.product
    ADD COLUMN deprecated TEXT,
    ADD COLUMN campaign TEXT REFERENCES ledger.campaign (name);
CREATE INDEX product_release ON ledger.product (release) WHERE state = 'published';
CREATE INDEX product_model ON ledger.product ((made #>> '{model,digest}')) WHERE state = 'published';
CREATE INDEX product_campaign ON ledger.product (campaign) WHERE campaign IS NOT NULL;
CREATE INDEX acquisition_area ON ledger.acquisition (area, sensed);
"""


def upgrade() -> None:
    """Two tables of their own and a history; every product there is stays as it was."""
    for part in (RELEASES, CAMPAIGNS, PRODUCTS):
        op.execute(part)

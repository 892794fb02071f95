"""The rolling map of each tile: of which maps it was made, where it lies, and who makes it again."""

from alembic import op

revision = "0004"
down_revision = "0003"

TILES = """
CREATE TABLE ledger.tile_map (
    collection TEXT NOT NULL,
    tile TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'wanted',
    reason TEXT NOT NULL DEFAULT 'wanted',
    sentence TEXT NOT NULL DEFAULT '',
    log TEXT,
    products TEXT[] NOT NULL DEFAULT '{}',
    rule TEXT,
    digest TEXT,
    made JSONB,
    href TEXT,
    built TIMESTAMPTZ,
    wanted TEXT[] NOT NULL DEFAULT '{}',
    token BIGINT NOT NULL DEFAULT 0,
    holder TEXT,
    holder_task TEXT,
    lease_until TIMESTAMPTZ,
    tries INTEGER NOT NULL DEFAULT 0,
    not_before TIMESTAMPTZ,
    changed TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (collection, tile)
);
CREATE INDEX tile_map_holder ON ledger.tile_map (holder) WHERE holder IS NOT NULL;
"""

CURRENT = """
CREATE INDEX product_current_map ON ledger.product (collection, tile, sensed DESC)
    WHERE kind = 'landcover' AND state = 'published' AND successor IS NULL AND deprecated IS NULL;
"""
"""The maps that rolling maps are made of, without the archive's older ones."""


def upgrade() -> None:
    """No tile has a rolling map; the first claim finds those that have maps."""
    for part in (TILES, CURRENT):
        op.execute(part)

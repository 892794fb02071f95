"""Kinds of product beside surface reflectance: maps, each made of a published surface product."""

from alembic import op

revision = "0003"
down_revision = "0002"

MAPS = """
ALTER TABLE ledger.product
    ADD COLUMN source BIGINT REFERENCES ledger.product (id),
    ADD CHECK ((source IS NULL) = (kind = 'surface'));
CREATE INDEX product_source ON ledger.product (source) WHERE source IS NOT NULL;
CREATE INDEX product_quality ON ledger.product ((made #>> '{quality,digest}')) WHERE state = 'published';
"""

QUEUES = """
DROP INDEX ledger.product_claim;
CREATE INDEX product_claim ON ledger.product (kind, lane, sensed DESC)
    WHERE state IN ('wanted', 'made', 'checked');
"""
"""A queue for each kind: whoever claims maps does not read past what waits for its reflectance."""


def upgrade() -> None:
    """Every product there is stays as it was: all of them are surface products."""
    for part in (MAPS, QUEUES):
        op.execute(part)

"""A ledger with rows, made by the first revision, goes on as it was after the second."""

from pathlib import Path

import pytest
from sqlalchemy import text

import undersky.services.ledger.migrations as shipped
from fixtures_ledger import BY
from undersky.errors import ConfigError
from undersky.refs import Lane
from undersky.services.ledger import Ledger, ProductState, Selection
from undersky.services.ledger.connecting import engine_for
from undersky.services.ledger.schema import REVISIONS

ROWS = """
insert into ledger.acquisition
    (key, scene, collection, platform, tile, sensed, profile, area, files, l1, lane, state, reason)
    values ('KEY', 'SCENE', 'sentinel-2-l1c', 'S2B', '32TQM', '2025-06-19 09:57:53Z', 'cdse', 'valley', '[]',
        '[]', 'fresh', 'valid', 'valid');
insert into ledger.product
    (acquisition, kind, scene, tile, sensed, digest, collection, made, release, href, published, lane, state,
        reason)
    values ('KEY', 'surface', 'SCENE', '32TQM', '2025-06-19 09:57:53Z', 'd1', 'sentinel-2-l2-undersky',
        '{"id": "x", "digest": "d1", "prefix": "p", "collection": "c", "item": "p/x.json", "bytes": 7,
          "seconds": 1, "cpu_seconds": 3600}',
        'set-1', 's3://bucket/x.json', now(), 'fresh', 'published', 'published');
insert into ledger.history (acquisition, product, scene, run, task, attempt, reason, sentence, before, after)
    values ('KEY', 1, 'SCENE', 'run-1', 'publish', 1, 'published', '', 'checked', 'published');
"""
"""What the first version of the ledger held."""


def at_first_revision(url: str) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(shipped.__path__[0])))
    engine = engine_for(url)
    with engine.begin() as connection:
        connection.execute(text("create schema ledger"))
        config.attributes["connection"] = connection
        command.upgrade(config, REVISIONS[0])
        connection.exec_driver_sql(ROWS)
    engine.dispose()


def test_a_ledger_of_the_first_revision_keeps_its_rows(empty_url: str) -> None:
    at_first_revision(empty_url)
    with pytest.raises(
        ConfigError, match=r"has schema 0001, this Undersky needs .*: run `undersky ledger migrate`"
    ):
        Ledger.open(empty_url)
    assert Ledger.migrate(empty_url) == Ledger.migrate(empty_url) == REVISIONS[-1]
    ledger = Ledger.open(empty_url)
    story = ledger.story("KEY")
    assert story is not None
    [product] = story.products
    assert (product.state, product.digest, product.release) == (ProductState.PUBLISHED, "d1", "set-1")
    assert (product.deprecated, product.campaign) == (None, None)
    assert [event.run for event in story.history] == ["run-1"]
    assert (ledger.release(), ledger.campaigns(), ledger.to_deprecate()) == (None, (), ())
    ledger.close()


def test_a_migrated_ledger_goes_on(empty_url: str) -> None:
    at_first_revision(empty_url)
    Ledger.migrate(empty_url)
    ledger = Ledger.open(empty_url)
    assert len(ledger.remake(Selection(tile="32TQM"), by=BY, why="to see", lane=Lane.FRESH)) == 1
    ledger.deprecated(1, reason="its model was taken back", by=BY)
    assert [each.deprecated for each in ledger.published()] == ["its model was taken back"]
    ledger.close()

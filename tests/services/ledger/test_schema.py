"""The schema: migrated once, checked always."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from undersky.errors import ConfigError, ServiceError
from undersky.services.ledger import Ledger
from undersky.services.ledger.connecting import engine_for
from undersky.services.ledger.schema import REVISIONS
from undersky.services.ledger.tables import SCHEMA, metadata


def test_the_migrations_make_the_tables_that_the_code_speaks_of(ledger_url: str) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    engine = engine_for(ledger_url)
    with engine.connect() as connection:
        options = {"include_schemas": True, "version_table_schema": SCHEMA, "version_table": "version"}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_the_code_knows_every_revision_that_is_shipped() -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    import undersky.services.ledger.migrations as shipped

    config = Config()
    config.set_main_option("script_location", str(shipped.__path__[0]))
    found = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert tuple(reversed(found)) == REVISIONS


def test_four_migrations_at_once_end_as_one(empty_url: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        revisions = list(pool.map(Ledger.migrate, [empty_url] * 4))
    assert revisions == [REVISIONS[-1]] * 4
    Ledger.open(empty_url).close()


def test_a_migration_that_breaks_off_leaves_nothing_behind(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from alembic import command

    def cut(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(command, "upgrade", cut)
        with pytest.raises(KeyboardInterrupt):
            Ledger.migrate(empty_url)
    with pytest.raises(ConfigError, match="holds no ledger yet"):
        Ledger.open(empty_url)
    assert Ledger.migrate(empty_url) == REVISIONS[-1]


def test_an_unmigrated_database_is_refused_with_the_cure(empty_url: str) -> None:
    with pytest.raises(ConfigError, match="undersky ledger migrate"):
        Ledger.open(empty_url)


@pytest.mark.parametrize(
    ("revision", "message"),
    [("9999", "install the version that migrated it"), ("0000", "install the version that migrated it")],
)
def test_a_schema_of_another_version_is_refused(empty_url: str, revision: str, message: str) -> None:
    Ledger.migrate(empty_url)
    engine = engine_for(empty_url)
    with engine.begin() as connection:
        connection.execute(text(f"update {SCHEMA}.version set version_num = :found"), {"found": revision})
    engine.dispose()
    with pytest.raises(ConfigError, match=message):
        Ledger.open(empty_url)
    with pytest.raises(ConfigError, match=message):
        Ledger.migrate(empty_url)


def test_an_older_schema_is_refused_until_it_is_migrated(
    ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("undersky.services.ledger.schema.REVISIONS", (*REVISIONS, "9999"))
    with pytest.raises(ConfigError, match=rf"has schema {REVISIONS[-1]}, this Undersky needs 9999: run"):
        Ledger.open(ledger_url)


def test_another_alembic_in_the_same_database_is_not_disturbed(empty_url: str) -> None:
    engine = engine_for(empty_url)
    with engine.begin() as connection:
        connection.execute(text("create table alembic_version (version_num text)"))
        connection.execute(text("insert into alembic_version values ('of airflow')"))
    Ledger.migrate(empty_url)
    with engine.connect() as connection:
        assert connection.scalar(text("select version_num from alembic_version")) == "of airflow"
    engine.dispose()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://user@host/db", "needs PostgreSQL"),
        ("no address at all", "is no address"),
    ],
)
def test_an_address_that_is_not_of_postgresql_is_refused(url: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Ledger.open(url)


def test_a_silent_server_is_worth_another_try_and_no_password_is_shown() -> None:
    with pytest.raises(ServiceError, match="does not answer") as caught:
        Ledger.open("postgresql://me:secret@127.0.0.1:9/ledger")
    assert "secret" not in str(caught.value)


def test_a_database_that_does_not_exist_is_the_operators_business(ledger_url: str) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        Ledger.open(ledger_url.replace("/undersky", "/other"))

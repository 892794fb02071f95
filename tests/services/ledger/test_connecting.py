"""What PostgreSQL's errors mean to an operator."""

from datetime import date

import pytest
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.engine import make_url

from fixtures_ledger import BY, EVERYBODY_ELSE, announcement
from undersky.errors import ConfigError, ServiceError
from undersky.services.ledger import Announced, Area, Ledger, areas
from undersky.services.ledger.connecting import converted, engine_for, place


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://ann:secret@db.example:5433/undersky?sslmode=require", "ann@db.example:5433/undersky"),
        ("postgresql://ann:secret@/undersky?host=/run/pg", "ann@/run/pg/undersky"),
        ("postgresql:///undersky", "@this machine/undersky"),
    ],
)
def test_a_message_names_the_place_and_never_the_password(url: str, shown: str) -> None:
    assert place(make_url(url)) == shown


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg2", "postgresql+psycopg"])
def test_every_way_to_write_the_address_ends_at_the_same_driver(scheme: str) -> None:
    engine = engine_for(f"{scheme}://ann@db/undersky")
    assert engine.url.drivername == "postgresql+psycopg2"
    engine.dispose()


@pytest.mark.faults
def test_a_connection_that_was_cut_while_idle_is_replaced(ledger: Ledger, ledger_url: str) -> None:
    ledger.areas()
    _cut(ledger_url)
    assert ledger.announce(announcement(), BY) == Announced.NEW


@pytest.mark.faults
def test_a_connection_that_is_cut_in_a_transaction_writes_nothing(ledger: Ledger, ledger_url: str) -> None:
    def cut(connection: Connection) -> None:
        areas.add(connection, Area("valley", {}, ("sentinel-2-l1c",), date(2025, 6, 1)), BY)
        _cut(ledger_url)
        areas.listed(connection, active=False)

    with pytest.raises(ServiceError, match="does not answer"), ledger._transaction() as connection:
        cut(connection)
    assert ledger.areas() == ()


def test_a_table_that_vanished_is_the_operators_business(empty_url: str) -> None:
    Ledger.migrate(empty_url)
    ledger = Ledger.open(empty_url)
    engine = create_engine(make_url(empty_url).set(drivername="postgresql+psycopg2"))
    with engine.begin() as connection:
        connection.execute(
            text("drop table ledger.history, ledger.delivery, ledger.product, ledger.acquisition")
        )
    with pytest.raises(ConfigError, match="changed under this process: run `undersky ledger migrate`"):
        ledger.waiting()
    engine.dispose()
    ledger.close()


def test_missing_rights_are_the_operators_business(ledger_url: str) -> None:
    admin = engine_for(ledger_url)
    with admin.begin() as connection:
        connection.execute(text("drop role if exists reader"))
        connection.execute(text("create role reader login"))
    reader = str(make_url(ledger_url).set(username="reader", password=None))
    try:
        with pytest.raises(ConfigError, match="refuses: permission denied"):
            Ledger.open(reader)
    finally:
        with admin.begin() as connection:
            connection.execute(text("drop role reader"))
        admin.dispose()


def test_errors_of_our_own_pass_as_they_are(ledger: Ledger) -> None:
    with pytest.raises(ZeroDivisionError), converted(ledger._engine):
        raise ZeroDivisionError


def _cut(url: str) -> None:
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg2"))
    with engine.begin() as connection:
        connection.execute(text(EVERYBODY_ELSE))
    engine.dispose()

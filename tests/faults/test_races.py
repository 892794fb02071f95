"""Thirty-two writers race for one Item: exactly one publishes, whoever it is."""

import pytest

from undersky.services.store import Store

pytestmark = pytest.mark.faults

WRITERS = 32


def test_thirty_two_writers_in_process(store: Store) -> None:
    report = store.race(writers=WRITERS, rounds=5)
    assert report.holds, report.sentence
    assert report.errors == 0


@pytest.mark.slow
def test_thirty_two_writers_in_process_a_thousand_times(store: Store) -> None:
    report = store.race(writers=WRITERS, rounds=1_000)
    assert report.holds, report.sentence
    assert report.errors == 0


def test_thirty_two_writers_on_a_real_server(weed: Store) -> None:
    report = weed.race(writers=WRITERS, rounds=3)
    assert report.holds, report.sentence


@pytest.mark.slow
def test_thirty_two_writers_on_a_real_server_thirty_times(weed: Store) -> None:
    report = weed.race(writers=WRITERS, rounds=30)
    assert report.holds, report.sentence

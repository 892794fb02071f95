"""Selections by day of sensing and by area, of acquisitions and of products alike."""

from datetime import UTC, date, datetime

import pytest

from fixtures_ledger import announcement, one_valid, publish
from undersky.errors import ConfigError
from undersky.services.ledger import Ledger, Selection

THURSDAY, FRIDAY = date(2025, 6, 19), date(2025, 6, 20)
MIDNIGHTS = (
    datetime(2025, 6, 19, tzinfo=UTC),
    datetime(2025, 6, 19, 23, 59, 59, 999999, tzinfo=UTC),
    datetime(2025, 6, 20, tzinfo=UTC),
)


def both(ledger: Ledger, **criteria: object) -> set[int]:
    """Numbers of what is found, the same whether acquisitions or products are asked for."""
    numbers = {announcement(number).key: number for number in range(3)}
    selection = Selection(**criteria)
    found = {numbers[each.key] for each in ledger.acquisitions(selection)}
    assert found == {numbers[each.acquisition] for each in ledger.products(selection)}
    return found


def test_days_of_sensing_are_whole_days_and_both_ends_count(ledger: Ledger) -> None:
    for number, sensed in enumerate(MIDNIGHTS):
        publish(ledger, one_valid(ledger, number, sensed=sensed), f"d{number}")
    assert both(ledger, sensed_from=THURSDAY) == {0, 1, 2}
    assert both(ledger, sensed_from=FRIDAY) == {2}
    assert both(ledger, sensed_until=THURSDAY) == {0, 1}
    assert both(ledger, sensed_until=date(2025, 6, 18)) == set()
    assert both(ledger, sensed_from=THURSDAY, sensed_until=THURSDAY) == {0, 1}
    assert both(ledger, sensed_from=THURSDAY, tile="31TGL") == set()


def test_an_area_is_the_one_for_which_the_scene_was_searched(ledger: Ledger) -> None:
    for number, area in enumerate(("valley", "coast", "coast")):
        publish(ledger, one_valid(ledger, number, area=area), f"d{number}")
    assert both(ledger, area="coast") == {1, 2}
    assert both(ledger, area="valley", sensed_from=THURSDAY) == {0}
    assert both(ledger, area="moon") == set()


def test_a_selection_by_area_or_day_alone_is_not_everything() -> None:
    criteria = ({"area": "coast"}, {"sensed_from": THURSDAY}, {"sensed_until": THURSDAY})
    assert not any(Selection(**each).is_empty for each in criteria)


def test_a_span_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(ConfigError, match="sensed from 2025-06-20 until 2025-06-19 is no span"):
        Selection(sensed_from=FRIDAY, sensed_until=THURSDAY)
    assert not Selection(sensed_from=FRIDAY, sensed_until=FRIDAY).is_empty

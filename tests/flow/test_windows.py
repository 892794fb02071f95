"""Recent days are searched again and again, past ones once, and none is left out."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest

from undersky.flow.windows import SMALLEST, Window, fresh_window, historical_windows, is_done
from undersky.refs import Lane
from undersky.services.ledger import Area, Search
from undersky.services.profiles import load_profiles

PROFILE = load_profiles()["copernicus-dataspace"]  # 10 fresh days, 72 hours of overlap, windows of 5 days
SQUARE = {"type": "Polygon", "coordinates": [[[11, 42], [12, 42], [12, 43], [11, 43], [11, 42]]]}
NOW = datetime(2025, 6, 25, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def area(since: date = date(2020, 1, 1), until: date | None = None) -> Area:
    return Area("italy", SQUARE, ("sentinel-2-l1c",), since=since, until=until)


def searched(begin: datetime, end: datetime, *, at: datetime | None = None) -> Search:
    return Search("italy", PROFILE.name, "sentinel-2-l1c", begin, end, Lane.FRESH, time=at or end)


class TestFresh:
    def test_the_first_search_looks_at_all_fresh_days(self) -> None:
        assert fresh_window(PROFILE, area(), [], now=NOW) == Window(NOW - 10 * DAY, NOW)

    def test_later_ones_look_back_by_the_overlap(self) -> None:
        deep = searched(NOW - 10 * DAY - HOUR, NOW - HOUR)
        found = fresh_window(PROFILE, area(), [deep], now=NOW)
        assert found == Window(NOW - HOUR - PROFILE.overlap, NOW)

    def test_once_a_day_all_fresh_days_are_searched_again(self) -> None:
        yesterday = NOW - 25 * HOUR
        deep = searched(yesterday - 10 * DAY, yesterday)
        shallow = [searched(NOW - 80 * HOUR, NOW - HOUR)]
        assert fresh_window(PROFILE, area(), [deep, *shallow], now=NOW) == Window(NOW - 10 * DAY, NOW)

    def test_after_a_long_failure_nothing_is_left_out(self) -> None:
        last = NOW - 5 * DAY
        deep_and_old = searched(last - 10 * DAY, last)
        found = fresh_window(PROFILE, area(), [deep_and_old], now=NOW)
        assert found is not None
        assert found.begin <= last - PROFILE.overlap

    def test_an_area_that_began_yesterday_is_searched_from_yesterday(self) -> None:
        found = fresh_window(PROFILE, area(since=date(2025, 6, 24)), [], now=NOW)
        assert found == Window(datetime(2025, 6, 24, tzinfo=UTC), NOW)

    def test_an_area_that_has_ended_is_searched_to_its_last_midnight_and_then_no_more(self) -> None:
        found = fresh_window(PROFILE, area(until=date(2025, 6, 20)), [], now=NOW)
        assert found is not None
        assert found.end == datetime(2025, 6, 21, tzinfo=UTC)
        assert fresh_window(PROFILE, area(until=date(2025, 6, 10)), [], now=NOW) is None
        assert fresh_window(PROFILE, area(since=date(2025, 7, 1)), [], now=NOW) is None


class TestHistorical:
    def test_the_windows_reach_back_without_gap_or_overlap_newest_first(self) -> None:
        found = list(historical_windows(PROFILE, area(since=date(2025, 1, 1)), now=NOW))
        assert found[0].end == datetime(2025, 6, 15, tzinfo=UTC)
        assert found[-1].begin == datetime(2025, 1, 1, tzinfo=UTC)
        for later, earlier in pairwise(found):
            assert earlier.end == later.begin
        assert all(timedelta() < window.end - window.begin <= 5 * DAY for window in found)

    def test_windows_stay_where_they_are_as_time_goes_on(self) -> None:
        first = list(historical_windows(PROFILE, area(since=date(2025, 1, 1)), now=NOW))
        later = list(historical_windows(PROFILE, area(since=date(2025, 1, 1)), now=NOW + 37 * DAY + HOUR))
        assert set(first[1:]) <= set(later)

    def test_the_newest_window_changes_once_a_day_at_most(self) -> None:
        found = {next(historical_windows(PROFILE, area(), now=NOW + timedelta(hours=h))) for h in range(11)}
        assert len(found) == 1

    def test_together_the_lanes_leave_no_moment_out(self) -> None:
        fresh = fresh_window(PROFILE, area(), [], now=NOW)
        past = next(historical_windows(PROFILE, area(), now=NOW))
        assert fresh is not None
        assert fresh.begin - past.end < DAY

    def test_a_window_that_went_through_is_done_until_it_is_checked_again(self) -> None:
        window = Window(NOW - 40 * DAY, NOW - 35 * DAY)
        done = searched(window.begin, window.end, at=NOW - DAY)
        assert is_done(window, [done], profile=PROFILE, now=NOW)
        assert not is_done(window, [], profile=PROFILE, now=NOW)
        assert not is_done(window, [searched(window.begin + HOUR, window.end)], profile=PROFILE, now=NOW)
        assert not is_done(window, [done], profile=PROFILE, now=NOW + 91 * DAY)

    def test_an_area_without_a_past_has_no_windows(self) -> None:
        assert list(historical_windows(PROFILE, area(since=date(2025, 6, 20)), now=NOW)) == []


class TestHalves:
    def test_halves_meet_at_a_whole_second(self) -> None:
        window = Window(NOW, NOW + timedelta(hours=3, seconds=1))
        first, second = window.halves()
        assert (first.begin, second.end) == (window.begin, window.end)
        assert first.end == second.begin
        assert first.end.microsecond == 0

    @pytest.mark.parametrize(("hours", "can"), [(1, False), (2, False), (3, True)])
    def test_the_smallest_window_is_not_halved(self, hours: int, can: bool) -> None:  # noqa: FBT001
        assert Window(NOW, NOW + hours * SMALLEST).can_be_halved is can

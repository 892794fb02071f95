"""Rolling maps from claim to catalog, over a real ledger, a store, and real small maps."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fixtures_ledger import BY, LEASE
from tile_maps import TILE, put_map, put_published
from undersky.batch.driver import silent
from undersky.batch.roll import roll_tile
from undersky.errors import ConfigError
from undersky.flow.index import index
from undersky.flow.published import resolved
from undersky.flow.roll import TileReport, claim_tiles, publish_rolled, read_order
from undersky.flow.verify import verify
from undersky.refs import Ending, Made
from undersky.services.ledger import Actor, Ledger
from undersky.services.store import Store
from undersky.settings import Settings
from undersky.tile_refs import RolledRef

NAME = "sentinel-2-landcover-latest"
OTHER = Actor("run-2", "claim_tiles")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Maps by their day."""
    out = tmp_path_factory.mktemp("maps")
    return {0: put_map(out, 0), 40: put_map(out, 40), 95: put_map(out, 95)}


def claim(ledger: Ledger, store: Store, by: Actor = BY) -> list[str]:
    return claim_tiles(ledger, store, run=by.run, by=by, limit=10, lease=LEASE)


def stage(store: Store, href: str, tmp_path: Path) -> RolledRef:
    return roll_tile(href, store=store, settings=Settings(scratch=tmp_path / "scratch"), tell=silent)


def publish(ledger: Ledger, store: Store, href: str, by: Actor = BY) -> TileReport:
    return publish_rolled(ledger, store, href, by, clock=lambda: datetime(2025, 7, 1, tzinfo=UTC))


def rolled(ledger: Ledger, store: Store, tmp_path: Path) -> TileReport:
    """The tile's rolling map follows its maps."""
    [href] = claim(ledger, store)
    stage(store, href, tmp_path)
    return publish(ledger, store, href)


def item_at(store: Store, href: str | None) -> dict:
    return json.loads(store.get(store.key(href or "")))


def pixels(store: Store, href: str | None) -> dict[str, bytes]:
    """The assets that an Item leads to."""
    item, key = item_at(store, href), store.key(href or "")
    return {name: store.get(resolved(asset["href"], key)) for name, asset in item["assets"].items()}


def test_the_rolling_map_of_three_dates_is_the_one_rebuilt_from_nothing_in_another_order(
    ledger: Ledger, store: Store, folders: dict[int, Path], tmp_path: Path
) -> None:
    earlier = []
    for day in (40, 95, 0):  # each rolled in as it comes; the oldest comes last
        put_published(ledger, store, folders[day], day)
        report = rolled(ledger, store, tmp_path)
        assert (report.state, report.new) == ("published", True)
        earlier.append(report.item)
    daily = pixels(store, report.item)
    for stored in [*store.list("products/" + NAME), *store.list("stac/" + NAME), *store.list("rolls/")]:
        store.delete(stored.key)
    ledger.roll_again(TILE, BY, why="everything was lost")
    again = rolled(ledger, store, tmp_path)
    assert again.item == report.item
    assert pixels(store, again.item) == daily


def test_an_item_follows_the_one_before_and_leads_to_its_maps(
    ledger: Ledger, store: Store, folders: dict[int, Path], tmp_path: Path
) -> None:
    first_map = put_published(ledger, store, folders[0], 0)
    first = rolled(ledger, store, tmp_path)
    second_map = put_published(ledger, store, folders[40], 40)
    second = rolled(ledger, store, tmp_path)
    old, new = item_at(store, first.item), item_at(store, second.item)
    assert (old["properties"]["deprecated"], new["properties"]["deprecated"]) == (True, False)
    assert (old["properties"]["version"], new["properties"]["version"]) == ("1", "2")
    key = store.key(second.item or "")
    assert key.startswith(f"stac/{NAME}/2025/04/{TILE}/")
    to = {link["rel"]: resolved(link["href"], key) for link in new["links"] if link["rel"] != "license"}
    assert to["predecessor-version"] == store.key(first.item or "")
    successor = next(link for link in old["links"] if link["rel"] == "successor-version")
    assert resolved(successor["href"], store.key(first.item or "")) == key
    sources = [resolved(each["href"], key) for each in new["links"] if each["rel"] == "derived_from"]
    assert [item_at(store, store.href(each))["id"] for each in sources] == [first_map.id, second_map.id]
    report = index(ledger, store)
    assert NAME in report.collections
    collection = json.loads(store.get(f"stac/{NAME}/collection.json"))
    assert collection["extent"]["temporal"]["interval"][0][0] == new["properties"]["datetime"]
    assert verify(ledger, store).missing == ()


def test_the_maps_of_a_model_that_was_taken_back_leave_the_rolling_map(
    ledger: Ledger, store: Store, folders: dict[int, Path], tmp_path: Path
) -> None:
    put_published(ledger, store, folders[0], 0)
    first = rolled(ledger, store, tmp_path)
    bad = put_published(ledger, store, folders[40], 40)
    second = rolled(ledger, store, tmp_path)
    take_back(ledger, bad)
    third = rolled(ledger, store, tmp_path)
    assert third.item == first.item, "the same set of maps is the same rolling map"
    assert item_at(store, third.item)["properties"]["deprecated"] is False
    assert item_at(store, second.item)["properties"]["deprecated"] is True
    assert not [link for link in item_at(store, third.item)["links"] if link["rel"] == "successor-version"]


def test_a_tile_without_maps_has_no_rolling_map_any_more(
    ledger: Ledger, store: Store, folders: dict[int, Path], tmp_path: Path
) -> None:
    bad = put_published(ledger, store, folders[0], 0)
    first = rolled(ledger, store, tmp_path)
    take_back(ledger, bad)
    report = rolled(ledger, store, tmp_path)
    assert (report.state, report.item) == ("emptied", None)
    assert item_at(store, first.item)["properties"]["deprecated"] is True
    assert claim(ledger, store) == []
    assert NAME not in index(ledger, store).collections


def test_every_step_may_be_said_twice(
    ledger: Ledger, store: Store, folders: dict[int, Path], tmp_path: Path
) -> None:
    put_published(ledger, store, folders[0], 0)
    assert claim(ledger, store) == claim(ledger, store)
    [href] = claim(ledger, store)
    assert stage(store, href, tmp_path) == stage(store, href, tmp_path)
    first, second = publish(ledger, store, href), publish(ledger, store, href)
    assert (first.new, second.new) == (True, False)
    assert (second.state, second.item) == ("published", first.item)
    assert len(list(store.list(f"stac/{NAME}/"))) == 1


def test_one_lease_a_tile_and_a_stale_holder_publishes_nothing(
    ledger: Ledger, store: Store, folders: dict[int, Path], tmp_path: Path
) -> None:
    put_published(ledger, store, folders[0], 0)
    over = timedelta(seconds=-1)
    [mine] = claim_tiles(ledger, store, run=BY.run, by=BY, limit=9, lease=over)
    [theirs] = claim(ledger, store, OTHER)
    stage(store, mine, tmp_path)
    assert publish(ledger, store, mine).state == "lost"
    assert not list(store.list(f"stac/{NAME}/"))
    assert claim(ledger, store, Actor("run-3")) == []
    stage(store, theirs, tmp_path)
    assert publish(ledger, store, theirs, OTHER).state == "published"


def test_maps_that_cannot_be_fused_are_given_back_and_named(
    ledger: Ledger, store: Store, folders: dict[int, Path], tmp_path: Path
) -> None:
    made = put_published(ledger, store, folders[0], 0)
    store.put(f"{made.prefix}/landcover.tif", b"no raster")
    [href] = claim(ledger, store)
    assert stage(store, href, tmp_path).ending == Ending.FAILED
    report = publish(ledger, store, href)
    assert (report.state, report.reason, report.is_unexpected) == ("given_back", "raster_unreadable", True)
    assert claim(ledger, store, OTHER) == [], "it waits"


def test_a_stage_that_died_gives_the_tile_back(
    ledger: Ledger, store: Store, folders: dict[int, Path]
) -> None:
    put_published(ledger, store, folders[0], 0)
    [href] = claim(ledger, store)
    report = publish(ledger, store, href)
    assert (report.state, report.reason, report.is_unexpected) == ("given_back", "stage_died", True)


def test_a_map_taken_back_while_it_was_rolled_is_not_in_what_is_published(
    ledger: Ledger, store: Store, folders: dict[int, Path], tmp_path: Path
) -> None:
    put_published(ledger, store, folders[0], 0)
    bad = put_published(ledger, store, folders[40], 40)
    [href] = claim(ledger, store)
    stage(store, href, tmp_path)
    take_back(ledger, bad)
    report = publish(ledger, store, href)
    assert (report.state, report.reason, report.is_unexpected) == ("given_back", "outdated", False)
    [href] = claim(ledger, store)
    assert [each.digest for each in read_order(store, href).tile.products] != [bad.digest]


def test_a_lost_rolling_map_is_named(
    ledger: Ledger, store: Store, folders: dict[int, Path], tmp_path: Path
) -> None:
    put_published(ledger, store, folders[0], 0)
    report = rolled(ledger, store, tmp_path)
    key = store.key(report.item or "")
    store.delete(key)
    assert verify(ledger, store).missing == (key,)


def test_an_order_that_is_not_there_is_the_callers_business(store: Store, ledger: Ledger) -> None:
    with pytest.raises(ConfigError, match="is not there"):
        publish(ledger, store, store.href("rolls/x/32TQM-1/order.json"))
    with pytest.raises(ConfigError, match="leases belong to the run"):
        claim_tiles(ledger, store, run="another", by=BY, limit=1, lease=LEASE)


def take_back(ledger: Ledger, made: Made) -> None:
    number = next(each.id for each in ledger.published() if each.digest == made.digest)
    ledger.deprecated(number, reason="its model was taken back", by=BY)

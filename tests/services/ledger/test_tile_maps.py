"""Rolling maps in the ledger: which tiles need one, one lease a tile, and the sets that decide."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import text

from fixtures_ledger import BY, LEASE
from tile_maps import COVER, FIRST, TILE, publish_map
from undersky.errors import ConfigError
from undersky.refs import Made
from undersky.services.ledger import Actor, LeaseLost, Ledger
from undersky.tile_refs import HORIZON_DAYS, MOST_MAPS, TileRef

OVER = timedelta(seconds=-1)
OTHER = Actor("run-2", "claim_tiles")


def published_map(ledger: Ledger, day: int, *, tile: str = TILE) -> str:
    """Digest of a published land-cover map of that tile, sensed so many days after the first."""
    return publish_map(ledger, day, tile=tile).digest


def claim(ledger: Ledger, *, by: Actor = BY, lease: timedelta = LEASE, limit: int = 10) -> list[TileRef]:
    return ledger.claim_tiles(limit=limit, by=by, lease=lease)


def digests(ref: TileRef) -> list[str]:
    return [each.digest for each in ref.products]


def roll(ledger: Ledger, ref: TileRef, by: Actor = BY) -> Made:
    """The tile is rolled."""
    made = ref.products[-1].model_copy(update={"digest": "rolled-" + "+".join(digests(ref))})
    with ledger.rolling(ref, by) as row:
        assert not row.gone()
        row.rolled(made, f"s3://undersky-tests/stac/{COVER}-latest/{made.digest}.json")
    return made


def test_a_tile_is_claimed_with_its_maps_until_its_rolling_map_is_of_them(ledger: Ledger) -> None:
    late, early = published_map(ledger, 5), published_map(ledger, 0)
    [ref] = claim(ledger)
    assert (ref.collection, ref.tile, digests(ref)) == (COVER, "32TQM", [early, late])
    assert ref.sensed == FIRST + timedelta(days=5)
    assert claim(ledger, by=OTHER) == []
    assert ledger.holding_tiles(BY.run) == [ref]
    made = roll(ledger, ref)
    assert claim(ledger) == []
    [there] = ledger.tile_maps()
    assert (there.state, there.digest, there.products) == ("built", made.digest, (early, late))
    newest = published_map(ledger, 9)
    [ref] = claim(ledger)
    assert digests(ref) == [early, late, newest]


def test_two_claimers_share_the_tiles_and_none_is_taken_twice(ledger: Ledger) -> None:
    tiles = [f"32TQ{letter}" for letter in "KLMN"]
    for tile in tiles:
        published_map(ledger, 0, tile=tile)
    gate = threading.Barrier(2)

    def grab(number: int) -> list[str]:
        gate.wait()
        return [ref.tile for ref in claim(ledger, by=Actor(f"run-{number}"))]

    with ThreadPoolExecutor(2) as pool:
        taken = [tile for each in pool.map(grab, range(2)) for tile in each]
    assert sorted(taken) == tiles


def test_a_stale_holder_cannot_commit(ledger: Ledger) -> None:
    published_map(ledger, 0)
    [mine] = claim(ledger, lease=OVER)
    [theirs] = claim(ledger, by=OTHER)
    assert theirs.token > mine.token
    with pytest.raises(LeaseLost, match="held by run-2"), ledger.rolling(mine, BY) as row:
        row.rolled(mine.products[0], "s3://undersky-tests/stale.json")
    assert not ledger.renew_tile(mine, BY, LEASE)
    assert not ledger.give_back_tile(mine, BY, "service_failed", "late")
    made = roll(ledger, theirs, OTHER)
    assert [each.digest for each in ledger.tile_maps()] == [made.digest]


def test_what_breaks_off_changes_nothing(ledger: Ledger) -> None:
    published_map(ledger, 0)
    [ref] = claim(ledger)
    with pytest.raises(RuntimeError):
        _breaks_off(ledger, ref)
    [there] = ledger.tile_maps()
    assert (there.state, there.href) == ("wanted", None)
    assert ledger.renew_tile(ref, BY, LEASE)


def test_a_tile_that_failed_waits_longer_each_time_and_is_never_given_up(ledger: Ledger) -> None:
    published_map(ledger, 0)
    pauses = []
    for tries in range(1, 8):
        [ref] = claim(ledger)
        assert ledger.give_back_tile(ref, BY, "grid_mismatch", "two lattices")
        assert claim(ledger) == []
        [there] = ledger.tile_maps()
        assert (there.tries, there.reason, there.lease) == (tries, "grid_mismatch", None)
        assert there.not_before is not None
        pauses.append(there.not_before)
        _do(ledger, "update ledger.tile_map set not_before = now()")
    assert len(claim(ledger)) == 1


def test_a_map_whose_model_was_taken_back_leaves_the_rolling_map(ledger: Ledger) -> None:
    first, second = published_map(ledger, 0), published_map(ledger, 5)
    [ref] = claim(ledger)
    roll(ledger, ref)
    numbers = {each.digest: each.id for each in ledger.published()}
    ledger.deprecated(numbers[second], reason="landcover-2 was taken back", by=BY)
    [ref] = claim(ledger)
    assert digests(ref) == [first]
    roll(ledger, ref)
    ledger.deprecated(numbers[first], reason="landcover-1 too", by=BY)
    [ref] = claim(ledger)
    assert (ref.products, ref.sensed) == ((), None)
    with ledger.rolling(ref, BY) as row:
        row.emptied()
    assert claim(ledger) == []
    assert [(each.state, each.href) for each in ledger.tile_maps()] == [("empty", None)]


def test_a_map_that_is_deprecated_while_it_is_rolled_is_named(ledger: Ledger) -> None:
    first, second = published_map(ledger, 0), published_map(ledger, 5)
    [ref] = claim(ledger)
    numbers = {each.digest: each.id for each in ledger.published()}
    ledger.deprecated(numbers[second], reason="taken back", by=BY)
    with ledger.rolling(ref, BY) as row:
        assert row.gone() == (second,)
        row.outdated(row.gone())
    [ref] = claim(ledger, by=OTHER)
    assert digests(ref) == [first]


def test_only_the_newest_maps_of_a_year_count(ledger: Ledger) -> None:
    published_map(ledger, 0)
    published_map(ledger, HORIZON_DAYS)
    fields = "acquisition, kind, scene, tile, collection, href, published, source, lane, state, reason"
    _do(
        ledger,
        f"""insert into ledger.product ({fields}, sensed, digest, made)
            select {fields}, sensed + n * interval '1 day', digest || n,
                jsonb_set(made, '{{digest}}', to_jsonb(digest || n))
            from ledger.product, generate_series(1, {MOST_MAPS}) n
            where digest = 'map-32TQM-{HORIZON_DAYS}'""",
    )
    [ref] = claim(ledger)
    assert digests(ref) == [f"map-32TQM-{HORIZON_DAYS}{number}" for number in range(1, MOST_MAPS + 1)]


def test_maps_older_than_the_horizon_do_not_count(ledger: Ledger) -> None:
    published_map(ledger, 0)
    newest = published_map(ledger, HORIZON_DAYS)
    [ref] = claim(ledger)
    assert digests(ref) == [newest]


def test_saying_again_makes_it_again_of_what_counts_then(ledger: Ledger) -> None:
    published_map(ledger, 0)
    [ref] = claim(ledger)
    roll(ledger, ref)
    assert ledger.roll_again("32TQM", BY, why="the Item was lost") == 1
    assert [each.tile for each in claim(ledger)] == ["32TQM"]
    with pytest.raises(ConfigError, match="no tile 99XXX has a rolling map"):
        ledger.roll_again("99XXX", BY, why="no reason")


def test_saying_again_takes_the_tile_from_whoever_rolls_it(ledger: Ledger) -> None:
    published_map(ledger, 0)
    [ref] = claim(ledger)
    ledger.roll_again("32TQM", BY, why="the Item was lost")
    with pytest.raises(LeaseLost):
        roll(ledger, ref)
    [newer] = claim(ledger, by=OTHER)
    roll(ledger, newer, OTHER)
    assert claim(ledger) == []


def test_a_tile_that_only_waited_for_its_turn_has_no_try_behind_it(ledger: Ledger) -> None:
    published_map(ledger, 0)
    claim(ledger, by=OTHER, lease=OVER)
    [ref] = claim(ledger, by=OTHER, lease=OVER)
    assert ledger.tile_maps()[0].tries == 0
    ledger.renew_tile(ref, Actor(OTHER.run, "roll"), OVER)
    claim(ledger, by=OTHER)
    assert ledger.tile_maps()[0].tries == 1


def test_another_rule_makes_every_tile_stale(ledger: Ledger) -> None:
    published_map(ledger, 0)
    [ref] = claim(ledger)
    roll(ledger, ref)
    _do(ledger, "update ledger.tile_map set rule = '0'")
    assert len(claim(ledger)) == 1


def _do(ledger: Ledger, statement: str) -> None:
    with ledger._engine.begin() as connection:
        connection.execute(text(statement))


def _breaks_off(ledger: Ledger, ref: TileRef) -> None:
    with ledger.rolling(ref, BY) as row:
        row.rolled(ref.products[0], "s3://undersky-tests/x.json")
        raise RuntimeError

"""Announcements: whatever their order, one row for each acquisition, and every delivery on record."""

import itertools
from datetime import timedelta

import pytest

from fixtures_ledger import BY, DAY, announcement, claimed, one_valid, outcome, publish
from undersky.refs import FileRef, Lane
from undersky.services.ledger import (
    AcquisitionState,
    Actor,
    Announced,
    Announcement,
    LeaseLost,
    Ledger,
    ProductState,
)

OLD = announcement(scene="N0510", baseline="05.10")
NEW = announcement(scene="N0511", baseline="05.11")


def test_a_new_acquisition_is_discovered_with_everything_that_was_said(ledger: Ledger) -> None:
    said = announcement(lane=Lane.HISTORICAL)
    assert ledger.announce(said, BY) == Announced.NEW
    story = ledger.story(said.key)
    assert story is not None
    row = story.acquisition
    assert row.state == AcquisitionState.DISCOVERED
    assert (row.scene, row.tile, row.sensed, row.lane) == (said.scene, "32TQM", DAY, Lane.HISTORICAL)
    assert (row.files, row.geometry, row.l1, row.lease) == (said.files, said.geometry, (), None)
    [event] = story.history
    assert (event.before, event.after, event.reason, event.run) == (None, "discovered", "announced", "run-1")
    assert (event.task, event.attempt, event.log) == ("test", 1, "https://airflow/log/1")


def test_the_same_delivery_again_changes_nothing(ledger: Ledger) -> None:
    ledger.announce(NEW, BY)
    before = ledger.story(NEW.key)
    assert ledger.announce(NEW, Actor("run-2")) == Announced.KNOWN
    assert ledger.story(NEW.key) == before


def test_a_newer_baseline_takes_the_place_of_an_older_one(ledger: Ledger) -> None:
    assert [ledger.announce(said, BY) for said in (OLD, NEW)] == [Announced.NEW, Announced.NEWER]
    story = ledger.story(OLD.key)
    assert story is not None
    assert (story.acquisition.scene, story.acquisition.baseline) == ("N0511", "05.11")
    assert {delivery.scene: delivery.superseded_by for delivery in story.deliveries} == {
        "N0510": "N0511",
        "N0511": None,
    }
    assert "takes the place of N0510" in story.history[-1].sentence


def test_an_older_baseline_that_comes_later_is_recorded_and_ignored(ledger: Ledger) -> None:
    said = [ledger.announce(each, BY) for each in (NEW, OLD, OLD)]
    assert said == [Announced.NEW, Announced.OLDER, Announced.KNOWN]
    story = ledger.story("N0510")
    assert story is not None
    assert story.acquisition.scene == "N0511"
    assert [d.superseded_by for d in story.deliveries if d.scene == "N0510"] == ["N0511"]
    assert story.history[-1].reason == "older_delivery"


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_the_newest_wins_in_every_order(ledger: Ledger, order: tuple[int, ...]) -> None:
    deliveries = [
        announcement(scene="a", baseline="02.09"),
        announcement(scene="b", baseline="05.09", produced=DAY + timedelta(days=9)),
        announcement(scene="c", baseline="05.10", produced=DAY),
        announcement(scene="d", baseline="N0510", produced=DAY + timedelta(days=1)),
    ]
    for number in order:
        ledger.announce(deliveries[number], BY)
    story = ledger.story("a")
    assert story is not None
    assert story.acquisition.scene == "d"
    assert {each.scene: each.superseded_by for each in story.deliveries if each.superseded_by is None} == {
        "d": None
    }


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_real_time_gives_way_to_the_final_tiers(ledger: Ledger, order: tuple[int, ...]) -> None:
    landsat = {"key": "LC09_192029_20250613", "tile": "192029", "baseline": None}
    deliveries = [
        announcement(scene="RT", tier="RT", produced=DAY, **landsat),
        announcement(scene="T2", tier="T2", produced=DAY + timedelta(days=3), **landsat),
        announcement(scene="T1", tier="T1", produced=DAY + timedelta(days=14), **landsat),
    ]
    for number in order:
        ledger.announce(deliveries[number], BY)
    story = ledger.story("LC09_192029_20250613")
    assert story is not None
    assert (story.acquisition.scene, story.acquisition.tier) == ("T1", "T1")


def test_a_real_time_scene_made_later_is_not_newer(ledger: Ledger) -> None:
    ledger.announce(announcement(scene="T1", tier="T1", baseline=None), BY)
    late = announcement(scene="RT", tier="RT", baseline=None, produced=DAY + timedelta(days=30))
    assert ledger.announce(late, BY) == Announced.OLDER


def test_two_names_for_one_delivery_make_nothing_again(ledger: Ledger) -> None:
    ledger.announce(announcement(scene="as one provider names it"), BY)
    other = announcement(scene="as another does", profile="earth-search")
    assert ledger.announce(other, BY) == Announced.OLDER
    ref = claimed(ledger)[0]
    assert ref.scene == "as one provider names it"


def test_seam_twins_are_acquisitions_of_their_own(ledger: Ledger) -> None:
    one = announcement(
        scene="one", datastrip="S2B_OPER_MSI_L1C_DS_2BPS_20250619T132734_S20250619T095748_N05.11"
    )
    two = announcement(
        scene="two", datastrip="S2B_OPER_MSI_L1C_DS_MPS__20250619T120000_S20250619T100113_N05.11"
    )
    said = [ledger.announce(each, BY) for each in (one, two, two, one)]
    assert said == [Announced.NEW, Announced.TWIN, Announced.KNOWN, Announced.KNOWN]
    keys = {row.key: row.scene for row in ledger.find("32TQM", DAY.date())}
    assert keys == {one.key: "one", f"{one.key}_S20250619T100113": "two"}


def test_a_reprocessed_twin_finds_its_own_side(ledger: Ledger) -> None:
    one = announcement(scene="one", baseline="05.10", datastrip="20250619T095748")
    two = announcement(scene="two", baseline="05.10", datastrip="20250619T100113")
    for said in (one, two):
        ledger.announce(said, BY)
    again = announcement(scene="two again", baseline="05.11", datastrip="20250619T100115")
    assert ledger.announce(again, BY) == Announced.NEWER
    assert sorted(row.scene for row in ledger.find("32TQM", DAY.date())) == ["one", "two again"]


def test_a_newer_delivery_ends_the_work_on_the_older_one(ledger: Ledger) -> None:
    ledger.announce(OLD, BY)
    [stale] = claimed(ledger)
    assert ledger.announce(NEW, Actor("run-2")) == Announced.NEWER
    with pytest.raises(LeaseLost, match="nothing was written"):
        ledger.settle(stale, outcome(stale), BY)
    [fresh] = claimed(ledger)
    assert (fresh.scene, fresh.token > stale.token) == ("N0511", True)
    assert ledger.settle(fresh, outcome(fresh), BY) == AcquisitionState.VALID


def test_a_newer_delivery_withdraws_what_was_to_be_made_of_the_older_one(ledger: Ledger) -> None:
    stale = one_valid(ledger, scene="N0510", baseline="05.10")
    ledger.announce(NEW, BY)
    with pytest.raises(LeaseLost):
        publish(ledger, stale)
    [ref] = claimed(ledger)
    ledger.settle(ref, outcome(ref), BY)
    story = ledger.story(NEW.key)
    assert story is not None
    assert [(p.scene, p.state, p.reason) for p in story.products] == [
        ("N0510", ProductState.WITHDRAWN, "newer_delivery"),
        ("N0511", ProductState.WANTED, "wanted"),
    ]


def test_what_was_published_stays_until_it_is_made_again(ledger: Ledger) -> None:
    ref = one_valid(ledger, scene="N0510", baseline="05.10")
    publish(ledger, ref, "old")
    ledger.announce(NEW, BY)
    [current] = ledger.published(current=True)
    assert (current.digest, current.state) == ("old", ProductState.PUBLISHED)
    [ref] = claimed(ledger)
    ledger.settle(ref, outcome(ref), BY)
    [ref] = claimed(ledger, "surface")
    publish(ledger, ref, "new")
    assert [each.digest for each in ledger.published(current=True)] == ["new"]
    assert [each.digest for each in ledger.published()] == ["old", "new"]


def test_links_that_changed_upstream_are_followed_until_the_scene_is_home(ledger: Ledger) -> None:
    ledger.announce(NEW, BY)
    moved = announcement(scene="N0511", files=(FileRef(name="a", href="https://elsewhere/a"),))
    assert ledger.announce(moved, BY) == Announced.KNOWN
    [ref] = claimed(ledger)
    assert ref.files == moved.files
    ledger.settle(ref, outcome(ref), BY)
    assert ledger.announce(NEW, BY) == Announced.KNOWN
    story = ledger.story(NEW.key)
    assert story is not None
    assert story.acquisition.files == moved.files


def test_another_providers_links_do_not_replace_the_ones_that_are_used(ledger: Ledger) -> None:
    ledger.announce(NEW, BY)
    files = (FileRef(name="a", href="https://other/a"),)
    ledger.announce(announcement(scene="N0511", profile="other", files=files), BY)
    [ref] = claimed(ledger)
    assert (ref.files, ref.profile) == (NEW.files, "cdse")


def test_keys_that_look_alike_are_not_mixed(ledger: Ledger) -> None:
    ledger.announce(announcement(key="A_B", scene="one"), BY)
    assert ledger.announce(announcement(key="AxB_Sx", scene="two"), BY) == Announced.NEW
    assert ledger.announce(announcement(key="A_B", scene="two", baseline="05.10"), BY) == Announced.OLDER


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="without a time zone"):
        Announcement(
            key="k", scene="s", collection="c", platform="p", tile="t", sensed=DAY.replace(tzinfo=None),
            files=(), profile="x", area="a",
        )  # fmt: skip

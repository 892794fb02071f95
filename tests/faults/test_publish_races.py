"""Many writers and sudden deaths around the one public step: one Item a product, all known to the ledger."""

import json
import threading
from datetime import timedelta

import pytest

from fixtures_publish import BY, LEASE, Wanted, good_batch, lease, make, release, remade
from undersky.errors import UnderskyError
from undersky.flow.index import index
from undersky.flow.publish import publish
from undersky.flow.published import item_key
from undersky.refs import Lane
from undersky.services.ledger import Actor, ProductState, Publishing

pytestmark = pytest.mark.faults

HERE = Wanted()
WRITERS = 32


class Killed(BaseException):
    """kill -9, as far as Python can say it: nobody catches it."""


def race(ledger, store, href, *, commit="store"):
    """The reports of 32 writers that begin at the same moment; what went wrong, beside."""
    reports, wrong, gate = [], [], threading.Barrier(WRITERS)

    def write(number):
        gate.wait()
        try:
            reports.append(publish(ledger, store, href, Actor(BY.run, "publish", number), commit=commit))
        except UnderskyError as error:
            wrong.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return reports, wrong


def published(store):
    return [stored.key for stored in store.list("stac/")]


def events(ledger, after="published"):
    return [event for event in ledger.story(HERE.key).history if event.after == after]


@pytest.mark.parametrize("commit", ["store", "ledger"])
def test_of_32_writers_exactly_one_publishes(ledger, store, commit):
    href = good_batch(store, lease(ledger, HERE))
    reports, wrong = race(ledger, store, href, commit=commit)
    assert wrong == []
    scenes = [report.scenes[0] for report in reports]
    assert sum(scene.new for scene in scenes) == 1
    assert {scene.state for scene in scenes} <= {"published", "lost", "retry"}
    assert len(published(store)) == 1
    assert len(events(ledger)) == 1


def test_of_32_remakers_one_makes_one_successor(ledger, store):
    publish(ledger, store, good_batch(store, lease(ledger, HERE)), BY)
    second = remade(ledger, HERE, run=BY.run)
    href = good_batch(store, second, label="network-1")
    _, wrong = race(ledger, store, href)
    assert wrong == []
    items = [json.loads(store.get(key)) for key in published(store)]
    assert sorted(item["properties"]["version"] for item in items) == ["1", "2"]
    rels = [link["rel"] for item in items for link in item["links"]]
    assert (rels.count("successor-version"), rels.count("predecessor-version")) == (1, 1)
    assert len(list(ledger.published(current=True))) == 1


@pytest.mark.slow
def test_of_32_writers_exactly_one_publishes_in_30_rounds_on_a_real_server(ledger, weed):
    for number in range(30):
        wanted = Wanted(sensed=HERE.sensed + timedelta(days=number))
        href = good_batch(weed, lease(ledger, wanted))
        reports, wrong = race(ledger, weed, href)
        assert wrong == []
        assert sum(report.scenes[0].new for report in reports) == 1
    assert len(published(weed)) == 30


def test_a_hung_batch_that_comes_back_late_publishes_nothing(ledger, store):
    first = lease(ledger, HERE)
    late = good_batch(store, first, run="hung")
    ledger.renew([first], BY, timedelta(microseconds=1))
    (second,) = ledger.claim(
        "surface", lane=Lane.FRESH, limit=9, by=Actor("fresh"), lease=LEASE, release=release()
    )
    assert publish(ledger, store, late, Actor("hung")).scenes[0].state == "lost"
    assert published(store) == []
    publish(ledger, store, good_batch(store, second, run="fresh"), Actor("fresh"))
    assert publish(ledger, store, late, Actor("hung")).scenes[0].state in {"lost", "published"}
    assert (len(published(store)), len(events(ledger))) == (1, 1)


def die_at(monkeypatch, where, number):
    """The process dies `number` writes into publishing: before or after a put, or before the ledger hears."""
    from undersky.services.store import Store

    put, told, count = Store.put, Publishing.published, [0]

    def counted():
        count[0] += 1
        if count[0] == number:
            raise Killed

    def dying_put(self, key, data, **conditions):
        if not key.startswith("stac/"):
            return put(self, key, data, **conditions)
        if where == "before":
            counted()
        etag = put(self, key, data, **conditions)
        if where == "after":
            counted()
        return etag

    def dying_word(self, *args, **kwargs):
        if where == "after word":
            told(self, *args, **kwargs)
        if where in {"before word", "after word"}:
            raise Killed
        return told(self, *args, **kwargs)

    monkeypatch.setattr(Store, "put", dying_put)
    monkeypatch.setattr(Publishing, "published", dying_word)


DEATHS = [("before", 1), ("after", 1), ("before", 2), ("after", 2), ("before word", 0), ("after word", 0)]


@pytest.mark.parametrize(("where", "number"), DEATHS)
def test_a_death_at_any_write_is_healed_by_the_next_call(ledger, store, monkeypatch, where, number):
    publish(ledger, store, good_batch(store, lease(ledger, HERE)), BY)
    (old,) = published(store)
    second = remade(ledger, HERE)
    made = make(store, second, label="network-1")
    href = good_batch(store, second, run="second-run", label="network-1")
    with monkeypatch.context() as patch:
        die_at(patch, where, number)
        with pytest.raises(Killed):
            publish(ledger, store, href, Actor("second-run"))
    assert ledger.story(HERE.key).products[-1].state == ProductState.CHECKED
    report = publish(ledger, store, href, Actor("second-run"))
    assert (report.scenes[0].state, report.scenes[0].new) == ("published", True)
    assert sorted(published(store)) == sorted([old, item_key(made)])
    before, after = json.loads(store.get(old)), json.loads(store.get(item_key(made)))
    assert (before["properties"]["deprecated"], after["properties"]["deprecated"]) == (True, False)
    assert len([event for event in events(ledger) if event.product == second.product]) == 1


def test_a_death_that_nobody_takes_up_is_healed_when_the_scene_is_claimed_again(ledger, store, monkeypatch):
    ref = lease(ledger, HERE)
    href = good_batch(store, ref)
    with monkeypatch.context() as patch:
        die_at(patch, "before word", 0)
        with pytest.raises(Killed):
            publish(ledger, store, href, BY)
    orphan = store.read(published(store)[0])
    ledger.renew([ref], BY, timedelta(microseconds=1))
    by = Actor("next")
    (again,) = ledger.claim("surface", lane=Lane.FRESH, limit=9, by=by, lease=LEASE, release=release())
    report = publish(ledger, store, good_batch(store, again, run="next"), by)
    assert report.scenes[0].new
    assert store.read(published(store)[0]) == orphan
    assert index(ledger, store).items == 1


def test_an_index_that_dies_anywhere_is_whole_after_the_next_call(ledger, store, monkeypatch):
    from undersky.services.store import Store

    publish(ledger, store, good_batch(store, lease(ledger, HERE)), BY)
    put, number, deaths = Store.put, 0, 0
    while True:
        number += 1
        count = [0]

        def dying(self, key, data, *, count=count, number=number, **conditions):
            count[0] += 1
            if count[0] == number:
                raise Killed
            return put(self, key, data, **conditions)

        with monkeypatch.context() as patch:
            patch.setattr(Store, "put", dying)
            try:
                index(ledger, store)
            except Killed:
                deaths += 1
            else:
                break
    assert deaths >= 4
    assert not index(ledger, store).changed
    month = json.loads(store.get("stac/sentinel-2-sr/2025/06/catalog.json"))
    assert [link["rel"] for link in month["links"]].count("item") == 1

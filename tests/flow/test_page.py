"""The page of a run, over a real ledger and a store."""

import re

import pytest

from fixtures_publish import (
    BY,
    Wanted,
    batch_of,
    good_batch,
    lease,
    lease_maps,
    make,
    manifest,
    map_batch,
    outcome,
)
from page_scenes import coded, ground
from undersky.cli import main
from undersky.flow.page import page_key, write_page
from undersky.flow.publish import publish
from undersky.refs import Ending, Kind, Stage
from undersky.services.ledger import Actor, Ledger
from undersky.services.store import Store

HERE, THERE = Wanted(), Wanted(tile="33UUP")
MAPPER = Actor("map-run", "publish")


def published(ledger: Ledger, store: Store) -> None:
    """A surface product of one scene is public, with a picture that can be read."""
    publish(ledger, store, good_batch(store, lease(ledger, HERE)), BY)
    paint(ledger, store)


def paint(ledger: Ledger, store: Store) -> None:
    """Every product that was made has a real thumbnail."""
    for product in ledger.story(HERE.key).products:
        if product.made is not None:
            store.put(f"{product.made.prefix}/thumbnail.jpg", coded(ground() * 255))


def text_of(store: Store, run: str) -> str:
    return store.get(page_key(run)).decode()


def test_a_published_product_stands_on_the_page_with_its_picture_and_a_way_to_its_item(
    ledger: Ledger, store: Store
) -> None:
    published(ledger, store)
    written = write_page(ledger, store, run="test-run")
    assert written is not None
    assert (written.href, written.scenes, written.shown) == (
        store.href("reports/runs/test-run/index.html"),
        1,
        1,
    )
    text = text_of(store, "test-run")
    assert "32TQM, 19 June 2025, 09:57 UTC" in text
    assert text.count('src="data:image/jpeg;base64,') == 1
    [product] = ledger.published()
    item = re.search(r'<a href="([^"]+)">STAC Item', text)
    assert item is not None
    assert item[1] == f"../../../{store.key(product.href or '')}"
    assert store.head(page_key("test-run")).content_type == "text/html; charset=utf-8"


def test_writing_it_again_changes_no_byte(ledger: Ledger, store: Store) -> None:
    published(ledger, store)
    write_page(ledger, store, run="test-run")
    before = text_of(store, "test-run")
    write_page(ledger, store, run="test-run")
    assert text_of(store, "test-run") == before


def test_a_scene_that_was_skipped_or_given_back_is_named_with_its_reason(
    ledger: Ledger, store: Store
) -> None:
    here, there = lease(ledger, HERE), lease(ledger, THERE)
    skipped = outcome(here, Stage.CORRECT, Ending.SKIPPED, "too_cloudy", "only 2.0 % shows the ground")
    again = outcome(there, Stage.CORRECT, Ending.RETRY, "service_failed", "the store was away")
    manifest(store, Stage.CORRECT, skipped, again)
    publish(ledger, store, batch_of(store, here, there), BY)
    written = write_page(ledger, store, run="test-run")
    assert written is not None
    assert (written.scenes, written.shown) == (2, 0)
    text = text_of(store, "test-run")
    assert "Surface reflectance · skipped" in text
    assert "only 2.0 % shows the ground" in text
    assert "Surface reflectance · given back" in text
    assert "the store was away" in text


def test_a_map_stands_beside_the_reflectance_it_is_of_and_a_held_one_says_why(
    ledger: Ledger, store: Store
) -> None:
    published(ledger, store)
    [ref] = lease_maps(ledger, Kind.LANDCOVER)
    href = map_batch(store, ref, ending=Ending.HELD, reason="one_class", sentence="all of it is grassland")
    publish(ledger, store, href, MAPPER)
    paint(ledger, store)
    written = write_page(ledger, store, run="map-run")
    assert written is not None
    assert (written.scenes, written.shown) == (1, 1)
    text = text_of(store, "map-run")
    assert "Land cover · held" in text
    assert "all of it is grassland" in text
    assert "made by an earlier run" in text
    assert text.count('src="data:image/jpeg;base64,') == 2
    assert "<h1>Land cover</h1>" in text


def test_scenes_beyond_the_most_keep_their_links(ledger: Ledger, store: Store) -> None:
    publish(ledger, store, good_batch(store, lease(ledger, HERE)), BY)
    written = write_page(ledger, store, run="test-run", most=0)
    assert written is not None
    assert (written.scenes, written.shown) == (1, 0)
    text = text_of(store, "test-run")
    assert "1 more scene with products" in text
    assert "STAC Item" in text


def test_products_whose_files_are_gone_do_not_break_the_page(ledger: Ledger, store: Store) -> None:
    published(ledger, store)
    [product] = ledger.published()
    store.delete(store.key(product.href or ""))
    assert write_page(ledger, store, run="test-run") is not None
    assert "There is no picture of it that can be read" in text_of(store, "test-run")


def test_a_run_that_claimed_nothing_has_no_page(ledger: Ledger, store: Store) -> None:
    assert write_page(ledger, store, run="nobody") is None
    assert list(store.list("reports/runs/")) == []


def test_the_verb_writes_the_page_of_a_run(
    ledger: Ledger, ledger_url: str, store: Store, capsys: pytest.CaptureFixture[str], monkeypatch
) -> None:
    monkeypatch.setenv("UNDERSKY_LEDGER", ledger_url)
    monkeypatch.setenv("UNDERSKY_STORE", store.url)
    published(ledger, store)
    assert main(["page", "test-run"]) == 0
    assert "1 scenes, 1 of them with pictures" in capsys.readouterr().out
    assert main(["page", "nobody"]) == 2
    assert main(["page"]) == 2


def test_a_product_that_still_waits_to_be_judged_is_unfinished(ledger: Ledger, store: Store) -> None:
    make(store, lease(ledger, HERE))
    assert write_page(ledger, store, run="test-run") is not None
    assert "Surface reflectance · unfinished" in text_of(store, "test-run")

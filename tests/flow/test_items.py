"""Published Items are changed without losing what somebody else changed meanwhile."""

import json

import pytest

from undersky.errors import ServiceError
from undersky.flow.items import read_item, update_item
from undersky.flow.published import withdrawn

KEY = "stac/c/2025/06/scene/d.json"


def put(store, **properties):
    store.put(KEY, json.dumps({"id": "one", "properties": properties}).encode())


def test_what_is_not_there_is_read_as_nothing_and_not_changed(store):
    assert read_item(store, KEY) is None
    update_item(store, KEY, lambda item: {**item, "id": "two"})
    assert store.find(KEY) is None


@pytest.mark.parametrize("text", [b"[1, 2]", b'"text"'])
def test_what_is_no_object_is_no_item(store, text):
    store.put(KEY, text)
    assert read_item(store, KEY) is None


def test_what_was_cut_is_named(store):
    store.put(KEY, b'{"id":')
    with pytest.raises(ServiceError, match="is no JSON"):
        read_item(store, KEY)
    with pytest.raises(ServiceError, match="is no JSON"):
        update_item(store, KEY, dict)


def test_an_equal_item_is_not_written_again(store):
    put(store, deprecated=True)
    before = store.read(KEY).stored
    update_item(store, KEY, dict)
    assert store.read(KEY).stored == before


def test_what_somebody_else_wrote_meanwhile_is_kept(store):
    put(store)
    seen = []

    def change(item):
        if not seen:
            put(store, note="by somebody else")
        seen.append(item)
        return withdrawn(item, "halo")

    update_item(store, KEY, change)
    assert read_item(store, KEY)["properties"] == {
        "note": "by somebody else", "deprecated": True, "undersky:withdrawn": "halo",
    }  # fmt: skip
    assert len(seen) == 2


def test_an_item_that_never_rests_is_given_up(store):
    put(store, number=0)

    def change(item):
        put(store, number=item["properties"]["number"] + 1)
        return {**item, "id": "two"}

    with pytest.raises(ServiceError, match="changed 8 times"):
        update_item(store, KEY, change)

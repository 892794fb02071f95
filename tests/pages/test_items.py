"""A product's Item, as a page shows it."""

import json

import pytest

from page_scenes import chip, coded, ground
from undersky.pages import product_of_item
from undersky.pages.items import MOST_OBJECTS

PICTURE = coded(ground() * 255)


def item(collection: str, assets: dict, **properties) -> dict:
    return {
        "id": "x", "collection": collection,
        "properties": {
            "undersky:digest": "ab" * 32,
            "undersky:model": {"name": "m", "version": "2", "digest": "cd" * 32},
            **properties,
        },
        "assets": {key: {"href": f"./{name}", "type": kind} for key, (name, kind) in assets.items()},
    }  # fmt: skip


def feature(score: float, picture: str = "") -> dict:
    ring = [[12.0, 45.0], [12.2, 45.0], [12.2, 45.1], [12.0, 45.1], [12.0, 45.0]]
    told = {"score": score, "length_m": 60.0, "chip": picture or chip()}
    return {"geometry": {"coordinates": [ring]}, "properties": told}


def product(document: dict, files: dict[str, bytes]):
    return product_of_item(document, state="made", read=files.get, link=lambda href: f"there/{href[2:]}")


def test_a_surface_product_has_both_pictures_and_its_flags() -> None:
    jpeg = "image/jpeg"
    assets = {
        "thumbnail": ("a.jpg", jpeg), "thumbnail_before": ("b.jpg", jpeg), "quality": ("q.tif", "image/tiff")
    }  # fmt: skip
    document = item("sentinel-2-sr", assets, **{"undersky:quality_percent": {"cloud": 3}})
    found = product(document, {"./a.jpg": PICTURE, "./b.jpg": PICTURE})
    assert (found.kind, set(found.pictures), found.figures) == (
        "surface",
        {"before", "after"},
        {"cloud": 3.0},
    )
    assert found.models == ("m 2 (cdcdcdcdcdcd)",)
    assert [link.href for link in found.links] == ["there/q.tif"]


def test_a_file_that_is_gone_or_broken_leaves_its_place_empty() -> None:
    assets = {"thumbnail": ("a.jpg", "image/jpeg"), "thumbnail_before": ("b.jpg", "image/jpeg")}
    assert not product(item("landsat-8-9-sr", assets), {"./b.jpg": b"\xff\xd8"}).pictures


def vessels(*features: dict) -> dict[str, bytes]:
    return {"./v.json": json.dumps({"features": features}).encode()}


OBJECTS = item("sentinel-2-vessels", {"geojson": ("v.json", "application/geo+json")})


def test_objects_come_surest_first_with_their_centre_and_chip() -> None:
    found = product(OBJECTS, vessels(feature(0.5), feature(0.9)))
    assert [one.score for one in found.objects] == [0.9, 0.5]
    assert (found.objects[0].lon, found.objects[0].lat) == (pytest.approx(12.1), pytest.approx(45.05))
    assert found.objects[0].chip == chip()


def test_many_objects_are_cut_and_counted() -> None:
    found = product(OBJECTS, vessels(*(feature(0.5) for _ in range(MOST_OBJECTS + 5))))
    assert (len(found.objects), found.more_objects) == (MOST_OBJECTS, 5)


def test_a_table_of_thousands_is_not_read_but_its_number_is_told() -> None:
    large = item("sentinel-2-vessels", {"geojson": ("v.json", "application/geo+json")})
    large["assets"]["geojson"]["file:size"] = 60_000_000
    large["properties"]["undersky:summary"] = {"vessels": 3825.0}
    found = product(large, vessels(feature(0.5)))
    assert (found.objects, found.more_objects) == ((), 3825)


@pytest.mark.parametrize(
    "picture", ["https://x.org/a.png", "data:text/html;base64,AAAA", 'data:image/png;base64,"']
)
def test_a_chip_that_is_no_picture_inside_the_file_is_left_out(picture: str) -> None:
    assert product(OBJECTS, vessels(feature(0.5, picture))).objects[0].chip is None


@pytest.mark.parametrize("data", [b"{", b"[]", b'{"features": [{}]}'])
def test_a_table_that_cannot_be_read_is_no_objects(data: bytes) -> None:
    assert product(OBJECTS, {"./v.json": data}).objects == ()

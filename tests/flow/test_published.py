import json
import re
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path

import pystac
import pytest
from pystac.validation.stac_validator import JsonSchemaSTACValidator

from fixtures_publish import HERE_REF, candidate_of, model, release
from undersky.flow import published as items
from undersky.flow.published import Earlier, Publication, WrongProduct
from undersky.refs import Judged

AT = datetime(2025, 6, 19, 15, 0, tzinfo=UTC)
MADE, CANDIDATE = candidate_of(HERE_REF)


def publication(**changed):
    known = {"made": MADE, "acquisition": HERE_REF.acquisition, "at": AT, "run": "run-1"}
    return Publication(**(known | {"release": release(), "judged": Judged(expectations=9)} | changed))


def item(**changed):
    return items.published_item(CANDIDATE, publication(**changed))


def links(document):
    return {link["rel"]: link["href"] for link in document["links"]}


def test_equal_input_gives_an_equal_item_and_leaves_the_candidate_alone():
    before = deepcopy(CANDIDATE)
    assert items.to_bytes(item()) == items.to_bytes(item())
    assert before == CANDIDATE


@pytest.mark.oracle
def test_the_item_obeys_the_stac_schema():
    JsonSchemaSTACValidator().validate_core(item(), pystac.STACObjectType.ITEM, "1.1.0")


@pytest.mark.oracle
def test_pystac_reads_the_version_extension():
    from pystac.extensions.version import ItemVersionExtension

    found = ItemVersionExtension.ext(pystac.Item.from_dict(item()))
    assert (found.version, found.deprecated) == ("1", False)
    old = items.succeeded(item(), publication().key, by_key="stac/c/2025/06/s/new.json", by_id="new")
    with pytest.warns(pystac.errors.DeprecatedWarning):
        found = ItemVersionExtension.ext(pystac.Item.from_dict(old))
    assert (found.version, found.deprecated) == ("1", True)
    assert old["links"][-1]["title"] == "new"
    assert items.resolved(old["links"][-1]["href"], publication().key) == "stac/c/2025/06/s/new.json"


def test_every_link_of_the_catalog_leads_to_where_the_layout_puts_it():
    key = publication().key
    assert {rel: items.resolved(href, key) for rel, href in links(item()).items() if rel != "license"} == {
        "root": "stac/catalog.json",
        "parent": "stac/sentinel-2-sr/2025/06/catalog.json",
        "collection": "stac/sentinel-2-sr/collection.json",
    }


def test_links_outside_the_catalog_stay_and_none_is_doubled():
    rels = [link["rel"] for link in item()["links"]]
    assert rels.count("license") == rels.count("collection") == 1
    assert links(item())["license"] == "https://example.org/terms"


def test_assets_are_found_from_the_new_place():
    found = {
        name: items.resolved(asset["href"], publication().key) for name, asset in item()["assets"].items()
    }
    assert found == {"B04": f"{MADE.prefix}/B04.tif", "thumbnail": f"{MADE.prefix}/thumbnail.jpg"}


def test_a_name_with_odd_characters_survives_the_way_there_and_back():
    href = items.relative("stac/c/a.json", "products/c/A b#1.tif")
    assert href == "../../products/c/A%20b%231.tif"
    assert items.resolved(href, "stac/c/a.json") == "products/c/A b#1.tif"


@pytest.mark.parametrize("href", ["https://x.org/a.tif", "s3://bucket/a.tif"])
def test_absolute_hrefs_stay(href):
    assert items.rebased(href, "products/a.json", "stac/b.json") == href


def test_the_version_counts_publications_and_the_newest_is_the_predecessor():
    first = item()
    second = item(earlier=[Earlier("stac/c/2025/06/s/1.json", first)])
    third = item(
        earlier=[Earlier("stac/c/2025/06/s/1.json", first), Earlier("stac/c/2025/06/s/2.json", second)]
    )
    assert [i["properties"]["version"] for i in (first, second, third)] == ["1", "2", "3"]
    before = next(link["href"] for link in third["links"] if link["rel"] == "predecessor-version")
    assert before.endswith("/2.json")


def test_deprecating_twice_is_deprecating_once_and_touches_nothing_else():
    before = item()
    once = items.succeeded(before, publication().key, by_key="stac/c/2025/06/s/n.json", by_id="n")
    twice = items.succeeded(once, publication().key, by_key="stac/c/2025/06/s/n.json", by_id="n")
    assert once == twice
    once["links"] = [link for link in once["links"] if link["rel"] != "successor-version"]
    once["properties"]["deprecated"] = False
    assert once == before


def test_withdrawing_twice_is_withdrawing_once_and_touches_nothing_else():
    before = item()
    once = items.withdrawn(before, "halo along the coast")
    assert items.withdrawn(once, "halo along the coast") == once
    assert (once["properties"]["deprecated"], before["properties"]["deprecated"]) == (True, False)
    assert once["properties"].pop("undersky:withdrawn") == "halo along the coast"
    once["properties"]["deprecated"] = False
    assert once == before


def test_an_equal_product_is_one_whatever_it_cost():
    other = deepcopy(item())
    other["properties"] |= {"undersky:seconds": 99.0, "published": "2026-01-01T00:00:00Z"}
    assert items.same_product(item(), other)
    other["properties"]["undersky:digest"] = "f" * 64
    assert not items.same_product(item(), other)
    assert not items.same_product({"id": "a", "properties": {}}, {"id": "a", "properties": {}})


def test_a_candidate_of_another_product_is_refused_by_name():
    with pytest.raises(WrongProduct, match="made twice"):
        item(made=MADE.model_copy(update={"id": "another"}))


@pytest.mark.parametrize(
    "prefix",
    ["products/sentinel-2-sr/2025/06/scene", "elsewhere/sentinel-2-sr/2025/06/s/d", "products/../../x"],
)
def test_a_product_in_another_layout_is_refused(prefix):
    with pytest.raises(WrongProduct, match="expected products/sentinel-2-sr"):
        items.item_key(MADE.model_copy(update={"prefix": prefix}))


def test_what_is_not_known_is_not_said():
    bare = item(release=None, judged=None, made=MADE.model_copy(update={"model": None}))["properties"]
    assert not {"undersky:release", "undersky:validation"} & set(bare)
    assert bare["undersky:model"] == CANDIDATE["properties"]["undersky:model"]


def test_the_model_is_named_by_package_and_registry():
    found = item()["properties"]["undersky:model"]
    assert found["registry_version"] == model().version
    assert found["digest"] == CANDIDATE["properties"]["undersky:model"]["digest"]


def test_the_model_of_the_mask_is_named_where_there_is_one():
    mask = model("mask-1").model_copy(update={"name": "quality", "version": "7"})
    made = MADE.model_copy(update={"quality": mask})
    found = item(made=made)["properties"]["undersky:quality_model"]
    assert found == {
        "name": "quality", "version": "mask-1", "digest": mask.digest, "registry_version": "7",
    }  # fmt: skip
    assert "undersky:quality_model" not in item()["properties"]


def test_the_bytes_are_json_and_refuse_what_json_cannot_say():
    assert json.loads(items.to_bytes(item())) == item()
    with pytest.raises(ValueError, match="JSON"):
        items.to_bytes({"a": float("nan")})


def test_the_page_for_readers_names_every_field_and_link_that_publishing_adds():
    page = (Path(__file__).parents[2] / "docs" / "published.md").read_text(encoding="utf-8")
    told = set(re.findall(r"^\| `([^`]+)`", page, flags=re.MULTILINE)) - {"root", "parent", "collection"}
    withdrawn = items.withdrawn(item(), "halo along the coast")
    added = set(withdrawn["properties"]) - set(CANDIDATE["properties"])
    linked = {"predecessor-version", "successor-version", "derived_from", "quality-report", "license"}
    models = {"undersky:model.registry_version", "undersky:quality_model.registry_version"}
    assert told - linked - {"root`, `parent`, `collection"} == added | models
    assert linked <= told

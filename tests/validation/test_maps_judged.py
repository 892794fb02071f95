"""Great Expectations judges maps by their tables; by hand a map finds its surface product beside it."""

import numpy as np
import pytest

from map_products import SIDE, bits, put_cover, put_objects, put_surface
from undersky.stages.validate import Expected, Pages, validate, validate_map
from undersky.validation import cover, objects
from undersky.validation.rules import Severity


@pytest.fixture
def surface(tmp_path):
    return put_surface(tmp_path, bits(water=slice(100, SIDE)))


def test_good_maps_of_both_kinds_fail_nothing_and_have_pages(surface, tmp_path):
    made = {
        "map": (put_cover(tmp_path, surface), cover.RULES),
        "objects": (put_objects(tmp_path, surface, [{"row": 110, "col": 60}]), objects.RULES),
    }
    for level, (folder, rules) in made.items():
        done = validate(folder, pages=Pages(tmp_path / f"pages-{level}"))
        assert (done.facts.level, done.facts.family) == (level, "sentinel-2")
        assert done.verdict.failures == ()
        assert done.verdict.expectations == len(rules)
        assert (tmp_path / f"pages-{level}" / "index.html").is_file()


def test_a_map_by_hand_is_held_against_the_surface_product_beside_it(surface, tmp_path):
    sea = np.full((SIDE, SIDE), 80, dtype=np.uint8)
    beside, apart = put_cover(tmp_path, surface, sea), put_cover(tmp_path / "apart", surface, sea)
    worst = validate(beside).verdict.worst
    assert worst is not None
    assert (worst.rule.code, worst.rule.severity) == ("one_class", Severity.CRITICAL)
    assert "Permanent water bodies" in worst.sentence
    assert validate(apart).verdict.worst is None, "nobody is there to contradict it"


def test_a_map_under_cloud_alone_is_skipped_and_not_held(tmp_path):
    surface = put_surface(tmp_path, bits(cloud=slice(0, SIDE)))
    worst = validate(put_cover(tmp_path, surface, np.zeros((SIDE, SIDE), np.uint8))).verdict.worst
    assert worst is not None
    assert (worst.rule.code, worst.rule.severity) == ("too_little_ground", Severity.NON_PRODUCT)


def test_a_map_of_another_surface_product_is_held_as_that(surface, tmp_path):
    done = validate_map(put_cover(tmp_path, surface), expected=Expected(source="0" * 64))
    assert done.verdict.worst is not None
    assert done.verdict.worst.rule.code == "source_mismatch"

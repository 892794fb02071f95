"""A finished land-cover map passes; each way in which it can go wrong is a fact with its own code."""

import numpy as np
import pytest
import rasterio

from map_products import (
    DIGEST,
    GRID,
    SIDE,
    bits,
    broken_codes,
    edit,
    item_of,
    landscape,
    put_cover,
    put_surface,
    redescribe,
)
from undersky.errors import ConfigError
from undersky.raster.cog import write_cog
from undersky.raster.encoding import COVER, COVER_CONFIDENCE, QUALITY
from undersky.validation import cover
from undersky.validation.cover_facts import cover_facts
from undersky.validation.map_facts import FinishedMap, SurfaceEvidence, read_map_item
from undersky.validation.rules import Facts, Severity

CRITICAL = Severity.CRITICAL


def facts_of(folder, surface=None, **known) -> Facts:
    item, sensor = read_map_item(folder)
    evidence = None if surface is None else SurfaceEvidence(item_of(surface), surface)
    return cover_facts(FinishedMap(folder, item, sensor, surface=evidence, **known))


def broken(facts: Facts, *, least: Severity = CRITICAL) -> set[str]:
    return broken_codes(cover.RULES, facts, least=least)


@pytest.fixture
def surface(tmp_path):
    """Forest, fields and a town, beside a lake that the mask knows."""
    return put_surface(tmp_path, bits(water=slice(100, SIDE)))


def test_a_finished_map_breaks_nothing(surface, tmp_path):
    facts = facts_of(put_cover(tmp_path, surface), surface, source=DIGEST)
    assert broken(facts, least=Severity.WARNING) == set()
    scene = facts.scene
    assert (scene["valid_percent"], scene["unmapped_percent"]) == (100.0, 0.0)
    assert (scene["dominant"], scene["classes"]) == ("Tree cover", 4.0)
    assert scene["tree_cover_percent"] == pytest.approx(100 / 3, abs=0.01)
    assert scene["mean_confidence"] == pytest.approx(0.8)
    assert {row["band"] for row in facts.bands} == {"landcover", "confidence", "thumbnail"}
    assert all(row["colours_agree"] for row in facts.bands if row["band"] == "landcover")
    assert all(row["surface_grid_agrees"] for row in facts.bands if row["band"] != "thumbnail")


def test_every_pixel_is_counted_and_not_only_an_overview(surface, tmp_path):
    codes = landscape()
    codes[7, 3] = 11
    facts = facts_of(put_cover(tmp_path, surface, codes), surface)
    assert broken(facts) == {"class_unknown"}
    assert facts.scene["unknown"] == "11"
    assert facts.scene["unknown_percent"] == pytest.approx(100 / SIDE**2, abs=1e-4)


@pytest.mark.parametrize(
    ("code", "mask", "held"),
    [
        (40, {}, True),
        (10, {"water": slice(0, SIDE)}, True),
        (80, {"water": slice(0, SIDE)}, False),
        (80, {}, True),
        (80, {"water": slice(0, 40), "cloud": slice(50, SIDE)}, False),
        (70, {"snow": slice(0, SIDE)}, False),
        (70, {"water": slice(0, SIDE)}, True),
        (60, {}, False),
    ],
    ids=["fields", "forest-at-sea", "sea", "sea-on-land", "cloudy-sea", "snow", "snow-at-sea", "desert"],
)
def test_one_class_everywhere_is_held_unless_the_ground_may_be_so(tmp_path, code, mask, held):
    quality = bits(**mask)
    surface = put_surface(tmp_path, quality)
    codes = np.where(quality & 2, 0, code).astype(np.uint8)
    facts = facts_of(put_cover(tmp_path, surface, codes), surface)
    assert broken(facts) == ({"one_class"} if held else set())
    assert "one_class_only" in broken(facts, least=Severity.WARNING)


def test_where_the_surface_product_is_not_at_hand_sea_and_snow_are_believed_and_fields_are_not(tmp_path):
    surface = put_surface(tmp_path)
    for number, (code, held) in enumerate(((80, False), (70, False), (40, True))):
        folder = put_cover(tmp_path / str(number), surface, np.full((SIDE, SIDE), code, dtype=np.uint8))
        assert broken(facts_of(folder)) == ({"one_class"} if held else set())


def test_a_rare_second_class_is_enough_to_be_believed(surface, tmp_path):
    codes = np.full((SIDE, SIDE), 40, dtype=np.uint8)
    codes[0] = 50  # 0.83 %, a road
    assert broken(facts_of(put_cover(tmp_path, surface, codes), surface)) == set()


def test_clear_ground_without_a_class_is_held_and_cloud_without_one_is_not(tmp_path):
    surface = put_surface(tmp_path, bits(cloud=slice(0, 60)))
    codes = landscape()
    codes[:60] = 0
    assert broken(facts_of(put_cover(tmp_path / "good", surface, codes), surface)) == set()
    codes[:90] = 0
    facts = facts_of(put_cover(tmp_path / "bad", surface, codes), surface)
    assert broken(facts) == {"clear_ground_unmapped"}
    assert facts.scene["unmapped_percent"] == pytest.approx(25.0)


def test_a_map_under_cloud_alone_is_an_expected_non_product(tmp_path):
    surface = put_surface(tmp_path, bits(cloud=slice(0, SIDE)))
    facts = facts_of(put_cover(tmp_path, surface, np.zeros((SIDE, SIDE), np.uint8)), surface)
    assert broken(facts) == set()
    assert broken(facts, least=Severity.NON_PRODUCT) == {"too_little_ground"}


def test_a_model_that_guesses_is_held_and_one_that_is_unsure_is_told(surface, tmp_path):
    sure = np.full((SIDE, SIDE), 0.2, dtype=np.float32)
    assert broken(facts_of(put_cover(tmp_path / "a", surface, confidence=sure), surface)) == {
        "confidence_low"
    }
    unsure = facts_of(put_cover(tmp_path / "b", surface, confidence=sure * 2), surface)
    assert broken(unsure) == set()
    assert broken(unsure, least=Severity.WARNING) == {"unsure"}


def rewrite(folder, layer, pixels) -> None:
    path = folder / f"{layer.key}.tif"
    path.unlink()
    write_cog(path, pixels, grid=GRID, layer=layer)
    redescribe(folder, layer.key)


def test_confidence_that_is_none_is_told(surface, tmp_path):
    folder = put_cover(tmp_path, surface)
    pixels = np.full((SIDE, SIDE), 80, dtype=np.uint8)
    pixels[0, 0], pixels[0, 1] = 101, 255
    rewrite(folder, COVER_CONFIDENCE, pixels)
    assert broken(facts_of(folder, surface)) == {"confidence_out_of_range", "confidence_missing"}


def test_a_map_on_another_grid_than_its_surface_is_told_even_where_its_item_agrees(surface, tmp_path):
    def moved(item):
        transform = [10.0, 0.0, 600_010.0, 0.0, -10.0, 5_100_000.0]
        item["assets"]["quality"]["proj:transform"] = transform

    folder = put_cover(tmp_path, surface)
    edit(surface, moved)
    assert broken(facts_of(folder, surface)) == {"grid_not_of_surface"}


def test_a_file_that_is_no_raster_is_told_once(surface, tmp_path):
    folder = put_cover(tmp_path, surface)
    (folder / "landcover.tif").write_bytes(b"II*\0 no tiff")
    redescribe(folder, "landcover")
    assert broken(facts_of(folder, surface)) == {"asset_unreadable"}


def test_another_source_another_digest_and_a_lost_layer_are_told(surface, tmp_path):
    folder = put_cover(tmp_path, surface)
    assert broken(facts_of(folder, digest="0" * 64)) == {"digest_mismatch"}
    assert broken(facts_of(folder, source="0" * 64)) == {"source_mismatch"}
    edit(folder, lambda item: item["assets"].pop("confidence"))
    assert broken(facts_of(folder)) == {"asset_unnamed"}


def test_a_layer_without_the_legends_colours_is_told(surface, tmp_path):
    folder = put_cover(tmp_path, surface)
    path = folder / "landcover.tif"
    path.unlink()
    options = {"driver": "COG", "dtype": "uint8", "count": 1, "width": SIDE, "height": SIDE, "nodata": 0}
    with rasterio.open(path, "w", crs="EPSG:32632", transform=GRID.affine, **options) as dataset:
        dataset.write(landscape(), 1)
    redescribe(folder, "landcover")
    facts = facts_of(folder, surface)
    assert broken(facts) == set()
    assert broken(facts, least=Severity.WARNING) == {"colours_differ"}


def test_mangroves_in_the_alps_are_told(surface, tmp_path):
    codes = landscape()
    codes[:20] = 95
    facts = facts_of(put_cover(tmp_path, surface, codes), surface)
    assert broken(facts, least=Severity.WARNING) == {"mangroves_misplaced"}


def test_what_is_no_map_is_refused(surface, tmp_path):
    with pytest.raises(ConfigError, match="names no surface product"):
        read_map_item(surface)
    with pytest.raises(ConfigError, match="0 JSON files"):
        read_map_item(tmp_path)


def test_the_flags_under_which_nothing_is_seen_are_those_of_the_quality_layer():
    from undersky.quality import UNUSABLE, Quality
    from undersky.validation.map_facts import UNSEEN

    named = {flag.name.lower() for flag in Quality if flag & UNUSABLE}
    assert {*UNSEEN, "nodata"} == named
    assert (COVER.where, QUALITY.where) == ("scene", "scene")

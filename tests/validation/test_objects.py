"""A finished map of objects passes; each way in which it can go wrong is a fact with its own code."""

import json

import numpy as np
import pytest
import shapely

from map_products import (
    DIGEST,
    PNG,
    SIDE,
    bits,
    broken_codes,
    edit,
    item_of,
    put_objects,
    put_surface,
    redescribe,
    ship,
    write_objects,
)
from undersky.validation import objects
from undersky.validation.map_facts import FinishedMap, SurfaceEvidence, read_map_item
from undersky.validation.object_facts import object_facts
from undersky.validation.rules import Facts, Severity

SHIPS = ({"row": 70, "col": 20}, {"row": 90, "col": 60}, {"row": 110, "col": 100})


def facts_of(folder, surface=None, **known) -> Facts:
    item, sensor = read_map_item(folder)
    evidence = None if surface is None else SurfaceEvidence(item_of(surface), surface)
    return object_facts(FinishedMap(folder, item, sensor, surface=evidence, **known))


def broken(facts: Facts, *, least: Severity = Severity.CRITICAL) -> set[str]:
    return broken_codes(objects.RULES, facts, least=least)


@pytest.fixture
def surface(tmp_path):
    """Land in the north, water in the south."""
    return put_surface(tmp_path, bits(water=slice(60, SIDE)))


def test_finished_objects_break_nothing(surface, tmp_path):
    facts = facts_of(put_objects(tmp_path, surface, SHIPS), surface, source=DIGEST)
    assert broken(facts, least=Severity.WARNING) == set()
    scene = facts.scene
    assert (scene["objects"], scene["longest_m"], scene["highest_score"]) == (3.0, 60.0, 0.9)
    assert scene["water_km2"] == pytest.approx(0.72)
    assert scene["files_agree"] is True
    assert {row["band"] for row in facts.bands} == {"vessels", "vessels_geojson", "thumbnail"}


@pytest.mark.parametrize("count", [3, 0])
def test_what_the_stage_itself_writes_breaks_nothing(surface, tmp_path, count):
    from undersky.vectors.objects import MappedObject, write_geojson, write_geoparquet

    names = ("x", "y", "crs", "score", "length_m", "width_m", "heading_deg", "chip")
    ships = [ship(**place) for place in SHIPS[:count]]
    found = [MappedObject(each["geometry"], **{name: each[name] for name in names}) for each in ships]
    folder = put_objects(tmp_path, surface)
    write_geoparquet(found, folder / "vessels.parquet")
    write_geojson(found, folder / "vessels.geojson")
    for key in ("vessels", "vessels_geojson"):
        redescribe(folder, key)
    facts = facts_of(folder, surface)
    assert broken(facts, least=Severity.WARNING) == set()
    assert (facts.scene["objects"], facts.scene["files_agree"]) == (float(count), True)


def test_a_sea_without_a_ship_is_a_product(surface, tmp_path):
    facts = facts_of(put_objects(tmp_path, surface), surface)
    assert broken(facts, least=Severity.WARNING) == set()
    assert facts.scene["objects"] == 0.0


def test_ships_on_land_are_held_and_one_of_many_is_told(surface, tmp_path):
    inland = facts_of(put_objects(tmp_path / "a", surface, [{"row": 20, "col": 20}]), surface)
    assert broken(inland) == {"objects_on_land"}
    # 21 ships on a sea of 0.72 km2 would be crowded, were there a hundred of them
    fleet = [{"row": 70 + 5 * (n // 7), "col": 10 + 15 * (n % 7)} for n in range(21)]
    one = facts_of(put_objects(tmp_path / "b", surface, [*fleet, {"row": 20, "col": 20}]), surface)
    assert broken(one) == set()
    assert broken(one, least=Severity.WARNING) == {"some_on_land"}


def test_a_moored_ship_has_water_near_it(surface, tmp_path):
    moored = facts_of(put_objects(tmp_path, surface, [{"row": 55, "col": 60}]), surface)
    assert broken(moored, least=Severity.WARNING) == set()


def test_objects_where_nothing_was_seen_are_held(tmp_path):
    surface = put_surface(tmp_path, bits(water=slice(60, 100), nodata=slice(100, SIDE)))
    facts = facts_of(put_objects(tmp_path, surface, [{"row": 110, "col": 60}]), surface)
    assert "objects_unseen" in broken(facts)


def test_thousands_of_objects_are_held_with_their_number(surface, tmp_path):
    crowd = [{"row": 61 + (n // 58), "col": n % 116, "score": 0.5} for n in range(3001)]
    facts = facts_of(put_objects(tmp_path, surface, crowd), surface)
    assert "too_many_objects" in broken(facts)
    (absolute,) = [r for r in objects.RULES if (r.code, r.column) == ("too_many_objects", "objects")]
    absolute_high = [r for r in [absolute] if r.severity is Severity.CRITICAL]
    assert absolute_high
    assert "3001 objects" in absolute.sentence.format_map(facts.scene)


def test_a_hundred_ships_on_a_pond_are_too_many_and_ten_are_not(surface, tmp_path):
    crowd = [{"row": 62 + 5 * (n // 11), "col": 5 + 10 * (n % 11)} for n in range(110)]
    facts = facts_of(put_objects(tmp_path / "a", surface, crowd), surface)
    assert broken(facts) == {"too_many_objects"}
    assert facts.scene["objects_per_km2"] == pytest.approx(110 / 0.72, rel=1e-3)
    assert broken(facts_of(put_objects(tmp_path / "b", surface, crowd[:10]), surface)) == set()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"length_m": 900.0}, "length_absurd"),
        ({"length_m": 0.0}, "length_absurd"),
        ({"score": 1.2}, "score_out_of_range"),
        ({"score": -0.1}, "score_out_of_range"),
        ({"chip": b""}, "chip_missing"),
        ({"geometry": shapely.Polygon()}, "geometry_invalid"),
        ({"geometry": shapely.box(3.0, 40.0, 3.001, 40.001)}, "outside_footprint"),
    ],
)
def test_an_impossible_object_is_held(surface, tmp_path, changes, code):
    folder = put_objects(tmp_path, surface, [*SHIPS, {"row": 80, "col": 30, **changes}])
    assert code in broken(facts_of(folder, surface))


def test_an_object_that_is_reported_twice_is_held(surface, tmp_path):
    twice = [*SHIPS, {"row": 70, "col": 21, "score": 0.7}]
    facts = facts_of(put_objects(tmp_path, surface, twice), surface)
    assert broken(facts) == {"objects_doubled"}
    assert facts.scene["doubled_percent"] == 25.0
    beside = facts_of(put_objects(tmp_path / "b", surface, [*SHIPS, {"row": 72, "col": 20}]), surface)
    assert broken(beside, least=Severity.WARNING) == set()


def test_table_and_geojson_that_tell_different_things_are_held(surface, tmp_path):
    folder = put_objects(tmp_path, surface, SHIPS)
    path = folder / "vessels.geojson"
    whole = json.loads(path.read_text())
    spoilt = {
        "one lost": lambda doc: doc["features"].pop(),
        "another score": lambda doc: doc["features"][0]["properties"].update(score=0.1),
        "no score": lambda doc: doc["features"][0]["properties"].pop("score"),
        "moved": lambda doc: doc["features"][0]["geometry"]["coordinates"][0][1].reverse(),
    }
    for spoil in spoilt.values():
        document = json.loads(json.dumps(whole))
        spoil(document)
        path.write_text(json.dumps(document))
        redescribe(folder, "vessels_geojson")
        facts = facts_of(folder, surface)
        assert broken(facts) == {"files_disagree"}
        assert facts.scene["disagreement"]


def test_files_that_are_not_what_the_item_says_are_told(surface, tmp_path):
    folder = put_objects(tmp_path, surface, SHIPS)
    (folder / "vessels.parquet").write_bytes(b"PAR1 no table")
    (folder / "vessels.geojson").write_text("{}")
    for key in ("vessels", "vessels_geojson"):
        redescribe(folder, key)
    facts = facts_of(folder, surface)
    assert broken(facts) == {"asset_unreadable"}
    assert [row["band"] for row in facts.bands if row["opens"] is False] == ["vessels", "vessels_geojson"]


def test_a_table_without_a_column_or_in_metres_is_told(surface, tmp_path):
    import geopandas

    folder = put_objects(tmp_path, surface, SHIPS)
    path = folder / "vessels.parquet"
    frame = geopandas.read_parquet(path)
    frame.drop(columns=["heading_deg"]).to_parquet(path, index=False)
    redescribe(folder, "vessels")
    assert broken(facts_of(folder, surface)) == {"column_missing"}
    frame.to_crs(32632).to_parquet(path, index=False)
    redescribe(folder, "vessels")
    assert "not_longlat" in broken(facts_of(folder, surface))


def test_objects_without_their_surface_are_judged_by_themselves(surface, tmp_path):
    facts = facts_of(put_objects(tmp_path, surface, [{"row": 20, "col": 20}]))
    assert broken(facts, least=Severity.WARNING) == set()
    assert "on_land_percent" not in facts.scene


def test_an_item_without_its_table_is_told(surface, tmp_path):
    folder = put_objects(tmp_path, surface, SHIPS)
    edit(folder, lambda item: item["assets"].pop("vessels"))
    facts = facts_of(folder, surface)
    assert broken(facts) == {"asset_unnamed"}
    assert facts.scene["missing"] == "the table"


def test_a_chip_is_a_picture(surface, tmp_path):
    assert PNG.startswith(b"\x89PNG")
    folder = put_objects(tmp_path, surface, SHIPS)
    write_objects(folder, [])
    redescribe(folder, "vessels")
    redescribe(folder, "vessels_geojson")
    assert np.isnan(facts_of(folder, surface).scene["longest_m"])

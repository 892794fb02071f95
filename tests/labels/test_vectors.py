"""GeoPackage and GeoJSON: read, mended, refused, and nothing dropped without a count."""

import json
import sqlite3

import geopandas
import numpy as np
import pytest
import shapely

from undersky.errors import ConfigError, DataError, Reason
from undersky.labels import TASKS
from undersky.labels.tasks import IGNORE
from undersky.labels.vectors import read_vectors

LANDCOVER = TASKS["landcover"]


def geojson(path, *features, crs=None):
    fields = {"type": "FeatureCollection", "features": [
        {"type": "Feature", "properties": {"use": use}, "geometry": shape} for use, shape in features
    ]}  # fmt: skip
    if crs:
        fields["crs"] = {"type": "name", "properties": {"name": crs}}
    path.write_text(json.dumps(fields))
    return path


def polygon(*ring):
    return {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}


SOUND = polygon((15.0, 46.0), (15.001, 46.0), (15.001, 46.001), (15.0, 46.001))


@pytest.mark.parametrize("name", ["fields.gpkg", "fields.geojson"])
def test_both_formats_give_the_same_outlines(tmp_path, fields, class_map, name):
    source = fields if name.endswith("gpkg") else fields.to_crs("EPSG:4326")
    source.to_file(tmp_path / name)
    found, tally = read_vectors(tmp_path / name, class_map, task=LANDCOVER)
    assert found.counts(LANDCOVER)["cropland"] == 1
    assert found.counts(LANDCOVER)["tree_cover"] == 1
    assert found.ignored == 1
    assert found.square_km(LANDCOVER)["cropland"] == pytest.approx(0.01, rel=0.01)
    assert tally.met == {"arable": 1, "wood": 1, "orchard": 1}
    expected = fields.to_crs("EPSG:4326").total_bounds
    assert found.bounds == pytest.approx(tuple(expected), abs=1e-7)


def test_the_digest_knows_nothing_of_the_order_of_features_or_vertices(tmp_path, fields, class_map):
    fields.to_file(tmp_path / "a.gpkg")
    turned = fields.iloc[::-1].copy()
    turned.geometry = shapely.reverse(turned.geometry.array)
    turned.to_file(tmp_path / "b.gpkg")
    a, b = (read_vectors(tmp_path / name, class_map, task=LANDCOVER)[0] for name in ("a.gpkg", "b.gpkg"))
    assert a.digest({"x": 1}) == b.digest({"x": 1})
    assert a.digest({"x": 1}) != a.digest({"x": 2})


def test_values_that_nobody_mapped_are_listed(tmp_path, fields, class_map):
    fields["use"] = ["arable", "lake", "lake"]
    fields.to_file(tmp_path / "a.gpkg")
    with pytest.raises(ConfigError, match=r"a\.gpkg, column use, .* lake \(2\)"):
        read_vectors(tmp_path / "a.gpkg", class_map, task=LANDCOVER)


def test_a_crossing_outline_is_mended_and_counted(tmp_path, class_map):
    bow = polygon((15.0, 46.0), (15.001, 46.001), (15.001, 46.0), (15.0, 46.001))
    found, tally = read_vectors(geojson(tmp_path / "a.geojson", ("wood", bow)), class_map, task=LANDCOVER)
    assert tally.mended == {"outlines that crossed themselves": 1}
    assert len(found) == 1
    assert shapely.is_valid(found.shapes).all()
    assert shapely.area(found.shapes)[0] == pytest.approx(0.5e-6)


def test_what_cannot_be_used_is_left_out_with_its_reason(tmp_path, class_map):
    path = geojson(
        tmp_path / "a.geojson",
        ("wood", SOUND),
        ("wood", None),
        ("wood", {"type": "Point", "coordinates": [15.0, 46.0]}),
        ("arable", {"type": "LineString", "coordinates": [[15.0, 46.0], [15.1, 46.1]]}),
        ("arable", polygon((15.0, 46.0), (15.0, 46.0), (15.0, 46.0))),
        ("arable", polygon((190.0, 46.0), (190.1, 46.0), (190.1, 46.1))),
    )
    found, tally = read_vectors(path, class_map, task=LANDCOVER)
    assert len(found) == 1
    assert dict(tally.left_out) == {
        "empty": 1, "points and lines: no area": 2, "no area": 1, "beyond the globe": 1,
    }  # fmt: skip
    assert sum(tally.met.values()) == len(found) + sum(tally.left_out.values())


def test_coordinates_that_are_no_numbers_are_left_out(tmp_path, fields, class_map):
    with np.errstate(invalid="ignore"):
        broken = shapely.Polygon([(1, 1), (np.nan, 3), (4, 5), (1, 1)])
    fields.geometry = [*fields.geometry.iloc[:2], broken]
    fields.to_file(tmp_path / "a.gpkg")
    _, tally = read_vectors(tmp_path / "a.gpkg", class_map, task=LANDCOVER)
    assert sum(tally.left_out.values()) == 1


def test_a_file_that_names_no_crs_is_refused_until_somebody_says_it(tmp_path, fields, class_map):
    path = tmp_path / "a.gpkg"
    fields.to_file(path)
    with sqlite3.connect(path) as database:
        database.execute("DROP TRIGGER IF EXISTS rtree_a_geom_update1")
        for change in ("gpkg_geometry_columns", "gpkg_contents"):
            database.execute(f"UPDATE {change} SET srs_id = -1")
    database.close()
    with pytest.raises(DataError, match="names no coordinate system") as caught:
        read_vectors(path, class_map, task=LANDCOVER)
    assert caught.value.reason is Reason.CRS_MISMATCH
    found, _ = read_vectors(path, class_map, task=LANDCOVER, crs="EPSG:32633")
    assert found.bounds == pytest.approx(tuple(fields.to_crs("EPSG:4326").total_bounds), abs=1e-7)


def test_a_crs_that_contradicts_the_file_is_refused(tmp_path, fields, class_map):
    fields.to_file(tmp_path / "a.gpkg")
    with pytest.raises(ConfigError, match="leave --crs out"):
        read_vectors(tmp_path / "a.gpkg", class_map, task=LANDCOVER, crs="EPSG:3794")


def test_swapped_axes_are_seen(tmp_path, fields, class_map):
    fields.geometry = shapely.transform(fields.geometry.array, lambda c: c[:, ::-1])
    fields.to_file(tmp_path / "a.gpkg")
    with pytest.raises(DataError, match="x and y look swapped"):
        read_vectors(tmp_path / "a.gpkg", class_map, task=LANDCOVER)


def test_swapped_degrees_beyond_the_pole_are_seen(tmp_path, class_map):
    path = geojson(
        tmp_path / "a.geojson", ("wood", polygon((46.0, 150.0), (46.001, 150.0), (46.001, 150.001)))
    )
    with pytest.raises(DataError, match="x and y look swapped"):
        read_vectors(path, class_map, task=LANDCOVER)


def test_a_wrong_crs_is_suspected(tmp_path, fields, class_map):
    fields.set_crs("EPSG:28992", allow_override=True).to_file(tmp_path / "a.gpkg")  # the Dutch grid
    with pytest.raises(DataError, match="is it another coordinate system"):
        read_vectors(tmp_path / "a.gpkg", class_map, task=LANDCOVER)


def test_columns_and_layers_are_asked_for_by_name(tmp_path, fields, class_map):
    fields.rename(columns={"use": "kind"}).to_file(tmp_path / "a.gpkg")
    with pytest.raises(ConfigError, match="has no column use; it has kind"):
        read_vectors(tmp_path / "a.gpkg", class_map, task=LANDCOVER)
    fields.to_file(tmp_path / "b.gpkg", layer="north")
    fields.iloc[:1].to_file(tmp_path / "b.gpkg", layer="south")
    with pytest.raises(ConfigError, match=r"2 layers \(north south\)|2 layers of features \(north south\)"):
        read_vectors(tmp_path / "b.gpkg", class_map, task=LANDCOVER)
    found, _ = read_vectors(tmp_path / "b.gpkg", class_map, task=LANDCOVER, layer="south")
    assert len(found) == 1
    with pytest.raises(ConfigError, match="no layer 'east'"):
        read_vectors(tmp_path / "b.gpkg", class_map, task=LANDCOVER, layer="east")


def test_a_box_takes_only_what_it_touches(tmp_path, fields, class_map):
    fields.to_file(tmp_path / "a.gpkg")
    west, south, _, north = fields.to_crs("EPSG:4326").total_bounds
    found, tally = read_vectors(
        tmp_path / "a.gpkg", class_map, task=LANDCOVER, bbox=(west - 0.001, south, west + 0.0005, north)
    )
    assert dict(tally.met) == {"arable": 1}
    assert (found.codes != IGNORE).all()


def test_a_file_that_is_none_is_refused(tmp_path, class_map):
    (tmp_path / "a.gpkg").write_bytes(b"SQLite? no")
    with pytest.raises(DataError, match="cannot be read as features") as caught:
        read_vectors(tmp_path / "a.gpkg", class_map, task=LANDCOVER)
    assert caught.value.reason is Reason.METADATA_INVALID


def test_areas_agree_with_an_equal_area_projection(tmp_path, fields, class_map):
    fields.to_file(tmp_path / "a.gpkg")
    found, _ = read_vectors(tmp_path / "a.gpkg", class_map, task=LANDCOVER)
    theirs = geopandas.GeoSeries(found.shapes, crs="EPSG:4326").to_crs("EPSG:6933").area.sum() / 1e6
    ours = sum(found.square_km(LANDCOVER).values())
    assert ours == pytest.approx(theirs * 2 / 3, rel=0.01)  # the third parcel is ignored

"""A GeoJSON file is checked before anybody searches with it."""

import json

import pytest
import shapely
from shapely.geometry import shape

from undersky.errors import ConfigError
from undersky.flow.geojson import apart_km, read_ground, touches

SQUARE = [[11.0, 44.0], [12.0, 44.0], [12.0, 45.0], [11.0, 45.0], [11.0, 44.0]]
POLYGON = {"type": "Polygon", "coordinates": [SQUARE]}


@pytest.fixture
def write(tmp_path):
    def write(document, name="area.geojson"):
        path = tmp_path / name
        path.write_text(document if isinstance(document, str) else json.dumps(document))
        return path

    return write


def feature(geometry, **properties):
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def shifted(ring, degrees):
    return [[lon + degrees, lat] for lon, lat in ring]


@pytest.mark.parametrize(
    "document",
    [
        POLYGON,
        feature(POLYGON),
        {"type": "FeatureCollection", "features": [feature(POLYGON)]},
        {"type": "MultiPolygon", "coordinates": [[SQUARE]]},
        POLYGON | {"crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}}},
        {"type": "Polygon", "coordinates": [[[*point, 250.0] for point in SQUARE]]},
        {"type": "Polygon", "coordinates": [SQUARE[::-1]]},
    ],
)
def test_every_form_of_the_same_ground_is_the_same_polygon(write, document):
    ground = read_ground(write(document))
    assert shape(ground.geometry).equals(shape(POLYGON))
    assert ground.geometry["type"] == "Polygon"
    assert shapely.LinearRing(ground.geometry["coordinates"][0]).is_ccw
    assert 8_700 < ground.km2 < 8_900


def test_a_collection_is_the_union_of_its_features(write):
    beside, far = shifted(SQUARE, 1.0), shifted(SQUARE, 5.0)
    features = [feature({"type": "Polygon", "coordinates": [ring]}) for ring in (SQUARE, beside, far)]
    ground = read_ground(write({"type": "FeatureCollection", "features": features}))
    assert ground.geometry["type"] == "MultiPolygon"
    assert ground.parts == 2


def test_a_hole_stays_a_hole(write):
    hole = [[11.4, 44.4], [11.4, 44.6], [11.6, 44.6], [11.6, 44.4], [11.4, 44.4]]
    ground = read_ground(write({"type": "Polygon", "coordinates": [SQUARE, hole]}))
    assert len(ground.geometry["coordinates"]) == 2


def test_the_name_of_a_single_feature_is_kept(write):
    assert read_ground(write(feature(POLYGON, name="Po Valley"))).name == "Po Valley"
    assert (
        read_ground(write({"type": "FeatureCollection", "features": [feature(POLYGON, name="Po")]})).name
        == "Po"
    )
    assert read_ground(write(POLYGON)).name is None


def test_an_area_cut_at_the_antimeridian_is_taken(write):
    west = [[179.0, 0.0], [180.0, 0.0], [180.0, 1.0], [179.0, 1.0], [179.0, 0.0]]
    east = [[-180.0, 0.0], [-179.0, 0.0], [-179.0, 1.0], [-180.0, 1.0], [-180.0, 0.0]]
    ground = read_ground(write({"type": "MultiPolygon", "coordinates": [[west], [east]]}))
    assert ground.parts == 2
    assert 24_000 < ground.km2 < 25_000


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ("{", "is no JSON"),
        ("[1, 2]", "is no GeoJSON"),
        ({"type": "Point", "coordinates": [11, 44]}, "holds a Point"),
        (feature(None), "without a geometry"),
        ({"type": "FeatureCollection", "features": []}, "no polygon"),
        ({"type": "FeatureCollection"}, "without features"),
        ({"type": "FeatureCollection", "features": [POLYGON]}, "a feature that is none"),
        ({"type": "Polygon"}, "without rings"),
        ({"type": "MultiPolygon"}, "without coordinates"),
        ({"type": "Polygon", "coordinates": []}, "without rings"),
        ({"type": "Polygon", "coordinates": [SQUARE[:3]]}, "fewer than four"),
        ({"type": "Polygon", "coordinates": [SQUARE[:4]]}, r"open ring: it begins at \(11.0, 44.0\)"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]}, "crosses itself"),
        ({"type": "Polygon", "coordinates": [SQUARE, shifted(SQUARE, 0.5)]}, "crosses itself or its holes"),
        ({"type": "Polygon", "coordinates": [[["a", "b"]] * 4]}, "where a position"),
        ({"type": "Polygon", "coordinates": [["abcd"] * 4]}, "where a position"),
        (json.dumps(POLYGON).replace("11.0", "NaN"), "where a position"),
        ({"type": "Polygon", "coordinates": [shifted(SQUARE, 170.0)]}, "cut"),
        (
            {"type": "Polygon", "coordinates": [[[lat * 1e5, lon * 1e5] for lon, lat in SQUARE]]},
            "reprojected",
        ),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1e-7, 0], [1e-7, 1e-7], [0, 0]]]}, "one pixel"),
        (
            POLYGON | {"crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32632"}}},
            "ogr2ogr",
        ),
        (POLYGON | {"crs": "EPSG:3857"}, "CRS"),
    ],
)
def test_what_no_search_could_mean_is_refused_with_its_cure(write, document, sentence):
    with pytest.raises(ConfigError, match=sentence):
        read_ground(write(document))


def test_an_uncut_antimeridian_is_recognised(write):
    ring = [[179.0, 0.0], [-179.0, 0.0], [-179.0, 1.0], [179.0, 1.0], [179.0, 0.0]]
    with pytest.raises(ConfigError, match=r"from longitude 179 to -179.*MultiPolygon"):
        read_ground(write({"type": "Polygon", "coordinates": [ring]}))


def test_the_whole_world_is_no_area(write):
    ring = [[-90, -80], [0, -80], [90, -80], [90, 80], [0, 80], [-90, 80], [-90, -80]]
    with pytest.raises(ConfigError, match="a continent"):
        read_ground(write({"type": "Polygon", "coordinates": [ring]}))


def test_too_much_detail_is_refused(write):
    ring = [list(point) for point in shapely.Point(11, 44).buffer(1.0, quad_segs=2_000).exterior.coords]
    with pytest.raises(ConfigError, match="simplify"):
        read_ground(write({"type": "Polygon", "coordinates": [ring]}))


def test_a_file_that_is_not_there_or_too_large_is_refused(write, tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_ground(tmp_path / "absent.geojson")
    with pytest.raises(ConfigError, match="larger than"):
        read_ground(write(" " * 10_000_001))


def test_touching_and_distance():
    far = {"type": "Polygon", "coordinates": [shifted(SQUARE, 2.0)]}
    assert touches(POLYGON, POLYGON)
    assert not touches(POLYGON, far)
    assert apart_km(POLYGON, POLYGON) == 0.0
    assert 75 < apart_km(POLYGON, far) < 85

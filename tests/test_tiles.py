"""MGRS tiles and WRS-2 scenes, against what the agencies' own products say."""

import json

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Transformer
from shapely.geometry import shape

from undersky.errors import ConfigError
from undersky.tiles import Site, footprint, geojson, heading, is_wrs2, site, tile_name


def covered(tile: str) -> shapely.Geometry:
    return shape(geojson(footprint(tile)))


def overlap(first: shapely.Geometry, second: shapely.Geometry) -> float:
    """Intersection over union."""
    return first.intersection(second).area / first.union(second).area


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("tile", "epsg", "left", "top"),
    [
        # EPSG, ULX and ULY of real MTD_TL.xml files of five products.
        ("55JEJ", 32755, 499980, 6900040),
        ("31TDH", 32631, 399960, 4800000),
        ("46RER", 32646, 499980, 3100020),
        ("01WCP", 32601, 300000, 7400040),
        ("51MUP", 32751, 300000, 9400000),
    ],
)
def test_mgrs_tiles_lie_where_esa_puts_them(tile, epsg, left, top):
    assert site(tile) == Site(epsg, left, top)


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("scene", "zone", "longitude", "latitude"),
    [
        # UTM zone and upper-left corner of the MTL files of real scenes.
        ("227074", 21, -59.25847, -19.17654),
        ("063046", 5, -157.10847, 21.26564),
        ("092084", 55, 145.50492, -33.54852),
    ],
)
def test_wrs2_scenes_lie_within_a_quarter_degree_of_real_ones(scene, zone, longitude, latitude):
    place = site(scene)
    assert place.epsg == 32600 + zone
    to_globe = Transformer.from_crs(f"EPSG:{place.epsg}", "EPSG:4326", always_xy=True)
    found = to_globe.transform(place.left_m, place.top_m)
    cut = scene == "063046"  # that product was cut out of its scene
    assert cut or abs(found[0] - longitude) < 0.25
    assert abs(found[1] - latitude) < (1.5 if cut else 0.25)


def test_landsat_pixel_centres_lie_on_multiples_of_thirty_metres():
    place = site("195028")
    assert (place.left_m + 15) % 30 == 0
    assert (place.top_m - 15) % 30 == 0


@pytest.mark.parametrize(
    "tile", ["", "32T", "32IQM", "61TQM", "00TQM", "32TAM", "000001", "234001", "195200", "abcdef", "32TQC"]
)
def test_what_is_no_tile_is_refused(tile):
    with pytest.raises(ConfigError, match=r"MGRS|WRS-2"):
        site(tile)


@pytest.mark.parametrize("text", ["32TQM", "t32tqm", " T32TQM "])
def test_an_mgrs_tile_may_be_written_as_products_and_people_write_it(text):
    assert tile_name(text) == "32TQM"


@pytest.mark.parametrize("text", ["192029", "192/029", "192-029", "192_029", "p192r029"])
def test_a_path_and_row_may_be_written_as_people_write_it(text):
    assert tile_name(text) == "192029"
    assert is_wrs2(tile_name(text))


@pytest.mark.parametrize("text", ["", "Bern", "32TQ", "32TQMM", "19229", "S2B_20250619T095753_32TQM"])
def test_what_is_no_name_of_a_tile_is_refused_with_examples(text):
    with pytest.raises(ConfigError, match=r"32TQM.*195028"):
        tile_name(text)


@pytest.mark.oracle
@pytest.mark.parametrize("tile", ["33TWM", "33TWL"])
def test_a_sentinel_2_footprint_is_the_whole_tile_of_the_item(samples, tile):
    (found,) = samples.glob(f"s2-l2a-stac-earth-search/*_{tile}_*/*_L2A.json")
    left, bottom, right, top = json.loads(found.read_text())["bbox"]
    assert covered(tile).buffer(0.003).contains(shapely.box(left, bottom, right, top).centroid)
    mine = covered(tile).bounds
    assert abs(mine[1] - bottom) < 0.01
    assert abs(mine[3] - top) < 0.01


@pytest.mark.oracle
def test_a_sentinel_2_footprint_has_the_corners_of_a_full_product():
    # EXT_POS_LIST of S2 L1C 51MUP, 2023-08-04, which fills its tile.
    real = shapely.Polygon(
        [(121.194911, -5.425530), (122.185796, -5.427677), (122.184340, -6.420864), (121.191684, -6.418322)]
    )
    assert overlap(covered("51MUP"), real) > 0.999


@pytest.mark.oracle
def test_a_landsat_footprint_is_that_of_the_item(samples):
    # LC08_L2SP_017036_20130419 was taken off nadir, rolled over to path 18 (TARGET_WRS_PATH of its MTL).
    folder = samples / "landsat8-l2sp-full-structure-decimated"
    (item,) = folder.glob("*_SR_stac.json")
    real = shape(json.loads(item.read_text())["geometry"])
    assert overlap(covered("018036"), real) > 0.85
    assert overlap(covered("017036"), real) < 0.2


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("scene", "west", "south", "east", "north"),
    [
        # CORNER_*_PRODUCT of five MTL files: the box around the turned scene.
        ("092084", 145.467, -35.666, 148.035, -33.549),
        ("218074", -45.366, -21.288, -43.146, -19.170),
        ("017051", -87.552, 11.956, -85.446, 14.059),
        ("231062", -61.591, -3.951, -59.534, -1.845),
        ("063046", -157.108, 19.143, -154.856, 21.305),
    ],
)
def test_a_landsat_footprint_fills_the_box_of_its_product(scene, west, south, east, north):
    assert overlap(shapely.box(*covered(scene).bounds), shapely.box(west, south, east, north)) > 0.88


@pytest.mark.oracle
def test_a_tile_on_the_antimeridian_is_two_rings_that_touch_it():
    # EXT_POS_LIST of S2A 01WCP, 2023-06-25: both sides of 180 degrees.
    rings = footprint("01WCP")
    assert len(rings) == 2
    assert geojson(rings)["type"] == "MultiPolygon"
    east = shapely.Polygon(
        [(178.646507, 65.67165), (180, 65.699713), (180, 66.685634), (178.474107, 66.653756)]
    )
    assert covered("01WCP").intersection(east).area / east.area > 0.99
    assert max(lon for ring in rings for lon, _ in ring) == 180.0
    assert min(lon for ring in rings for lon, _ in ring) == -180.0


TILES = ("32TQM", "30TVP", "55JEJ", "51MUP", "01WCP", "60WWV", "01KAB", "33XWG", "19FEU")
SCENES = ("192029", "227074", "063046", "092084", "060012", "074072", "001001", "233122")


@pytest.mark.parametrize("tile", TILES + SCENES)
def test_every_ring_is_closed_valid_and_counter_clockwise(tile):
    for ring in footprint(tile):
        assert ring[0] == ring[-1]
        assert shapely.LinearRing(ring).is_ccw
        assert shapely.Polygon(ring).is_valid
        assert all(-180 <= lon <= 180 and -90 <= lat <= 90 for lon, lat in ring)


@pytest.mark.parametrize("tile", TILES)
def test_the_footprint_has_the_area_of_its_square_on_the_ground(tile):
    equal_area = Transformer.from_crs("EPSG:4326", "EPSG:6933", always_xy=True)
    whole = sum(shapely.Polygon([equal_area.transform(*p) for p in ring]).area for ring in footprint(tile))
    assert abs(whole / 109_800.0**2 - 1) < 0.01


@given(st.integers(1, 233), st.integers(10, 110))
def test_every_scene_holds_the_middle_of_its_box(path, row):
    place = site(f"{path:03d}{row:03d}")
    to_globe = Transformer.from_crs(f"EPSG:{place.epsg}", "EPSG:4326", always_xy=True)
    middle = to_globe.transform(place.left_m + 115_000.0, place.top_m - 115_000.0)
    assert covered(f"{path:03d}{row:03d}").contains(shapely.Point(middle))


def test_neighbouring_rows_overlap_by_a_twentieth():
    first, second = covered("192028"), covered("192029")
    assert 0.02 < first.intersection(second).area / first.area < 0.15


@given(st.floats(-80, 80))
def test_a_southbound_pass_heads_south_and_a_little_west(latitude):
    assert 180 < heading(latitude) < 270

"""Objects on the globe: what is written is what geopandas and GDAL read."""

import base64
import json
import math
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyarrow.parquet as pq
import pyogrio
import pytest
import shapely
from affine import Affine
from shapely import affinity

from undersky.grid import Grid
from undersky.vectors.objects import MappedObject, on_globe, write_geojson, write_geoparquet

GRID = Grid((400, 400), Affine(10, 0, 500_000, 0, -10, 4_000_000), "EPSG:32631")
PNG = b"\x89PNG\r\n\x1a\nnot really"


def boxed(heading: float = 30.0, *, grid: Grid = GRID) -> MappedObject:
    upright = shapely.box(-2, -10, 2, 10)
    box = affinity.translate(affinity.rotate(upright, heading, origin=(0, 0)), 120.5, 80.25)
    polygon, (x, y), found = on_globe(box, grid)
    return MappedObject(polygon, x, y, "EPSG:32631", 0.875, 200.0, 40.0, found, PNG)


@pytest.fixture
def two() -> list[MappedObject]:
    return [boxed(30.0), boxed(100.0)]


def test_a_box_lies_where_its_grid_says() -> None:
    one = boxed()
    assert (one.x, one.y) == pytest.approx((501_205.0, 3_999_197.5), abs=1e-6)
    back = gpd.GeoSeries([one.box], crs="EPSG:4326").to_crs("EPSG:32631").iloc[0]
    assert back.area == pytest.approx(40.0 * 200.0, rel=1e-4)
    assert back.centroid.distance(shapely.Point(one.x, one.y)) < 0.01
    assert one.box.exterior.is_ccw


@pytest.mark.parametrize("heading", [0.5, 30.0, 89.0, 100.0, 170.0])
def test_the_heading_is_of_the_longer_side_clockwise_from_north(heading: float) -> None:
    assert boxed(heading).heading_deg == pytest.approx(heading, abs=0.2)


def test_the_heading_is_from_true_north_not_from_the_grids() -> None:
    east = Grid((400, 400), Affine(10, 0, 800_000, 0, -10, 6_500_000), "EPSG:32631")
    convergence = 4.6  # of UTM at 5.2 degrees east of its meridian and 58.6 north: dlon * sin(lat)
    assert boxed(30.0, grid=east).heading_deg == pytest.approx(30.0 + convergence, abs=0.3)


def test_geopandas_reads_the_table_back(two: list[MappedObject], tmp_path: Path) -> None:
    write_geoparquet(two, tmp_path / "vessels.parquet")
    frame = gpd.read_parquet(tmp_path / "vessels.parquet")
    assert frame.crs.to_epsg() == 4326
    assert list(frame.score) == [0.875, 0.875]
    assert list(frame["crs"]) == ["EPSG:32631"] * 2
    assert bytes(frame.chip.iloc[0]) == PNG
    assert all(a.equals(b.box) for a, b in zip(frame.geometry, two, strict=True))


def test_the_table_is_geoparquet_1_1_with_its_crs(two: list[MappedObject], tmp_path: Path) -> None:
    write_geoparquet(two, tmp_path / "vessels.parquet")
    geo = json.loads(pq.read_schema(tmp_path / "vessels.parquet").metadata[b"geo"])
    column = geo["columns"][geo["primary_column"]]
    assert (geo["version"], column["encoding"]) == ("1.1.0", "WKB")
    assert column["crs"]["id"] == {"authority": "EPSG", "code": 4326}
    assert "covering" in column


def test_nothing_found_is_a_table_of_the_same_types(two: list[MappedObject], tmp_path: Path) -> None:
    write_geoparquet(two, tmp_path / "two.parquet")
    write_geoparquet([], tmp_path / "none.parquet")
    full, empty = (pq.read_schema(tmp_path / f"{name}.parquet") for name in ("two", "none"))
    assert empty.names == full.names
    assert empty.types == full.types
    frame = gpd.read_parquet(tmp_path / "none.parquet")
    assert (len(frame), frame.crs.to_epsg()) == (0, 4326)


def test_the_same_objects_give_the_same_bytes(two: list[MappedObject], tmp_path: Path) -> None:
    for name in ("one", "other"):
        write_geoparquet(two, tmp_path / f"{name}.parquet")
        write_geojson(two, tmp_path / f"{name}.geojson")
    for ending in ("parquet", "geojson"):
        assert (tmp_path / f"one.{ending}").read_bytes() == (tmp_path / f"other.{ending}").read_bytes()


def test_geojson_holds_the_same_boxes_and_stands_alone(two: list[MappedObject], tmp_path: Path) -> None:
    write_geojson(two, tmp_path / "vessels.geojson")
    write_geoparquet(two, tmp_path / "vessels.parquet")
    features = json.loads((tmp_path / "vessels.geojson").read_text())["features"]
    frame = gpd.read_parquet(tmp_path / "vessels.parquet")
    for feature, box in zip(features, frame.geometry, strict=True):
        assert shapely.equals_exact(
            shapely.from_geojson(json.dumps(feature["geometry"])), box, tolerance=1e-9
        )
    chip = features[0]["properties"]["chip"]
    assert base64.b64decode(chip.removeprefix("data:image/png;base64,")) == PNG
    assert math.isclose(features[1]["properties"]["heading_deg"], two[1].heading_deg, abs_tol=0.05)


def test_gdal_reads_both_files_also_when_nothing_was_found(two: list[MappedObject], tmp_path: Path) -> None:
    for name, objects in (("two", two), ("none", [])):
        write_geojson(objects, tmp_path / f"{name}.geojson")
        info = pyogrio.read_info(tmp_path / f"{name}.geojson")
        assert info["features"] == len(objects)
    frame = gpd.read_file(tmp_path / "two.geojson")
    np.testing.assert_allclose(frame.length_m, [200.0, 200.0])

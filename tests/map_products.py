"""Small finished products for tests of maps: a surface product of quality bits alone, land cover, objects."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox

from undersky import stac
from undersky.grid import Floats, Grid, footprint_lonlat
from undersky.quality import Quality, QualityBits
from undersky.raster.cog import write_cog
from undersky.raster.commit import sha256_of
from undersky.raster.encoding import COVER, COVER_CONFIDENCE, QUALITY, encode
from undersky.raster.joined import FlagCounter
from undersky.stac.maps import MapFile, MapProduct, map_item
from undersky.validation.rules import Facts, Rule, Severity

SIDE = 120
GRID: Grid = GeoBox((SIDE, SIDE), Affine(10, 0, 600_000, 0, -10, 5_100_000), "EPSG:32632")
SURFACE = "S2B_32TQM_20250613T101559_SR_0a1b2c3d"
DIGEST = hashlib.sha256(b"a surface product").hexdigest()
MODEL = {"name": "landcover", "version": "1", "digest": "5" * 64}
PNG = b"\x89PNG\r\n\x1a\n a picture"


def bits(**rows: slice) -> QualityBits:
    """Quality bits of the small scene: the rows of each flag, `water=slice(0, 40)`."""
    found = np.zeros((SIDE, SIDE), dtype=np.uint16)
    for name, where in rows.items():
        found[where] |= np.uint16(Quality[name.upper()])
    return found


def put_surface(out: Path, quality: QualityBits | None = None) -> Path:
    """A folder with the Item of a surface product and its quality layer."""
    folder = out / SURFACE
    folder.mkdir(parents=True)
    quality = bits() if quality is None else quality
    path = folder / "quality.tif"
    write_cog(path, quality, grid=GRID, layer=QUALITY)
    flags = FlagCounter()
    flags.add(quality)
    ring = footprint_lonlat(GRID)
    item = {
        "type": "Feature", "stac_version": "1.1.0", "stac_extensions": [], "id": SURFACE,
        "geometry": json.loads(shapely.to_geojson(shapely.Polygon(ring))),
        "bbox": list(shapely.Polygon(ring).bounds), "links": [], "collection": "sentinel-2-sr",
        "properties": {
            "datetime": "2025-06-13T10:15:59Z", "platform": "sentinel-2b", "proj:code": "EPSG:32632",
            "undersky:digest": DIGEST, "undersky:quality_percent": dict(flags.percent()),
        },
        "assets": {
            "quality": {
                "href": "./quality.tif", "type": "image/tiff", "roles": ["metadata", "quality"],
                "proj:shape": [SIDE, SIDE], "proj:transform": list(GRID.affine)[:6],
                "file:size": path.stat().st_size, "file:checksum": f"1220{sha256_of(path)}",
            }
        },
    }  # fmt: skip
    (folder / f"{SURFACE}.json").write_text(json.dumps(item))
    return folder


def item_of(folder: Path) -> dict:
    """The Item in the folder of a product."""
    return json.loads((folder / f"{folder.name}.json").read_text())


def landscape() -> np.ndarray:
    """Class codes of the small scene: forest, fields, a town, a lake."""
    codes = np.full((SIDE, SIDE), 10, dtype=np.uint8)
    codes[40:80], codes[80:100], codes[100:] = 40, 50, 80
    return codes


def put_cover(
    out: Path, surface: Path, codes: np.ndarray | None = None, confidence: Floats | None = None
) -> Path:
    """A folder with a land-cover map of the surface product."""
    codes = landscape() if codes is None else codes
    sure = np.full(codes.shape, 0.8, dtype=np.float32) if confidence is None else confidence
    digest = hashlib.sha256(codes.tobytes() + sure.tobytes()).hexdigest()
    folder = out / f"{SURFACE.rpartition('_SR_')[0]}_LC_{digest[:8]}"
    folder.mkdir(parents=True)
    sure = np.where(codes == 0, np.nan, sure)
    stored = {COVER: codes, COVER_CONFIDENCE: encode(sure, COVER_CONFIDENCE)}
    for layer, pixels in stored.items():
        write_cog(folder / f"{layer.key}.tif", pixels, grid=GRID, layer=layer)
    layers = tuple(
        stac.WrittenLayer(layer, GRID, stac.WrittenFile.of(folder / f"{layer.key}.tif")) for layer in stored
    )
    return _described(folder, surface, "sentinel-2-landcover", digest=digest, layers=layers)


def put_objects(out: Path, surface: Path, objects: Sequence[Mapping[str, object]] = ()) -> Path:
    """A folder with the objects of a surface product, each with `row`, `col` and what differs from a ship."""
    digest = hashlib.sha256(repr(objects).encode()).hexdigest()
    folder = out / f"{SURFACE.rpartition('_SR_')[0]}_VESSELS_{digest[:8]}"
    folder.mkdir(parents=True)
    table = [ship(**each) for each in objects]
    write_objects(folder, table)
    files = (
        MapFile("vessels", stac.WrittenFile.of(folder / "vessels.parquet"), PARQUET, "Vessels, GeoParquet"),
        MapFile(
            "vessels_geojson",
            stac.WrittenFile.of(folder / "vessels.geojson"),
            "application/geo+json",
            "Vessels, GeoJSON",
        ),
    )
    return _described(folder, surface, "sentinel-2-vessels", digest=digest, files=files)


PARQUET = "application/vnd.apache.parquet"
COLUMNS = ("geometry", "score", "length_m", "width_m", "heading_deg", "x", "y", "crs", "chip")


def write_objects(folder: Path, table: Sequence[Mapping[str, object]]) -> None:
    """GeoParquet and GeoJSON of these rows, by geopandas."""
    import geopandas

    columns = {name: [row[name] for row in table] for name in COLUMNS}
    if not table:
        numbers = COLUMNS[1:7]
        columns |= {name: pd.Series(columns[name], dtype="float64") for name in numbers}
    frame = geopandas.GeoDataFrame(columns, geometry="geometry", crs="EPSG:4326")
    frame.to_parquet(folder / "vessels.parquet", index=False)
    features = [
        {
            "type": "Feature",
            "geometry": json.loads(shapely.to_geojson(row["geometry"])),
            "properties": {"score": row["score"], "length_m": row["length_m"]},
        }
        for row in table
    ]
    document = {"type": "FeatureCollection", "features": features}
    (folder / "vessels.geojson").write_text(json.dumps(document))


def ship(row: float, col: float, **changes: object) -> dict[str, object]:
    """A ship of 60 m by 20 m, its centre at that pixel."""
    from pyproj import Transformer

    x, y = GRID.affine @ (col + 0.5, row + 0.5)
    corners = [(x - 30, y - 10), (x + 30, y - 10), (x + 30, y + 10), (x - 30, y + 10)]
    to_degrees = Transformer.from_crs("EPSG:32632", "EPSG:4326", always_xy=True)
    box = shapely.Polygon([to_degrees.transform(*corner) for corner in corners])
    known = {"geometry": box, "score": 0.9, "length_m": 60.0, "width_m": 20.0, "heading_deg": 90.0}
    return {**known, "x": x, "y": y, "crs": "EPSG:32632", "chip": PNG, **changes}


def _described(
    folder: Path,
    surface: Path,
    collection: str,
    *,
    digest: str,
    layers: tuple[stac.WrittenLayer, ...] = (),
    files: tuple[MapFile, ...] = (),
) -> Path:
    """The folder, with thumbnail and Item."""
    picture = folder / "thumbnail.png"
    picture.write_bytes(PNG)
    product = MapProduct(
        id=folder.name,
        surface=item_of(surface),
        collection=collection,
        title="A map",
        layers=layers,
        files=files,
        thumbnail=stac.WrittenFile.of(picture),
        model=MODEL,
        parameters={},
        digest=digest,
        cost=stac.Cost(1.0, 2.0, "a-run", datetime(2026, 1, 1, tzinfo=UTC)),
        summary={"tree_cover": 33.0},
    )
    (folder / f"{folder.name}.json").write_text(stac.to_json(map_item(product)))
    return folder


def broken_codes(rules: Sequence[Rule], facts: Facts, *, least: Severity) -> set[str]:
    """Codes of the rules that the facts break: the tables alone, without Great Expectations."""
    return {rule.code for rule in rules if rule.severity >= least and _breaks(rule, facts)}


def _breaks(rule: Rule, facts: Facts) -> bool:
    rows = (facts.scene,) if rule.about == "scene" else facts.bands
    values = [row[rule.column] for row in rows if not pd.isna(row.get(rule.column))]
    if rule.one_of:
        return any(value not in rule.one_of for value in values)
    low, high = (-np.inf if rule.low is None else rule.low), (np.inf if rule.high is None else rule.high)
    return any(not low <= float(value) <= high for value in values)


def edit(folder: Path, change: object) -> None:
    """The Item is changed in place."""
    item = item_of(folder)
    change(item)
    (folder / f"{folder.name}.json").write_text(json.dumps(item))


def redescribe(folder: Path, key: str) -> None:
    """The Item gives the file's present size and checksum: only its content is wrong."""
    path = folder / item_of(folder)["assets"][key]["href"].removeprefix("./")
    new = {"file:size": path.stat().st_size, "file:checksum": f"1220{sha256_of(path)}"}
    edit(folder, lambda item: item["assets"][key].update(new))

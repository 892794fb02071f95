"""Items in the dialects of the providers.

Sources: Items of stac.dataspace.copernicus.eu/v1 (as made by eu-cdse/eometadatatool), of Earth Search v1 and
of landsatlook.usgs.gov/stac-server, each for its Level-1 collection. Fields of projection are left out.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from upstream.describe import Description
from upstream.products import Checksums, Product, tile_key

Item = dict[str, object]

EARTH_SEARCH_BANDS = {
    "coastal": "B01",
    "blue": "B02",
    "green": "B03",
    "red": "B04",
    "rededge1": "B05",
    "rededge2": "B06",
    "rededge3": "B07",
    "nir": "B08",
    "nir08": "B8A",
    "nir09": "B09",
    "cirrus": "B10",
    "swir16": "B11",
    "swir22": "B12",
    "visual": "TCI",
}
LANDSAT_ASSETS = {
    "coastal": "B1.TIF",
    "blue": "B2.TIF",
    "green": "B3.TIF",
    "red": "B4.TIF",
    "nir08": "B5.TIF",
    "swir16": "B6.TIF",
    "swir22": "B7.TIF",
    "pan": "B8.TIF",
    "cirrus": "B9.TIF",
    "lwir11": "B10.TIF",
    "lwir12": "B11.TIF",
    "qa_pixel": "QA_PIXEL.TIF",
    "qa_radsat": "QA_RADSAT.TIF",
    "VAA": "VAA.TIF",
    "VZA": "VZA.TIF",
    "SAA": "SAA.TIF",
    "SZA": "SZA.TIF",
    "ANG.txt": "ANG.txt",
    "MTL.txt": "MTL.txt",
    "MTL.xml": "MTL.xml",
    "MTL.json": "MTL.json",
}
_MD5, _SHA512 = "d50110", "1340"
"""Multihash: code of the algorithm and length of the digest."""


@dataclass(frozen=True, slots=True)
class Announced:
    """A product with what is needed to announce it."""

    product: Product
    description: Description
    sequence: int
    """Counts products of one platform, tile and day, the oldest delivery first."""
    zip: Path | None
    """What the Copernicus Data Space would deliver."""
    files: Mapping[str, Path]
    """Objects of the bucket layout, by key."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """A provider as the archive plays it."""

    key: str
    """Where it is mounted."""
    title: str
    collection: str
    make: Callable[[Announced, str, Checksums], Item | None]
    """The Item, or None of products this provider does not have."""


def copernicus(announced: Announced, base: str, checksums: Checksums) -> Item | None:
    """As the Copernicus Data Space has it: the SAFE as a zip, with size and MD5."""
    product, known = announced.product, announced.description
    if product.is_landsat or announced.zip is None:
        return None
    name, served = product.name, checksums.of(announced.zip)
    version = f"{name['baseline'][:2]}.{name['baseline'][2:]}"
    properties = _times(announced) | {
        "start_datetime": _iso(known.sensed),
        "end_datetime": _iso(known.sensed),
        "platform": f"sentinel-{name['platform'][1:].lower()}",
        "constellation": "sentinel-2",
        "instruments": ["msi"],
        "processing:level": "L1",
        "processing:datetime": _iso(known.made),
        "processing:version": version,
        "product:type": "S2MSI1C",
        "grid:code": f"MGRS-{name['tile']}",
        "eopf:datastrip_id": known.datastrip,
        "eopf:datatake_id": f"G{name['platform']}_{name['datatake']}_000000_N{version}",
        "eopf:instrument_mode": "INS-NOBS",
    }
    zipped = {
        "type": "application/zip",
        "title": "Zipped product",
        "roles": ["data", "metadata", "archive"],
        "file:size": served.size,
        "file:checksum": f"{_MD5}{served.md5}",
        "file:local_path": f"{product.scene}.SAFE.zip",
        "href": f"{base}/odata/v1/Products({quote(product.scene)})/$value",
        "auth:refs": ["oidc"],
    }
    return _item(product.scene, "sentinel-2-l1c", announced, properties, {"Product": zipped})


def earth_search(announced: Announced, base: str, checksums: Checksums) -> Item | None:  # noqa: ARG001
    """As Earth Search has it: the tile's files in the bucket, without sizes and checksums."""
    product, known = announced.product, announced.description
    if product.is_landsat or not announced.files:
        return None
    name, key = product.name, tile_key(product, known.sensed, announced.sequence)
    tile, baseline = name["tile"], f"{name['baseline'][:2]}.{name['baseline'][2:]}"
    properties = _times(announced) | {
        "platform": f"sentinel-{name['platform'][1:].lower()}",
        "constellation": "sentinel-2",
        "instruments": ["msi"],
        "mgrs:utm_zone": int(tile[:2]),
        "mgrs:latitude_band": tile[2],
        "mgrs:grid_square": tile[3:],
        "grid:code": f"MGRS-{tile}",
        "s2:product_type": "S2MSI1C",
        "s2:processing_baseline": baseline,
        "s2:product_uri": f"{product.scene}.SAFE",
        "s2:generation_time": _iso(known.made),
        "s2:datatake_id": f"G{name['platform']}_{name['datatake']}_000000_N{baseline}",
        "s2:datastrip_id": known.datastrip,
        "s2:sequence": str(announced.sequence),
    }
    wanted = {asset: f"{key}/{band}.jp2" for asset, band in EARTH_SEARCH_BANDS.items()}
    wanted |= {"granule_metadata": f"{key}/metadata.xml", "tileinfo_metadata": f"{key}/tileInfo.json"}
    assets = {
        asset: {"href": f"{base}/files/{quote(path)}", "roles": ["data"]}
        for asset, path in wanted.items()
        if path in announced.files
    }
    number = f"{name['platform']}_{tile}_{known.sensed:%Y%m%d}_{announced.sequence}_L1C"
    return _item(number, "sentinel-2-l1c", announced, properties, assets)


def landsatlook(announced: Announced, base: str, checksums: Checksums) -> Item | None:
    """As LandsatLook has it: each file of the product, with size and SHA-512."""
    product = announced.product
    if not product.is_landsat:
        return None
    name = product.name
    properties = _times(announced) | {
        "platform": f"LANDSAT_{int(name['platform'][2:])}",
        "instruments": ["OLI", "TIRS"] if name["platform"][1] == "C" else ["TM"],
        "view:off_nadir": 0,
        "landsat:wrs_type": "2",
        "landsat:wrs_path": name["path"],
        "landsat:wrs_row": name["row"],
        "landsat:collection_category": name["tier"],
        "landsat:collection_number": name["collection"],
        "landsat:correction": name["level"],
    }
    assets: dict[str, object] = {}
    for path, file in sorted(announced.files.items()):
        asset = _landsat_asset(file.name)
        if asset is None or asset in assets:
            continue
        served = checksums.of(file)
        assets[asset] = {
            "href": f"{base}/data/{quote(path)}",
            "file:size": served.size,
            "file:checksum": f"{_SHA512}{served.sha512}",
            "alternate": {"s3": {"storage:requester_pays": True, "href": f"s3://usgs-landsat/{path}"}},
            "roles": ["data"],
        }
    return _item(product.scene, "landsat-c2l1", announced, properties, assets)


DIALECTS = {
    dialect.key: dialect
    for dialect in (
        Dialect("cdse", "Copernicus Data Space, played", "sentinel-2-l1c", copernicus),
        Dialect("earth-search", "Earth Search, played", "sentinel-2-l1c", earth_search),
        Dialect("landsatlook", "LandsatLook, played", "landsat-c2l1", landsatlook),
    )
}


def _landsat_asset(name: str) -> str | None:
    return next((asset for asset, end in LANDSAT_ASSETS.items() if name.endswith(f"_{end}")), None)


def _times(announced: Announced) -> Item:
    known = announced.description
    values: Item = {
        "datetime": _iso(known.sensed),
        "created": _iso(known.made),
        "updated": _iso(known.made),
        "eo:cloud_cover": known.cloud_percent,
        "view:sun_elevation": known.sun_elevation,
    }
    return {key: value for key, value in values.items() if value is not None}


def _item(
    id_: str, collection: str, announced: Announced, properties: Item, assets: Mapping[str, object]
) -> Item:
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [],
        "id": id_,
        "collection": collection,
        "geometry": announced.description.geometry,
        "bbox": list(announced.description.bbox),
        "properties": properties,
        "links": [],
        "assets": dict(assets),
    }


def _iso(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.") + f"{time.microsecond:06d}Z"

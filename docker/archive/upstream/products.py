"""Which products lie in a folder, and which files each provider would serve of them."""

import hashlib
import json
import os
import re
import shutil
import threading
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

SENTINEL2 = re.compile(
    r"(?P<platform>S2[A-Z])_MSIL1C_(?P<datatake>\d{8}T\d{6})_N(?P<baseline>\d{4})_R\d{3}_T(?P<tile>\d\d[A-Z]{3})"
    r"_(?P<made>\d{8}T\d{6})"
)
LANDSAT = re.compile(
    r"(?P<platform>L[COTEM]\d\d)_(?P<level>L[12]\w\w)_(?P<path>\d{3})(?P<row>\d{3})_(?P<day>\d{8})"
    r"_(?P<made>\d{8})_(?P<collection>\d\d)_(?P<tier>RT|T1|T2|A1|A2)"
)
_PRODUCT_NAME = re.compile(rb"LANDSAT_PRODUCT_ID = \"(\w+)\"|<PRODUCT_URI>([\w.]+)</PRODUCT_URI>")
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)
_READ = 1 << 20
_NEW_NAMES = "0400"
_MOST_DEPTH = 12


@dataclass(frozen=True, slots=True)
class Product:
    """One product of the folder."""

    scene: str
    """Product identifier."""
    layout: str
    """`safe`, `zip`, `tile` or `landsat`."""
    path: Path
    """Folder or archive."""
    changed: float
    """Time of its last change, seconds since 1970."""

    @property
    def is_landsat(self) -> bool:
        """A Landsat, else a Sentinel-2."""
        return self.layout == "landsat"

    @property
    def name(self) -> Mapping[str, str]:
        """What its identifier says, by part."""
        match = (LANDSAT if self.is_landsat else SENTINEL2).fullmatch(self.scene)
        return match.groupdict() if match else {}


@dataclass(frozen=True, slots=True)
class Served:
    """One file as an Item announces it."""

    size: int
    md5: str
    sha512: str


def find_products(folders: tuple[Path, ...]) -> list[Product]:
    """Every product below the folders, one of each identifier: the first by path."""
    found: dict[str, Product] = {}
    for folder in folders:
        for product in sorted(_below(folder, 0), key=lambda product: str(product.path)):
            found.setdefault(product.scene, product)
    return list(found.values())


def _below(folder: Path, depth: int) -> Iterator[Product]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:  # moved away while we looked
        return
    for entry in entries:
        path = Path(entry.path)
        if entry.name.startswith(".") or entry.name.endswith(".truth"):
            continue
        if entry.is_file() and path.suffix == ".zip" and SENTINEL2.fullmatch(_stem(path)):
            yield Product(_stem(path), "zip", path, entry.stat().st_mtime)
        elif entry.is_dir():
            product = _product(path)
            if product is not None:
                yield product
            elif depth < _MOST_DEPTH:
                yield from _below(path, depth + 1)


def _stem(path: Path) -> str:
    return path.name.removesuffix(".zip").removesuffix(".SAFE")


def _product(path: Path) -> Product | None:
    changed = path.stat().st_mtime
    if path.name.endswith(".SAFE"):
        named = SENTINEL2.fullmatch(_stem(path)) is not None
        return Product(_stem(path), "safe", path, changed) if named else None
    if (path / "metadata.xml").is_file() and (path / "tileInfo.json").is_file():
        scene = _tile_scene(path)
        return Product(scene, "tile", path, changed) if scene else None
    if LANDSAT.fullmatch(path.name):
        return Product(path.name, "landsat", path, changed)
    for mtl in sorted(path.glob("*_MTL.txt")):
        found = _PRODUCT_NAME.search(mtl.read_bytes()[:_READ])
        if found and found[1] and LANDSAT.fullmatch(found[1].decode()):
            return Product(found[1].decode(), "landsat", path, changed)
    return None


def _tile_scene(path: Path) -> str | None:
    try:
        name = str(json.loads((path / "tileInfo.json").read_text(encoding="utf-8")).get("productName", ""))
    except (OSError, ValueError, AttributeError):
        return None
    return name if SENTINEL2.fullmatch(name) else None


def tile_key(product: Product, sensed: datetime, sequence: int) -> str:
    """`tiles/32/T/QM/2025/6/19/0`, as the bucket of AWS names a tile's folder."""
    tile = product.name["tile"]
    day = f"{sensed.year}/{sensed.month}/{sensed.day}"
    return f"tiles/{int(tile[:2])}/{tile[2]}/{tile[3:]}/{day}/{sequence}"


def product_key(product: Product) -> str:
    """`products/2025/6/19/<scene>/metadata.xml`."""
    day = datetime.strptime(product.name["datatake"], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    return f"products/{day.year}/{day.month}/{day.day}/{product.scene}/metadata.xml"


def bucket_files(product: Product, key: str, cache: Path) -> dict[str, Path]:
    """Every object of a Sentinel-2 product in the layout of AWS; none of a zip."""
    if product.layout == "tile":
        files = {
            f"{key}/{file.relative_to(product.path).as_posix()}": file
            for file in product.path.rglob("*")
            if file.is_file() and file.name != "MTD_MSIL1C.xml"
        }
        product_xml = [product.path / "MTD_MSIL1C.xml"]
    elif product.layout == "safe":
        files = _from_safe(product.path, key, is_old=product.name["baseline"] < _NEW_NAMES)
        files[f"{key}/tileInfo.json"] = _tile_info(product, key, cache)
        product_xml = [product.path / "MTD_MSIL1C.xml"]
    else:
        return {}
    files.update({product_key(product): file for file in product_xml if file.is_file()})
    return files


def _from_safe(root: Path, key: str, *, is_old: bool) -> dict[str, Path]:
    files = {}
    for file in root.glob("GRANULE/*/**/*"):
        if not file.is_file():
            continue
        folder = file.parent.name
        if file.name == "MTD_TL.xml":
            files[f"{key}/metadata.xml"] = file
        elif folder == "IMG_DATA":
            files[f"{key}/{file.name.rpartition('_')[2]}"] = file
        elif folder == "QI_DATA" and file.suffix in (".jp2", ".gml"):
            # the bucket drops MSK_ from raster masks and keeps it for vector masks
            name = file.name.removeprefix("MSK_") if file.suffix == ".jp2" else _vector_mask(file.name)
            files[f"{key}/qi/{name}"] = file
        elif folder == "AUX_DATA":
            name = file.name.removeprefix("AUX_") if is_old else file.name
            files[f"{key}/auxiliary/{name}"] = file
    return files


def _vector_mask(name: str) -> str:
    """`MSK_CLOUDS_B00.gml` of `S2A_OPER_MSK_CLOUDS_..._B00_MSIL1C.gml`."""
    found = re.search(r"MSK_([A-Z]{6})_(?:.*_)?(B\d[\dA])", name)
    return f"MSK_{found[1]}_{found[2]}.gml" if found else name


def _tile_info(product: Product, key: str, cache: Path) -> Path:
    tile = product.name["tile"]
    info = {
        "path": key,
        "utmZone": int(tile[:2]),
        "latitudeBand": tile[2],
        "gridSquare": tile[3:],
        "productName": product.scene,
        "productPath": product_key(product).rpartition("/")[0],
    }
    path = cache / f"{product.scene}-tileInfo.json"
    text = json.dumps(info, indent=1)
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        part = path.with_suffix(".part")
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    return path


def landsat_key(product: Product) -> str:
    """`collection02/level-1/standard/oli-tirs/2025/192/029/<scene>`, as the USGS names a folder."""
    name = product.name
    place = f"{name['day'][:4]}/{name['path']}/{name['row']}"
    return f"collection02/level-1/standard/oli-tirs/{place}/{product.scene}"


def landsat_files(product: Product) -> dict[str, Path]:
    """Every object of a Landsat product."""
    key = landsat_key(product)
    return {f"{key}/{file.name}": file for file in sorted(product.path.iterdir()) if file.is_file()}


class Zips:
    """Zips of SAFE folders, made once and kept."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._lock = threading.Lock()

    def zip_of(self, product: Product) -> Path | None:
        """The product as the Copernicus Data Space delivers it; None of a tile folder."""
        if product.layout == "zip":
            return product.path
        if product.layout != "safe":
            return None
        target = self._cache / f"{product.scene}-{int(product.changed)}.zip"
        with self._lock:
            if not target.is_file():
                part = target.with_suffix(".part")
                _write_zip(product.path, part)
                part.replace(target)
        return target


def _write_zip(root: Path, target: Path) -> None:
    """Equal folders give equal zips, so that checksums survive a restart."""
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(path for path in root.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(f"{root.name}/{path.relative_to(root).as_posix()}", _ZIP_TIME)
            entry.external_attr = 0o644 << 16
            with path.open("rb") as source, archive.open(entry, "w", force_zip64=True) as sink:
                shutil.copyfileobj(source, sink, _READ)


class Checksums:
    """Sizes and checksums of files, computed once for each state of a file."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int, int], Served] = {}

    def of(self, path: Path) -> Served:
        """Those of one file."""
        stat = path.stat()
        key = (str(path), stat.st_size, stat.st_mtime_ns)
        if key not in self._known:
            md5, sha512 = hashlib.md5(usedforsecurity=False), hashlib.sha512()
            with path.open("rb") as stream:
                while block := stream.read(_READ):
                    md5.update(block)
                    sha512.update(block)
            self._known[key] = Served(stat.st_size, md5.hexdigest(), sha512.hexdigest())
        return self._known[key]

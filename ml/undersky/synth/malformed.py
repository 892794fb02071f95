"""Hostile and damaged products, each made in moments from a good one, with the reason for its refusal.

    good product --hard links--> copy --one harm--> malformed product      MALFORMED[kind].reason

The good product is never touched: a file is unlinked from it before it is changed.
"""

import os
import shutil
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import rasterio
from rasterio.transform import Affine

from undersky.errors import ConfigError, Reason
from undersky.synth.safe_variants import zip_safe

_GIGAPIXEL_SIDE = 131_072
_LAUGHS = 9
_BOMB_MIB = 80


@dataclass(frozen=True, slots=True)
class Malformation:
    """One way to spoil a product."""

    family: str
    """`sentinel-2` (made from a SAFE folder of baseline 04.00 or later) or `landsat` (from a folder)."""
    reason: Reason
    """What a reader must refuse it for."""
    sentence: str
    """What is wrong with it."""
    harm: Callable[[Path], Path]
    """Spoils the linked copy at that path and returns the product, the same path or an archive beside it."""


def malform(product: Path, kind: str, *, out: Path) -> Path:
    """The product with that kind of damage, under its own name in the folder `<out>/<kind>`.

    Args:
        product: A good product as a folder; it stays as it is.
        kind: One of MALFORMED.
        out: Where to put it: on the same file system hard links make it cheap.

    Raises:
        ConfigError: No such kind, or one for the other family of sensors.
    """
    if kind not in MALFORMED:
        raise ConfigError(f"{kind!r} is no kind of malformed product; choose one of {' '.join(MALFORMED)}")
    wanted = MALFORMED[kind].family
    if not product.is_dir() or (wanted == "sentinel-2") != product.name.endswith(".SAFE"):
        raise ConfigError(f"{kind} is made from a {wanted} folder; {product.name} is none")
    copy = out / kind / product.name
    shutil.rmtree(copy.parent, ignore_errors=True)
    shutil.copytree(product, copy, copy_function=_link)
    return MALFORMED[kind].harm(copy)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)


def _rewrite(path: Path, content: bytes) -> None:
    """Replaces the link, so that the good product keeps its file."""
    path.unlink()
    path.write_bytes(content)


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    if old not in text:
        raise ConfigError(f"{path.name} holds no {old!r}: this product cannot be spoilt that way")
    _rewrite(path, text.replace(old, new).encode())


def _band(root: Path, name: str) -> Path:
    return next(iter([*root.glob(f"GRANULE/*/IMG_DATA/*_{name}.jp2"), *root.glob(f"*_{name}.TIF")]))


def _bands(root: Path) -> Iterable[Path]:
    return [*root.glob("GRANULE/*/IMG_DATA/*.jp2"), *root.glob("*_B*.TIF")]


def _truncated(name: str) -> Callable[[Path], Path]:
    def harm(root: Path) -> Path:
        path = _band(root, name)
        content = path.read_bytes()
        _rewrite(path, content[: len(content) * 6 // 10])
        return root

    return harm


def _missing(name: str) -> Callable[[Path], Path]:
    def harm(root: Path) -> Path:
        _band(root, name).unlink()
        return root

    return harm


def _swapped(one: str, other: str) -> Callable[[Path], Path]:
    def harm(root: Path) -> Path:
        first, second = _band(root, one), _band(root, other)
        spare = first.with_name("spare")
        first.rename(spare)
        second.rename(first)
        spare.rename(second)
        return root

    return harm


def _regridded(name: str, *, zones: int = 0, shift_m: float = 0.0) -> Callable[[Path], Path]:
    """The band rewritten in a neighbouring UTM zone, or moved to the east."""

    def harm(root: Path) -> Path:
        path = _band(root, name)
        with rasterio.open(path) as raster:
            samples, profile = raster.read(), raster.profile
        profile["crs"] = f"EPSG:{profile['crs'].to_epsg() + zones}"
        profile["transform"] = Affine.translation(shift_m, 0) @ profile["transform"]
        path.unlink()
        with rasterio.open(path, "w", **profile, **_lossless(path)) as raster:
            raster.write(samples)
        return root

    return harm


def _lossless(path: Path) -> Mapping[str, object]:
    return {"quality": 100, "reversible": "YES"} if path.suffix == ".jp2" else {}


def _all_nodata(root: Path) -> Path:
    for path in _bands(root):
        with rasterio.open(path) as raster:
            profile = raster.profile
        path.unlink()
        with rasterio.open(path, "w", **profile, **_lossless(path)) as raster:
            raster.write(np.zeros((profile["count"], profile["height"], profile["width"]), profile["dtype"]))
    return root


def _offsets(value: int) -> Callable[[Path], Path]:
    def harm(root: Path) -> Path:
        _edit(root / "MTD_MSIL1C.xml", ">-1000</RADIO_ADD_OFFSET>", f">{value}</RADIO_ADD_OFFSET>")
        return root

    return harm


def _without_offsets(root: Path) -> Path:
    path = root / "MTD_MSIL1C.xml"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines if "RADIO_ADD_OFFSET" not in line and "Radiometric_Offset" not in line]
    _rewrite(path, "".join(kept).encode())
    return root


def _tile_metadata(root: Path) -> Path:
    return next(root.glob("GRANULE/*/MTD_TL.xml"))


def _expanding(root: Path) -> Path:
    """Nested entities that would expand to gigabytes ("a billion laughs")."""
    laughs = [f'<!ENTITY l{n + 1} "{f"&l{n};" * 10}">' for n in range(_LAUGHS)]
    return _with_entities(root, f'<!ENTITY l0 "lol">{"".join(laughs)}', used=f"l{_LAUGHS}")


def _external_entity(root: Path) -> Path:
    """An entity that would read a file of the machine."""
    return _with_entities(root, '<!ENTITY secret SYSTEM "file:///etc/hostname">', used="secret")


def _with_entities(root: Path, entities: str, *, used: str) -> Path:
    path = _tile_metadata(root)
    head, body = path.read_text(encoding="utf-8").split("?>", 1)
    doctype = f"\n<!DOCTYPE tile [{entities}]>"
    _rewrite(path, f"{head}?>{doctype}{body.replace('NOMINAL', f'&{used};', 1)}".encode())
    return root


def _broken_xml(root: Path) -> Path:
    path = _tile_metadata(root)
    _rewrite(path, path.read_bytes()[:20_000])
    return root


def _without_tile_metadata(root: Path) -> Path:
    _tile_metadata(root).unlink()
    return root


def _gigapixel_jp2(root: Path) -> Path:
    """A small file whose header claims 17 gigapixels."""
    path = _band(root, "B02")
    content = bytearray(path.read_bytes())
    side = _GIGAPIXEL_SIDE.to_bytes(4, "big")
    box = content.index(b"ihdr") + 4
    content[box : box + 8] = side + side
    marker = content.index(b"\xff\x4f\xff\x51") + 8  # SOC, SIZ, its length and capabilities
    content[marker : marker + 8] = side + side
    tile = marker + 16
    content[tile : tile + 8] = (1024).to_bytes(4, "big") * 2
    _rewrite(path, bytes(content))
    return root


def _gigapixel_tif(root: Path) -> Path:
    """A sparse file of a few kilobytes whose header claims 17 gigapixels."""
    path = _band(root, "B2")
    with rasterio.open(path) as raster:
        crs, transform = raster.crs, raster.transform
    path.unlink()
    side = {"width": _GIGAPIXEL_SIDE, "height": _GIGAPIXEL_SIDE}
    tiles = {"tiled": True, "blockxsize": 8192, "blockysize": 8192, "sparse_ok": True, "bigtiff": "YES"}
    options = {"driver": "GTiff", "count": 1, "dtype": "uint16", "crs": crs, "transform": transform}
    with rasterio.open(path, "w", **options, **side, **tiles):
        pass
    return root


def _vrt(name: str) -> Callable[[Path], Path]:
    """A virtual raster under an image's name, which would make GDAL open whatever file it names."""

    def harm(root: Path) -> Path:
        path = _band(root, name)
        with rasterio.open(path) as raster:
            rows, cols = raster.shape
        text = (
            f'<VRTDataset rasterXSize="{cols}" rasterYSize="{rows}">'
            '<VRTRasterBand dataType="UInt16" band="1"><SimpleSource>'
            "<SourceFilename>/etc/hostname</SourceFilename><SourceBand>1</SourceBand>"
            "</SimpleSource></VRTRasterBand></VRTDataset>\n"
        )
        _rewrite(path, text.encode())
        return root

    return harm


def _zipped(root: Path) -> Path:
    archive = zip_safe(root, root.with_suffix(".zip"))
    shutil.rmtree(root)
    return archive


def _climbing_zip(root: Path) -> Path:
    archive = _zipped(root)
    with zipfile.ZipFile(archive, "a") as stream:
        stream.writestr(zipfile.ZipInfo("../../climbed.txt"), "out of the box")
    return archive


def _exploding_zip(root: Path) -> Path:
    archive = _zipped(root)
    with zipfile.ZipFile(archive, "a") as stream:
        stream.writestr(
            zipfile.ZipInfo(f"{root.name}/HTML/bomb.html"), bytes(_BOMB_MIB << 20), zipfile.ZIP_DEFLATED
        )
    return archive


def _truncated_zip(root: Path) -> Path:
    archive = _zipped(root)
    content = archive.read_bytes()
    archive.write_bytes(content[: len(content) // 2])
    return archive


_S2, _OLI = "sentinel-2", "landsat"

MALFORMED: Mapping[str, Malformation] = MappingProxyType(
    {
        "truncated_jp2": Malformation(
            _S2, Reason.RASTER_TRUNCATED, "B04 ends in the middle", _truncated("B04")
        ),
        "missing_band": Malformation(_S2, Reason.BAND_MISSING, "B08 is not there", _missing("B08")),
        "swapped_band": Malformation(
            _S2, Reason.BAND_SWAPPED, "B02 and B08 have exchanged names", _swapped("B02", "B08")
        ),
        "wrong_crs": Malformation(
            _S2, Reason.CRS_MISMATCH, "B02 lies in the next UTM zone", _regridded("B02", zones=1)
        ),
        "shifted_band": Malformation(
            _S2, Reason.GRID_MISMATCH, "B03 lies a kilometre to the east", _regridded("B03", shift_m=1000.0)
        ),
        "all_nodata": Malformation(_S2, Reason.ALL_NODATA, "every pixel is zero", _all_nodata),
        "contradictory_offset": Malformation(
            _S2, Reason.OFFSET_CONTRADICTED, "the metadata says 0, the pixels carry 1000", _offsets(0)
        ),
        "contradictory_offset_below": Malformation(
            _S2, Reason.OFFSET_CONTRADICTED, "the metadata says -2000, the pixels carry 1000", _offsets(-2000)
        ),
        "offset_missing": Malformation(
            _S2, Reason.OFFSET_UNKNOWN, "a baseline after 04.00 without offsets", _without_offsets
        ),
        "metadata_missing": Malformation(
            _S2, Reason.METADATA_MISSING, "MTD_TL.xml is not there", _without_tile_metadata
        ),
        "metadata_broken": Malformation(
            _S2, Reason.METADATA_INVALID, "MTD_TL.xml ends in the middle", _broken_xml
        ),
        "expanding_xml": Malformation(
            _S2, Reason.METADATA_HOSTILE, "entities that expand to gigabytes", _expanding
        ),
        "external_entity": Malformation(
            _S2, Reason.METADATA_HOSTILE, "an entity that reads a file of the machine", _external_entity
        ),
        "gigapixel_jp2": Malformation(
            _S2, Reason.RASTER_TOO_LARGE, "B02 claims 17 gigapixels", _gigapixel_jp2
        ),
        "vrt_as_jp2": Malformation(
            _S2, Reason.RASTER_UNREADABLE, "B04 is a virtual raster in disguise", _vrt("B04")
        ),
        "climbing_zip": Malformation(
            _S2, Reason.ARCHIVE_UNSAFE, "an entry that climbs out of the folder", _climbing_zip
        ),
        "exploding_zip": Malformation(
            _S2, Reason.ARCHIVE_UNSAFE, "an entry that inflates a thousandfold", _exploding_zip
        ),
        "truncated_zip": Malformation(
            _S2, Reason.ARCHIVE_DAMAGED, "the archive ends in the middle", _truncated_zip
        ),
        "landsat_truncated": Malformation(
            _OLI, Reason.RASTER_TRUNCATED, "B4 ends in the middle", _truncated("B4")
        ),
        "landsat_missing_band": Malformation(_OLI, Reason.BAND_MISSING, "B5 is not there", _missing("B5")),
        "landsat_swapped_band": Malformation(
            _OLI, Reason.BAND_SWAPPED, "B3 and B9 have exchanged names", _swapped("B3", "B9")
        ),
        "landsat_wrong_crs": Malformation(
            _OLI, Reason.CRS_MISMATCH, "B2 lies in the next UTM zone", _regridded("B2", zones=1)
        ),
        "landsat_all_nodata": Malformation(_OLI, Reason.ALL_NODATA, "every pixel is zero", _all_nodata),
        "landsat_gigapixel": Malformation(
            _OLI, Reason.RASTER_TOO_LARGE, "B2 claims 17 gigapixels", _gigapixel_tif
        ),
        "landsat_vrt": Malformation(
            _OLI, Reason.RASTER_UNREADABLE, "B4 is a virtual raster in disguise", _vrt("B4")
        ),
    }
)
"""Every kind of malformed product, by its name on the command line."""

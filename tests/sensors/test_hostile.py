"""Damaged and hostile products: each ends in its own typed error, quickly and in little memory."""

import io
import os
import struct
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio

from undersky.errors import ConfigError, DataError, Reason
from undersky.sensors import open_scene, verify_pixels
from undersky.sensors.archive import open_files
from undersky.sensors.headers import check_header
from undersky.sensors.mtl import read_mtl
from undersky.sensors.safe_xml import read_xml

pytestmark = pytest.mark.faults
Make = Callable[..., Path]
GRANULE = "GRANULE/L1C_T55JEJ_A033470_20230804T002101"


def refused(path: Path) -> Reason:
    """Why opening and a look at the pixels refuse the product, within two seconds."""
    start = time.process_time()
    with pytest.raises(DataError) as caught:
        verify_pixels(open_scene(path))
    assert time.process_time() - start < 2.0
    assert len(str(caught.value)) > 40
    return caught.value.reason


def image(root: Path, band: str) -> Path:
    return next(iter([*root.glob(f"{GRANULE}/IMG_DATA/*_{band}.jp2"), *root.glob(f"*_{band}.TIF")]))


def rewrite(path: Path, **changes: object) -> None:
    with rasterio.open(path) as dataset:
        pixels, profile = dataset.read(), dataset.profile
    lossless = {"quality": 100, "reversible": "YES"} if path.suffix == ".jp2" else {}
    path.unlink()
    with rasterio.open(path, "w", **(profile | lossless | changes)) as dataset:
        dataset.write(pixels)
    path.with_name(path.name + ".aux.xml").unlink(missing_ok=True)


def zipped(root: Path, *, method: int = zipfile.ZIP_DEFLATED) -> Path:
    archive = root.with_suffix(".zip")
    with zipfile.ZipFile(archive, "w", method) as out:
        for path in sorted(root.rglob("*")):
            out.write(path, f"{root.name}/{path.relative_to(root)}")
    return archive


# ---- archives


@pytest.mark.parametrize("name", ["../../climbed.txt", "/etc/climbed", "a/../../b", "C:/windows", "a\\..\\b"])
def test_a_zip_that_climbs_out_is_refused(make_safe: Make, name: str) -> None:
    archive = zipped(make_safe(masks="none"))
    with zipfile.ZipFile(archive, "a") as out:
        info = zipfile.ZipInfo("placeholder")
        info.filename = name
        out.writestr(info, "x")
    assert refused(archive) is Reason.ARCHIVE_UNSAFE


def test_a_zip_with_a_link_is_refused(make_safe: Make) -> None:
    archive = zipped(make_safe(masks="none"))
    with zipfile.ZipFile(archive, "a") as out:
        info = zipfile.ZipInfo("link")
        info.external_attr = 0o120777 << 16
        out.writestr(info, "/etc/passwd")
    assert refused(archive) is Reason.ARCHIVE_UNSAFE


def test_a_zip_that_explodes_is_refused(make_safe: Make) -> None:
    archive = zipped(make_safe(masks="none"))
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_DEFLATED) as out:
        out.writestr("bomb.xml", bytes(100 << 20))
    assert refused(archive) is Reason.ARCHIVE_UNSAFE


def test_a_zip_whose_entries_overlap_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "overlap.zip"
    with zipfile.ZipFile(archive, "w") as out:
        out.writestr("one", b"x" * 100)
        out.writestr("two", b"y" * 100)
    data = bytearray(archive.read_bytes())
    second = data.rindex(b"PK\x01\x02")
    struct.pack_into("<I", data, second + 42, 10)  # the second entry's place is inside the first
    archive.write_bytes(data)
    assert refused(archive) is Reason.ARCHIVE_UNSAFE


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "secret.zip"
    with zipfile.ZipFile(archive, "w") as out:
        out.writestr("MTD_MSIL1C.xml", b"x" * 100)
    data = bytearray(archive.read_bytes())
    struct.pack_into("<H", data, data.rindex(b"PK\x01\x02") + 8, 1)
    archive.write_bytes(data)
    assert refused(archive) is Reason.ARCHIVE_UNSAFE


def test_a_name_twice_in_a_zip_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "twice.zip"
    with zipfile.ZipFile(archive, "w") as out:
        out.writestr("MTD_MSIL1C.xml", b"one")
        with pytest.warns(UserWarning, match="Duplicate"):
            out.writestr("MTD_MSIL1C.xml", b"two")
    assert refused(archive) is Reason.ARCHIVE_UNSAFE


@pytest.mark.parametrize("kept", [0, 10, 500, -300, -1])
def test_a_cut_zip_is_damaged(make_safe: Make, kept: int) -> None:
    archive = zipped(make_safe(masks="none"))
    archive.write_bytes(archive.read_bytes()[:kept])
    assert refused(archive) is Reason.ARCHIVE_DAMAGED


def test_flipped_bytes_in_a_zips_metadata_are_damage(make_safe: Make) -> None:
    archive = zipped(make_safe(masks="none"))
    with zipfile.ZipFile(archive) as stream:
        info = next(info for info in stream.infolist() if info.filename.endswith("MTD_TL.xml"))
    data = bytearray(archive.read_bytes())
    at = info.header_offset + 30 + len(info.filename) + 200
    data[at : at + 20] = bytes(20)
    archive.write_bytes(data)
    assert refused(archive) is Reason.ARCHIVE_DAMAGED


@pytest.mark.parametrize("kind", ["link", "climb", "device"])
def test_a_tar_with_what_is_no_plain_file_is_refused(tmp_path: Path, kind: str) -> None:
    archive = tmp_path / "bad.tar"
    info = tarfile.TarInfo("../x" if kind == "climb" else "x")
    info.type = {"link": tarfile.SYMTYPE, "climb": tarfile.REGTYPE, "device": tarfile.CHRTYPE}[kind]
    info.linkname = "/etc/passwd"
    with tarfile.open(archive, "w") as out:
        out.addfile(info, io.BytesIO(b""))
    assert refused(archive) is Reason.ARCHIVE_UNSAFE


def test_a_cut_tar_is_damaged(make_landsat: Make, tmp_path: Path) -> None:
    root, archive = make_landsat(), tmp_path / "cut.tar"
    with tarfile.open(archive, "w") as out:
        out.add(root, root.name)
    archive.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
    assert refused(archive) is Reason.ARCHIVE_DAMAGED


def test_a_compressed_tar_is_refused_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "x.tar.gz").write_bytes(b"\x1f\x8b")
    with pytest.raises(DataError, match="unpack") as caught:
        open_scene(tmp_path / "x.tar.gz")
    assert caught.value.reason is Reason.UNKNOWN_PRODUCT


def test_nothing_at_the_path_is_the_operators_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        open_scene(tmp_path / "absent")


def test_a_folder_of_something_else_is_refused_by_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(DataError, match=r"holiday\.jpg") as caught:
        open_scene(tmp_path)
    assert caught.value.reason is Reason.UNKNOWN_PRODUCT


# ---- metadata


@pytest.mark.parametrize(
    "head",
    [
        '<!DOCTYPE a [<!ENTITY l0 "lol">'
        + "".join(f'<!ENTITY l{n + 1} "{f"&l{n};" * 10}">' for n in range(9))
        + "]>",
        '<!DOCTYPE a [<!ENTITY secret SYSTEM "file:///etc/hostname">]>',
        '<!DOCTYPE a SYSTEM "http://127.0.0.1/x.dtd">',
    ],
)
@pytest.mark.parametrize("name", ["MTD_MSIL1C.xml", f"{GRANULE}/MTD_TL.xml"])
def test_xml_that_expands_or_reaches_out_is_hostile(make_safe: Make, head: str, name: str) -> None:
    root = make_safe(masks="none")
    path = root / name
    path.write_text(path.read_text().replace("?>", f"?>{head}", 1))
    assert refused(root) is Reason.METADATA_HOSTILE


def test_metadata_of_absurd_size_is_hostile(make_safe: Make) -> None:
    root = make_safe(masks="none")
    with (root / GRANULE / "MTD_TL.xml").open("r+b") as stream:
        stream.truncate(5 << 30)  # sparse: it takes no room here
    assert refused(root) is Reason.METADATA_HOSTILE


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("MTD_TL.xml", "</n1:Geometric_Info>", ""),
        ("MTD_TL.xml", "<NROWS>240</NROWS>", "<NROWS>many</NROWS>"),
        ("MTD_TL.xml", "<XDIM>10</XDIM>", "<XDIM>-10</XDIM>"),
        ("MTD_TL.xml", "EPSG:32755", "EPSG:4326"),
        ("MTD_TL.xml", "2023-08-04T00:22:51.5Z", "yesterday"),
        ("MTD_TL.xml", '<Geoposition resolution="60">', '<Geoposition resolution="70">'),
        ("MTD_TL.xml", "<VALUES>40.000000 40.100000 40.200000</VALUES>", "<VALUES>40.0 40.1</VALUES>"),
        ("MTD_TL.xml", "<VALUES>40.000000 40.100000 40.200000</VALUES>", "<VALUES>a b c</VALUES>"),
        ("MTD_TL.xml", "<VALUES>40.000000 40.100000 40.200000</VALUES>", "<VALUES>inf 1e9 3</VALUES>"),
        ("MTD_TL.xml", 'bandId="12"', 'bandId="13"'),
        ("MTD_TL.xml", "_T55JEJ_N05.09</TILE_ID>", "</TILE_ID>"),
        ("MTD_MSIL1C.xml", ">10000</QUANT", ">0</QUANT"),
        ("MTD_MSIL1C.xml", ">10000</QUANT", ">nan</QUANT"),
        ("MTD_MSIL1C.xml", 'band_id="3"', 'band_id="30"'),
        ("MTD_MSIL1C.xml", "S2B_MSIL1C_20230804T002059", "../../S2B"),
    ],
)
def test_metadata_that_makes_no_sense_is_invalid(make_safe: Make, name: str, old: str, new: str) -> None:
    root = make_safe(masks="none")
    path = root / name if name.startswith("MTD_MSI") else root / GRANULE / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    assert refused(root) is Reason.METADATA_INVALID


@pytest.mark.parametrize("name", ["MTD_MSIL1C.xml", f"{GRANULE}/MTD_TL.xml"])
def test_missing_metadata_is_named(make_safe: Make, name: str) -> None:
    root = make_safe(masks="none")
    (root / name).unlink()
    assert refused(root) is Reason.METADATA_MISSING


@pytest.mark.parametrize("content", [b"", b"\0\0\0", b"GROUP = X\n", b"\xff\xfe broken"])
def test_a_metadata_file_without_content_is_invalid(make_landsat: Make, content: bytes) -> None:
    root = make_landsat()
    (root / f"{root.name}_MTL.txt").write_bytes(content)
    assert refused(root) is Reason.METADATA_INVALID


@pytest.mark.parametrize("content", ["", "[1, 2", "[" * 100_000, '{"a": ' * 50 + "1" + "}" * 50, "[]"])
def test_json_metadata_that_makes_no_sense_is_invalid(tmp_path: Path, content: str) -> None:
    (tmp_path / "X_MTL.json").write_text(content)
    assert refused(tmp_path) is Reason.METADATA_INVALID


def test_hostile_mtl_xml_is_refused(tmp_path: Path) -> None:
    (tmp_path / "X_MTL.xml").write_text('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>')
    with pytest.raises(DataError) as caught:
        read_mtl(open_files(tmp_path), "X_MTL.xml")
    assert caught.value.reason is Reason.METADATA_HOSTILE


def test_reading_xml_never_touches_other_files(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(
        '<a xmlns:xi="http://www.w3.org/2001/XInclude"><xi:include href="b.xml"/></a>'
    )
    (tmp_path / "b.xml").write_text("<secret/>")
    assert [element.tag for element in read_xml(open_files(tmp_path), "a.xml").iter()][1:] == [
        "{http://www.w3.org/2001/XInclude}include"
    ]


# ---- rasters


@pytest.mark.parametrize("share", [0.02, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("band", ["B04", "B10"])
def test_a_cut_jp2_is_truncated(make_safe: Make, band: str, share: float) -> None:
    root = make_safe(masks="none")
    path = image(root, band)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    assert refused(root) is Reason.RASTER_TRUNCATED


def test_a_cut_jp2_inside_a_zip_is_refused(make_safe: Make) -> None:
    root = make_safe(masks="none")
    path = image(root, "B04")
    path.write_bytes(path.read_bytes()[:-3000])
    assert refused(zipped(root, method=zipfile.ZIP_STORED)) is Reason.RASTER_TRUNCATED
    assert refused(zipped(root)) in (Reason.RASTER_TRUNCATED, Reason.RASTER_UNREADABLE)


@pytest.mark.parametrize("share", [0.0005, 0.5, 0.95])
def test_a_cut_geotiff_is_truncated(make_landsat: Make, share: float) -> None:
    root = make_landsat()
    path = image(root, "B4")
    data = path.read_bytes()
    path.write_bytes(data[: max(1, int(len(data) * share))])
    assert refused(root) in (Reason.RASTER_TRUNCATED, Reason.RASTER_UNREADABLE)


@pytest.mark.parametrize("bigtiff", ["YES", "NO"])
@pytest.mark.parametrize("tiled", [True, False])
def test_every_layout_of_tiff_is_walked(tmp_path: Path, bigtiff: str, *, tiled: bool) -> None:
    path = tmp_path / "a.tif"
    blocks = {"tiled": True, "blockxsize": 32, "blockysize": 32} if tiled else {}
    options = {
        "driver": "GTiff",
        "count": 1,
        "dtype": "uint16",
        "height": 90,
        "width": 70,
        "BIGTIFF": bigtiff,
    }
    with rasterio.open(
        path, "w", crs="EPSG:32655", transform=rasterio.Affine(30, 0, 0, 0, -30, 0), **options, **blocks
    ) as out:
        out.write(np.arange(6300, dtype=np.uint16).reshape(1, 90, 70))
        out.build_overviews([2], rasterio.enums.Resampling.average)
    files = open_files(tmp_path)
    check_header(files, "a.tif", driver="GTiff")
    data = path.read_bytes()
    for cut in (1, len(data) // 3, len(data) // 2):
        path.write_bytes(data[:-cut])
        with pytest.raises(DataError) as caught:
            check_header(files, "a.tif", driver="GTiff")
        assert caught.value.reason is Reason.RASTER_TRUNCATED


@pytest.mark.parametrize(
    "content", [b"version https://git-lfs.github.com/spec/v1\n" * 3, b"\0" * 500, b"<VRTDataset/>" * 9]
)
@pytest.mark.parametrize("kind", ["jp2", "tif"])
def test_what_is_no_raster_is_unreadable(
    make_safe: Make, make_landsat: Make, content: bytes, kind: str
) -> None:
    root = make_safe(masks="none") if kind == "jp2" else make_landsat()
    image(root, "B04" if kind == "jp2" else "B4").write_bytes(content)
    assert refused(root) is Reason.RASTER_UNREADABLE


def test_a_geotiff_named_jp2_is_refused(make_safe: Make) -> None:
    root = make_safe(masks="none")
    path = image(root, "B03")
    path.unlink()
    with rasterio.open(
        path.with_suffix(".tif"),
        "w",
        driver="GTiff",
        count=1,
        dtype="uint16",
        height=9,
        width=9,
        crs="EPSG:32755",
        transform=rasterio.Affine(10, 0, 0, 0, -10, 0),
    ) as out:
        out.write(np.ones((1, 9, 9), np.uint16))
    path.with_suffix(".tif").rename(path)
    assert refused(root) is Reason.RASTER_UNREADABLE


def test_a_sidecar_cannot_change_what_a_raster_is(make_safe: Make) -> None:
    root = make_safe(masks="none")
    before = open_scene(root).bands["B02"].grid
    image(root, "B02").with_name(image(root, "B02").name + ".aux.xml").write_text(
        "<PAMDataset><SRS>EPSG:32601</SRS><GeoTransform>0,1,0,0,0,-1</GeoTransform></PAMDataset>"
    )
    assert open_scene(root).bands["B02"].grid == before


def test_a_jp2_that_claims_gigapixels_is_too_large(make_safe: Make) -> None:
    root = make_safe(masks="none")
    path = image(root, "B02")
    data = bytearray(path.read_bytes())
    struct.pack_into(">II", data, data.index(b"ihdr") + 4, 131_072, 131_072)
    struct.pack_into(">II", data, data.index(b"\xff\x4f\xff\x51") + 8, 131_072, 131_072)
    path.write_bytes(data)
    assert refused(root) is Reason.RASTER_TOO_LARGE


def test_a_sparse_tiff_that_claims_gigapixels_is_too_large(make_landsat: Make) -> None:
    root = make_landsat()
    path = image(root, "B2")
    path.unlink()  # overwriting would delete what GDAL takes for its sidecars
    rows = {"height": 131_072, "width": 131_072, "blockxsize": 4096, "blockysize": 4096, "tiled": True}
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=1,
        dtype="uint16",
        sparse_ok=True,
        BIGTIFF="YES",
        crs="EPSG:32655",
        transform=rasterio.Affine(30, 0, 0, 0, -30, 0),
        **rows,
    ):
        pass
    assert refused(root) is Reason.RASTER_TOO_LARGE


def test_a_band_in_another_zone_is_refused(make_safe: Make, make_landsat: Make) -> None:
    safe, landsat = make_safe(masks="none"), make_landsat()
    rewrite(image(safe, "B02"), crs="EPSG:32756")
    rewrite(image(landsat, "B2"), crs="EPSG:32656")
    assert refused(safe) is Reason.CRS_MISMATCH
    assert refused(landsat) is Reason.CRS_MISMATCH


def test_a_shifted_band_is_refused(make_safe: Make) -> None:
    root = make_safe(masks="none")
    with rasterio.open(image(root, "B03")) as dataset:
        moved = rasterio.Affine.translation(500.0, 0) @ dataset.transform
    rewrite(image(root, "B03"), transform=moved)
    assert refused(root) is Reason.GRID_MISMATCH


def test_a_rotated_band_is_refused(make_safe: Make) -> None:
    root = make_safe(masks="none")
    rewrite(image(root, "B03"), transform=rasterio.Affine(10, 1, 499980, 1, -10, 6900040))
    assert refused(root) is Reason.GRID_MISMATCH


@pytest.mark.parametrize(
    ("one", "other"), [("B02", "B11"), ("B01", "B04"), ("B01", "B10"), ("B02", "B08"), ("B8A", "B12")]
)
def test_bands_that_exchanged_names_are_found(make_safe: Make, one: str, other: str) -> None:
    root = make_safe(masks="none")
    first, second = image(root, one), image(root, other)
    first.rename(first.with_suffix(".spare"))
    second.rename(first)
    first.with_suffix(".spare").rename(second)
    assert refused(root) is Reason.BAND_SWAPPED


def test_landsat_bands_that_exchanged_names_are_found(make_landsat: Make) -> None:
    root = make_landsat()
    first, second = image(root, "B1"), image(root, "B9")
    first.rename(first.with_suffix(".spare"))
    second.rename(first)
    first.with_suffix(".spare").rename(second)
    assert refused(root) is Reason.BAND_SWAPPED


def test_two_files_of_one_band_are_refused(make_safe: Make) -> None:
    root = make_safe(masks="none")
    path = image(root, "B03")
    path.with_name(f"X{path.name}").write_bytes(path.read_bytes())
    assert refused(root) is Reason.METADATA_INVALID


def test_a_band_of_three_layers_is_refused(make_safe: Make) -> None:
    root = make_safe(masks="none")
    path = image(root, "B03")
    with rasterio.open(path) as dataset:
        profile, pixels = dataset.profile, dataset.read(1)
    path.unlink()
    with rasterio.open(path, "w", **(profile | {"count": 3, "quality": 100, "reversible": "YES"})) as out:
        out.write(np.stack([pixels] * 3))
    assert refused(root) is Reason.RASTER_UNREADABLE


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("<a>" * 2_000_000, Reason.METADATA_HOSTILE),
        ("<a>" * 499_000, Reason.METADATA_INVALID),
        ("<a/>" * 499_000, Reason.METADATA_INVALID),
    ],
)
def test_a_refusal_takes_little_memory_and_loads_no_torch(
    make_safe: Make, content: str, expected: Reason
) -> None:
    root = make_safe(masks="none")
    (root / GRANULE / "MTD_TL.xml").write_text(content)
    code = (
        "import re, sys\n"
        "from pathlib import Path\n"
        "from undersky.errors import DataError\n"
        "from undersky.sensors import open_scene\n"
        "try:\n    open_scene(Path(sys.argv[1]))\n"
        "except DataError as error:\n    print(error.reason)\n"
        "assert 'torch' not in sys.modules\n"
        "print(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1])\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2] / "ml")}
    done = subprocess.run(
        [sys.executable, "-c", code, str(root)], capture_output=True, text=True, check=True, env=environment
    )
    reason, kilobytes = done.stdout.split()
    assert reason == expected
    assert int(kilobytes) < 500_000

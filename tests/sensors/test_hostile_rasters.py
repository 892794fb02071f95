"""Damaged and hostile rasters: each ends in its own typed error, quickly and in little memory."""

import os
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import rasterio

from hostile_products import GRANULE, Make, image, refused, rewrite, zipped
from undersky.errors import DataError, Reason
from undersky.sensors import open_scene
from undersky.sensors.archive import open_files
from undersky.sensors.headers import check_header

pytestmark = pytest.mark.faults


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

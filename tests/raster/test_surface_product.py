"""A surface product is read the same whatever the window."""

import json
from pathlib import Path

import numpy as np
import pytest

from surface_products import write_surface
from undersky.errors import DataError, Reason
from undersky.grid import Window, whole
from undersky.quality import Quality
from undersky.raster.surface_product import SurfaceProduct


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    bits = np.zeros((192, 192), dtype=np.uint16)
    bits[10:20, 30:40] = Quality.CLOUD
    return write_surface(tmp_path_factory.mktemp("products"), quality=bits)


def test_a_coarse_band_reads_the_same_in_any_window(folder: Path) -> None:
    names = ("red", "swir16", "coastal")  # 10, 20 and 60 m
    with SurfaceProduct.open(folder) as product:
        everything = product.read(names, whole(product.grid))
        for window in (Window(0, 0, 7, 192), Window(33, 51, 29, 17), Window(191, 191, 1, 1)):
            part = product.read(names, window)
            rows, cols = (
                slice(window.row, window.row + window.height),
                slice(window.col, window.col + window.width),
            )
            np.testing.assert_array_equal(part, everything[:, rows, cols])
    assert everything.shape == (3, 192, 192)
    assert everything[1, 0, 0] == everything[1, 1, 1] != everything[1, 2, 2]


def test_it_knows_its_sensor_grid_bits_and_what_it_lacks(folder: Path) -> None:
    with SurfaceProduct.open(folder) as product:
        assert (product.sensor.key, product.digest) == ("S2A", "5" * 64)
        assert product.grid.shape.yx == (192, 192)
        assert product.quality(Window(9, 29, 2, 2)).tolist() == [[0, 0], [0, Quality.CLOUD]]
        assert product.missing(("red", "cirrus", "nir")) == ("cirrus",)
        with pytest.raises(DataError, match="no reflectance called 'cirrus'") as caught:
            product.read(("cirrus",), Window(0, 0, 1, 1))
    assert caught.value.reason is Reason.BAND_MISSING


def test_landsat_has_no_red_edge_and_says_so(tmp_path: Path) -> None:
    with SurfaceProduct.open(write_surface(tmp_path, "L9")) as product:
        assert product.missing(("nir08", "rededge071", "nir")) == ("rededge071", "nir")
        assert product.read(("nir08",), whole(product.grid)).shape == (1, 64, 64)


def test_a_folder_without_a_surface_item_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text(json.dumps({"type": "Feature"}))
    with pytest.raises(DataError, match="is no surface product") as caught:
        SurfaceProduct.open(tmp_path)
    assert caught.value.reason is Reason.UNKNOWN_PRODUCT


def test_an_asset_outside_its_folder_is_never_opened(tmp_path: Path) -> None:
    folder = write_surface(tmp_path, "L8")
    path = folder / f"{folder.name}.json"
    item = json.loads(path.read_text())
    item["assets"]["quality"]["href"] = "../../etc/passwd"
    path.write_text(json.dumps(item))
    with pytest.raises(DataError, match="outside its folder"):
        SurfaceProduct.open(folder)


def test_a_truncated_band_is_refused(tmp_path: Path) -> None:
    folder = write_surface(tmp_path, "L8")
    (folder / "SR_B4.tif").write_bytes(b"II*\0")
    with (
        SurfaceProduct.open(folder) as product,
        pytest.raises(DataError, match="correct the scene again") as caught,
    ):
        product.read(("red",), Window(0, 0, 4, 4))
    assert caught.value.reason is Reason.RASTER_UNREADABLE

"""GeoTIFFs of classes: mapped strip by strip, cut to a box, read in place from a public bucket."""

import numpy as np
import pytest
import rasterio
from affine import Affine

from undersky.errors import ConfigError, DataError, Reason
from undersky.labels import TASKS, read_class_map
from undersky.labels import painted as module
from undersky.labels.class_map import Tiles
from undersky.labels.painted import paint, tile_hrefs
from undersky.labels.tasks import IGNORE

LANDCOVER = TASKS["landcover"]


@pytest.fixture
def codes(tmp_path):
    path = tmp_path / "codes.yaml"
    path.write_text("classes: {1: tree_cover, 2: water}\nignore: [9]\n")
    return read_class_map(path)


def read(path):
    with rasterio.open(path) as dataset:
        return dataset.read(1), dataset


def test_values_become_codes_on_their_own_grid(tmp_path, codes, tiff):
    source = tiff(np.array([[1, 2, 9], [0, 1, 1]], dtype="uint8"), nodata=0)
    made, tally = paint({"a": str(source)}, tmp_path / "labels.tif", codes, task=LANDCOVER)
    stored, dataset = read(tmp_path / "labels.tif")
    assert stored.tolist() == [[10, 80, IGNORE], [0, 10, 10]]
    assert made.counts["tree_cover"] == 3
    assert made.ignored == 1
    assert made.square_km["tree_cover"] == pytest.approx(0.0003)
    assert tally.left_out == {"pixels without a value": 1}
    assert tally.met == {"1": 3, "2": 1, "9": 1}
    assert dataset.crs.to_epsg() == 32633
    assert dataset.transform == rasterio.open(source).transform


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "float32"])
def test_every_type_of_number_gives_the_same_labels(tmp_path, codes, tiff, dtype):
    values = np.random.default_rng(0).choice([1, 2, 9], (70, 30)).astype(dtype)
    made, _ = paint({"a": str(tiff(values))}, tmp_path / "labels.tif", codes, task=LANDCOVER)
    expected, _ = paint(
        {"b": str(tiff(values.astype("uint16"), "b.tif"))}, tmp_path / "other.tif", codes, task=LANDCOVER
    )
    assert made.pixels_sha256 == expected.pixels_sha256
    assert made.counts == expected.counts


def test_the_digest_does_not_depend_on_the_strips(tmp_path, codes, tiff, monkeypatch):
    source = str(tiff(np.random.default_rng(0).choice([1, 2], (300, 20)).astype("uint8")))
    whole, _ = paint({"a": source}, tmp_path / "labels.tif", codes, task=LANDCOVER)
    monkeypatch.setattr(module, "_STRIP_PIXELS", 1)
    strips, _ = paint({"a": source}, tmp_path / "labels.tif", codes, task=LANDCOVER)
    assert strips == whole


def test_unmapped_values_leave_nothing_behind(tmp_path, codes, tiff):
    source = tiff(np.array([[1, 7, 7]], dtype="uint8"))
    with pytest.raises(ConfigError, match=r"7 \(2\)"):
        paint({"a.tif": str(source)}, tmp_path / "labels.tif", codes, task=LANDCOVER)
    assert not (tmp_path / "labels.tif").exists()


def test_a_box_cuts_along_pixels(tmp_path, codes, tiff):
    values = np.tile(np.array([1, 2], dtype="uint8"), (40, 20))
    source = tiff(values, crs="EPSG:4326", pixel=0.001, left=15.0, top=46.0)
    made, _ = paint(
        {"a": str(source)},
        tmp_path / "labels.tif",
        codes,
        task=LANDCOVER,
        bbox=(15.0101, 45.98, 15.015, 45.99),
    )
    stored, dataset = read(tmp_path / "labels.tif")
    assert stored.shape == (10, 5)
    assert np.array_equal(stored, np.where(values[10:20, 10:15] == 1, 10, 80))
    assert dataset.bounds.left == pytest.approx(15.010)
    with pytest.raises(ConfigError, match="lies beside"):
        paint({"a": str(source)}, tmp_path / "labels.tif", codes, task=LANDCOVER, bbox=(1.0, 2.0, 3.0, 4.0))
    pixel_km2 = 0.1112**2 * np.cos(np.radians(45.985))
    assert made.square_km["tree_cover"] == pytest.approx(pixel_km2 * made.counts["tree_cover"], rel=0.02)


@pytest.mark.parametrize(
    ("bbox", "names"),
    [
        ((14.2, 45.9, 14.9, 46.1), ["N45E012"]),
        ((14.2, 44.9, 15.1, 46.1), ["N42E012", "N42E015", "N45E012", "N45E015"]),
        ((-60.5, -3.5, -60.1, -3.1), ["S06W063"]),
        ((-0.5, -0.5, 0.5, 0.5), ["S03W003", "S03E000", "N00W003", "N00E000"]),
        ((12.0, 45.0, 15.0, 48.0), ["N45E012"]),
    ],
)
def test_tiles_are_named_by_their_lower_left_corner(bbox, names):
    hrefs = tile_hrefs(Tiles("s3://bucket/ESA_WorldCover_10m_2021_v200_{tile}_Map.tif", 3), bbox)
    assert list(hrefs) == names
    assert hrefs[names[0]].endswith(f"_{names[0]}_Map.tif")


def test_neighbouring_tiles_become_one_raster_and_open_sea_is_told(tmp_path, codes, tiff):
    west = tiff(np.full((30, 30), 1, dtype="uint8"), "w.tif", crs="EPSG:4326", pixel=0.1, left=12, top=48)
    east = tiff(np.full((30, 30), 2, dtype="uint8"), "e.tif", crs="EPSG:4326", pixel=0.1, left=15, top=48)
    hrefs = {"W": str(west), "E": str(east), "S": str(tmp_path / "none.tif")}
    _, tally = paint(hrefs, tmp_path / "labels.tif", codes, task=LANDCOVER, bbox=(14.5, 46.0, 15.5, 47.0))
    stored, _ = read(tmp_path / "labels.tif")
    assert stored.tolist() == [[10] * 5 + [80] * 5] * 10
    assert tally.notes == ["tile S is not there: open sea"]
    off = tiff(np.full((3, 3), 2, dtype="uint8"), "o.tif", crs="EPSG:4326", pixel=0.1, left=15.05, top=48)
    with pytest.raises(DataError, match="is not on the grid") as caught:
        paint({"W": str(west), "O": str(off)}, tmp_path / "labels.tif", codes, task=LANDCOVER)
    assert caught.value.reason is Reason.GRID_MISMATCH


def test_a_tile_of_a_public_bucket_is_read_in_ranges(tmp_path, codes, bucket):
    """A large tile behind a server: the window's bytes come, the rest does not, and nobody asks for a key."""
    folder, address, server = bucket
    values = np.random.default_rng(0).choice([1, 2], (2048, 2048)).astype("uint8")
    with rasterio.open(
        folder / "N45E012.tif", "w", driver="COG", height=2048, width=2048, count=1, dtype="uint8",
        crs="EPSG:4326", transform=Affine(3 / 2048, 0, 12, 0, -3 / 2048, 48), blocksize=256,
    ) as dataset:  # fmt: skip
        dataset.write(values, 1)
    step = 3 / 2048
    bbox = (12 + 300 * step, 48 - 420 * step, 12 + 340 * step, 48 - 400 * step)
    hrefs = tile_hrefs(Tiles(f"{address}/{{tile}}.tif", 3), (bbox[0], bbox[1], 15.5, bbox[3]))
    assert list(hrefs) == ["N45E012", "N45E015"]
    vsi = {name: f"/vsicurl/{href}" for name, href in hrefs.items()}
    _, tally = paint(vsi, tmp_path / "labels.tif", codes, task=LANDCOVER, bbox=bbox)
    stored, _ = read(tmp_path / "labels.tif")
    assert np.array_equal(stored, np.where(values[400:420, 300:340] == 1, 10, 80))
    assert tally.notes == ["tile N45E015 is not there: open sea"]
    assert sum(server.sent) < (folder / "N45E012.tif").stat().st_size / 2
    assert {path for path in server.asked if path.endswith(".tif")} == {"/N45E012.tif", "/N45E015.tif"}


@pytest.mark.parametrize(
    ("kind", "message"),
    [("crs", "names no coordinate system"), ("bands", "labels are one band"), ("text", "cannot be read")],
)
def test_rasters_that_are_no_labels_are_refused(tmp_path, codes, tiff, kind, message):
    if kind == "crs":
        source = tiff(np.ones((3, 3), dtype="uint8"), crs=None)
    elif kind == "bands":
        source = tmp_path / "rgb.tif"
        profile = {"driver": "GTiff", "height": 2, "width": 2, "dtype": "uint8", "crs": "EPSG:32633"}
        with rasterio.open(source, "w", count=3, transform=Affine(10, 0, 5e5, 0, -10, 5e6), **profile):
            pass
    else:
        source = tmp_path / "a.tif"
        source.write_text("<VRTDataset rasterXSize='1' rasterYSize='1'/>")
    with pytest.raises(DataError, match=message):
        paint({"a": str(source)}, tmp_path / "labels.tif", codes, task=LANDCOVER)


def test_a_raster_of_nothing_is_refused(tmp_path, codes, tiff):
    with pytest.raises(DataError, match="no pixel carries a class"):
        paint(
            {"a": str(tiff(np.full((3, 3), 9, dtype="uint8")))},
            tmp_path / "labels.tif",
            codes,
            task=LANDCOVER,
        )


def test_too_much_ground_asks_for_a_box(tmp_path, codes, tiff, monkeypatch):
    monkeypatch.setattr(module, "LARGEST_PIXELS", 10)
    with pytest.raises(DataError, match="take a part with --bbox"):
        paint({"a": str(tiff(np.ones((4, 4), dtype="uint8")))}, tmp_path / "l.tif", codes, task=LANDCOVER)

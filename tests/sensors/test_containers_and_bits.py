"""Archives that two readers would see differently, metadata in three formats, bits by the agency's table."""

import io
import json
import re
import struct
import tarfile
import zipfile
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from undersky.bands import SENSORS
from undersky.errors import DataError, Reason
from undersky.grid import Grid, Window, whole
from undersky.quality import Quality
from undersky.scene import Angles, Finding, Note
from undersky.sensors.archive import open_files, opened, read_bytes
from undersky.sensors.flat_tiles import FlatTiles
from undersky.sensors.gml import Polygon, draw, read_gml
from undersky.sensors.landsat_masks import _COLLECTION_1, _COLLECTION_2, PixelQuality, RadiometricSaturation
from undersky.sensors.mtl import Mtl, mtl_names, read_mtl
from undersky.sensors.notes import merge_notes
from undersky.sensors.placement import Declared
from undersky.sensors.plausibility import rayleigh_path
from undersky.sensors.rasters import GEOTIFF, RasterFile, open_raster
from undersky.sensors.sentinel2_detectors import read_footprint

RELAXED = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
NAMES = st.text("abcXYZ019_-.", min_size=1, max_size=12).filter(lambda name: name.strip("."))
GRID = Grid((16, 16), Affine(30, 0, 300000, 0, -30, 4_000_000), "EPSG:32633")


def _tar(path: Path, entries: list[tuple[str, bytes]]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, content in entries:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def _zip(path: Path, entries: list[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return path


def _reason(path: Path) -> Reason:
    with pytest.raises(DataError) as caught:
        open_files(path)
    return caught.value.reason


@RELAXED
@given(st.dictionaries(NAMES, st.binary(max_size=300), min_size=1, max_size=5), st.sampled_from(["", "P/"]))
def test_a_folder_a_zip_and_a_tar_of_the_same_files_read_the_same(
    tmp_path: Path, contents: dict[str, bytes], nested: str
) -> None:
    contents = {name: data for name, data in contents.items() if name.lower() != "metadata.xml"}
    root = tmp_path / f"{len(list(tmp_path.iterdir()))}" / "P"
    root.mkdir(parents=True)
    for name, data in contents.items():
        (root / name).write_bytes(data)
    entries = [(f"{nested}{name}", data) for name, data in contents.items()]
    archives = [_zip(root.parent / "P.zip", entries), _tar(root.parent / "P.tar", entries)]
    for files in map(open_files, [root, *archives]):
        assert files.names == frozenset(contents)
        assert files.label == "P"
        for name, data in contents.items():
            assert files.size(name) == len(data)
            assert read_bytes(files, name, limit=300) == data


@pytest.mark.faults
@pytest.mark.parametrize("again", ["P/x_MTL.txt", "./P/x_MTL.txt"])
def test_a_name_twice_in_a_tar_is_refused(tmp_path: Path, again: str) -> None:
    # GDAL would read the first of them and Python the last: pixels of one product, metadata of another
    path = _tar(tmp_path / "a.tar", [("P/x_MTL.txt", b"one"), ("P/b.TIF", b"x"), (again, b"two")])
    assert _reason(path) is Reason.ARCHIVE_UNSAFE


@pytest.mark.faults
@pytest.mark.parametrize("name", ["/etc/passwd", "../up", "a/../../up", "C:/windows", "a\\b"])
def test_a_name_that_leaves_a_tar_is_refused(tmp_path: Path, name: str) -> None:
    assert _reason(_tar(tmp_path / "a.tar", [("ok", b""), (name, b"x")])) is Reason.ARCHIVE_UNSAFE


@pytest.mark.faults
@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_packing_that_cannot_be_bounded_is_refused(tmp_path: Path, method: int) -> None:
    assert _reason(_zip(tmp_path / "a.zip", [("a", b"x" * 99)], method)) is Reason.ARCHIVE_UNSAFE


@pytest.mark.faults
def test_a_directory_of_absurd_size_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", [("a", b"x")])
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, data.rfind(b"PK\x05\x06") + 12, 1 << 30)
    path.write_bytes(data)
    assert _reason(path) is Reason.ARCHIVE_UNSAFE


def _spoilt_zip(path: Path, method: int) -> Path:
    """A zip whose directory is sound and whose one raster is not."""
    noise = np.random.default_rng(0).bytes(4000)
    _zip(path, [("P/a.tif", b"II*\0" + noise), ("P/b.txt", b"x")], method)
    data = bytearray(path.read_bytes())
    # the name in the entry's own header, or the packed bytes behind it
    where = slice(30, 31) if method == zipfile.ZIP_STORED else slice(37, 60)
    data[where] = b"\xff" * (where.stop - where.start)
    path.write_bytes(data)
    return path


@pytest.mark.faults
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_raster_whose_packing_is_damaged_is_a_damaged_archive(tmp_path: Path, method: int) -> None:
    files = open_files(_spoilt_zip(tmp_path / "a.zip", method))
    with pytest.raises(DataError, match=r"a\.tif cannot be read") as caught:
        open_raster(files, "a.tif", driver=GEOTIFF)
    assert caught.value.reason is Reason.ARCHIVE_DAMAGED
    raster = RasterFile("", "a.tif", GEOTIFF, (1, 1), 1, "uint8", None, None, None, ())
    with pytest.raises(DataError) as caught:
        FlatTiles.of(files, "a.tif", raster)
    assert caught.value.reason is Reason.ARCHIVE_DAMAGED


def test_a_refusal_while_a_file_is_open_stays_what_it_was(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    mine = DataError(Reason.RASTER_TRUNCATED, "too short")
    with pytest.raises(DataError) as caught, opened(open_files(tmp_path), "a"):
        raise mine
    assert caught.value is mine


@pytest.mark.faults
def test_a_file_over_its_limit_is_not_read_at_all(tmp_path: Path) -> None:
    files = open_files(_zip(tmp_path / "a.zip", [("P/a", bytes(1001)), ("P/b", bytes(1000))]))
    assert len(read_bytes(files, "b", limit=1000)) == 1000
    for name, reason in (("a", Reason.METADATA_HOSTILE), ("c", Reason.METADATA_MISSING)):
        with pytest.raises(DataError) as caught:
            read_bytes(files, name, limit=1000)
        assert caught.value.reason is reason


@RELAXED
@given(st.binary(min_size=1, max_size=400), st.data())
def test_a_slice_of_a_tar_seeks_and_reads_as_bytes_io_does(
    tmp_path: Path, content: bytes, data: st.DataObject
) -> None:
    files = open_files(_tar(tmp_path / "s.tar", [("P/a", b"before"), ("P/b", content), ("P/c", b"after")]))
    with files.open("b") as mine, io.BytesIO(content) as theirs:
        for _ in range(6):
            at, count = data.draw(st.integers(0, 500)), data.draw(st.integers(0, 500))
            assert mine.seek(at) == theirs.seek(at)
            assert mine.read(count) == theirs.read(count)


KEYS = st.from_regex(r"\A[A-Z][A-Z0-9_]{0,15}\Z").filter(lambda key: key not in ("GROUP", "END_GROUP", "END"))
VALUES = st.text("abcXYZ0129.-:_/ +", min_size=1, max_size=20).map(str.strip).filter(bool)


@RELAXED
@given(st.lists(st.dictionaries(KEYS, VALUES, min_size=1, max_size=5), min_size=1, max_size=4))
def test_text_json_and_xml_give_the_same_values_and_the_first_group_wins(
    tmp_path: Path, groups: list[dict[str, str]]
) -> None:
    named = {f"G{index}": group for index, group in enumerate(groups)}
    text = ["GROUP = LANDSAT_METADATA_FILE"]
    xml = ""
    for name, group in named.items():
        text += [
            f"  GROUP = {name}",
            *(f'    {k} = "{v}"' for k, v in group.items()),
            f"  END_GROUP = {name}",
        ]
        xml += f"<{name}>{''.join(f'<{k}>{escape(v)}</{k}>' for k, v in group.items())}</{name}>"
    (tmp_path / "A_MTL.txt").write_text("\n".join([*text, "END_GROUP = LANDSAT_METADATA_FILE", "END"]))
    (tmp_path / "A_MTL.json").write_text(json.dumps({"LANDSAT_METADATA_FILE": named}))
    (tmp_path / "A_MTL.xml").write_text(f"<LANDSAT_METADATA_FILE>{xml}</LANDSAT_METADATA_FILE>")
    files = open_files(tmp_path)
    assert mtl_names(files) == ["A_MTL.txt", "A_MTL.json", "A_MTL.xml"]
    expected: dict[str, str] = {}
    for group in groups:
        expected = group | expected
    for name in mtl_names(files):
        found = read_mtl(files, name).values
        assert {key: found[key] for key in expected} == expected, name


@pytest.mark.oracle
def test_every_line_of_every_real_metadata_file_is_found_by_a_plain_split(samples: Path) -> None:
    paths = sorted(samples.glob("landsat*/**/*_MTL.txt"))
    assert len(paths) >= 4
    for path in paths:
        first: dict[str, str] = {}
        for line in path.read_text(errors="replace").replace("\0", "").splitlines():
            key, equals, value = (part.strip() for part in line.partition("="))
            if equals and "GROUP" not in key:
                first.setdefault(key, value.strip('"'))
        found = read_mtl(open_files(path.parent), path.name).values
        assert {key: found[key] for key in first} == first, path.name
        assert set(found) - set(first) <= {"FILE_NAME_QUALITY_L1_PIXEL", "PROCESSING_LEVEL"}


@pytest.mark.faults
@pytest.mark.parametrize("value", ["", "nan", "inf", "-inf", "1,5", "abc", "0x10"])
def test_a_number_that_is_none_is_refused_with_its_key(value: str) -> None:
    with pytest.raises(DataError, match="SUN_ELEVATION") as caught:
        Mtl("A_MTL.txt", {"SUN_ELEVATION": value}).number("SUN_ELEVATION")
    assert caught.value.reason is Reason.METADATA_INVALID
    with pytest.raises(DataError, match="WRS_PATH"):
        Mtl("A_MTL.txt", {}).text("WRS_PATH")


USGS_QA_PIXEL = {
    1: Quality.CLOUD,
    2: Quality.CIRRUS,
    3: Quality.CLOUD,
    4: Quality.CLOUD_SHADOW,
    5: Quality.SNOW,
    7: Quality.WATER,
}
"""LSDS-1619 table 6-3: dilated cloud, cirrus, cloud, cloud shadow, snow, water; 8 .. 15 confidences."""


def _mask(folder: Path, numbers: np.ndarray) -> tuple[RasterFile, Grid]:
    profile = {"driver": "GTiff", "count": 1, "height": 256, "width": 256, "dtype": numbers.dtype}
    grid = Grid((256, 256), GRID.affine, GRID.crs)
    with rasterio.open(folder / "QA.TIF", "w", **profile, crs="EPSG:32633", transform=grid.affine) as out:
        out.write(numbers.reshape(256, 256), 1)
    return open_raster(open_files(folder), "QA.TIF", driver=GEOTIFF), grid


@pytest.mark.oracle
@pytest.mark.parametrize("dtype", [np.uint16, np.int16])
def test_all_65536_numbers_of_qa_pixel_mean_what_the_usgs_table_says(tmp_path: Path, dtype: type) -> None:
    codes = np.arange(65536).astype(np.uint16)
    raster, grid = _mask(tmp_path, codes.view(dtype))
    found = PixelQuality(raster, grid, grid, _COLLECTION_2).quality(whole(grid)).ravel()
    expected = np.zeros(65536, dtype=np.uint16)
    for bit, flag in USGS_QA_PIXEL.items():
        expected[codes >> bit & 1 == 1] |= np.uint16(flag)
    expected[codes % 2 == 1] = 0  # bit 0 is fill
    np.testing.assert_array_equal(found, expected)


@pytest.mark.oracle
def test_all_65536_numbers_of_bqa_mean_what_collection_1_says(tmp_path: Path) -> None:
    codes = np.arange(65536).astype(np.uint16)
    raster, grid = _mask(tmp_path, codes)
    found = PixelQuality(raster, grid, grid, _COLLECTION_1).quality(whole(grid)).ravel()
    digits = np.array([[int(digit) for digit in f"{code:016b}"[::-1]] for code in range(0, 65536, 2)])
    expected = (
        digits[:, 4] * Quality.CLOUD
        + digits[:, 7] * digits[:, 8] * Quality.CLOUD_SHADOW
        + digits[:, 9] * digits[:, 10] * Quality.SNOW
        + digits[:, 11] * digits[:, 12] * Quality.CIRRUS
    )
    np.testing.assert_array_equal(found[::2], expected)
    assert not found[1::2].any()


def test_each_band_has_its_own_bit_of_qa_radsat_and_the_panchromatic_has_none(tmp_path: Path) -> None:
    codes = np.arange(65536).astype(np.uint16)
    raster, grid = _mask(tmp_path, codes)
    source = RadiometricSaturation(raster, grid)
    assert source.of_band(8, grid) is None
    for number in (1, 2, 3, 4, 5, 6, 7, 9):
        band = source.of_band(number, grid)
        assert band is not None
        found = band.saturated(whole(grid)).ravel()
        np.testing.assert_array_equal(found, codes // 2 ** (number - 1) % 2 == 1)
        assert not band.invalid(whole(grid)).any()


def _gml(positions: list[str], *, attributes: str = 'srsDimension="2"', name: str = "D-B02-07-0") -> bytes:
    rings = "".join(f"<posList {attributes}>{ring}</posList>" for ring in positions)
    return (
        f'<M xmlns:g="urn:g"><MaskFeature g:id="{name}"><maskType>OPAQUE</maskType><Polygon>{rings}</Polygon>'
        "</MaskFeature></M>"
    ).encode()


SQUARE = "300000 4000000 300300 4000000 300300 3999700 300000 3999700 300000 4000000"
HOLE = "300090 3999910 300210 3999910 300210 3999790 300090 3999790 300090 3999910"


def test_a_hole_in_a_polygon_stays_open(tmp_path: Path) -> None:
    (tmp_path / "m.gml").write_bytes(_gml([SQUARE, HOLE]))
    mask = read_gml(open_files(tmp_path), "m.gml")
    assert (mask.broken, mask.polygons[0].kind, mask.polygons[0].id) == (0, "OPAQUE", "D-B02-07-0")
    assert mask.polygons[0].box == (300000.0, 3999700.0, 300300.0, 4000000.0)
    drawn = draw([(mask.polygons[0], 1)], GRID, whole(GRID))
    assert drawn.sum() == 10 * 10 - 4 * 4
    assert not drawn[3:7, 3:7].any()


def test_heights_in_a_position_list_are_left_out(tmp_path: Path) -> None:
    words = SQUARE.split()
    tall = " ".join(f"{x} {y} 12.5" for x, y in zip(words[::2], words[1::2], strict=True))
    (tmp_path / "m.gml").write_bytes(_gml([tall], attributes='srsDimension="3"'))
    (tmp_path / "n.gml").write_bytes(_gml([SQUARE], attributes=""))
    files = open_files(tmp_path)
    assert read_gml(files, "m.gml").polygons == read_gml(files, "n.gml").polygons


@pytest.mark.faults
@pytest.mark.parametrize(
    "positions",
    ["", "1 2", "1 2 3", "0 0 1 0 1 1", "0 0 1 0 1 1 0 1", "0 0 nan 0 1 1 0 0", "0 0 x 0 1 1 0 0"],
)
def test_what_is_no_closed_ring_is_counted_not_drawn(tmp_path: Path, positions: str) -> None:
    (tmp_path / "m.gml").write_bytes(_gml([SQUARE, positions]))
    mask = read_gml(open_files(tmp_path), "m.gml")
    assert (mask.polygons, mask.broken) == ((), 1)


@pytest.mark.faults
@pytest.mark.parametrize("number", ["00", "13", "99", "256", "999"])
def test_a_detector_that_does_not_exist_is_not_drawn(tmp_path: Path, number: str) -> None:
    declared = Declared("EPSG:32633", (300000.0, 3999520.0, 300480.0, 4000000.0), 30.0, "MTD_TL.xml")
    (tmp_path / "m.gml").write_bytes(_gml([SQUARE], name=f"detector_footprint-B02-{number}-0"))
    assert not read_footprint(open_files(tmp_path), "m.gml", GRID, declared).detector_index(whole(GRID)).any()
    (tmp_path / "m.gml").write_bytes(_gml([SQUARE], name="detector_footprint-B8A-12-0"))
    index = read_footprint(open_files(tmp_path), "m.gml", GRID, declared).detector_index(whole(GRID))
    assert set(np.unique(index)) == {0, 12}


@given(st.integers(0, 15), st.integers(0, 15), st.integers(1, 16), st.integers(1, 16))
def test_a_window_of_a_drawing_is_a_part_of_the_whole_drawing(
    row: int, col: int, rows: int, cols: int
) -> None:
    words = [float(word) for word in SQUARE.split()]
    ring = [(x + 77.0, y - 41.0) for x, y in zip(words[::2], words[1::2], strict=True)]
    far = [(x + 9000.0, y) for x, y in ring]
    shapes = [
        (Polygon("a", "k", (each,), (each[0][0], each[2][1], each[2][0], each[0][1])), value)
        for value, each in ((3, ring), (4, far))
    ]
    window = Window(row, col, min(rows, 16 - row), min(cols, 16 - col))
    everything = draw(shapes, GRID, whole(GRID))
    part = everything[row : row + window.height, col : col + window.width]
    np.testing.assert_array_equal(draw(shapes, GRID, window), part)
    assert set(np.unique(everything)) == {0, 3}


def _angles(sun: float, view: float, azimuth: float, band: str) -> Angles:
    flat = np.ones((2, 2), dtype=np.float32)
    return Angles(sun * flat, azimuth * flat, {band: view * flat}, {band: 0 * flat})


@given(st.floats(0, 80), st.floats(0, 80), st.floats(0, 359.9))
def test_the_air_looks_the_same_with_sun_and_sensor_exchanged(
    one: float, other: float, azimuth: float
) -> None:
    band = next(band for band in SENSORS["S2A"].bands if band.name == "B02")
    there, back = (
        rayleigh_path(band, _angles(*pair, azimuth, "B02")) for pair in ((one, other), (other, one))
    )
    assert there == pytest.approx(back, rel=1e-5)
    assert 0.0 < there < 1.0


@given(st.floats(0, 70), st.floats(0, 12), st.floats(0, 359.9))
def test_the_air_is_darker_at_every_longer_wavelength(sun: float, view: float, azimuth: float) -> None:
    bands = sorted(SENSORS["L8"].bands, key=lambda band: band.wavelength_nm)
    path = [rayleigh_path(band, _angles(sun, view, azimuth, band.name)) for band in bands]
    assert np.all(np.diff(path) < 0)


@given(st.lists(st.tuples(st.sampled_from(list(Finding)), st.sampled_from("abcd")), max_size=20))
def test_findings_are_said_once_and_none_is_lost(pairs: list[tuple[Finding, str]]) -> None:
    merged = merge_notes(Note(*pair) for pair in pairs)
    assert [note.finding for note in merged] == list(dict.fromkeys(finding for finding, _ in pairs))
    for note in merged:
        distinct = {sentence for finding, sentence in pairs if finding is note.finding}
        if len(distinct) > 2:
            assert int(re.search(r"and (\d+) more", note.sentence)[1]) == len(distinct) - 1
        else:
            assert set(note.sentence.split("; ")) == distinct
    assert merge_notes(merged) == merged

"""Every malformed product is made quickly, says what it claims to be, and leaves the good one as it was."""

import contextlib
import hashlib
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import rasterio
from defusedxml import ElementTree
from defusedxml.common import EntitiesForbidden
from rasterio.errors import RasterioIOError

from undersky.errors import ConfigError, Reason
from undersky.synth.landsat import write_landsat
from undersky.synth.malformed import MALFORMED, malform
from undersky.synth.safe import write_safe

S2 = [kind for kind, malformation in MALFORMED.items() if malformation.family == "sentinel-2"]
OLI = [kind for kind, malformation in MALFORMED.items() if malformation.family == "landsat"]


@pytest.fixture(scope="module")
def good(handmade, tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    return {
        "sentinel-2": write_safe(handmade("S2A", size_m=3_600), folder),
        "landsat": write_landsat(handmade("L8", size_m=3_600), folder),
    }


@pytest.fixture
def make(good, tmp_path):
    return lambda kind: malform(good[MALFORMED[kind].family], kind, out=tmp_path)


def _digests(root: Path) -> dict[str, str]:
    files = [path for path in root.rglob("*") if path.is_file()]
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _band(root: Path, name: str) -> Path:
    return next(iter([*root.rglob(f"IMG_DATA/*_{name}.jp2"), *root.rglob(f"*_{name}.TIF")]))


def test_the_table_covers_every_kind_the_issue_names():
    assert {
        Reason.RASTER_TRUNCATED,
        Reason.BAND_MISSING,
        Reason.BAND_SWAPPED,
        Reason.CRS_MISMATCH,
        Reason.ALL_NODATA,
        Reason.OFFSET_CONTRADICTED,
        Reason.OFFSET_UNKNOWN,
        Reason.ARCHIVE_UNSAFE,
        Reason.METADATA_HOSTILE,
        Reason.RASTER_TOO_LARGE,
    } <= {malformation.reason for malformation in MALFORMED.values()}


@pytest.mark.parametrize("kind", MALFORMED)
def test_it_is_made_in_seconds_under_its_own_name_and_the_good_one_stays(kind, good, make):
    source = good[MALFORMED[kind].family]
    before = _digests(source)
    started = time.monotonic()
    product = make(kind)
    assert time.monotonic() - started < 10
    assert product.exists()
    assert (
        product.name.removesuffix(".zip") == source.name.removesuffix(".SAFE") or product.name == source.name
    )
    assert product.parent.name == kind
    assert _digests(source) == before


@pytest.mark.parametrize("kind", [kind for kind in MALFORMED if not kind.endswith("zip")])
def test_only_what_is_spoilt_differs_from_the_good_product(kind, good, make):
    before = _digests(good[MALFORMED[kind].family])
    after = _digests(make(kind))
    changed = {name for name in before | after if before.get(name) != after.get(name)}
    assert 1 <= len(changed) <= (16 if "nodata" in kind else 2)


def test_unknown_kinds_and_wrong_families_are_refused_with_the_choices(good, tmp_path):
    with pytest.raises(ConfigError, match="truncated_jp2"):
        malform(good["landsat"], "melted", out=tmp_path)
    with pytest.raises(ConfigError, match="sentinel-2"):
        malform(good["landsat"], "truncated_jp2", out=tmp_path)
    with pytest.raises(ConfigError, match="landsat"):
        malform(good["sentinel-2"], "landsat_vrt", out=tmp_path)


@pytest.mark.parametrize(("kind", "name"), [("truncated_jp2", "B04"), ("landsat_truncated", "B4")])
def test_a_truncated_band_opens_and_then_fails_or_gives_other_pixels(kind, name, good, make):
    with rasterio.open(_band(good[MALFORMED[kind].family], name)) as raster:
        whole = raster.read()
    with rasterio.open(_band(make(kind), name)) as raster, contextlib.suppress(RasterioIOError):
        assert not np.array_equal(raster.read(), whole)


@pytest.mark.parametrize(("kind", "name"), [("gigapixel_jp2", "B02"), ("landsat_gigapixel", "B2")])
def test_a_gigapixel_raster_is_a_small_file_with_a_huge_claim(kind, name, make):
    path = _band(make(kind), name)
    assert path.stat().st_size < 3 << 20
    with rasterio.open(path) as raster:
        assert raster.width * raster.height == 131_072**2


@pytest.mark.parametrize("kind", ["wrong_crs", "landsat_wrong_crs"])
def test_the_wrong_crs_is_the_next_zone_with_the_same_pixels(kind, good, make):
    name = "B02" if kind == "wrong_crs" else "B2"
    with rasterio.open(_band(good[MALFORMED[kind].family], name)) as raster:
        whole = raster.read()
    with rasterio.open(_band(make(kind), name)) as raster:
        assert raster.crs.to_epsg() == 32633
        np.testing.assert_array_equal(raster.read(), whole)


def test_a_shifted_band_lies_a_kilometre_to_the_east(make):
    root = make("shifted_band")
    with rasterio.open(_band(root, "B03")) as moved, rasterio.open(_band(root, "B02")) as kept:
        assert moved.transform.c - kept.transform.c == 1000.0


@pytest.mark.parametrize("kind", ["all_nodata", "landsat_all_nodata"])
def test_all_nodata_is_zero_in_every_band(kind, make):
    root = make(kind)
    for path in [*root.glob("GRANULE/*/IMG_DATA/*.jp2"), *root.glob("*_B*.TIF")]:
        with rasterio.open(path) as raster:
            assert not raster.read().any()


def test_swapped_bands_have_each_others_bytes(good, make):
    before, after = good["sentinel-2"], make("swapped_band")
    assert _band(after, "B02").read_bytes() == _band(before, "B08").read_bytes()
    assert _band(after, "B08").read_bytes() == _band(before, "B02").read_bytes()


@pytest.mark.parametrize(
    ("kind", "offsets"),
    [("contradictory_offset", {"0"}), ("contradictory_offset_below", {"-2000"}), ("offset_missing", set())],
)
def test_offsets_say_what_the_kind_promises(kind, offsets, make):
    root = ElementTree.parse(make(kind) / "MTD_MSIL1C.xml").getroot()
    assert {element.text for element in root.iter("RADIO_ADD_OFFSET")} == offsets


@pytest.mark.faults
@pytest.mark.parametrize("kind", ["expanding_xml", "external_entity"])
def test_hostile_xml_is_what_defusedxml_forbids(kind, make):
    with pytest.raises(EntitiesForbidden):
        ElementTree.parse(next(make(kind).glob("GRANULE/*/MTD_TL.xml")))


def test_broken_metadata_does_not_parse_and_missing_metadata_is_not_there(make):
    with pytest.raises(ElementTree.ParseError):
        ElementTree.parse(next(make("metadata_broken").glob("GRANULE/*/MTD_TL.xml")))
    assert list(make("metadata_missing").glob("GRANULE/*/MTD_TL.xml")) == []


@pytest.mark.parametrize(("kind", "name"), [("vrt_as_jp2", "B04"), ("landsat_vrt", "B4")])
def test_a_disguised_vrt_is_one_to_gdal(kind, name, make):
    assert _band(make(kind), name).read_text().startswith("<VRTDataset")


def test_archives_are_hostile_as_promised(make):
    with zipfile.ZipFile(make("climbing_zip")) as stream:
        assert any(name.startswith("../") for name in stream.namelist())
    with zipfile.ZipFile(make("exploding_zip")) as stream:
        entry = next(entry for entry in stream.infolist() if entry.filename.endswith("bomb.html"))
        assert entry.file_size > 500 * entry.compress_size
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(make("truncated_zip"))


@pytest.mark.parametrize("kind", MALFORMED)
def test_every_kind_has_a_sentence_for_a_person(kind):
    assert 10 < len(MALFORMED[kind].sentence) < 80

"""Damaged and hostile metadata: each ends in its own typed error, quickly and in little memory."""

from pathlib import Path

import pytest

from hostile_products import GRANULE, Make, refused
from undersky.errors import DataError, Reason
from undersky.sensors.archive import open_files
from undersky.sensors.mtl import read_mtl
from undersky.sensors.safe_xml import read_xml

pytestmark = pytest.mark.faults


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

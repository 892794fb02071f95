"""Damaged and hostile archives: each ends in its own typed error, quickly and in little memory."""

import io
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest

from hostile_products import Make, refused, zipped
from undersky.errors import ConfigError, DataError, Reason
from undersky.sensors import open_scene

pytestmark = pytest.mark.faults


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

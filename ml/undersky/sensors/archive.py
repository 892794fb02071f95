"""The files of a product, in a folder, a zip or a tar. Archives are read in place, never unpacked.

Nothing in an archive is trusted: before any entry is read its directory is checked for names that climb
out, links, entries that overlap or expand beyond reason, and damage.
"""

import io
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Protocol

from undersky.errors import ConfigError, DataError, Reason

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer as Buffer

MAX_ENTRIES = 20_000
"""A product has a few hundred files."""
MAX_DEPTH = 8
"""A SAFE nests five folders."""
MAX_DIRECTORY_BYTES = 16 << 20
"""A zip's directory of 20,000 long names stays below this."""
MAX_EXPANSION = 100
"""Angle grids in XML deflate 40-fold; JPEG 2000 not at all."""
FREE_EXPANSION_BYTES = 64 << 20
"""Expansion below this harms nobody, whatever its ratio."""


class ProductFiles(Protocol):
    """Read access to the files of one product by their name inside it (posix, relative to its root)."""

    @property
    def label(self) -> str:
        """The product's own name, for messages and as a last resort for its identifier."""

    @property
    def names(self) -> frozenset[str]:
        """Every file's name."""

    @property
    def sources(self) -> Mapping[str, Path]:
        """The files on disk whose checksums identify the product: each file of a folder, or the archive."""

    def size(self, name: str) -> int:
        """Bytes of that file, unpacked."""

    def open(self, name: str) -> IO[bytes]:
        """That file, opened for reading."""

    def seeks_cheaply(self, name: str) -> bool:
        """False where a seek has to decompress everything before it."""

    def gdal_path(self, name: str) -> str:
        """How GDAL names that file."""


def open_files(path: Path) -> ProductFiles:
    """The product at `path`: a folder, a file directly inside one, a zip or an uncompressed tar.

    Raises:
        ConfigError: Nothing is there.
        DataError: `archive_unsafe`, `archive_damaged`; `unknown_product` for other archives.
    """
    if path.is_dir():
        return _open_folder(path)
    if not path.is_file():
        raise ConfigError(f"{path} does not exist; expected a product: a folder, a zip or a tar")
    if path.suffix.lower() == ".zip":
        return _open_zip(path)
    if path.suffix.lower() == ".tar":
        return _open_tar(path)
    if path.suffix.lower() in (".gz", ".tgz", ".bz2", ".xz", ".zst"):
        raise DataError(
            Reason.UNKNOWN_PRODUCT,
            f"{path.name} is a compressed archive that cannot be read in place; unpack it first",
        )
    return _open_folder(path.parent)


def read_bytes(files: ProductFiles, name: str, *, limit: int) -> bytes:
    """The whole of a small file.

    Raises:
        DataError: `metadata_missing`, `metadata_hostile` (over the limit), `archive_damaged`.
    """
    if name not in files.names:
        raise DataError(Reason.METADATA_MISSING, f"{files.label} has no {name}; deliver it again, complete")
    if files.size(name) > limit:
        raise DataError(
            Reason.METADATA_HOSTILE,
            f"{name} of {files.label} claims {files.size(name):,} bytes; at most {limit:,} are read",
        )
    with opened(files, name) as stream:
        return stream.read(limit)


@contextmanager
def opened(files: ProductFiles, name: str) -> Iterator[IO[bytes]]:
    """One file of the product, for reading.

    Raises:
        DataError: `archive_damaged`: it cannot be opened, or what is read of it cannot be unpacked.
    """
    try:
        with files.open(name) as stream:
            yield stream
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, tarfile.TarError) as error:
        raise _damaged(files.label, f"{name} cannot be read: {error}") from error


@dataclass(frozen=True, slots=True)
class _Folder:
    label: str
    sources: Mapping[str, Path]

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self.sources)

    def size(self, name: str) -> int:
        return self.sources[name].stat().st_size

    def open(self, name: str) -> IO[bytes]:
        return self.sources[name].open("rb")

    def seeks_cheaply(self, name: str) -> bool:
        return name in self.sources

    def gdal_path(self, name: str) -> str:
        return str(self.sources[name].resolve())


@dataclass(frozen=True, slots=True)
class _Archive:
    path: Path
    kind: str
    entries: Mapping[str, zipfile.ZipInfo | tarfile.TarInfo]
    prefix: str
    names: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", frozenset(self.entries))

    @property
    def label(self) -> str:
        return PurePosixPath(self.prefix).name or self.path.stem

    @property
    def sources(self) -> Mapping[str, Path]:
        return {self.path.name: self.path}

    def size(self, name: str) -> int:
        entry = self.entries[name]
        return entry.file_size if isinstance(entry, zipfile.ZipInfo) else entry.size

    def open(self, name: str) -> IO[bytes]:
        entry = self.entries[name]
        if isinstance(entry, zipfile.ZipInfo):
            with zipfile.ZipFile(self.path) as archive:  # the entry keeps its own handle on the file
                return archive.open(entry)
        return io.BufferedReader(_Slice(self.path, entry.offset_data, entry.size))

    def seeks_cheaply(self, name: str) -> bool:
        entry = self.entries[name]
        return isinstance(entry, tarfile.TarInfo) or entry.compress_type == zipfile.ZIP_STORED

    def gdal_path(self, name: str) -> str:
        return f"/vsi{self.kind}/{{{self.path.resolve()}}}/{self.prefix}{name}"


class _Slice(io.RawIOBase):
    """A stretch of a file, read as a file: how a tar keeps its members."""

    def __init__(self, path: Path, offset: int, size: int) -> None:
        self._stream = path.open("rb")
        self._offset = offset
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def readinto(self, buffer: "Buffer") -> int:
        view = memoryview(buffer)
        self._stream.seek(self._offset + self._at)
        data = self._stream.read(max(0, min(len(view), self._size - self._at)))
        view[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        self._stream.close()
        super().close()


def _open_folder(path: Path) -> _Folder:
    found: dict[str, Path] = {}
    for folder, subfolders, names in os.walk(path):
        here = Path(folder)
        depth = len(here.relative_to(path).parts)
        if depth >= MAX_DEPTH:
            subfolders.clear()
        found.update({(here / name).relative_to(path).as_posix(): here / name for name in names})
        if len(found) > MAX_ENTRIES:
            raise DataError(
                Reason.UNKNOWN_PRODUCT,
                f"{path} holds more than {MAX_ENTRIES:,} files; a product has a few hundred",
            )
    found = {name: file for name, file in found.items() if file.is_file()}
    beside = path.parent / "MTD_MSIL1C.xml"
    if "metadata.xml" in found and "MTD_MSIL1C.xml" not in found and beside.is_file():
        found["MTD_MSIL1C.xml"] = beside
    return _Folder(path.resolve().name, found)


def _open_zip(path: Path) -> _Archive:
    _check_directory_size(path)
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error) as error:
        raise _damaged(path.name, f"its directory cannot be read: {error}") from error
    _check_names(path.name, [info.filename for info in infos])
    for info in infos:
        _check_zip_entry(path.name, info)
    _check_overlap(path, infos)
    return _archive(path, "zip", {info.filename: info for info in infos if not info.is_dir()})


def _check_directory_size(path: Path) -> None:
    """The zip's own directory is of believable size, before it is parsed."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        stream.seek(max(0, size - 22 - 65_535))
        tail = stream.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) < at + 22:
        raise _damaged(path.name, "it has no end-of-directory record")
    entries, directory_bytes = struct.unpack_from("<HI", tail, at + 10)
    if directory_bytes > MAX_DIRECTORY_BYTES and (directory_bytes, entries) != (0xFFFFFFFF, 0xFFFF):
        raise _unsafe(path.name, f"its directory claims {directory_bytes:,} bytes")


def _check_zip_entry(label: str, info: zipfile.ZipInfo) -> None:
    if stat.S_ISLNK(info.external_attr >> 16):
        raise _unsafe(label, f"{info.filename!r} is a link")
    if info.flag_bits & 0x1:
        raise _unsafe(label, f"{info.filename!r} is encrypted")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise _unsafe(
            label, f"{info.filename!r} is packed by method {info.compress_type}; stored or deflated are read"
        )
    if info.file_size > FREE_EXPANSION_BYTES and info.file_size > MAX_EXPANSION * max(1, info.compress_size):
        raise _unsafe(label, f"{info.filename!r} expands {info.compress_size:,} to {info.file_size:,} bytes")


def _check_overlap(path: Path, infos: list[zipfile.ZipInfo]) -> None:
    """No two entries share packed bytes, none ends beyond the file, and all together do not explode."""
    end = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        if info.header_offset < end:
            raise _unsafe(path.name, f"{info.filename!r} overlaps the entry before it")
        end = info.header_offset + 30 + info.compress_size
    size = path.stat().st_size
    if end > size:
        raise _damaged(path.name, f"its entries end at byte {end:,}, the file at {size:,}")
    total = sum(info.file_size for info in infos)
    if total > FREE_EXPANSION_BYTES and total > MAX_EXPANSION * size:
        raise _unsafe(path.name, f"it expands {size:,} to {total:,} bytes")


def _open_tar(path: Path) -> _Archive:
    size = path.stat().st_size
    members: dict[str, tarfile.TarInfo] = {}
    try:
        with tarfile.open(path, "r:") as archive:
            for count, member in enumerate(archive):
                if count >= MAX_ENTRIES:
                    raise _unsafe(path.name, f"it holds more than {MAX_ENTRIES:,} entries")
                _check_tar_entry(path.name, member, size)
                if member.isreg():
                    name = member.name.removeprefix("./")
                    if name in members:  # GDAL would read the first of them, Python the last
                        raise _unsafe(path.name, f"{name!r} is in it twice")
                    members[name] = member
    except (tarfile.TarError, OSError, EOFError) as error:
        raise _damaged(path.name, f"it cannot be read: {error}") from error
    _check_names(path.name, list(members))
    return _archive(path, "tar", members)


def _check_tar_entry(label: str, member: tarfile.TarInfo, size: int) -> None:
    _check_names(label, [member.name])
    if not (member.isreg() or member.isdir()) or member.issparse():
        raise _unsafe(label, f"{member.name!r} is a link, a device or a sparse file")
    if member.offset_data + (member.size if member.isreg() else 0) > size:
        raise _damaged(label, f"{member.name!r} ends beyond the file's {size:,} bytes")


def _archive(path: Path, kind: str, entries: Mapping[str, zipfile.ZipInfo | tarfile.TarInfo]) -> _Archive:
    """The archive seen from its product's root: a single top folder is stepped into."""
    tops = {name.split("/", 1)[0] for name in entries if "/" in name}
    prefix = f"{tops.pop()}/" if len(tops) == 1 and all("/" in name for name in entries) else ""
    return _Archive(path, kind, {name[len(prefix) :]: entry for name, entry in entries.items()}, prefix)


def _check_names(label: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        parts = PurePosixPath(name).parts
        if not parts or name.startswith("/") or ".." in parts or "\\" in name or ":" in parts[0]:
            raise _unsafe(label, f"the entry {name!r} would lie outside the archive")
        if name in seen:
            raise _unsafe(label, f"{name!r} is in it twice")
        seen.add(name)
    if len(seen) > MAX_ENTRIES:
        raise _unsafe(label, f"it holds {len(seen):,} entries; a product has a few hundred")


def _unsafe(label: str, what: str) -> DataError:
    return DataError(
        Reason.ARCHIVE_UNSAFE, f"{label} is not safe to read: {what}; fetch it from its publisher again"
    )


def _damaged(label: str, what: str) -> DataError:
    return DataError(Reason.ARCHIVE_DAMAGED, f"{label} is damaged: {what}; fetch it again")

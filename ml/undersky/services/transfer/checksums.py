"""Checksums as archives write them, `<algorithm>:<hex>` or a multihash, and whether a file has them.

Source: multihash, https://multiformats.io/multihash, with the codes of its table; STAC's file extension 2.1.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

_HEX = re.compile(r"[0-9a-f]+")
_MULTIHASH = {
    0x11: "sha1",
    0x12: "sha256",
    0x13: "sha512",
    0x14: "sha3-512",
    0x15: "sha3-384",
    0x16: "sha3-256",
    0x17: "sha3-224",
    0x1E: "blake3",
    0x20: "sha384",
    0xD5: "md5",
    0xB220: "blake2b-256",
    0xB240: "blake2b-512",
}


@dataclass(frozen=True, slots=True)
class Checksum:
    """What a file's bytes must hash to."""

    algorithm: str
    """As the archive calls it, in small letters."""
    digest: str
    """Hex, small letters."""

    @property
    def known(self) -> bool:
        """Whether this Python can compute it."""
        return _hasher(self.algorithm) is not None

    def of(self, path: Path) -> str:
        """The file's digest under the same algorithm.

        Raises:
            ValueError: The algorithm is not known here.
            OSError: The file cannot be read.
        """
        name = _hasher(self.algorithm)
        if name is None:
            raise ValueError(f"{self.algorithm} cannot be computed here")
        with path.open("rb") as file:
            if name == "blake2b-256":
                return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=32)).hexdigest()
            return hashlib.file_digest(file, name).hexdigest()

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.digest}"


def read_checksum(text: str | None) -> Checksum | None:
    """The checksum that an archive stated; None where it stated none.

    A statement that cannot be understood comes back with an algorithm that is not `known`, so that it can be
    told: it is never taken for a verified one.
    """
    if not text or not text.strip():
        return None
    name, _, digest = text.strip().lower().rpartition(":")
    name = name.replace("_", "-")
    if name in {"", "multihash"}:
        return _read_multihash(digest)
    if not _HEX.fullmatch(digest):
        return Checksum("unreadable", digest[:64])
    found = Checksum(name, digest)
    hasher = _hasher(name)
    if hasher is not None and len(digest) != 2 * _size(hasher):
        return Checksum("unreadable", digest[:64])
    return found


def _read_multihash(text: str) -> Checksum:
    """A varint code, a varint length, the digest."""
    try:
        data = bytes.fromhex(text)
        code, at = _varint(data, 0)
        length, at = _varint(data, at)
    except (ValueError, IndexError):
        return Checksum("unreadable", text[:64])
    digest = data[at:]
    if len(digest) != length or not digest:
        return Checksum("unreadable", text[:64])
    return Checksum(_MULTIHASH.get(code, f"multihash-0x{code:x}"), digest.hex())


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """An unsigned LEB128 number and where it ends."""
    value = shift = 0
    while shift < 63:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise ValueError("no varint")


def _hasher(algorithm: str) -> str | None:
    """What hashlib calls the algorithm, None where it has none."""
    plain = algorithm.replace("-", "")
    named = {"blake2b256": "blake2b-256", "blake2b512": "blake2b", "blake2b": "blake2b", "blake2s": "blake2s"}
    if plain in named:
        return named[plain]
    if plain.startswith("sha3"):
        plain = f"sha3_{plain[4:]}"
    fixed = {"md5", "sha1", "sha224", "sha256", "sha384", "sha512", "blake3"}
    fixed |= {"sha3_224", "sha3_256", "sha3_384", "sha3_512"}
    return plain if plain in fixed and plain in hashlib.algorithms_available else None


def _size(hasher: str) -> int:
    """Bytes of a digest."""
    return 32 if hasher == "blake2b-256" else hashlib.new(hasher, usedforsecurity=False).digest_size

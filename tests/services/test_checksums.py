"""Checksums as archives write them."""

import hashlib
from pathlib import Path

import pytest

from fixtures_transfer import SHA256
from undersky.services.transfer import read_checksum


@pytest.mark.parametrize(
    ("text", "algorithm", "known"),
    [
        (f"sha256:{SHA256}", "sha256", True),
        (f"SHA256:{SHA256.upper()}", "sha256", True),
        (f"1220{SHA256}", "sha256", True),
        (f"multihash:1220{SHA256}", "sha256", True),
        (f"md5:{'a' * 32}", "md5", True),
        (f"d50110{'a' * 32}", "md5", True),
        (f"sha3-256:{'a' * 64}", "sha3-256", True),
        (f"1620{'a' * 64}", "sha3-256", True),
        (f"a0e40220{'a' * 64}", "blake2b-256", True),
        (f"1e20{'a' * 64}", "blake3", "blake3" in hashlib.algorithms_available),
        (f"tiger:{'a' * 48}", "tiger", False),
        ("sha256:abc", "unreadable", False),
        ("md5:zz", "unreadable", False),
        ("1220aa", "unreadable", False),
        ("zz", "unreadable", False),
    ],
)
def test_checksums_are_read_as_archives_write_them(
    text: str,
    algorithm: str,
    known: bool,  # noqa: FBT001  a column of the table above
) -> None:
    found = read_checksum(text)
    assert found is not None
    assert (found.algorithm, found.known) == (algorithm, known)


@pytest.mark.parametrize("text", [None, "", " "])
def test_no_checksum_is_no_checksum(text: str | None) -> None:
    assert read_checksum(text) is None


def test_every_known_algorithm_is_computed(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    expected = {
        "md5": "900150983cd24fb0d6963f7d28e17f72",
        "sha1": "a9993e364706816aba3e25717850c26c9cd0d89d",
        "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "sha3-256": "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532",
        "blake2b-256": "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319",
    }
    for algorithm, digest in expected.items():
        found = read_checksum(f"{algorithm}:{digest}")
        assert found is not None
        assert found.of(path) == digest

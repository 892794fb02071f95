"""The identity of the physics that ships with the package: what a product's digest must change with."""

import hashlib
from functools import cache
from importlib.resources import files


@cache
def tables_digest() -> str:
    """sha256 over the emulator's tables of all sensors: a refit makes other products."""
    folder = files("undersky.atmosphere") / "data" / "emulator"
    tables = sorted((table.name, table.read_bytes()) for table in folder.iterdir())
    digest = hashlib.sha256()
    for name, content in tables:
        digest.update(name.encode() + hashlib.sha256(content).digest())
    return digest.hexdigest()

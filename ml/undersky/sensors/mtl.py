"""The Landsat metadata file: MTL as text (ODL), JSON or XML, all three read into the same flat values.

Keys repeat between groups: the product's own groups come first, the Level-1 record that an L2 product
repeats comes later, so the first occurrence wins. Collection 1 names are translated to those of Collection 2.

Source: USGS LSDS-1822 (Landsat 8-9 Collection 2 Level 1 Data Format Control Book), LSDS-1414 (Collection 1).
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from undersky.sensors.archive import ProductFiles, read_bytes
from undersky.sensors.safe_xml import invalid, number, read_xml

MAX_MTL_BYTES = 1 << 20
"""Real ones have 12 to 66 kB."""

_NAME = re.compile(r"^(?:[^/]*_)?MTL\.(json|txt|xml)$", re.IGNORECASE)
_LINE = re.compile(r'^\s*([A-Z0-9_]+)\s*=\s*"?(.*?)"?\s*$')
_COLLECTION_1 = {
    "FILE_NAME_BAND_QUALITY": "FILE_NAME_QUALITY_L1_PIXEL",
    "DATA_TYPE": "PROCESSING_LEVEL",
}


@dataclass(frozen=True, slots=True)
class Mtl:
    """One metadata file as flat values."""

    name: str
    """The file it was read from."""
    values: Mapping[str, str]
    """Key to text, Collection 2 names."""

    def text(self, key: str) -> str:
        """The text of a key.

        Raises:
            DataError: `metadata_invalid`: absent or empty.
        """
        value = self.values.get(key, "")
        if not value:
            invalid(self.name, f"it has no {key}")
        return value

    def number(self, key: str) -> float:
        """The number of a key.

        Raises:
            DataError: `metadata_invalid`: absent, or no finite number.
        """
        return number(self.values.get(key), key, self.name)


def mtl_names(files: ProductFiles) -> list[str]:
    """The metadata files at the product's root, text before JSON before XML."""
    order = ("txt", "json", "xml")
    found = [(match, name) for name in files.names if (match := _NAME.match(name))]
    return [
        name for match, name in sorted(found, key=lambda item: (order.index(item[0][1].lower()), item[1]))
    ]


def read_mtl(files: ProductFiles, name: str) -> Mtl:
    """One metadata file.

    Raises:
        DataError: `metadata_invalid`, `metadata_hostile`, `metadata_missing`.
    """
    suffix = name.rpartition(".")[2].lower()
    pairs = {"txt": _from_text, "json": _from_json, "xml": _from_xml}[suffix](files, name)
    values: dict[str, str] = {}
    for key, value in pairs:
        values.setdefault(key, value)
    for old, new in _COLLECTION_1.items():
        if old in values:
            values.setdefault(new, values[old])
    return Mtl(name, values)


def _from_text(files: ProductFiles, name: str) -> Iterator[tuple[str, str]]:
    # some distributions pad the file with NUL bytes
    data = read_bytes(files, name, limit=MAX_MTL_BYTES).rstrip(b"\0")
    for line in data.decode("ascii", errors="replace").splitlines():
        if (match := _LINE.match(line)) and match[1] not in ("GROUP", "END_GROUP"):
            yield match[1], match[2]


def _from_json(files: ProductFiles, name: str) -> Iterator[tuple[str, str]]:
    try:
        document = json.loads(read_bytes(files, name, limit=MAX_MTL_BYTES))
    except (ValueError, RecursionError) as error:
        invalid(name, f"it is not JSON ({error})")
    return _leaves(document, depth=0)


def _leaves(node: object, *, depth: int) -> Iterator[tuple[str, str]]:
    if isinstance(node, dict) and depth < 4:  # LANDSAT_METADATA_FILE / group / key
        for key, value in node.items():
            if isinstance(value, dict):
                yield from _leaves(value, depth=depth + 1)
            else:
                yield str(key), str(value)


def _from_xml(files: ProductFiles, name: str) -> Iterator[tuple[str, str]]:
    for element in read_xml(files, name, limit=MAX_MTL_BYTES).iter():
        if len(element) == 0:
            yield str(element.tag), (element.text or "").strip()

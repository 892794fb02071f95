"""XML as the agencies write it, parsed so that no document can expand, reach out or grow without bound.

Namespaces differ between baselines and are ignored: elements are found by their local name.
"""

from collections.abc import Iterator
from typing import NoReturn
from xml.etree.ElementTree import Element, ParseError

import defusedxml
from defusedxml.ElementTree import fromstring

from undersky.errors import DataError, Reason
from undersky.sensors.archive import ProductFiles, read_bytes

MAX_XML_BYTES = 8 << 20
"""The largest document read, a tile's angle grids, has 0.7 MB; a tree takes some thirty times its text."""

MAX_TAGS = 500_000
"""A tile's metadata has 20,000; an element takes some 350 bytes of memory."""


def read_xml(files: ProductFiles, name: str, *, limit: int = MAX_XML_BYTES) -> Element:
    """The root element of one XML file of the product.

    Raises:
        DataError: `metadata_missing`; `metadata_hostile` (entities, external references, a document type,
            too large); `metadata_invalid` (not well-formed).
    """
    data = read_bytes(files, name, limit=limit)
    if data.count(b"<") > MAX_TAGS:
        raise DataError(
            Reason.METADATA_HOSTILE,
            f"{name} of {files.label} has {data.count(b'<'):,} tags; at most {MAX_TAGS:,} are parsed",
        )
    try:
        root: Element = fromstring(data, forbid_dtd=True)
    except defusedxml.DefusedXmlException as error:
        raise DataError(
            Reason.METADATA_HOSTILE,
            f"{name} of {files.label} defines entities or a document type ({type(error).__name__}); "
            "agency metadata never does: fetch the product from its publisher again",
        ) from error
    except (ParseError, ValueError, LookupError) as error:
        raise DataError(
            Reason.METADATA_INVALID,
            f"{name} of {files.label} is not well-formed XML: {error}; fetch it again",
        ) from error
    return root


def local_name(element: Element) -> str:
    """The element's name without its namespace."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def find_all(root: Element, name: str) -> Iterator[Element]:
    """Every element of that local name below the root, in document order."""
    return (element for element in root.iter() if local_name(element) == name)


def find(root: Element, name: str) -> Element | None:
    """The first element of that local name, or None."""
    return next(find_all(root, name), None)


def text(root: Element, name: str) -> str | None:
    """The stripped text of the first element of that name; None where it is absent or empty."""
    element = find(root, name)
    return (element.text or "").strip() or None if element is not None else None


def required_text(root: Element, name: str, where: str) -> str:
    """The text of the first element of that name.

    Raises:
        DataError: `metadata_invalid`: it is absent or empty.
    """
    value = text(root, name)
    if value is None:
        invalid(where, f"it has no {name}")
    return value


def number(value: str | None, what: str, where: str) -> float:
    """A finite number from metadata.

    Raises:
        DataError: `metadata_invalid`: it is none.
    """
    try:
        result = float(value or "")
    except ValueError:
        result = float("nan")
    if not abs(result) < float("inf"):
        invalid(where, f"its {what} is {value!r}, no finite number")
    return result


def invalid(where: str, what: str) -> NoReturn:
    """Refuses metadata that cannot be understood."""
    raise DataError(Reason.METADATA_INVALID, f"{where} is not usable: {what}; deliver the product again")

"""What the store says about an object, and the two refusals a caller decides on."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath

from undersky.errors import ServiceError, UnderskyError

COG = "image/tiff; application=geotiff; profile=cloud-optimized"
_CONTENT_TYPES = {
    ".tif": COG,
    ".tiff": COG,
    ".jp2": "image/jp2",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".geojson": "application/geo+json",
    ".parquet": "application/vnd.apache.parquet",
    ".xml": "application/xml",
    ".gml": "application/gml+xml",
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".md": "text/markdown; charset=utf-8",
    ".csv": "text/csv; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".zip": "application/zip",
    ".tar": "application/x-tar",
}


class NotInStore(ServiceError):  # noqa: N818  a fact about the store, read as one
    """No object has that key (yet)."""


class PreconditionFailed(UnderskyError):  # noqa: N818  the protocol's own name for it
    """The object was there already (if_absent), or is no longer the one that was read (if_match)."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One object as the store describes it."""

    key: str
    size: int
    """Bytes."""
    etag: str
    """As the server writes it, with its quotes: what `if_match` takes."""
    sha256: str | None = None
    """Hex digest of the bytes, from the object's metadata; None from `list` and for objects put by others."""
    content_type: str | None = None
    """None from `list`."""
    changed: datetime | None = None
    """When it was put (aware)."""


@dataclass(frozen=True, slots=True)
class Document:
    """An object read whole, with the etag under which it was read."""

    data: bytes
    stored: Stored


def content_type_of(name: str) -> str:
    """Media type by file name; every TIFF of this project is a Cloud-Optimized GeoTIFF."""
    return _CONTENT_TYPES.get(PurePosixPath(name).suffix.lower(), "application/octet-stream")

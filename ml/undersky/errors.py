"""Every error Undersky raises on purpose, sorted by who must act.

    UnderskyError
    ├── ConfigError   exit  2   the operator: a setting, a missing tool, an unknown option
    ├── DataError     exit  3   nobody or the data's producer: this product cannot be used as it is
    └── ServiceError  exit 75   time: a server or the network failed, the same call may succeed later

A message says what was found, what was expected, where, and the cure. A DataError also carries a
`reason`, a stable code that machines count and the runbook explains.
"""

from enum import StrEnum


class Reason(StrEnum):
    """Why a product cannot be used: the stable codes of DataError."""

    UNKNOWN_PRODUCT = "unknown_product"
    UNSUPPORTED_SENSOR = "unsupported_sensor"
    METADATA_MISSING = "metadata_missing"
    METADATA_INVALID = "metadata_invalid"
    METADATA_HOSTILE = "metadata_hostile"
    OFFSET_UNKNOWN = "offset_unknown"
    OFFSET_CONTRADICTED = "offset_contradicted"
    BAND_MISSING = "band_missing"
    BAND_SWAPPED = "band_swapped"
    RASTER_UNREADABLE = "raster_unreadable"
    RASTER_TRUNCATED = "raster_truncated"
    RASTER_TOO_LARGE = "raster_too_large"
    CRS_MISMATCH = "crs_mismatch"
    GRID_MISMATCH = "grid_mismatch"
    ALL_NODATA = "all_nodata"
    ARCHIVE_UNSAFE = "archive_unsafe"
    ARCHIVE_DAMAGED = "archive_damaged"
    MODEL_REFUSED = "model_refused"
    BANDS_MISMATCH = "bands_mismatch"
    SOURCE_GONE = "source_gone"
    SOURCE_REFUSED = "source_refused"
    SOURCE_CHANGED = "source_changed"
    SIZE_MISMATCH = "size_mismatch"
    CHECKSUM_MISMATCH = "checksum_mismatch"
    DATASET_DAMAGED = "dataset_damaged"
    SPLIT_LEAKS = "split_leaks"


class UnderskyError(Exception):
    """The root: catch this to catch everything Undersky raises on purpose."""

    exit_code = 1


class ConfigError(UnderskyError):
    """The operator must act; trying again changes nothing."""

    exit_code = 2


class DataError(UnderskyError):
    """The input itself is at fault; no retry and no setting helps."""

    exit_code = 3

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class ServiceError(UnderskyError):
    """Something outside failed; the same call may succeed later."""

    exit_code = 75

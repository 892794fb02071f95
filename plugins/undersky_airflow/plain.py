"""Results as XCom takes them: plain JSON, small."""

import dataclasses
from enum import Enum

from pydantic import BaseModel

LONGEST = 50
"""A list in XCom is cut there: the whole of it lies in ledger and store."""


def plain(value: object) -> object:
    """The value as JSON has it."""
    if isinstance(value, BaseModel):
        return plain(value.model_dump(mode="json", exclude_none=True))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(plain(key)): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(each) for each in list(value)[:LONGEST]]
    if isinstance(value, Enum):
        return plain(value.value)
    return value if isinstance(value, str | int | float | bool | None) else str(value)

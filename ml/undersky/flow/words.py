"""Times, spans and amounts as sentences say them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta


def moment(time: datetime) -> str:
    """`2025-06-19 10:03 UTC`."""
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def span(length: timedelta) -> str:
    """`40 s`, `12 min`, `3 h 20 min`, `5 days`: two figures are enough."""
    seconds = abs(length.total_seconds())
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min" if minutes % 60 else f"{minutes // 60} h"
    return f"{seconds / 86400:.0f} days"


def scenes(number: int) -> str:
    """`no scene`, `1 scene`, `12 scenes`."""
    return "no scene" if number == 0 else f"{number:,} scene{'s' if number != 1 else ''}"


def listed(names: Sequence[str], *, most: int = 5) -> str:
    """`a, b and c`; `a, b and 12 more` of many."""
    if len(names) > most:
        return f"{', '.join(names[: most - 1])} and {len(names) - most + 1} more"
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part) if names else "none"


def sentence(text: str) -> str:
    """The text with a full stop, unless it ends itself."""
    stripped = text.strip()
    return stripped if not stripped or stripped[-1] in ".!?" else f"{stripped}."

"""Questions about scenes, and decisions on them: status, show, why, retry, release, skip, remake."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from undersky.cli.outcome import Verbs


def add_verbs(group: "Verbs") -> None:
    """None yet."""

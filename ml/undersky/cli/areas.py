"""Areas: what is wanted, from when, of which sensors."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from undersky.cli.outcome import Verbs


def add_verbs(group: "Verbs") -> None:
    """None yet."""

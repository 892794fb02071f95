"""Verbs of operation: doctor, model bootstrap, record."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from undersky.cli.outcome import Verbs


def add_verbs(group: "Verbs") -> None:
    """None yet."""

"""The light steps of the flow, each as a verb: what a DAG runs, by hand."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from undersky.cli.outcome import Verbs


def add_verbs(group: "Verbs") -> None:
    """None yet."""

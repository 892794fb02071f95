"""What Airflow itself knows of a batch: its address and a label. The rest lies in the store."""

from typing import TypedDict

from undersky.refs import Batch


class Card(TypedDict):
    """One batch, as XCom carries it and a mapped task group expands it."""

    href: str
    """Of `batch.json`."""
    label: str
    """For people: `32TQM +3, 4 scenes`."""


def card(href: str, batch: Batch) -> Card:
    """The card of a batch."""
    return {"href": href, "label": label(batch)}


def label(batch: Batch) -> str:
    """The first tile, how many more tiles there are, and how many scenes."""
    tiles = list(dict.fromkeys(scene.tile for scene in batch.scenes))
    more = f" +{len(tiles) - 1}" if len(tiles) > 1 else ""
    count = len(batch.scenes)
    return f"{tiles[0] if tiles else 'nothing'}{more}, {count} scene{'' if count == 1 else 's'}"

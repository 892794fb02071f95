"""What became of everything in a file: used, mended, left out and why. Nothing vanishes without a count."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class Tally:
    """Counts that grow while a file is read."""

    met: Counter[str] = field(default_factory=Counter)
    """How often each value of the file was met."""
    mended: Counter[str] = field(default_factory=Counter)
    """What was repaired, and how often."""
    left_out: Counter[str] = field(default_factory=Counter)
    """What could not be used, and how often."""
    notes: list[str] = field(default_factory=list)
    """Sentences about the file as a whole."""

    def as_json(self) -> Mapping[str, object]:
        """For the manifest, keys in order."""
        return {
            "met": dict(sorted(self.met.items())),
            "mended": dict(sorted(self.mended.items())),
            "left_out": dict(sorted(self.left_out.items())),
            "notes": list(self.notes),
        }

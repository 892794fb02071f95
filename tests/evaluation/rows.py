"""Evidence as tests write it: one slice, pixels in spec of a hundred per scene."""

from undersky.evaluation.evidence import Row
from undersky.evaluation.gate import Gate, Rule
from undersky.evaluation.judging import Identity

IDENTITY = Identity("c" * 64, "new-2", "b" * 64, "old-1", {"s": "f" * 64})


def rows(shares, *, dimension="all", value="all", metric="in_spec_percent", suite="s"):
    """One row a scene, its value the share."""
    return tuple(
        Row(suite, f"scene-{index:03d}", dimension, value, metric, float(share), 100.0)
        for index, share in enumerate(shares)
    )


def gate(*rules, suites=(), minimum=5):
    """A gate of these rules, or of one over all scenes that allows a point."""
    return Gate(
        model="correction",
        version=1,
        confidence=0.95,
        resamples=2000,
        seed=7,
        minimum_scenes=minimum,
        suites=suites,
        rules=rules or (Rule("in_spec_percent", "all", 1.0, required=True),),
        digest="0" * 64,
    )

"""What the registry's versions are called, tagged and made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field

CHAMPION, CANDIDATE, PREVIOUS = "champion", "candidate", "previous"
PACKAGE_FILES = ("package.json", "weights.safetensors")
"""The whole of a model package."""
VERDICT_FILE = "verdict.json"
JUDGEMENT_FILE = "judgement.json"
SOURCE = "models:/"
"""Before the id of the LoggedModel that holds a version's files."""

REVIEW, PROBLEM = "review", "review.problem"
"""The tag that a person sets in MLflow's pages, and the one in which an answer to it stands."""


class Tag:
    """Names of the tags that Undersky sets."""

    DIGEST = "undersky.digest"
    """sha256 of the package."""
    LABEL = "undersky.label"
    """The package's own version, `physics-1`."""
    CODE = "undersky.code_version"
    """Version of Undersky that evaluated."""
    DATASET = "undersky.dataset"
    """sha256 of the data set it learned from; absent where it did not learn."""
    RECIPE = "undersky.recipe"
    """Name of the recipe it was trained by; absent likewise."""
    SUITES = "undersky.suites"
    """sha256 over the suites that its verdict rests on."""
    GATE = "undersky.gate"
    """Outcome of the gate."""
    GATE_DIGEST = "undersky.gate_digest"
    """sha256 of the file of tolerances."""
    JUDGEMENT = "undersky.judgement"
    """sha256 of `judgement.json`."""
    VERDICT = "undersky.verdict"
    """sha256 of `verdict.json`: a version that has it is answered."""
    ANSWER = "undersky.answer"
    """`approved` or `rejected`."""
    BY = "undersky.answered_by"
    """Account or person."""
    AT = "undersky.answered_at"
    """When, ISO 8601."""
    WHY = "undersky.why"
    """The person's reason; absent where none was given."""
    VIA = "undersky.via"
    """Where the answer was given."""
    WITHDRAWN = "undersky.withdrawn"
    """Why it was taken back after it had been in use; absent where it was not."""


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a registered model."""

    name: str
    """`correction`."""
    number: str
    """`1`, `2`, ..."""
    label: str
    """The package's own version, `physics-1`."""
    digest: str
    """sha256 of the package, as the version's tag has it."""
    verdict: str
    """sha256 of its verdict, as the version's tag has it; empty while nobody has answered."""
    source: str
    """Where the files lie, `models:/m-...`."""
    aliases: tuple[str, ...] = ()
    """The aliases that point at it."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """All tags."""

    @property
    def judgement(self) -> str:
        """sha256 of its judgement; empty for a first champion."""
        return self.tags.get(Tag.JUDGEMENT, "")

    @property
    def gate(self) -> str:
        """What the gate said, `pass`; empty for a first champion."""
        return self.tags.get(Tag.GATE, "")

    @property
    def answer(self) -> str:
        """`approved` or `rejected`; empty while nobody has answered."""
        return self.tags.get(Tag.ANSWER, "")

    @property
    def withdrawn(self) -> str:
        """Why it was taken back; empty where it was not."""
        return self.tags.get(Tag.WITHDRAWN, "")

    @property
    def said(self) -> str:
        """What messages call it."""
        return f"version {self.number} of {self.name}"

"""What machine and person say of a model before it may be used: the gate's judgement, a person's verdict.

candidate, champion --same scenes--> Judgement (pass, fail, too little evidence)
Judgement + a person's answer        --> Verdict (approved, rejected), over exactly these weights
"""

import hashlib
from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import Field

from undersky.refs import Reference


class GateOutcome(StrEnum):
    """What the machine's rule says."""

    PASS = "pass"  # noqa: S105  no password
    FAIL = "fail"
    TOO_LITTLE_EVIDENCE = "too_little_evidence"
    """Neither better nor worse could be shown: a person decides, with a reason."""


class Finding(Reference):
    """One rule of the gate, applied to one slice."""

    suite: str
    """`direct-6s`."""
    dimension: str
    """`all`, `aerosol`, `surface`, `sensor`, `band`, ..."""
    value: str
    """Along the dimension: `urban`."""
    metric: str
    """`in_spec_percent`."""
    scenes: int
    """How many carry the slice; they are what the bootstrap draws from."""
    tolerance: float
    """How much worse the candidate may be, in the metric's units."""
    outcome: GateOutcome
    candidate: float | None = None
    champion: float | None = None
    difference: float | None = None
    """Positive where the candidate is better."""
    low: float | None = None
    """Lower end of the difference's interval."""
    high: float | None = None
    """Upper end."""
    sentence: str = ""
    """For a person."""


class Judgement(Reference):
    """What the gate says of a candidate beside the champion, on the same scenes."""

    model: str
    """`correction`."""
    candidate: str
    """Digest of the candidate's package."""
    candidate_label: str
    champion: str
    """Digest of the champion's package."""
    champion_label: str
    gate: str
    """sha256 of the file of tolerances."""
    gate_version: int
    outcome: GateOutcome
    sentence: str
    """Why, for a person."""
    findings: tuple[Finding, ...]
    """Every rule in every slice, the worst first."""
    suites: dict[str, str]
    """Suite to sha256 of what was evaluated."""
    scenes: dict[str, int]
    """Suite to the number of its scenes that were evaluated."""
    metrics: dict[str, dict[str, float]]
    """Suite to headline metric to the candidate's value, percent and reflectance units."""
    champion_metrics: dict[str, dict[str, float]]
    """The champion's."""
    code_version: str
    """Version of Undersky that evaluated."""
    downstream: dict[str, str] = Field(default_factory=dict)
    """Model to digest of each champion that was evaluated on this candidate's output."""

    @property
    def digest(self) -> str:
        """sha256 of the judgement as it is written."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()


class Verdict(Reference):
    """Who let which weights be used, or refused them, when, and on what evidence."""

    name: str
    """`correction`."""
    label: str
    """The package's own version, `physics-1`."""
    package: str
    """Digest of the package that was judged."""
    decision: str
    """In words: `bootstrap: no champion existed`, `approved: sharper over towns`."""
    by: str
    """Account or person."""
    at: datetime
    """When (aware)."""
    suites: dict[str, str]
    """Suite to sha256 of what was evaluated."""
    scenes: dict[str, int]
    """Suite to the number of its scenes that were evaluated."""
    metrics: dict[str, dict[str, float]]
    """Suite to headline metric to value, percent and reflectance units."""
    code_version: str
    """Version of Undersky that evaluated."""
    answer: Literal["approved", "rejected"] = "approved"
    why: str = ""
    """The person's reason; never empty for a refusal, or for an approval against the gate."""
    via: str = "bootstrap"
    """Where the answer was given: `airflow`, `mlflow`, `command line`."""
    gate: GateOutcome | None = None
    """What the gate said; None of a first champion."""
    judgement: str | None = None
    """sha256 of the judgement that was before the person's eyes; None of a first champion."""
    downstream: dict[str, str] = Field(default_factory=dict)
    """Model to digest of each champion that was evaluated on its output."""

    @property
    def digest(self) -> str:
        """sha256 of the verdict as it is written."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    @property
    def dataset(self) -> str:
        """sha256 over the evaluated suites."""
        text = "\n".join(f"{name} {digest}" for name, digest in sorted(self.suites.items()))
        return hashlib.sha256(text.encode()).hexdigest()

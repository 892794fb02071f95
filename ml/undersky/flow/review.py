"""A person's answer on a version: asked in Airflow, in MLflow and on the command line, the first one counts.

    judgement of the version + answer (who, when, why) --> Verdict, written to the version, once

In MLflow a person sets the tag `review` of the version: `approve by ada: sharper over towns`, `reject by ada:
halo along the coast`. A refusal needs a reason; so does an approval against what the gate says.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from undersky.errors import ConfigError
from undersky.judgement import GateOutcome, Judgement, Verdict
from undersky.services.registry import CANDIDATE

if TYPE_CHECKING:
    from undersky.services.ledger import Ledger
    from undersky.services.registry import Registry, Version

_ASKED = re.compile(
    r"\s*(?P<answer>approved?|reject(?:ed)?)(?:\s+by\s+(?P<by>[^:]+?))?\s*(?::\s*(?P<why>.*?))?\s*",
    re.IGNORECASE | re.DOTALL,
)
SHORTEST = 5
"""Letters of a reason."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a person says."""

    answer: Literal["approved", "rejected"]
    by: str
    """Who."""
    why: str
    """The reason; may be empty for an approval that the gate supports."""
    via: Literal["airflow", "mlflow", "command line"]
    """Where it was given."""
    at: datetime
    """When (aware)."""


def lacks(answer: Answer, outcome: GateOutcome) -> str | None:
    """What the answer lacks to be accepted; None if nothing."""
    if not answer.by.strip():
        return "nobody's name stands on it: `approve by NAME: WHY`, `reject by NAME: WHY`"
    has_reason = len(answer.why.strip()) >= SHORTEST
    if answer.answer == "rejected" and not has_reason:
        return "a refusal needs a reason: whoever trains the next one learns from it"
    if outcome is not GateOutcome.PASS and not has_reason:
        return f"the gate says {outcome.replace('_', ' ')}: an approval against it needs a reason"
    return None


def read_answer(text: str, *, at: datetime | None = None) -> Answer:
    """What the tag `review` of a version says.

    Raises:
        ConfigError: It says neither yes nor no.
    """
    found = _ASKED.fullmatch(text)
    if found is None:
        raise ConfigError(f"{text!r} is no answer: write `approve by NAME: WHY` or `reject by NAME: WHY`")
    return Answer(
        answer="approved" if found["answer"].lower().startswith("approve") else "rejected",
        by=(found["by"] or "").strip(),
        why=(found["why"] or "").strip(),
        via="mlflow",
        at=at or datetime.now(UTC),
    )


def record_answer(registry: "Registry", ledger: "Ledger", version: "Version", answer: Answer) -> Verdict:
    """The verdict that stands on the version: this one, or the one that somebody gave before.

    Args:
        registry: Opened as the account that may write to versions.
        ledger: Whose lock lets one answer at a time.
        version: What is answered about.
        answer: Of a person.

    Raises:
        ConfigError: The answer lacks something, or the version was never evaluated.
        DataError: `model_refused`: its judgement was changed, or is over other weights.
        ServiceError: A service failed.
    """
    with ledger.alone(f"review {version.name} {version.number}"):
        before = registry.read_verdict(registry.version(version.name, version.number))
        if before is not None:
            return before
        verdict = _verdict(version, need_judgement(registry, version), answer)
        registry.write_verdict(version, verdict)
        is_candidate = registry.aliases(version.name).get(CANDIDATE) == version.number
        if verdict.answer == "rejected" and is_candidate:
            registry.remove_alias(version.name, CANDIDATE)
        return verdict


def need_judgement(registry: "Registry", version: "Version") -> Judgement:
    """The judgement of the version, over exactly its weights.

    Raises:
        ConfigError: There is none, or it is of another package.
    """
    judgement = registry.read_judgement(version)
    if judgement is None or judgement.candidate != version.digest:
        raise ConfigError(
            f"version {version.number} of {version.name} was not evaluated: the DAG model_release does that "
            "before anybody is asked"
        )
    return judgement


def _verdict(version: "Version", judgement: Judgement, answer: Answer) -> Verdict:
    if (lack := lacks(answer, judgement.outcome)) is not None:
        raise ConfigError(f"version {version.number} of {version.name}: {lack}")
    return Verdict(
        name=version.name,
        label=version.label,
        package=version.digest,
        decision=f"{answer.answer}: {answer.why.strip()}" if answer.why.strip() else answer.answer,
        by=answer.by.strip(),
        at=answer.at,
        suites=judgement.suites,
        scenes=judgement.scenes,
        metrics=judgement.metrics,
        code_version=judgement.code_version,
        answer=answer.answer,
        why=answer.why.strip(),
        via=answer.via,
        gate=judgement.outcome,
        judgement=judgement.digest,
        downstream=judgement.downstream,
    )

"""What is handed to the registry as a new version: its tags, figures, and the LoggedModel of its files."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

from undersky.errors import ConfigError
from undersky.judgement import Judgement, Verdict
from undersky.services.registry.packages import CARD, MLMODEL, REPORT, Origin, lay_out, mlmodel, origin
from undersky.services.registry.server import experiment, typed
from undersky.services.registry.values import JUDGEMENT_FILE, VERDICT_FILE, Tag

if TYPE_CHECKING:
    from mlflow import MlflowClient


class Subject(NamedTuple):
    """Which package."""

    name: str
    """Of the model."""
    label: str
    """The package's own version."""
    package: str
    """Its digest."""
    code_version: str
    """Version of Undersky that evaluated it."""


@dataclass(frozen=True, slots=True)
class Submission:
    """A package and what is said of it; verdict, judgement or both."""

    folder: Path
    """Holds the package."""
    verdict: Verdict | None
    """Who lets it be used."""
    judgement: Judgement | None
    """What the gate says of it."""
    report: str
    """Tables for people, Markdown."""
    card: str
    """The model card, Markdown."""
    files: Mapping[str, bytes]
    """More files for people."""
    run_id: str | None
    """The training run it comes from."""
    more_tags: Mapping[str, str]
    """Tags that the caller adds."""

    def __post_init__(self) -> None:
        names = {subject[:3] for subject in self._subjects()}
        if not names:
            raise ConfigError("nothing is said of the package: give its judgement, or its verdict")
        if len(names) > 1:
            raise ConfigError(f"verdict and judgement are not of one package: {sorted(names)}")

    @property
    def subject(self) -> Subject:
        """What verdict and judgement are about."""
        return self._subjects()[0]

    def _subjects(self) -> list[Subject]:
        said, judged = self.verdict, self.judgement
        found = []
        if said is not None:
            found.append(Subject(said.name, said.label, said.package, said.code_version))
        if judged is not None:
            about = (judged.model, judged.candidate_label, judged.candidate, judged.code_version)
            found.append(Subject(*about))
        return found

    @property
    def words(self) -> str:
        """One sentence for people."""
        if self.verdict is not None:
            return self.verdict.decision
        return "" if self.judgement is None else self.judgement.sentence

    @property
    def origin(self) -> Origin:
        """What the package says of where it comes from."""
        return origin(self.folder)

    def tags(self) -> dict[str, str]:
        """Those of the version."""
        made, subject = self.origin, self.subject
        tags = {
            **self.more_tags,
            Tag.DIGEST: subject.package,
            Tag.LABEL: subject.label,
            Tag.CODE: subject.code_version,
            Tag.DATASET: made.dataset,
            Tag.RECIPE: made.recipe,
        }
        if self.judgement is not None:
            tags[Tag.GATE] = self.judgement.outcome.value
            tags[Tag.GATE_DIGEST] = self.judgement.gate
            tags[Tag.JUDGEMENT] = self.judgement.digest
        if self.verdict is not None:
            tags |= answer_tags(self.verdict)
        return {name: value for name, value in tags.items() if value}

    def documents(self, model_id: str) -> dict[str, bytes]:
        """The files beside the package."""
        texts = {
            MLMODEL: mlmodel(
                self.origin, package=self.subject.package, code_version=self.subject.code_version,
                model_id=model_id, run_id=self.run_id,
            ),
            CARD: self.card,
            REPORT: self.report,
            JUDGEMENT_FILE: "" if self.judgement is None else self.judgement.to_json(),
            VERDICT_FILE: "" if self.verdict is None else self.verdict.to_json(),
        }  # fmt: skip
        return {**self.files, **{name: text.encode() for name, text in texts.items() if text}}


def answer_tags(verdict: Verdict) -> dict[str, str]:
    """The tags of an answered version; the one that makes it answered comes last."""
    tags = {
        Tag.ANSWER: verdict.answer,
        Tag.BY: verdict.by,
        Tag.AT: verdict.at.isoformat(),
        Tag.WHY: verdict.why,
        Tag.VIA: verdict.via,
        Tag.SUITES: verdict.dataset,
        Tag.VERDICT: verdict.digest,
    }
    return {name: value for name, value in tags.items() if value}


def log_model(client: "MlflowClient", submission: Submission) -> str:
    """Id of a LoggedModel that holds exactly the package and what is said of it.

    Raises:
        ConfigError: The account may not write.
        DataError: `model_refused`: the package cannot be read.
        ServiceError: The server failed.
    """
    subject, recipe = submission.subject, submission.origin.recipe
    params = {"code_version": subject.code_version, **({"recipe": recipe} if recipe else {})}
    where = experiment(client, subject.name)
    with TemporaryDirectory() as scratch, typed(f"the files of {subject.label}"):
        model = client.create_logged_model(
            where, subject.label, submission.run_id, {Tag.DIGEST: subject.package}, params
        )
        model_id = str(model.model_id)
        files = Path(scratch) / "files"
        lay_out(files, submission.folder, submission.documents(model_id))
        client.log_model_artifacts(model_id, str(files))
        client.finalize_logged_model(model_id, "READY")
        if submission.judgement is not None:
            _log_figures(client, where, model_id, submission.judgement)
    return model_id


def _log_figures(client: "MlflowClient", where: str, model_id: str, judgement: Judgement) -> None:
    """MLflow's pages compare the model by the gate's figures, which hang at a run of their own."""
    from mlflow.entities import Metric  # noqa: PLC0415  costs seconds

    now = int(time.time() * 1000)
    figures = [
        Metric(f"{suite}/{name}", value, now, 0, model_id=model_id)
        for suite, found in sorted(judgement.metrics.items())
        for name, value in sorted(found.items())
    ]
    run = client.create_run(
        where, run_name=f"gate {judgement.candidate_label}", tags={Tag.JUDGEMENT: judgement.digest}
    )
    client.log_batch(run.info.run_id, metrics=figures)
    client.set_terminated(run.info.run_id)

"""A registry in memory for tests of the model flow, with the method names of `Registry`; packages to put in.

MLflow takes a second a version; the many cases need none of it. `flow/test_model_flow.py` has the real one.
"""

import hashlib
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from fixtures_registry import a_judgement, a_verdict
from undersky.errors import ConfigError
from undersky.judgement import Judgement, Verdict
from undersky.models.package import ModelPackage, load_package, save_package
from undersky.services.registry import JUDGEMENT_FILE, PACKAGE_FILES, VERDICT_FILE, Version
from undersky.services.registry.submission import Submission, answer_tags
from undersky.services.registry.values import PROBLEM, REVIEW, Tag


class Shelf:
    """Versions with their files, and aliases. `downloads` counts, `calls` names what was asked."""

    uri = "http://registry.example.org"

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], Version] = {}
        self.files: dict[tuple[str, str], dict[str, bytes]] = {}
        self.pointed: dict[str, dict[str, str]] = {}
        self.downloads = 0
        self.lock = threading.RLock()

    def register(
        self,
        folder: Path,
        verdict: Verdict | None = None,
        *,
        judgement: Judgement | None = None,
        report: str = "",
        files: Mapping[str, bytes] | None = None,
        card: str = "",
        run_id: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Version:
        more = dict(files or {})
        submission = Submission(folder, verdict, judgement, report, card, more, run_id, dict(tags or {}))
        subject = submission.subject
        with self.lock:
            known = [v for v in self.versions(subject.name) if v.digest == subject.package]
            if known:
                return known[0] if verdict is None else self.write_verdict(known[0], verdict)
            number = str(1 + len(self.versions(subject.name)))
            made = submission.tags()
            said = {JUDGEMENT_FILE: judgement, VERDICT_FILE: verdict}
            texts = {name: each.to_json().encode() for name, each in said.items() if each is not None}
            package = {name: (folder / name).read_bytes() for name in PACKAGE_FILES}
            self.files[subject.name, number] = {
                **package, **texts, **more, "README.md": card.encode(), "report.md": report.encode(),
            }  # fmt: skip
            version = Version(
                name=subject.name, number=number, label=subject.label, digest=subject.package,
                verdict=made.get(Tag.VERDICT, ""), source=f"models:/m-{number}", tags=made,
            )  # fmt: skip
            self.kept[subject.name, number] = version
            return version

    def version(self, name: str, number: str) -> Version:
        if (name, number) not in self.kept:
            raise ConfigError(f"the registry has no version {number} of {name}")
        aliases = tuple(sorted(alias for alias, at in self.aliases(name).items() if at == number))
        return replace(self.kept[name, number], aliases=aliases)

    def versions(self, name: str) -> tuple[Version, ...]:
        return tuple(self.version(name, number) for of, number in self.kept if of == name)

    def aliases(self, name: str) -> dict[str, str]:
        return dict(self.pointed.get(name, {}))

    def champion(self, name: str) -> Version | None:
        number = self.aliases(name).get("champion")
        return None if number is None else self.version(name, number)

    def set_alias(self, version: Version, alias: str) -> None:
        self.pointed.setdefault(version.name, {})[alias] = version.number

    def remove_alias(self, name: str, alias: str) -> None:
        self.pointed.get(name, {}).pop(alias, None)

    def write_verdict(self, version: Version, verdict: Verdict) -> Version:
        with self.lock:
            now = self.version(version.name, version.number)
            if not now.verdict:
                self.files[version.name, version.number][VERDICT_FILE] = verdict.to_json().encode()
                self.tag(now, **answer_tags(verdict))
            return self.version(version.name, version.number)

    def read_verdict(self, version: Version) -> Verdict | None:
        if not version.verdict:
            return None
        return Verdict.from_json(self.files[version.name, version.number][VERDICT_FILE])

    def read_judgement(self, version: Version) -> Judgement | None:
        if not version.judgement:
            return None
        return Judgement.from_json(self.files[version.name, version.number][JUDGEMENT_FILE])

    def requested_answer(self, version: Version) -> str | None:
        return version.tags.get(REVIEW)

    def complain(self, version: Version, sentence: str) -> None:
        self.tag(version, **{PROBLEM: sentence, REVIEW: ""})

    def withdraw(self, version: Version, why: str) -> None:
        self.tag(version, **{Tag.WITHDRAWN: why})

    def download(self, version: Version, folder: Path) -> None:
        self.downloads += 1
        for name in (*PACKAGE_FILES, VERDICT_FILE):
            (folder / name).write_bytes(self.files[version.name, version.number][name])

    def page(self, version: Version) -> str:
        return f"{self.uri}/#/models/{version.name}/versions/{version.number}"

    def tag(self, version: Version, **tags: str) -> None:
        """The version has these tags, and what hangs on them."""
        known = self.kept[version.name, version.number]
        changed = {**known.tags, **tags}
        self.kept[version.name, version.number] = replace(
            known, tags=changed, verdict=changed.get(Tag.VERDICT, ""), digest=changed[Tag.DIGEST]
        )


def a_package(folder: Path, label: str, *, name: str = "correction", **provenance: object) -> ModelPackage:
    """A package in `folder / label`, of weights of its own; nothing could be corrected with it."""
    seed = int.from_bytes(hashlib.sha256(label.encode()).digest()[:4], "little")
    weights = {"w": np.random.default_rng(seed).normal(size=8).astype(np.float32)}
    package = ModelPackage(name, label, "learned", {}, provenance, weights, digest="")
    return save_package(package, folder / label)


def a_version(
    shelf: Shelf, folder: Path, label: str, *, name: str = "correction", answer: str | None = "approved",
    **judged: object,
) -> Version:  # fmt: skip
    """A version of such a package, evaluated, and answered unless `answer` is None."""
    package = a_package(folder, label, name=name)
    judgement = a_judgement(name, package.digest, label, **judged)
    version = shelf.register(folder / label, judgement=judgement)
    if answer is None:
        return version
    decision = f"{answer}: a test said so"
    said = a_verdict(
        name, package.digest, label, answer=answer, why="a test said so", decision=decision, via="airflow",
        downstream=judgement.downstream,
    )  # fmt: skip
    return shelf.write_verdict(version, said)


def put_candidate(store, folder: Path, label: str) -> ModelPackage:
    """Such a package among the candidates of the store."""
    package = a_package(folder, label)
    for name in PACKAGE_FILES:
        store.put_file(f"candidates/correction/{package.digest}/{name}", folder / label / name)
    return load_package(folder / label)

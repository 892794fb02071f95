"""`Registry`: models, their versions and aliases, and what is said of a version.

register(package, judgement) --> version, unanswered --write_verdict--> answered, once and for all
register(package, verdict)   --> version, answered   (the first champion)
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import TYPE_CHECKING, Self, TypeVar

from pydantic import ValidationError

from undersky.errors import ConfigError
from undersky.judgement import Judgement, Verdict
from undersky.refs import Reference
from undersky.services.accounts import Account
from undersky.services.registry.files import ModelFiles
from undersky.services.registry.packages import check_names, refuse
from undersky.services.registry.server import connect, experiment, ping, plain, typed, unless_there
from undersky.services.registry.submission import Submission, answer_tags, log_model
from undersky.services.registry.values import (
    CHAMPION,
    JUDGEMENT_FILE,
    PACKAGE_FILES,
    PROBLEM,
    REVIEW,
    SOURCE,
    VERDICT_FILE,
    Tag,
    Version,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

R = TypeVar("R", bound=Reference)

_NOTHING: Mapping[str, bytes] = MappingProxyType({})
_NO_TAGS: Mapping[str, str] = MappingProxyType({})
_PAGE = 200
"""How many the server is asked for at once."""
_ROUNDS = 5
"""How often two that answer at once look whose answer stands."""


class Registry:
    """One MLflow server."""

    def __init__(self, uri: str, client: "MlflowClient") -> None:
        self.uri = uri.rstrip("/")
        self.client = client
        """MLflow's own, for the modules of this package."""

    @classmethod
    def open(cls, uri: str, account: Account | None = None) -> Self:
        """The registry at that address, alive.

        Args:
            uri: Of an MLflow server.
            account: Whom this process is to MLflow from now on, the last one opened counts; as the
                environment says when None.

        Raises:
            ConfigError: The address is not of an http server.
            ServiceError: Nothing answers there.
        """
        ping(uri)
        return cls(uri, connect(uri, account))

    def ensure_models(self, names: Iterable[str]) -> None:
        """Models of these names, and the experiments of their files, are this account's own.

        MLflow lets everybody register a name that is free, and its maker move its aliases: so the account
        that releases takes all names before anybody else does.

        Raises:
            ConfigError: A name is somebody else's already.
            ServiceError: The server failed.
        """
        for name in names:
            self._make_name(plain(name))
            where = experiment(self.client, name)
            with typed(f"the model {name}, which another account has made,"):
                self.client.set_registered_model_tag(name, "undersky.kept", "yes")
                self.client.set_experiment_tag(where, "undersky.kept", "yes")

    def models(self) -> tuple[str, ...]:
        """Names of all registered models, in order."""
        found: list[str] = []
        token: str | None = None
        with typed("the list of models"):
            while True:
                page = self.client.search_registered_models(max_results=_PAGE, page_token=token)
                found += [str(model.name) for model in page]
                token = page.token
                if not token:
                    return tuple(sorted(found))

    def champion(self, name: str) -> Version | None:
        """The version that is in use; None where nobody chose one yet."""
        return self.aliased(name, CHAMPION)

    def aliased(self, name: str, alias: str) -> Version | None:
        """The version an alias points at."""
        number = self.aliases(name).get(alias)
        return None if number is None else self.version(name, number)

    def aliases(self, name: str) -> dict[str, str]:
        """Alias to the number of the version it points at; none where the model is not registered."""
        # searched, not asked for by name: of a model that is not there, a reader hears "permission denied"
        with typed(f"the model {name}"):
            found = self.client.search_registered_models(f"name = '{plain(name)}'")
        return {alias: str(number) for model in found for alias, number in model.aliases.items()}

    def version(self, name: str, number: str) -> Version:
        """That version.

        Raises:
            ConfigError: There is none, or the account may not read it.
            ServiceError: The server failed.
        """
        with typed(f"version {number} of {name}"):
            found = self.client.get_model_version(name, number)
        return _version(found, self.aliases(name))

    def versions(self, name: str) -> tuple[Version, ...]:
        """All versions, oldest first; none where the model is not registered."""
        aliases = self.aliases(name)
        return tuple(_version(found, aliases) for found in self._all(name))

    def register(
        self,
        folder: Path,
        verdict: Verdict | None = None,
        *,
        judgement: Judgement | None = None,
        report: str = "",
        files: Mapping[str, bytes] = _NOTHING,
        card: str = "",
        run_id: str | None = None,
        tags: Mapping[str, str] = _NO_TAGS,
    ) -> Version:
        """The package in `folder` is a version of its model, with what is said of it.

        An equal package is added once; two that register it at once end with one version: the later number
        withdraws. A version that was registered without a verdict gets the one that is given here. The
        aliases of what comes back are not looked up.

        Args:
            folder: Holds the package, verified by the caller; its digest is the verdict's or judgement's.
            verdict: Who lets it be used; None for a candidate that nobody has answered yet.
            judgement: What the gate says of it; None for a first champion.
            report: Tables for people, Markdown.
            files: Name to content of more files for people, `report.html`.
            card: The model card, Markdown.
            run_id: The training run it comes from.
            tags: More tags of the version.

        Raises:
            ConfigError: The account may not register, a file may not lie there, or nothing is said of it.
            DataError: `model_refused`: the package cannot be read.
            ServiceError: The server failed; the same call may succeed later.
        """
        check_names(files)
        submission = Submission(folder, verdict, judgement, report, card, dict(files), run_id, dict(tags))
        name, label, package, _ = submission.subject
        known = self._of_digest(name, package)
        if known:
            return known[0] if verdict is None else self.write_verdict(known[0], verdict)
        source = log_model(self.client, submission)
        self._make_name(name)
        with typed(f"a new version of {name}"):
            made = self.client.create_model_version(
                name, source=f"{SOURCE}{source}", run_id=run_id, model_id=source, tags=submission.tags(),
                await_creation_for=0, description=f"{label}: {submission.words}",
            )  # fmt: skip
        first = self._of_digest(name, package)[0]
        if first.number != str(made.version):
            with typed(f"the second copy of version {first.number}"):
                self.client.delete_model_version(name, str(made.version))
        return first

    def write_verdict(self, version: Version, verdict: Verdict) -> Version:
        """The version is answered; where it was before, the first answer stands and nothing is written.

        Of two that answer at the same moment one stands, whole: the file decides, the tags follow it.

        Raises:
            ConfigError: The account may not write, or the verdict is of another package.
            ServiceError: The server failed; the same call may succeed later.
        """
        if (verdict.name, verdict.package) != (version.name, version.digest):
            raise ConfigError(
                f"the verdict is of {verdict.name} {verdict.package[:12]}, {version.said} is "
                f"{version.digest[:12]}: answer the version that was looked at"
            )
        now = self.version(version.name, version.number)
        if now.verdict:
            return now
        files = self._files(now)
        files.write(VERDICT_FILE, verdict.to_json().encode())
        for _ in range(_ROUNDS):
            text = files.read(VERDICT_FILE)
            self._tag(now, answer_tags(Verdict.from_json(text)))
            now = self.version(version.name, version.number)
            if now.verdict == _sha256(text) == _sha256(files.read(VERDICT_FILE)):
                break
        return now

    def read_verdict(self, version: Version) -> Verdict | None:
        """What was answered, as the tags of `version` name it; None where nobody has answered.

        Raises:
            DataError: `model_refused`: the file is not the one that the tag names.
            ServiceError: The server failed.
        """
        return self._said(version, VERDICT_FILE, version.verdict, Verdict)

    def read_judgement(self, version: Version) -> Judgement | None:
        """What the gate said, as the tags of `version` name it; None for a first champion.

        Raises:
            DataError: `model_refused`: the file is not the one that the tag names.
            ServiceError: The server failed.
        """
        return self._said(version, JUDGEMENT_FILE, version.judgement, Judgement)

    def requested_answer(self, version: Version) -> str | None:
        """What a person has written into the tag `review` in MLflow's pages; None where there is none."""
        return version.tags.get(REVIEW)

    def complain(self, version: Version, sentence: str) -> None:
        """The person who set `review` reads in `review.problem` why nothing happened; `review` is gone.

        Raises:
            ConfigError: The account may not set tags.
            ServiceError: The server failed.
        """
        self._tag(version, {PROBLEM: sentence})
        with typed(f"the tag {REVIEW} of {version.said}"):
            self.client.delete_model_version_tag(version.name, version.number, REVIEW)

    def set_alias(self, version: Version, alias: str) -> None:
        """The alias points at that version.

        Raises:
            ConfigError: The account may not move aliases.
            ServiceError: The server failed.
        """
        with typed(f"alias {alias} of {version.name}"):
            self.client.set_registered_model_alias(version.name, alias, version.number)

    def remove_alias(self, name: str, alias: str) -> None:
        """The alias points at nothing; nothing happens where it did not.

        Raises:
            ConfigError: The account may not move aliases.
            ServiceError: The server failed.
        """
        with typed(f"alias {alias} of {name}"):
            self.client.delete_registered_model_alias(plain(name), alias)

    def withdraw(self, version: Version, why: str) -> None:
        """The version says why it was taken back; its verdict and its files stay as they are.

        Raises:
            ConfigError: The account may not set tags.
            ServiceError: The server failed.
        """
        self._tag(version, {Tag.WITHDRAWN: why})

    def download(self, version: Version, folder: Path) -> None:
        """The package and `verdict.json` lie in `folder`, as the registry has them, digests unverified.

        Raises:
            ConfigError: The version was not registered by Undersky, or may not be read.
            DataError: `model_refused`: it has no verdict, or holds what no package of ours holds.
            ServiceError: The server failed.
        """
        files = self._files(version)
        files.refuse_strangers()
        if VERDICT_FILE not in files.names:
            refuse(version.said, "it has no verdict")
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder) as scratch:
            for name in (*(f"package/{file}" for file in PACKAGE_FILES), VERDICT_FILE):
                files.fetch(name, Path(scratch)).replace(folder / Path(name).name)

    def page(self, version: Version) -> str:
        """Where people look at it."""
        return f"{self.uri}/#/models/{version.name}/versions/{version.number}"

    def _files(self, version: Version) -> ModelFiles:
        return ModelFiles.of(self.client, self.uri, version)

    def _said(self, version: Version, name: str, digest: str, kind: type[R]) -> R | None:
        """What a file says whose digest a tag names; None where no tag does."""
        if not digest:
            return None
        files = self._files(version)
        if name not in files.names:
            refuse(version.said, f"its tag names a {name}, which is not there")
        text = files.read(name)
        if _sha256(text) != digest:
            refuse(version.said, f"its {name} is not the one that its tag names, {digest[:12]}")
        try:
            return kind.from_json(text)
        except ValidationError as error:
            refuse(version.said, f"its {name} cannot be read ({error.errors()[0]['msg']})")

    def _tag(self, version: Version, tags: Mapping[str, str]) -> None:
        for name, value in tags.items():
            with typed(f"the tag {name} of {version.said}"):
                self._set_tag(version, name, value)

    def _set_tag(self, version: Version, name: str, value: str) -> None:
        """Of two that write a new tag at once MLflow fails one, on the other's row: it is there now."""
        from mlflow.exceptions import RestException  # noqa: PLC0415  costs seconds

        try:
            self.client.set_model_version_tag(version.name, version.number, name, value)
        except RestException:
            if name in version.tags or name not in self.version(version.name, version.number).tags:
                raise
            self.client.set_model_version_tag(version.name, version.number, name, value)

    def _all(self, name: str) -> list["ModelVersion"]:
        query, token = f"name = '{plain(name)}'", None
        found: list[ModelVersion] = []
        with typed(f"the versions of {name}"):
            while True:
                page = self.client.search_model_versions(query, _PAGE, None, token)
                found += page
                token = page.token
                if not token:
                    return sorted(found, key=lambda version: int(version.version))

    def _of_digest(self, name: str, digest: str) -> list[Version]:
        """Versions of that package, oldest first, their aliases not looked up."""
        known = [_version(found, {}) for found in self._all(name)]
        return [version for version in known if version.digest == digest]

    def _make_name(self, name: str) -> None:
        unless_there(lambda: self.client.create_registered_model(name), f"the model {name}")


def _version(found: "ModelVersion", aliases: Mapping[str, str]) -> Version:
    number, tags = str(found.version), dict(found.tags)
    return Version(
        name=found.name,
        number=number,
        label=tags.get(Tag.LABEL, ""),
        digest=tags.get(Tag.DIGEST, ""),
        verdict=tags.get(Tag.VERDICT, ""),
        source=found.source or "",
        aliases=tuple(sorted(alias for alias, at in aliases.items() if at == number)),
        tags=tags,
    )


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()

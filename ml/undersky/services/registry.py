"""The model registry: MLflow, of which names, tags, aliases and files are used. Nothing is ever unpickled.

    version of `correction`   tags     digests of package, verdict and evaluated suites; code version; label
                              source   a LoggedModel with the artifacts
                                       package/package.json  package/weights.safetensors  verdict.json
    aliases                   champion, candidate, previous

MLflow's client reads MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD by itself. It costs seconds to
import, so it is imported when a registry is opened.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Self

import httpx

from undersky.errors import ConfigError, ServiceError
from undersky.refs import Reference

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

CHAMPION, CANDIDATE, PREVIOUS = "champion", "candidate", "previous"
PACKAGE_FILES = ("package.json", "weights.safetensors")
"""The whole of a model package."""
VERDICT_FILE = "verdict.json"

_DIGEST, _VERDICT, _DATASET, _CODE, _LABEL = (
    f"undersky.{name}" for name in ("digest", "verdict", "dataset", "code_version", "label")
)
_SOURCE = "models:/"
_PATIENCE_S = 10.0
"""How long the server may take to say that it is alive."""
_NOT_THERE = ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND")
_DENIED = ("PERMISSION_DENIED", "UNAUTHENTICATED")


class Verdict(Reference):
    """Who let which weights be used, when, and on what evidence."""

    name: str
    """`correction`."""
    label: str
    """The package's own version, `physics-1`."""
    package: str
    """Digest of the package that was judged."""
    decision: str
    """`bootstrap: no champion existed`."""
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

    @property
    def digest(self) -> str:
        """sha256 of the verdict as it is written."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    @property
    def dataset(self) -> str:
        """sha256 over the evaluated suites."""
        text = "\n".join(f"{name} {digest}" for name, digest in sorted(self.suites.items()))
        return hashlib.sha256(text.encode()).hexdigest()


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
    """sha256 of its verdict, as the version's tag has it."""
    source: str
    """Where the files lie, `models:/m-...`."""
    aliases: tuple[str, ...] = ()
    """The aliases that point at it."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """All tags."""


class Registry:
    """One MLflow server."""

    def __init__(self, uri: str, client: "MlflowClient") -> None:
        self.uri = uri.rstrip("/")
        self._client = client

    @classmethod
    def open(cls, uri: str) -> Self:
        """The registry at that address, alive.

        Raises:
            ConfigError: The address is not of an http server.
            ServiceError: Nothing answers there.
        """
        ping(uri)
        import mlflow.environment_variables as switches  # noqa: PLC0415  see above
        from mlflow import MlflowClient  # noqa: PLC0415

        switches.MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR.set(False)  # type: ignore[no-untyped-call]  # MLflow's own way, untyped
        return cls(uri, MlflowClient(tracking_uri=uri, registry_uri=uri))

    def champion(self, name: str) -> Version | None:
        """The version that is in use; None where nobody chose one yet."""
        return self.aliased(name, CHAMPION)

    def aliased(self, name: str, alias: str) -> Version | None:
        """The version an alias points at."""
        number = self._aliases(name).get(alias)
        return None if number is None else self.version(name, number)

    def version(self, name: str, number: str) -> Version:
        """That version.

        Raises:
            ConfigError: There is none, or the account may not read it.
            ServiceError: The server failed.
        """
        with _typed(f"version {number} of {name}"):
            found = self._client.get_model_version(name, number)
        return self._version(found, self._aliases(name))

    def versions(self, name: str) -> list[Version]:
        """All versions, oldest first; none where the model is not registered."""
        aliases = self._aliases(name)
        return [self._version(found, aliases) for found in self._all(name)]

    def register(self, folder: Path, verdict: Verdict, *, report: str = "") -> Version:
        """The package in `folder` is a version of its model, with its verdict; an equal one is added once.

        Two that register the same package at once end with one version: the later number withdraws. The
        aliases of what comes back are not looked up.

        Args:
            folder: Holds the package, verified by the caller; its digest is the verdict's.
            verdict: On what evidence.
            report: Tables for people, Markdown.

        Raises:
            ConfigError: The account may not register.
            ServiceError: The server failed; the same call may succeed later.
        """
        known = self._of_digest(verdict)
        if known:
            return known[0]
        source = self._log_model(folder, verdict, report)
        tags = {
            _DIGEST: verdict.package, _VERDICT: verdict.digest, _DATASET: verdict.dataset,
            _CODE: verdict.code_version, _LABEL: verdict.label,
        }  # fmt: skip
        self._make_name(verdict.name)
        with _typed(f"a new version of {verdict.name}"):
            made = self._client.create_model_version(
                verdict.name, source=f"{_SOURCE}{source}", model_id=source, tags=tags, await_creation_for=0,
                description=f"{verdict.label}: {verdict.decision}",
            )  # fmt: skip
        first = self._of_digest(verdict)[0]
        if first.number != str(made.version):
            with _typed(f"the second copy of version {first.number}"):
                self._client.delete_model_version(verdict.name, str(made.version))
        return first

    def set_alias(self, version: Version, alias: str) -> None:
        """The alias points at that version.

        Raises:
            ConfigError: The account may not move aliases.
            ServiceError: The server failed.
        """
        with _typed(f"alias {alias} of {version.name}"):
            self._client.set_registered_model_alias(version.name, alias, version.number)

    def download(self, version: Version, folder: Path) -> None:
        """The files of the package and `verdict.json` lie in `folder`, as the registry has them, unverified.

        Raises:
            ConfigError: The version was not registered by Undersky, or may not be read.
            ServiceError: The server failed, or a file is missing there.
        """
        from mlflow.artifacts import download_artifacts  # noqa: PLC0415

        if not version.source.startswith(_SOURCE):
            raise ConfigError(
                f"version {version.number} of {version.name} comes from {version.source}, expected "
                f"{_SOURCE}<id>: register it with `undersky model bootstrap`"
            )
        what = f"the files of version {version.number} of {version.name}"
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder) as scratch, _typed(what):
            model = self._client.get_logged_model(version.source.removeprefix(_SOURCE))
            for name in (*(f"package/{file}" for file in PACKAGE_FILES), VERDICT_FILE):
                path = download_artifacts(
                    artifact_uri=f"{model.artifact_location}/{name}",
                    dst_path=scratch,
                    tracking_uri=self.uri,
                )
                Path(path).replace(folder / Path(name).name)

    def page(self, version: Version) -> str:
        """Where people look at it."""
        return f"{self.uri}/#/models/{version.name}/versions/{version.number}"

    def _aliases(self, name: str) -> dict[str, str]:
        # searched, not asked for by name: of a model that is not there, a reader hears "permission denied"
        with _typed(f"the model {name}"):
            found = self._client.search_registered_models(f"name = '{_plain(name)}'")
        return {alias: str(number) for model in found for alias, number in model.aliases.items()}

    def _all(self, name: str) -> list["ModelVersion"]:
        query, token = f"name = '{_plain(name)}'", None
        found: list[ModelVersion] = []
        with _typed(f"the versions of {name}"):
            while True:
                page = self._client.search_model_versions(query, 200, None, token)
                found += page
                token = page.token
                if not token:
                    return sorted(found, key=lambda version: int(version.version))

    def _of_digest(self, verdict: Verdict) -> list[Version]:
        """Versions of that package, oldest first, their aliases not looked up."""
        known = [self._version(found, {}) for found in self._all(verdict.name)]
        return [version for version in known if version.digest == verdict.package]

    def _version(self, found: "ModelVersion", aliases: Mapping[str, str]) -> Version:
        number, tags = str(found.version), dict(found.tags)
        return Version(
            name=found.name,
            number=number,
            label=tags.get(_LABEL, ""),
            digest=tags.get(_DIGEST, ""),
            verdict=tags.get(_VERDICT, ""),
            source=found.source or "",
            aliases=tuple(sorted(alias for alias, at in aliases.items() if at == number)),
            tags=tags,
        )

    def _log_model(self, folder: Path, verdict: Verdict, report: str) -> str:
        """Id of a LoggedModel that holds exactly the package, the verdict and the report."""
        client = self._client
        with TemporaryDirectory() as scratch:
            (Path(scratch) / "package").mkdir()
            for name in PACKAGE_FILES:
                (Path(scratch) / "package" / name).write_bytes((folder / name).read_bytes())
            (Path(scratch) / VERDICT_FILE).write_text(verdict.to_json(), encoding="utf-8")
            if report:
                (Path(scratch) / "report.md").write_text(report, encoding="utf-8")

            with _typed(f"the files of {verdict.label}"):
                model = client.create_logged_model(
                    self._experiment(verdict.name), verdict.label, None, {_DIGEST: verdict.package}
                )
                client.log_model_artifacts(model.model_id, scratch)
                client.finalize_logged_model(model.model_id, "READY")
                return str(model.model_id)

    def _experiment(self, name: str) -> str:
        found = self._client.get_experiment_by_name(name)
        if found is None:
            _unless_there(lambda: self._client.create_experiment(name), f"experiment {name}")
            found = self._client.get_experiment_by_name(name)
        if found is None:
            raise ServiceError(f"the experiment {name} was made and is not there: look at {self.uri}")
        return str(found.experiment_id)

    def _make_name(self, name: str) -> None:
        _unless_there(lambda: self._client.create_registered_model(name), f"the model {name}")


def ping(uri: str) -> None:
    """The server at that address lives.

    Raises:
        ConfigError: It is no http address.
        ServiceError: It does not answer.
    """
    if not uri.startswith(("http://", "https://")):
        raise ConfigError(f"UNDERSKY_REGISTRY={uri!r} is no http address; give that of the MLflow server")
    try:
        httpx.get(f"{uri.rstrip('/')}/health", timeout=_PATIENCE_S).raise_for_status()
    except httpx.HTTPError as error:
        raise ServiceError(
            f"the model registry at {uri} does not answer ({type(error).__name__}: {error}); is MLflow up?"
        ) from error


def _plain(name: str) -> str:
    if not name.replace("-", "").replace("_", "").isalnum():
        raise ConfigError(f"{name!r} is no name of a model: letters, digits, - and _")
    return name


@contextmanager
def _typed(what: str) -> Iterator[None]:
    """Errors of MLflow become ours."""
    from mlflow.exceptions import MlflowException  # noqa: PLC0415
    from requests import RequestException  # noqa: PLC0415

    try:
        yield
    except MlflowException as error:
        if error.error_code in _DENIED:
            raise ConfigError(
                f"the registry refuses {what} ({error.error_code}): check MLFLOW_TRACKING_USERNAME and "
                "MLFLOW_TRACKING_PASSWORD, and that this account may do it"
            ) from error
        if error.error_code in _NOT_THERE:
            raise ConfigError(f"the registry has no {what}: {error.message}") from error
        raise ServiceError(f"the registry failed on {what} ({error.error_code}): {error.message}") from error
    except (RequestException, OSError) as error:
        raise ServiceError(f"the registry failed on {what} ({type(error).__name__}): {error}") from error


def _unless_there(make: Callable[[], object], what: str) -> None:
    """It is there afterwards, whoever made it."""
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    with _typed(what):
        try:
            make()
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

"""The files of one version: what is there, and one of them read, fetched or written."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Self

from undersky.errors import ConfigError
from undersky.services.registry.packages import is_mlmodel, refuse, refuse_loaders, refuse_strangers
from undersky.services.registry.server import typed
from undersky.services.registry.values import SOURCE, Version

if TYPE_CHECKING:
    from mlflow import MlflowClient

_MOST_FILES = 200
"""How many a LoggedModel of ours could ever hold."""


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """The artifacts of a version's LoggedModel."""

    client: "MlflowClient"
    """MLflow's."""
    uri: str
    """The server's address."""
    said: str
    """What messages call the version."""
    model_id: str
    """Id of the LoggedModel."""
    location: str
    """Where its artifacts lie."""
    names: Mapping[str, int | None]
    """Path to size in bytes, as the server listed them; None where it did not say the size."""

    @classmethod
    def of(cls, client: "MlflowClient", uri: str, version: Version) -> Self:
        """The files of that version, listed now.

        Raises:
            ConfigError: The version was not registered by Undersky, or may not be read.
            DataError: `model_refused`: more files than a model of ours has.
            ServiceError: The server failed.
        """
        if not version.source.startswith(SOURCE):
            raise ConfigError(
                f"{version.said} comes from {version.source}, expected {SOURCE}<id>: register it with "
                "`undersky model bootstrap`"
            )
        model_id = version.source.removeprefix(SOURCE)
        with typed(f"the files of {version.said}"):
            location = str(client.get_logged_model(model_id).artifact_location)
            names = _listed(client, version.said, model_id)
        return cls(client, uri, version.said, model_id, location, names)

    def refuse_strangers(self) -> None:
        """Nothing, where the listing holds what we write and nothing that could execute.

        Raises:
            DataError: `model_refused`, with the file.
            ServiceError: The server failed.
        """
        refuse_strangers(self.said, self.names)
        for path in self.names:
            if is_mlmodel(path):
                refuse_loaders(self.said, path, self.read(path))

    def read(self, name: str) -> bytes:
        """The content of a file.

        Raises:
            ServiceError: The server failed, or the file is not there.
        """
        with TemporaryDirectory() as scratch:
            return self.fetch(name, Path(scratch)).read_bytes()

    def fetch(self, name: str, folder: Path) -> Path:
        """The file lies below `folder`; where, comes back.

        Raises:
            ServiceError: The server failed, or the file is not there.
        """
        from mlflow.artifacts import download_artifacts  # noqa: PLC0415  costs seconds

        with typed(f"{name} of {self.said}"):
            return Path(
                download_artifacts(
                    artifact_uri=f"{self.location}/{name}", dst_path=str(folder), tracking_uri=self.uri
                )
            )

    def write(self, name: str, content: bytes) -> None:
        """The file holds that content; one of the same name is gone.

        Raises:
            ConfigError: The account may not write.
            ServiceError: The server failed.
        """
        with TemporaryDirectory() as scratch, typed(f"{name} of {self.said}"):
            (Path(scratch) / name).write_bytes(content)
            self.client.log_model_artifact(self.model_id, str(Path(scratch) / name))


def _listed(client: "MlflowClient", said: str, model_id: str) -> dict[str, int | None]:
    found: dict[str, int | None] = {}
    folders: list[str | None] = [None]
    for count, folder in enumerate(folders):  # it grows while it is walked
        for entry in client.list_logged_model_artifacts(model_id, folder):
            if entry.is_dir:
                folders.append(entry.path)
            else:
                found[entry.path] = entry.file_size
        if len(found) > _MOST_FILES or count > _MOST_FILES:
            refuse(said, f"it has more than {_MOST_FILES} files or folders")
    return found

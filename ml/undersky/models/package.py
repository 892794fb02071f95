"""A model package: two files and a digest, nothing that can execute.

    <folder>/
        package.json          name, version, architecture, config, provenance, sha256 of the weights
        weights.safetensors   named arrays

The digest of a package is the sha256 of its `package.json`, which holds that of the weights: one number
for the whole model. The architecture is looked up in our own code; a package only configures it.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors

from undersky.errors import DataError, Reason

PACKAGE_FILE = "package.json"
WEIGHTS_FILE = "weights.safetensors"

LEARNED = "learned"
"""The architecture that reads the air from the scene, see `correction`."""
DEFAULT = LEARNED
"""The shipped package that corrects unless somebody names another."""

Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]
Arrays = dict[str, npt.NDArray[np.generic]]

_KEYS = {"name", "version", "architecture", "config", "provenance", "weights_sha256"}
_MAX_PACKAGE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class ModelPackage:
    """A model as it is stored, verified, not yet built."""

    name: str
    """What it is for: `correction`."""
    version: str
    """Which one of them: `physics-1`."""
    architecture: str
    """Which code of ours it configures: `physics`."""
    config: Mapping[str, Json]
    """The architecture's configuration."""
    provenance: Mapping[str, Json]
    """How it was made and from what."""
    weights: Arrays
    """Named arrays."""
    digest: str
    """sha256 over the whole package."""


def shipped(architecture: str) -> Path:
    """Where the package that comes with Undersky lies."""
    return Path(str(files("undersky.models"))) / "packages" / architecture


def package_folder(model: str | Path | None) -> Path:
    """Where a model lies: a shipped one by its name (`learned`, `physics`), any other by its folder.

    Args:
        model: Name or folder; DEFAULT when None.
    """
    name = DEFAULT if model is None else model
    known = shipped(str(name))
    return known if Path(name).name == str(name) and (known / PACKAGE_FILE).is_file() else Path(name)


def load_package(folder: Path) -> ModelPackage:
    """The package in a folder, its weights checked against their digest; nothing in it is executed.

    Raises:
        DataError: `model_refused`: a file is missing, malformed, or not the one the package was made with.
    """
    header = _header(folder / PACKAGE_FILE)
    blob = _read(folder / WEIGHTS_FILE)
    found = hashlib.sha256(blob).hexdigest()
    if found != header["weights_sha256"]:
        raise _refused(folder, f"its weights have sha256 {found[:12]}, not {header['weights_sha256']}")
    try:
        weights = load_safetensors(blob)
    except SafetensorError as error:
        raise _refused(folder, f"{WEIGHTS_FILE} is no safetensors file ({error})") from error
    config, provenance = header["config"], header["provenance"]
    if not isinstance(config, dict) or not isinstance(provenance, dict):
        raise _refused(folder, "config and provenance must be JSON objects")
    digest = hashlib.sha256(_read(folder / PACKAGE_FILE)).hexdigest()
    text = {key: str(header[key]) for key in ("name", "version", "architecture")}
    return ModelPackage(**text, config=config, provenance=provenance, weights=weights, digest=digest)


def save_package(package: ModelPackage, folder: Path) -> ModelPackage:
    """Writes the package and returns it with the digest it now has; the same input gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    blob = save_safetensors(package.weights)
    (folder / WEIGHTS_FILE).write_bytes(blob)
    header = {
        "name": package.name,
        "version": package.version,
        "architecture": package.architecture,
        "config": dict(package.config),
        "provenance": dict(package.provenance),
        "weights_sha256": hashlib.sha256(blob).hexdigest(),
    }
    text = json.dumps(header, indent=2, sort_keys=True, allow_nan=False)
    (folder / PACKAGE_FILE).write_text(text + "\n", encoding="utf-8")
    return load_package(folder)


def _header(path: Path) -> dict[str, Json]:
    raw = _read(path)
    if len(raw) > _MAX_PACKAGE_BYTES:
        raise _refused(path.parent, f"{PACKAGE_FILE} has {len(raw)} bytes, more than any configuration needs")
    try:
        header = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise _refused(path.parent, f"{PACKAGE_FILE} is no JSON ({error})") from error
    if not isinstance(header, dict) or set(header) != _KEYS:
        raise _refused(path.parent, f"{PACKAGE_FILE} must hold exactly {sorted(_KEYS)}")
    return header


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _refused(path.parent, f"{path.name} cannot be read ({error.strerror})") from error


def _refused(folder: Path, why: str) -> DataError:
    return DataError(
        Reason.MODEL_REFUSED,
        f"the model package {folder.name} is refused: {why}; a package is {PACKAGE_FILE} + {WEIGHTS_FILE}, "
        "unchanged since it was saved",
    )

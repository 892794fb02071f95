"""What a LoggedModel of ours holds, and what is refused in one before a byte of it is fetched.

package/package.json  package/weights.safetensors    the model: nothing that can execute
MLmodel               shape of inputs and outputs; no flavor, so MLflow itself can load nothing from it
judgement.json  verdict.json  README.md  report.*    what is said of it
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NoReturn

import yaml

from undersky.errors import ConfigError, DataError, Reason
from undersky.services.registry.values import JUDGEMENT_FILE, PACKAGE_FILES, VERDICT_FILE
from undersky.strict_yaml import parse_yaml

MLMODEL = "MLmodel"
CARD, REPORT = "README.md", "report.md"
PACKAGE_PATHS = tuple(f"package/{name}" for name in PACKAGE_FILES)

_CODE = (".pkl", ".pickle", ".pt", ".pth", ".bin", ".joblib", ".npy", ".dill")
"""Endings of files that execute what they hold when they are read, or may."""
_LOADER = "loader_module"
_MIB = 1 << 20
_MOST_BYTES = {
    PACKAGE_PATHS[0]: _MIB,
    PACKAGE_PATHS[1]: 2 << 30,
    MLMODEL: _MIB,
    VERDICT_FILE: 16 * _MIB,
    JUDGEMENT_FILE: 16 * _MIB,
}
_OURS = (*PACKAGE_PATHS, MLMODEL, VERDICT_FILE, JUDGEMENT_FILE, CARD, REPORT)


@dataclass(frozen=True, slots=True)
class Origin:
    """What a package says of where it comes from."""

    dataset: str = ""
    """sha256 of the data set it learned from; empty where it did not learn."""
    recipe: str = ""
    """Name of the recipe it was trained by; empty likewise."""
    bands: int = -1
    """How many bands it takes; -1 where it takes any number."""


def origin(folder: Path) -> Origin:
    """What the package in a folder says; what it does not say is empty.

    Raises:
        DataError: `model_refused`: its `package.json` is missing or no JSON object.
    """
    path = folder / PACKAGE_FILES[0]
    try:
        header = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        refuse(f"the package in {folder}", f"its {path.name} cannot be read ({type(error).__name__})")
    if not isinstance(header, dict):
        refuse(f"the package in {folder}", f"its {path.name} is no JSON object")
    made, config = _object(header.get("provenance")), _object(header.get("config"))
    bands = config.get("bands", -1)
    return Origin(
        dataset=str(made.get("dataset_digest") or ""),
        recipe=str(_object(made.get("recipe")).get("name") or ""),
        bands=len(bands) if isinstance(bands, list) else bands if isinstance(bands, int) else -1,
    )


def mlmodel(source: Origin, *, package: str, code_version: str, model_id: str, run_id: str | None) -> str:
    """The text of `MLmodel`: shapes and origin for MLflow's pages, and nothing that loads.

    Args:
        source: What the package says of itself.
        package: Its digest.
        code_version: Version of Undersky that registers it.
        model_id: Id of the LoggedModel.
        run_id: Id of the training run.
    """
    import numpy as np  # noqa: PLC0415  MLflow brings it: both cost seconds
    from mlflow.models import ModelSignature  # noqa: PLC0415  likewise
    from mlflow.types import Schema, TensorSpec  # noqa: PLC0415  likewise

    shape = (-1, source.bands, -1, -1)
    inputs, outputs = (
        Schema([TensorSpec(np.dtype(np.float32), shape, name=name)])
        for name in ("toa_reflectance", "surface_reflectance")
    )
    signature = ModelSignature(inputs=inputs, outputs=outputs).to_dict()
    metadata = {
        "package_digest": package, "dataset_digest": source.dataset, "recipe": source.recipe,
        "code_version": code_version,
    }  # fmt: skip
    page = {"flavors": {}, "signature": signature, "model_id": model_id, "run_id": run_id}
    said = {name: value for name, value in metadata.items() if value}
    return yaml.safe_dump({**page, "metadata": said}, sort_keys=True)


def lay_out(folder: Path, package: Path, files: Mapping[str, bytes]) -> None:
    """The folder holds the package in its place, and the files beside it.

    Raises:
        ConfigError: A file may not lie there.
    """
    (folder / "package").mkdir(parents=True)
    for name in PACKAGE_FILES:
        (folder / "package" / name).write_bytes((package / name).read_bytes())
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def check_names(names: Iterable[str]) -> None:
    """Nothing, where files of these names may lie beside a package.

    Raises:
        ConfigError: One is of the registry itself, or `check_paths` refuses it.
    """
    check_paths(names)
    for name in names:
        if name in _OURS or name.startswith("package/") or is_mlmodel(name):
            raise ConfigError(f"a file {name!r} is the registry's own beside a model: give another name")


def check_paths(names: Iterable[str]) -> None:
    """Nothing, where files of these names may lie in the registry.

    Raises:
        ConfigError: One leaves its folder, or is of a kind that executes code when it is read.
    """
    for name in names:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not path.parts:
            raise ConfigError(f"{name!r} is no path of a file below a folder: give one such as report.html")
        if path.suffix.lower() in _CODE:
            raise ConfigError(
                f"{name!r} is of a kind that may execute code when it is read ({', '.join(_CODE)}): keep "
                "arrays as safetensors, figures as JSON"
            )


def refuse_strangers(said: str, files: Mapping[str, int | None]) -> None:
    """Nothing, where a listing holds what we write and nothing that could execute.

    Args:
        said: What is looked at, for messages.
        files: Path to size; None where the server does not say it.

    Raises:
        DataError: `model_refused`, with the file.
    """
    for path, size in files.items():
        if path.startswith("package/") and path not in PACKAGE_PATHS:
            refuse(said, f"{path} is no part of a package, which is {' + '.join(PACKAGE_FILES)}")
        if PurePosixPath(path).suffix.lower() in _CODE:
            refuse(said, f"{path} is of a kind that executes code when it is read")
        most = _MOST_BYTES.get(path)
        if most is not None and size is not None and size > most:
            refuse(said, f"{path} has {size} bytes, at most {most} are expected")
    for path in PACKAGE_PATHS:
        if path not in files:
            refuse(said, f"it has no {path}")


def is_mlmodel(path: str) -> bool:
    """Whether MLflow would look into that file for what to load."""
    return PurePosixPath(path).name.lower() == MLMODEL.lower()


def refuse_loaders(said: str, path: str, text: bytes) -> None:
    """Nothing, where an `MLmodel` names nothing that MLflow could load.

    Raises:
        DataError: `model_refused`: it names a flavor or a module, or is no YAML.
    """
    try:
        page = parse_yaml(text.decode())
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        refuse(said, f"{path} is no YAML ({type(error).__name__})")
    if _LOADER.encode() in text or _LOADER in json.dumps(page, default=str):
        refuse(said, f"{path} names a {_LOADER}: a package of ours loads no code")
    if not isinstance(page, dict) or page.get("flavors"):
        refuse(said, f"{path} has flavors, expected none: a package of ours is not loaded by MLflow")


def refuse(said: str, why: str) -> NoReturn:
    """Raises the one error of everything that is refused.

    Raises:
        DataError: `model_refused`.
    """
    raise DataError(
        Reason.MODEL_REFUSED,
        f"{said} is refused: {why}. Look at it in the registry, and register the package again with Undersky",
    )


def _object(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}

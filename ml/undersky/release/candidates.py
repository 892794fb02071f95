"""Candidates in the store: packages that nobody has judged yet. `submit` brings one from elsewhere.

<folder> --verified--> candidates/<model>/<digest>/{weights.safetensors, training.json, ..., package.json}
"""

from pathlib import Path
from typing import TYPE_CHECKING

from undersky.errors import ConfigError, DataError, Reason
from undersky.models.package import PACKAGE_FILE, WEIGHTS_FILE, ModelPackage, load_package, package_folder
from undersky.refs import PackageRef
from undersky.release.folders import sha256_of

if TYPE_CHECKING:
    from undersky.services.store import Store

BESIDE = ("training.json", "history.csv")
"""What may lie beside a package: how it came about."""


def put_candidate(store: "Store", folder: Path, *, model: str) -> PackageRef:
    """The package in the folder lies among the candidates, whole.

    Raises:
        DataError: `model_refused`: it is damaged, or no package.
        ConfigError: It is of another model.
    """
    package = load_package(folder)
    if package.name != model:
        raise ConfigError(f"{folder} holds a model {package.name}, expected {model}")
    prefix = f"candidates/{package.name}/{package.digest}"
    beside = [name for name in BESIDE if (folder / name).is_file()]
    for name in (WEIGHTS_FILE, *beside, PACKAGE_FILE):  # the package last: then it is whole
        store.put_file(f"{prefix}/{name}", folder / name, sha256=sha256_of(folder / name))
    return _ref(package, store.href(prefix))


def get_candidate(store: "Store", ref: PackageRef, folder: Path) -> ModelPackage:
    """The folder holds the package, verified against the reference.

    Raises:
        DataError: `model_refused`: it is not the one that is meant.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in (PACKAGE_FILE, WEIGHTS_FILE):
        store.get_file(f"{store.key(ref.href)}/{name}", folder / name)
    package = load_package(folder)
    if (package.name, package.digest) != (ref.name, ref.digest):
        raise DataError(
            Reason.MODEL_REFUSED,
            f"{ref.href} holds {package.name} {package.digest[:12]}, expected {ref.name} {ref.digest[:12]}",
        )
    return package


def submit(store: "Store", weights: str | Path, *, recipe: str, dataset: str) -> PackageRef:
    """Weights that were trained elsewhere are a candidate like any other.

    Args:
        store: The own bucket.
        weights: Folder of the package, or a shipped one by its name.
        recipe: Name or digest of the recipe that it must say it was trained with.
        dataset: Digest, or its beginning, of the dataset that it must say it was trained on.

    Raises:
        DataError: `model_refused`: the package is damaged, or says something else of its origin.
    """
    folder = package_folder(weights)
    package = load_package(folder)
    said = dict(package.provenance)
    named = said.get("recipe")
    names = {
        str(said.get("recipe_digest", "")),
        str(named.get("name", "")) if isinstance(named, dict) else "",
    }
    if recipe not in names - {""}:
        found = " or ".join(sorted(names - {""})) or "unknown"
        raise _refused(package, f"it was trained with the recipe {found}", recipe)
    trained_on = str(said.get("dataset_digest", ""))
    if len(dataset) < 8 or not trained_on.startswith(dataset):
        raise _refused(package, f"it was trained on the dataset {trained_on[:12] or 'unknown'}", dataset)
    return put_candidate(store, folder, model=package.name)


def _ref(package: ModelPackage, href: str) -> PackageRef:
    return PackageRef(name=package.name, label=package.version, digest=package.digest, href=href)


def _refused(package: ModelPackage, found: str, expected: str) -> DataError:
    return DataError(
        Reason.MODEL_REFUSED,
        f"{package.version} is not what you say: {found}, not {expected}; `package.json` names both digests",
    )

"""From the own store onto the disk: Level-1 files as `open_scene` wants them, and products of ours."""

import json
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

from undersky.errors import ConfigError, DataError, Reason
from undersky.refs import FileRef, Made, SceneRef
from undersky.services.store import NotInStore, Store

Json = Mapping[str, Any]

_ARCHIVES = {".zip", ".tar"}
_AT_A_TIME = 4


def fetch_scene(store: Store, ref: SceneRef, files: tuple[FileRef, ...], folder: Path) -> Path:
    """The path of the product in `folder`, an archive or a folder; sizes and checksums are verified.

    Args:
        store: Holds the files.
        ref: The scene.
        files: Its files, with addresses in the own store.
        folder: An empty folder.

    Raises:
        DataError: The scene has no files, or one has a name that would leave the folder.
        ServiceError: The store does not answer, or lost a file.
    """
    if not files:
        raise DataError(
            Reason.METADATA_MISSING,
            f"{ref.scene} came without files: nothing was ingested, or the provider "
            "lists none; `undersky retry` it",
        )
    root = folder / ref.scene
    targets = [root / _inside(ref, file.name) for file in files]
    if len(set(targets)) < len(targets):
        raise DataError(Reason.ARCHIVE_UNSAFE, f"{ref.scene} lists a file twice: report it to the provider")
    folders = {parent for target in targets for parent in target.parents}
    if folders & set(targets):
        raise DataError(
            Reason.ARCHIVE_UNSAFE, f"{ref.scene} has a file where it has a folder: report it to the provider"
        )
    for target in targets:
        target.parent.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        jobs = [pool.submit(_fetch, store, *pair) for pair in zip(files, targets, strict=True)]
        try:
            for job in jobs:
                job.result()
        finally:
            pool.shutdown(cancel_futures=True)
    return _product(root, targets)


def _inside(ref: SceneRef, name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or not path.parts or ".." in path.parts or "\\" in name or "\0" in name:
        raise DataError(
            Reason.ARCHIVE_UNSAFE,
            f"{ref.scene} has a file named {name!r}, which climbs out of its folder: report it "
            "to the provider",
        )
    return path


def _fetch(store: Store, file: FileRef, target: Path) -> None:
    algorithm, _, digest = (file.checksum or "").partition(":")
    sha256 = digest if algorithm == "sha256" and digest else None
    store.get_file(store.key(file.href), target, size=file.size, sha256=sha256)


def _product(root: Path, targets: list[Path]) -> Path:
    """The one archive, the one SAFE folder inside, or the folder itself."""
    if len(targets) == 1 and targets[0].suffix.lower() in _ARCHIVES:
        return targets[0]
    tops = {target.relative_to(root).parts[0] for target in targets}
    (top, *others) = tops
    if not others and (root / top).is_dir():
        return root / top
    return root


def fetch_product(store: Store, made: Made, folder: Path) -> Path:
    """Item and assets of a product, as they lie in the store; what is not there is left out.

    Raises:
        DataError: An object's bytes are not those of the store's own checksum.
        ConfigError: The Item is not there or is none.
        ServiceError: The store does not answer.
    """
    return fetch_assets(store, made, folder)[1]


def fetch_assets(
    store: Store, made: Made, folder: Path, *, roles: Collection[str] | None = None
) -> tuple[Json, Path]:
    """A product's Item, and the folder that holds it and those assets; what is not there is left out.

    Args:
        store: The own bucket.
        made: The product.
        folder: It is made, unless it is there.
        roles: STAC roles of the assets that are wanted, any of them; all assets when None.

    Raises:
        DataError: An object's bytes are not those of the store's own checksum.
        ConfigError: The Item is not there or is none.
        ServiceError: The store does not answer.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = store.find(made.item)
    if text is None:
        raise ConfigError(f"{store.href(made.item)} is not there: the product has to be made again")
    (folder / Path(made.item).name).write_bytes(text)
    try:
        item: Json = json.loads(text)
        assets = [
            (Path(str(each["href"])).name, {*each.get("roles", ())}) for each in item["assets"].values()
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"{store.href(made.item)} is no Item: remove it and make the product again"
        raise ConfigError(message) from error
    names = [name for name, its in assets if roles is None or its & {*roles}]
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        list(pool.map(lambda name: _get(store, f"{made.prefix}/{name}", folder / name), names))
    return item, folder


def _get(store: Store, key: str, path: Path) -> None:
    try:
        store.get_file(key, path)
    except NotInStore:
        return  # whoever needs it says so

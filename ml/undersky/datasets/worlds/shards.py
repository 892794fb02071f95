"""The banks of the worlds on disk: shards, a manifest, one digest; built once, verified at every reading.

    <folder>/worlds-<digest of the spec>/
        airs-train-000.safetensors ...   at most AIRS_A_SHARD airs each
        airs-validation-000.safetensors
        textures-train.safetensors  textures-validation.safetensors
        manifest.json                    spec, versions, sha256 of every shard, what the leakage check found

The manifest is written last, so a build that was killed is built again; no shard is ever half a shard.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from undersky.atmosphere.hypotheses import AOT_LADDER
from undersky.atmosphere.shipped import tables_digest
from undersky.datasets.worlds.airs import Airs, draw_airs
from undersky.datasets.worlds.leakage import refuse_leaks
from undersky.datasets.worlds.materials import Split, split_names
from undersky.datasets.worlds.spec import VERSION, WorldSpec
from undersky.datasets.worlds.textures import Textures, draw_textures
from undersky.errors import DataError, Reason
from undersky.synth.library import load_library

MANIFEST = "manifest.json"
AIRS_A_SHARD = 4096
"""Airs of 4 kB each."""

SPLITS: tuple[Split, ...] = ("train", "validation")

Progress = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class Banks:
    """One split of the worlds, in memory."""

    textures: Textures
    """Fields."""
    airs: Airs
    """Atmospheres."""


@dataclass(frozen=True, slots=True)
class Worlds:
    """Both splits."""

    digest: str
    """sha256 of the manifest."""
    folder: Path
    """Where they lie."""
    train: Banks
    """What is learned from."""
    validation: Banks
    """What is not: other spectra, other airs, other textures."""

    def banks(self, split: Split) -> Banks:
        """Of a split."""
        return self.train if split == "train" else self.validation


def spec_digest(spec: WorldSpec) -> str:
    """What decides the banks: the spec, the generator's version, the physics and the spectra."""
    decides = {
        "spec": asdict(spec),
        "version": VERSION,
        "tables": tables_digest(),
        "ladder": AOT_LADDER,
        "spectra": dict(split_names(load_library())),
    }
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


def prepare_worlds(spec: WorldSpec, folder: Path, *, progress: Progress | None = None) -> Worlds:
    """The worlds of a spec, built under the folder or found there, and checked for leaks.

    Args:
        spec: Which.
        folder: Where datasets lie.
        progress: Told the done fraction.

    Raises:
        DataError: `dataset_damaged`: a shard is not what the manifest says. `split_leaks`: see `leakage`.
    """
    digest = spec_digest(spec)
    home = folder / f"worlds-{digest[:16]}"
    if not (home / MANIFEST).is_file():
        _build(spec, home, digest=digest, tell=progress or (lambda _, __: None))
    worlds = load_worlds(home)
    refuse_leaks(worlds.train.airs, worlds.validation.airs)
    return worlds


def load_worlds(home: Path) -> Worlds:
    """The worlds in a folder, every shard verified.

    Raises:
        DataError: `dataset_damaged`.
    """
    manifest = (home / MANIFEST).read_bytes()
    try:
        shards = json.loads(manifest)["shards"]
        tensors = {name: _read(home / name, str(sha)) for name, sha in sorted(shards.items())}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(home, f"{MANIFEST} cannot be read ({error})") from error
    train, validation = (_banks(tensors, split, home) for split in SPLITS)
    return Worlds(hashlib.sha256(manifest).hexdigest(), home, train, validation)


def _build(spec: WorldSpec, home: Path, *, digest: str, tell: Progress) -> None:
    home.mkdir(parents=True, exist_ok=True)
    counts = {"train": spec.airs.count, "validation": spec.airs.validation}
    total, done = sum(counts.values()) + 1, 0
    shards: dict[str, str] = {}
    for number, split in enumerate(SPLITS):
        generator = np.random.default_rng([spec.seed, number, 7])
        drawn = draw_textures(max(16, spec.ground.textures // (1 + 3 * number)), generator)
        bank = {"patches": torch.from_numpy(drawn.patches), "shades": torch.from_numpy(drawn.shades)}
        name = f"textures-{split}.safetensors"
        shards[name] = _write(home / name, bank)
        airs = draw_airs(counts[split], spec.airs, seed=2 * spec.seed + number)
        for part, first in enumerate(range(0, counts[split], AIRS_A_SHARD)):
            some = {f.name: getattr(airs, f.name)[first : first + AIRS_A_SHARD] for f in fields(airs)}
            name = f"airs-{split}-{part:03d}.safetensors"
            shards[name] = _write(home / name, some)
            done += len(some["sensor"])
            tell(done / total, f"building worlds: {done} airs")
    manifest = {"name": "worlds", "version": VERSION, "spec": asdict(spec)}
    manifest |= {"spec_sha256": digest, "shards": shards}
    text = json.dumps(manifest, indent=1, sort_keys=True)
    (home / f"{MANIFEST}.part").write_text(text + "\n", encoding="utf-8")
    (home / f"{MANIFEST}.part").replace(home / MANIFEST)


def _write(path: Path, tensors: dict[str, Tensor]) -> str:
    """Its sha256; the file appears whole or not at all."""
    blob = save_tensors({name: value.contiguous() for name, value in tensors.items()})
    part = path.with_suffix(".part")
    part.write_bytes(blob)
    part.replace(path)
    return hashlib.sha256(blob).hexdigest()


def _read(path: Path, sha256: str) -> dict[str, Tensor]:
    try:
        blob = path.read_bytes()
    except OSError as error:
        raise _damaged(path.parent, f"{path.name} cannot be read ({error.strerror})") from error
    if hashlib.sha256(blob).hexdigest() != sha256:
        raise _damaged(path.parent, f"{path.name} is not what the manifest says")
    try:
        return load_tensors(blob)
    except SafetensorError as error:
        raise _damaged(path.parent, f"{path.name} is no safetensors file") from error


def _banks(tensors: dict[str, dict[str, Tensor]], split: Split, home: Path) -> Banks:
    parts = [value for name, value in tensors.items() if name.startswith(f"airs-{split}-")]
    try:
        bank = tensors[f"textures-{split}.safetensors"]
        textures = Textures(bank["patches"].numpy(), bank["shades"].numpy())
        airs = Airs(**{f.name: torch.cat([part[f.name] for part in parts]) for f in fields(Airs)})
    except (KeyError, RuntimeError, ValueError) as error:
        raise _damaged(home, f"its {split} split is not whole ({error})") from error
    return Banks(textures, airs)


def _damaged(home: Path, why: str) -> DataError:
    return DataError(
        Reason.DATASET_DAMAGED,
        f"the worlds in {home.name} are damaged: {why}; delete the folder and build again",
    )

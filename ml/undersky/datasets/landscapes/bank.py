"""Landscapes on the disk: drawn once, verified at every reading, so that a training step costs a look-up.

<folder>/landscapes-<digest of the spec>/
    train.safetensors  validation.safetensors    reflectance (n, band, y, x) half precision, cover (n, y, x)
    manifest.json                                spec, version, sha256 of both; written last
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from undersky.datasets.landscapes.compose import VERSION, draw_landscape
from undersky.datasets.landscapes.layout import COUNTRIES
from undersky.datasets.landscapes.spectra import BANDS, Split, names_of
from undersky.datasets.worlds.leakage import refuse_shared_spectra
from undersky.datasets.worlds.materials import split_names
from undersky.errors import DataError, Reason
from undersky.landcover import CODES
from undersky.synth.library import load_library

Halves = npt.NDArray[np.float16]
Progress = Callable[[float, str], None]

MANIFEST = "manifest.json"
SPLITS: tuple[Split, ...] = ("train", "validation")


@dataclass(frozen=True, slots=True)
class LandscapeSpec:
    """Which landscapes there are."""

    seed: int = 1
    """Of all of them."""
    train: int = 1200
    """Landscapes to learn from."""
    validation: int = 96
    """Landscapes to calibrate on; of other spectra."""
    size: int = 64
    """Pixels along each side."""

    def __post_init__(self) -> None:
        if min(self.train, self.validation) < 1 or self.size < 16 or self.size % 8:
            raise ValueError("landscapes: one at least of each split, and a size of 16 or more in eights")


@dataclass(frozen=True, slots=True)
class Bank:
    """Landscapes of one split."""

    reflectance: Halves
    """(n, band, y, x), bands as in BANDS, NaN where the sensor has none."""
    cover: npt.NDArray[np.uint8]
    """Position in `landcover.CLASSES`, (n, y, x)."""


@dataclass(frozen=True, slots=True)
class Landscapes:
    """Both splits."""

    digest: str
    """sha256 of the manifest."""
    train: Bank
    """What is learned from."""
    validation: Bank
    """What is not."""


def spec_digest(spec: LandscapeSpec) -> str:
    """What decides the landscapes: the spec, the generator's version, countries, spectra and classes."""
    decides = {
        "spec": asdict(spec),
        "version": VERSION,
        "bands": BANDS,
        "countries": {name: [weight, dict(what)] for name, (weight, what) in COUNTRIES.items()},
        "spectra": {split: names_of(split) for split in SPLITS},
        "classes": CODES,
    }
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


def prepare_landscapes(spec: LandscapeSpec, folder: Path, *, progress: Progress | None = None) -> Landscapes:
    """The landscapes of a spec, drawn under the folder or found there, once no split knows another.

    Args:
        spec: Which.
        folder: Where datasets lie.
        progress: Told the done fraction.

    Raises:
        DataError: `split_leaks`: a spectrum of one split is in another.
            `dataset_damaged`: a file is not what the manifest says.
    """
    library = load_library()
    refuse_shared_spectra(library, split_names(library))
    home = folder / f"landscapes-{spec_digest(spec)[:16]}"
    if not (home / MANIFEST).is_file():
        _build(spec, home, tell=progress or (lambda _, __: None))
    return load_landscapes(home)


def load_landscapes(home: Path) -> Landscapes:
    """The landscapes in a folder, every file verified.

    Raises:
        DataError: `dataset_damaged`.
    """
    try:
        manifest = (home / MANIFEST).read_bytes()
        sums = {split: str(json.loads(manifest)["files"][split]) for split in SPLITS}
        train, validation = (_read(home, split, sums[split]) for split in SPLITS)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise _damaged(home, f"{error}") from error
    return Landscapes(hashlib.sha256(manifest).hexdigest(), train, validation)


def _read(home: Path, split: Split, sha256: str) -> Bank:
    blob = (home / f"{split}.safetensors").read_bytes()
    if hashlib.sha256(blob).hexdigest() != sha256:
        raise _damaged(home, f"{split}.safetensors is not what the manifest says")
    arrays = load_arrays(blob)
    return Bank(arrays["reflectance"], arrays["cover"])


def _build(spec: LandscapeSpec, home: Path, *, tell: Progress) -> None:
    home.mkdir(parents=True, exist_ok=True)
    total, done, files = spec.train + spec.validation, 0, {}
    for split in SPLITS:
        count = spec.train if split == "train" else spec.validation
        reflectance = np.empty((count, len(BANDS), spec.size, spec.size), dtype=np.float16)
        cover = np.empty((count, spec.size, spec.size), dtype=np.uint8)
        for number in range(count):
            drawn = draw_landscape(split, (spec.seed, number), size=spec.size)
            reflectance[number], cover[number] = drawn.reflectance, drawn.cover
            done += 1
            tell(done / total, f"drawing landscapes: {done} of {total}")
        blob = save_arrays({"reflectance": reflectance, "cover": cover})
        part = home / f"{split}.part"
        part.write_bytes(blob)
        part.replace(home / f"{split}.safetensors")
        files[split] = hashlib.sha256(blob).hexdigest()
    manifest = {"name": "landscapes", "version": VERSION, "spec": asdict(spec), "files": files}
    part = home / f"{MANIFEST}.part"
    part.write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    part.replace(home / MANIFEST)


def _damaged(home: Path, why: str) -> DataError:
    return DataError(
        Reason.DATASET_DAMAGED,
        f"the landscapes in {home.name} are damaged: {why}; delete the folder and draw them again",
    )

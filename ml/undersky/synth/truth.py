"""What is true of a simulated product, kept beside it.

S2A_..._T32TQM_....truth/
├── B02.tif ...          surface reflectance, float32, also under cloud and beyond the swath
├── quality.tif          the bits of `undersky.quality.Quality`
├── state.json           the atmosphere: what `correct --state FILE` reads
└── request.json         what was asked for
"""

import dataclasses
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import rasterio

from undersky.atmosphere.state import AtmosphereState
from undersky.atmosphere.state_file import Fields, exactly_known, read_state, write_state
from undersky.errors import ConfigError
from undersky.grid import Floats
from undersky.quality import QualityBits
from undersky.synth.acquisition import Acquisition
from undersky.synth.geotiff import write_geotiff

SUFFIX = ".truth"
"""What a product's name without its extension is followed by."""


@dataclass(frozen=True, slots=True)
class Truth:
    """The truth of one simulated product, read back."""

    surface: Mapping[str, Floats]
    """Surface reflectance by band name, float32 (y, x) at native resolution."""
    quality: QualityBits
    """True bits on the finest grid."""
    state: AtmosphereState[Fields]
    """The atmosphere, (y, x) on edge-to-edge nodes."""
    request: Mapping[str, object]
    """What was asked for, as JSON knows it."""


def truth_folder(product: Path) -> Path:
    """Where the truth of that product lies: beside it, whatever its extension."""
    stem = product.name.removesuffix(".SAFE").removesuffix(".zip")
    return product.parent / f"{stem}{SUFFIX}"


def write_truth(acquisition: Acquisition, product: Path) -> Path:
    """The truth folder beside the product; an older one is replaced."""
    folder = truth_folder(product)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, surface in acquisition.surface.items():
        write_geotiff(folder / f"{name}.tif", surface, grid=acquisition.grids[name])
    write_geotiff(folder / "quality.tif", acquisition.quality, grid=acquisition.grid, classes=True)
    write_state(folder / "state.json", acquisition.state, uncertainty=exactly_known(acquisition.state))
    request = dataclasses.asdict(acquisition.request)
    text = json.dumps(request, indent=1, default=_as_text) + "\n"
    (folder / "request.json").write_text(text, encoding="utf-8")
    return folder


def read_truth(folder: Path) -> Truth:
    """The truth that `write_truth` left there.

    Raises:
        ConfigError: It is no truth folder.
    """
    if not (folder / "request.json").is_file():
        raise ConfigError(f"{folder} holds no truth; expected request.json, made by `undersky simulate`")
    surface: dict[str, Floats] = {}
    for path in sorted(folder.glob("*.tif")):
        with rasterio.open(path) as raster:
            surface[path.stem] = np.asarray(raster.read(1))
    quality = np.asarray(surface.pop("quality"), dtype=np.uint16)
    state, _ = read_state(folder / "state.json")
    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    return Truth(surface, quality, state, request)


def _as_text(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"a request holds a {type(value).__name__}, which JSON has no form for")

"""A recipe: everything that decides what a training makes, in one YAML file, read into frozen values.

    name: tiny                 seed, steps, batch_size, learning_rate: the same file, the same weights
    task: correction
    seed: 1
    steps: 300
    batch_size: 16
    learning_rate: 2e-3
    dataset: {worlds: 64}      three sections that only the task understands; it reads them with `section`
    network: {width: 32}
    loss: {}

An unknown key, a doubled key and a wrong type are errors with their place.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import yaml

from undersky.errors import ConfigError
from undersky.models.package import Json
from undersky.section import section
from undersky.strict_yaml import parse_yaml

RECIPES = Path(__file__).parent / "recipes"
"""Where the shipped ones lie, `<name>.yaml`."""

_MAX_BYTES = 1 << 16
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_DECIDES_NOTHING = {"max_gpu_hours", "checkpoint_every"}


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a model is trained."""

    name: str
    """`default`; lower case letters, digits and hyphens."""
    task: str
    """What is trained: `correction`."""
    seed: int
    """Of the weights, the worlds and the batches."""
    steps: int
    """How often the weights are changed."""
    batch_size: int
    """Scenes a step, over all ranks together."""
    learning_rate: float
    """The highest, at the end of the warm-up."""
    warmup: float = 0.05
    """Share of the steps in which the rate climbs."""
    weight_decay: float = 0.01
    """Of AdamW."""
    ema_decay: float = 0.999
    """Of the running mean of the weights, which is what is packaged; 0 packages the last weights."""
    gradient_clip: float = 1.0
    """Longest gradient that is taken whole."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the products inside the network; weights are always float32."""
    checkpoint_every: int = 200
    """Steps between checkpoints."""
    max_gpu_hours: float | None = None
    """Ranks times hours on CUDA, over all resumptions, after which the training stops; None is no cap."""
    start: str | None = None
    """Folder or shipped name of the package to fine-tune."""
    dataset: Mapping[str, Json] = field(default_factory=dict)
    """The task's."""
    network: Mapping[str, Json] = field(default_factory=dict)
    """The task's."""
    loss: Mapping[str, Json] = field(default_factory=dict)
    """The task's."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"name {self.name!r}: lower case letters, digits and hyphens")
        positive = ("steps", "batch_size", "learning_rate", "gradient_clip", "checkpoint_every")
        if low := [name for name in positive if getattr(self, name) <= 0]:
            raise ValueError(f"{' '.join(low)} must be positive")
        if self.seed < 0 or self.weight_decay < 0:
            raise ValueError("seed and weight_decay must not be negative")
        if not (0 <= self.warmup < 1 and 0 <= self.ema_decay < 1):
            raise ValueError("warmup and ema_decay must lie in 0 .. 1, 1 not included")
        if self.max_gpu_hours is not None and self.max_gpu_hours <= 0:
            raise ValueError("max_gpu_hours must be positive, or null for no cap")

    @property
    def digest(self) -> str:
        """sha256 of the canonical JSON of all that decides the weights: not the cap, not the checkpoints."""
        decides = {key: value for key, value in asdict(self).items() if key not in _DECIDES_NOTHING}
        text = json.dumps(decides, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()


def shipped_recipes() -> tuple[str, ...]:
    """Names of the recipes that come with Undersky."""
    return tuple(sorted(path.stem for path in RECIPES.glob("*.yaml")))


def load_recipe(name: str | Path) -> Recipe:
    """The recipe of a shipped name (`tiny`, `default`) or in a file.

    Raises:
        ConfigError: There is none, or it cannot be used; the message names the file and the key.
    """
    if str(name) in shipped_recipes():
        return read_recipe(RECIPES / f"{name}.yaml")
    path = Path(name)
    if not path.is_file():
        raise ConfigError(
            f"{name} is neither a file nor a shipped recipe; shipped: {' '.join(shipped_recipes()) or 'none'}"
        )
    return read_recipe(path)


def read_recipe(path: Path) -> Recipe:
    """The recipe in a file.

    Raises:
        ConfigError: It cannot be read, or is no recipe.
    """
    try:
        if (size := path.stat().st_size) > _MAX_BYTES:
            raise ConfigError(f"{path} has {size:,} bytes, more than any recipe needs ({_MAX_BYTES:,})")
        raw = parse_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    except (yaml.YAMLError, RecursionError, ValueError, TypeError) as error:
        raise ConfigError(f"{path} is no YAML: {error}") from error
    return section(Recipe, raw, where=path.name)

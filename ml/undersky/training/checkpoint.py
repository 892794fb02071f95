"""Checkpoints: tensors in safetensors, the rest in JSON, nothing that can execute; the last two are kept.

    <folder>/step-00000400.safetensors    named tensors
    <folder>/step-00000400.json           the rest, sha256 of the tensors and of itself: the commit

A file is written beside its name, flushed to the disk and renamed; the JSON comes last. What was cut off or
damaged is passed over for the one before it; what belongs to another recipe or dataset is refused.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor

from undersky.errors import DataError, Reason
from undersky.models.package import Json

_FORMAT = 1
_KEPT = 2
_NAME = re.compile(r"step-(\d{8,})\.json")
_KEYS = {"format", "step", "recipe", "dataset", "tensors", "facts", "self"}
_MAX_JSON_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A training, interrupted."""

    step: int
    """The next one."""
    tensors: Mapping[str, Tensor]
    """Weights, their running mean, the optimizer's moments; on the CPU."""
    facts: Mapping[str, Json]
    """Everything else."""


class _Damaged(Exception):  # noqa: N818  never leaves this file
    """A checkpoint cannot be read; an older one may."""


class Checkpoints:
    """The checkpoints of one training."""

    def __init__(
        self, folder: Path, *, recipe: str, dataset: str, tell: Callable[..., None] | None = None
    ) -> None:
        """For the training that has these two digests; `tell` hears of damaged files that are passed over."""
        self._folder = folder
        self._recipe, self._dataset = recipe, dataset
        self._tell = tell

    @property
    def folder(self) -> Path:
        """Where they lie."""
        return self._folder

    def save(self, checkpoint: Checkpoint) -> Path:
        """Afterwards `load` gives this one, also when the power fails; at most one older one is left."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"step-{checkpoint.step:08d}.json"
        blob = save_safetensors({name: _own(tensor) for name, tensor in checkpoint.tensors.items()})
        body: dict[str, Json] = {
            "format": _FORMAT,
            "step": checkpoint.step,
            "recipe": self._recipe,
            "dataset": self._dataset,
            "tensors": hashlib.sha256(blob).hexdigest(),
            "facts": dict(checkpoint.facts),
        }
        write_whole(path.with_suffix(".safetensors"), blob)
        write_whole(path, json.dumps(body | {"self": _digest(body)}, allow_nan=False).encode())
        self._tidy(path)
        return path

    def load(self) -> Checkpoint | None:
        """The newest one that is whole; None where there is none.

        Raises:
            DataError: `model_refused`: it belongs to another training, or none of them is whole.
        """
        problems = []
        for path in self._committed():
            try:
                return self._read(path)
            except _Damaged as error:
                problems.append(f"{path.name}: {error}")
                if self._tell is not None:
                    self._tell("checkpoint is damaged", level="warning", file=path.name, why=str(error))
        if problems:
            raise self._refused("none is whole: " + "; ".join(problems))
        return None

    def clear(self) -> None:
        """There is no checkpoint."""
        for path in [*self._folder.glob("step-*.json"), *self._folder.glob("step-*")]:
            path.unlink(missing_ok=True)

    def _committed(self) -> list[Path]:
        found = [path for path in self._folder.glob("step-*.json") if _NAME.fullmatch(path.name)]
        return sorted(found, key=lambda path: int(path.stem.split("-")[1]), reverse=True)

    def _read(self, path: Path) -> Checkpoint:
        body = _header(path)
        for what, found, wanted in (
            ("format", body["format"], _FORMAT),
            ("recipe", body["recipe"], self._recipe),
            ("dataset", body["dataset"], self._dataset),
        ):
            if found != wanted:
                raise self._refused(
                    f"{path.name} is of {what} {str(found)[:12]}, this training of {str(wanted)[:12]}"
                )
        try:
            blob = path.with_suffix(".safetensors").read_bytes()
            if hashlib.sha256(blob).hexdigest() != body["tensors"]:
                raise _Damaged(f"its {len(blob):,} bytes of tensors are not those that were written")
            tensors = load_safetensors(blob)
        except (OSError, SafetensorError) as error:
            raise _Damaged(f"its tensors cannot be read ({error})") from error
        facts = cast("Mapping[str, Json]", body["facts"])
        return Checkpoint(cast("int", body["step"]), tensors, facts)

    def _tidy(self, newest: Path) -> None:
        """Two are left, the newest among them, and nothing that was cut off."""
        older = [path for path in self._committed() if path != newest]
        kept = {path.stem for path in (newest, *older[: _KEPT - 1])}
        for path in older[_KEPT - 1 :]:
            path.unlink(missing_ok=True)
        for path in self._folder.glob("step-*"):
            if path.name.split(".")[0] not in kept or path.suffix == ".part":
                path.unlink(missing_ok=True)

    def _refused(self, why: str) -> DataError:
        return DataError(
            Reason.MODEL_REFUSED,
            f"the checkpoints in {self._folder} are refused: {why}; --fresh removes them and starts over, "
            "another --work leaves them",
        )


def write_whole(path: Path, content: bytes) -> None:
    """The file has this content, and had its old content or none until now, also when the power fails."""
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _header(path: Path) -> dict[str, Json]:
    try:
        if path.stat().st_size > _MAX_JSON_BYTES:
            raise _Damaged("it is larger than any checkpoint")
        body = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise _Damaged(f"no JSON ({error})") from error
    if not isinstance(body, dict) or set(body) != _KEYS:
        raise _Damaged(f"it must hold exactly {' '.join(sorted(_KEYS))}")
    if body.pop("self") != _digest(body):
        raise _Damaged("it was changed since it was written")
    return body


def _digest(body: Mapping[str, Json]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _own(tensor: Tensor) -> Tensor:
    """A copy with memory of its own, as the format wants: tied weights share theirs."""
    return tensor.detach().cpu().contiguous().clone()

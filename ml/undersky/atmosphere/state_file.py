"""The atmosphere as a small JSON file: what `correct --state FILE` reads and the simulator leaves as truth.

{"format": "undersky-atmosphere-state/1",
 "aot_550": [[0.12, 0.13], [0.12, 0.14]],        (y, x) on edge-to-edge nodes, or one number for all
 "water_vapour_g_cm2": 1.9,
 "ozone_dobson": 310,
 "pressure_hpa": 980,
 "aerosol": {"continental": 0.7, "maritime": 0.3},
 "uncertainty": {"aot_550": 0.03, ...}}           the same keys; what is left out is exactly known

Whoever measured the atmosphere can write one by hand.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from undersky.atmosphere.state import AEROSOL_MODELS, AtmosphereState, StateUncertainty
from undersky.errors import ConfigError

FORMAT = "undersky-atmosphere-state/1"
"""The value of the file's `format` key."""

Fields = npt.NDArray[np.floating[Any]]

_FIELDS = {
    "aot_550": "aot_550",
    "water_vapour": "water_vapour_g_cm2",
    "ozone_dobson": "ozone_dobson",
    "pressure_hpa": "pressure_hpa",
}
_RANGES = {"aot_550": (0, 5), "water_vapour": (0, 10), "ozone_dobson": (50, 700), "pressure_hpa": (300, 1100)}
_CURE = "docs/product.md shows a complete state file"


def write_state(path: Path, state: AtmosphereState[Fields], *, uncertainty: StateUncertainty[Fields]) -> None:
    """The file holds the state and its uncertainty; the same values make the same bytes."""
    record = {"format": FORMAT, **_record(state), "uncertainty": _record(uncertainty)}
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def read_state(path: Path) -> tuple[AtmosphereState[Fields], StateUncertainty[Fields]]:
    """The state and its uncertainty, float64, every field (y, x) on the same nodes, shares (model, y, x).

    Raises:
        ConfigError: The file is missing, no JSON, lacks a field, or holds what no atmosphere has.
    """
    record = _load(path)
    fields = {name: _field(record, key, path=path) for name, key in _FIELDS.items()}
    shares = _aerosol(record.get("aerosol"), path=path)
    shape = _common_shape([*fields.values(), *shares], path=path)
    for name, (low, high) in _RANGES.items():
        if not bool(np.all((fields[name] >= low) & (fields[name] <= high))):
            raise ConfigError(f"{path}: {_FIELDS[name]} lies outside {low} .. {high}; {_CURE}")
    if not bool(np.all(sum(shares) > 0)):
        raise ConfigError(f"{path}: the aerosol shares are all zero somewhere; {_CURE}")
    state = AtmosphereState(
        **{name: np.broadcast_to(value, shape) for name, value in fields.items()},
        aerosol_fractions=np.stack([np.broadcast_to(share, shape) for share in shares]),
    )
    return state, _uncertainty(record.get("uncertainty", {}), shape=shape, path=path)


def exactly_known(state: AtmosphereState[Fields]) -> StateUncertainty[Fields]:
    """Zero uncertainty in every field of the state."""
    return StateUncertainty(
        aot_550=np.zeros_like(state.aot_550),
        water_vapour=np.zeros_like(state.water_vapour),
        ozone_dobson=np.zeros_like(state.ozone_dobson),
        pressure_hpa=np.zeros_like(state.pressure_hpa),
        aerosol_fractions=np.zeros_like(state.aerosol_fractions),
    )


def _record(value: AtmosphereState[Fields] | StateUncertainty[Fields]) -> dict[str, object]:
    record: dict[str, object] = {
        key: np.round(np.asarray(getattr(value, name), np.float64), 8).tolist()
        for name, key in _FIELDS.items()
    }
    shares = np.round(np.asarray(value.aerosol_fractions, np.float64), 8)
    record["aerosol"] = dict(zip(AEROSOL_MODELS, shares.tolist(), strict=True))
    return record


def _load(path: Path) -> Mapping[str, object]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read as a state file: {error}; {_CURE}") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise ConfigError(f'{path} is no state file: its "format" is not "{FORMAT}"; {_CURE}')
    return record


def _field(record: Mapping[str, object], key: str, *, path: Path, default: float | None = None) -> Fields:
    value = record.get(key, default)
    try:
        field = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ConfigError(f"{path}: {key} is no grid of numbers; {_CURE}") from error
    if value is None or field.ndim not in (0, 2) or not bool(np.isfinite(field).all()):
        raise ConfigError(f"{path}: {key} is missing or is neither one number nor rows of numbers; {_CURE}")
    return field


def _aerosol(record: object, *, path: Path, default: float = 0.0) -> list[Fields]:
    if not isinstance(record, dict) or not record or not set(record) <= set(AEROSOL_MODELS):
        raise ConfigError(f"{path}: aerosol must name some of {' '.join(AEROSOL_MODELS)}; {_CURE}")
    shares = [_field(record, model, path=path, default=default) for model in AEROSOL_MODELS]
    if any(bool((share < 0).any()) for share in shares):
        raise ConfigError(f"{path}: aerosol shares must not be negative; {_CURE}")
    return shares


def _common_shape(fields: list[Fields], *, path: Path) -> tuple[int, int]:
    grids = {field.shape for field in fields if field.ndim == 2}
    if len(grids) > 1 or any(min(grid) < 2 for grid in grids):
        sizes = " and ".join(f"{rows} x {cols}" for rows, cols in sorted(grids))
        raise ConfigError(f"{path}: its grids measure {sizes}; all must share one of 2 x 2 or more; {_CURE}")
    rows, cols = grids.pop() if grids else (2, 2)
    return int(rows), int(cols)


def _uncertainty(record: object, *, shape: tuple[int, int], path: Path) -> StateUncertainty[Fields]:
    # a misspelt key would make its field exactly known
    if not isinstance(record, dict) or not set(record) <= {*_FIELDS.values(), "aerosol"}:
        raise ConfigError(f"{path}: uncertainty must hold the state's keys and no others; {_CURE}")
    fields = {name: _field(record, key, path=path, default=0.0) for name, key in _FIELDS.items()}
    shares = _aerosol(record.get("aerosol", {AEROSOL_MODELS[0]: 0.0}), path=path)
    for field in (*fields.values(), *shares):
        if field.ndim and field.shape != shape:
            raise ConfigError(f"{path}: a grid of uncertainty is not {shape[0]} x {shape[1]}; {_CURE}")
        if bool((field < 0).any()):
            raise ConfigError(f"{path}: an uncertainty must not be negative; {_CURE}")
    return StateUncertainty(
        **{name: np.broadcast_to(field, shape) for name, field in fields.items()},
        aerosol_fractions=np.stack([np.broadcast_to(share, shape) for share in shares]),
    )

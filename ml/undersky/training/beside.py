"""Held-out windows of real pairs beside the agency's product: the baseline, before and after the training."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from undersky.atmosphere.hypotheses import REFERENCE
from undersky.atmosphere.inversion import remove_atmosphere
from undersky.bands import Sensor
from undersky.datasets.pairs import Pair
from undersky.evaluation.correctors import ModelCorrector
from undersky.evaluation.metrics import Tally, tally
from undersky.models.correction import ROLES, blocks_of
from undersky.models.package import shipped
from undersky.models.physics import ARCHITECTURE
from undersky.training.losses import atmosphere_of
from undersky.training.views import PairViews, cut_bands

_VISIBLE = ("blue", "green", "red")
_AT_ONCE = 32


def ground_below(network: nn.Module, views: PairViews) -> Tensor:
    """The reflectance that a network finds, (n, band, y, x)."""
    found = []
    with torch.no_grad():
        for first in range(0, len(views.crops), _AT_ONCE):
            part = torch.arange(first, min(first + _AT_ONCE, len(views.crops)))
            windows = views.some(part).windows
            look = network(windows, blocks_of(windows, reference=REFERENCE))
            ground = remove_atmosphere(windows.toa.flatten(2), atmosphere_of(look, windows))
            found.append(ground.reshape(windows.toa.shape))
    return torch.cat(found)


def baseline_below(pair: Pair, views: PairViews) -> Tensor:
    """The reflectance that the physics baseline finds in the same windows, (n, band, y, x)."""
    surface = ModelCorrector("physics", shipped(ARCHITECTURE)).correct(pair.observation).surface
    return torch.from_numpy(np.nan_to_num(cut_bands(pair, surface, views.crops)))


def beside_agency(views: PairViews, ground: Tensor, *, sensor: Sensor) -> Mapping[str, Tally]:
    """Ground minus agency by band, on the pixels that both sides call clear; a band without one is left out.

    Args:
        views: Windows with the agency's reflectance.
        ground: Somebody's reflectance there, (n, band, y, x).
        sensor: Whose band names are used.
    """
    names = {band.common_name: band.name for band in sensor.corrected_bands}
    found = {}
    for row, role in enumerate(ROLES):
        known = views.known[:, row]
        if bool(known.any()):
            ours, theirs = (values[:, row][known].numpy() for values in (ground, views.agency))
            found[names.get(role, role)] = tally(ours, theirs)
    return found


def summary(tallies: Mapping[str, Tally], *, sensor: Sensor) -> dict[str, float]:
    """Bias, spread and root mean square of the visible bands and of all together."""
    visible = {band.name for band in sensor.corrected_bands if band.common_name in _VISIBLE}
    pools: dict[str, Sequence[Tally]] = {
        "visible": [found for name, found in tallies.items() if name in visible],
        "all": list(tallies.values()),
    }
    figures: dict[str, float] = {}
    for pool, members in pools.items():
        whole = sum(members, Tally())
        if whole.count > 1:
            figures |= {
                f"{pool}_bias": whole.bias,
                f"{pool}_spread": whole.spread,
                f"{pool}_rmse": whole.rmse,
            }
    return figures

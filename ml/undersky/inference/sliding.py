"""A network over a large raster, window by window, as if it had seen the whole at once.

    outer window (what is read)          a network of local layers sees `margin` pixels around each pixel,
    +---------------------------+        so the inner window of what it says does not know where it was cut
    |  inner (what is kept)     |
    +---------------------------+

Windows within what is read are monai's; their margins count for nothing. Offsets are multiples of what the
network halves by, so that its coarse levels lie the same in every window.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from undersky.grid import Floats, Grid, Window
from undersky.models.segmentation import Segmenter

_WINDOW = 512
"""Side of a window, pixels; fits a core's share of memory and wastes little on margins."""

_NOTHING = 1e-6
"""Weight of a margin beside 1 within."""


def class_probabilities(model: Segmenter, values: Floats, *, window: int = _WINDOW) -> Floats:
    """Calibrated probabilities (class, y, x) of values (band, y, x), NaN where missing; any size.

    What lies beyond the raster is missing. The result is that of one pass over the whole, to rounding.

    Args:
        model: Looks.
        values: In the units and order of its inputs.
        window: Side of the windows, pixels.
    """
    multiple, margin = model.config.multiple, model.margin
    _, rows, cols = values.shape
    # a ring of missing pixels around: the scene's edge looks the same however many windows there are
    padded = [(0, 0), (margin, -rows % multiple + margin), (margin, -cols % multiple + margin)]
    ringed = torch.from_numpy(np.pad(values, padded, constant_values=np.nan))[None]
    side = max(-(-window // multiple) * multiple, 4 * margin)
    if max(ringed.shape[-2:]) <= side:
        found = model.probabilities(ringed)
    else:
        found = _windowed(model, ringed, side=side, margin=margin)
    return np.ascontiguousarray(found[0, :, margin : margin + rows, margin : margin + cols].numpy())


def _windowed(model: Segmenter, ringed: Tensor, *, side: int, margin: int) -> Tensor:
    from monai.inferers.utils import sliding_window_inference  # noqa: PLC0415  importing monai takes seconds

    sides = [min(side, size) for size in ringed.shape[-2:]]
    weight = torch.full(sides, _NOTHING)
    weight[margin:-margin, margin:-margin] = 1.0
    with torch.no_grad():
        found = sliding_window_inference(
            ringed,
            sides,
            sw_batch_size=1,
            predictor=model.probabilities,
            # half a pixel less, so that rounding down gives steps of exactly side - 2 margin
            overlap=[(2 * margin - 0.5) / length for length in sides],
            roi_weight_map=weight,
        )
    if not isinstance(found, Tensor):
        raise TypeError(f"monai gave {type(found).__name__}, expected a tensor")
    return found


def margined_strips(grid: Grid, *, rows: int, margin: int, multiple: int) -> Iterator[tuple[Window, Window]]:
    """Full-width windows to read and, within each, the one to keep; the latter cover the grid once.

    Args:
        grid: Of the raster.
        rows: Of what is kept, about: a multiple of `multiple` is taken.
        margin: Rows read beyond what is kept, where the grid has them.
        multiple: What offsets of read windows are multiples of.
    """
    height, width = grid.shape
    step = max(multiple, rows // multiple * multiple)
    around = -(-margin // multiple) * multiple
    for row in range(0, height, step):
        kept = Window(row, 0, min(step, height - row), width)
        top, bottom = max(0, row - around), min(height, row + kept.height + around)
        yield Window(top, 0, bottom - top, width), kept

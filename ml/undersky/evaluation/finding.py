"""What a model of objects finds in labelled scenes, as centres beside those that are marked."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from rasterio.features import rasterize

from undersky.datasets.objects import LabelledObject, ObjectScene
from undersky.evaluation.matching import Found
from undersky.inference.objects import (
    Detection,
    ObjectSettings,
    beside_water,
    find_objects,
    require_objects,
    spectral_water,
)
from undersky.models.segmentation import Segmenter

Bools = npt.NDArray[np.bool_]

_BLUR, _RING = 1.0, 4.0
_LAND = 0.2


def found_in(model: Segmenter, scene: ObjectScene) -> Found:
    """The centres of what the model finds in a scene and of what is marked there, in metres.

    Args:
        model: Of objects; the scene's bands are its inputs, in their order.
        scene: Labelled.
    """
    found, pixel = detections_in(model, scene), model.config.pixel_m
    centres = np.array([(one.row, one.col) for one in found]).reshape(-1, 2) * pixel
    truth = np.array([(one.row, one.col) for one in scene.objects]).reshape(-1, 2) * pixel
    return Found(centres, np.array([one.score for one in found]), truth)


def detections_in(model: Segmenter, scene: ObjectScene) -> tuple[Detection, ...]:
    """What the model finds in a scene, the surest first."""
    allowed = allowed_in(scene, model.config.inputs, require_objects(model))
    return find_objects(model, scene.values, allowed)


def is_moored(one: LabelledObject, water: Bools) -> bool:
    """True when more than a fifth of what lies around an object is no water: a quay, another ship."""
    ring = one.box.buffer(_RING).difference(one.box.buffer(_BLUR))
    around = rasterize([(ring, 1)], out_shape=water.shape, dtype="uint8") > 0
    return bool((~water[around]).mean() > _LAND) if around.any() else False


def allowed_in(scene: ObjectScene, bands: Sequence[str], settings: ObjectSettings) -> Bools:
    """Where the scene's objects may lie, by its own spectra, (y, x)."""
    return beside_water(water_in(scene, bands), settings, pixel_m=abs(scene.grid.affine.a))


def water_in(scene: ObjectScene, bands: Sequence[str]) -> Bools:
    """The scene's water, by its own spectra, (y, x): labelled scenes have no quality layer."""
    green, nir, swir16 = (
        scene.values[bands.index(name)] if name in bands else None for name in ("green", "nir", "swir16")
    )
    if green is None or nir is None:
        raise ValueError("water is told by green and nir, which the bands lack")
    return spectral_water(green, nir, swir16)

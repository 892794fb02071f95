"""The baseline of land cover: a pixel is what the most similar known spectrum is, whatever lies around it.

    labelled pixels --k-means, class by class--> prototypes --nearest, bands scaled to unit variance--> class

Source: minimum-distance classification, Richards, Remote Sensing Digital Image Analysis, 2013, section 8.6;
with several prototypes a class, because a class has many colours.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.cluster.vq import kmeans2
from scipy.spatial import cKDTree

from undersky.grid import Floats

Indices = npt.NDArray[np.int64]

PROTOTYPES = 32
"""Of each class; the figures hardly change from 16 on."""
_AT_MOST = 4000


@dataclass(frozen=True, slots=True)
class NearestSpectrum:
    """A classifier without a look around."""

    centre: Floats
    """Mean of each band, (band,)."""
    scale: Floats
    """Standard deviation of each band, (band,)."""
    spectra: Floats
    """Prototypes in these units, (prototype, band)."""
    classes: Indices
    """Class of each."""

    def classify(self, values: Floats) -> Indices:
        """The class of every pixel of (band, y, x), (y, x)."""
        pixels = ((values - self.centre[:, None, None]) / self.scale[:, None, None]).reshape(len(values), -1)
        _, nearest = cKDTree(self.spectra).query(np.nan_to_num(pixels.T))
        return np.asarray(self.classes[nearest].reshape(values.shape[1:]))


def learn_spectra(pixels: Floats, classes: Indices, *, seed: int = 0) -> NearestSpectrum:
    """The prototypes of labelled pixels.

    Args:
        pixels: (pixel, band), no NaN.
        classes: Of each pixel.
        seed: Of the choice of pixels and of the clustering.
    """
    centre, scale = pixels.mean(axis=0), np.maximum(pixels.std(axis=0), 1e-6)
    generator = np.random.default_rng(seed)
    spectra, labels = [], []
    for name in np.unique(classes):
        members = (pixels[classes == name] - centre) / scale
        if len(members) > _AT_MOST:
            members = members[generator.choice(len(members), _AT_MOST, replace=False)]
        found = members
        if len(members) > 2 * PROTOTYPES:
            found, held = kmeans2(members, PROTOTYPES, minit="points", rng=generator)
            found = found[np.bincount(held, minlength=PROTOTYPES) > 0]
        spectra.append(found)
        labels.append(np.full(len(found), name, dtype=np.int64))
    return NearestSpectrum(
        centre.astype(np.float32),
        scale.astype(np.float32),
        np.concatenate(spectra).astype(np.float32),
        np.concatenate(labels),
    )

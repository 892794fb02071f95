"""One scene as pixels with the slices it belongs to, whether of a frozen suite or of a user's folder."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from undersky.datasets.design import MAIN
from undersky.datasets.folders import FolderScene, read_scene
from undersky.datasets.observation import Observation
from undersky.datasets.suites import SuiteScene, Truth, render
from undersky.evaluation.slices import Dimension, scene_slices

AnyScene = SuiteScene | FolderScene
"""What a suite may be made of; light, so that it travels to another process."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a method sees of one scene, and what it should find."""

    part: str
    """Slice of the suite: `main`, or one of its own."""
    observation: Observation
    """The top of the atmosphere."""
    truth: Truth
    """The ground, and the state where it is known: NaN where not."""
    aerosol: str | None
    """Type of aerosol, where it is known."""

    def slices(self) -> Iterator[tuple[Dimension, str]]:
        """Every slice that the whole scene belongs to."""
        yield from scene_slices(
            aerosol=self.aerosol,
            sensor=self.observation.sensor.key,
            sun_zenith=self.observation.sun_zenith,
            aot_550=self.truth.aot_550,
        )

    def sentence(self) -> str:
        """The scene in words: `main-017: S2A, urban, AOD 0.31, sun zenith 42`."""
        aot = self.truth.aot_550
        known = [
            self.observation.sensor.key,
            *([self.aerosol] if self.aerosol else []),
            *([f"AOD {aot:.2f}"] if np.isfinite(aot) else []),
            f"sun zenith {self.observation.sun_zenith:.0f}",
        ]
        return f"{self.observation.id}: {', '.join(known)}"


def look(scene: AnyScene) -> Seen:
    """The scene as pixels; the same on every call.

    Raises:
        DataError: A user's scene was damaged since the folder was opened.
    """
    if isinstance(scene, FolderScene):
        found = read_scene(scene.path)
        return Seen(MAIN, found.observation, found.truth, found.aerosol)
    observation, truth = render(scene)
    return Seen(scene.design.slice, observation, truth, scene.design.case.aerosol)

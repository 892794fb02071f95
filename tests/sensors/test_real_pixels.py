"""The laws of the look hold on every real Level-1C pixel there is, and a swap or an offset breaks them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine

from undersky.bands import SENSORS
from undersky.errors import DataError, Reason
from undersky.grid import Floats, Grid, Window
from undersky.scene import Angles, Scene
from undersky.sensors import verify_pixels

pytestmark = pytest.mark.oracle
BANDS = [band.name for band in SENSORS["S2A"].bands]


@dataclass(frozen=True)
class Pixels:
    """A `BandSource` over an array, for scenes that come without a product around them."""

    image: Floats

    @property
    def grid(self) -> Grid:
        return Grid(self.image.shape, Affine(10, 0, 0, 0, -10, 0), "EPSG:32633")

    def toa_reflectance(self, window: Window, *, shape: tuple[int, int] | None = None) -> Floats:
        rows, cols = shape or window.shape
        rows_taken = np.linspace(0, window.height - 1, rows).astype(int)
        cols_taken = np.linspace(0, window.width - 1, cols).astype(int)
        return self.image[np.ix_(rows_taken, cols_taken)]

    def saturated(self, window: Window) -> np.ndarray:
        return np.zeros(window.shape, bool)


def scene_of(images: Mapping[str, np.ndarray], *, sun_zenith: float) -> Scene:
    nodes = {name: np.full((2, 2), 4.0, np.float32) for name in BANDS}
    sun = np.full((2, 2), sun_zenith, np.float32)
    bands = {name: Pixels(np.asarray(image, np.float32)) for name, image in images.items()}
    return Scene(
        id="real",
        sensor=SENSORS["S2A"],
        acquired=datetime(2019, 7, 1, 10, tzinfo=UTC),
        level="L1C",
        baseline="02.07",
        tile="33UUB",
        bands=bands,
        angles=Angles(sun, sun, nodes, nodes),
        grid=next(iter(bands.values())).grid,
    )


def malmo(samples: Path) -> Iterator[Scene]:
    stored = np.load(samples / "s2-l1c-12band-t33uub" / "S2A_MSIL1C_20170527_T33UUB.npz")
    groups = {
        "im10": ("B04", "B03", "B02", "B08"),
        "im20": ("B05", "B06", "B07", "B8A", "B11", "B12"),
        "im60": ("B01", "B09"),
    }
    yield scene_of(
        {name: stored[key][i] / 1e4 for key, names in groups.items() for i, name in enumerate(names)},
        sun_zenith=35,
    )


def slovenia(samples: Path) -> Iterator[Scene]:
    for image in np.load(samples / "s2-l1c-slovenia-landcover-north" / "BANDS-S2-L1C.npy"):
        yield scene_of({name: image[..., i] for i, name in enumerate(BANDS)}, sun_zenith=35)


def eurosat(samples: Path) -> Iterator[Scene]:
    order = [name for name in BANDS if name != "B8A"] + ["B8A"]
    for path in sorted((samples / "s2-eurosat-13band").glob("*.tif")):
        with rasterio.open(path) as dataset:
            image = dataset.read() / 1e4
        yield scene_of({name: image[i] for i, name in enumerate(order)}, sun_zenith=45)


def barbellino(samples: Path) -> Iterator[Scene]:
    folder = samples / "s2-pair-l1c-l2a-barbellino-20190723"
    with rasterio.open(next(folder.glob("*_TOA_10.tif"))) as dataset:
        image = dataset.read()
    order = [name for name in BANDS if name != "B8A"]
    scaled = np.where(image == 65535, np.nan, image / 1e4)
    yield scene_of({name: scaled[i] for i, name in enumerate(order)}, sun_zenith=30)


PLACES = [malmo, slovenia, eurosat, barbellino]
Place = Callable[[Path], Iterator[Scene]]


def moved(scene: Scene, by: float) -> Scene:
    return replace(
        scene, bands={name: Pixels(band.image + np.float32(by)) for name, band in scene.bands.items()}
    )


def swapped(scene: Scene, one: str, other: str) -> Scene:
    return replace(scene, bands={**scene.bands, one: scene.bands[other], other: scene.bands[one]})


def reason_of(scene: Scene) -> Reason | None:
    try:
        verify_pixels(scene)
    except DataError as error:
        return error.reason
    return None


@pytest.mark.parametrize("place", PLACES)
def test_no_real_scene_is_refused(samples: Path, place: Place) -> None:
    scenes = list(place(samples))
    assert scenes
    assert [reason_of(scene) for scene in scenes] == [None] * len(scenes)


@pytest.mark.parametrize("place", PLACES)
def test_an_offset_taken_off_twice_is_found_in_every_real_scene(samples: Path, place: Place) -> None:
    assert {reason_of(moved(scene, -0.1)) for scene in place(samples)} == {Reason.OFFSET_CONTRADICTED}


@pytest.mark.parametrize("place", [slovenia, eurosat, barbellino])
def test_an_offset_left_in_is_found_where_the_cirrus_band_is_clear(samples: Path, place: Place) -> None:
    clear = [
        scene
        for scene in place(samples)
        if np.nanpercentile(scene.bands["B10"].image, 25) - np.nanpercentile(scene.bands["B10"].image, 1)
        < 0.004
    ]
    assert clear
    assert {reason_of(moved(scene, 0.1)) for scene in clear} == {Reason.OFFSET_CONTRADICTED}


@pytest.mark.parametrize(("one", "other"), [("B01", "B10"), ("B09", "B10"), ("B02", "B08"), ("B8A", "B12")])
@pytest.mark.parametrize("place", [slovenia, eurosat])
def test_bands_that_exchanged_names_are_found_in_real_scenes(
    samples: Path, place: Place, one: str, other: str
) -> None:
    differing = [
        scene
        for scene in place(samples)
        if np.nanmean(np.abs(scene.bands[one].image - scene.bands[other].image))
        > 0.06  # nearer ones nothing can tell
    ]
    assert differing
    assert {reason_of(swapped(scene, one, other)) for scene in differing} == {Reason.BAND_SWAPPED}

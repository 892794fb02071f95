import dataclasses

import numpy as np
import pytest

from undersky.inference.view import View, Views, at_shape


@dataclasses.dataclass
class Counting:
    """A band source that counts how often it is decoded."""

    inner: object
    reads: int = 0

    @property
    def grid(self):
        return self.inner.grid

    def toa_reflectance(self, window, *, shape=None):
        self.reads += 1
        return self.inner.toa_reflectance(window, shape=shape)


@pytest.fixture
def counted(make_scene):
    scene = make_scene({"B02": 0.1, "B03": 0.2, "B08": 0.3})
    return dataclasses.replace(scene, bands={name: Counting(band) for name, band in scene.bands.items()})


def test_a_band_is_decoded_once_whoever_asks(counted):
    view = View(counted)
    first, second = view.toa("B02", (30, 30)), view.toa("B02", (30, 30))
    assert first is second
    assert counted.bands["B02"].reads == 1
    view.toa("B02", (15, 15))
    assert counted.bands["B02"].reads == 2


def test_only_the_last_scene_is_kept(counted, make_scene):
    views = Views()
    one = views.of(counted)
    assert views.of(counted) is one
    other = make_scene({"B02": 0.1})
    assert views.of(other).scene is other
    assert views.of(counted) is not one
    views.forget()
    assert views._last is None


def test_the_shape_is_a_whole_multiple_of_the_scenes_pixels(counted):
    assert View(counted).shape() == (60, 60)  # 60 m are nearer to 80 m than 120 m
    assert View(counted).shape(120.0) == (30, 30)
    assert View(counted).shape(130.0) == (30, 30)
    assert View(counted).shape(1.0) == (60, 60)


def test_a_broad_near_infrared_stands_in_for_a_missing_narrow_one(counted, make_scene):
    assert View(counted).band_of("nir08") == "B08"
    assert View(make_scene({"B08": 0.3, "B8A": 0.3})).band_of("nir08") == "B8A"
    assert View(counted).band_of("coastal") is None


def test_a_mask_at_another_shape_takes_the_nearest_pixel():
    mask = np.array([[1, 2], [3, 4]], dtype=np.uint16)
    assert at_shape(mask, (4, 4)).tolist() == [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]
    assert at_shape(at_shape(mask, (6, 6)), (2, 2)).tolist() == mask.tolist()
    assert at_shape(mask, (2, 2)) is not mask

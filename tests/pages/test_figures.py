"""Pictures small enough for a page."""

import io

import numpy as np
import pytest
from PIL import Image

from page_scenes import coded, cover, ground
from undersky.pages.figures import MOST_BYTES, data_uri, figure

RNG = np.random.default_rng(3)


def test_a_small_picture_stays_as_it_is() -> None:
    data = coded(np.zeros((20, 30, 3)))
    found = figure(data)
    assert found is not None
    assert (found.data, found.media_type, found.width, found.height) == (data, "image/jpeg", 30, 20)


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_a_large_picture_becomes_a_jpeg_that_fits(form: str) -> None:
    noisy = RNG.integers(0, 255, (512, 512, 3))
    found = figure(coded(noisy, form))
    assert found is not None
    assert len(found.data) <= MOST_BYTES
    assert found.media_type == "image/jpeg"
    with Image.open(io.BytesIO(found.data)) as image:
        assert image.size == (found.width, found.height)


def test_a_map_of_classes_keeps_its_colours_exactly() -> None:
    colours = np.array([(0, 100, 0), (240, 150, 255), (0, 100, 200)])
    pixels = colours[RNG.integers(0, 3, (512, 512))]
    found = figure(coded(pixels, "PNG"), most_bytes=20_000)
    assert found is not None
    assert (found.media_type, len(found.data) <= 20_000) == ("image/png", True)
    with Image.open(io.BytesIO(found.data)) as image:
        seen = {colour for _, colour in image.convert("RGB").getcolors()}
    assert seen == {tuple(map(int, colour)) for colour in colours}


@pytest.mark.parametrize("data", [b"", b"\xff\xd8picture", b"<svg/>", coded(ground(0) * 255)[:200]])
def test_what_is_no_picture_is_none(data: bytes) -> None:
    assert figure(data) is None


def test_an_address_holds_the_file() -> None:
    assert data_uri(cover()).startswith("data:image/png;base64,iVBOR")

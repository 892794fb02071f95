"""Scenes for tests of pages: small pictures that look like something, a land-cover map, a few ships."""

import base64
import io
from dataclasses import replace

import numpy as np
from PIL import Image

from undersky.landcover import BY_SLUG
from undersky.pages import Figure, Found, Heading, Link, PageProduct, PageScene

HEADING = Heading(
    "Surface reflectance, land cover", "surface_maps.test.0a1b2c", {"release set": "0123456789ab"}
)


def coded(pixels: np.ndarray, form: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(buffer, format=form)
    return buffer.getvalue()


def ground(seed: int = 0, side: int = 128) -> np.ndarray:
    """Smooth heights 0 .. 1, (y, x)."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray((rng.random((9, 9)) * 255).astype(np.uint8))
    return np.asarray(small.resize((side, side), Image.Resampling.BICUBIC), dtype=np.float32) / 255


def pictures(seed: int = 0, side: int = 128) -> dict[str, Figure]:
    heights = ground(seed, side)
    after = np.stack([40 + 110 * heights, 70 + 80 * heights, 60 + 40 * (1 - heights)], axis=-1)
    before = after * 0.6 + np.array([70, 85, 110])
    return {
        name: Figure(coded(np.clip(pixels, 0, 255)), "image/jpeg", side, side)
        for name, pixels in (("before", before), ("after", after))
    }


def cover(seed: int = 0, side: int = 128) -> Figure:
    slugs = ("water", "cropland", "grassland", "tree_cover")
    colours = np.array([BY_SLUG[slug].colour for slug in slugs])
    pixels = colours[np.clip(ground(seed, side) * len(slugs), 0, len(slugs) - 1).astype(int)]
    return Figure(coded(pixels, "PNG"), "image/png", side, side)


def chip(seed: int = 0) -> str:
    pixels = np.full((64, 64, 3), (12, 28, 52)) + np.random.default_rng(seed).integers(0, 9, (64, 64, 1))
    pixels[30:35, 20:44] = 235
    return "data:image/png;base64," + base64.b64encode(coded(pixels, "PNG")).decode()


def ships(number: int = 3) -> tuple[Found, ...]:
    return tuple(
        Found(0.97 - 0.03 * each, 180.0 - 20 * each, 12.2 + each / 100, 45.4, chip(each))
        for each in range(number)
    )


def surface(seed: int = 0, **changes) -> PageProduct:
    plain = PageProduct(
        "surface", "published", f"S2B_32TQM_SR_{seed:08x}", f"{seed:064x}", models=("correction 2 (abcdef)",),
        links=(Link("STAC Item", "../../../stac/sentinel-2-sr/2025/06/x/y.json"),), pictures=pictures(seed),
        figures={"cloud": 12.3, "cloud_shadow": 3.1, "water": 21.0, "snow": 0.0, "nodata": 0.4},
    )  # fmt: skip
    return replace(plain, **changes)


def landcover(seed: int = 0, **changes) -> PageProduct:
    plain = PageProduct(
        "landcover", "published", f"S2B_32TQM_LC_{seed:08x}", f"{seed + 1:064x}",
        models=("landcover 1 (feed)",), pictures={"map": cover(seed)}, figures={
            "water": 24.0, "cropland": 41.2, "grassland": 19.8, "tree_cover": 15.0, "mangroves": 0.0,
            "nodata": 15.4, "confidence": 81.0,
        },
    )  # fmt: skip
    return replace(plain, **changes)


def vessels(seed: int = 0, **changes) -> PageProduct:
    plain = PageProduct(
        "vessels", "published", f"S2B_32TQM_VESSELS_{seed:08x}", f"{seed + 2:064x}",
        pictures={"map": pictures(seed)["after"]}, objects=ships(), figures={"searched_percent": 31.0},
    )  # fmt: skip
    return replace(plain, **changes)


def scene(number: int = 0, *products: PageProduct) -> PageScene:
    made = products or (surface(number), landcover(number), vessels(number))
    return PageScene(f"S2B_20250613T{number:06d}_32TQM", f"32TQM, {number:03d} June 2025", made)

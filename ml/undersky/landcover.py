"""What the ground is, in eleven classes: codes, names and colours of ESA WorldCover.

Source: ESA WorldCover 10 m 2021 v200, Product User Manual (Van De Kerchove et al. 2022), section 3.2, table
of map codes and colours. The codes are stable across its versions; 0 is its nodata.
"""

from dataclasses import dataclass
from types import MappingProxyType

NODATA = 0
"""The code of a pixel of which nothing is known."""


@dataclass(frozen=True, slots=True)
class CoverClass:
    """One kind of ground."""

    code: int
    """As stored: 10 .. 100."""
    name: str
    """As WorldCover calls it: `Tree cover`."""
    slug: str
    """For columns and file names: `tree_cover`."""
    colour: tuple[int, int, int]
    """Red, green, blue, 0 .. 255."""

    @property
    def hex_colour(self) -> str:
        """Six hexadecimal digits, upper case, as STAC's `color_hint` wants it."""
        return "{:02X}{:02X}{:02X}".format(*self.colour)


CLASSES = (
    CoverClass(10, "Tree cover", "tree_cover", (0, 100, 0)),
    CoverClass(20, "Shrubland", "shrubland", (255, 187, 34)),
    CoverClass(30, "Grassland", "grassland", (255, 255, 76)),
    CoverClass(40, "Cropland", "cropland", (240, 150, 255)),
    CoverClass(50, "Built-up", "built_up", (250, 0, 0)),
    CoverClass(60, "Bare / sparse vegetation", "bare", (180, 180, 180)),
    CoverClass(70, "Snow and ice", "snow_ice", (240, 240, 240)),
    CoverClass(80, "Permanent water bodies", "water", (0, 100, 200)),
    CoverClass(90, "Herbaceous wetland", "wetland", (0, 150, 160)),
    CoverClass(95, "Mangroves", "mangroves", (0, 207, 117)),
    CoverClass(100, "Moss and lichen", "moss_lichen", (250, 230, 160)),
)
"""In the order of their codes, which is also the order of a model's output channels."""

CODES = tuple(cover.code for cover in CLASSES)
SLUGS = tuple(cover.slug for cover in CLASSES)
BY_SLUG = MappingProxyType({cover.slug: cover for cover in CLASSES})
BY_CODE = MappingProxyType({cover.code: cover for cover in CLASSES})

SNOW_ICE = BY_SLUG["snow_ice"].code
WATER = BY_SLUG["water"].code

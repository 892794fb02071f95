"""What must become of the real products of a folder, found out by hand: `real SAMPLES OUT`, a child process.

By hand is: the product opens, has the bands a product needs, and its pixels are what the metadata says.
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "archive")]

from upstream.describe import describe
from upstream.products import Product, find_products

from showcase.cast import (
    CDSE,
    EARTH_SEARCH,
    LANDSAT,
    LANDSATLOOK,
    PUBLISHED,
    QUARANTINED,
    S2,
    SKIPPED,
    Area,
    Expected,
    write_areas,
    write_expected,
)
from undersky.errors import DataError
from undersky.sensors import open_scene, require_bands, verify_pixels
from undersky.settings import one_thread_a_library
from undersky.validation.level1 import MAX_CLOUD_PERCENT, MAX_SUN_ZENITH

PROFILES = {"safe": CDSE, "zip": CDSE, "tile": EARTH_SEARCH, "landsat": LANDSATLOOK}


def look(samples: Path, out: Path) -> None:
    """Each product's ending, and an area of a day around it, lie in the folder."""
    expected, areas = [], []
    for product in find_products((samples,)):
        description = describe(product)
        day = description.sensed.date().isoformat()
        name = f"real-{product.scene}".lower().replace("_", "-")[:63].strip("-")
        ending, reason, sentence = _by_hand(product)
        print(f"{product.scene}: {ending}, {reason}", flush=True)  # noqa: T201  its log
        expected.append(Expected(product.scene, ending, reason, sentence, is_real=True))
        areas.append(
            Area(
                name,
                LANDSAT if product.is_landsat else S2,
                PROFILES[product.layout],
                since=day,
                until=day,
                geometry=dict(description.geometry),
            )
        )
    out.mkdir(parents=True, exist_ok=True)
    write_areas(out / "areas.json", areas)
    write_expected(out / "expected.json", expected)


def _by_hand(product: Product) -> tuple[str, str, str]:
    if product.is_landsat and product.name["collection"] == "01":
        return SKIPPED, "old_collection", "Collection 2 has taken its place: discovery leaves it out"
    try:
        scene = open_scene(product.path)
        require_bands(scene)
        verify_pixels(scene)
    except DataError as error:
        return QUARANTINED, str(error.reason), str(error)
    clouds = scene.declared_cloud_percent
    if clouds is not None and clouds > MAX_CLOUD_PERCENT:
        return SKIPPED, "too_cloudy", f"{clouds:g} % cloud"
    if float(scene.angles.sun_zenith.mean()) > MAX_SUN_ZENITH:
        return SKIPPED, "sun_too_low", "the sun is too low"
    return PUBLISHED, "ok", f"real, {clouds or 0:g} % cloud"


if __name__ == "__main__":
    one_thread_a_library()
    look(Path(sys.argv[1]), Path(sys.argv[2]))

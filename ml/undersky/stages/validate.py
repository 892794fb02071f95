"""`validate`: a product on the disk is judged: a delivered scene, a surface product of ours, or a map of one.

product -> reader's own refusals (DataError) -> facts -> suites -> verdict, Data Docs
"""

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from undersky import stac
from undersky.errors import ConfigError
from undersky.scene import Scene
from undersky.sensors import open_scene, require_bands, verify_pixels
from undersky.sensors.calibrated import CalibratedBand
from undersky.validation.cover_facts import cover_facts
from undersky.validation.judge import judge
from undersky.validation.level1_facts import Announced, keeping_looks, level1_facts
from undersky.validation.map_facts import FinishedMap, SurfaceEvidence, is_cover, is_map, read_map_item
from undersky.validation.object_facts import object_facts
from undersky.validation.rules import Facts, Verdict
from undersky.validation.surface_facts import FinishedProduct, Json, read_item, surface_facts

_MAX_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Pages:
    """Where Data Docs go."""

    folder: Path
    """They are made here."""
    when: datetime | None = None
    """Time they are filed under (aware): the same for the same scene, so that a re-run replaces them."""


@dataclass(frozen=True, slots=True)
class Validated:
    """What is known of a product and what the suites said."""

    facts: Facts
    verdict: Verdict


def validate(product: Path, *, pages: Pages | None = None) -> Validated:
    """The verdict on a product of any level; a map finds its surface product where that lies beside it.

    Raises:
        DataError: A delivered scene cannot be used at all.
        ConfigError: Nothing is there, or a folder that is neither.
    """
    item = item_in(product)
    if item is None:
        return validate_level1(product, pages=pages)
    if not is_map(item):
        return validate_surface(product, pages=pages)
    return validate_map(product, expected=Expected(surface=_beside(product, item)), pages=pages)


def item_in(product: Path) -> Json | None:
    """The STAC Item in the folder of a product of ours; None in a delivered scene."""
    for path in sorted(product.glob("*.json")) if product.is_dir() else ():
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(document, dict) and "stac_version" in document and "assets" in document:
            return document
    return None


def validate_level1(
    product: Path, *, announced: Announced | None = None, pages: Pages | None = None
) -> Validated:
    """The verdict on a delivered scene.

    Raises:
        DataError: It cannot be used at all; `reason` says why.
    """
    scene = keeping_looks(opened := open_scene(product))
    require_bands(scene)
    verify_pixels(scene)
    facts = level1_facts(scene, announced=announced, offsets=_offsets(opened))
    return Validated(facts, _judged(facts, pages))


def validate_surface(folder: Path, *, digest: str | None = None, pages: Pages | None = None) -> Validated:
    """The verdict on a finished surface product.

    Args:
        folder: Holds the Item and its assets.
        digest: What the Item must say; anything when None.
        pages: Where Data Docs go; none are made when None.

    Raises:
        ConfigError: No product is there.
    """
    item, sensor = read_item(folder)
    facts = surface_facts(FinishedProduct(folder, item, sensor, digest, _schema_error(item)))
    return Validated(facts, _judged(facts, pages))


@dataclass(frozen=True, slots=True)
class Expected:
    """What a map should be, as far as somebody knows; what is None is not judged."""

    digest: str | None = None
    """What its Item must say."""
    source: str | None = None
    """Digest of the surface product it must be made of."""
    surface: SurfaceEvidence | None = None
    """That surface product."""


def validate_map(folder: Path, *, expected: Expected | None = None, pages: Pages | None = None) -> Validated:
    """The verdict on a finished map, of land cover or of objects.

    Args:
        folder: Holds the Item and its assets.
        expected: What it should be.
        pages: Where Data Docs go; none are made when None.

    Raises:
        ConfigError: No map is there.
    """
    known = expected or Expected()
    item, sensor = read_map_item(folder)
    made = FinishedMap(folder, item, sensor, known.digest, known.source, _schema_error(item), known.surface)
    facts = cover_facts(made) if is_cover(item) else object_facts(made)
    return Validated(facts, _judged(facts, pages))


def _beside(folder: Path, item: Json) -> SurfaceEvidence | None:
    """The surface product of a map, where it lies in the folder beside it; None elsewhere."""
    name = Path(str(item["properties"]["undersky:surface"].get("id"))).name
    beside = folder.resolve().parent / name
    surface = item_in(beside)
    return None if surface is None or surface.get("id") != name else SurfaceEvidence(surface, beside)


def _judged(facts: Facts, pages: Pages | None) -> Verdict:
    return judge(facts, docs=pages.folder, when=pages.when) if pages else judge(facts)


def _offsets(scene: Scene) -> dict[str, float]:
    """Digital number added in each band before scaling, Sentinel-2 only."""
    if scene.sensor.constellation != "sentinel-2":
        return {}
    calibrated = {name: band for name, band in scene.bands.items() if isinstance(band, CalibratedBand)}
    return {name: round(band.calibration.add / band.calibration.mult, 3) for name, band in calibrated.items()}


def _schema_error(item: Json) -> str | None:
    """The first violation, in a line; the library adds the schema and the whole Item to it."""
    try:
        stac.validate(item)
    except (ConfigError, KeyError, ValueError) as error:
        cause: BaseException = error
        while (deeper := cause.__cause__) is not None:
            cause = deeper
        lines = str(getattr(cause, "message", cause)).splitlines() or [type(cause).__name__]
        return lines[0][:_MAX_CHARACTERS]
    return None

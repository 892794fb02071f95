"""`inspect`: what is this product? Metadata and headers are read, no pixel is decoded."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from undersky.grid import Floats, footprint_lonlat, resolution_m
from undersky.scene import INCOMPLETE, AtmospherePrior, Scene
from undersky.sensors import open_scene

Facts = dict[str, str | float | None]


@dataclass(frozen=True, slots=True)
class Inspection:
    """A product in words and numbers."""

    facts: Facts
    """Identity, time, place, angles, by name."""
    bands: tuple[Facts, ...]
    """One row a band the sensor has: name, common name, rows, cols, pixel size, whether it is there."""
    prior: Facts
    """What the product says of its own atmosphere; empty where it says nothing."""
    notes: tuple[Facts, ...]
    """What is missing or odd, and what stands in for it."""


def inspect(product: Path) -> Inspection:
    """What the product is, has and lacks.

    Raises:
        DataError: It is none that Undersky reads, or its metadata cannot be used.
    """
    scene = open_scene(product)
    notes = tuple(
        Facts(code=note.finding.value, incomplete=float(note.finding in INCOMPLETE), sentence=note.sentence)
        for note in scene.notes
    )
    return Inspection(_facts(scene), _bands(scene), _prior(scene.prior), notes)


def _facts(scene: Scene) -> Facts:
    ring = footprint_lonlat(scene.grid)[:-1]
    views = np.concatenate([field.ravel() for field in scene.angles.view_zenith.values()])
    return {
        "id": scene.id,
        "sensor": scene.sensor.key,
        "platform": scene.sensor.platform,
        "level": scene.level,
        "baseline": scene.baseline,
        "tile": scene.tile,
        "acquired": scene.acquired.isoformat(),
        "crs": str(scene.grid.crs),
        "longitude": round(float(np.mean([lon for lon, _ in ring])), 4),
        "latitude": round(float(np.mean([lat for _, lat in ring])), 4),
        "sun_zenith": _mean(scene.angles.sun_zenith),
        "view_zenith_min": round(float(views.min()), 2),
        "view_zenith_max": round(float(views.max()), 2),
        "declared_cloud_percent": scene.declared_cloud_percent,
        "agency_mask": "present" if scene.agency_mask else "absent",
        "files": float(len(scene.sources)),
    }


def _bands(scene: Scene) -> tuple[Facts, ...]:
    rows = []
    for band in scene.sensor.bands:
        row: Facts = {"name": band.name, "common_name": band.common_name, "wavelength_nm": band.wavelength_nm}
        if band.name in scene.bands:
            grid = scene.bands[band.name].grid
            row |= {"rows": float(grid.shape[0]), "cols": float(grid.shape[1]), "pixel_m": resolution_m(grid)}
        rows.append(row)
    return tuple(rows)


def _prior(prior: AtmospherePrior | None) -> Facts:
    if prior is None:
        return {}
    fields = ("aot_550", "water_vapour", "ozone_dobson", "sea_level_pressure_hpa", "altitude_m")
    means = {name: _mean(getattr(prior, name)) for name in fields if getattr(prior, name) is not None}
    return {"source": prior.source, **means}


def _mean(field: Floats) -> float:
    return round(float(np.mean(field)), 3)

"""Simulated harbours: water, coast, quays, islets and ships, each ship known to the metre.

    coast (noise), quays and islets (boxes, discs), ships (hulls), wakes    at a quarter of a pixel
        --spectra, texture--> --mean over a pixel, point spread--> --haze, glint, noise--> scene

For whoever has no labelled scenes: tests, the demo, the first training. Ships are longer than 40 m, lie at
anchor, under way or along a quay; what is as bright as a ship and is none (islets, piers, cloud puffs) is
there too. Nothing here is measured on a real harbour.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox
from rasterio.features import rasterize
from scipy import ndimage
from shapely import Polygon, affinity
from shapely.geometry.base import BaseGeometry

from undersky.bands import SENSORS
from undersky.datasets.objects import LabelledObject, ObjectScene
from undersky.grid import Floats
from undersky.synth.fractal import Frame, area_mean, fractal
from undersky.synth.library import Split, load_library

_FINER = 4
"""Sub-pixels along a pixel."""

_SENSOR = "S2A"
_LAND = (("vegetation", ()), ("soil", ()), ("built", ()), ("sand", ()))
_HULLS = ("metal", "concrete_tile", "tile", "asphalt", "comp_shingle", "road", "gravel")
_LENGTHS_M = (45.0, 330.0)
_CLEARANCE_M = 15.0
_TRIES = 60


@dataclass(frozen=True, slots=True)
class HarbourSpec:
    """What simulated harbours are like."""

    size: int = 320
    """Rows and columns."""
    ships: int = 14
    """In each, about; fewer where they find no room."""
    moored: float = 0.5
    """Share of the ships that lie along a quay."""
    pixel_m: float = 10.0
    """Of the scene."""

    def __post_init__(self) -> None:
        if (
            self.size < 64
            or self.size % 8
            or self.ships < 0
            or not 0 <= self.moored <= 1
            or self.pixel_m <= 0
        ):
            raise ValueError(
                "size: a multiple of 8, 64 or more; ships: none or more; moored: 0 .. 1; pixel_m: positive"
            )


@dataclass(frozen=True, slots=True)
class _Plan:
    """Where everything lies, in (col, row) of the scene's pixels."""

    land: npt.NDArray[np.bool_]
    """At sub-pixels, (y, x)."""
    quays: list[Polygon]
    """Straight edges to lie along."""
    islets: list[BaseGeometry]
    """Bright and no ship."""
    ships: list[Polygon]
    """Hulls."""
    wakes: list[Polygon]
    """Behind those under way."""


def simulate_harbour(
    spec: HarbourSpec, bands: tuple[str, ...], *, seed: tuple[int, ...], split: Split = "train"
) -> ObjectScene:
    """A harbour as Sentinel-2 would see its surface reflectance.

    Args:
        spec: Size and number of ships.
        bands: STAC common names.
        seed: The same seed gives the same harbour.
        split: Whose spectra: nothing in a `test` harbour is made of what training saw.
    """
    chance = np.random.default_rng(seed)
    plan = _plan(spec, chance)
    values = _seen(_painted(plan, spec, bands, split=split, chance=chance), chance)
    transform = Affine(spec.pixel_m, 0, 500_000, 0, -spec.pixel_m, 4_000_000)
    grid = GeoBox((spec.size, spec.size), transform, "EPSG:32631")
    objects = tuple(_labelled(ship) for ship in plan.ships)
    return ObjectScene(f"harbour-{'-'.join(map(str, seed))}", values, grid, objects)


def _labelled(ship: Polygon) -> LabelledObject:
    box = shapely.minimum_rotated_rectangle(ship)
    return LabelledObject(float(box.centroid.y), float(box.centroid.x), box)


def _plan(spec: HarbourSpec, chance: np.random.Generator) -> _Plan:
    """The harbour's drawing."""
    land = _coast(spec, chance)
    quays = _quays(spec, chance)
    islets: list[BaseGeometry] = [
        shapely.Point(chance.uniform(0, spec.size, 2)).buffer(float(chance.uniform(0.8, 4.0)))
        for _ in range(int(chance.integers(0, 9)))
    ]
    solid = shapely.union_all([*quays, *islets])
    ships: list[Polygon] = []
    wakes: list[Polygon] = []
    for number in range(spec.ships):
        moored = number < round(spec.moored * spec.ships) and bool(quays)
        found = _room(spec, chance, quays=quays if moored else [], land=land, solid=solid, taken=ships)
        if found is None:
            continue
        hull, heading = found
        ships.append(hull)
        if not moored and chance.random() < 0.5:
            wakes.append(_wake(hull, heading, chance))
    return _Plan(land, quays, islets, ships, wakes)


def _coast(spec: HarbourSpec, chance: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Land on one side of a ragged line, at sub-pixels."""
    side = spec.size * _FINER
    frame = Frame(side, side, spec.pixel_m / _FINER)
    ragged = fractal(frame, spec.size * spec.pixel_m / 2, salt=int(chance.integers(1 << 40)))
    y, x = np.mgrid[0 : 1 : side * 1j, 0 : 1 : side * 1j].astype(np.float32)
    turn = chance.uniform(0, 2 * np.pi)
    slope = np.cos(turn) * (x - 0.5) + np.sin(turn) * (y - 0.5)
    inland = slope + 0.12 * ragged
    return np.asarray(inland > np.quantile(inland, chance.uniform(0.45, 0.85)))


def _quays(spec: HarbourSpec, chance: np.random.Generator) -> list[Polygon]:
    """Piers and terminals: long boxes, anywhere."""
    return [
        _box(
            chance.uniform(0.1, 0.9, 2) * spec.size,
            (float(chance.uniform(20, 70)), float(chance.uniform(2, 22))),
            float(chance.uniform(0, 180)),
        )
        for _ in range(int(chance.integers(2, 6)))
    ]


def _box(centre: npt.NDArray[np.float64], sides: tuple[float, float], heading: float) -> Polygon:
    """A rectangle; the first side lies along the heading, degrees clockwise from north."""
    length, width = sides
    upright = shapely.box(-width / 2, -length / 2, width / 2, length / 2)
    return affinity.translate(affinity.rotate(upright, heading, origin=(0, 0)), *centre)


def _room(
    spec: HarbourSpec,
    chance: np.random.Generator,
    *,
    quays: list[Polygon],
    land: npt.NDArray[np.bool_],
    solid: BaseGeometry,
    taken: list[Polygon],
) -> tuple[Polygon, float] | None:
    """A hull on free water and its heading; None where no room is found."""
    for _ in range(_TRIES):
        length = float(np.exp(chance.uniform(*np.log(_LENGTHS_M)))) / spec.pixel_m
        width = max(1.2, length / float(chance.uniform(5.0, 7.5)))
        if quays:
            quay = quays[int(chance.integers(len(quays)))]
            centre, heading = _along(quay, width, chance)
        else:
            centre, heading = chance.uniform(0.04, 0.96, 2) * spec.size, float(chance.uniform(0, 360))
        hull = _hull(centre, (length, width), heading)
        free = hull.distance(solid) > 0 if quays else hull.distance(solid) > _CLEARANCE_M / spec.pixel_m
        clear = all(hull.distance(other) > _CLEARANCE_M / spec.pixel_m for other in taken)
        if free and clear and _afloat(hull, land):
            return hull, heading
    return None


def _along(quay: Polygon, width: float, chance: np.random.Generator) -> tuple[npt.NDArray[np.float64], float]:
    """Centre and heading of a ship that touches one of the quay's long sides."""
    corners = np.asarray(quay.exterior.coords)[:4]
    sides = [(corners[i], corners[(i + 1) % 4]) for i in range(4)]
    sides.sort(key=lambda side: -float(np.hypot(*(side[1] - side[0]))))
    a, b = sides[int(chance.integers(2))]
    along = (b - a) / np.hypot(*(b - a))
    across = np.array([along[1], -along[0]])
    across = across if np.dot(across, a - np.asarray(quay.centroid.coords[0])) > 0 else -across
    centre = a + (b - a) * chance.uniform(0.1, 0.9) + across * (width / 2 + 0.15)
    return centre, float(np.degrees(np.arctan2(along[0], -along[1])))


def _hull(centre: npt.NDArray[np.float64], sides: tuple[float, float], heading: float) -> Polygon:
    """A ship from above: straight sides, a bow."""
    length, width = sides[0] / 2, sides[1] / 2
    outline = [
        (-width, length),
        (width, length),
        (width, -0.75 * length),
        (0, -length),
        (-width, -0.75 * length),
    ]
    return affinity.translate(affinity.rotate(Polygon(outline), heading, origin=(0, 0)), *centre)


def _afloat(hull: Polygon, land: npt.NDArray[np.bool_]) -> bool:
    """True when the whole hull lies in the scene and on water."""
    points = np.asarray(hull.exterior.coords)
    size = land.shape[0] / _FINER
    if points.min() < 1 or points.max() > size - 1:
        return False
    left, top, right, bottom = (int(edge * _FINER) for edge in hull.bounds)
    return not land[top : bottom + 1, left : right + 1].any()


def _wake(hull: Polygon, heading: float, chance: np.random.Generator) -> Polygon:
    """Turbulent water astern, wider with distance."""
    box = np.asarray(shapely.minimum_rotated_rectangle(hull).exterior.coords)
    width = min(np.hypot(*(box[1] - box[0])), np.hypot(*(box[2] - box[1]))) / 2
    reach = float(chance.uniform(4, 25))
    stern = np.hypot(*(np.asarray(hull.exterior.coords)[0] - np.asarray(hull.centroid.coords[0])))
    outline = Polygon(
        [(-width, stern), (width, stern), (1.8 * width, stern + reach), (-1.8 * width, stern + reach)]
    )
    turned = affinity.rotate(outline, heading, origin=(0, 0))
    return affinity.translate(turned, *hull.centroid.coords[0])


def _painted(
    plan: _Plan, spec: HarbourSpec, bands: tuple[str, ...], *, split: Split, chance: np.random.Generator
) -> Floats:
    """Reflectance at sub-pixels, (band, y, x)."""
    library = load_library().where(split=split)
    names = [band.common_name for band in SENSORS[_SENSOR].bands]
    columns = [names.index(name) for name in bands]
    table = library.band_reflectance(_SENSOR)[:, columns]
    classes, kinds = np.array(library.classes), np.array(library.kinds)

    def drawn(chosen: npt.NDArray[np.bool_]) -> Floats:
        return np.asarray(table[int(chance.choice(np.flatnonzero(chosen)))])

    shape = plan.land.shape
    frame = Frame(shape[0], shape[1], spec.pixel_m / _FINER)
    ground = np.stack([drawn(classes == kind) for kind, _ in _LAND])
    patches = fractal(frame, 400.0, salt=int(chance.integers(1 << 40)), persistence=0.8)
    kind_of_land = np.digitize(patches, np.quantile(patches, np.sort(chance.uniform(0, 1, len(_LAND) - 1))))
    painted = ground[kind_of_land].transpose(2, 0, 1)
    # mud so thick that it shines like land is no sea that ships lie in
    every = library.band_reflectance(_SENSOR)
    wet_looks = every[:, names.index("green")] > every[:, names.index("nir")]
    water = drawn((classes == "water") & wet_looks)
    painted = np.where(plan.land[None], painted, water[:, None, None])
    for wake in plan.wakes:
        painted[:, _burnt([wake], shape)] += np.float32(chance.uniform(0.005, 0.06))
    for solid in (*plan.quays, *plan.islets):
        kind = "built" if solid in plan.quays else str(chance.choice(["sand", "soil", "vegetation"]))
        painted[:, _burnt([solid], shape)] = drawn(classes == kind)[:, None]
    grain = fractal(frame, 60.0, salt=int(chance.integers(1 << 40)), persistence=0.9)
    wet = ~(plan.land | _burnt([*plan.quays, *plan.islets], shape))
    painted *= 1.0 + np.where(wet, 0.03, 0.25).astype(np.float32) * grain
    for ship in plan.ships:
        deck = drawn(np.isin(kinds, _HULLS)) * np.float32(chance.uniform(0.6, 1.5))
        inside = _burnt([ship], shape)
        painted[:, inside] = deck[:, None] * (1.0 + 0.3 * grain[inside])
        house = _house(ship, chance)
        painted[:, _burnt([house], shape)] = np.float32(chance.uniform(0.25, 0.6))
    return np.asarray(np.clip(painted, 0.0, 1.0), dtype=np.float32)


def _house(ship: Polygon, chance: np.random.Generator) -> Polygon:
    """The white superstructure, near the stern."""
    corners = np.asarray(ship.exterior.coords)
    stern, beam = (corners[0] + corners[1]) / 2, corners[1] - corners[0]
    towards = np.asarray(ship.centroid.coords[0]) - stern
    first, last = 0.1, float(chance.uniform(0.3, 0.6))
    edge = [stern + towards * first, stern + towards * last]
    return Polygon(
        [edge[0] - 0.45 * beam, edge[0] + 0.45 * beam, edge[1] + 0.45 * beam, edge[1] - 0.45 * beam]
    )


def _burnt(shapes: list[Polygon] | list[BaseGeometry], shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """True inside, at sub-pixels; shapes are in (col, row) of pixels."""
    finer = [affinity.scale(each, _FINER, _FINER, origin=(0, 0)) for each in shapes]
    if not finer:
        return np.zeros(shape, dtype=bool)
    return np.asarray(rasterize([(each, 1) for each in finer], out_shape=shape, dtype="uint8"), dtype=bool)


def _seen(painted: Floats, chance: np.random.Generator) -> Floats:
    """At the scene's pixels, with what a correction leaves of haze, glint, clouds and noise."""
    values = area_mean(painted, _FINER)
    values = ndimage.gaussian_filter(values, (0, *[chance.uniform(0.4, 0.7)] * 2))
    values = values * (1.0 + chance.normal(0.0, 0.05, (len(values), 1, 1)))
    values = values + chance.normal(0.0, 0.006) + chance.normal(0.0, 0.004, (len(values), 1, 1))
    glint = ndimage.gaussian_filter(chance.normal(size=values.shape[1:]), (0.7, 1.5))
    values = values + chance.uniform(0.0, 0.02) * glint
    for _ in range(int(chance.integers(0, 4))):
        values = values + _puff(values.shape[1:], chance)
    return np.asarray(values + chance.normal(0.0, 0.002, values.shape), dtype=np.float32)


def _puff(shape: tuple[int, ...], chance: np.random.Generator) -> Floats:
    """One small cloud: as bright as a ship, rounder and softer."""
    row, col = chance.uniform(0, 1, 2) * shape
    y, x = np.ogrid[0 : shape[0], 0 : shape[1]]
    size = chance.uniform(2.0, 9.0)
    return np.asarray(chance.uniform(0.05, 0.5) * np.exp(-((y - row) ** 2 + (x - col) ** 2) / (2 * size**2)))

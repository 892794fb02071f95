"""Ground that looks like ground: fields and forests, villages, rivers and coasts, snow and burnt patches.

A landscape is a table of abundances: how much of each spectrum every pixel holds, mixed at borders and
varied inside a class. Reflectance of any band is a weighted sum of that band's endmember values, so a
coarser band is the exact area mean of a finer one.

    frame --> heights --> layers (share of the pixel each covers) --> abundances --> reflectance per band
              terrain     snow over water over burnt over roads over built over forest over the open land
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from undersky.errors import ConfigError
from undersky.grid import Floats
from undersky.synth.fractal import Frame, area_mean, fractal, noise
from undersky.synth.library import Library, Split, load_library
from undersky.synth.palette import Palette, choose
from undersky.synth.parcels import Parcels, divide
from undersky.synth.themes import THEMES, Theme

Field = npt.NDArray[np.floating[Any]]


class SurfaceClass(IntEnum):
    """The dominant cover of a pixel."""

    OPEN = 0
    FOREST = 1
    BUILT = 2
    ROAD = 3
    BURNT = 4
    WATER = 5
    SNOW = 6
    BARE = 7


@dataclass(frozen=True, slots=True)
class Landscape:
    """Ground on a frame, for any sensor."""

    theme: str
    """Its name in THEMES."""
    frame: Frame
    """The pixels it is made for; coarser ones are means of these."""
    endmembers: Library
    """The spectra it is mixed of, (k)."""
    abundance: Floats
    """Share of each endmember times local brightness, (k, y, x)."""
    surface_class: npt.NDArray[np.uint8]
    """`SurfaceClass` of the largest share, (y, x)."""
    water: Floats
    """Share of the pixel under water, (y, x)."""
    snow: Floats
    """Share of the pixel under snow, (y, x)."""
    elevation_m: Floats
    """Above the sea, (y, x)."""

    def surface_reflectance(
        self, sensor_key: str, *, pixel_m: float | None = None, bands: Sequence[int] | None = None
    ) -> Floats:
        """Lambertian reflectance of the ground, float32 (band, y, x), bands in the sensor's order.

        Args:
            sensor_key: S2A S2B S2C L8 L9.
            pixel_m: A multiple of the frame's pixel size; the frame's own when None.
            bands: Positions of the wanted bands in the sensor's order; all when None.
        """
        factor = 1 if pixel_m is None else round(pixel_m / self.frame.pixel_m)
        table = self.endmembers.band_reflectance(sensor_key)
        wanted = table if bands is None else table[:, list(bands)]
        abundance = self.abundance if factor == 1 else area_mean(self.abundance, factor)
        return np.asarray(np.tensordot(wanted.T, abundance, axes=1), dtype=np.float32)


def landscape(
    seed: int, frame: Frame, *, theme: str | None = None, day: int = 200, split: Split = "train"
) -> Landscape:
    """The ground that this seed means, on this frame.

    Args:
        seed: Chooses the realisation and, without `theme`, the kind of landscape.
        frame: Where; the same seed over the same place is the same ground at any pixel size.
        theme: A key of THEMES.
        day: Day of the northern year (add 182 in the south): crops grow, are cut, snow comes and goes.
        split: Which spectra may be used.

    Raises:
        ConfigError: There is no such theme.
    """
    generator = np.random.default_rng(seed)
    drawn = list(THEMES)[int(generator.integers(len(THEMES)))]
    name = drawn if theme is None else theme
    if name not in THEMES:
        raise ConfigError(f"no landscape theme {name!r}; there are {' '.join(THEMES)}")
    salt = int(generator.integers(1 << 62))
    palette = choose(load_library().where(split=split), generator)
    painter = _Painter(frame, THEMES[name], salt, day, palette)
    return painter.paint(name)


def _step(value: Field, level: float, softness: float) -> Floats:
    """Smoothly 0 below the level, 1 above."""
    t = np.clip((value - (level - softness)) / (2.0 * softness), 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t), dtype=np.float32)


def _line(distance_m: Floats, width_m: float | Floats, pixel_m: float) -> Floats:
    """Share of a pixel covered by a line of that width whose centre is this far away."""
    most = np.minimum(1.0, width_m / pixel_m)
    return np.asarray(
        np.clip((0.5 * width_m + 0.5 * pixel_m - distance_m) / pixel_m, 0.0, most), dtype=np.float32
    )


Recipe = tuple[SurfaceClass, str, Field]
"""A layer, a role, and how much of it the layer holds, texture included, (y, x)."""


@dataclass(frozen=True, slots=True)
class _Terrain:
    elevation_m: Floats
    water: Floats
    shallow: Floats
    """1 where the water is turbid, 0 where clear."""
    beach: Floats


@dataclass(frozen=True, slots=True)
class _Painter:
    """Paints one landscape; every method is a layer."""

    frame: Frame
    theme: Theme
    salt: int
    day: int
    palette: Palette

    def paint(self, name: str) -> Landscape:
        """The layers from the top down: each covers a share of what those above it leave free."""
        terrain = self.terrain()
        fields = divide(self.frame, district_m=1100.0, strip_m=150.0, salt=self.salt + 10)
        town = self.town()
        covers: tuple[tuple[SurfaceClass, Floats], ...] = (
            (SurfaceClass.SNOW, self.snow(terrain)),
            (SurfaceClass.WATER, terrain.water),
            (SurfaceClass.ROAD, self.roads(fields, terrain, town)),
            (SurfaceClass.BUILT, town),
            (SurfaceClass.BURNT, self.burnt()),
            (SurfaceClass.FOREST, self.forest(terrain)),
            (SurfaceClass.BARE, self.bare(terrain)),
        )
        shares, left = {}, np.ones(self.frame.shape, dtype=np.float32)
        for surface, cover in covers:
            shares[surface] = left * cover
            left = left - shares[surface]
        shares[SurfaceClass.OPEN] = left
        return Landscape(
            theme=name,
            frame=self.frame,
            endmembers=self.palette.spectra,
            abundance=self.mix(shares, terrain, fields),
            surface_class=_dominant(shares),
            water=shares[SurfaceClass.WATER],
            snow=shares[SurfaceClass.SNOW],
            elevation_m=terrain.elevation_m,
        )

    def noise(self, wavelength_m: float, salt: int, *, persistence: float = 0.5) -> Floats:
        """A fractal field of this landscape."""
        return fractal(self.frame, wavelength_m, salt=self.salt + 1000 * salt, persistence=persistence)

    def terrain(self) -> _Terrain:
        """Heights, and the water that lies in them."""
        theme, frame = self.theme, self.frame
        hills = self.noise(6000.0, 1, persistence=0.48)
        ridges = 1.0 - np.abs(self.noise(5000.0, 2, persistence=0.45))
        height = theme.base_m + theme.relief_m * np.maximum(0.5 + 0.35 * hills + 0.35 * ridges, 0.02)
        water, shallow = np.zeros(frame.shape, np.float32), np.zeros(frame.shape, np.float32)
        beach = water
        if theme.river:
            stream, valley = self.river()
            height = theme.base_m + (height - theme.base_m) * (0.08 + 0.92 * valley)
            water, shallow = stream, np.full(frame.shape, 0.55, np.float32)
        low = _step(-height, -theme.base_m - 0.45 * theme.relief_m, 0.05 * theme.relief_m)
        lakes = _step(self.noise(2600.0, 3) * low, theme.lake + 0.15, 0.012 * frame.pixel_m**0.5)
        shallow = np.where(lakes > water, 0.12, shallow).astype(np.float32)
        water = np.maximum(water, lakes)
        if theme.sea:
            depth = self.depth()
            sea = _step(depth, 0.0, 0.6 * frame.pixel_m)
            beach = _step(depth, -45.0, 10.0)
            plume = np.clip(np.exp(-depth / 900.0) * (0.6 + 0.5 * self.noise(1500.0, 4)), 0.0, 1.0)
            shallow = np.where(depth > 0, plume, shallow).astype(np.float32)
            water = np.maximum(water, sea)
            height = np.where(depth > 0, 0.0, np.minimum(height, 1.0 - 0.08 * depth))
        return _Terrain(height.astype(np.float32), water, shallow, beach)

    def river(self) -> tuple[Floats, Floats]:
        """Share covered by the river, and 0 in its valley rising to 1 on the hills.

        The river follows the zero line of a noise: distance to it is value over gradient.
        """
        wander = noise(self.frame, 7000.0, salt=self.salt + 5) + 0.16 * self.noise(1700.0, 6)
        down, right = np.gradient(wander, self.frame.pixel_m)
        distance = np.abs(wander) / np.maximum(np.hypot(down, right), 1e-4)
        width = 38.0 + 14.0 * noise(self.frame, 2500.0, salt=self.salt + 7)
        valley = np.clip(np.abs(wander) / 0.9, 0.0, 1.0)
        return _line(distance, width, self.frame.pixel_m), np.asarray(valley, dtype=np.float32)

    def depth(self) -> Floats:
        """Metres seawards of the shore, about; negative inland. The shore crosses the frame's middle."""
        east, north = self.frame.centres()
        turn = 2.0 * np.pi * ((self.salt >> 8) % 4096) / 4096.0
        half = 0.5 * self.frame.pixel_m * max(self.frame.shape)
        middle = self.frame.left_m + half, self.frame.top_m - half
        plane = (east[None, :] - middle[0]) * np.cos(turn) + (north[:, None] - middle[1]) * np.sin(turn)
        return np.asarray(plane + 900.0 * self.noise(4500.0, 8, persistence=0.52), dtype=np.float32)

    def snow(self, terrain: _Terrain) -> Floats:
        """Above a line that falls 1,600 m in winter and is frayed by wind and slope."""
        line = self.theme.snow_line_m - 800.0 * (1.0 + np.cos(2.0 * np.pi * (self.day - 20) / 365.0))
        frayed = terrain.elevation_m + 110.0 * self.noise(700.0, 9, persistence=0.6)
        return _step(frayed, line, 130.0) * (1.0 - terrain.water)

    def town(self) -> Floats:
        """Where people have built, dense in the middle of settlements."""
        density = self.noise(2300.0, 11, persistence=0.4)
        return _step(density, self.theme.settlement + 0.1, 0.35)

    def roads(self, fields: Parcels, terrain: _Terrain, town: Floats) -> Floats:
        """Along the borders of districts, bridging rivers, not lakes; and the streets of towns."""
        used = _step(noise(self.frame, 2200.0, salt=self.salt + 29), -0.2, 0.15) * (
            terrain.elevation_m < 1500.0
        )
        country = _line(fields.to_border_m, 8.0, self.frame.pixel_m) * used
        blocks = divide(self.frame, district_m=420.0, strip_m=70.0, salt=self.salt + 30)
        street = _line(blocks.to_edge_m, 9.0, self.frame.pixel_m) * (town > 0.3)
        return np.asarray(np.maximum(0.8 * country, street), dtype=np.float32)

    def burnt(self) -> Floats:
        """Blots with a ragged edge and unburnt islands."""
        return _step(self.noise(1900.0, 12, persistence=0.55), self.theme.burnt, 0.12)

    def forest(self, terrain: _Terrain) -> Floats:
        """Woods with sharp borders in the plain, thinning out below the tree line."""
        wood = self.noise(1600.0, 13, persistence=0.55) + 0.4 * noise(self.frame, 9000.0, salt=self.salt + 14)
        closed = _step(wood, self.theme.forest, 0.10)
        tree_line = _step(-terrain.elevation_m - 150.0 * self.noise(500.0, 15), -1750.0, 180.0)
        return closed * tree_line * (1.0 - terrain.beach)

    def bare(self, terrain: _Terrain) -> Floats:
        """Sand of the shore, rock above the tree line, and what the theme leaves dry."""
        rock = _step(terrain.elevation_m + 260.0 * self.noise(900.0, 16, persistence=0.6), 2000.0, 220.0)
        dry = np.clip(self.theme.dry + 0.05 * self.noise(1200.0, 17), 0.0, 1.0)
        return np.asarray(np.maximum(np.maximum(rock, dry), terrain.beach), dtype=np.float32)

    def mix(self, shares: dict[SurfaceClass, Floats], terrain: _Terrain, fields: Parcels) -> Floats:
        """Abundance of every endmember, (k, y, x): what each layer is made of, times its share."""
        abundance = np.zeros((len(self.palette.spectra.names), *self.frame.shape), dtype=np.float32)
        for surface, role, amount in self.recipes(terrain, fields):
            where = self.palette.roles[role]
            parts = self.blend(where.stop - where.start, role)
            share = shares[surface] * amount
            for index, part in enumerate(parts):
                abundance[where.start + index] += share * part
        return abundance

    def blend(self, count: int, role: str) -> Iterator[Floats]:
        """Shares of a role's endmembers, summing to one: each dominates in regions of its own."""
        base = 100 + 10 * list(self.palette.roles).index(role)
        size = {"roof": 45.0, "crop": 900.0, "forest": 700.0, "road": 600.0}.get(role, 2500.0)
        weights = [np.exp(1.8 * self.noise(size, base + i)) for i in range(count)]
        total = np.sum(weights, axis=0)
        yield from (weight / total for weight in weights)

    def recipes(self, terrain: _Terrain, fields: Parcels) -> Iterator[Recipe]:
        """What each layer holds: (layer, role, amount with its texture)."""
        fine = self.noise(60.0, 18, persistence=0.75)
        grain = 1.0 + 0.07 * fine
        yield SurfaceClass.SNOW, "snow", 1.0 - 0.06 * np.abs(self.noise(400.0, 19))
        calm = np.ones(self.frame.shape, np.float32)
        yield SurfaceClass.WATER, "sediment", calm * terrain.shallow
        yield SurfaceClass.WATER, "clear", calm - terrain.shallow
        yield SurfaceClass.ROAD, "road", grain
        roofs = np.clip(0.5 + 0.25 * self.noise(40.0, 20, persistence=0.8), 0.1, 0.95)
        yield SurfaceClass.BUILT, "roof", roofs * grain
        yield SurfaceClass.BUILT, "grass", (1.0 - roofs) * grain
        scar = np.clip(0.8 + 0.2 * self.noise(250.0, 21), 0.2, 1.0)
        yield SurfaceClass.BURNT, "char", scar * grain
        yield SurfaceClass.BURNT, "litter", (1.0 - scar) * grain
        crowns = np.clip(0.92 + 0.06 * self.noise(300.0, 22) + 0.16 * fine, 0.45, 1.4)
        yield SurfaceClass.FOREST, "forest", crowns
        dunes = np.clip(1.0 + 0.08 * self.noise(350.0, 23, persistence=0.6), 0.6, 1.4) * grain
        sandy = np.maximum(terrain.beach, _step(self.noise(3000.0, 24), 0.3, 0.5) * (self.theme.dry > 0.5))
        yield SurfaceClass.BARE, "sand", dunes * sandy
        yield SurfaceClass.BARE, "soil", dunes * (1.0 - sandy)
        yield from self.open_land(terrain, fields)

    def open_land(self, terrain: _Terrain, fields: Parcels) -> Iterator[Recipe]:
        """Fields in their season, field margins, and meadows where it is too high to plough."""
        margin = _line(fields.to_edge_m, 5.0, self.frame.pixel_m)
        use = fields.draw(self.salt + 60)
        meadow = np.maximum(margin, (use > 0.78) | (terrain.elevation_m > 900.0))
        green, stubble = _season(use / 0.78, self.day)
        vigour = 0.10 * self.noise(220.0, 25, persistence=0.6) + 0.35 * (fields.draw(self.salt + 61) - 0.5)
        green = np.clip(green * (1.0 + vigour), 0.0, 1.0)
        stubble = np.minimum(stubble, 1.0 - green)
        tone = (0.85 + 0.3 * fields.draw(self.salt + 62)) * (
            1.0 + 0.05 * self.noise(120.0, 26, persistence=0.7)
        )
        ploughed = (1.0 - meadow) * tone
        grown = np.clip(0.85 + 0.12 * self.noise(500.0, 27), 0.3, 1.0)
        yield SurfaceClass.OPEN, "crop", ploughed * green
        yield SurfaceClass.OPEN, "litter", ploughed * stubble + meadow * 0.3 * (1.0 - grown)
        yield SurfaceClass.OPEN, "soil", ploughed * (1.0 - green - stubble) + meadow * 0.7 * (1.0 - grown)
        yield SurfaceClass.OPEN, "grass", meadow * grown * tone


def _season(use: Floats, day: int) -> tuple[Floats, Floats]:
    """Green cover and stubble of a field: low `use` is winter cereal, high is a summer crop.

    The calendar of a field is shifted by up to some weeks with its use, so neighbours differ.
    """
    winter = use < 0.5
    shift = 40.0 * (np.where(winter, use, use - 0.5) - 0.25)
    peak, length = np.where(winter, 135.0, 215.0) + shift, np.where(winter, 55.0, 45.0)
    green = 0.95 * np.exp(-(((day - peak) / length) ** 2)) + 0.03
    after = np.clip((day - peak - length) / 25.0, 0.0, 1.0) * np.clip((peak + 160.0 - day) / 60.0, 0.0, 1.0)
    return green.astype(np.float32), (0.75 * after).astype(np.float32)


def _dominant(shares: dict[SurfaceClass, Floats]) -> npt.NDArray[np.uint8]:
    order = sorted(shares)
    best = np.argmax(np.stack([shares[surface] for surface in order]), axis=0)
    return np.asarray(np.asarray(order, dtype=np.uint8)[best])

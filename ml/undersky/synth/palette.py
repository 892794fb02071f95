"""Which spectra a landscape is mixed of: a few of the library for every role they play."""

from dataclasses import dataclass

import numpy as np

from undersky.synth.library import Library

# role, class, kinds preferred, number of endmembers
_PALETTE: tuple[tuple[str, str, tuple[str, ...], int], ...] = (
    ("soil", "soil", (), 4),
    ("crop", "vegetation", (), 3),
    ("grass", "vegetation", (), 2),
    ("forest", "vegetation", (), 3),
    ("litter", "npv", ("litter", "npv"), 2),
    ("road", "built", ("road", "asphalt", "parking_lot", "sidewalk"), 2),
    ("roof", "built", ("tile", "concrete_tile", "comp_shingle", "wood_shingle", "metal", "gravel"), 4),
    ("sand", "sand", (), 2),
    ("char", "burnt", (), 2),
    ("clear", "water", ("clear", "lake", "dark"), 2),
    ("sediment", "water", ("sediment",), 2),
    ("snow", "snow", ("fresh", "old"), 2),
)


@dataclass(frozen=True, slots=True)
class Palette:
    """Spectra and what each is for."""

    spectra: Library
    """(k)."""
    roles: dict[str, slice]
    """Positions of a role's spectra."""


def choose(library: Library, generator: np.random.Generator) -> Palette:
    """The endmembers drawn; canopies become crops, grass or trees by how green and dark they are."""
    chosen: list[str] = []
    roles: dict[str, slice] = {}
    for role, surface_class, kinds, count in _PALETTE:
        pool = library.where(surface_class, kinds=kinds)
        pool = pool if pool.names else library.where(surface_class)
        names = _suitable(pool, role)
        take = generator.choice(len(names), size=count, replace=len(names) < count)
        roles[role] = slice(len(chosen), len(chosen) + count)
        chosen += [names[int(i)] for i in take]
    position = {name: i for i, name in enumerate(library.names)}
    return Palette(library.take([position[name] for name in chosen]), roles)


def _suitable(pool: Library, role: str) -> tuple[str, ...]:
    red, near = pool.reflectance[:, 26], pool.reflectance[:, 46]
    green = (near - red) / (near + red)
    wanted = {
        "crop": (green > 0.82) & (near > 0.38),
        "grass": (green > 0.55) & (green < 0.85) & (near > 0.2),
        "forest": (green > 0.78) & (near < 0.42) & (near > 0.15),
        "road": near < 0.3,
    }.get(role, np.ones(len(pool.names), bool))
    names = tuple(name for name, good in zip(pool.names, wanted, strict=True) if good)
    return names or pool.names

"""Windows of shaded ground under a known hypothesis, and a small learned package, for the tests here."""

from functools import cache

import torch

from undersky.atmosphere.emulator import Emulator
from undersky.atmosphere.hypotheses import Hypotheses, evaluate_hypotheses
from undersky.atmosphere.inversion import apply_atmosphere
from undersky.atmosphere.state import AtmosphereState, Coefficients, Geometry
from undersky.models.correction import CONDITIONS, PRIOR, NetworkConfig, Windows

SMALL = NetworkConfig(width=8, heads=2, hypothesis_width=8, embedding=6)
SOIL = torch.tensor([0.08, 0.10, 0.15, 0.20, 0.30, 0.36, 0.30])
LEAF = torch.tensor([0.03, 0.035, 0.08, 0.04, 0.42, 0.20, 0.09])
BANDS = ("B01", "B02", "B03", "B04", "B8A", "B11", "B12")
NOISE = 4e-8


@cache
def hypotheses() -> Hypotheses:
    """One air's, under a middling sun."""
    flat = (torch.tensor([v]) for v in (0.2, 1.5, 320.0, 990.0))
    belief = AtmosphereState(*flat, torch.ones(5, 1))
    angles = Geometry(*(torch.tensor([v]) for v in (45.0, 4.0, 110.0)))
    return evaluate_hypotheses(Emulator.load("S2A", BANDS), belief, angles)


def under(index: int) -> Coefficients[torch.Tensor]:
    """The coefficients of one hypothesis, (1, band, 1, 1)."""
    found = hypotheses()
    rows = (found.path, found.transmittance, found.spherical_albedo)
    columns = (row[:, index, :, None, None] for row in rows)
    gas = found.gas_transmittance[:, :, None, None]
    return Coefficients(*columns, gas, torch.zeros(1, dtype=torch.bool))


def windows_of(surface: torch.Tensor, *, truth: int, usable: torch.Tensor | None = None) -> Windows:
    """Ground (n, band, y, x) as it is seen under a hypothesis."""
    n, found = len(surface), hypotheses()
    few = (value.expand(n, -1, -1) for value in (found.path, found.transmittance, found.spherical_albedo))
    shown = torch.ones(n, *surface.shape[2:]) if usable is None else usable
    return Windows(
        apply_atmosphere(surface, under(truth)),
        shown,
        *few,
        found.gas_transmittance.expand(n, -1),
        torch.full((n, 7), NOISE),
        torch.full((n, CONDITIONS), 0.6),
        torch.zeros(n, PRIOR),
    )


def shaded(spectrum: torch.Tensor, *, sigma: float = 0.13, size=(64, 64), n: int = 1, seed: int = 1):
    """One material whose brightness alone differs, (n, band, y, x)."""
    shade = torch.randn(n, 1, *size, generator=torch.Generator().manual_seed(seed))
    return spectrum[:, None, None] * torch.exp(sigma * shade)


def mixed(*, size=(64, 64), n: int = 2, seed: int = 1) -> torch.Tensor:
    """Soil and leaves side by side and over each other, shaded."""
    share = torch.rand(n, 1, *size, generator=torch.Generator().manual_seed(seed + 7))
    soil, leaf = (shaded(s, size=size, n=n, seed=seed) for s in (SOIL, LEAF))
    return share * soil + (1.0 - share) * leaf

"""Which worlds there are: every distribution that training draws from, in one frozen value.

    textures   how ground is divided and shaded, without a colour         a bank, built once
    materials  spectra of the library's training half                     shipped
    airs       sun, view, gases, aerosol, with the coefficients of all    a bank, built once
               hypotheses and of the truth

A world is one of each, chosen at every step by seed and step alone; so a few thousand textures, some hundred
spectra and some ten thousand airs are never the same world twice.
"""

from dataclasses import dataclass

VERSION = 1
"""Of the generator: another version makes other worlds from the same seed."""


@dataclass(frozen=True, slots=True)
class AirSpec:
    """What the atmospheres are like."""

    count: int = 16384
    """Airs to train on."""
    validation: int = 2048
    """Airs to validate on, other numbers."""
    climatological: float = 0.45
    """Share with lognormal optical depth, median 0.13, sigma 0.8 in ln."""
    thick: float = 0.15
    """Share with optical depth uniform between 0.6 and 1.2; the others are uniform between 0.01 and 0.65."""
    pure: float = 0.65
    """Share with one of 6S's aerosol models; the others are mixtures of all."""
    models: tuple[float, ...] = (0.27, 0.17, 0.28, 0.18, 0.10)
    """Shares of continental, maritime, urban, desert and biomass among the pure."""
    varying: float = 0.3
    """Share whose aerosol and water vapour vary over the window."""

    def __post_init__(self) -> None:
        if min(self.count, self.validation) < 1 or len(self.models) != 5 or sum(self.models) <= 0:
            raise ValueError("airs: counts must be positive and models five shares")


@dataclass(frozen=True, slots=True)
class GroundSpec:
    """What the ground is like, and what the sensor adds; shares are of worlds."""

    textures: int = 3000
    """Fields in the bank."""
    familiar: float = 0.7
    """Made of materials that lie together in nature; the others are any mixture."""
    blended: float = 0.5
    """Of materials: blended with a second spectrum of their class."""
    shade_sigma: tuple[float, ...] = (0.03, 0.07, 0.11, 0.12, 0.13, 0.18)
    """Spread of the logarithm of brightness, one of these."""
    tinted_shade: float = 0.15
    """Whose shade is not the same in all bands, as under a blue sky."""
    adjacency: float = 0.1
    """That see light scattered in from around."""
    blurred: float = 0.15
    """Whose bands are not equally sharp."""
    miscalibrated: float = 0.1
    """Whose bands are off by up to some percent."""
    clouded: float = 0.2
    """With clouds, masked but for their edges."""

    def __post_init__(self) -> None:
        shares = [self.familiar, self.blended, self.tinted_shade, self.adjacency]
        shares += [self.blurred, self.miscalibrated, self.clouded]
        if self.textures < 16 or not all(0.0 <= share <= 1.0 for share in shares) or not self.shade_sigma:
            raise ValueError("ground: at least 16 textures, and every share between 0 and 1")


@dataclass(frozen=True, slots=True)
class WorldSpec:
    """All of it."""

    seed: int = 1
    """Of textures and airs."""
    airs: AirSpec = AirSpec()
    """Atmospheres."""
    ground: GroundSpec = GroundSpec()
    """Ground and sensor."""

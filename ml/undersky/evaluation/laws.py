"""Laws that every correction must keep, whatever it learned: measured on simulated scenes, without 6S.

    ground + state --emulator--> scene --a change that must not matter--> scene'
       correct(scene), correct(scene') --> one figure a law, held against its bar

The skies come from the emulator, so that what is measured is the model and not the emulator's distance to 6S;
an error is counted in the specification's units, 0.05 rho + 0.005.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from undersky.atmosphere.emulator import Emulator
from undersky.atmosphere.inversion import apply_atmosphere
from undersky.atmosphere.state import AEROSOL_MODELS, AtmosphereState, Geometry, pressure_at
from undersky.bands import SENSORS, Sensor
from undersky.datasets.ground import draw_materials, lay_out
from undersky.datasets.observation import Observation
from undersky.datasets.suites import PLACE
from undersky.evaluation.correctors import Corrected, Corrector
from undersky.evaluation.metrics import specification
from undersky.evaluation.report import Json, number
from undersky.evaluation.tables import Table, cell
from undersky.grid import Floats

SCENES = (("S2A", 71), ("S2C", 72), ("L8", 73), ("L9", 74))
"""Sensor and seed of the ground of each scene that a law is measured on."""

_HAZY, _THIN, _CLEAN = 0.4, 0.05, 0.01
_STANDARD = 0.1
_TURN_DEGREES = 0.5
_NUDGE = 0.01
_GREY = 0.2


@dataclass(frozen=True, slots=True)
class Sky:
    """What stands over a scene of a law: continental aerosol in one state."""

    aot_550: float = _STANDARD
    """Optical depth."""
    sun_zenith: float = 40.0
    """Degrees."""


@dataclass(frozen=True, slots=True)
class Bench:
    """One method before one ground, of which scenes under any sky can be made."""

    method: Corrector
    """Under test."""
    sensor: Sensor
    """The instrument."""
    ground: Floats
    """Surface reflectance, (band, y, x)."""

    def observe(self, sky: Sky, *, ground: Floats | None = None) -> Observation:
        """The ground, or another, under a sky; without noise, so that a law is exact."""
        return observe(self.sensor, self.ground if ground is None else ground, sky)

    def correct(self, observation: Observation) -> Corrected:
        """What the method makes of it."""
        return self.method.correct(observation)

    @property
    def rows(self) -> list[int]:
        """Positions of the bands that a law looks at."""
        return [i for i, band in enumerate(self.sensor.corrected_bands) if band.role == "surface"]


@dataclass(frozen=True, slots=True)
class Law:
    """One law and how far from it a correction may be."""

    sentence: str
    """What is measured, with its unit."""
    bar: float
    """The worst value that passes."""
    at_least: bool
    """True when more is better."""
    measure: Callable[[Bench], float]
    """The figure on one ground; NaN from a method that states nothing to measure."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a law found of one method."""

    law: Law
    """Which."""
    value: float
    """Over the worst scene; NaN when the method states nothing to measure."""

    @property
    def passed(self) -> bool:
        """Whether the bar was met; what cannot be measured does not meet it."""
        return self.value >= self.law.bar if self.law.at_least else self.value <= self.law.bar


def observe(sensor: Sensor, ground: Floats, sky: Sky) -> Observation:
    """A uniform sky over a ground, (band, y, x), at the place of the frozen suites."""

    def node(value: float) -> npt.NDArray[np.float64]:
        return np.full((1, 1), value)

    shares = np.zeros((len(AEROSOL_MODELS), 1, 1))
    shares[AEROSOL_MODELS.index("continental")] = 1.0
    altitude_km, water, ozone, view, azimuth = 0.3, 2.1, 310.0, 5.0, 70.0
    pressure = node(float(pressure_at(altitude_km)))
    state = AtmosphereState(node(sky.aot_550), node(water), node(ozone), pressure, shares)
    bands = tuple(band.name for band in sensor.corrected_bands)
    above = Emulator.load(sensor.key, bands)(state, Geometry(node(sky.sun_zenith), node(view), node(azimuth)))
    return Observation(
        id="law",
        sensor=sensor,
        bands=bands,
        toa=apply_atmosphere(ground, above).astype(np.float32),
        sun_zenith=sky.sun_zenith,
        view_zenith=view,
        relative_azimuth=azimuth,
        ozone_dobson=ozone,
        altitude_km=altitude_km,
        place=PLACE,
    )


def _excess(bench: Bench, found: Floats, expected: Floats) -> Floats:
    """Distance in units of the specification, of the bands that count."""
    return np.asarray(np.abs(found - expected) / specification(expected))[bench.rows]


def in_spec_under(sky: Sky) -> Callable[[Bench], float]:
    """Percent of pixels within the specification under a sky."""

    def measure(bench: Bench) -> float:
        found = bench.correct(bench.observe(sky)).surface
        return 100.0 * float((_excess(bench, found, bench.ground) <= 1.0).mean())

    return measure


def brighter_is_brighter(bench: Bench) -> float:
    """Percent of pixels whose ground brightens when they alone, one in 64, brighten at the top."""
    seen = bench.observe(Sky())
    toa = seen.toa.copy()
    toa[:, ::8, ::8] += np.float32(_NUDGE)
    before, after = (bench.correct(replace(seen, toa=values)).surface for values in (seen.toa, toa))
    return 100.0 * float((after > before)[bench.rows][:, ::8, ::8].mean())


def turning(turn: Callable[[Floats], Floats]) -> Callable[[Bench], float]:
    """99th percentile of what changes when the scene is turned, its answer turned back by the same turn."""

    def measure(bench: Bench) -> float:
        seen = bench.observe(Sky(_HAZY))
        straight = bench.correct(seen).surface
        turned = bench.correct(replace(seen, toa=np.ascontiguousarray(turn(seen.toa)))).surface
        return float(np.percentile(_excess(bench, turn(turned), straight), 99))

    return measure


def _flip(values: Floats) -> Floats:
    return values[..., ::-1]


def _transpose(values: Floats) -> Floats:
    return values.swapaxes(1, 2)


def moved_by_the_sun(bench: Bench) -> float:
    """99th percentile of what changes of one ground under one air when the sun moves by half a degree."""
    skies = (Sky(_HAZY), replace(Sky(_HAZY), sun_zenith=Sky().sun_zenith + _TURN_DEGREES))
    before, after = (bench.correct(bench.observe(sky)).surface for sky in skies)
    return float(np.percentile(_excess(bench, after, before), 99))


def invented_texture(bench: Bench) -> float:
    """Largest range within one band over a grey ground without any texture, under uniform air."""
    grey = np.full_like(bench.ground, _GREY)
    found = bench.correct(bench.observe(Sky(_HAZY), ground=grey)).surface[bench.rows]
    return float((np.ptp(found, axis=(1, 2)) / specification(np.array(_GREY))).max())


def nodata_kept(bench: Bench) -> float:
    """Percent of values that are nodata exactly where the observation is."""
    seen = bench.observe(Sky())
    toa = seen.toa.copy()
    toa[:, 10:20, 30:45] = np.nan
    found = bench.correct(replace(seen, toa=toa)).surface
    return 100.0 * float((np.isnan(found) == np.isnan(toa)).mean())


def uncertainty_positive(bench: Bench) -> float:
    """Percent of pixels with a finite uncertainty above zero; NaN where none is stated."""
    sigma = bench.correct(bench.observe(Sky(_HAZY))).sigma
    return np.nan if sigma is None else 100.0 * float((np.isfinite(sigma) & (sigma > 0.0)).mean())


def uncertainty_under_haze(bench: Bench) -> float:
    """Mean uncertainty of the visible bands under haze over that under thin air; NaN where none is stated."""
    hazy, thin = (bench.correct(bench.observe(Sky(aot))).sigma for aot in (_HAZY, _THIN))
    if hazy is None or thin is None:
        return np.nan
    visible = [i for i in bench.rows if bench.sensor.corrected_bands[i].wavelength_nm < 700.0]
    return float(np.nanmean(hazy[visible]) / np.nanmean(thin[visible]))


LAWS: Mapping[str, Law] = {
    "clean_air": Law(
        "under AOD 0.01 the ground is in spec, % of pixels", 95.0, True, in_spec_under(Sky(_CLEAN))
    ),
    "standard_air": Law(
        "under continental AOD 0.1 correct(simulate(x)) is x within spec, % of pixels",
        97.0,
        True,
        in_spec_under(Sky()),
    ),
    "brighter_is_brighter": Law(
        "a pixel that brightens above brightens below, % of pixels", 100.0, True, brighter_is_brighter
    ),
    "flip": Law(
        "change when the scene is mirrored, 99th percentile in spec units", 0.25, False, turning(_flip)
    ),
    "transpose": Law(
        "change when the scene is transposed, 99th percentile in spec units", 0.25, False, turning(_transpose)
    ),
    "sun_moves": Law(
        "change when the sun moves by 0.5 degrees, 99th percentile in spec units",
        0.25,
        False,
        moved_by_the_sun,
    ),
    "no_invented_texture": Law(
        "range within a band over a uniform ground, largest, in spec units", 0.25, False, invented_texture
    ),
    "nodata": Law("nodata where the scene has none, and only there, % of values", 100.0, True, nodata_kept),
    "uncertainty_positive": Law(
        "1 sigma is finite and above zero, % of values", 100.0, True, uncertainty_positive
    ),
    "uncertainty_under_haze": Law(
        "1 sigma of the visible bands at AOD 0.4 over that at 0.05, a ratio",
        1.0,
        True,
        uncertainty_under_haze,
    ),
}
"""Every law by its name, in the order of the tables."""


def keep_laws(method: Corrector, *, scenes: Sequence[tuple[str, int]] = SCENES) -> dict[str, Finding]:
    """Every law by its name with the method's figure on the worst of the scenes."""
    benches = [_bench(method, sensor, seed) for sensor, seed in scenes]
    return {name: Finding(law, _worst(law, benches)) for name, law in LAWS.items()}


def _bench(method: Corrector, sensor: str, seed: int) -> Bench:
    ground, _ = lay_out(draw_materials(sensor, "land", seed=seed), seed=seed)
    return Bench(method, SENSORS[sensor], ground)


def _worst(law: Law, benches: Sequence[Bench]) -> float:
    values = [law.measure(bench) for bench in benches]
    return float(np.min(values) if law.at_least else np.max(values))


def laws_json(findings: Mapping[str, Finding]) -> dict[str, Json]:
    """Per law its value, its bar and whether it passed; null where nothing could be measured."""
    return {
        name: {"value": number(found.value, 4), "bar": found.law.bar, "pass": found.passed}
        for name, found in findings.items()
    }


def laws_table(findings: Mapping[str, Finding]) -> Table:
    """One row a law."""
    rows = (
        (
            name,
            found.law.sentence,
            cell(found.value, 3),
            f"{'>=' if found.law.at_least else '<='} {found.law.bar:g}",
            "yes" if found.passed else "no",
        )
        for name, found in findings.items()
    )
    return Table(("law", "what is measured, on the worst scene", "value", "bar", "kept"), tuple(rows))


def laws_markdown(findings: Mapping[str, Finding]) -> str:
    """The laws as a table, under a heading."""
    return f"### laws (simulated: emulated skies)\n\n{laws_table(findings).as_markdown()}\n"

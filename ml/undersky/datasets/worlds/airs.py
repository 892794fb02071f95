"""The airs of the worlds: sun, view, gases, aerosol, and the coefficients of what is and of what might be.

    Sobol points --> state, geometry --> truth, twice       the two ends of what varies over a window
                          |  + what nobody knows exactly
                          '--> belief --> hypotheses        of all aerosol models and optical depths

Ranges: sun zenith 10 to 76 degrees and view zenith 0 to 13, which hold both sensors' orbits; water vapour
0.15 to 5.5 g/cm2, ozone 190 to 480 Dobson units, altitude 0 to 4 km. Water vapour is believed as the
correction finds it: from Sentinel-2's own bands to a tenth, else from a climatology.
"""

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
import torch
from scipy.stats import norm, qmc
from torch import Tensor

from undersky.atmosphere.emulator import Emulator
from undersky.atmosphere.hypotheses import COUNT, evaluate_hypotheses
from undersky.atmosphere.state import AEROSOL_MODELS, AtmosphereState, Geometry, pressure_at
from undersky.bands import SENSORS
from undersky.datasets.worlds.materials import ROLES, SENSOR_KEYS, role_bands
from undersky.datasets.worlds.spec import AirSpec
from undersky.synth.sensor_noise import noise_sigma

Array = npt.NDArray[np.float64]

IN_ORBIT = 0.5
"""Noise in orbit as a share of the promised, as a window is taken to have it."""

_BANDS = len(ROLES)
_VARIED_AOT = 0.35
_VARIED_WATER = 0.10


@dataclass(frozen=True, slots=True)
class Airs:
    """n airs; coefficients are path, transmittance, spherical albedo and gas transmittance."""

    sensor: Tensor
    """Position in SENSOR_KEYS, (n,)."""
    point: Tensor
    """Where it lies among all airs, each coordinate 0 .. 1: for the leakage check, (n, 7)."""
    aot_550: Tensor
    """Mean over the window, (n,)."""
    shares: Tensor
    """Of the aerosol models, (n, model)."""
    conditions: Tensor
    """Cosines of sun and view zenith, view along the sun, pressure over 1013 hPa, 1 if Sentinel-2, (n, 5)."""
    truth: Tensor
    """At both ends of the window, (n, 2, 4, band)."""
    diffuse: Tensor
    """Share of the light from the ground that reaches the sensor scattered, (n, band)."""
    path: Tensor
    """Of the hypotheses, (n, hypothesis, band)."""
    transmittance: Tensor
    """(n, hypothesis, band)."""
    spherical_albedo: Tensor
    """(n, hypothesis, band)."""
    gas_transmittance: Tensor
    """(n, band)."""
    noise: Tensor
    """Promised variance: over black, and what each unit of reflectance adds, (n, band, 2)."""
    forecast: Tensor
    """Optical depth and shares as a forecast would have them, (n, 1 + model)."""

    def __len__(self) -> int:
        """How many."""
        return int(self.sensor.shape[0])

    def take(self, index: Tensor) -> "Airs":
        """These of them."""
        return Airs(**{field.name: getattr(self, field.name)[index] for field in fields(self)})


def draw_airs(count: int, spec: AirSpec, *, seed: int) -> Airs:
    """That many airs, spread evenly over their ranges; the same for the same seed."""
    generator = np.random.default_rng([seed, 2])
    points = qmc.Sobol(8, rng=np.random.default_rng([seed, 1])).random(1 << (count - 1).bit_length())[:count]
    sensor = np.arange(count) % len(SENSOR_KEYS)
    low, high = np.cos(np.radians([76.0, 10.0]))
    air = {
        "sun_zenith": np.degrees(np.arccos(low + (high - low) * points[:, 0])),
        "view_zenith": 13.0 * points[:, 1],
        "relative_azimuth": 180.0 * points[:, 2],
        "water_vapour": 0.15 + 5.35 * points[:, 3],
        "ozone_dobson": 190.0 + 290.0 * points[:, 4],
        "pressure_hpa": pressure_at(4.0 * points[:, 5] ** 1.5),
        "aot_550": _depths(points[:, 6], points[:, 7], spec),
    }
    shares = _shares(count, spec, generator)
    varies = generator.random(count) < spec.varying
    uneven = np.where(varies, generator.uniform(0.0, _VARIED_AOT, count), 0.0)
    damp = np.where(varies, generator.uniform(-_VARIED_WATER, _VARIED_WATER, count), 0.0)
    belief = _belief(air, sensor, generator)
    parts = {name: np.zeros(shape, dtype=np.float32) for name, shape in _shapes(count).items()}
    for key in range(len(SENSOR_KEYS)):
        rows = np.flatnonzero(sensor == key)
        if rows.size:
            _fill(parts, rows, SENSOR_KEYS[key], air=air, belief=belief, shares=shares, ends=(uneven, damp))
    return Airs(
        sensor=torch.from_numpy(sensor),
        point=torch.from_numpy(points[:, :7].astype(np.float32)),
        aot_550=torch.from_numpy(air["aot_550"].astype(np.float32)),
        shares=torch.from_numpy(shares.astype(np.float32)),
        conditions=torch.from_numpy(_conditions(air, belief, sensor)),
        forecast=torch.from_numpy(_forecast(air["aot_550"], shares, generator)),
        **{name: torch.from_numpy(values) for name, values in parts.items()},
    )


def _depths(quantile: Array, which: Array, spec: AirSpec) -> Array:
    lognormal = np.clip(0.13 * np.exp(0.8 * norm.ppf(np.clip(quantile, 1e-4, 1.0 - 1e-4))), 0.005, 1.2)
    uniform = 0.01 + 0.64 * quantile
    thick = 0.6 + 0.6 * quantile
    middle = np.where(which < spec.climatological + spec.thick, thick, uniform)
    return np.where(which < spec.climatological, lognormal, middle)


def _shares(count: int, spec: AirSpec, generator: np.random.Generator) -> Array:
    models = np.array(spec.models) / sum(spec.models)
    pure = np.eye(len(AEROSOL_MODELS))[generator.choice(len(AEROSOL_MODELS), count, p=models)]
    mixed = generator.dirichlet(np.full(len(AEROSOL_MODELS), 0.6), count)
    return np.where((generator.random(count) < spec.pure)[:, None], pure, mixed)


def _belief(
    air: dict[str, Array], sensor: npt.NDArray[np.int64], generator: np.random.Generator
) -> dict[str, Array]:
    """What is known of gases and pressure before the aerosol is: near the truth, never the truth."""
    count = len(sensor)
    water, ozone, pressure = air["water_vapour"], air["ozone_dobson"], air["pressure_hpa"]
    seen = np.array([SENSORS[key].constellation == "sentinel-2" for key in SENSOR_KEYS])[sensor]
    found = water * np.exp(0.1 * generator.standard_normal(count))
    guessed = np.clip(water + generator.standard_normal(count), 0.2, 5.5)
    rough = np.where(generator.random(count) < 0.7, 0.003, 0.02)
    return {
        "water_vapour": np.where(seen, found, guessed),
        "ozone_dobson": ozone + 8.0 * generator.standard_normal(count),
        "pressure_hpa": pressure * (1.0 + rough * generator.standard_normal(count)),
    }


def _conditions(
    air: dict[str, Array], belief: dict[str, Array], sensor: npt.NDArray[np.int64]
) -> npt.NDArray[np.float32]:
    sun, view, azimuth = (np.radians(air[name]) for name in ("sun_zenith", "view_zenith", "relative_azimuth"))
    seen = np.array([SENSORS[key].constellation == "sentinel-2" for key in SENSOR_KEYS])[sensor]
    along = np.cos(azimuth) * np.sin(view)
    columns = (np.cos(sun), np.cos(view), along, belief["pressure_hpa"] / 1013.0, seen)
    return np.stack([np.asarray(column, dtype=np.float32) for column in columns], axis=1)


def _forecast(aot: Array, shares: Array, generator: np.random.Generator) -> npt.NDArray[np.float32]:
    """As good as CAMS is: depth within about 0.02 + 35 %, a third of the composition someone else's."""
    depth = aot * np.exp(0.35 * generator.standard_normal(len(aot)))
    depth = np.clip(depth + 0.02 * generator.standard_normal(len(aot)), 0.0, 1.25)
    other = generator.dirichlet(np.full(shares.shape[1], 0.6), len(aot))
    kept = generator.uniform(0.3, 1.0, (len(aot), 1))
    return np.concatenate([depth[:, None], kept * shares + (1.0 - kept) * other], axis=1).astype(np.float32)


def _shapes(count: int) -> dict[str, tuple[int, ...]]:
    many = (count, COUNT, _BANDS)
    one = (count, _BANDS)
    return {
        "truth": (count, 2, 4, _BANDS),
        "diffuse": one,
        "path": many,
        "transmittance": many,
        "spherical_albedo": many,
        "gas_transmittance": one,
        "noise": (*one, 2),
    }


def _fill(
    parts: dict[str, npt.NDArray[np.float32]],
    rows: npt.NDArray[np.int64],
    sensor: str,
    *,
    air: dict[str, Array],
    belief: dict[str, Array],
    shares: Array,
    ends: tuple[Array, Array],
) -> None:
    """Everything that one sensor's emulator says, at its rows."""
    emulator = Emulator.load(sensor, role_bands(sensor))
    here = {name: _tensor(values[rows]) for name, values in air.items()}
    mixture = _tensor(shares[rows].T)
    geometry = Geometry(here["sun_zenith"], here["view_zenith"], here["relative_azimuth"])
    aerosol, damp = (_tensor(values[rows]) for values in ends)
    with torch.no_grad():
        for end, sign in enumerate((-1.0, 1.0)):
            state = AtmosphereState(
                here["aot_550"] * (1.0 + sign * aerosol),
                here["water_vapour"] * (1.0 + sign * damp),
                here["ozone_dobson"],
                here["pressure_hpa"],
                mixture,
            )
            found = emulator(state, geometry)
            stacked = (found.path, found.transmittance, found.spherical_albedo, found.gas_transmittance)
            parts["truth"][rows, end] = torch.stack(stacked).permute(2, 0, 1).numpy()
        middle = AtmosphereState(
            here["aot_550"], here["water_vapour"], here["ozone_dobson"], here["pressure_hpa"], mixture
        )
        parts["diffuse"][rows] = emulator.diffuse_share(middle, here["view_zenith"]).T.numpy()
        known = {name: _tensor(values[rows]) for name, values in belief.items()}
        guess = AtmosphereState(here["aot_550"], **known, aerosol_fractions=mixture)
        hypotheses = evaluate_hypotheses(emulator, guess, geometry)
    for name in ("path", "transmittance", "spherical_albedo", "gas_transmittance"):
        parts[name][rows] = getattr(hypotheses, name).numpy()
    parts["noise"][rows] = promised_noise(sensor, air["sun_zenith"][rows])


def promised_noise(sensor: str, sun_zenith: Array) -> npt.NDArray[np.float32]:
    """Variance over black, and what each unit of reflectance adds, (n, band, 2), as the makers promise.

    Args:
        sensor: `S2A` .. `L9`.
        sun_zenith: Degrees, (n,).
    """
    table = np.zeros((len(sun_zenith), _BANDS, 2), dtype=np.float32)
    ends = np.array([0.0, 1.0], dtype=np.float32)
    cosine = np.cos(np.radians(sun_zenith))
    for column, band in enumerate(role_bands(sensor)):
        black, white = noise_sigma(SENSORS[sensor], band, toa=ends, sun_zenith=0.0) ** 2
        # noise is of radiance: what is constant grows with the square of the faint sun, what is shot with it
        table[:, column, 0] = black / cosine**2
        table[:, column, 1] = (white - black) / cosine
    return table


def noise_in_orbit() -> npt.NDArray[np.float32]:
    """Variance that a window is taken to have under an overhead sun, every sensor, (sensor, band, 2)."""
    overhead = np.zeros(1)
    promised = np.stack([promised_noise(key, overhead)[0] for key in SENSOR_KEYS])
    return np.asarray(IN_ORBIT**2 * promised, dtype=np.float32)


def _tensor(values: Array) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))

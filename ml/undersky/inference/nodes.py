"""The atmosphere of a scene at the nodes, and the fields that remove it.

    scene, mask --> belief (state, sigma) --> coefficients --> InversionFields (band, y, x)
                        |
                        +-- water vapour looked up in the scene itself, where it shows

The correction proper streams these fields over the pixels; see `stages/correct.py`.
"""

import math
from dataclasses import dataclass, replace
from dataclasses import fields as dataclass_fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from undersky.atmosphere.emulator import Emulator
from undersky.atmosphere.inversion import InversionFields, SensorNoise, inversion_fields
from undersky.atmosphere.state import AtmosphereState, Coefficients, Geometry, StateUncertainty
from undersky.atmosphere.state_file import read_state
from undersky.grid import Floats, node_count, resample_nodes
from undersky.inference.air import Air, at_nodes, believed, look
from undersky.inference.ground import GroundOptions, find_ground
from undersky.inference.physics import Belief, believe
from undersky.inference.view import View
from undersky.inference.water_vapour import ABSORPTION, WINDOW, node_medians, retrieve
from undersky.models.build import LearnedModel
from undersky.models.physics import PhysicsModel
from undersky.quality import QualityBits
from undersky.scene import Angles, Bools, Scene

Array = npt.NDArray[np.floating[Any]]

NODE_SPACING_M = 5000.0
"""The spacing of the angle grids and forecasts; the atmosphere's coefficients are smooth at this scale."""
DEM_NODE_SPACING_M = 600.0
"""With a DEM the air's mass varies with the relief, so the nodes stand closer."""

_NOISE = {
    "sentinel-2": SensorNoise(floor=0.0005, shot=2e-6, calibration=0.02),
    "landsat": SensorNoise(floor=0.0003, shot=1e-6, calibration=0.02),
}
"""Noise a little above the specified signal-to-noise ratios; calibration 2 %: the S2 L1C data quality
report states 3 % +- 2 % against ground targets, Landsat 8/9's own is below 3 % (USGS calibration notices)."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known at the nodes once somebody has looked."""

    fields: InversionFields
    """Of the inversion."""
    belief: Belief
    """The state behind them."""
    outside: Bools
    """True where it left the tables, (y, x)."""
    fallback: Bools
    """True where the learned model did not speak, (y, x)."""
    strange: Floats | None = None
    """Its out-of-domain score, (y, x); None where no learned model looked."""


def look_at(
    view: View,
    mask: QualityBits,
    *,
    physics: PhysicsModel,
    learned: LearnedModel | None,
    state: Path | None,
    ground: GroundOptions,
) -> Seen:
    """The atmosphere at the nodes and the fields that remove it.

    Args:
        view: The scene from afar, with its angles and, where the product has them, priors.
        mask: Quality bits over the same footprint, (y, x).
        physics: The baseline.
        learned: The learned model; the baseline alone when None.
        state: A state file to believe instead of either.
        ground: What the user says of the ground.

    Raises:
        ConfigError: The state file or DEM cannot be used.
    """
    scene = view.scene
    spacing = NODE_SPACING_M if ground.dem is None else DEM_NODE_SPACING_M
    nodes = node_count(scene.grid, spacing_m=spacing)
    if state is not None:
        nodes = nodes_holding(read_state(state)[0].aot_550.shape, at_least=nodes)
    bands = tuple(band.name for band in scene.sensor.corrected_bands)
    geometry = node_geometry(scene.angles, bands, nodes)
    if state is not None:
        return _seen(scene, stated(state, nodes), geometry)
    belief = physics_belief(view, mask, nodes, physics=physics, ground=ground)
    baseline = _seen(scene, belief, geometry)
    if learned is None:
        return baseline
    air = _air(view, mask, nodes, physics=physics, learned=learned, ground=ground)
    if air is None:
        return replace(baseline, fallback=np.ones(nodes, dtype=np.bool_))
    air = at_nodes(air, nodes)
    ours = _seen(scene, believed(belief, air), geometry, learned=learned)
    return _either(ours, baseline, air)


def physics_belief(
    view: View, mask: QualityBits, nodes: tuple[int, int], *, physics: PhysicsModel, ground: GroundOptions
) -> Belief:
    """What the baseline believes, water vapour looked up in the scene where it shows."""
    scene = view.scene
    bands = tuple(band.name for band in scene.sensor.corrected_bands)
    geometry = node_geometry(scene.angles, bands, nodes)
    found = find_ground(scene.grid, nodes, options=ground, prior=scene.prior, config=physics.config)
    belief = believe(scene, nodes, model=physics, ground=found)
    relative = physics.config.retrieved_water_vapour_sigma_relative
    return with_retrieved_water(view, belief, mask=mask, geometry=geometry, sigma_relative=relative)


def _air(
    view: View,
    mask: QualityBits,
    nodes: tuple[int, int],
    *,
    physics: PhysicsModel,
    learned: LearnedModel,
    ground: GroundOptions,
) -> Air | None:
    """What the learned model says, at its own nodes: relief wants them closer than aerosol does."""
    coarse = node_count(view.scene.grid, spacing_m=NODE_SPACING_M)
    own = (min(coarse[0], nodes[0]), min(coarse[1], nodes[1]))
    belief = physics_belief(view, mask, own, physics=physics, ground=ground)
    bands = tuple(band.name for band in view.scene.sensor.corrected_bands)
    geometry = node_geometry(view.scene.angles, bands, own)
    return look(view, mask, belief=belief, geometry=geometry, model=learned)


def _seen(
    scene: Scene, belief: Belief, geometry: Geometry[Array], *, learned: LearnedModel | None = None
) -> Seen:
    """The fields that a belief makes.

    The learned model's sigma is what it was found to miss the truth by; the sensor's absolute calibration,
    which no scene can show, is part of the baseline's sigma and not of its own.
    """
    bands = tuple(band.name for band in scene.sensor.corrected_bands)
    emulator, noise = Emulator.load(scene.sensor.key, bands), _NOISE[scene.sensor.constellation]
    if learned is not None:
        noise = replace(noise, calibration=0.0)
    fields = inversion_fields(emulator, belief.state, geometry, sigma=belief.sigma, noise=noise)
    if learned is not None:
        fields = with_residual(fields, learned.residual)
    outside = np.asarray(emulator(belief.state, geometry).outside)
    return Seen(fields, belief, outside, np.zeros(outside.shape, dtype=np.bool_))


def with_residual(fields: InversionFields, share: float) -> InversionFields:
    """The fields with one more error: that share of what the specification allows, 0.05 rho + 0.005."""
    floor, slope = 0.005 * share, 0.05 * share
    return replace(
        fields, q0=fields.q0 + floor**2, q1=fields.q1 + 2.0 * floor * slope, q2=fields.q2 + slope**2
    )


def _either(learned: Seen, baseline: Seen, air: Air) -> Seen:
    """The learned fields, and the baseline's where the model fell back."""

    def chosen(ours: Any, theirs: Any) -> Any:
        return np.where(air.fallback, theirs, ours)

    def merged(ours: Any, theirs: Any) -> Any:
        names = [f.name for f in dataclass_fields(ours) if getattr(theirs, f.name) is not None]
        return replace(ours, **{name: chosen(getattr(ours, name), getattr(theirs, name)) for name in names})

    both = learned.belief
    sources = baseline.belief.sources if air.fallback.all() else both.sources
    belief = Belief(merged(both.state, baseline.belief.state), both.sigma, sources)
    fields = merged(learned.fields, baseline.fields)
    outside = chosen(learned.outside, baseline.outside)
    return Seen(fields, belief, outside, air.fallback, air.strange)


def node_geometry(angles: Angles, bands: tuple[str, ...], nodes: tuple[int, int]) -> Geometry[Array]:
    """Sun and view directions at the nodes, one view per band, in degrees.

    Azimuths are interpolated as directions, so that north (359 to 1 degrees) is no cliff.
    """
    relative = [_relative_azimuth(angles, band, nodes) for band in bands]
    return Geometry(
        sun_zenith=resample_nodes(angles.sun_zenith, nodes),
        view_zenith=np.stack([resample_nodes(angles.view_zenith[band], nodes) for band in bands]),
        relative_azimuth=np.stack(relative),
        per_band=True,
    )


def _relative_azimuth(angles: Angles, band: str, nodes: tuple[int, int]) -> Floats:
    difference = np.radians(angles.relative_azimuth(band))
    sine, cosine = (resample_nodes(part, nodes) for part in (np.sin(difference), np.cos(difference)))
    return np.degrees(np.arctan2(sine, cosine))


def nodes_holding(own: tuple[int, ...], *, at_least: tuple[int, int]) -> tuple[int, int]:
    """The fewest nodes, `at_least` or more, among which all nodes of a coarser or equal field lie."""
    rows, cols = (
        max(1, math.ceil((wanted - 1) / max(1, given - 1))) * max(1, given - 1) + 1
        for given, wanted in zip(own, at_least, strict=True)
    )
    return rows, cols


def stated(path: Path, nodes: tuple[int, int]) -> Belief:
    """The atmosphere of a state file at the nodes.

    Raises:
        ConfigError: The file cannot be used.
    """
    state, sigma = read_state(path)
    fields = ("aot_550", "water_vapour", "ozone_dobson", "pressure_hpa")
    values = {name: resample_nodes(getattr(state, name), nodes) for name in fields}
    sigmas = {name: resample_nodes(getattr(sigma, name), nodes) for name in fields}
    shares, share_sigmas = (
        np.stack([resample_nodes(share, nodes) for share in value.aerosol_fractions])
        for value in (state, sigma)
    )
    return Belief(
        AtmosphereState(**values, aerosol_fractions=shares),
        StateUncertainty(**sigmas, aerosol_fractions=share_sigmas),
        dict.fromkeys(("aerosol", "water_vapour", "ozone", "altitude"), "stated"),
    )


def with_retrieved_water(
    view: View, belief: Belief, *, mask: QualityBits, geometry: Geometry[Array], sigma_relative: float
) -> Belief:
    """The belief with the water vapour that B09 and B8A show, where both see bright clear ground."""
    scene = view.scene
    if not {WINDOW, ABSORPTION} <= set(scene.bands):
        return belief
    shape = (mask.shape[0], mask.shape[1])
    window, absorption = (view.toa(name, shape) for name in (WINDOW, ABSORPTION))
    nodes = geometry.sun_zenith.shape
    pair = Emulator.load(scene.sensor.key, (WINDOW, ABSORPTION))
    views = [band.name for band in scene.sensor.corrected_bands]
    rows = [views.index(WINDOW), views.index(ABSORPTION)]
    angles = replace(
        geometry,
        view_zenith=geometry.view_zenith[rows],
        relative_azimuth=geometry.relative_azimuth[rows],
    )

    def coefficients_at(column: float) -> tuple[Coefficients[Array], Coefficients[Array]]:
        at = pair(replace(belief.state, water_vapour=np.full(nodes, column)), angles)
        return _of_band(at, 0), _of_band(at, 1)

    for snow in (False, True):
        bright, dark = node_medians(window, absorption, mask, (nodes[0], nodes[1]), snow=snow)
        column = retrieve(bright, dark, coefficients_at=coefficients_at)
        if column is not None:
            break
    else:
        return belief
    return Belief(
        replace(belief.state, water_vapour=column),
        replace(belief.sigma, water_vapour=sigma_relative * column),
        belief.sources | {"water_vapour": "retrieved"},
    )


def _of_band(coefficients: Coefficients[Array], row: int) -> Coefficients[Array]:
    return Coefficients(
        coefficients.path[row],
        coefficients.transmittance[row],
        coefficients.spherical_albedo[row],
        coefficients.gas_transmittance[row],
        coefficients.outside,
    )

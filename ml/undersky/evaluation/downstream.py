"""What the maps lose or gain by a new model upstream: simulated ground, seen from above, corrected, mapped.

    landscape, harbour --air of a frozen scene, noise--> Observation --candidate | champion--> reflectance
        --champion of land cover, of vessels--> map --against what is truly there--> Row

Both models upstream meet the same scenes, so what a map model does badly by itself cancels. The ground is of
spectra that no map model was trained on; the air is 6S's own.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from undersky.atmosphere.inversion import apply_atmosphere, remove_with_fields
from undersky.atmosphere.state import Coefficients
from undersky.datasets.design import MAIN
from undersky.datasets.harbours import HarbourSpec, simulate_harbour
from undersky.datasets.landscapes.compose import draw_landscape
from undersky.datasets.landscapes.spectra import BANDS
from undersky.datasets.objects import ObjectScene
from undersky.datasets.observation import Observation, as_scene
from undersky.datasets.suites import PLACE, Array, SuiteScene, load_suite, over_pixels, with_noise
from undersky.errors import ConfigError
from undersky.evaluation.correctors import Corrector, fields_at_pixels
from undersky.evaluation.evidence import Row
from undersky.evaluation.finding import found_in
from undersky.evaluation.maps import Counted, Progress, class_rows, spread
from undersky.evaluation.matching import Found, match
from undersky.grid import Floats
from undersky.inference.correction import CorrectionOptions, open_estimator
from undersky.inference.cover import map_pixels
from undersky.inference.ground import GroundOptions
from undersky.inference.objects import find_objects, require_objects, where_to_look
from undersky.landcover import CODES, NODATA
from undersky.models.package import load_package
from undersky.models.segmentation import Segmenter, build_segmenter
from undersky.quality import QualityBits

SUITE = DIMENSION = "downstream"
DOWNSTREAM = {"correction": ("landcover", "vessels"), "quality": ("landcover", "vessels")}
"""Model to those that work on what it makes."""
SCENES = 12
"""Of each map model: enough for an interval, seconds to correct."""

_AIR = "direct-6s"
_SIDE, _HARBOUR_SIDE = 96, 160
_HARBOUR_SENSOR = "S2A"
_METRES = {"sentinel-2": 10.0}
_LANDSAT_METRES = 30.0
_SEED = 20261128
_STANDS_FOR = {"nir": "nir08", "nir08": "nir"}
"""Bands that serve for each other where a sensor has only one of them."""


@dataclass(frozen=True, slots=True)
class Corrected:
    """What a model upstream makes of one scene."""

    surface: Floats
    """Reflectance, (band, y, x), bands as observed."""
    quality: QualityBits | None = None
    """What its mask says of each pixel, (y, x); None where it has none: then all is mapped."""


Upstream = Callable[[Observation], Corrected]


def by_correction(corrector: Corrector) -> Upstream:
    """A correction as a model upstream: nothing is masked, so that the reflectance alone is tried."""
    return lambda observation: Corrected(corrector.correct(observation).surface)


def by_quality(quality: Path, correction: Path | None) -> Upstream:
    """A quality mask as a model upstream: it says what is mapped, and what the correction looks at.

    Args:
        quality: Folder of its package.
        correction: Folder of the correction's; the shipped one when None.
    """

    def make(observation: Observation) -> Corrected:
        scene, ground = as_scene(observation), GroundOptions(altitude_m=1000.0 * observation.altitude_km)
        estimator = open_estimator(CorrectionOptions(model=correction, ground=ground, quality=quality))
        bits = estimator.mask(scene)
        fields = fields_at_pixels(estimator.estimate(scene, bits).fields, scene, bands=observation.bands)
        surface = np.asarray(remove_with_fields(observation.toa, fields), dtype=np.float32)
        rows, cols = (
            np.arange(size) * coarse // size
            for size, coarse in zip(surface.shape[1:], bits.shape, strict=True)
        )
        return Corrected(surface, bits[np.ix_(rows, cols)])

    return make


def downstream_rows(
    upstream: Upstream,
    champions: Mapping[str, Path],
    *,
    scenes: int | None = None,
    progress: Progress | None = None,
) -> tuple[Row, ...]:
    """The evidence of what each champion makes of the model's output; the same scenes on every call.

    Args:
        upstream: The model that is judged, or the one that it is judged beside.
        champions: Model to folder of its package.
        scenes: Of each; SCENES when None.
        progress: Told the done fraction, 0 .. 1, and the champion's name.

    Raises:
        ConfigError: A model that works on nobody's output, or no scene is left.
        DataError: A package is refused.
    """
    if unknown := champions.keys() - MAPPED.keys():
        raise ConfigError(f"{min(unknown)} works on nobody's output; there are {' '.join(MAPPED)}")
    chosen = spread(SCENES, scenes)
    rows: list[Row] = []
    for name, folder in champions.items():
        for count, row in enumerate(MAPPED[name](upstream, folder, chosen), 1):
            rows.extend(row)
            if progress is not None:
                progress(count / len(chosen), name)
    return tuple(rows)


def _landcover(upstream: Upstream, folder: Path, chosen: tuple[int, ...]) -> Iterator[tuple[Row, ...]]:
    """Pixels mapped right; one that the mask withholds is missed."""
    model = build_segmenter(load_package(folder), "landcover")
    codes = np.array(CODES, dtype=np.uint8)
    for place in chosen:
        air = _air(place)
        ground = draw_landscape("suite", (_SEED, place), size=_SIDE, sensor=air.sensor.key)
        observation = seen_through(air, dict(zip(BANDS, ground.reflectance, strict=True)), seed=place)
        made = upstream(observation)
        quality = np.zeros(ground.cover.shape, dtype=np.uint16) if made.quality is None else made.quality
        found = map_pixels(model, stacked(model, observation, made.surface), quality).codes
        right = float((found == codes[ground.cover]).sum())
        wrong = float((found != NODATA).sum()) - right
        together = Counted(right, wrong, ground.cover.size - right)
        yield _rows(f"landscape-{place:02d}", "landcover", together)


def _vessels(upstream: Upstream, folder: Path, chosen: tuple[int, ...]) -> Iterator[tuple[Row, ...]]:
    """Ships found where they are, each once."""
    model = build_segmenter(load_package(folder), "vessels")
    for place in chosen:
        air = _air(place, sensor=_HARBOUR_SENSOR)
        names = tuple(band.common_name for band in air.sensor.corrected_bands)
        harbour = simulate_harbour(HarbourSpec(_HARBOUR_SIDE), names, seed=(_SEED, place), split="test")
        observation = seen_through(air, dict(zip(names, harbour.values, strict=True)), seed=place)
        made = upstream(observation)
        values = stacked(model, observation, made.surface)
        found = match(_found(model, values, made.quality, harbour=harbour))
        right = float((found.taken >= 0).sum())
        together = Counted(right, len(found.taken) - right, found.truth - right)
        yield _rows(f"harbour-{place:02d}", "vessels", together)


def _found(model: Segmenter, values: Floats, quality: QualityBits | None, *, harbour: ObjectScene) -> Found:
    """Centres of the ships that are found, and of those that are there; on the mask's water where it says."""
    if quality is None:
        return found_in(model, replace(harbour, values=values))
    metres = model.config.pixel_m
    green, nir = (values[model.config.inputs.index(name)] for name in ("green", "nir"))
    allowed = where_to_look(green, nir, quality, settings=require_objects(model), pixel_m=metres)
    seen = find_objects(model, values, allowed)
    centres, truth = (
        metres * np.array([(one.row, one.col) for one in objects], dtype=np.float64).reshape(-1, 2)
        for objects in (seen, harbour.objects)
    )
    return Found(centres, np.array([one.score for one in seen]), truth)


MAPPED: Mapping[str, Callable[[Upstream, Path, tuple[int, ...]], Iterator[tuple[Row, ...]]]] = {
    "landcover": _landcover,
    "vessels": _vessels,
}
"""Map model to how it is tried on another model's output."""


def seen_through(air: SuiteScene, ground: Mapping[str, Floats], *, seed: int) -> Observation:
    """The ground from above, through that air, with one draw of the sensor's noise.

    Args:
        air: Whose coefficients, sun and view.
        ground: Common name to surface reflectance, (y, x); all of NaN where the sensor lacks the band.
        seed: Of the noise.
    """
    sensor, case = air.sensor, air.design.case
    place = {band.name: index for index, band in enumerate(sensor.corrected_bands)}
    known = {
        band.name: values
        for band in sensor.corrected_bands
        if (values := _of(ground, band.common_name)) is not None
    }
    rows = [place[name] for name in known]
    lit = np.clip(np.stack(list(known.values())), 0.0, 1.0)
    clean = Observation(
        id=f"{air.design.id}-{seed}",
        sensor=sensor,
        bands=tuple(known),
        toa=apply_atmosphere(lit, over_pixels(_taken(air.coefficients, rows))).astype(np.float32),
        sun_zenith=case.sun_zenith,
        view_zenith=case.view_zenith,
        relative_azimuth=case.relative_azimuth,
        ozone_dobson=case.ozone_dobson,
        altitude_km=case.altitude_km,
        place=replace(PLACE, pixel_m=_METRES.get(sensor.constellation, _LANDSAT_METRES)),
    )
    return replace(clean, toa=with_noise(clean, generator=np.random.default_rng((_SEED, seed))))


def stacked(model: Segmenter, observation: Observation, surface: Floats) -> Floats:
    """The surface as the model wants it, (band, y, x), NaN where the sensor lacks a band."""
    sensor = observation.sensor
    ground = {
        sensor.band(name).common_name: band for name, band in zip(observation.bands, surface, strict=True)
    }
    nothing = np.full(surface.shape[1:], np.nan, dtype=np.float32)
    found = [_of(ground, name) for name in model.config.inputs]
    return np.stack([nothing if band is None else band for band in found])


def _of(ground: Mapping[str, Floats], name: str) -> Floats | None:
    """The band of that common name, or the one that stands for it; None where there is none."""
    for known in (name, _STANDS_FOR.get(name, name)):
        if known in ground and np.isfinite(ground[known]).any():
            return ground[known]
    return None


def _air(place: int, *, sensor: str | None = None) -> SuiteScene:
    """The air of one of SCENES scenes, evenly spread over those of the frozen suite; of that sensor alone."""
    scenes = [
        scene
        for scene in load_suite(_AIR).scenes
        if scene.design.slice == MAIN and sensor in (None, scene.sensor.key)
    ]
    return scenes[place * len(scenes) // SCENES]


def _taken(coefficients: Coefficients[Array], rows: list[int]) -> Coefficients[Array]:
    return Coefficients(
        path=coefficients.path[rows],
        transmittance=coefficients.transmittance[rows],
        spherical_albedo=coefficients.spherical_albedo[rows],
        gas_transmittance=coefficients.gas_transmittance[rows],
        outside=coefficients.outside,
    )


def _rows(scene: str, model: str, counted: Counted) -> tuple[Row, ...]:
    """The evidence of one scene, of all classes together."""
    found = class_rows(SUITE, scene, counted={model: counted}, slices=((DIMENSION, model),))
    return tuple(row for row in found if row.dimension == DIMENSION)

"""Runs 6S over the space of atmospheres and keeps the answers as data. A run may be killed and resumed.

    python -m undersky.atmosphere.sampling --out DIR --samples 500 --workers 2

Four sets, one file each, one JSON line per run:

    scattering.jsonl   Sobol points per aerosol model, models taken in turn so that any prefix is balanced
    rayleigh.jsonl     the same without aerosol (cheap)
    gas.jsonl          gas transmittance spectra without aerosol (cheap)
    phase.jsonl        the path straight down, sun by sun: the phase function 6S really uses

Scattering does not depend on water vapour and ozone in 6S, so those runs carry no gas but oxygen and its
like, whose absorption is divided out of the path where it is weak.
"""

import argparse
import json
import resource
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from scipy.stats import qmc

from undersky.atmosphere.sixs import MODELS, Array, SixsCase, Spectrum, node_values, run_spectrum

MAX_SUN_ZENITH = 77.0
"""Degrees; a little beyond the 76 that the emulator promises, so that its edge is no edge of the fit."""
MAX_VIEW_ZENITH = 13.5
"""Degrees; promised to 13."""
MAX_AOT = 1.28
"""Promised to 1.25."""
MAX_ALTITUDE_KM = 4.3
"""Promised to 4.2."""
MAX_WATER_VAPOUR = 6.5
"""g/cm2."""
OZONE_RANGE_DOBSON = (150.0, 550.0)
"""Dobson units."""

PHASE_SUN_ZENITHS: Array = np.concatenate(
    [np.arange(31.0), np.arange(32.0, 61.0, 2.0), [64.0, 68.0, 72.0, 76.0]]
)
"""6S cuts its phase functions off at a finite order, which leaves ripples of about four degrees."""
PHASE_AOT = 0.25
"""Thin enough that single scattering rules, thick enough to rise above the rounding."""

Record = dict[str, list[float]] | dict[str, list[int]]
"""What is kept of one answer."""

_CLEAN = 0.9
"""Gas transmittance above which a row may say something of the scattering path."""


@dataclass(frozen=True, slots=True)
class Job:
    """One run of 6S that is wanted."""

    key: str
    """Unique inside its file: `urban/17`."""
    case: SixsCase
    """What to ask 6S."""


def scattering_jobs(samples: int) -> Iterator[Job]:
    """Every model in turn, `samples` Sobol points each, the same points on every call."""
    points = {model: _sobol(5, samples, seed=100 + i) for i, model in enumerate(MODELS)}
    for index in range(samples):
        for model in MODELS:
            yield Job(f"{model}/{index}", _scattering_case(points[model][index], model))


def rayleigh_jobs(samples: int) -> Iterator[Job]:
    """Aerosol-free points over the same geometry."""
    for index, point in enumerate(_sobol(5, samples, seed=7)):
        yield Job(f"none/{index}", _scattering_case(point, "none"))


def gas_jobs(samples: int) -> Iterator[Job]:
    """Points over water vapour, ozone, altitude, sun and view zenith, without aerosol."""
    for index, point in enumerate(_sobol(5, samples, seed=11)):
        water, ozone, altitude, sun, view = point
        low, high = OZONE_RANGE_DOBSON
        case = SixsCase(
            sun_zenith=_sun_zenith(sun),
            view_zenith=MAX_VIEW_ZENITH * float(view),
            relative_azimuth=90.0,
            aot_550=0.0,
            aerosol="none",
            water_vapour=MAX_WATER_VAPOUR * float(water) ** 2,
            ozone_dobson=low + (high - low) * float(ozone),
            altitude_km=MAX_ALTITUDE_KM * _to_edges(altitude),
        )
        yield Job(f"gas/{index}", case)


def phase_jobs() -> Iterator[Job]:
    """Straight down through one thin layer of each model, so that only the scattering angle changes."""
    for model in MODELS:
        for angle in PHASE_SUN_ZENITHS:
            yield Job(f"{model}/{angle:.0f}", SixsCase(float(angle), 0.0, 0.0, PHASE_AOT, model))


def _sobol(dimensions: int, samples: int, *, seed: int) -> Array:
    points: Array = qmc.Sobol(dimensions, scramble=True, seed=seed).random(
        1 << max(samples - 1, 1).bit_length()
    )[:samples]
    return points


def _scattering_case(point: Array, model: str) -> SixsCase:
    aot, sun, view, azimuth, altitude = point
    return SixsCase(
        sun_zenith=_sun_zenith(sun),
        view_zenith=MAX_VIEW_ZENITH * float(view) ** 0.5,
        relative_azimuth=180.0 * float(azimuth),
        aot_550=0.0 if model == "none" else 0.004 + (MAX_AOT - 0.004) * _to_edges(aot) ** 1.5,
        aerosol=model,
        altitude_km=MAX_ALTITUDE_KM * _to_edges(altitude),
    )


def _sun_zenith(uniform: float) -> float:
    lowest = np.cos(np.radians(MAX_SUN_ZENITH))
    return float(np.degrees(np.arccos(lowest + (1.0 - lowest) * _to_edges(uniform))))


def _to_edges(uniform: float) -> float:
    """Half uniform, half arcsine: polynomials err at the edges of their box, so look there more often."""
    return float(0.5 * uniform + 0.25 * (1.0 - np.cos(np.pi * uniform)))


def scattering_record(spectrum: Spectrum) -> dict[str, list[float]]:
    """Path, transmittances and albedo at NODES_UM, gas-free, rounded to what 6S's table can say."""
    clean = spectrum.gas_transmittance > _CLEAN
    everywhere = np.ones_like(clean)
    wavelength = spectrum.wavelength_um
    path = spectrum.path_with_gas / np.maximum(spectrum.gas_transmittance, 1e-4)
    columns = {
        "path": node_values(wavelength, path, usable=clean),
        "down": node_values(wavelength, spectrum.transmittance_down, usable=everywhere),
        "up": node_values(wavelength, spectrum.transmittance_up, usable=everywhere),
        "albedo": node_values(wavelength, spectrum.spherical_albedo, usable=everywhere),
    }
    return {name: [round(float(v), 6) for v in values] for name, values in columns.items()}


def gas_record(spectrum: Spectrum) -> dict[str, list[int]]:
    """The gas transmittance spectrum in ten-thousandths, which is all that 6S prints."""
    return {"gas_e4": [round(float(v) * 1e4) for v in spectrum.gas_transmittance]}


def sample(
    jobs: Iterator[Job],
    out: Path,
    *,
    record: Callable[[Spectrum], Record],
    workers: int,
    ask: Callable[[SixsCase], Spectrum] = run_spectrum,
) -> int:
    """Runs the jobs that `out` does not hold yet and appends one line each; returns how many ran.

    A line torn by a kill is skipped when reading, so the job runs again.

    Args:
        jobs: What is wanted.
        out: JSON lines, appended.
        record: Turns an answer into what is kept.
        workers: Runs at a time.
        ask: 6S, or what stands for it in a test.
    """
    done = {str(row["key"]) for row in read_records(out)}
    wanted = (job for job in jobs if job.key not in done)
    count, cpu_before = 0, _cpu_seconds()
    with ThreadPoolExecutor(workers) as pool, out.open("a", encoding="utf-8") as file:
        pending = {pool.submit(ask, job.case): job for job in islice(wanted, workers)}
        while pending:
            finished, _ = wait(pending, return_when=FIRST_COMPLETED)
            for future in finished:
                job, cpu = pending.pop(future), _cpu_seconds()
                line = {"key": job.key, "cpu_s": round(cpu - cpu_before, 3), "case": asdict(job.case)}
                file.write("\n" + json.dumps(line | record(future.result())))
                file.flush()
                count, cpu_before = count + 1, cpu
                pending |= {pool.submit(ask, following.case): following for following in islice(wanted, 1)}
    return count


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def read_records(path: Path) -> list[dict[str, object]]:
    """The complete lines of a sample file, in file order; nothing if there is no file."""
    records = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return records


def main(arguments: list[str] | None = None) -> None:
    """Samples all sets into a folder, cheap sets first."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=512, help="per aerosol model")
    parser.add_argument("--workers", type=int, default=2)
    chosen = parser.parse_args(arguments)
    chosen.out.mkdir(parents=True, exist_ok=True)
    folder, workers = chosen.out, chosen.workers
    sample(rayleigh_jobs(512), folder / "rayleigh.jsonl", record=scattering_record, workers=workers)
    sample(gas_jobs(1024), folder / "gas.jsonl", record=gas_record, workers=workers)
    sample(phase_jobs(), folder / "phase.jsonl", record=scattering_record, workers=workers)
    sample(
        scattering_jobs(chosen.samples),
        folder / "scattering.jsonl",
        record=scattering_record,
        workers=workers,
    )


if __name__ == "__main__":
    main()

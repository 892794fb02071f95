"""Writes the frozen test set: 6S's own band integrals for states that no fit has seen.

    python -m undersky.atmosphere.heldout --out tests/atmosphere/data/heldout.csv

Every row is one band of one sensor in one random state, run twice: over black ground, which gives the path,
and over a grey one. Sampling runs use Sobol points and spectra; these use another generator and 6S's own
integration over the response function.
"""

import argparse
import csv
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np

from undersky.atmosphere.responses import Response, responses
from undersky.atmosphere.sixs import MODELS, SixsCase, run_band

GROUND = 0.3
"""Reflectance of the grey ground."""

_SENSORS = ("S2A", "S2B", "S2C", "L8", "L9")
_BANDS_PER_CASE = 6


def cases(per_model: int) -> Iterator[tuple[SixsCase, str, Response]]:
    """Random states, each with one sensor and some of its bands; the same on every call."""
    generator = np.random.default_rng(20261122)
    for index in range(per_model * len(MODELS)):
        case = _random_case(generator, MODELS[index % len(MODELS)])
        sensor = _SENSORS[(index // len(MODELS)) % len(_SENSORS)]
        bands = responses(sensor)
        for chosen in sorted(generator.choice(len(bands), _BANDS_PER_CASE, replace=False)):
            yield case, sensor, bands[chosen]


def _random_case(generator: np.random.Generator, model: str) -> SixsCase:
    hazy = generator.random() < 0.5
    aot = generator.uniform(0.005, 1.25) if hazy else np.exp(generator.normal(np.log(0.15), 0.8))
    return SixsCase(
        sun_zenith=float(np.degrees(np.arccos(generator.uniform(np.cos(np.radians(76.0)), 1.0)))),
        view_zenith=float(generator.uniform(0.0, 13.0)),
        relative_azimuth=float(generator.uniform(0.0, 180.0)),
        aot_550=float(np.clip(aot, 0.005, 1.25)),
        aerosol=model,
        water_vapour=float(generator.uniform(0.2, 6.0)),
        ozone_dobson=float(generator.uniform(200.0, 500.0)),
        altitude_km=float(generator.uniform(0.0, 4.2)),
    )


def _row(case: SixsCase, sensor: str, response: Response) -> dict[str, object]:
    first_um = response.first_nm / 1000.0
    black = run_band(case, response.values, first_um=first_um, ground=0.0)
    grey = run_band(case, response.values, first_um=first_um, ground=GROUND)
    return {
        "sensor": sensor,
        "band": response.band,
        **{name: round(v, 5) if isinstance(v, float) else v for name, v in asdict(case).items() if v != ()},
        "toa_black": black.apparent_reflectance,
        "toa_grey": grey.apparent_reflectance,
        "gas_transmittance": grey.gas_transmittance,
        "transmittance": grey.transmittance,
        "spherical_albedo": grey.spherical_albedo,
        "scattering_path": grey.scattering_path,
    }


def main(arguments: list[str] | None = None) -> None:
    """Runs all cases and writes one table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--per-model", type=int, default=30)
    parser.add_argument("--workers", type=int, default=2)
    chosen = parser.parse_args(arguments)
    with (
        ThreadPoolExecutor(chosen.workers) as pool,
        chosen.out.open("w", encoding="utf-8", newline="") as file,
    ):
        rows = pool.map(lambda job: _row(*job), cases(chosen.per_model))
        first = next(rows)
        writer = csv.DictWriter(file, list(first), lineterminator="\n")
        writer.writeheader()
        writer.writerow(first)
        for row in rows:
            writer.writerow(row)
            file.flush()


if __name__ == "__main__":
    main()

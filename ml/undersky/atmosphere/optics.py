"""Asks 6S what its aerosol models are: extinction, absorption and phase function in the back half.

    python -m undersky.atmosphere.optics --out DIR

The phase function is asked for at the scattering angles that a satellite near nadir sees (88 to 180
degrees). The emulator divides the path by single scattering made of these, which leaves it smooth.
"""

import argparse
import json
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import numpy as np

from undersky.atmosphere.sixs import MODELS, NODES_UM, AerosolOptics, Array, SixsCase, run_optics

OPTICS_UM: Array = np.array(
    [0.412, 0.443, 0.470, 0.488, 0.515, 0.550, 0.590, 0.670, 0.860, 1.240, 1.650, 2.250]
)
"""A subset of NODES_UM; between them optics are interpolated in log-log, as 6S does."""

SCATTERING_ANGLES: Array = 180.0 - 46.0 * (1.0 - np.cos(np.pi * np.arange(24) / 23.0))
"""Degrees, 180 down to 88, closer together towards both ends."""

_OPTICAL_DEPTH = 0.2
_AIR = SixsCase(30.0, 0.0, 0.0, 0.0, "none")


def ask(model: str, wavelength_um: float, scattering_angle: float) -> AerosolOptics:
    """One short run of 6S looking straight down, where sun zenith = 180 - scattering angle."""
    case = SixsCase(180.0 - scattering_angle, 0.0, 0.0, _OPTICAL_DEPTH, model)
    return run_optics(case, wavelength_um)


def collect(workers: int) -> dict[str, object]:
    """Extinction relative to 550 nm and albedo (model, wavelength), phase (.., angle), air (node,)."""
    wanted = list(product(MODELS, OPTICS_UM, SCATTERING_ANGLES))
    with ThreadPoolExecutor(workers) as pool:
        answers = list(pool.map(lambda job: ask(*job), wanted))
    shape = (len(MODELS), len(OPTICS_UM), len(SCATTERING_ANGLES))
    depth = np.array([a.optical_depth for a in answers]).reshape(shape).mean(-1)
    albedo = np.array([a.single_scattering_albedo for a in answers]).reshape(shape).mean(-1)
    phase = np.array([a.phase_function for a in answers]).reshape(shape)
    return {
        "extinction": (depth / _OPTICAL_DEPTH).tolist(),
        "single_scattering_albedo": albedo.tolist(),
        "phase_function": phase.tolist(),
        "rayleigh_depth": [run_optics(_AIR, wavelength).rayleigh_depth for wavelength in NODES_UM],
    }


def main(arguments: list[str] | None = None) -> None:
    """Writes optics.json into a folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=2)
    chosen = parser.parse_args(arguments)
    chosen.out.mkdir(parents=True, exist_ok=True)
    (chosen.out / "optics.json").write_text(json.dumps(collect(chosen.workers)), encoding="utf-8")


if __name__ == "__main__":
    main()

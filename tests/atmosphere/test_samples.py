import json
from pathlib import Path

import numpy as np
import pytest

from undersky.atmosphere.optics import OPTICS_UM, SCATTERING_ANGLES
from undersky.atmosphere.samples import load_samples, pack
from undersky.atmosphere.sampling import gas_jobs, phase_jobs, rayleigh_jobs, scattering_jobs
from undersky.atmosphere.sixs import MODELS, NODES_UM
from undersky.errors import ConfigError


def record(job, value: float) -> dict:
    columns = {name: [value] * len(NODES_UM) for name in ("path", "down", "up", "albedo")}
    case = {name: getattr(job.case, name) for name in job.case.__slots__ if name != "components"}
    return {"key": job.key, "case": case, **columns}


def folder_of(path: Path, *, broken: int = 0, phase: bool = True) -> Path:
    lines = [
        json.dumps(record(job, float("nan") if i < broken else 0.2))
        for i, job in enumerate(scattering_jobs(2))
    ]
    (path / "scattering.jsonl").write_text("\n".join(lines))
    (path / "rayleigh.jsonl").write_text("\n".join(json.dumps(record(job, 0.1)) for job in rayleigh_jobs(3)))
    gases = [record(job, 0.0) | {"gas_e4": [9000] * 796} for job in gas_jobs(4)]
    (path / "gas.jsonl").write_text("\n".join(json.dumps(gas) for gas in gases))
    if phase:
        (path / "phase.jsonl").write_text("\n".join(json.dumps(record(job, 0.05)) for job in phase_jobs()))
    shape = (len(MODELS), len(OPTICS_UM))
    optics = {
        "extinction": np.ones(shape).tolist(),
        "single_scattering_albedo": np.ones(shape).tolist(),
        "phase_function": np.ones((*shape, len(SCATTERING_ANGLES))).tolist(),
        "rayleigh_depth": [0.1] * len(NODES_UM),
    }
    (path / "optics.json").write_text(json.dumps(optics))
    return path


def packed(folder: Path) -> dict[str, np.ndarray]:
    pack(folder, folder / "samples.npz")
    with np.load(folder / "samples.npz") as stored:
        return {name: stored[name] for name in stored.files}


def test_packing_keeps_inputs_and_answers(tmp_path: Path) -> None:
    arrays = packed(folder_of(tmp_path))
    assert arrays["path"].shape == (13, len(NODES_UM))
    assert arrays["model"].tolist() == [-1, -1, -1, 0, 1, 2, 3, 4, 0, 1, 2, 3, 4]
    assert arrays["path"][-1, 0] * 2e-5 == pytest.approx(0.2)
    assert arrays["gas_transmittance"].shape == (4, 796)
    first = next(scattering_jobs(2)).case
    assert arrays["sun_zenith"][3] == pytest.approx(first.sun_zenith, rel=1e-6)


def test_answers_with_nan_are_left_out(tmp_path: Path) -> None:
    assert packed(folder_of(tmp_path, broken=3))["path"].shape == (10, len(NODES_UM))


@pytest.mark.faults
def test_an_unfinished_phase_set_is_refused_with_the_cure(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="resume the sampling"):
        packed(folder_of(tmp_path, phase=False))


@pytest.mark.oracle
def test_shipped_samples_lie_where_physics_allows() -> None:
    scattering, gases, optics = load_samples()
    assert scattering.path.min() >= 0.0
    assert scattering.path.max() < 1.0
    assert scattering.down.max() <= 1.0001
    assert gases.transmittance.min() >= 0.0
    assert gases.transmittance.max() <= 1.0
    assert optics.extinction[:, list(OPTICS_UM).index(0.550)] == pytest.approx(1.0, abs=1e-3)
    assert (optics.single_scattering_albedo <= 1.0).all()


@pytest.mark.oracle
def test_urban_aerosol_absorbs_most() -> None:
    _, _, optics = load_samples()
    green = optics.single_scattering_albedo[:, list(OPTICS_UM).index(0.550)]
    assert MODELS[int(green.argmin())] == "urban"
    assert green.min() < 0.75

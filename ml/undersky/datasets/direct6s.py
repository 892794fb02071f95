"""Builds the frozen suites: 6S's own coefficients of every band of every scene, kept as data.

    python -m undersky.datasets.direct6s --suite direct-6s --workers 2

Each coefficient is one run of 6S over the band's full response function, some 4 CPU-seconds a scene. A run
may be killed and started again: finished scenes lie in `--work`, a JSON line each. Evaluating never runs 6S.
"""

import argparse
import hashlib
import json
import resource
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict
from itertools import islice
from pathlib import Path

from undersky.atmosphere.responses import responses
from undersky.atmosphere.sampling import read_records
from undersky.atmosphere.sixs import BandRun, SixsCase, binary, run_band
from undersky.bands import SENSORS
from undersky.datasets.design import SUITES, SceneDesign, design
from undersky.datasets.ground import draw_materials
from undersky.datasets.suites import DATA, GROUND


def atmosphere_key(scene: SceneDesign) -> str:
    """One name for all scenes that share sensor, state and geometry."""
    text = json.dumps([scene.sensor, asdict(scene.case)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def run_bands(sensor: str, case: SixsCase) -> dict[str, list[float]]:
    """Gas-free path, transmittance, albedo, gas transmittance and apparent reflectance of each band."""
    wanted = {band.name for band in SENSORS[sensor].corrected_bands}
    rows = {}
    for response in responses(sensor):
        if response.band in wanted:
            first_um = response.first_nm / 1000.0
            rows[response.band] = _row(run_band(case, response.values, first_um=first_um, ground=GROUND))
    return rows


def _row(run: BandRun) -> list[float]:
    return [
        run.scattering_path,
        run.transmittance,
        run.spherical_albedo,
        run.gas_transmittance,
        run.apparent_reflectance,
    ]


def run_missing(scenes: tuple[SceneDesign, ...], work: Path, *, workers: int) -> int:
    """Runs every atmosphere that `work` does not hold yet; returns how many ran.

    A line torn by a kill is skipped when reading, so its atmosphere runs again.
    """
    done = {str(record["key"]) for record in read_records(work)}
    wanted = {atmosphere_key(scene): scene for scene in scenes}
    jobs = iter([(key, scene) for key, scene in wanted.items() if key not in done])
    count, cpu_before = 0, _cpu_seconds()
    with ThreadPoolExecutor(workers) as pool, work.open("a", encoding="utf-8") as file:
        pending = dict(_submit(pool, jobs, count=workers))
        while pending:
            for future in wait(pending, return_when=FIRST_COMPLETED).done:
                key, cpu = pending.pop(future), _cpu_seconds()
                line = {"key": key, "cpu_s": round(cpu - cpu_before, 3), "bands": future.result()}
                file.write("\n" + json.dumps(line))
                file.flush()
                count, cpu_before = count + 1, cpu
                pending |= dict(_submit(pool, jobs, count=1))
    return count


def _submit(
    pool: ThreadPoolExecutor, jobs: Iterator[tuple[str, SceneDesign]], *, count: int
) -> Iterator[tuple[Future[dict[str, list[float]]], str]]:
    for key, scene in islice(jobs, count):
        yield pool.submit(run_bands, scene.sensor, scene.case), key


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def suite_document(suite: str, records: list[dict[str, object]]) -> dict[str, object]:
    """What is committed: provenance, then every scene with its coefficients.

    Args:
        suite: Name.
        records: Lines of the work file; all atmospheres of the suite are among them.
    """
    runs = {str(record["key"]): record for record in records}
    scenes = design(suite)
    used = {atmosphere_key(scene) for scene in scenes}
    return {
        "suite": suite,
        "provenance": {
            "code": "6SV1.1, one run per band over the full response function",
            "binary_sha256": hashlib.sha256(binary().read_bytes()).hexdigest(),
            "responses": "undersky/atmosphere/data/responses",
            "command": f"python -m undersky.datasets.direct6s --suite {suite}",
            "ground": GROUND,
            "cpu_seconds": round(sum(float(str(runs[key]["cpu_s"])) for key in used), 1),
            "runs": sum(len(_bands(runs[key])) for key in used),
        },
        "columns": ["scattering_path", "transmittance", "spherical_albedo", "gas_transmittance", "apparent"],
        "scenes": [_scene_record(scene, runs[atmosphere_key(scene)]) for scene in scenes],
    }


def _scene_record(scene: SceneDesign, run: dict[str, object]) -> dict[str, object]:
    materials = draw_materials(scene.sensor, scene.surface, seed=scene.seed)
    return asdict(scene) | {"materials": asdict(materials), "bands": run["bands"]}


def _bands(record: dict[str, object]) -> dict[str, object]:
    bands = record["bands"]
    return bands if isinstance(bands, dict) else {}


def write_suite(document: dict[str, object], path: Path) -> None:
    """One line per scene: small, and a change shows as a line."""
    scenes = document["scenes"]
    lines = [json.dumps(scene) for scene in scenes] if isinstance(scenes, list) else []
    head = json.dumps({key: value for key, value in document.items() if key != "scenes"}, indent=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(head[:-2] + ',\n "scenes": [\n' + ",\n".join(lines) + "\n]}\n", encoding="utf-8")


def main(arguments: list[str] | None = None) -> None:
    """Runs what is missing of one suite, then writes it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--suite", choices=SUITES, required=True)
    parser.add_argument(
        "--work", type=Path, default=Path("build/direct6s"), help="finished runs, for resuming"
    )
    parser.add_argument("--out", type=Path, default=DATA, help="folder of the suite's file")
    parser.add_argument("--workers", type=int, default=2)
    chosen = parser.parse_args(arguments)
    chosen.work.mkdir(parents=True, exist_ok=True)
    work = chosen.work / f"{chosen.suite}.jsonl"
    run_missing(design(chosen.suite), work, workers=chosen.workers)
    write_suite(suite_document(chosen.suite, read_records(work)), chosen.out / f"{chosen.suite}.json")


if __name__ == "__main__":
    main()

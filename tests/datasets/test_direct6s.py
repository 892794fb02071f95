"""Building a suite: one run of 6S per band, resumable, written as data that reads back."""

import json
from dataclasses import replace

import numpy as np
import pytest

from undersky.atmosphere.responses import responses
from undersky.atmosphere.sampling import read_records
from undersky.atmosphere.sixs import SixsCase, binary, run_band
from undersky.bands import SENSORS
from undersky.datasets.design import SceneDesign, design
from undersky.datasets.direct6s import (
    atmosphere_key,
    run_bands,
    run_missing,
    suite_document,
    write_suite,
)
from undersky.datasets.suites import load_suite, render
from undersky.errors import ConfigError

CLEAR = SixsCase(40.0, 5.0, 60.0, 0.0, "none", water_vapour=2.0, ozone_dobson=300.0, altitude_km=0.5)


@pytest.fixture(scope="module")
def sixs():
    try:
        found = binary()
        run_bands("L8", CLEAR)
    except ConfigError as error:
        pytest.skip(f"no 6S here: {error}")
    return found


def _scene(index=0, **changes) -> SceneDesign:
    return replace(SceneDesign(f"main-{index:03d}", "main", "L8", CLEAR, "land", index), **changes)


def _records(scenes, *, cpu_s=1.0):
    """Work-file lines as 6S would have left them, all coefficients made up."""
    for scene in scenes:
        bands = {
            band.name: [0.05, 0.8, 0.1, 0.9, 0.9 * (0.05 + 0.8 * 0.2 / 0.98)]
            for band in SENSORS[scene.sensor].corrected_bands
        }
        yield {"key": atmosphere_key(scene), "cpu_s": cpu_s, "bands": bands}


def test_scenes_of_one_atmosphere_and_sensor_share_their_runs():
    assert atmosphere_key(_scene(0)) == atmosphere_key(_scene(1, surface="snow", slice="snow"))


@pytest.mark.parametrize("change", [{"sensor": "L9"}, {"case": replace(CLEAR, altitude_km=0.6)}])
def test_another_sensor_or_state_is_another_run(change):
    assert atmosphere_key(_scene()) != atmosphere_key(_scene(**change))


def test_the_stress_suite_runs_no_atmosphere_twice():
    scenes = design("direct-6s-stress")
    assert len({atmosphere_key(scene) for scene in scenes}) == 220
    assert len(scenes) == 260


@pytest.mark.oracle
@pytest.mark.usefixtures("sixs")
def test_a_scene_gets_6s_answer_for_every_corrected_band():
    rows = run_bands("S2A", CLEAR)
    assert list(rows) == [band.name for band in SENSORS["S2A"].corrected_bands]
    path, transmittance, albedo, gas, apparent = np.array(list(rows.values())).T
    assert (np.diff(path[[0, 1, 2, 3]]) < 0).all(), "Rayleigh falls with wavelength"
    formula = gas * (path + transmittance * 0.2 / (1 - 0.2 * albedo))
    clean = [name not in ("B05", "B06", "B08", "B09") for name in rows]
    assert np.abs(formula - apparent)[clean].max() < 0.001


@pytest.mark.oracle
@pytest.mark.usefixtures("sixs")
def test_the_derived_path_gives_6s_answer_over_other_grounds(tmp_path):
    write_suite(_document([_scene()], [_record(_scene())]), tmp_path / "direct-6s.json")
    known = load_suite("direct-6s", tmp_path).scenes[0].coefficients
    for index, band in enumerate(SENSORS["L8"].corrected_bands):
        response = next(found for found in responses("L8") if found.band == band.name)
        for ground in (0.0, 0.6):
            direct = run_band(CLEAR, response.values, first_um=response.first_nm / 1000, ground=ground)
            lit = known.transmittance[index] * ground / (1 - known.spherical_albedo[index] * ground)
            formula = known.gas_transmittance[index] * (known.path[index] + lit)
            assert formula == pytest.approx(direct.apparent_reflectance, abs=2e-4)


def _record(scene):
    return {"key": atmosphere_key(scene), "cpu_s": 1.0, "bands": run_bands(scene.sensor, scene.case)}


def _document(scenes, records):
    """A document of made-up scenes, in the shape that `suite_document` gives the real ones."""
    runs = {record["key"]: record for record in records}
    template = suite_document("direct-6s", list(_records(design("direct-6s"))))
    first = template["scenes"][3]
    rows = [
        first
        | {"id": scene.id, "slice": scene.slice, "sensor": scene.sensor, "seed": scene.seed}
        | {"case": _case_record(scene.case), "bands": runs[atmosphere_key(scene)]["bands"]}
        for scene in scenes
    ]
    return template | {"scenes": rows}


def _case_record(case):
    return {name: getattr(case, name) for name in SixsCase.__dataclass_fields__}


@pytest.mark.oracle
@pytest.mark.usefixtures("sixs")
def test_a_second_start_runs_nothing_again(tmp_path):
    scenes = (_scene(0), _scene(1, case=replace(CLEAR, sun_zenith=50.0)), _scene(2))
    work = tmp_path / "work.jsonl"
    assert run_missing(scenes, work, workers=2) == 2
    assert run_missing(scenes, work, workers=2) == 0
    assert {str(row["key"]) for row in read_records(work)} == {atmosphere_key(s) for s in scenes}


@pytest.mark.faults
@pytest.mark.usefixtures("sixs")
def test_a_line_torn_by_a_kill_is_run_again(tmp_path):
    scenes = (_scene(0), _scene(1, case=replace(CLEAR, sun_zenith=50.0)))
    work = tmp_path / "work.jsonl"
    run_missing(scenes, work, workers=1)
    whole = work.read_text(encoding="utf-8")
    work.write_text(whole[:-40], encoding="utf-8")
    assert run_missing(scenes, work, workers=1) == 1
    finished = {str(row["key"]): row["bands"] for row in read_records(work)}
    assert finished == {str(row["key"]): row["bands"] for row in map(json.loads, whole.strip().splitlines())}


def test_a_document_counts_each_run_once():
    scenes = design("direct-6s-stress")
    unique = {record["key"]: record for record in _records(scenes, cpu_s=2.0)}
    provenance = suite_document("direct-6s-stress", list(unique.values()))["provenance"]
    assert provenance["cpu_seconds"] == 2.0 * 220
    assert provenance["runs"] == sum(len(record["bands"]) for record in unique.values())


def test_a_written_suite_reads_back(tmp_path):
    document = suite_document("direct-6s", list(_records(design("direct-6s"))))
    write_suite(document, tmp_path / "deep" / "direct-6s.json")
    suite = load_suite("direct-6s", tmp_path / "deep")
    assert tuple(scene.design for scene in suite.scenes) == design("direct-6s")
    known = suite.scenes[0].coefficients
    assert known.path == pytest.approx(np.full(12, 0.05))
    assert known.gas_transmittance == pytest.approx(np.full(12, 0.9))
    observation, truth = render(suite.scenes[0])
    assert observation.toa.shape == truth.surface.shape


def test_a_written_suite_has_one_line_per_scene(tmp_path):
    document = suite_document("direct-6s", list(_records(design("direct-6s"))))
    write_suite(document, tmp_path / "direct-6s.json")
    lines = (tmp_path / "direct-6s.json").read_text(encoding="utf-8").splitlines()
    assert sum(line.startswith('{"id"') for line in lines) == len(design("direct-6s"))

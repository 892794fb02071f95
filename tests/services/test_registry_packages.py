"""What is refused in a listing and in an MLmodel; no server is asked."""

import json

import pytest
import yaml

from undersky.errors import ConfigError, DataError, Reason
from undersky.models.package import shipped
from undersky.services.registry.packages import (
    Origin,
    check_names,
    check_paths,
    mlmodel,
    origin,
    refuse_loaders,
    refuse_strangers,
)

OURS = {"package/package.json": 900, "package/weights.safetensors": 1 << 20, "verdict.json": 800}


def test_a_listing_of_ours_is_let_through():
    refuse_strangers("it", OURS)
    refuse_strangers("it", OURS | {"MLmodel": 1, "README.md": 1, "report.html": 1, "judgement.json": None})


@pytest.mark.parametrize(
    "name",
    ["package/model.py", "package/sub/weights.safetensors", "package/weights.safetensors.bak", "model.pkl",
     "deep/er/WEIGHTS.PT", "data/model.pickle", "a.pth", "pytorch_model.bin", "x.joblib", "x.npy", "x.dill"],
)  # fmt: skip
def test_a_file_that_could_execute_or_hide_is_refused_by_its_name(name):
    with pytest.raises(DataError, match="is refused") as caught:
        refuse_strangers("version 1 of correction", OURS | {name: 10})
    assert caught.value.reason is Reason.MODEL_REFUSED
    assert name in str(caught.value)


@pytest.mark.parametrize(
    ("name", "size"),
    [("package/package.json", (1 << 20) + 1), ("package/weights.safetensors", (2 << 30) + 1)],
)
def test_a_file_beyond_all_bounds_is_refused_before_it_is_fetched(name, size):
    refuse_strangers("it", OURS | {name: size - 1})
    with pytest.raises(DataError, match=f"{size} bytes"):
        refuse_strangers("it", OURS | {name: size})


@pytest.mark.parametrize("name", ["package/package.json", "package/weights.safetensors"])
def test_a_model_without_its_package_is_refused(name):
    with pytest.raises(DataError, match=f"it has no {name}"):
        refuse_strangers("it", {path: size for path, size in OURS.items() if path != name})


@pytest.mark.parametrize(
    "text",
    [
        "flavors: {python_function: {loader_module: mlflow.sklearn}}",
        "flavors: {pytorch: {}}",
        "flavors: {}\nmetadata: {deep: [{loader_module: os}]}",
        'flavors: {}\nmetadata: {"loader\\u005fmodule": os}',
        "flavors: {}\n# loader_module",
        "- flavors",
        "flavors: {}\nflavors: {pytorch: {}}",
        "a: &a [1]\nb: [*a, *a]",
        "{",
        "\x00",
    ],
)
def test_an_mlmodel_that_names_what_to_load_is_refused(text):
    with pytest.raises(DataError, match="MLmodel") as caught:
        refuse_loaders("it", "MLmodel", text.encode())
    assert caught.value.reason is Reason.MODEL_REFUSED


def test_what_is_no_text_is_no_mlmodel():
    with pytest.raises(DataError, match="no YAML"):
        refuse_loaders("it", "MLmodel", b"\xff\xfe")


def test_our_mlmodel_says_shapes_and_origin_and_is_let_through():
    made = Origin(dataset="d" * 64, recipe="sigma", bands=4)
    text = mlmodel(made, package="ab" * 32, code_version="0.1.0", model_id="m-1", run_id="r-1")
    refuse_loaders("it", "MLmodel", text.encode())
    page = yaml.safe_load(text)
    assert page["metadata"] == {
        "package_digest": "ab" * 32, "dataset_digest": "d" * 64, "recipe": "sigma", "code_version": "0.1.0",
    }  # fmt: skip
    assert json.loads(page["signature"]["inputs"])[0]["tensor-spec"]["shape"] == [-1, 4, -1, -1]


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore:.*type hint:UserWarning")  # MLflow warns of its own
def test_mlflow_itself_reads_the_signature_and_finds_nothing_to_load(tmp_path):
    from mlflow.exceptions import MlflowException
    from mlflow.models import Model
    from mlflow.pyfunc import load_model

    text = mlmodel(Origin(), package="ab" * 32, code_version="0", model_id="m-1", run_id=None)
    (tmp_path / "MLmodel").write_text(text)
    known = Model.load(tmp_path / "MLmodel")
    assert known.flavors == {}
    assert known.signature.inputs.inputs[0].shape == (-1, -1, -1, -1)
    assert str(known.signature.outputs.inputs[0].type) == "float32"
    with pytest.raises(MlflowException, match="flavor"):
        load_model(str(tmp_path))


def test_a_package_says_where_it_comes_from_or_nothing(tmp_path):
    learned = json.loads((shipped("learned") / "package.json").read_bytes())["provenance"]
    assert origin(shipped("learned")) == Origin(learned["dataset_digest"], learned["recipe"]["name"], -1)
    assert origin(shipped("physics")) == Origin()
    (tmp_path / "package.json").write_text(
        '{"config": {"bands": ["b02", "b03"]}, "provenance": {"recipe": 3}}'
    )
    assert origin(tmp_path) == Origin(bands=2)


@pytest.mark.parametrize("text", ["[]", "{", ""])
def test_a_package_that_is_no_object_is_refused(text, tmp_path):
    (tmp_path / "package.json").write_text(text)
    with pytest.raises(DataError, match=r"package\.json"):
        origin(tmp_path)


@pytest.mark.parametrize(
    "name",
    ["verdict.json", "MLmodel", "sub/mlmodel", "package/more.json", "../up.md", "/abs.md", "", "a.pkl"],
)
def test_a_file_that_download_would_refuse_is_not_written(name):
    with pytest.raises(ConfigError, match=r"another name|no path|execute"):
        check_names([name])


def test_a_report_may_lie_beside_a_run_and_more_files_beside_a_model():
    check_paths(["report.md", "slices/towns.json"])
    check_names(["report.html", "figures/maps.png"])

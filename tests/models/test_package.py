import json
import pickle

import numpy as np
import pytest
from safetensors.numpy import save

from undersky.errors import DataError, Reason
from undersky.models.package import (
    PACKAGE_FILE,
    WEIGHTS_FILE,
    ModelPackage,
    load_package,
    save_package,
    shipped,
)


@pytest.fixture
def package(tmp_path):
    weights = {"a": np.arange(6, dtype=np.float32).reshape(2, 3)}
    made = ModelPackage("correction", "t-1", "physics", {"x": 1.5}, {"made_by": "a test"}, weights, "")
    return save_package(made, tmp_path / "package")


def folder_of(tmp_path):
    return tmp_path / "package"


def test_a_saved_package_loads_as_it_was(package, tmp_path):
    loaded = load_package(folder_of(tmp_path))
    assert (loaded.name, loaded.version, loaded.architecture) == ("correction", "t-1", "physics")
    assert loaded.config == {"x": 1.5}
    np.testing.assert_array_equal(loaded.weights["a"], package.weights["a"])


def test_the_digest_is_the_sha256_of_the_header_which_holds_that_of_the_weights(package, tmp_path):
    import hashlib

    header = (folder_of(tmp_path) / PACKAGE_FILE).read_bytes()
    assert package.digest == hashlib.sha256(header).hexdigest()
    blob = (folder_of(tmp_path) / WEIGHTS_FILE).read_bytes()
    assert json.loads(header)["weights_sha256"] == hashlib.sha256(blob).hexdigest()


def test_saving_the_same_package_again_gives_the_same_bytes(package, tmp_path):
    again = save_package(package, tmp_path / "again")
    assert again.digest == package.digest


def test_one_changed_weight_changes_the_digest(package, tmp_path):
    import dataclasses

    other = dataclasses.replace(package, weights={"a": package.weights["a"] + 1})
    assert save_package(other, tmp_path / "other").digest != package.digest


def refused(folder):
    with pytest.raises(DataError) as caught:
        load_package(folder)
    assert caught.value.reason is Reason.MODEL_REFUSED
    return str(caught.value)


@pytest.mark.faults
def test_swapped_weights_are_refused(package, tmp_path):
    (folder_of(tmp_path) / WEIGHTS_FILE).write_bytes(save({"a": np.zeros((2, 3), np.float32)}))
    assert "sha256" in refused(folder_of(tmp_path))


@pytest.mark.faults
def test_truncated_weights_are_refused(package, tmp_path):
    path = folder_of(tmp_path) / WEIGHTS_FILE
    path.write_bytes(path.read_bytes()[:-4])
    refused(folder_of(tmp_path))


class Bomb:
    def __reduce__(self):
        return (exec, ("raise SystemExit('executed')",))


@pytest.mark.faults
def test_a_pickle_is_refused_and_not_executed(package, tmp_path):
    import hashlib

    folder = folder_of(tmp_path)
    blob = pickle.dumps(Bomb())
    (folder / WEIGHTS_FILE).write_bytes(blob)
    header = json.loads((folder / PACKAGE_FILE).read_text())
    header["weights_sha256"] = hashlib.sha256(blob).hexdigest()
    (folder / PACKAGE_FILE).write_text(json.dumps(header))
    assert "no safetensors" in refused(folder)


@pytest.mark.faults
@pytest.mark.parametrize("name", [PACKAGE_FILE, WEIGHTS_FILE])
def test_a_missing_file_is_refused_by_name(package, tmp_path, name):
    (folder_of(tmp_path) / name).unlink()
    assert name in refused(folder_of(tmp_path))


@pytest.mark.faults
@pytest.mark.parametrize("text", ["", "[]", "{}", '{"name": "x"}', "nonsense", "[" * 2000])
def test_a_malformed_header_is_refused(package, tmp_path, text):
    (folder_of(tmp_path) / PACKAGE_FILE).write_text(text)
    refused(folder_of(tmp_path))


@pytest.mark.faults
def test_an_enormous_header_is_refused(package, tmp_path):
    (folder_of(tmp_path) / PACKAGE_FILE).write_text(" " * (2 << 20))
    assert "more than any configuration" in refused(folder_of(tmp_path))


def test_the_shipped_baseline_is_a_package():
    assert load_package(shipped("physics")).version == "physics-1"

import hashlib
import json
import pickle
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from looks import SMALL
from safetensors.numpy import save

from undersky.bands import SENSORS
from undersky.errors import DataError, Reason
from undersky.models.build import LearnedModel, build_network
from undersky.models.correction import CorrectionNetwork
from undersky.models.package import (
    LEARNED,
    PACKAGE_FILE,
    WEIGHTS_FILE,
    ModelPackage,
    load_package,
    save_package,
)


def package_of(seed: int = 1) -> ModelPackage:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = CorrectionNetwork(SMALL)
    weights = {f"network.{name}": value.numpy() for name, value in network.state_dict().items()}
    weights["domain.centre"] = np.linspace(-1.0, 1.0, 6, dtype=np.float32)
    weights["domain.inverse"] = np.eye(6, dtype=np.float32)
    weights["noise"] = np.full((len(SENSORS), 7, 2), 1e-6, np.float32)
    config = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(SMALL).items()}
    config |= {"inflation": 1.5, "residual": 0.1, "domain_threshold": 4.0}
    return ModelPackage("correction", "learned-test", LEARNED, config, {"seed": seed}, weights, "")


@pytest.fixture
def package() -> ModelPackage:
    return package_of()


@pytest.fixture
def folder(package, tmp_path):
    save_package(package, tmp_path / "package")
    return tmp_path / "package"


def refused(build) -> str:
    with pytest.raises(DataError) as caught:
        build()
    assert caught.value.reason is Reason.MODEL_REFUSED
    return str(caught.value)


def test_a_good_package_comes_back_as_the_network_it_was_made_of(package, folder) -> None:
    found = build_network(load_package(folder))
    for name, value in found.network.state_dict().items():
        assert np.array_equal(value.numpy(), package.weights[f"network.{name}"]), name
    assert not found.network.training
    assert (found.inflation, found.residual, found.threshold) == (1.5, 0.1, 4.0)
    assert found.network.config == SMALL
    assert np.array_equal(found.centre.numpy(), package.weights["domain.centre"])


def test_half_precision_weights_are_welcome(package) -> None:
    half = {name: value.astype(np.float16) for name, value in package.weights.items()}
    found = build_network(replace(package, weights=half))
    assert {value.dtype for value in found.network.state_dict().values()} == {torch.float32}


# Two files, nothing that executes


def sign(folder, blob: bytes) -> None:
    """The weights are those bytes, and the header agrees."""
    (folder / WEIGHTS_FILE).write_bytes(blob)
    header = json.loads((folder / PACKAGE_FILE).read_text())
    header["weights_sha256"] = hashlib.sha256(blob).hexdigest()
    (folder / PACKAGE_FILE).write_text(json.dumps(header))


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.faults
@pytest.mark.parametrize("form", ["pickle", "torch"])
def test_a_pickle_instead_of_weights_is_refused_and_leaves_no_file(folder, tmp_path, form) -> None:
    trap = tmp_path / "executed"
    if form == "pickle":
        blob = pickle.dumps(Bomb(trap))
    else:
        torch.save({"network.block.0.weight": Bomb(trap)}, tmp_path / "bomb.pt")
        blob = (tmp_path / "bomb.pt").read_bytes()
    sign(folder, blob)
    refused(lambda: build_network(load_package(folder)))
    assert not trap.exists()
    pickle.loads(pickle.dumps(Bomb(trap))).close()
    assert trap.exists()  # the bomb was live


@pytest.mark.faults
@pytest.mark.parametrize("left", [0, 7, 100, -1])
@pytest.mark.parametrize("agrees", [True, False])
def test_truncated_weights_are_refused(folder, left: int, agrees) -> None:
    blob = (folder / WEIGHTS_FILE).read_bytes()[:left]
    if agrees:
        sign(folder, blob)
    else:
        (folder / WEIGHTS_FILE).write_bytes(blob)
    refused(lambda: build_network(load_package(folder)))


@pytest.mark.faults
def test_weights_of_another_package_are_refused(folder, tmp_path) -> None:
    save_package(package_of(seed=2), tmp_path / "other")
    (folder / WEIGHTS_FILE).write_bytes((tmp_path / "other" / WEIGHTS_FILE).read_bytes())
    assert "sha256" in refused(lambda: build_network(load_package(folder)))


@pytest.mark.faults
@pytest.mark.parametrize("architecture", ["physics", "", "os.system", "Learned", "../learned"])
def test_a_foreign_architecture_is_refused(package, architecture: str) -> None:
    other = replace(package, architecture=architecture)
    refused(lambda: build_network(other))


# Arrays


@pytest.mark.faults
@pytest.mark.parametrize(
    "name", ["network.block.0.weight", "domain.centre", "domain.inverse", "noise", "network.doubt.bias"]
)
def test_a_missing_array_is_refused_by_name(package, name: str) -> None:
    weights = {key: value for key, value in package.weights.items() if key != name}
    assert name in refused(lambda: build_network(replace(package, weights=weights)))


@pytest.mark.faults
@pytest.mark.parametrize("name", ["network.extra", "extra", "block.0.weight"])
def test_an_array_too_many_is_refused_by_name(package, name: str) -> None:
    extra = package.weights["network.block.0.weight"]
    weights = dict(package.weights) | {name: extra}
    assert name in refused(lambda: build_network(replace(package, weights=weights)))


@pytest.mark.faults
def test_arrays_under_names_without_their_prefix_are_refused(package) -> None:
    weights = {name.removeprefix("network."): value for name, value in package.weights.items()}
    refused(lambda: build_network(replace(package, weights=weights)))


@pytest.mark.faults
@pytest.mark.parametrize("name", ["network.value.weight", "domain.inverse", "noise"])
def test_an_array_of_another_shape_is_refused_by_name(package, name: str) -> None:
    weights = dict(package.weights) | {name: package.weights[name][..., :-1]}
    assert name in refused(lambda: build_network(replace(package, weights=weights)))


@pytest.mark.faults
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["network.about.bias", "domain.centre", "noise"])
def test_a_weight_that_is_no_number_is_refused(package, name: str, value: float) -> None:
    broken = package.weights[name].copy()
    broken.flat[-1] = value
    weights = dict(package.weights) | {name: broken}
    assert "finite" in refused(lambda: build_network(replace(package, weights=weights)))


@pytest.mark.faults
@pytest.mark.parametrize("kind", [np.int64, np.complex64, np.float64, bool])
def test_arrays_of_another_kind_are_refused(package, folder, kind) -> None:
    other = {name: value.astype(kind) for name, value in package.weights.items()}
    sign(folder, save(other))
    refused(lambda: build_network(load_package(folder)))


# Config


def with_config(package: ModelPackage, **changes) -> ModelPackage:
    return replace(package, config={**package.config, **changes})


SIZES = ["width", "heads", "hypothesis_width", "embedding", "rank"]
ABSURD = [0, -1, 4097, 10**9, 10**30, 2.0, 8.5, True, "8", None, [8], {}]


@pytest.mark.faults
@pytest.mark.parametrize("value", ABSURD, ids=repr)
@pytest.mark.parametrize("name", SIZES)
def test_an_absurd_size_is_refused(package, name: str, value) -> None:
    refused(lambda: build_network(with_config(package, **{name: value})))


@pytest.mark.faults
def test_sizes_beyond_the_weights_are_refused_before_anything_large_is_made(package) -> None:
    sizes = dict.fromkeys(SIZES, 4096)
    message = refused(lambda: build_network(with_config(package, **sizes)))
    assert "sizes say (4096, 4096)" in message


@pytest.mark.faults
@pytest.mark.parametrize(
    "ladder",
    [[], [0.1], [0.1] * 65, "0.1", 0.5, None, ["a", "b"], [[0.1], [0.2]], [0.1, None], [0.0, float("nan")]],
    ids=repr,
)
def test_an_absurd_ladder_is_refused(package, ladder) -> None:
    refused(lambda: build_network(with_config(package, ladder=ladder)))


@pytest.mark.faults
@pytest.mark.parametrize("value", [0, -1.0, float("nan"), float("inf"), "1", None, True, [1.0], 10**400])
@pytest.mark.parametrize("name", ["inflation", "domain_threshold"])
def test_inflation_and_threshold_are_positive_numbers(package, name: str, value) -> None:
    refused(lambda: build_network(with_config(package, **{name: value})))


@pytest.mark.faults
@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf"), "1", None, True])
def test_a_residual_is_a_number_and_not_negative(package, value) -> None:
    refused(lambda: build_network(with_config(package, residual=value)))


def test_a_state_may_explain_everything(package) -> None:
    assert build_network(with_config(package, residual=0.0)).residual == 0.0


@pytest.mark.faults
@pytest.mark.parametrize("kind", ["pixels", "", None, 3])
def test_another_kind_is_refused(package, kind) -> None:
    refused(lambda: build_network(with_config(package, kind=kind)))


@pytest.mark.faults
def test_heads_that_do_not_divide_the_width_are_refused(package) -> None:
    refused(lambda: build_network(with_config(package, heads=3)))


@pytest.mark.faults
def test_a_key_too_many_or_too_few_is_refused_by_name(package) -> None:
    assert "depth" in refused(lambda: build_network(with_config(package, depth=3)))
    config = {key: value for key, value in package.config.items() if key != "rank"}
    assert "rank" in refused(lambda: build_network(replace(package, config=config)))


# What a model knows beside its network


@pytest.fixture
def model(package) -> LearnedModel:
    return build_network(package)


def test_the_centre_is_not_strange_and_strangeness_grows_with_the_distance(model) -> None:
    steps = model.centre + torch.arange(4.0)[:, None] * torch.eye(6)[2]
    assert model.strangeness(steps).tolist() == pytest.approx([0.0, 0.25, 1.0, 2.25])


def test_noise_grows_with_light_and_under_a_low_sun(package) -> None:
    table = np.zeros((len(SENSORS), 7, 2), np.float32)
    table[3] = (2e-6, 4e-6)
    model = build_network(replace(package, weights=dict(package.weights) | {"noise": table}))
    sensor = tuple(SENSORS)[3]
    toa = torch.tensor([[0.0] * 7, [0.5] * 7, [-0.1] * 7])
    found = model.noise_variance(sensor, toa, torch.tensor([1.0, 0.5, 0.5]))
    assert found[:, 0].tolist() == pytest.approx([2e-6, 4 * 2e-6 + 2 * 4e-6 * 0.5, 4 * 2e-6])
    assert float(model.noise_variance(next(iter(SENSORS)), toa, torch.ones(3)).abs().max()) == 0.0

"""Networks that name pixels: what goes in and out, how far they see, what packages are refused."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from undersky.errors import DataError
from undersky.models.package import ModelPackage, load_package, save_package
from undersky.models.segmentation import (
    SegmentationConfig,
    SegmentationNetwork,
    build_segmenter,
    probabilities,
    segmentation_package,
)

CONFIG = SegmentationConfig(
    inputs=("blue", "red", "cirrus"),
    classes=("land", "water", "ice", "cloud"),
    mean=(0.1, 0.2, 0.01),
    std=(0.1, 0.1, 0.02),
    pixel_m=10.0,
    optional=("cirrus",),
    features=(4, 8, 16),
)


def network(body: str = "plain", **changes: object) -> SegmentationNetwork:
    torch.manual_seed(1)
    made = SegmentationNetwork(replace(CONFIG, body=body, **changes))
    made.train()
    for _ in range(3):  # batch norm has seen something
        made(values(4))
    return made.eval()


def values(count: int = 1, side: int = 32) -> Tensor:
    return 0.2 * torch.rand(count, 3, side, side)


@pytest.mark.parametrize("body", ["plain", "monai"])
def test_every_pixel_has_a_logit_for_every_class(body):
    assert network(body)(values(2)).shape == (2, 4, 32, 32)


@pytest.mark.parametrize(
    ("body", "features"),
    [("plain", (4, 8))]
    + [(body, features) for body in ("plain", "monai") for features in ((4, 8, 16), (2, 4, 4, 8))],
)
def test_nothing_reaches_further_than_the_margin(body, features):
    made = network(body, features=features)
    margin, side = made.config.margin, 2 * made.config.margin + 64
    before, reach = values(side=side), 0
    with torch.no_grad():
        plain = made(before)
        for row in range(margin + 16, margin + 16 + made.config.multiple):
            after = before.clone()
            after[..., row, :] += 50.0
            changed = ((made(after) - plain).abs().amax((0, 1, 3)) > 0).nonzero()[:, 0]
            reach = max(reach, row - int(changed.min()), int(changed.max()) - row)
    assert 0 < reach <= margin


def test_a_missing_optional_band_is_not_the_same_as_an_average_one():
    made, seen = network(), values()
    seen[:, 2] = CONFIG.mean[2]
    absent = seen.clone()
    absent[:, 2] = torch.nan
    with torch.no_grad():
        assert torch.isfinite(made(absent)).all()
        assert not torch.allclose(made(absent), made(seen))


def test_a_missing_band_that_is_not_optional_stands_for_its_mean():
    made, seen = network(), values()
    seen[:, 0] = CONFIG.mean[0]
    absent = seen.clone()
    absent[:, 0] = torch.nan
    with torch.no_grad():
        assert torch.allclose(made(absent), made(seen), atol=1e-5)


def test_a_temperature_changes_how_sure_it_is_and_never_what_it_says():
    logits = torch.randn(1, 4, 8, 8)
    cold, warm = (probabilities(logits, replace(CONFIG, temperature=t)) for t in (0.5, 3.0))
    assert torch.equal(cold.argmax(1), warm.argmax(1))
    assert (cold.amax(1) > warm.amax(1)).all()
    assert torch.allclose(warm.sum(1), torch.ones(1, 8, 8))


def test_independent_classes_may_all_be_likely_at_once():
    found = probabilities(torch.full((1, 4, 2, 2), 3.0), replace(CONFIG, outputs="sigmoid"))
    assert (found > 0.9).all()


def test_a_saved_package_says_what_the_network_said(tmp_path):
    made = network("monai", temperature=1.5, settings={"threshold": 0.4})
    save_package(segmentation_package("landcover", "landcover-x", made, {"recipe": "x"}), tmp_path)
    back = build_segmenter(load_package(tmp_path), "landcover")
    seen = values()
    assert back.config == made.config
    with torch.no_grad():
        assert torch.allclose(back.probabilities(seen), probabilities(made(seen), made.config), atol=5e-3)


def test_the_same_network_makes_the_same_package(tmp_path):
    digests = {
        save_package(segmentation_package("landcover", "x", network(), {}), tmp_path / name).digest
        for name in ("a", "b")
    }
    assert len(digests) == 1


def spoilt(**changes: object) -> ModelPackage:
    return replace(segmentation_package("landcover", "x", network(), {}), **changes)


@pytest.mark.parametrize(
    ("package", "told"),
    [
        (spoilt(name="quality"), "model quality"),
        (spoilt(architecture="learned"), "learned model"),
        (spoilt(config={}), "missing"),
        (spoilt(config={**spoilt().config, "extra": 1}), "extra"),
        (spoilt(config={**spoilt().config, "features": [4, 8, 100000]}), "features"),
        (spoilt(config={**spoilt().config, "std": [0.0, 1.0, 1.0]}), "positive"),
        (spoilt(config={**spoilt().config, "mean": [1e30, 1.0, 1.0]}), "absurd"),
        (spoilt(config={**spoilt().config, "optional": ["thermal"]}), "optional"),
        (spoilt(config={**spoilt().config, "body": "pickle"}), "body"),
        (spoilt(weights={}), "arrays"),
    ],
)
def test_what_is_no_such_model_is_refused_with_its_reason(package, told):
    with pytest.raises(DataError, match=told) as caught:
        build_segmenter(package, "landcover")
    assert caught.value.reason == "model_refused"


def test_weights_that_are_no_numbers_are_refused():
    package = segmentation_package("landcover", "x", network(), {})
    name = next(name for name in package.weights if name.endswith("head.weight"))
    weights = {**package.weights, name: package.weights[name] * float("nan")}
    with pytest.raises(DataError, match="not finite"):
        build_segmenter(replace(package, weights=weights), "landcover")


@pytest.mark.parametrize(
    "changes",
    [
        {"inputs": ("blue", "blue", "red")},
        {"classes": ()},
        {"mean": (0.0,)},
        {"temperature": 0.0},
        {"features": (4,), "body": "plain"},
        {"features": (4, 8), "body": "monai"},
        {"features": (4, 8, 16, 32, 64, 128, 256)},
    ],
)
def test_a_config_that_makes_no_sense_is_refused(changes):
    with pytest.raises(ValueError, match=r"."):
        replace(CONFIG, **changes)

"""Candidates: brought from elsewhere only where they are what is said of them."""

import shutil
from pathlib import Path

import pytest
from orders import put_shipped

from undersky.errors import ConfigError, DataError, Reason
from undersky.models.package import load_package, shipped
from undersky.release.candidates import get_candidate, put_candidate, submit
from undersky.services.store import Store

LEARNED = load_package(shipped("learned"))
RECIPE, DATASET = str(LEARNED.provenance["recipe_digest"]), str(LEARNED.provenance["dataset_digest"])


def _name() -> str:
    recipe = LEARNED.provenance["recipe"]
    assert isinstance(recipe, dict)
    return str(recipe["name"])


def _nothing_lies(store: Store) -> bool:
    return not list(store.list("candidates/"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Weights that somebody trained elsewhere."""
    return Path(shutil.copytree(shipped("learned"), tmp_path / "weights"))


@pytest.mark.parametrize(("recipe", "dataset"), [(_name(), DATASET), (RECIPE, DATASET[:8])])
def test_weights_from_elsewhere_are_a_candidate_like_any_other(
    store: Store, folder: Path, tmp_path: Path, recipe: str, dataset: str
) -> None:
    ref = submit(store, folder, recipe=recipe, dataset=dataset)
    assert ref.href == store.href(f"candidates/correction/{LEARNED.digest}")
    assert get_candidate(store, ref, tmp_path / "got").digest == LEARNED.digest == ref.digest


@pytest.mark.parametrize(
    ("recipe", "dataset", "found"),
    [
        ("another", DATASET, _name()),
        ("", DATASET, _name()),
        (RECIPE, "0" * 64, DATASET[:12]),
        (RECIPE, DATASET[:7], DATASET[:12]),
        (RECIPE, "", DATASET[:12]),
    ],
)
def test_another_recipe_or_dataset_than_it_says_is_refused_with_what_it_says(
    store: Store, folder: Path, recipe: str, dataset: str, found: str
) -> None:
    with pytest.raises(DataError, match=found) as caught:
        submit(store, folder, recipe=recipe, dataset=dataset)
    assert caught.value.reason is Reason.MODEL_REFUSED
    assert _nothing_lies(store)


def test_a_package_that_says_nothing_of_its_origin_is_refused(store: Store) -> None:
    with pytest.raises(DataError, match="unknown"):
        submit(store, shipped("physics"), recipe="", dataset="")
    assert _nothing_lies(store)


@pytest.mark.faults
def test_a_damaged_package_is_refused(store: Store, folder: Path) -> None:
    weights = folder / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(DataError) as caught:
        submit(store, folder, recipe=RECIPE, dataset=DATASET)
    assert caught.value.reason is Reason.MODEL_REFUSED
    assert _nothing_lies(store)


@pytest.mark.faults
def test_nothing_that_could_execute_comes_along(store: Store, folder: Path) -> None:
    for name in ("model.pkl", "weights.pt", "python_model.py", "MLmodel"):
        (folder / name).write_bytes(b"\x80\x04.")
    (folder / "training.json").write_text("{}")
    submit(store, folder, recipe=RECIPE, dataset=DATASET)
    assert {stored.key.rpartition("/")[2] for stored in store.list("candidates/")} == {
        "package.json", "weights.safetensors", "training.json",
    }  # fmt: skip


def test_a_package_of_another_model_is_no_candidate_of_this_one(store: Store, folder: Path) -> None:
    with pytest.raises(ConfigError, match="holds a model correction, expected cloud"):
        put_candidate(store, folder, model="cloud")


def test_a_package_of_another_digest_than_the_order_names_is_refused(store: Store, tmp_path: Path) -> None:
    ref = put_shipped(store, "physics", "models").model_copy(update={"digest": LEARNED.digest})
    with pytest.raises(DataError, match=f"expected correction {LEARNED.digest[:12]}") as caught:
        get_candidate(store, ref, tmp_path)
    assert caught.value.reason is Reason.MODEL_REFUSED

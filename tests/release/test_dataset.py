"""Stage `dataset`: made once, found again by whoever would make the same; folders of the store."""

from pathlib import Path

import pytest
from orders import Works
from toy import Toy

from miniature import MINIATURE
from undersky.errors import ConfigError, DataError, ServiceError
from undersky.refs import ReleaseStage
from undersky.release.dataset import prefix_of
from undersky.release.folders import LISTING, find_listing, get_folder, put_folder
from undersky.services.store import Store
from undersky.training.recipe import read_recipe

DATASET = ReleaseStage.DATASET


def _made(works: Works, run: str, recipe: str) -> tuple[bool, str, str]:
    found = works.run(DATASET, works.order(run, recipe=recipe))
    return found.made, found.digest, found.href


def test_a_dataset_is_made_once_and_the_next_order_finds_it_unchanged(works: Works) -> None:
    recipe = works.recipe()
    made, digest, href = _made(works, "one", recipe)
    assert made
    assert works.store.find(f"{works.store.key(href)}/manifest.json") is not None
    assert _made(works, "two", recipe) == (False, digest, href)


def test_another_recipe_with_the_same_dataset_finds_it_too_and_one_with_another_makes_its_own(
    works: Works,
) -> None:
    _, digest, href = _made(works, "one", works.recipe())
    assert _made(works, "two", works.recipe(steps=7, learning_rate="1e-3")) == (False, digest, href)
    made, other, elsewhere = _made(works, "three", works.recipe(dataset="{scenes: 65}"))
    assert made
    assert (other != digest, elsewhere != href) == (True, True)


def _lies_at(folder: Path, text: str, works: Works) -> str | None:
    path = folder / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return prefix_of(read_recipe(path), works.settings)


def test_where_worlds_lie_is_decided_by_their_spec_alone(works: Works, tmp_path: Path) -> None:
    here = _lies_at(tmp_path, MINIATURE, works)
    longer = MINIATURE.replace("steps: 6", "steps: 9").replace("name: miniature", "name: longer")
    assert here is not None
    assert here.startswith("datasets/correction/")
    assert _lies_at(tmp_path, longer, works) == here
    assert _lies_at(tmp_path, MINIATURE.replace("count: 40", "count: 41"), works) != here
    assert _lies_at(tmp_path, MINIATURE.replace("seed: 3", "seed: 4"), works) != here


def test_a_dataset_without_its_listing_counts_as_half_and_is_made_again(works: Works) -> None:
    recipe = works.recipe()
    _, digest, href = _made(works, "one", recipe)
    works.store.delete(f"{works.store.key(href)}/{LISTING}")
    assert _made(works, "two", recipe) == (True, digest, href)
    assert find_listing(works.store, works.store.key(href)) is not None


def test_a_stage_whose_document_is_there_is_not_done_again(works: Works) -> None:
    order = works.order(recipe=works.recipe())
    first = works.run(DATASET, order)
    for key in works.keys("datasets/"):
        works.store.delete(key)
    assert works.run(DATASET, order) == first
    assert works.keys("datasets/") == []
    assert works.told[-1][0] == "was done before"


def test_a_recipe_whose_task_keeps_no_dataset_says_so_and_is_not_asked_twice(
    works: Works, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Toy, "dataset_key", None)
    order = works.order(recipe=works.recipe())
    done = works.run(DATASET, order)
    assert (done.href, done.digest, done.made) == (None, "", False)
    assert works.keys("datasets/") == []
    assert works.run(DATASET, order) == done
    assert works.run(ReleaseStage.TRAIN, order).steps == 40


def test_a_leak_leaves_no_dataset_and_no_document(works: Works) -> None:
    order = works.order(recipe=works.recipe(dataset="{leaks: true}"))
    with pytest.raises(DataError, match="two splits"):
        works.run(DATASET, order)
    assert works.keys("datasets/") + works.keys("releases/one/dataset") == []


def test_nothing_is_left_in_the_scratch_folder(works: Works) -> None:
    works.run(DATASET, works.order(recipe=works.recipe()))
    assert works.settings.scratch is not None
    assert list(works.settings.scratch.iterdir()) == []


def test_a_recipe_that_is_not_there_or_lies_in_another_bucket_is_named(works: Works) -> None:
    gone = works.store.href("recipes/gone.yaml")
    with pytest.raises(ConfigError, match=r"no recipe lies at s3://.*gone\.yaml"):
        works.run(DATASET, works.order(recipe=gone))
    with pytest.raises(ConfigError, match="another"):
        works.run(DATASET, works.order("two", recipe="s3://another/recipe.yaml"))


def test_an_order_that_is_not_there_is_named(works: Works) -> None:
    with pytest.raises(ConfigError, match=r"releases/none/order\.json"):
        works.run(DATASET, works.store.href("releases/none/order.json"))


def _folder(tmp_path: Path) -> Path:
    (tmp_path / "from" / "deep").mkdir(parents=True)
    (tmp_path / "from" / "a.bin").write_bytes(b"a" * 3_000_000)
    (tmp_path / "from" / "deep" / "b.json").write_bytes(b"{}")
    return tmp_path / "from"


def test_a_folder_comes_back_byte_for_byte_and_what_is_there_is_not_fetched_again(
    store: Store, tmp_path: Path
) -> None:
    listing = put_folder(store, "x", _folder(tmp_path), digest="d")
    get_folder(store, listing, tmp_path / "to")
    assert (tmp_path / "to" / "a.bin").read_bytes() == b"a" * 3_000_000
    assert (tmp_path / "to" / "deep" / "b.json").read_bytes() == b"{}"
    store.delete("x/a.bin")
    get_folder(store, listing, tmp_path / "to")


def test_a_damaged_file_on_disk_is_fetched_again_and_one_in_the_store_is_refused(
    store: Store, tmp_path: Path
) -> None:
    listing = put_folder(store, "x", _folder(tmp_path), digest="d")
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / "a.bin").write_bytes(b"b" * 3_000_000)
    get_folder(store, listing, tmp_path / "to")
    assert (tmp_path / "to" / "a.bin").read_bytes()[:1] == b"a"
    store.put("x/a.bin", b"b" * 3_000_000)
    with pytest.raises(DataError, match="damaged"):
        get_folder(store, listing, tmp_path / "other")
    assert not (tmp_path / "other" / "a.bin").exists()


def test_a_folder_that_was_put_in_part_has_no_listing(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Store, key: str, path: Path, **how: object) -> None:
        if key.endswith("b.json"):
            raise ServiceError("the store is full")
        put(self, key, path, **how)

    put = Store.put_file
    monkeypatch.setattr(Store, "put_file", full)
    with pytest.raises(ServiceError):
        put_folder(store, "x", _folder(tmp_path), digest="d")
    assert [stored.key for stored in store.list("x/")] == ["x/a.bin"]
    assert find_listing(store, "x") is None

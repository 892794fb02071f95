"""Recipes: what decides a training, read without trust."""

from dataclasses import replace

import pytest
from toy import Toy

from undersky.errors import ConfigError
from undersky.models.package import save_package
from undersky.training.recipe import load_recipe, read_recipe, shipped_recipes
from undersky.training.task import build_task, starting_package


def test_a_recipe_is_what_its_file_says(write):
    found = load_recipe(write(dataset="{worlds: 3, mix: [0.5, {dust: null}]}", precision="bfloat16"))
    assert (found.name, found.steps, found.learning_rate) == ("toy", 40, 0.01)
    assert found.dataset == {"worlds": 3, "mix": [0.5, {"dust": None}]}
    assert found.precision == "bfloat16"


@pytest.mark.parametrize("text", ["1e-3", "1E-3", "1.0e-3", "0.001", "1.e-3"])
def test_every_way_to_write_a_small_number_is_one(recipe, text):
    assert recipe(learning_rate=text).learning_rate == 0.001


def test_every_shipped_recipe_can_be_read_and_is_called_as_its_file():
    for name in shipped_recipes():
        assert load_recipe(name).name == name


def test_the_digest_is_of_what_decides_the_weights_and_of_nothing_else(recipe):
    one = recipe()
    assert one.digest == recipe().digest
    assert replace(one, max_gpu_hours=2.0, checkpoint_every=1).digest == one.digest
    others = [recipe(seed=8), recipe(network="{width: 3}"), recipe(ema_decay=0.8), recipe(start="physics")]
    assert len({other.digest for other in [one, *others]}) == 5


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"lerning_rate": 1}, "toy.yaml: 'lerning_rate' is no key here; known: name task seed"),
        ({"steps": "many"}, "steps is 'many' .*expected a whole number"),
        ({"steps": 2.5}, "steps is 2.5"),
        ({"steps": 0}, "steps must be positive"),
        ({"steps": True}, "steps is True"),
        ({"seed": -1}, "seed and weight_decay must not be negative"),
        ({"warmup": 1.0}, "warmup and ema_decay"),
        ({"ema_decay": 1}, "warmup and ema_decay"),
        ({"learning_rate": ".nan"}, "learning_rate is nan"),
        ({"learning_rate": ".inf"}, "learning_rate is inf"),
        ({"precision": "float16"}, "expected one of float32 bfloat16"),
        ({"name": "../up"}, "lower case letters"),
        ({"max_gpu_hours": 0}, "max_gpu_hours must be positive"),
        ({"dataset": "[1]"}, "dataset is .*expected keys and values"),
        ({"dataset": "{day: 2025-01-01}"}, "dataset: day is datetime.date"),
        ({"dataset": "{3: 4}"}, "the key 3"),
        ({"dataset": "!!python/object/apply:os.system ['true']"}, "is no YAML"),
        ({"dataset": "{a: 1, a: 2}"}, "found a twice"),
        ({"dataset": "{a: &x [1], b: *x}"}, "found an alias"),
        ({"dataset": "[" * 20000}, "is no YAML"),
        ({"dataset": "{a: '" + "x" * 70000 + "'}"}, "more than any recipe needs"),
        ({"seed": "1" * 5000}, "toy.yaml"),
    ],
)
def test_a_hostile_or_mistaken_recipe_is_refused_with_its_place(write, changes, told):
    with pytest.raises(ConfigError, match=told):
        read_recipe(write(**changes))


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"a\.yaml cannot be read"):
        load_recipe(tmp_path / "a.yaml")
    (tmp_path / "b.yaml").write_text("")
    with pytest.raises(ConfigError, match=r"b\.yaml: found None"):
        load_recipe(tmp_path / "b.yaml")


def test_a_name_that_is_not_shipped_is_answered_with_those_that_are():
    with pytest.raises(ConfigError, match="nosuch is neither a file nor a shipped recipe; shipped:"):
        load_recipe("nosuch")


def test_a_task_is_built_by_its_name(recipe):
    assert isinstance(build_task(recipe()), Toy)
    with pytest.raises(ConfigError, match="no task 'soup'; there are correction"):
        build_task(recipe(task="soup"))


def test_a_section_that_the_task_does_not_understand_is_refused(recipe):
    with pytest.raises(ConfigError, match="toy: dataset: 'scnes' is no key here"):
        build_task(recipe(dataset="{scnes: 3}"))


def test_a_start_is_a_folder_a_shipped_name_or_nothing(recipe, tmp_path):
    assert starting_package(recipe()) is None
    physics = starting_package(recipe(start="physics"))
    assert physics.architecture == "physics"
    save_package(physics, tmp_path / "mine")
    assert starting_package(recipe(start=tmp_path / "mine")).digest == physics.digest
    with pytest.raises(ConfigError, match="start is 'nowhere', neither a folder"):
        starting_package(recipe(start="nowhere"))

"""Class maps say everything about every value, or are refused."""

import pytest

from undersky.errors import ConfigError
from undersky.labels import TASKS, read_class_map, shipped_maps, task_of
from undersky.labels.class_map import value_text
from undersky.labels.tasks import IGNORE
from undersky.landcover import CODES


@pytest.fixture
def written(tmp_path):
    def write(text):
        path = tmp_path / "map.yaml"
        path.write_text(text)
        return path

    return write


def test_every_shipped_map_names_only_classes_of_its_task():
    assert {"worldcover", "slovenia-land-use"} <= set(shipped_maps())
    for name in shipped_maps():
        found = read_class_map(name)
        assert found.codes(task_of(found.task))
        assert found.about
        assert found.attribution


def test_worldcover_maps_each_of_its_codes_to_itself():
    codes = read_class_map("worldcover").codes(TASKS["landcover"])
    assert {int(value): code for value, code in codes.items() if code != IGNORE} == {c: c for c in CODES}


def test_the_slovenian_map_knows_every_code_of_both_sources():
    raba = {
        *(
            1100,
            1160,
            1180,
            1190,
            1211,
            1212,
            1221,
            1222,
            1230,
            1240,
            1300,
            1321,
            1410,
            1420,
            1500,
            1600,
            1800,
        ),
        *(2000, 3000, 4100, 4210, 4220, 5000, 6000, 7000),
    }
    codes = read_class_map("slovenia-land-use").codes(TASKS["landcover"])
    assert {int(value) for value in codes} == raba | set(range(11))
    assert codes["2"] == codes["2000"] == 10
    assert codes["1221"] == codes["0"] == IGNORE


@pytest.mark.parametrize(
    ("value", "text"), [(12, "12"), (12.0, "12"), (" 12 ", "12"), (0.5, "0.5"), (True, "true")]
)
def test_numbers_and_texts_of_one_value_are_one(value, text):
    assert value_text(value) == text


def test_an_unmapped_value_is_named_with_its_count(written):
    found = read_class_map(written("classes: {1: water}\nignore: [0]"))
    with pytest.raises(ConfigError, match=r"field\.tif holds values .* ignores: 7 \(12\), x \(3\)"):
        found.refuse_unmapped({"1": 5, "0": 2, "x": 3, "7": 12}, "field.tif")
    found.refuse_unmapped({"1": 5, "0": 2}, "field.tif")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("classes: {1: water}\nignored: [2]", "knows no ignored"),
        ("classes: {}", "classes maps each value"),
        ("[1, 2]", "is no mapping"),
        ("classes: {1: water}\nignore: [1]", "maps and ignores 1"),
        ("classes: {1: water, '1': snow_ice}", "maps a value twice"),
        ("classes: {1: [water]}", "mapped to no"),
        ("classes: {1: water}\nignore: 5", "ignore is a list"),
        ("classes: {1: water}\nvalid_from: soon", "is no day"),
        ("classes: {1: water}\ncrowds: maybe", "crowds is objects or ignore"),
        ("classes: {1: water}\nsource: {tiles: x, degrees: 3}", "source"),
        ("classes: {1: water}\ntask: birds", "no task 'birds'"),
        ("classes: {1: wa", "malformed"),
    ],
)
def test_a_map_that_says_something_else_is_refused(written, text, message):
    with pytest.raises(ConfigError, match=message):
        read_class_map(written(text))


def test_a_map_for_another_task_is_refused(written):
    with pytest.raises(ConfigError, match="is for landcover, not for quality"):
        read_class_map("worldcover").codes(TASKS["quality"])
    with pytest.raises(ConfigError, match="names sea; landcover has tree_cover"):
        read_class_map(written("classes: {1: sea}")).codes(TASKS["landcover"])


def test_a_missing_map_lists_what_is_shipped():
    with pytest.raises(ConfigError, match="slovenia-land-use worldcover"):
        read_class_map("nowhere.yaml")

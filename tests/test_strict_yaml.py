import pytest
import yaml

from undersky.strict_yaml import parse_yaml


def test_plain_values_come_back_as_they_were_written():
    found = parse_yaml("a: 1\nb: [x, 2.5, null, true]\nc: {d: 2e-3}\n")
    assert found == {"a": 1, "b": ["x", 2.5, None, True], "c": {"d": 0.002}}


@pytest.mark.parametrize("text", ["a: 1\na: 2\n", "x:\n  b: 1\n  b: 1\n"])
def test_a_key_twice_is_an_error_with_its_name(text):
    with pytest.raises(yaml.YAMLError, match="twice"):
        parse_yaml(text)


def test_an_alias_is_refused_before_it_unfolds():
    with pytest.raises(yaml.YAMLError, match="alias"):
        parse_yaml("a: &big [1, 2]\nb: [*big, *big]\n")


def test_an_alias_may_stand_where_somebody_says_so():
    assert parse_yaml("a: &x [1]\nb: *x\n", aliases=True) == {"a": [1], "b": [1]}
    with pytest.raises(yaml.YAMLError, match="twice"):
        parse_yaml("a: 1\na: 2\n", aliases=True)


def test_nothing_in_it_is_executed(tmp_path):
    target = tmp_path / "made"
    with pytest.raises(yaml.YAMLError):
        parse_yaml(
            f"!!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path ['{target}']]"
        )
    assert not target.exists()

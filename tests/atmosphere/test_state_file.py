"""The state file: what is written comes back, what no atmosphere has is refused with a cure."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from undersky.atmosphere.state import AEROSOL_MODELS, AtmosphereState, StateUncertainty
from undersky.atmosphere.state_file import FORMAT, exactly_known, read_state, write_state
from undersky.errors import ConfigError

BY_HAND = {
    "format": FORMAT,
    "aot_550": 0.12,
    "water_vapour_g_cm2": 1.9,
    "ozone_dobson": 310,
    "pressure_hpa": 980,
    "aerosol": {"continental": 0.7, "maritime": 0.3},
}


def _state(shape, seed=0):
    rng = np.random.default_rng(seed)
    return AtmosphereState(
        aot_550=rng.uniform(0, 1, shape),
        water_vapour=rng.uniform(0, 6, shape),
        ozone_dobson=rng.uniform(200, 500, shape),
        pressure_hpa=rng.uniform(600, 1040, shape),
        aerosol_fractions=rng.dirichlet(np.ones(5), shape).transpose(2, 0, 1),
    )


def _write(tmp_path, record):
    path = tmp_path / "state.json"
    path.write_text(json.dumps(record))
    return path


@given(st.integers(2, 5), st.integers(2, 5), st.integers(0, 99))
def test_a_state_comes_back_as_it_was_written(rows, cols, seed):
    import tempfile
    from pathlib import Path

    state = _state((rows, cols), seed)
    uncertainty = StateUncertainty(
        0.1 * state.aot_550, 0.2 * state.water_vapour, 0 * state.ozone_dobson, 0 * state.pressure_hpa,
        0.05 * state.aerosol_fractions,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.json"
        write_state(path, state, uncertainty=uncertainty)
        again, sigma = read_state(path)
    for name in ("aot_550", "water_vapour", "ozone_dobson", "pressure_hpa", "aerosol_fractions"):
        np.testing.assert_allclose(getattr(again, name), getattr(state, name), atol=1e-8)
        np.testing.assert_allclose(getattr(sigma, name), getattr(uncertainty, name), atol=1e-8)


def test_equal_states_give_equal_bytes(tmp_path):
    for name in ("one", "two"):
        state = _state((3, 4))
        write_state(tmp_path / name, state, uncertainty=exactly_known(state))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_file_written_by_hand_with_single_numbers_is_a_uniform_state_exactly_known(tmp_path):
    state, sigma = read_state(_write(tmp_path, BY_HAND))
    assert state.aot_550.shape == (2, 2)
    assert (state.aot_550 == 0.12).all()
    assert state.aerosol_fractions[:, 0, 0].tolist() == [0.7, 0.3, 0, 0, 0]
    assert sigma.aot_550.max() == sigma.aerosol_fractions.max() == 0


def test_a_number_beside_a_grid_fills_the_grid(tmp_path):
    state, _ = read_state(_write(tmp_path, BY_HAND | {"aot_550": [[0.1, 0.2, 0.3]] * 2}))
    assert state.pressure_hpa.shape == (2, 3)
    assert state.aerosol_fractions.shape == (len(AEROSOL_MODELS), 2, 3)


def test_uncertainty_may_name_some_fields_only(tmp_path):
    _, sigma = read_state(_write(tmp_path, BY_HAND | {"uncertainty": {"aot_550": 0.05}}))
    assert (sigma.aot_550 == 0.05).all()
    assert sigma.water_vapour.max() == 0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": "other"}, "format"),
        ({"aot_550": None}, "aot_550"),
        ({"aot_550": "much"}, "aot_550"),
        ({"aot_550": [0.1, 0.2]}, "aot_550"),
        ({"aot_550": [[0.1, 0.2], [0.3]]}, "aot_550"),
        ({"aot_550": [[0.1, 0.2]]}, "1 x 2"),
        ({"aot_550": [[0.1, 0.2]] * 2, "ozone_dobson": [[300, 300, 300]] * 2}, "2 x 2 and 2 x 3"),
        ({"aot_550": -0.1}, "outside"),
        ({"pressure_hpa": 98_000}, "pressure_hpa"),
        ({"ozone_dobson": float("nan")}, "ozone_dobson"),
        ({"aerosol": {}}, "aerosol"),
        ({"aerosol": {"smog": 1.0}}, "aerosol"),
        ({"aerosol": {"desert": -1.0}}, "negative"),
        ({"uncertainty": 0.1}, "uncertainty"),
    ],
)
def test_what_no_atmosphere_has_is_refused_with_a_cure(tmp_path, change, says):
    with pytest.raises(ConfigError, match=says) as caught:
        read_state(_write(tmp_path, BY_HAND | change))
    assert "state.json" in str(caught.value)
    assert "docs/product.md" in str(caught.value)


def test_a_missing_or_broken_file_is_refused(tmp_path):
    (tmp_path / "broken.json").write_text("{")
    for name in ("absent.json", "broken.json"):
        with pytest.raises(ConfigError, match=name):
            read_state(tmp_path / name)


@pytest.mark.faults
@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"uncertainty": {"aot_550": [[0.1, 0.1, 0.1]] * 2}}, "not 2 x 2"),
        ({"uncertainty": {"aerosol": {"desert": [[0.1] * 2] * 3}}}, "not 2 x 2"),
        ({"uncertainty": {"aot_550": -0.05}}, "negative"),
        ({"uncertainty": {"aerosol": {"desert": -0.05}}}, "negative"),
        ({"uncertainty": {"water_vapour": 0.2}}, "no others"),
        ({"uncertainty": {"aerosol": {"smog": 0.2}}}, "smog|aerosol"),
        ({"uncertainty": {"aot_550": None}}, "aot_550"),
        ({"aerosol": {"desert": 0.0}}, "all zero"),
        ({"aerosol": {"desert": [[0.0, 1.0], [1.0, 1.0]]}}, "all zero"),
        ({"aerosol": {"desert": None}}, "desert"),
        ({"aerosol": [0.7, 0.3]}, "aerosol"),
        ({"aot_550": 10**400}, "aot_550"),
        ({"aot_550": [[0.1, None], [0.1, 0.1]]}, "aot_550"),
        ({"aot_550": [[[0.1]]]}, "aot_550"),
        ({"aot_550": []}, "aot_550"),
        ({"aot_550": {"value": 0.1}}, "aot_550"),
        ({"water_vapour_g_cm2": 19.0}, "water_vapour_g_cm2 lies outside 0 .. 10"),
        ({"ozone_dobson": 0.31}, "ozone_dobson lies outside 50 .. 700"),
    ],
)
def test_what_would_make_a_wrong_doubt_or_no_air_is_refused(tmp_path, change, says):
    with pytest.raises(ConfigError, match=says) as caught:
        read_state(_write(tmp_path, BY_HAND | change))
    assert "state.json" in str(caught.value)


@pytest.mark.faults
@pytest.mark.parametrize("key", ["aot_550", "water_vapour_g_cm2", "ozone_dobson", "pressure_hpa", "aerosol"])
def test_every_field_of_the_state_must_be_there(tmp_path, key):
    with pytest.raises(ConfigError, match=key):
        read_state(_write(tmp_path, {name: value for name, value in BY_HAND.items() if name != key}))


@pytest.mark.faults
@pytest.mark.parametrize("content", [b"", b"[]", b'"state"', b"\xff\xfe\x00", b"null", b"{'aot_550': 1}"])
def test_what_is_no_json_object_is_refused_with_its_name(tmp_path, content):
    (tmp_path / "state.json").write_bytes(content)
    with pytest.raises(ConfigError, match=r"state\.json"):
        read_state(tmp_path / "state.json")


def test_a_folder_is_no_state_file(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_state(tmp_path)


def test_uncertainty_may_be_a_grid_beside_a_uniform_state(tmp_path):
    grid = [[0.01, 0.02], [0.03, 0.04]]
    _, sigma = read_state(_write(tmp_path, BY_HAND | {"uncertainty": {"aot_550": grid}}))
    assert sigma.aot_550.tolist() == grid


def test_uncertainty_of_shares_may_name_some_models(tmp_path):
    record = BY_HAND | {"aot_550": [[0.1] * 3] * 4, "uncertainty": {"aerosol": {"desert": 0.2}}}
    _, sigma = read_state(_write(tmp_path, record))
    assert sigma.aerosol_fractions.shape == (len(AEROSOL_MODELS), 4, 3)
    assert (sigma.aerosol_fractions[AEROSOL_MODELS.index("desert")] == 0.2).all()
    assert sigma.aerosol_fractions.sum() == pytest.approx(0.2 * 12)


@pytest.mark.parametrize(("key", "name"), [("aot_550", "aot_550"), ("water_vapour_g_cm2", "water_vapour")])
@pytest.mark.parametrize("value", [0.0, 5.0])
def test_the_ends_of_the_ranges_are_inside(tmp_path, key, name, value):
    state, _ = read_state(_write(tmp_path, BY_HAND | {key: value}))
    assert (getattr(state, name) == value).all()


def test_shares_need_no_sum_of_one(tmp_path):
    state, _ = read_state(_write(tmp_path, BY_HAND | {"aerosol": {"urban": 7, "biomass": 3}}))
    assert state.aerosol_fractions[:, 1, 1].tolist() == [0, 0, 7, 0, 3]


def test_exactly_known_has_the_shape_of_its_state_and_says_nothing_else():
    sigma = exactly_known(_state((3, 4)))
    assert sigma.aerosol_fractions.shape == (5, 3, 4)
    assert sigma.aerosol_factors is None
    named = (name for name in StateUncertainty.__slots__ if name != "aerosol_factors")
    assert all(not getattr(sigma, name).any() for name in named)


def test_the_file_written_is_one_that_a_person_reads(tmp_path):
    state = _state((2, 2))
    write_state(tmp_path / "state.json", state, uncertainty=exactly_known(state))
    record = json.loads((tmp_path / "state.json").read_text())
    assert record["format"] == FORMAT
    assert set(record) == {*BY_HAND, "uncertainty"}
    assert list(record["aerosol"]) == list(AEROSOL_MODELS)
    assert set(record["uncertainty"]) == set(BY_HAND) - {"format"}

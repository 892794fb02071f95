from dataclasses import fields

import pytest

from undersky.atmosphere.state import AEROSOL_MODELS
from undersky.datasets.worlds.spec import AirSpec, GroundSpec, WorldSpec
from undersky.errors import ConfigError
from undersky.section import section


def test_the_shares_of_airs_leave_room_for_the_uniform_ones() -> None:
    spec = AirSpec()
    assert 0.0 < spec.climatological + spec.thick < 1.0
    assert len(spec.models) == len(AEROSOL_MODELS)
    assert sum(spec.models) == pytest.approx(1.0)


@pytest.mark.parametrize(
    "wrong", [{"count": 0}, {"validation": 0}, {"models": (1.0, 0.0)}, {"models": (0.0,) * 5}]
)
def test_airs_that_cannot_be_drawn_are_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match="airs"):
        AirSpec(**wrong)


SHARES = [f.name for f in fields(GroundSpec) if f.name not in ("textures", "shade_sigma")]


@pytest.mark.parametrize("name", SHARES)
@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_no_share_of_worlds_is_below_none_or_above_all(name: str, value: float) -> None:
    with pytest.raises(ValueError, match="share"):
        GroundSpec(**{name: value})


@pytest.mark.parametrize("wrong", [{"textures": 15}, {"shade_sigma": ()}])
def test_ground_without_texture_or_shade_is_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match="ground"):
        GroundSpec(**wrong)


def test_a_recipe_may_name_any_of_it_and_nothing_else() -> None:
    found = section(WorldSpec, {"seed": 4, "airs": {"count": 64, "varying": 0}}, where="r")
    assert found == WorldSpec(seed=4, airs=AirSpec(count=64, varying=0.0))
    with pytest.raises(ConfigError, match="altitude"):
        section(WorldSpec, {"airs": {"altitude": 4.0}}, where="r")

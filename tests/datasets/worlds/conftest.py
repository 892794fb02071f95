"""Worlds small enough to be built while somebody waits."""

from dataclasses import replace

import pytest

from undersky.datasets.worlds.airs import draw_airs
from undersky.datasets.worlds.compose import Composer
from undersky.datasets.worlds.materials import load_materials
from undersky.datasets.worlds.shards import prepare_worlds
from undersky.datasets.worlds.spec import AirSpec, GroundSpec, WorldSpec

PERFECT = GroundSpec(textures=16, adjacency=0.0, blurred=0.0, miscalibrated=0.0, clouded=0.0)
"""Nothing but ground, air and noise."""


@pytest.fixture(scope="session")
def spec():
    return WorldSpec(seed=5, airs=AirSpec(count=40, validation=20), ground=GroundSpec(textures=18))


@pytest.fixture(scope="session")
def worlds(spec, tmp_path_factory):
    """Built once; nobody writes into its folder."""
    return prepare_worlds(spec, tmp_path_factory.mktemp("worlds"))


@pytest.fixture(scope="session")
def many_airs():
    return draw_airs(1024, AirSpec(), seed=9)


@pytest.fixture(scope="session")
def composer(worlds):
    """Makes composers of the training split: of a perfect sensor in even air, but for what is named."""
    even = replace(AirSpec(), varying=0.0)
    airs, materials = draw_airs(24, even, seed=2), load_materials("train")

    def made(*, split_airs=airs, forecast=0.4, cols=64, **changes):
        ground = replace(PERFECT, **changes)
        return Composer(worlds.train.textures, materials, split_airs, ground, forecast=forecast, cols=cols)

    return made

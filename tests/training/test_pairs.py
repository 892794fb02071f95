"""Fine-tuning on pairs: splits by place, what the network is shown, and what it learns from an agency."""

import json
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime
from types import MappingProxyType

import numpy as np
import pytest
import torch

from undersky.atmosphere.emulator import Emulator
from undersky.atmosphere.hypotheses import AOT_LADDER
from undersky.atmosphere.inversion import apply_atmosphere
from undersky.atmosphere.state import AEROSOL_MODELS, AtmosphereState, Geometry, pressure_at
from undersky.bands import SENSORS
from undersky.datasets.observation import Observation, Place
from undersky.datasets.pairs import BARBELLINO, MOMOTOMBO, Pair
from undersky.datasets.worlds.airs import noise_in_orbit
from undersky.errors import ConfigError, DataError, Reason
from undersky.models.build import build_network
from undersky.models.correction import ROLES
from undersky.models.package import ModelPackage, load_package, save_package, shipped
from undersky.models.physics import ARCHITECTURE, build_physics
from undersky.training.beside import beside_agency
from undersky.training.correction import CorrectionTask, windows_of
from undersky.training.crops import COLS, GAP, ROWS, Crop, PairSpec, crops_of, refuse_overlap
from undersky.training.pairs import PairsTask, build
from undersky.training.recipe import Recipe, load_recipe
from undersky.training.task import build_task
from undersky.training.views import cut_crops, learn_filling, view_pair

WORLDS = {"airs": {"count": 64, "validation": 32}, "ground": {"textures": 16}}
NETWORK = {"width": 8, "heads": 2, "hypothesis_width": 8, "embedding": 12}
TINY = Recipe(
    name="small", task="correction", seed=2, steps=4, batch_size=4, learning_rate=1e-3,
    dataset=WORLDS, network=NETWORK, loss={"pixels": 64},
)  # fmt: skip
CLEAN = AtmosphereState(
    np.float64(0.06), np.float64(2.5), np.float64(310.0), pressure_at(0.2), np.eye(len(AEROSOL_MODELS))[0]
)
GEOMETRY = Geometry(np.float64(35.0), np.float64(2.0), np.float64(90.0))


def made_pair(name="made-up", *, sensor="L8", lacks=(), shape=(80, 160), columns=0.0):
    """A scene that we simulate, and the very ground of it as its agency's product."""
    known = SENSORS[sensor]
    bands = tuple(band.name for band in known.corrected_bands if band.name not in lacks)
    chance = np.random.default_rng(6)
    spectrum = np.linspace(0.04, 0.3, len(bands))[:, None, None]
    ground = spectrum * np.exp(0.3 * chance.standard_normal((1, *shape)))
    above = Emulator.load(sensor, bands)(replace(CLEAN, aerosol_fractions=CLEAN.aerosol_fractions), GEOMETRY)
    row = {
        field.name: np.asarray(getattr(above, field.name))[:, None, None]
        for field in fields(above)
        if field.name != "outside"
    }
    toa = apply_atmosphere(ground, replace(above, **row)).astype(np.float32)
    place = Place(12.4, -86.5, datetime(2015, 12, 5, 16, 0, tzinfo=UTC), 30.0)
    seen = Observation(name, known, bands, toa, 35.0, 2.0, 90.0, 310.0, 0.2, place)
    clear = np.ones(shape, dtype=bool)
    return Pair(name, "made", seen, ground.astype(np.float32) + np.float32(columns), clear, ())


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """A package of a network that has learned nothing yet."""
    task = CorrectionTask(TINY)
    network = task.network()
    weights = {f"network.{name}": value.numpy() for name, value in network.state_dict().items()}
    weights |= {"domain.centre": np.zeros(12, np.float32), "domain.inverse": np.eye(12, dtype=np.float32)}
    config = {**asdict(task.config), "ladder": list(AOT_LADDER)}
    config |= {"inflation": 1.0, "residual": 0.1, "domain_threshold": 50.0}
    weights |= {"noise": noise_in_orbit()}
    folder = tmp_path_factory.mktemp("start")
    save_package(ModelPackage("correction", "learned-small", "learned", config, {}, weights, ""), folder)
    return folder


def recipe_of(start, **changes):
    pairs = {"train": {"made-up": [0.0, 0.45]}, "validate": {"made-up": [0.55, 1.0]}, "coarser": [1]}
    dataset = WORLDS | {"pairs": pairs | changes.pop("pairs", {})}
    return replace(TINY, task="pairs", network={}, start=str(start), dataset=dataset, **changes)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Where the worlds lie: they are the same for every test."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def task(start, data):
    made = PairsTask(recipe_of(start), {"made-up": made_pair(lacks=("B1",))})
    made.prepare(data, progress=lambda *_: None)
    return made


def test_windows_that_train_and_windows_that_validate_are_a_gap_apart():
    west = crops_of("a", (200, 200), (0.0, 0.5), factor=1, stride=(8, 8))
    east = crops_of("a", (200, 200), (0.57, 1.0), factor=2, stride=(ROWS, COLS))
    assert max(crop.cols[1] for crop in west) <= 100
    assert min(crop.cols[0] for crop in east) >= 114
    refuse_overlap(west, east)


def test_a_leak_between_the_splits_is_refused_with_its_place():
    one = [Crop("a", 1, (0, 64), (0, 32))]
    near = [Crop("a", 2, (0, 64), (32 + GAP - 1, 80))]
    with pytest.raises(DataError, match="in a columns 0 to 32 train and 39 to 80 validate") as refused:
        refuse_overlap(one, near)
    assert refused.value.reason is Reason.SPLIT_LEAKS
    refuse_overlap(one, [replace(near[0], cols=(32 + GAP, 80))])


def test_two_places_never_leak_into_each_other():
    refuse_overlap([Crop("a", 1, (0, 64), (0, 32))], [Crop("b", 1, (0, 64), (0, 32))])


def test_two_folders_of_one_acquisition_are_one_place(start, data):
    pairs = {"train": {"made-up": [0.0, 0.6]}, "validate": {"copy": [0.5, 1.0]}}
    twice = {"made-up": made_pair(), "copy": made_pair()}
    with pytest.raises(DataError, match="the splits leak: in made-up"):
        PairsTask(recipe_of(start, pairs=pairs), twice).prepare(data, progress=lambda *_: None)


def test_overlapping_columns_in_a_recipe_fail_the_run(start, data):
    pairs = {"train": {"made-up": [0.0, 0.6]}, "validate": {"made-up": [0.5, 1.0]}}
    task = PairsTask(recipe_of(start, pairs=pairs), {"made-up": made_pair()})
    with pytest.raises(DataError, match="give them other columns"):
        task.prepare(data, progress=lambda *_: None)


@pytest.mark.parametrize("shape", [(64, 32), (70, 100), (333, 117)])
@pytest.mark.parametrize("factor", [1, 2])
def test_windows_cover_all_columns_and_leave_none(shape, factor):
    crops = crops_of("a", shape, (0.0, 1.0), factor=factor, stride=(ROWS, COLS))
    seen = np.zeros(shape, dtype=bool)
    for crop in crops:
        seen[slice(*crop.rows), slice(*crop.cols)] = True
        assert crop.rows[1] - crop.rows[0] == factor * ROWS
        assert crop.cols[1] - crop.cols[0] == factor * COLS
    whole = tuple(size // factor * factor for size in shape)
    assert not crops or seen[: whole[0], : whole[1]].all()
    assert bool(crops) == (whole[0] >= factor * ROWS and whole[1] >= factor * COLS)


def test_a_pair_smaller_than_a_window_is_one_window_with_nothing_around():
    crops = crops_of("a", (42, 24), (0.0, 1.0), factor=1, stride=(ROWS, COLS))
    cut = cut_crops(np.ones((1, 42, 24), dtype=np.float32), crops)
    assert [(crop.rows, crop.cols) for crop in crops] == [((0, 42), (0, 24))]
    assert (cut[0, 0, :42, :24] == 1).all()
    assert np.isnan(cut).sum() == ROWS * COLS - 42 * 24
    assert crops_of("a", (42, 24), (0.0, 1.0), factor=2, stride=(ROWS, COLS)) == []


def test_a_coarser_window_holds_means_and_is_unknown_where_a_pixel_is():
    values = np.arange(128 * 64, dtype=np.float32).reshape(1, 128, 64)
    values[0, 0, 0] = np.nan
    cut = cut_crops(values, crops_of("a", (128, 64), (0.0, 1.0), factor=2, stride=(ROWS, COLS)))
    assert np.isnan(cut[0, 0, 0, 0])
    assert cut[0, 0, 0, 1] == pytest.approx(np.mean([2, 3, 66, 67]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train": {}}, "must each name a pair"),
        ({"train": {"made-up": (0.5, 0.4)}}, "made-up: columns 0.5 to 0.4"),
        ({"share": 1.0}, "some pairs, and some worlds"),
        ({"coarser": (0,)}, "whole numbers from 1"),
    ],
)
def test_splits_that_cannot_be_are_refused(change, message):
    usual = {"train": {"made-up": (0.0, 0.5)}, "validate": {"made-up": (0.6, 1.0)}}
    with pytest.raises(ValueError, match=message):
        PairSpec(**usual | change)


def test_pairs_need_a_package_to_start_from(start):
    with pytest.raises(ConfigError, match="start must name its package"):
        PairsTask(replace(recipe_of(start), start=None), {})


def test_the_network_cannot_be_chosen_anew(start):
    with pytest.raises(ConfigError, match="leave it out"):
        PairsTask(replace(recipe_of(start), network=NETWORK), {})


def test_without_samples_the_message_says_which_setting(start):
    with pytest.raises(ConfigError, match="set UNDERSKY_SAMPLES"):
        build_task(recipe_of(start))


def test_a_pair_that_is_not_there_is_named(start, tmp_path):
    with pytest.raises(ConfigError, match="no pair 'made-up' in"):
        build(recipe_of(start), samples=tmp_path)


def test_the_digest_is_of_pixels_worlds_and_start(start, data):
    def digest(pair):
        task = PairsTask(recipe_of(start), {"made-up": pair})
        return task.prepare(data, progress=lambda *_: None)

    assert digest(made_pair()) == digest(made_pair())
    assert digest(made_pair()) != digest(made_pair(columns=0.001))


def test_the_right_air_over_a_simulated_pair_gives_the_agencys_ground(start):
    pair = made_pair(shape=(64, 32))
    crops = crops_of("a", (64, 32), (0.0, 1.0), factor=1, stride=(ROWS, COLS))
    physics = build_physics(load_package(shipped(ARCHITECTURE)))
    views, absent = view_pair(pair, crops, physics=physics, model=build_network(load_package(start)))
    assert absent == []
    assert bool(views.known.all())
    seen = views.windows
    path, transmittance, albedo = (
        values[:, 1][..., None, None] for values in (seen.path, seen.transmittance, seen.spherical_albedo)
    )  # continental aerosol of 0.06, which the pair was made with
    y = (seen.toa / seen.gas_transmittance[..., None, None] - path) / transmittance
    ground = y / (1.0 + albedo * y)
    # water vapour and ozone are believed, not known, so a little is left
    assert float(((ground - views.agency).abs() / (0.05 * views.agency + 0.005)).max()) < 1.0


def test_a_band_that_a_pair_lacks_is_filled_within_the_spread_that_is_stated(start, data):
    worlds = CorrectionTask(TINY)
    worlds.prepare(data, progress=lambda *_: None)
    drawn = [worlds.composer("train", cols=COLS).compose(32, seed=(1, k)) for k in range(4)]
    filling = learn_filling(0, [(world, windows_of(world)) for world in drawn[:3]])
    unseen = windows_of(drawn[3])
    spoilt = replace(unseen, toa=torch.cat([torch.full_like(unseen.toa[:, :1], 9.0), unseen.toa[:, 1:]], 1))
    filled = filling(spoilt)
    off = (filled.toa[:, 0] - unseen.toa[:, 0])[drawn[3].usable > 0]
    assert float(off.square().mean()) < 9.0 * filling.variance
    assert float(off.square().mean().sqrt()) < 0.02
    assert torch.equal(filled.toa[:, 1:], unseen.toa[:, 1:])
    assert torch.allclose(filled.noise[:, 0], unseen.noise[:, 0] + filling.variance)


def test_an_absent_band_is_shown_to_the_network_but_never_judged(task):
    views = task._train
    assert float(views.windows.toa[:, 0].mean()) > 0.05
    assert not bool(views.known[:, 0].any())
    assert bool(views.known[:, 1:].all())
    assert set(beside_agency(views, views.agency, sensor=SENSORS["L8"])) == {
        "B2",
        "B3",
        "B4",
        "B5",
        "B6",
        "B7",
    }


def test_a_batch_is_a_function_of_the_step_alone(task):
    network = task.network().requires_grad_(requires_grad=False)
    one, again, other = (task.loss(network, step, size=4, device=torch.device("cpu")) for step in (1, 1, 2))
    assert float(one.total) == float(again.total)
    assert float(one.total) != float(other.total)
    assert set(one.figures) >= {"accuracy", "pairs_accuracy", "pairs_in_spec_percent"}


def test_a_rank_with_one_scene_is_refused(task):
    with pytest.raises(ConfigError, match="hold no pair beside a world; 2 do"):
        task.loss(task.network(), 0, size=1, device=torch.device("cpu"))


def test_pixels_without_the_agencys_word_weigh_nothing(start, data):
    pair = made_pair()
    spoilt = pair.agency.copy()
    spoilt[:, :, :40] = np.nan
    spoilt[:, :10] = -0.2
    losses = []
    for agency in (spoilt, np.where(spoilt < 0, np.float32(-0.9), spoilt)):
        task = PairsTask(recipe_of(start), {"made-up": replace(pair, agency=agency)})
        task.prepare(data, progress=lambda *_: None)
        losses.append(float(task.loss(task.network(), 0, size=4, device=torch.device("cpu")).total.detach()))
    assert np.isfinite(losses[0])
    assert losses[0] == losses[1]


def test_steps_on_a_pair_bring_the_held_out_half_nearer_to_its_agency(start, data):
    task = PairsTask(recipe_of(start, pairs={"share": 0.75}), {"made-up": made_pair()})
    task.prepare(data, progress=lambda *_: None)
    network = task.network().train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    for step in range(40):
        optimizer.zero_grad()
        task.loss(network, step, size=8, device=torch.device("cpu")).total.backward()
        optimizer.step()
    found = task.held_out(network.eval())
    assert found["made-up: after_visible_rmse"] < 0.7 * found["made-up: before_visible_rmse"]
    assert {f"made-up: {who}_all_bias" for who in ("physics", "before", "after")} <= set(found)


@pytest.mark.slow
def test_the_package_says_where_it_came_from_and_how_it_stands_beside_the_agency(task, start, tmp_path):
    network = task.network().eval()
    package, figures = task.finish(network, {"recipe": "small"})
    assert figures["made-up: after_all_rmse"] == figures["made-up: before_all_rmse"]
    assert "in_spec_percent" in figures
    assert package.provenance["start_digest"] == load_package(start).digest
    assert package.provenance["figures"] == figures
    json.dumps(dict(package.provenance))
    save_package(package, tmp_path)
    assert load_package(tmp_path).version == "learned-small"


def test_the_shipped_recipe_keeps_its_two_splits_apart():
    recipe = load_recipe("pairs")
    pairs = recipe.dataset["pairs"]
    assert recipe.start == "learned"
    assert set(pairs["train"]) == {MOMOTOMBO}
    assert set(pairs["validate"]) == {MOMOTOMBO, BARBELLINO}


@pytest.mark.oracle
def test_the_real_pairs_are_cut_apart_and_judged(samples, start, data):
    shipped_recipe = load_recipe("pairs")
    recipe = recipe_of(start, pairs=dict(MappingProxyType(shipped_recipe.dataset["pairs"])))
    task = build_task(recipe, samples=samples)
    task.prepare(data, progress=lambda *_: None)
    train, momotombo, barbellino = task._train, task._validate[MOMOTOMBO], task._validate[BARBELLINO]
    assert max(crop.cols[1] for crop in train.crops) + GAP <= min(crop.cols[0] for crop in momotombo.crops)
    assert {crop.factor for crop in train.crops} == {crop.factor for crop in momotombo.crops} == {1, 2, 3}
    assert not bool(momotombo.known[:, ROLES.index("coastal")].any())  # the crop came without B1
    assert bool(barbellino.known[:, :, :42, :24].all())
    found = beside_agency(barbellino, barbellino.agency + 0.01, sensor=SENSORS["S2A"])
    assert found["B02"].bias == pytest.approx(0.01, abs=1e-6)
    loss = task.loss(task.network(), 0, size=4, device=torch.device("cpu"))
    assert np.isfinite(float(loss.total.detach()))


@pytest.mark.oracle
def test_leaving_one_pair_out_is_a_matter_of_the_recipe(samples, start, data):
    pairs = {"train": {MOMOTOMBO: [0.0, 1.0]}, "validate": {BARBELLINO: [0.0, 1.0]}}
    task = build_task(recipe_of(start, pairs=pairs), samples=samples)
    task.prepare(data, progress=lambda *_: None)
    assert max(crop.cols[1] for crop in task._train.crops) == 233
    assert set(task._validate) == {BARBELLINO}

"""Simulated clouded scenes: what they say is what they show."""

import numpy as np
import pytest
import torch

from undersky.bands import SENSORS
from undersky.datasets.cloudy import (
    CLASSES,
    CloudyScenes,
    CloudySky,
    CloudySpec,
    look_through,
    open_scenes,
    reflected,
    statements,
)
from undersky.datasets.cloudy_air import ROLES, bands_of, draw_airs
from undersky.datasets.cloudy_fields import FIELD_PX, FieldBank, draw_fields

SPEC = CloudySpec(size=48, fields=4, airs=40)
CIRRUS = ROLES.index("cirrus")
WRONG = ({"size": 200}, {"fields": 1}, {"clear": 1.5}, {"pixel_m": (90.0, 10.0)}, {"pixel_m": (0.0, 10.0)})


@pytest.fixture(scope="module")
def scenes() -> CloudyScenes:
    return open_scenes(SPEC, "train")


@pytest.fixture(scope="module")
def airs():
    return draw_airs(20, np.random.default_rng(3))


def sky(
    *, thickness: float = 0.0, sunward: float = 0.0, veil: float = 0.0, top_m: float = 1500.0
) -> CloudySky:
    def flat(value: float) -> torch.Tensor:
        return torch.full((1, 8, 8), value)

    height, ice = torch.tensor([top_m]), torch.tensor([0.0])
    return CloudySky(flat(thickness), flat(sunward), flat(thickness), flat(veil), height, ice)


def toa(airs, over: CloudySky, *, ground: float = 0.2) -> np.ndarray:
    """Mean TOA of each band over even ground."""
    surface = torch.full((1, len(ROLES), 8, 8), ground)
    return look_through(surface, over, airs, np.array([0])).mean((0, 2, 3)).numpy()


def said(over: CloudySky, *, water: float = 0.0, absent: bool = False) -> dict[str, float]:
    """The statement of each class about the first pixel."""
    shares = torch.full((1, 8, 8), water)
    found = statements(
        over, snow=torch.zeros(1, 8, 8), water=shares, direct=np.array([0.9]), absent=torch.tensor([absent])
    )
    return dict(zip(CLASSES, found[0, :, 0, 0].tolist(), strict=True))


def test_the_same_seed_makes_the_same_scenes_and_another_seed_others(scenes) -> None:
    first, again, other = (scenes.compose(2, seed=seed) for seed in ((1, 2), (1, 2), (1, 3)))
    assert torch.equal(first[0].nan_to_num(-1.0), again[0].nan_to_num(-1.0))
    assert torch.equal(first[1].nan_to_num(-1.0), again[1].nan_to_num(-1.0))
    assert not torch.equal(first[0].nan_to_num(), other[0].nan_to_num())


def test_scenes_hold_every_class_and_plausible_reflectance(scenes) -> None:
    values, labels = scenes.compose(24, seed=(5,))
    assert values.shape == (24, len(ROLES), SPEC.size, SPEC.size)
    assert labels.shape == (24, len(CLASSES), SPEC.size, SPEC.size)
    assert set(labels[torch.isfinite(labels)].tolist()) == {0.0, 1.0}
    shares = [float((labels[:, number] == 1.0).float().mean()) for number in range(len(CLASSES))]
    assert min(shares[:3]) > 0.02, shares
    assert max(shares) < 0.7, shares
    seen = values[torch.isfinite(values)]
    assert float(seen.min()) > -0.05
    assert float(seen.max()) < 1.4
    missing = torch.isnan(values)
    assert torch.equal(missing[:, 0], missing[:, 5])
    assert torch.isnan(labels)[missing[:, :1].expand_as(labels)].all()
    assert 0.0 < float(missing[:, 0].float().mean()) < 0.2
    assert 0.0 < float(missing[:, CIRRUS].all(dim=(1, 2)).float().mean()) < 0.6


def test_validation_is_made_of_other_spectra_fields_and_airs(scenes) -> None:
    other = open_scenes(SPEC, "validation")
    assert not set(scenes.materials.names) & set(other.materials.names)
    assert not np.array_equal(scenes.airs.path, other.airs.path)
    assert not np.array_equal(scenes.fields.billows, other.fields.billows)


def test_without_a_cloud_the_ground_is_seen_as_the_atmosphere_equation_says(airs) -> None:
    rho = np.float32(0.2)
    expected = airs.gas[0] * (
        airs.path[0] + airs.transmittance[0] * rho / (1.0 - airs.spherical_albedo[0] * rho)
    )
    np.testing.assert_allclose(toa(airs, sky()), expected, rtol=1e-4)


def test_a_thicker_cloud_reflects_more_and_hides_more_ground(airs) -> None:
    thin, thick = toa(airs, sky(thickness=2.0)), toa(airs, sky(thickness=30.0))
    assert (thick[:4] > thin[:4]).all()
    apart = [
        np.abs(toa(airs, over, ground=0.4) - toa(airs, over, ground=0.1))[3]
        for over in (sky(), sky(thickness=2.0), sky(thickness=30.0))
    ]
    assert apart[0] > apart[1] > apart[2] > 0.0
    assert float(reflected(torch.tensor(0.0))) == 0.0
    assert 0.6 < float(reflected(torch.tensor(30.0))) < 0.7


def test_a_shadow_darkens_every_band_and_the_near_infrared_more_than_the_blue(airs) -> None:
    clear, shaded = toa(airs, sky()), toa(airs, sky(sunward=30.0))
    ratio = shaded / clear
    assert (ratio[:6] < 1.0).all()
    assert ratio[ROLES.index("nir08")] < ratio[ROLES.index("blue")]


def test_the_cirrus_band_sees_cirrus_and_high_clouds_but_neither_ground_nor_low_clouds(airs) -> None:
    dampest = int(airs.gas[:, CIRRUS].argmin())
    surface = torch.full((1, len(ROLES), 8, 8), 0.5)

    def band(over: CloudySky) -> float:
        return float(look_through(surface, over, airs, np.array([dampest]))[0, CIRRUS].mean())

    assert band(sky()) < 0.004
    assert band(sky(veil=0.05)) > 0.015  # the dampest air leaves two fifths of it
    low, high = band(sky(thickness=20.0, top_m=600.0)), band(sky(thickness=20.0, top_m=7000.0))
    assert high > 5 * low


def test_what_is_said_follows_thickness_and_leaves_the_seam_open() -> None:
    assert said(sky(thickness=20.0))["cloud"] == 1.0
    assert said(sky(thickness=0.05))["cloud"] == 0.0
    assert np.isnan(said(sky(thickness=0.4))["cloud"])
    assert said(sky(sunward=20.0))["cloud_shadow"] == 1.0
    assert said(sky(thickness=20.0, sunward=20.0))["cloud_shadow"] == 0.0
    assert said(sky(veil=0.05))["cirrus"] == 1.0


def test_a_high_cloud_is_cirrus_a_low_one_is_none_and_between_nobody_says() -> None:
    low, between, high = (said(sky(thickness=2.0, top_m=top))["cirrus"] for top in (1500.0, 4000.0, 6500.0))
    assert (low, high) == (0.0, 1.0)
    assert np.isnan(between)


def test_nobody_says_what_lies_under_a_cloud_or_where_cirrus_is_without_its_band() -> None:
    assert said(sky(), water=1.0)["water"] == 1.0
    assert np.isnan(said(sky(thickness=20.0), water=1.0)["water"])
    assert np.isnan(said(sky(veil=0.05), absent=True)["cirrus"])


def test_a_shadow_lies_away_from_the_sun_as_far_as_its_cloud_is_high(scenes) -> None:
    spec = CloudySpec(size=96, fields=4, airs=40, clear=0.0, cirrus=0.0, pixel_m=(90.0, 90.0))
    cloudy = CloudyScenes(spec, scenes.fields, scenes.airs, scenes.materials)
    moved = 0
    for seed in range(12):
        chance = np.random.default_rng(seed)
        sky = cloudy._sky(np.array([0]), np.array([90.0]), np.array([90.0]), chance=chance)
        cols = round(float(sky.top_m[0]) * float(scenes.airs.sun_tangent[0]) / 90.0)
        if 0 < cols < 80:
            # the sun stands in the east: a pixel that many to the west of a cloud has it in its way
            west, cloud = sky.sunward[0, :, : 96 - cols], sky.thickness[0, :, cols:]
            torch.testing.assert_close(west, cloud, atol=1e-5, rtol=0.0)
            moved += 1
    assert moved >= 3


def test_fields_have_unit_variance_and_repeat_at_their_edges() -> None:
    bank = draw_fields(4, np.random.default_rng(1))
    field = bank.billows[2, 0].astype(np.float32)
    assert field.shape == (FIELD_PX, FIELD_PX)
    assert abs(float(field.std()) - 1.0) < 0.01
    seam = np.abs(np.diff(FieldBank.window(field, np.array([FIELD_PX - 8, 0]), 16), axis=0)).mean()
    inside = np.abs(np.diff(field[40:80], axis=0)).mean()
    assert seam < 2.0 * inside


def test_a_wider_wavelength_gives_a_smoother_field() -> None:
    bank, chance = draw_fields(4, np.random.default_rng(1)), np.random.default_rng(2)
    rough, smooth = (float(np.abs(np.diff(bank.clouds(length, chance))).mean()) for length in (6.0, 110.0))
    assert smooth < 0.5 * rough


@pytest.mark.parametrize("key", list(SENSORS))
def test_every_sensor_has_all_bands_of_the_mask(key: str) -> None:
    names = {band.name: band.common_name for band in SENSORS[key].bands}
    assert tuple(names[name] for name in bands_of(key)) == ROLES


@pytest.mark.parametrize("wrong", WRONG)
def test_a_spec_that_makes_no_sense_is_refused(wrong) -> None:
    with pytest.raises(ValueError, match=r"\w+"):
        CloudySpec(**wrong)

"""Real pairs: same pixels, right numbers, every assumption said."""

from datetime import UTC, datetime

import numpy as np
import pytest

from undersky.datasets.pairs import BARBELLINO, MOMOTOMBO, load_pairs, sun_zenith


@pytest.fixture(scope="module")
def pairs(samples):
    return {pair.name: pair for pair in load_pairs(samples)}


def test_a_folder_without_pairs_yields_none(tmp_path):
    assert list(load_pairs(tmp_path)) == []


@pytest.mark.oracle
def test_both_pairs_are_found(pairs):
    assert set(pairs) == {MOMOTOMBO, BARBELLINO}
    assert [pairs[name].processor for name in (MOMOTOMBO, BARBELLINO)] == ["LaSRC", "Sen2Cor"]


@pytest.mark.oracle
@pytest.mark.parametrize("name", [MOMOTOMBO, BARBELLINO])
def test_both_halves_are_of_the_same_pixels(pairs, name):
    pair = pairs[name]
    assert pair.observation.toa.shape == pair.agency.shape
    assert pair.clear.shape == pair.agency.shape[1:]
    for above, below in zip(pair.observation.toa, pair.agency, strict=True):
        known = np.isfinite(above) & np.isfinite(below)
        assert np.corrcoef(above[known], below[known])[0, 1] > 0.65


@pytest.mark.oracle
def test_the_landsat_means_are_those_its_source_states(pairs):
    """SOURCE.md gives means over the whole crop, of which this is the western half."""
    pair = pairs[MOMOTOMBO]
    above = pair.observation.toa.mean(axis=(1, 2))
    below = np.nanmean(pair.agency, axis=(1, 2))
    assert pair.observation.bands == ("B2", "B3", "B4", "B5", "B6", "B7")
    assert above == pytest.approx([0.114, 0.100, 0.073, 0.280, 0.134, 0.062], abs=0.02)
    assert below == pytest.approx([0.032, 0.064, 0.046, 0.273, 0.136, 0.066], abs=0.02)


@pytest.mark.oracle
def test_the_landsat_sun_is_that_of_its_metadata(pairs):
    assert pairs[MOMOTOMBO].observation.sun_zenith == pytest.approx(90.0 - 48.2445, abs=0.05)
    assert pairs[MOMOTOMBO].observation.sensor.key == "L8"


@pytest.mark.oracle
def test_the_sentinel_means_are_those_its_source_states(pairs):
    pair = pairs[BARBELLINO]
    assert "B8A" not in pair.observation.bands
    assert "B10" not in pair.observation.bands
    index = pair.observation.bands.index("B11")
    assert pair.observation.toa[index].mean() == pytest.approx(0.13567, abs=1e-4)
    assert pair.agency[index].mean() == pytest.approx(0.15780, abs=1e-4)


@pytest.mark.oracle
def test_a_pair_says_what_was_assumed_of_it(pairs):
    for pair in pairs.values():
        text = " ".join(pair.assumptions)
        for word in ("zenith", "ozone", "altitude"):
            assert word in text, f"{pair.name} is silent on {word}"


@pytest.mark.oracle
def test_the_computed_sun_agrees_with_landsats_metadata():
    """LC08 017/051, 2015-12-05 16:06:06 UTC: sun elevation 48.2445 at the scene's centre, 13.01 N 86.30 W."""
    when = datetime(2015, 12, 5, 16, 6, 6, tzinfo=UTC)
    assert sun_zenith(when, latitude=13.01, longitude=-86.30) == pytest.approx(41.7555, abs=0.4)


def test_the_sun_stands_overhead_at_the_equator_at_an_equinox_noon():
    when = datetime(2023, 3, 21, 12, 7, tzinfo=UTC)
    assert sun_zenith(when, latitude=0.0, longitude=0.0) < 0.8


def test_the_sun_stands_overhead_at_the_tropic_at_the_solstice_noon():
    when = datetime(2023, 6, 21, 12, 2, tzinfo=UTC)
    assert sun_zenith(when, latitude=23.44, longitude=0.0) < 0.5


@pytest.mark.parametrize("month", range(1, 13))
def test_the_suns_noon_height_follows_the_latitude(month):
    when = datetime(2022, month, 15, 12, 0, tzinfo=UTC)
    difference = sun_zenith(when, latitude=60.0, longitude=0.0) - sun_zenith(
        when, latitude=50.0, longitude=0.0
    )
    assert difference == pytest.approx(10.0, abs=0.3)


def test_the_sun_moves_westward():
    when = datetime(2022, 7, 1, 16, 0, tzinfo=UTC)
    east, west = (sun_zenith(when, latitude=45.0, longitude=lon) for lon in (20.0, -40.0))
    assert east > west + 20.0

"""What the maps lose by a worse model upstream: the same grounds, whoever corrects them."""

import sys
from pathlib import Path

import numpy as np
import pytest
from scenes import Offset

from undersky.datasets.landscapes.compose import draw_landscape
from undersky.datasets.landscapes.spectra import BANDS
from undersky.datasets.suites import load_suite
from undersky.errors import ConfigError, DataError
from undersky.evaluation.downstream import (
    DIMENSION,
    SUITE,
    Corrected,
    by_correction,
    downstream_rows,
    seen_through,
)
from undersky.quality import Quality

sys.path.insert(0, str(Path(__file__).parents[1] / "release"))
from small_maps import untrained


@pytest.fixture(scope="module")
def cover(tmp_path_factory):
    """A land cover that was never trained."""
    folder = tmp_path_factory.mktemp("cover")
    untrained(folder, "landcover")
    return {"landcover": folder}


def unchanged(observation):
    """Whoever removes no atmosphere."""
    return Corrected(observation.toa)


def test_the_same_model_upstream_gives_the_same_evidence(cover):
    once, again = (downstream_rows(unchanged, cover, scenes=2) for _ in range(2))
    assert once == again
    assert {(row.suite, row.dimension, row.value) for row in once} == {(SUITE, DIMENSION, "landcover")}
    assert len({row.scene for row in once}) == 2


def test_what_the_mask_withholds_is_missed(cover):
    def clouded(observation):
        bits = np.full(observation.toa.shape[1:], int(Quality.CLOUD), dtype=np.uint16)
        return Corrected(observation.toa, bits)

    rows = {row.metric: row for row in downstream_rows(clouded, cover, scenes=1)}
    assert (rows["recall_percent"].top, rows["recall_percent"].bottom) == (0.0, 96.0 * 96.0)
    assert rows["precision_percent"].bottom == 0.0


def test_a_correction_is_asked_for_the_reflectance_alone(cover):
    assert downstream_rows(by_correction(Offset(0.0)), cover, scenes=1) == downstream_rows(
        unchanged, cover, scenes=1
    )


@pytest.mark.parametrize(("place", "sensor"), [(0, "S2A"), (3, "L8")])
def test_the_ground_is_seen_in_the_bands_that_the_sensor_has(place, sensor):
    air = load_suite("direct-6s").scenes[place]
    assert air.sensor.key == sensor
    ground = draw_landscape("suite", (1,), size=32, sensor=sensor).reflectance
    seen = seen_through(air, dict(zip(BANDS, ground, strict=True)), seed=1)
    assert np.isfinite(seen.toa).all()
    common = {air.sensor.band(name).common_name for name in seen.bands}
    assert {"blue", "green", "red", "nir08", "swir16", "swir22"} <= common
    assert ("rededge071" in common) == (sensor == "S2A")
    assert seen.place.pixel_m == (10.0 if sensor == "S2A" else 30.0)


def test_nothing_is_tried_where_there_is_nobody_downstream():
    assert downstream_rows(unchanged, {}) == ()


def test_a_model_that_works_on_nobodys_output_is_refused(cover):
    with pytest.raises(ConfigError, match="quality works on nobody's output"):
        downstream_rows(unchanged, {"quality": cover["landcover"]})


def test_a_package_of_another_model_is_refused(cover):
    with pytest.raises(DataError, match="for vessels"):
        downstream_rows(unchanged, {"vessels": cover["landcover"]}, scenes=1)

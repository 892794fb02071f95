import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from undersky.errors import DataError, Reason
from undersky.models.package import load_package, save_package, shipped
from undersky.models.physics import PhysicsConfig, build_physics, main, standard_climatology

climatology = standard_climatology()


def test_the_shipped_package_is_what_this_code_makes():
    model = build_physics(load_package(shipped("physics")))
    assert model.config == PhysicsConfig()
    np.testing.assert_array_equal(model.climatology.water_vapour, climatology.water_vapour)


def test_rebuilding_the_shipped_package_changes_no_byte():
    before = load_package(shipped("physics")).digest
    main()
    assert load_package(shipped("physics")).digest == before


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("latitude", "month", "water"),
    [(0, 1, 4.12), (40, 7, 2.93), (80, 1, 0.419), (-50, 7, 0.853), (60, 7, 2.10), (-20, 7, 2.93)],
)
def test_the_table_holds_the_standard_atmosphere_of_place_and_season(latitude, month, water):
    row = int(np.flatnonzero(climatology.latitude == latitude)[0])
    assert climatology.water_vapour[month - 1, row] == pytest.approx(water)


@given(st.floats(-90, 90), st.integers(1, 366))
def test_the_climatology_stays_within_the_standard_atmospheres(latitude, day):
    water, ozone = climatology.at(latitude, day_of_year=day)
    assert 0.41 <= water <= 4.13
    assert 246.0 <= ozone <= 481.0


def test_the_year_closes_without_a_step():
    for latitude in (-45.0, 35.0, 65.0):
        last, first = climatology.at(latitude, day_of_year=365), climatology.at(latitude, day_of_year=1)
        assert last[0] == pytest.approx(first[0], abs=0.05)
        assert last[1] == pytest.approx(first[1], abs=5)


def test_summer_is_wetter_than_winter_in_the_north():
    assert climatology.at(45, day_of_year=200)[0] > 1.15 * climatology.at(45, day_of_year=20)[0]


def refused(package, **changes):
    with pytest.raises(DataError) as caught:
        build_physics(dataclasses.replace(package, **changes))
    assert caught.value.reason is Reason.MODEL_REFUSED
    return str(caught.value)


def test_another_architecture_is_refused():
    assert "unet" in refused(load_package(shipped("physics")), architecture="unet")


def test_an_unknown_key_is_refused_by_name():
    package = load_package(shipped("physics"))
    assert "surprise" in refused(package, config={**package.config, "surprise": 1.0})


def test_a_missing_key_is_refused_by_name():
    package = load_package(shipped("physics"))
    config = {key: value for key, value in package.config.items() if key != "aot_550"}
    assert "aot_550" in refused(package, config=config)


def test_a_config_that_is_no_number_is_refused():
    package = load_package(shipped("physics"))
    assert "no numbers" in refused(package, config={**package.config, "aot_550": "high"})


def test_missing_weights_are_refused():
    refused(load_package(shipped("physics")), weights={})


def test_a_tuned_baseline_is_a_package_of_its_own(tmp_path):
    package = load_package(shipped("physics"))
    tuned = dataclasses.replace(package, version="mine", config={**package.config, "aot_550": 0.2})
    loaded = build_physics(save_package(tuned, tmp_path / "mine"))
    assert loaded.config.aot_550 == 0.2

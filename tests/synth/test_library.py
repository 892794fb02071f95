"""The spectral library: what it holds, where it comes from, what a band makes of it."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from undersky.bands import SENSORS
from undersky.errors import ConfigError
from undersky.synth.library import (
    CLASSES,
    WAVELENGTH_NM,
    Library,
    build,
    load_library,
    measured,
    modelled,
    response_matrix,
    split_of,
)
from undersky.synth.water_snow import (
    Snow,
    Water,
    ice_absorption,
    pure_water_absorption,
    snow_reflectance,
    water_reflectance,
)

NM = WAVELENGTH_NM.astype(np.float64)


def mean_of(library: Library, sensor: str, band: str) -> float:
    names = [b.name for b in SENSORS[sensor].bands]
    return float(library.band_reflectance(sensor)[:, names.index(band)].mean())


def test_library_holds_at_most_about_four_hundred_uniquely_named_spectra():
    library = load_library()
    assert 300 <= len(library.names) <= 410
    assert len(set(library.names)) == len(library.names)
    assert library.reflectance.shape == (len(library.names), 206)
    assert (WAVELENGTH_NM[0], WAVELENGTH_NM[-1], len(WAVELENGTH_NM)) == (400, 2450, 206)


def test_every_reflectance_is_finite_and_between_zero_and_one():
    reflectance = load_library().reflectance
    assert np.isfinite(reflectance).all()
    assert reflectance.min() >= 0
    assert reflectance.max() <= 1


@pytest.mark.parametrize("surface_class", CLASSES)
@pytest.mark.parametrize("split", ["train", "test"])
def test_both_splits_hold_spectra_of_every_class(surface_class, split):
    chosen = load_library().where(surface_class, split=split)
    assert len(chosen.names) >= 3, chosen.names
    assert set(chosen.classes) == {surface_class}
    assert {split_of(name) for name in chosen.names} == {split}


def test_no_spectrum_is_in_both_splits_and_three_in_ten_are_for_testing():
    library = load_library()
    train, test = library.where(split="train"), library.where(split="test")
    assert not set(train.names) & set(test.names)
    assert len(train.names) + len(test.names) == len(library.names)
    assert 0.22 < len(test.names) / len(library.names) < 0.38


def test_no_test_spectrum_equals_a_training_spectrum():
    library = load_library()
    train = {row.tobytes() for row in library.where(split="train").reflectance}
    test = {row.tobytes() for row in library.where(split="test").reflectance}
    assert not train & test


@given(st.text(min_size=1, max_size=30))
def test_a_name_is_always_in_the_same_split(name):
    assert split_of(name) in ("train", "test")
    assert split_of(name) == split_of(name)


def test_where_finds_kinds_and_takes_nothing_else():
    roads = load_library().where("built", kinds=["road"])
    assert roads.names
    assert set(roads.kinds) == {"road"}


def test_take_keeps_order_and_columns_together():
    library = load_library()
    taken = library.take([5, 2])
    assert taken.names == (library.names[5], library.names[2])
    assert taken.kinds == (library.kinds[5], library.kinds[2])
    np.testing.assert_array_equal(taken.reflectance, library.reflectance[[5, 2]])


@pytest.mark.parametrize("sensor", list(SENSORS))
def test_band_weights_are_positive_and_sum_to_one(sensor):
    weights = response_matrix(sensor)
    assert weights.shape == (len(SENSORS[sensor].bands), 206)
    assert weights.min() >= 0
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("sensor", list(SENSORS))
def test_band_weights_sit_where_the_band_table_says(sensor):
    centres = response_matrix(sensor) @ NM
    expected = np.array([band.wavelength_nm for band in SENSORS[sensor].bands])
    widths = np.array([band.width_nm for band in SENSORS[sensor].bands])
    assert (np.abs(centres - expected) < 0.12 * widths + 4).all()


@settings(max_examples=20)
@given(st.floats(0, 1))
def test_a_flat_spectrum_has_its_value_in_every_band(value):
    flat = Library(("flat",), ("soil",), ("soil",), np.full((1, 206), value, np.float32))
    for sensor in SENSORS:
        np.testing.assert_allclose(flat.band_reflectance(sensor), value, atol=2e-6)


def test_an_unknown_sensor_is_refused():
    with pytest.raises(ConfigError, match="S9Z"):
        load_library().band_reflectance("S9Z")


def test_green_plants_have_a_red_edge_and_soil_has_none():
    plants, soil = load_library().where("vegetation"), load_library().where("soil")
    assert mean_of(plants, "S2A", "B08") > 5 * mean_of(plants, "S2A", "B04")
    assert mean_of(soil, "S2A", "B08") < 2 * mean_of(soil, "S2A", "B04")


def test_snow_is_bright_in_the_visible_and_dark_at_2200_nm():
    snow = load_library().where("snow", kinds=["fresh"])
    assert mean_of(snow, "S2A", "B03") > 0.9
    assert mean_of(snow, "S2A", "B12") < 0.3


def test_clear_water_is_blue_and_sediment_makes_it_brighter_in_red():
    clear, turbid = load_library().where(kinds=["clear"]), load_library().where(kinds=["sediment"])
    assert mean_of(clear, "L8", "B1") > 2 * mean_of(clear, "L8", "B4")
    assert mean_of(turbid, "L8", "B4") > 5 * mean_of(clear, "L8", "B4")
    assert mean_of(clear, "L8", "B6") < 0.01


def test_pure_water_absorbs_least_in_the_blue_and_a_million_times_more_at_2_um():
    absorption = pure_water_absorption(NM)
    assert NM[absorption.argmin()] in (410, 420)
    assert absorption[NM == 2000][0] / absorption.min() > 1e6


@pytest.mark.oracle
def test_water_absorption_is_that_of_published_tables():
    # Pope & Fry 1997 at 440, 550 and 700 nm; Hale & Querry 1973 at 1000 nm (36.3 per metre).
    published = {440.0: 0.00635, 550.0: 0.0565, 700.0: 0.624, 1000.0: 36.3}
    found = pure_water_absorption(np.array(list(published)))
    np.testing.assert_allclose(found, list(published.values()), rtol=0.005)


@pytest.mark.oracle
def test_ice_absorption_is_that_of_warren_and_brandt():
    # 4 pi m_im / wavelength of their table: 1030 nm 2.33e-6, 1600 nm between 4.5e-4 (1587) and 3.9e-4 (1613).
    found = ice_absorption(np.array([1030.0, 600.0]))
    np.testing.assert_allclose(found, [4e9 * np.pi * 2.3e-6 / 1030, 4e9 * np.pi * 5.73e-9 / 600], rtol=0.02)


@settings(max_examples=40)
@given(st.floats(0.05, 5), st.floats(0.05, 5), st.floats(0, 4))
def test_coarser_snow_is_never_brighter(one, other, impurity):
    fine, coarse = sorted((one, other))
    assert (snow_reflectance(NM, Snow(fine, impurity)) >= snow_reflectance(NM, Snow(coarse, impurity))).all()


@settings(max_examples=40)
@given(st.floats(0.05, 5), st.floats(0, 4), st.floats(0, 4))
def test_dirtier_snow_is_never_brighter(grain, one, other):
    clean, dirty = sorted((one, other))
    assert (snow_reflectance(NM, Snow(grain, clean)) >= snow_reflectance(NM, Snow(grain, dirty))).all()


@settings(max_examples=40)
@given(st.floats(0.02, 60), st.floats(0, 300), st.floats(0, 8))
def test_water_reflectance_stays_physical(chlorophyll, sediment, dissolved):
    found = water_reflectance(NM, Water(chlorophyll, sediment, dissolved))
    assert (found > 0).all()
    assert found.max() < 0.35


@settings(max_examples=30)
@given(st.floats(0.02, 40), st.floats(0, 5), st.floats(0.1, 5))
def test_dissolved_matter_only_darkens(chlorophyll, dissolved, more):
    less = water_reflectance(NM, Water(chlorophyll, 1.0, dissolved))
    assert (water_reflectance(NM, Water(chlorophyll, 1.0, dissolved + more)) <= less + 1e-12).all()


def test_modelled_spectra_are_in_the_shipped_file_unchanged():
    shipped = load_library()
    position = {name: i for i, name in enumerate(shipped.names)}
    made = modelled()
    rows = [position[name] for name in made.names]
    np.testing.assert_allclose(shipped.reflectance[rows], made.reflectance, atol=6e-5)


@pytest.mark.oracle
def test_measured_spectra_are_earthlibs_and_the_build_repeats_the_shipped_file(samples: Path, tmp_path: Path):
    shipped = load_library()
    built = build(samples / "spectra-earthlib", tmp_path / "spectra.npz")
    assert built.names == shipped.names
    assert built.classes == shipped.classes
    np.testing.assert_allclose(built.reflectance, shipped.reflectance, atol=6e-5)
    assert (tmp_path / "spectra.npz").stat().st_size < 400_000


@pytest.mark.oracle
def test_a_measured_spectrum_equals_its_row_in_the_source(samples: Path):
    folder = samples / "spectra-earthlib"
    chosen = measured(folder)
    names = (folder / "spectra.csv").read_text(encoding="utf-8").splitlines()[1:]
    source = np.fromfile(folder / "spectra.sli", dtype="<f4").reshape(len(names), -1)
    row = [line.split(",")[0] for line in names].index(chosen.names[0])
    np.testing.assert_allclose(chosen.reflectance[0][:90], source[row][:90], atol=1e-6)


@pytest.mark.faults
def test_a_folder_without_spectra_is_refused_with_what_is_missing(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"spectra\.csv"):
        measured(tmp_path)

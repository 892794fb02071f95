"""What is stored comes back, within half a step and nowhere else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from undersky.bands import SENSORS
from undersky.raster import encoding as enc

B04 = enc.reflectance_layer(SENSORS["S2A"].band("B04"))
UNC = enc.uncertainty_layer(SENSORS["S2A"].band("B04"))
LINEAR = (B04, *enc.COARSE)


@given(st.floats(-0.9998, 3.2767))
def test_reflectance_returns_within_half_a_step(value: float) -> None:
    back = enc.decode(enc.encode(np.array([value]), B04), B04)[0]
    assert abs(back - value) <= 0.5e-4 + 1e-6


@given(st.floats(0.00065, 0.1008))
def test_uncertainty_keeps_five_percent_of_its_value(value: float) -> None:
    back = enc.decode(enc.encode(np.array([value]), UNC), UNC)[0]
    assert back == pytest.approx(value, rel=0.05)


@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_encoding_never_changes_the_order_of_uncertainties(one: float, other: float) -> None:
    low, high = enc.encode(np.array(sorted((one, other))), UNC)
    assert low <= high


def test_slightly_negative_reflectance_is_kept() -> None:
    assert enc.decode(enc.encode(np.array([-0.0123]), B04), B04)[0] == pytest.approx(-0.0123, abs=5e-5)


@pytest.mark.parametrize("layer", [*LINEAR, UNC], ids=lambda layer: layer.key)
def test_nan_and_only_nan_becomes_nodata(layer: enc.Layer) -> None:
    values = np.array([np.nan, -np.inf, np.inf, -1e9, 1e9, 0.0], dtype=np.float32)
    if layer.curve == "square":
        values = np.maximum(values, 0.0)
    stored = enc.encode(values, layer)
    assert stored[0] == layer.nodata
    assert (stored[1:] != layer.nodata).all()
    assert np.isnan(enc.decode(stored, layer)[0])
    assert np.isfinite(enc.decode(stored, layer)[1:]).all()


@pytest.mark.parametrize("layer", [*LINEAR, UNC], ids=lambda layer: layer.key)
def test_values_beyond_the_range_are_clipped_to_it(layer: enc.Layer) -> None:
    low, high = layer.range
    back = enc.decode(enc.encode(np.array([low - 1 if low < 0 else low, high * 2]), layer), layer)
    assert back == pytest.approx([low, high], rel=1e-6)


@pytest.mark.parametrize("layer", [*LINEAR, UNC], ids=lambda layer: layer.key)
def test_every_stored_integer_returns_to_itself(layer: enc.Layer) -> None:
    low, high = layer.codes
    codes = np.arange(low, high + 1).astype(layer.dtype)
    assert (enc.encode(enc.decode(codes, layer), layer) == codes).all()


def test_encode_leaves_its_input_alone() -> None:
    values = np.array([0.1, np.nan], dtype=np.float32)
    enc.encode(values, B04)
    assert values[0] == np.float32(0.1)


@pytest.mark.parametrize("key", SENSORS)
def test_a_product_carries_reflectance_and_uncertainty_of_every_corrected_band(key: str) -> None:
    sensor = SENSORS[key]
    keys = [layer.key for layer in enc.layers_of(sensor)]
    assert len(keys) == len(set(keys)) == 2 * len(sensor.corrected_bands) + 8
    for band in sensor.corrected_bands:
        assert {band.asset, f"unc_{band.asset}"} <= set(keys)


@pytest.mark.parametrize("key", SENSORS)
def test_classes_and_bits_never_average_in_overviews(key: str) -> None:
    for layer in enc.layers_of(SENSORS[key]):
        assert (layer.overviews == "average") == (not enc.bits_of(layer, SENSORS[key]))


def test_sensors_of_one_collection_share_their_layers() -> None:
    def shape_of(key: str) -> list[tuple[str, str, float, int | None]]:
        return [(layer.key, layer.dtype, layer.scale, layer.nodata) for layer in enc.layers_of(SENSORS[key])]

    assert shape_of("S2A") == shape_of("S2B") == shape_of("S2C")
    assert shape_of("L8") == shape_of("L9")


@pytest.mark.parametrize("key", SENSORS)
def test_saturation_has_a_bit_for_every_corrected_band_and_fits_its_type(key: str) -> None:
    names = [name for name, _ in enc.bits_of(enc.SATURATION, SENSORS[key])]
    assert names == [band.asset for band in SENSORS[key].corrected_bands]
    assert len(names) <= 16

"""`simulate` puts a product and its truth where they belong, or refuses the order."""

import hashlib
from datetime import UTC, datetime

import numpy as np
import pytest

from undersky.atmosphere.state import Coefficients
from undersky.bands import SENSORS
from undersky.errors import ConfigError
from undersky.stages.simulate import Order, simulate
from undersky.synth.acquisition import Request
from undersky.synth.truth import read_truth


def thin_air(sensor):
    """A stand-in for the sensor's emulator: the same clean air over every node."""

    def coefficients(state, _geometry):
        bands = SENSORS[sensor].bands
        shape = (len(bands), *state.aot_550.shape)
        path = np.broadcast_to([[[30.0 / band.wavelength_nm]] for band in bands], shape) ** 2 * 20
        gas = np.broadcast_to([[[0.01 if band.role == "cirrus" else 0.98]] for band in bands], shape)
        full = np.full(shape, 0.9)
        return Coefficients(path, full, 0 * full + 0.05, gas, np.zeros(shape[1:], bool))

    return coefficients


SMALL = Request(sensor="S2B", acquired=datetime(2025, 6, 13, 10, 15, tzinfo=UTC), seed=3, size_m=1_800)
LANDSAT = Request(
    sensor="L8", tile="192028", acquired=datetime(2025, 6, 13, 10, 15, tzinfo=UTC), size_m=1_800
)


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"request": LANDSAT, "layout": "zip"}, "folders"),
        ({"request": SMALL, "malformed": "melted"}, "truncated_jp2"),
        ({"request": LANDSAT, "malformed": "truncated_jp2"}, "sentinel-2"),
        ({"request": SMALL, "malformed": "landsat_vrt"}, "landsat"),
        ({"request": SMALL, "malformed": "truncated_jp2", "layout": "zip"}, "layout"),
    ],
)
def test_orders_that_describe_nothing_are_refused_at_once(wanted, says):
    with pytest.raises(ConfigError, match=says):
        Order(**wanted)


def test_product_and_truth_lie_side_by_side_and_nothing_else(tmp_path):
    made = simulate(tmp_path / "out", order=Order(SMALL), atmosphere=thin_air("S2B"))
    assert sorted((tmp_path / "out").iterdir()) == sorted([made.product, made.truth])
    assert made.product.name.startswith("S2B_MSIL1C_2025")
    assert set(read_truth(made.truth).surface) >= {"B02", "B8A", "B12"}


def test_the_same_order_again_replaces_the_product_with_the_same_bytes(tmp_path):
    digests = []
    for _ in range(2):
        made = simulate(tmp_path, order=Order(LANDSAT), atmosphere=thin_air("L8"))
        files = sorted(path for path in tmp_path.rglob("*") if path.is_file())
        digests.append([(path, hashlib.sha256(path.read_bytes()).hexdigest()) for path in files])
    assert made.product.name == "LC08_L1TP_192028_20250613_20250620_02_T1"
    assert digests[0] == digests[1]


@pytest.mark.parametrize(("layout", "ending"), [("zip", ".zip"), ("tile", "0")])
def test_other_layouts_come_with_their_truth_too(tmp_path, layout, ending):
    made = simulate(tmp_path, order=Order(SMALL, layout=layout), atmosphere=thin_air("S2B"))
    assert made.product.name.endswith(ending)
    assert made.truth.parent == made.product.parent
    assert read_truth(made.truth).request["seed"] == 3


@pytest.mark.faults
def test_a_malformed_product_lies_in_its_own_folder_with_its_truth(tmp_path):
    made = simulate(tmp_path, order=Order(SMALL, malformed="missing_band"), atmosphere=thin_air("S2B"))
    assert made.product.parent == made.truth.parent == tmp_path / "missing_band"
    assert list(made.product.glob("GRANULE/*/IMG_DATA/*_B08.jp2")) == []
    assert len(list(made.product.glob("GRANULE/*/IMG_DATA/*.jp2"))) == 13


@pytest.mark.faults
def test_a_failed_run_leaves_nothing_behind(tmp_path):
    def broken(*_args):
        raise RuntimeError("the emulator broke")

    with pytest.raises(RuntimeError, match="broke"):
        simulate(tmp_path, order=Order(SMALL), atmosphere=broken)
    assert list(tmp_path.iterdir()) == []

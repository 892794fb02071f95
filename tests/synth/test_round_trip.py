"""What the writers write the readers read: every sensor, layout and baseline, every malformed kind."""

from datetime import UTC, datetime

import numpy as np
import pytest

from undersky.atmosphere.state import Coefficients
from undersky.bands import SENSORS
from undersky.errors import DataError, Reason
from undersky.grid import Window, upsample, whole
from undersky.quality import Quality
from undersky.sensors import open_scene, require_bands, verify_pixels
from undersky.synth.acquisition import Request, simulate
from undersky.synth.landsat import write_landsat
from undersky.synth.malformed import MALFORMED, malform
from undersky.synth.safe import write_safe
from undersky.synth.safe_variants import write_tile_folder, write_zip

SENTINELS = ["S2A", "S2B", "S2C"]
CASES = [
    *((write_safe, sensor, "05.11") for sensor in SENTINELS),
    *((write_safe, sensor, "02.09") for sensor in SENTINELS[:2]),
    *((write_zip, "S2B", baseline) for baseline in ("05.11", "02.09")),
    *((write_tile_folder, "S2A", baseline) for baseline in ("05.11", "02.09")),
    *((write_landsat, sensor, "") for sensor in ("L8", "L9")),
]


@pytest.fixture(
    scope="module",
    params=CASES,
    ids=[f"{write.__name__[6:]}-{sensor}-{base}" for write, sensor, base in CASES],
)
def pair(request, handmade, tmp_path_factory):
    write, sensor, baseline = request.param
    acquisition = handmade(sensor, size_m=3_600, edge=True)
    options = {"baseline": baseline} if baseline else {}
    product = write(acquisition, tmp_path_factory.mktemp("product"), **options)
    return acquisition, open_scene(product), baseline


def _is_old(baseline: str) -> bool:
    return baseline == "02.09"


def test_identity_time_and_place_come_back(pair):
    acquisition, scene, baseline = pair
    assert scene.sensor.key == acquisition.sensor.key
    assert scene.tile == acquisition.tile
    assert scene.acquired == acquisition.acquired
    assert scene.baseline == (baseline or "02 T1")
    assert scene.id.startswith(("S2", "LC0"))
    assert scene.declared_cloud_percent == acquisition.cloud_percent


def test_every_band_comes_back_on_its_grid_to_half_a_step_with_nodata_where_it_was(pair):
    acquisition, scene, _ = pair
    assert list(scene.bands) == [band.name for band in acquisition.sensor.bands]
    assert scene.grid == acquisition.grid
    # Landsat's step, and what the sun's zenith in hundredths of a degree leaves open
    step, slack = (1e-4, 1e-6) if acquisition.sensor.instrument == "msi" else (2.4e-5, 4e-5)
    for name, source in scene.bands.items():
        assert source.grid == acquisition.grids[name]
        read, expected = source.toa_reflectance(whole(source.grid)), acquisition.toa[name]
        assert (np.isnan(read) == np.isnan(expected)).all()
        assert np.nanmax(np.abs(read - expected)) <= 0.5 * step + slack


def _unit(zenith, azimuth):
    zenith, azimuth = np.radians(zenith), np.radians(azimuth)
    return np.stack([np.sin(zenith) * np.sin(azimuth), np.sin(zenith) * np.cos(azimuth), np.cos(zenith)])


def _apart_deg(one, other, shape):
    """Largest angle between two fields of directions at the pixels of a coarse look."""
    window = _look(shape)
    vectors = [np.stack([upsample(part, shape, window) for part in _unit(*field)]) for field in (one, other)]
    return float(np.degrees(np.linalg.norm(vectors[0] - vectors[1], axis=0)).max())


def _look(shape):
    return Window(0, 0, *shape)


def test_sun_and_view_come_back_within_two_hundredths_of_a_degree(pair):
    acquisition, scene, _ = pair
    mine, theirs = acquisition.angles, scene.angles
    shape = (40, 40)
    sun = [(angles.sun_zenith, angles.sun_azimuth) for angles in (mine, theirs)]
    assert _apart_deg(*sun, shape) < 0.02
    for band in acquisition.sensor.bands:
        if acquisition.sensor.instrument == "oli" and band.name != "B4":
            continue  # the product has the view angles of band 4 only
        views = [(angles.view_zenith[band.name], angles.view_azimuth[band.name]) for angles in (mine, theirs)]
        assert _apart_deg(*views, shape) < 0.02


def test_the_agencys_mask_says_what_is_true_but_at_its_own_resolution(pair):
    acquisition, scene, baseline = pair
    read = scene.agency_mask.quality(whole(scene.grid))
    known = [Quality.CLOUD, Quality.CIRRUS, *([] if _is_old(baseline) else [Quality.SNOW])]
    for bit in known:
        mine = (acquisition.quality & np.uint16(bit)) != 0
        assert ((read & np.uint16(bit)) != 0)[mine].mean() > 0.98
        assert ((read & np.uint16(bit)) != 0)[~mine].mean() < 0.01


def test_the_forecast_comes_back_where_the_product_carries_it(pair):
    acquisition, scene, baseline = pair
    if acquisition.sensor.instrument == "oli":
        assert scene.prior is None
        return
    mine, theirs = acquisition.prior, scene.prior
    assert theirs.source == ("AUX_ECMWFT" if _is_old(baseline) else mine.source)
    pairs = [(name, getattr(mine, name), getattr(theirs, name), tolerance) for name, tolerance in (
        ("water_vapour", 0.03), ("ozone_dobson", 0.5), ("sea_level_pressure_hpa", 0.2),
    )]  # fmt: skip
    if _is_old(baseline):
        assert theirs.aot_550 is None
    else:
        pairs.append(("aot_550", mine.aot_550, theirs.aot_550, 0.006))
        pairs.append(("altitude_m", mine.altitude_m, theirs.altitude_m, 3.0))
        assert set(theirs.aot_550_by_species) == set(mine.aot_550_by_species)
    for name, one, other, tolerance in pairs:
        at_pixels = [upsample(field, (20, 20), _look((20, 20))) for field in (one, other)]
        assert np.abs(at_pixels[0] - at_pixels[1]).max() < tolerance, name


def test_a_good_product_raises_no_finding_but_what_its_kind_always_lacks(pair):
    acquisition, scene, baseline = pair
    lacks_prior = acquisition.sensor.instrument == "oli" or _is_old(baseline)
    assert {note.finding.value for note in scene.notes} == ({"prior_missing"} if lacks_prior else set())


# malformed products -----------------------------------------------------------------------------------


def _clean_air(sensor):
    """A stand-in for the emulator: clean air, brighter to the blue, black in the cirrus band."""

    def coefficients(state, _geometry):
        bands = SENSORS[sensor].bands
        shape = (len(bands), *state.aot_550.shape)
        path = np.broadcast_to([[[18_000 / band.wavelength_nm**2]] for band in bands], shape)
        gas = np.broadcast_to([[[0.01 if band.role == "cirrus" else 0.98]] for band in bands], shape)
        return Coefficients(path, np.full(shape, 0.9), np.full(shape, 0.05), gas, np.zeros(shape[1:], bool))

    return coefficients


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    acquired = datetime(2025, 6, 13, 10, 15, 42, tzinfo=UTC)
    products = {}
    for family, sensor, tile, write in (
        ("sentinel-2", "S2A", "32TQM", write_safe),
        ("landsat", "L8", "192028", write_landsat),
    ):
        request = Request(sensor=sensor, tile=tile, acquired=acquired, seed=3, theme="fields", size_m=3_600)
        products[family] = write(simulate(request, atmosphere=_clean_air(sensor)), folder)
    return products


def _take(product) -> None:
    """All that anybody does with a product before correcting it."""
    scene = open_scene(product)
    require_bands(scene)
    verify_pixels(scene)
    for source in scene.bands.values():
        source.toa_reflectance(whole(source.grid))


@pytest.mark.parametrize("family", ["sentinel-2", "landsat"])
def test_a_good_simulated_product_is_accepted(good, family):
    _take(good[family])


@pytest.mark.faults
@pytest.mark.parametrize("kind", MALFORMED)
def test_every_malformed_product_is_refused_for_its_own_reason(kind, good, tmp_path):
    product = malform(good[MALFORMED[kind].family], kind, out=tmp_path)
    with pytest.raises(DataError) as caught:
        _take(product)
    assert caught.value.reason is MALFORMED[kind].reason
    assert len(str(caught.value)) > 40


def test_every_reason_in_the_table_is_one_of_the_stable_codes():
    assert {malformation.reason for malformation in MALFORMED.values()} <= set(Reason)

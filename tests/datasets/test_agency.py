"""The agencies' products: numbers mean what their metadata says, and never what a date suggests."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from undersky.datasets.agency import AgencyBand, AgencyMask, open_agency
from undersky.errors import DataError, Reason

S2_BANDS = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")


def write_raster(path: Path, values, *, left=500_000.0, top=5_000_000.0, pixel_m=10.0, crs="EPSG:32632"):
    """A GeoTIFF of these values, (rows, cols)."""
    array = np.asarray(values)
    path.parent.mkdir(parents=True, exist_ok=True)
    rows, cols = array.shape
    profile = {"driver": "GTiff", "height": rows, "width": cols, "count": 1, "dtype": array.dtype.name}
    transform = Affine(pixel_m, 0.0, left, 0.0, -pixel_m, top)
    with rasterio.open(path, "w", **profile, crs=crs, transform=transform) as dataset:
        dataset.write(array, 1)


def write_mtd(folder: Path, *, offsets=None, baseline="05.09", quantification=10_000):
    """An MTD_MSIL2A.xml with these offsets: a number for all bands, a mapping of band index, or none."""
    if isinstance(offsets, int):
        offsets = dict.fromkeys(range(13), offsets)
    rows = "".join(f'<BOA_ADD_OFFSET band_id="{i}">{v}</BOA_ADD_OFFSET>' for i, v in (offsets or {}).items())
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "MTD_MSIL2A.xml").write_text(
        '<?xml version="1.0"?><n1:Level-2A_User_Product xmlns:n1="https://psd-14.sentinel2.eo.esa.int/x">'
        f"<PROCESSING_BASELINE>{baseline}</PROCESSING_BASELINE>"
        f'<BOA_QUANTIFICATION_VALUE unit="none">{quantification}</BOA_QUANTIFICATION_VALUE>'
        f"<BOA_ADD_OFFSET_VALUES_LIST>{rows}</BOA_ADD_OFFSET_VALUES_LIST></n1:Level-2A_User_Product>",
        encoding="utf-8",
    )


def write_mtl(folder: Path, *, level="L2SP", bands=(2, 3, 4), mult=2.75e-5, add=-0.2):
    """An L2SP's MTL.txt that names these bands."""
    identifier = f"LC08_{level}_017051_20151205_20200908_02_T1"
    lines = [f'LANDSAT_PRODUCT_ID = "{identifier}"', f'PROCESSING_LEVEL = "{level}"']
    lines += [f'FILE_NAME_BAND_{i} = "{identifier}_SR_B{i}.TIF"' for i in bands]
    lines += [f"REFLECTANCE_MULT_BAND_{i} = {mult}\n  REFLECTANCE_ADD_BAND_{i} = {add}" for i in bands]
    lines.append(f'FILE_NAME_QUALITY_L1_PIXEL = "{identifier}_QA_PIXEL.TIF"')
    folder.mkdir(parents=True, exist_ok=True)
    text = (
        "GROUP = LANDSAT_METADATA_FILE\n  "
        + "\n  ".join(lines)
        + "\nEND_GROUP = LANDSAT_METADATA_FILE\nEND\n"
    )
    (folder / f"{identifier}_MTL.txt").write_text(text, encoding="utf-8")
    return identifier


def test_an_l2sp_folder_is_read_by_its_own_factors(tmp_path):
    name = write_mtl(tmp_path, mult=3e-5, add=-0.1)
    for band in (2, 3, 4):
        write_raster(tmp_path / f"{name}_SR_B{band}.TIF", np.full((3, 3), 10_000, np.uint16))
    product = open_agency(tmp_path)
    assert product.processor == "LaSRC"
    assert product.id == name
    assert list(product.bands) == ["B2", "B3", "B4"]
    assert product.mask is None
    band = product.bands["B2"]
    assert (band.scale, band.offset) == (3e-5, -0.1)


def test_a_band_whose_file_is_absent_is_absent(tmp_path):
    name = write_mtl(tmp_path)
    write_raster(tmp_path / f"{name}_SR_B3.TIF", np.full((3, 3), 10_000, np.uint16))
    assert list(open_agency(tmp_path).bands) == ["B3"]


def test_a_quality_band_makes_a_mask(tmp_path):
    name = write_mtl(tmp_path)
    write_raster(tmp_path / f"{name}_SR_B3.TIF", np.full((3, 3), 10_000, np.uint16))
    write_raster(tmp_path / f"{name}_QA_PIXEL.TIF", np.full((3, 3), 21824, np.uint16))
    mask = open_agency(tmp_path).mask
    assert mask is not None
    assert mask.kind == "qa_pixel"


def test_an_l2a_folder_is_read_with_its_offset(tmp_path):
    write_mtd(tmp_path, offsets=-1000)
    write_raster(tmp_path / "B02.tif", np.full((3, 3), 1500, np.uint16))
    band = open_agency(tmp_path).bands["B02"]
    assert band.reflectance(np.array([1500, 900])) == pytest.approx([0.05, -0.01])


def test_offsets_belong_to_the_band_of_their_index(tmp_path):
    write_mtd(tmp_path, offsets={i: -100 * i for i in range(13)})
    for name in S2_BANDS:
        write_raster(tmp_path / f"T32TQM_20230714T102031_{name}.tif", np.full((2, 2), 5000, np.uint16))
    bands = open_agency(tmp_path).bands
    assert {name: round(bands[name].offset * 1e4) for name in S2_BANDS} == {
        name: -100 * i for i, name in enumerate(S2_BANDS)
    }


def test_an_old_baseline_without_offsets_has_none(tmp_path):
    write_mtd(tmp_path, baseline="02.12")
    write_raster(tmp_path / "B02.tif", np.full((3, 3), 1500, np.uint16))
    assert open_agency(tmp_path).bands["B02"].offset == 0.0


def test_reprocessed_old_dates_carry_the_offset_of_their_metadata(tmp_path):
    write_mtd(tmp_path / "S2A_MSIL2A_20170714_N0500.SAFE", offsets=-1000, baseline="05.00")
    folder = tmp_path / "S2A_MSIL2A_20170714_N0500.SAFE"
    write_raster(
        folder / "GRANULE/L2A_T32TQM/IMG_DATA/R10m/T32TQM_B02_10m.tif", np.full((3, 3), 1500, np.uint16)
    )
    product = open_agency(folder)
    assert product.id == "S2A_MSIL2A_20170714_N0500"
    assert product.bands["B02"].offset == pytest.approx(-0.1)


@pytest.mark.faults
@pytest.mark.parametrize("offsets", [None, {0: -1000, 1: -1000}])
def test_a_late_baseline_without_all_offsets_is_refused(tmp_path, offsets):
    write_mtd(tmp_path, offsets=offsets, baseline="04.00")
    write_raster(tmp_path / "B02.tif", np.full((3, 3), 1500, np.uint16))
    with pytest.raises(DataError, match="13 bands") as refused:
        open_agency(tmp_path)
    assert refused.value.reason is Reason.OFFSET_UNKNOWN


@pytest.mark.faults
def test_rasters_without_metadata_are_refused_rather_than_guessed(tmp_path):
    write_raster(tmp_path / "B02.tif", np.full((3, 3), 1500, np.uint16))
    with pytest.raises(DataError, match=r"put the product's MTD_MSIL2A\.xml beside") as refused:
        open_agency(tmp_path)
    assert refused.value.reason is Reason.OFFSET_UNKNOWN


@pytest.mark.faults
def test_a_folder_of_something_else_is_refused_with_what_it_holds(tmp_path):
    (tmp_path / "letter.txt").write_text("hello", encoding="utf-8")
    with pytest.raises(DataError, match=r"letter\.txt") as refused:
        open_agency(tmp_path)
    assert refused.value.reason is Reason.UNKNOWN_PRODUCT


@pytest.mark.faults
def test_metadata_without_any_raster_is_a_missing_band(tmp_path):
    write_mtl(tmp_path)
    with pytest.raises(DataError, match="none of its surface-reflectance bands") as refused:
        open_agency(tmp_path)
    assert refused.value.reason is Reason.BAND_MISSING


@pytest.mark.faults
def test_metadata_that_expands_is_refused(tmp_path):
    write_raster(tmp_path / "B02.tif", np.full((3, 3), 1500, np.uint16))
    (tmp_path / "MTD_MSIL2A.xml").write_text(
        '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa">]><x>&a;</x>', encoding="utf-8"
    )
    with pytest.raises(DataError) as refused:
        open_agency(tmp_path)
    assert refused.value.reason is Reason.METADATA_HOSTILE


def test_the_native_resolution_is_taken_where_a_band_comes_in_several(tmp_path):
    write_mtd(tmp_path, offsets=-1000)
    for band, resolutions in {"B02": (10, 20, 60), "B8A": (20, 60), "B01": (20, 60)}.items():
        for metres in resolutions:
            write_raster(tmp_path / f"R{metres}m/T_{band}_{metres}m.tif", np.ones((2, 2), np.uint16))
    bands = open_agency(tmp_path).bands
    assert bands["B02"].path.endswith("B02_10m.tif")
    assert bands["B8A"].path.endswith("B8A_20m.tif")
    assert bands["B01"].path.endswith("B01_60m.tif")


def test_fill_becomes_nan_and_only_fill():
    values = AgencyBand("x", 1e-4, -0.1).reflectance(np.array([[0, 1, 1000, 11_000]], dtype=np.uint16))
    assert np.isnan(values[0, 0])
    assert values[0, 1:] == pytest.approx([-0.0999, 0.0, 1.0], abs=1e-6)
    assert values.dtype == np.float32


@pytest.mark.parametrize(
    ("number", "clear"),
    [
        (21824, True),
        (21826, False),
        (22280, False),
        (23888, False),
        (21828, False),
        (1, False),
        (30048, True),
    ],
)
def test_qa_pixel_is_read_bit_by_bit(number, clear):
    """21824 clear, 22280 cloud, 23888 shadow: LSDS-1619, table 6-3; 30048 clear snow."""
    assert AgencyMask("x", "qa_pixel").is_clear(np.array([number], dtype=np.uint16))[0] == clear


def test_the_scene_classification_keeps_ground_water_and_snow():
    clear = AgencyMask("x", "scl").is_clear(np.arange(12, dtype=np.uint8))
    assert [i for i, found in enumerate(clear) if found] == [2, 4, 5, 6, 7, 11]


@pytest.mark.oracle
def test_the_real_l2sp_opens_with_the_usgs_factors(samples):
    product = open_agency(samples / "landsat8-l2sp-full-structure-decimated")
    assert product.processor == "LaSRC"
    assert list(product.bands) == [f"B{i}" for i in range(1, 8)]
    for band in product.bands.values():
        assert (band.scale, band.offset) == pytest.approx((2.75e-5, -0.2))
    assert product.mask is not None
    with rasterio.open(product.mask.path) as dataset:
        stored = dataset.read(1)
    assert np.unique(stored).tolist() == [1, 22280, 55052], (
        "fill, cloud, cloud with cirrus: an overcast scene"
    )
    assert not product.mask.is_clear(stored).any()
    with rasterio.open(product.bands["B2"].path) as dataset:
        blue = product.bands["B2"].reflectance(dataset.read(1))
    assert np.isnan(blue[stored == 1]).mean() > 0.98
    assert np.nanmedian(blue) > 0.15


@pytest.mark.oracle
def test_a_folder_with_both_halves_of_a_pair_opens_as_its_level_2(samples):
    product = open_agency(samples / "landsat8-pair-l1tp-l2sp-momotombo-west")
    assert product.id.startswith("LC08_L2SP_")
    assert list(product.bands) == ["B2", "B3", "B4", "B5", "B6", "B7"]
    with rasterio.open(product.bands["B5"].path) as dataset:
        assert np.nanmean(product.bands["B5"].reflectance(dataset.read(1))) == pytest.approx(0.27, abs=0.03)


@pytest.mark.oracle
def test_the_offsets_of_a_real_l2a_are_read(samples, tmp_path):
    [safe] = (samples / "s2-safe-metadata-and-stac").glob("S2A_MSIL2A_20230625*.SAFE")
    (tmp_path / "MTD_MSIL2A.xml").write_bytes((safe / "MTD_MSIL2A.xml").read_bytes())
    write_raster(tmp_path / "B04.tif", np.full((2, 2), 3000, np.uint16))
    band = open_agency(tmp_path).bands["B04"]
    assert band.reflectance(np.array([3000])) == pytest.approx([0.2])

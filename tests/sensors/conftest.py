"""Tiny products with true names and true metadata, made by hand: every number in them is chosen here."""

import hashlib
import json
import shutil
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import Affine

CORNER = (499980.0, 6900040.0)
SIDE_M = 2400
S2_BANDS = {
    "B01": 60,
    "B02": 10,
    "B03": 10,
    "B04": 10,
    "B05": 20,
    "B06": 20,
    "B07": 20,
    "B08": 10,
    "B8A": 20,
    "B09": 60,
    "B10": 60,
    "B11": 20,
    "B12": 20,
}
S2_REFLECTANCE = dict(
    zip(S2_BANDS, (0.16, 0.13, 0.12, 0.10, 0.14, 0.25, 0.30, 0.32, 0.325, 0.15, 0.002, 0.2, 0.1), strict=True)
)
OLI_REFLECTANCE = {1: 0.15, 2: 0.13, 3: 0.11, 4: 0.10, 5: 0.3, 6: 0.2, 7: 0.1, 8: 0.11, 9: 0.002}


def textured(shape: tuple[int, int], level: float, *, seed: int) -> np.ndarray:
    """Reflectance around a level, brighter towards one corner."""
    noise = np.random.default_rng(seed).uniform(0.97, 1.03, shape)
    ramp = 1.0 + 0.2 * np.add.outer(np.linspace(0, 1, shape[0]), np.linspace(0, 1, shape[1]))
    return level * noise * ramp


def write_raster(
    path: Path, pixels: np.ndarray, *, size_m: float, epsg: int | None, **options: object
) -> Path:
    stack = pixels if pixels.ndim == 3 else pixels[None]
    profile = {
        "driver": "JP2OpenJPEG" if path.suffix == ".jp2" else "GTiff",
        "count": stack.shape[0],
        "height": stack.shape[1],
        "width": stack.shape[2],
        "dtype": stack.dtype,
    }
    if path.suffix == ".jp2":
        profile |= {"quality": 100, "reversible": "YES", "blockxsize": 64, "blockysize": 64, "ycc": "NO"}
    if epsg:
        left, top = options.pop("corner", CORNER)
        profile |= {"crs": f"EPSG:{epsg}", "transform": Affine(size_m, 0, left, 0, -size_m, top)}
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", **(profile | options)) as dataset:
            dataset.write(stack)
    path.with_name(path.name + ".aux.xml").unlink(missing_ok=True)
    return path


def rewrite(path: Path, pixels: np.ndarray | None = None, **changes: object) -> None:
    """The same raster with other pixels, CRS, transform or size."""
    with rasterio.open(path) as dataset:
        old, profile = dataset.read(), dataset.profile
    profile |= {"quality": 100, "reversible": "YES"} if path.suffix == ".jp2" else {}
    path.unlink()
    with rasterio.open(path, "w", **(profile | changes)) as dataset:
        dataset.write(old if pixels is None else pixels if pixels.ndim == 3 else pixels[None])
    path.with_name(path.name + ".aux.xml").unlink(missing_ok=True)


@dataclass
class Safe:
    """What a tiny SAFE is made with."""

    baseline: str = "05.09"
    offset: int | None = -1000
    stored_offset: int | None = None
    satellite: str = "S2B"
    masks: str = "jp2"
    numbers: Mapping[str, np.ndarray] = field(default_factory=dict)
    detectors: Mapping[int, tuple[float, float, slice]] = field(
        default_factory=lambda: {5: (4.0, 104.0, slice(0, 2)), 6: (5.0, 286.0, slice(1, 3))}
    )
    sun: bool = True
    quantification: str = "<QUANTIFICATION_VALUE unit='none'>10000</QUANTIFICATION_VALUE>"

    @property
    def name(self) -> str:
        digits = self.baseline.replace(".", "")
        return f"{self.satellite}_MSIL1C_20230804T002059_N{digits}_R116_T55JEJ_20230804T012151.SAFE"

    @property
    def tile_id(self) -> str:
        return f"{self.satellite}_OPER_MSI_L1C_TL_2BPS_20230804T012151_A033470_T55JEJ_N{self.baseline}"


GRANULE = "GRANULE/L1C_T55JEJ_A033470_20230804T002101"


def image_name(band: str) -> str:
    return f"{GRANULE}/IMG_DATA/T55JEJ_20230804T002059_{band}.jp2"


def digital_numbers(band: str, offset: int) -> np.ndarray:
    size = SIDE_M // S2_BANDS[band]
    toa = textured((size, size), S2_REFLECTANCE[band], seed=int(band[1:].replace("A", "0")))
    return np.round(toa * 10000 - offset).astype(np.uint16)


def product_xml(spec: Safe) -> str:
    offsets = "".join(
        f'<RADIO_ADD_OFFSET band_id="{index}">{spec.offset}</RADIO_ADD_OFFSET>' for index in range(13)
    )
    return (
        '<?xml version="1.0"?><n1:Level-1C_User_Product xmlns:n1="https://psd-14"><n1:General_Info><Product_Info>'
        f"<PRODUCT_URI>{spec.name}</PRODUCT_URI><PROCESSING_LEVEL>Level-1C</PROCESSING_LEVEL>"
        f"<PROCESSING_BASELINE>{spec.baseline}</PROCESSING_BASELINE>"
        f'<Granule_List><Granule granuleIdentifier="{spec.tile_id}"/></Granule_List></Product_Info>'
        "<Product_Image_Characteristics>"
        "<Special_Values><SPECIAL_VALUE_TEXT>NODATA</SPECIAL_VALUE_TEXT><SPECIAL_VALUE_INDEX>0</SPECIAL_VALUE_INDEX>"
        "</Special_Values><Special_Values><SPECIAL_VALUE_TEXT>SATURATED</SPECIAL_VALUE_TEXT>"
        "<SPECIAL_VALUE_INDEX>65535</SPECIAL_VALUE_INDEX></Special_Values>"
        f"{spec.quantification}{offsets if spec.offset is not None else ''}"
        "</Product_Image_Characteristics></n1:General_Info></n1:Level-1C_User_Product>"
    )


def _grid_xml(values: np.ndarray) -> str:
    rows = "".join(f"<VALUES>{' '.join(f'{v:.6f}' for v in row)}</VALUES>" for row in values)
    step = SIDE_M / 2
    return f"<COL_STEP>{step}</COL_STEP><ROW_STEP>{step}</ROW_STEP><Values_List>{rows}</Values_List>"


def tile_xml(spec: Safe) -> str:
    rows, cols = np.indices((3, 3))
    sun_zenith, sun_azimuth = 40.0 + 0.1 * cols + 0.05 * rows, 359.5 + 0.5 * cols
    sun = (
        f"<Sun_Angles_Grid><Zenith>{_grid_xml(sun_zenith)}</Zenith>"
        f"<Azimuth>{_grid_xml(sun_azimuth % 360)}</Azimuth></Sun_Angles_Grid>"
        if spec.sun
        else ""
    )
    views = ""
    for band in range(13):
        for detector, (zenith, azimuth, seen) in spec.detectors.items():
            fields = [np.full((3, 3), np.nan), np.full((3, 3), np.nan)]
            fields[0][:, seen], fields[1][:, seen] = zenith, azimuth
            views += (
                f'<Viewing_Incidence_Angles_Grids bandId="{band}" detectorId="{detector}">'
                f"<Zenith>{_grid_xml(fields[0])}</Zenith><Azimuth>{_grid_xml(fields[1])}</Azimuth>"
                "</Viewing_Incidence_Angles_Grids>"
            )
    places = "".join(
        f'<Size resolution="{size}"><NROWS>{SIDE_M // size}</NROWS><NCOLS>{SIDE_M // size}</NCOLS></Size>'
        f'<Geoposition resolution="{size}"><ULX>{CORNER[0]:.0f}</ULX><ULY>{CORNER[1]:.0f}</ULY>'
        f"<XDIM>{size}</XDIM><YDIM>-{size}</YDIM></Geoposition>"
        for size in (10, 20, 60)
    )
    return (
        '<?xml version="1.0"?><n1:Level-1C_Tile_ID xmlns:n1="https://psd-14"><n1:General_Info>'
        f"<TILE_ID>{spec.tile_id}</TILE_ID><SENSING_TIME>2023-08-04T00:22:51.5Z</SENSING_TIME></n1:General_Info>"
        f"<n1:Geometric_Info><Tile_Geocoding><HORIZONTAL_CS_CODE>EPSG:32755</HORIZONTAL_CS_CODE>{places}"
        f"</Tile_Geocoding><Tile_Angles>{sun}<Mean_Sun_Angle><ZENITH_ANGLE>41</ZENITH_ANGLE>"
        f"<AZIMUTH_ANGLE>30</AZIMUTH_ANGLE></Mean_Sun_Angle>{views}"
        '<Mean_Viewing_Incidence_Angle_List><Mean_Viewing_Incidence_Angle bandId="1">'
        "<ZENITH_ANGLE>4.5</ZENITH_ANGLE>"
        "<AZIMUTH_ANGLE>105</AZIMUTH_ANGLE></Mean_Viewing_Incidence_Angle></Mean_Viewing_Incidence_Angle_List>"
        "</Tile_Angles></n1:Geometric_Info><n1:Quality_Indicators_Info><Image_Content_QI>"
        "<CLOUDY_PIXEL_PERCENTAGE>12.5</CLOUDY_PIXEL_PERCENTAGE></Image_Content_QI></n1:Quality_Indicators_Info>"
        "</n1:Level-1C_Tile_ID>"
    )


def gml(features: list[tuple[str, str, str]]) -> str:
    """A mask file of (id, type, position list)."""
    members = "".join(
        f'<eop:MaskFeature gml:id="{name}"><eop:maskType>{kind}</eop:maskType><eop:extentOf><gml:Polygon>'
        f'<gml:exterior><gml:LinearRing><gml:posList srsDimension="2">{positions}</gml:posList>'
        "</gml:LinearRing>"
        "</gml:exterior></gml:Polygon></eop:extentOf></eop:MaskFeature>"
        for name, kind, positions in features
    )
    return (
        '<eop:Mask xmlns:eop="http://www.opengis.net/eop/2.0" xmlns:gml="http://www.opengis.net/gml/3.2">'
        f"<eop:maskMembers>{members}</eop:maskMembers></eop:Mask>"
    )


def box_positions(left: float, top: float, width: float, height: float) -> str:
    """A closed ring, metres right of and below the tile's corner."""
    x, y = CORNER[0] + left, CORNER[1] - top
    ring = [(x, y), (x + width, y), (x + width, y - height), (x, y - height), (x, y)]
    return " ".join(f"{a} {b}" for a, b in ring)


def _write_jp2_masks(root: Path) -> None:
    quality = root / GRANULE / "QI_DATA"
    classes = np.zeros((3, 40, 40), np.uint8)
    classes[0, :10, :10] = classes[1, 10:20, :10] = classes[2, 20:30, :10] = 1
    write_raster(quality / "MSK_CLASSI_B00.jp2", classes, size_m=60, epsg=32755)
    for band, size in S2_BANDS.items():
        side = SIDE_M // size
        flags = np.zeros((8, side, side), np.uint8)
        flags[5, 0, 1] = flags[7, 2, 3] = 1
        write_raster(quality / f"MSK_QUALIT_{band}.jp2", flags, size_m=size, epsg=32755)
        detectors = np.full((side, side), 5, np.uint8)
        detectors[:, side // 2 :] = 6
        write_raster(quality / f"MSK_DETFOO_{band}.jp2", detectors, size_m=size, epsg=32755)


def _write_gml_masks(root: Path) -> None:
    quality = root / GRANULE / "QI_DATA"
    quality.mkdir(parents=True)
    clouds = [
        ("OPAQUE.0", "OPAQUE", box_positions(0, 0, 600, 600)),
        ("CIRRUS.0", "CIRRUS", box_positions(300, 0, 600, 600)),
        ("OPAQUE.1", "OPAQUE", "1 2 3"),
    ]
    (quality / "MSK_CLOUDS_B00.gml").write_text(gml(clouds))
    for band in S2_BANDS:
        (quality / f"MSK_SATURA_{band}.gml").write_text(
            gml([("S.0", "SATURATED", box_positions(60, 60, 120, 60))])
        )
        nodata = [
            ("N.0", "QT_NODATA_PIXELS", box_positions(0, 0, 60, 60)),
            ("N.1", "QT_PARTIALLY_CORRECTED_PIXELS", box_positions(600, 0, 60, 600)),
        ]
        (quality / f"MSK_NODATA_{band}.gml").write_text(gml(nodata))
        halves = [
            (f"detector_footprint-{band}-05-0", "DETECTOR_FOOTPRINT", box_positions(0, 0, 1200, 2400)),
            (f"detector_footprint-{band}-06-1", "DETECTOR_FOOTPRINT", box_positions(1200, 0, 1200, 2400)),
        ]
        (quality / f"MSK_DETFOO_{band}.gml").write_text(gml(halves))


def write_safe(folder: Path, spec: Safe) -> Path:
    root = folder / spec.name
    root.mkdir(parents=True)
    (root / "MTD_MSIL1C.xml").write_text(product_xml(spec))
    stored = spec.offset or 0 if spec.stored_offset is None else spec.stored_offset
    for band, size in S2_BANDS.items():
        pixels = spec.numbers.get(band, digital_numbers(band, stored))
        write_raster(root / image_name(band), pixels, size_m=size, epsg=32755)
    (root / GRANULE / "MTD_TL.xml").write_text(tile_xml(spec))
    {"jp2": _write_jp2_masks, "gml": _write_gml_masks, "none": lambda _: None}[spec.masks](root)
    return root


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Products that several tests ask for are written once and copied from here."""
    return tmp_path_factory.mktemp("shelf")


@pytest.fixture
def make_safe(tmp_path: Path, shelf: Path) -> Callable[..., Path]:
    """Writes a tiny SAFE; keywords are those of `Safe`."""

    def make(**choices: object) -> Path:
        spec = Safe(**choices)
        if spec.numbers:
            return write_safe(tmp_path, spec)
        kept = shelf / hashlib.sha256(repr(sorted(choices.items())).encode()).hexdigest()[:16]
        if not kept.exists():
            write_safe(kept, spec)
        return Path(shutil.copytree(kept / spec.name, tmp_path / spec.name))

    return make


OLI_ID = "LC09_L1TP_090080_20230804_20230804_02_T1"
OLI_CORNER = (300285.0, -3799885.0)
OLI_SHAPE = (80, 100)


def oli_values(**changes: str) -> dict[str, dict[str, str]]:
    """The groups of a metadata file, a few keys each."""
    left, top = OLI_CORNER[0] + 15, OLI_CORNER[1] - 15
    right, bottom = left + (OLI_SHAPE[1] - 1) * 30, top - (OLI_SHAPE[0] - 1) * 30
    contents = {
        "LANDSAT_PRODUCT_ID": OLI_ID,
        "PROCESSING_LEVEL": "L1TP",
        "COLLECTION_NUMBER": "02",
        "COLLECTION_CATEGORY": "T1",
        "FILE_NAME_QUALITY_L1_PIXEL": f"{OLI_ID}_QA_PIXEL.TIF",
        "FILE_NAME_QUALITY_L1_RADIOMETRIC_SATURATION": f"{OLI_ID}_QA_RADSAT.TIF",
        "FILE_NAME_ANGLE_SENSOR_AZIMUTH_BAND_4": f"{OLI_ID}_VAA.TIF",
        "FILE_NAME_ANGLE_SENSOR_ZENITH_BAND_4": f"{OLI_ID}_VZA.TIF",
        "FILE_NAME_ANGLE_SOLAR_AZIMUTH_BAND_4": f"{OLI_ID}_SAA.TIF",
        "FILE_NAME_ANGLE_SOLAR_ZENITH_BAND_4": f"{OLI_ID}_SZA.TIF",
        **{f"FILE_NAME_BAND_{n}": f"{OLI_ID}_B{n}.TIF" for n in range(1, 12)},
    }
    image = {
        "SPACECRAFT_ID": "LANDSAT_9",
        "SENSOR_ID": "OLI_TIRS",
        "WRS_PATH": "90",
        "WRS_ROW": "80",
        "DATE_ACQUIRED": "2023-08-04",
        "SCENE_CENTER_TIME": "23:50:12.1234567Z",
        "CLOUD_COVER": "7.25",
        "SUN_AZIMUTH": "35.5",
        "SUN_ELEVATION": "33.25",
    }
    projection = {
        "MAP_PROJECTION": "UTM",
        "UTM_ZONE": "55",
        "GRID_CELL_SIZE_PANCHROMATIC": "15.00",
        "GRID_CELL_SIZE_REFLECTIVE": "30.00",
        "CORNER_UL_PROJECTION_X_PRODUCT": f"{left:.3f}",
        "CORNER_UL_PROJECTION_Y_PRODUCT": f"{top:.3f}",
        "CORNER_LR_PROJECTION_X_PRODUCT": f"{right:.3f}",
        "CORNER_LR_PROJECTION_Y_PRODUCT": f"{bottom:.3f}",
    }
    scaling = {f"REFLECTANCE_MULT_BAND_{n}": "2.0000E-05" for n in range(1, 10)}
    scaling |= {f"REFLECTANCE_ADD_BAND_{n}": "-0.100000" for n in range(1, 10)}
    groups = {
        "PRODUCT_CONTENTS": contents,
        "IMAGE_ATTRIBUTES": image,
        "PROJECTION_ATTRIBUTES": projection,
        "LEVEL1_RADIOMETRIC_RESCALING": scaling,
    }
    for group in groups.values():
        group.update({key: value for key, value in changes.items() if key in group})
    return groups


def write_mtl(root: Path, groups: dict[str, dict[str, str]], *, kind: str) -> None:
    path = root / f"{OLI_ID}_MTL.{kind}"
    if kind == "json":
        path.write_text(json.dumps({"LANDSAT_METADATA_FILE": groups}))
        return
    if kind == "xml":
        inner = "".join(
            f"<{name}>{''.join(f'<{key}>{value}</{key}>' for key, value in group.items())}</{name}>"
            for name, group in groups.items()
        )
        path.write_text(f'<?xml version="1.0"?><LANDSAT_METADATA_FILE>{inner}</LANDSAT_METADATA_FILE>')
        return
    lines = ["GROUP = LANDSAT_METADATA_FILE"]
    for name, group in groups.items():
        lines += [
            f"  GROUP = {name}",
            *(f'    {k} = "{v}"' for k, v in group.items()),
            f"  END_GROUP = {name}",
        ]
    path.write_text("\n".join([*lines, "END_GROUP = LANDSAT_METADATA_FILE", "END", ""]))


@pytest.fixture
def make_landsat(tmp_path: Path) -> Callable[..., Path]:
    """Writes a tiny Landsat folder; `angles` and `qa` leave files out, other keywords change the metadata."""

    def make(*, angles: bool = True, qa: bool = True, kind: str = "txt", **changes: str) -> Path:
        root = tmp_path / OLI_ID
        root.mkdir()
        write_mtl(root, oli_values(**changes), kind=kind)
        rows, cols = np.indices(OLI_SHAPE)
        sza = 5600 + cols // 10
        for number, level in OLI_REFLECTANCE.items():
            shape = OLI_SHAPE if number != 8 else (OLI_SHAPE[0] * 2, OLI_SHAPE[1] * 2)
            toa = textured(shape, level, seed=number)
            cosine = np.cos(np.radians(56.5))
            pixels = np.round((toa * cosine + 0.1) / 2e-5).astype(np.uint16)
            pixels[0, :3] = 0
            size = 15 if number == 8 else 30
            write_raster(root / f"{OLI_ID}_B{number}.TIF", pixels, size_m=size, epsg=32655, corner=OLI_CORNER)
        if angles:
            fields = {"SZA": sza, "SAA": np.full(OLI_SHAPE, -1050), "VZA": 10 * cols, "VAA": 9850 + 0 * rows}
            for name, pixels in fields.items():
                path = root / f"{OLI_ID}_{name}.TIF"
                write_raster(path, pixels.astype(np.int16), size_m=30, epsg=32655, corner=OLI_CORNER)
        if qa:
            bits = np.full(OLI_SHAPE, 1 << 6, np.uint16)
            for index, bit in enumerate((1, 2, 3, 4, 5, 7)):
                bits[10 + index, :5] = 1 << bit
            bits[0, :3] = 1 | 1 << 3
            write_raster(root / f"{OLI_ID}_QA_PIXEL.TIF", bits, size_m=30, epsg=32655, corner=OLI_CORNER)
            saturation = np.zeros(OLI_SHAPE, np.uint16)
            saturation[5, 6], saturation[7, 8] = 1 << 1, 1 << 8
            write_raster(
                root / f"{OLI_ID}_QA_RADSAT.TIF", saturation, size_m=30, epsg=32655, corner=OLI_CORNER
            )
        return root

    return make

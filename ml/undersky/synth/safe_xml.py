"""The XML documents of a Sentinel-2 Level-1C product; the tile's is in `safe_tile_xml`.

Elements, order and number formats follow real products of baselines 02.06 and 05.09 (Products
Specification Document 14.9, sections 4.6 and 4.9); what describes ESA's own processing (auxiliary tables,
reports) is left out.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from undersky.bands import SENSORS, Band, Sensor
from undersky.grid import Grid, footprint_lonlat
from undersky.synth.geometry import earth_sun_distance_au
from undersky.synth.safe_names import SafeNames, iso
from undersky.synth.sensor_noise import MSI_IRRADIANCE
from undersky.synth.tile_angles import TileAngles

QUANTIFICATION = 10_000
"""Digital numbers to one of reflectance."""
OFFSET = -1000
"""RADIO_ADD_OFFSET of every band from baseline 04.00."""
NODATA = 0
"""The digital number that says nothing was measured."""
SATURATED = 65535
"""The digital number that says the detector or the encoding was full."""

SCHEMA = "https://psd-14.sentinel2.eo.esa.int/PSD/"
"""Where the namespaces of all documents begin."""
HEADER = '<?xml version="1.0" encoding="UTF-8" standalone="no"?>\n'
"""The first line of every document."""


@dataclass(frozen=True, slots=True)
class Document:
    """What the documents say of one granule, beside its names."""

    names: SafeNames
    """Identity."""
    sensor: Sensor
    """The instrument."""
    grids: Mapping[int, Grid]
    """By resolution: 10, 20, 60."""
    angles: TileAngles
    """Sun and view on the tile's own nodes."""
    cloud_percent: float
    """Opaque and cirrus cloud, 0 .. 100."""
    snow_percent: float
    """Snow, 0 .. 100."""
    images: tuple[str, ...]
    """Image files without extension, from the product's root."""
    masks: tuple[tuple[str, str, str], ...]
    """(kind, band name or empty, file) of every mask, from the product's root."""


def product_xml(document: Document) -> str:
    """MTD_MSIL1C.xml."""
    names = document.names
    doi = (
        "            <PRODUCT_DOI>https://doi.org/10.5270/S2_-742ikth</PRODUCT_DOI>\n"
        if names.has_offsets
        else ""
    )
    images = "".join(f"            <IMAGE_FILE>{image}</IMAGE_FILE>\n" for image in document.images)
    return f"""{HEADER}<n1:Level-1C_User_Product xmlns:n1="{SCHEMA}User_Product_Level-1C.xsd" \
xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" \
xsi:schemaLocation="{SCHEMA}User_Product_Level-1C.xsd">
    <n1:General_Info>
        <Product_Info>
            <PRODUCT_START_TIME>{iso(names.datatake_start)}</PRODUCT_START_TIME>
            <PRODUCT_STOP_TIME>{iso(names.datatake_start)}</PRODUCT_STOP_TIME>
            <PRODUCT_URI>{names.product}.SAFE</PRODUCT_URI>
            <PROCESSING_LEVEL>Level-1C</PROCESSING_LEVEL>
            <PRODUCT_TYPE>S2MSI1C</PRODUCT_TYPE>
            <PROCESSING_BASELINE>{names.baseline}</PROCESSING_BASELINE>
{doi}            <GENERATION_TIME>{names.generated:%Y-%m-%dT%H:%M:%S}.000000Z</GENERATION_TIME>
            <PREVIEW_IMAGE_URL>Not applicable</PREVIEW_IMAGE_URL>
            <PREVIEW_GEO_INFO>Not applicable</PREVIEW_GEO_INFO>
            <Datatake datatakeIdentifier="{names.datatake_id}">
      <SPACECRAFT_NAME>Sentinel-{names.sensor[1:]}</SPACECRAFT_NAME>
      <DATATAKE_TYPE>INS-NOBS</DATATAKE_TYPE>
      <DATATAKE_SENSING_START>{iso(names.datatake_start)}</DATATAKE_SENSING_START>
      <SENSING_ORBIT_NUMBER>{names.relative_orbit}</SENSING_ORBIT_NUMBER>
      <SENSING_ORBIT_DIRECTION>DESCENDING</SENSING_ORBIT_DIRECTION>
    </Datatake>
<Query_Options completeSingleTile="true">
<PRODUCT_FORMAT>SAFE_COMPACT</PRODUCT_FORMAT>
</Query_Options>
<Product_Organisation>
    <Granule_List>
        <Granule datastripIdentifier="{names.datastrip_id}" granuleIdentifier="{names.granule_id}" \
imageFormat="JPEG2000">
{images}        </Granule>
    </Granule_List>
</Product_Organisation>
</Product_Info>
{_image_characteristics(document)}    </n1:General_Info>
{_footprint(document.grids[10])}    <n1:Quality_Indicators_Info>
        <Cloud_Coverage_Assessment>{document.cloud_percent!r}</Cloud_Coverage_Assessment>
        <Technical_Quality_Assessment>
            <DEGRADED_ANC_DATA_PERCENTAGE>0.0</DEGRADED_ANC_DATA_PERCENTAGE>
            <DEGRADED_MSI_DATA_PERCENTAGE>0</DEGRADED_MSI_DATA_PERCENTAGE>
        </Technical_Quality_Assessment>
    </n1:Quality_Indicators_Info>
</n1:Level-1C_User_Product>
"""


def _image_characteristics(document: Document) -> str:
    specials = "".join(
        f"            <Special_Values>\n                <SPECIAL_VALUE_TEXT>{text}</SPECIAL_VALUE_TEXT>\n"
        f"                <SPECIAL_VALUE_INDEX>{value}</SPECIAL_VALUE_INDEX>\n            </Special_Values>\n"
        for text, value in (("NODATA", NODATA), ("SATURATED", SATURATED))
    )
    bands = document.sensor.bands
    offsets = "".join(
        f'        <RADIO_ADD_OFFSET band_id="{index}">{OFFSET}</RADIO_ADD_OFFSET>\n'
        for index in range(len(bands))
    )
    offset_list = f"            <Radiometric_Offset_List>\n{offsets}      </Radiometric_Offset_List>\n"
    irradiance = "".join(
        f'          <SOLAR_IRRADIANCE bandId="{index}" unit="W/m²/µm">'
        f"{_irradiance(band):.2f}</SOLAR_IRRADIANCE>\n"
        for index, band in enumerate(bands)
    )
    spectral = "".join(_spectral(index, band) for index, band in enumerate(bands))
    return f"""        <Product_Image_Characteristics>
{specials}            <Image_Display_Order>
                <RED_CHANNEL>3</RED_CHANNEL>
                <GREEN_CHANNEL>2</GREEN_CHANNEL>
                <BLUE_CHANNEL>1</BLUE_CHANNEL>
            </Image_Display_Order>
            <QUANTIFICATION_VALUE unit="none">{QUANTIFICATION}</QUANTIFICATION_VALUE>
{offset_list if document.names.has_offsets else ""}            <Reflectance_Conversion>
        <U>{earth_sun_distance_au(document.names.acquired) ** -2:.15g}</U>
        <Solar_Irradiance_List>
{irradiance}        </Solar_Irradiance_List>
      </Reflectance_Conversion>
            <Spectral_Information_List>
{spectral}      </Spectral_Information_List>
            <REFERENCE_BAND>3</REFERENCE_BAND>
        </Product_Image_Characteristics>
"""


def _irradiance(band: Band) -> float:
    """Of the sun, W/m2/um: Sentinel-2A's, interpolated between its bands' centres for the others."""
    centres = [other.wavelength_nm for other in SENSORS["S2A"].bands]
    return float(np.interp(band.wavelength_nm, centres, list(MSI_IRRADIANCE.values())))


def _spectral(index: int, band: Band) -> str:
    physical = f"B{band.name[1:].lstrip('0')}"
    low, high = band.wavelength_nm - band.width_nm / 2, band.wavelength_nm + band.width_nm / 2
    return f"""        <Spectral_Information bandId="{index}" physicalBand="{physical}">
          <RESOLUTION>{band.resolution_m}</RESOLUTION>
          <Wavelength>
            <MIN unit="nm">{low:.0f}</MIN>
            <MAX unit="nm">{high:.0f}</MAX>
            <CENTRAL unit="nm">{band.wavelength_nm:g}</CENTRAL>
          </Wavelength>
        </Spectral_Information>
"""


def _footprint(grid: Grid) -> str:
    ring = footprint_lonlat(grid)
    positions = " ".join(f"{lat!r} {lon!r}" for lon, lat in ring[::-1])
    return f"""    <n1:Geometric_Info>
        <Product_Footprint>
            <Product_Footprint>
                <Global_Footprint>
                    <EXT_POS_LIST>{positions} </EXT_POS_LIST>
                </Global_Footprint>
            </Product_Footprint>
            <RASTER_CS_TYPE>POINT</RASTER_CS_TYPE>
            <PIXEL_ORIGIN>1</PIXEL_ORIGIN>
        </Product_Footprint>
        <Coordinate_Reference_System>
            <GEO_TABLES version="1">EPSG</GEO_TABLES>
            <HORIZONTAL_CS_TYPE>GEOGRAPHIC</HORIZONTAL_CS_TYPE>
        </Coordinate_Reference_System>
    </n1:Geometric_Info>
"""


def datastrip_xml(names: SafeNames) -> str:
    """MTD_DS.xml, its head only: the real one is megabytes of ephemeris that no reader of pixels needs."""
    return f"""{HEADER}<n1:Level-1C_DataStrip_ID xmlns:n1="{SCHEMA}S2_PDI_Level-1C_Datastrip_Metadata.xsd">
  <n1:General_Info>
    <Datatake_Info datatakeIdentifier="{names.datatake_id}" metadataLevel="Standard">
      <SPACECRAFT_NAME>Sentinel-{names.sensor[1:]}</SPACECRAFT_NAME>
      <DATATAKE_TYPE>INS-NOBS</DATATAKE_TYPE>
      <DATATAKE_SENSING_START>{iso(names.datatake_start)}</DATATAKE_SENSING_START>
      <SENSING_ORBIT_NUMBER>{names.relative_orbit}</SENSING_ORBIT_NUMBER>
      <SENSING_ORBIT_DIRECTION>DESCENDING</SENSING_ORBIT_DIRECTION>
    </Datatake_Info>
    <Datastrip_Time_Info metadataLevel="Standard">
      <DATASTRIP_SENSING_START>{iso(names.datastrip_start)}</DATASTRIP_SENSING_START>
      <DATASTRIP_SENSING_STOP>{iso(names.acquired)}</DATASTRIP_SENSING_STOP>
    </Datastrip_Time_Info>
    <Processing_Info metadataLevel="Standard">
      <PROCESSING_BASELINE>{names.baseline}</PROCESSING_BASELINE>
      <UTC_DATE_TIME>{names.generated:%Y-%m-%dT%H:%M:%S}.000000Z</UTC_DATE_TIME>
      <PROCESSING_CENTER>{names.centre}</PROCESSING_CENTER>
    </Processing_Info>
  </n1:General_Info>
</n1:Level-1C_DataStrip_ID>
"""


def inspire_xml(names: SafeNames) -> str:
    """INSPIRE.xml, its identifier only."""
    return f"""{HEADER}<gmd:MD_Metadata xmlns:gmd="http://www.isotc211.org/2005/gmd" \
xmlns:gco="http://www.isotc211.org/2005/gco">
  <gmd:fileIdentifier><gco:CharacterString>{names.product}</gco:CharacterString></gmd:fileIdentifier>
</gmd:MD_Metadata>
"""


def manifest_xml(names: SafeNames, *, files: Iterable[tuple[str, int, str]]) -> str:
    """manifest.safe, with every file's path, size and checksum.

    Args:
        names: Identity.
        files: (path from the product's root, size in bytes, checksum in hexadecimal) of every other file.
    """
    digest = "SHA3-256" if names.has_offsets else "MD5"
    objects = "".join(
        f'    <dataObject ID="{_object_id(path)}">\n      <byteStream mimeType="application/octet-stream" '
        f'size="{size}">\n        <fileLocation href="./{path}" locatorType="URL"/>\n'
        f'        <checksum checksumName="{digest}">{checksum}</checksum>\n'
        "      </byteStream>\n    </dataObject>\n"
        for path, size, checksum in files
    )
    return f"""{HEADER}<xfdu:XFDU xmlns:gml="http://www.opengis.net/gml" \
xmlns:safe="http://www.esa.int/safe/sentinel/1.1" xmlns:xfdu="urn:ccsds:schema:xfdu:1" \
version="esa/safe/sentinel/1.1/sentinel-2/msi/archive_l1c_user_product">
  <informationPackageMap>
    <xfdu:contentUnit textInfo="SENTINEL-2 MSI Level-1C User Product" unitType="Product_Level-1C"/>
  </informationPackageMap>
  <metadataSection>
    <metadataObject ID="acquisitionPeriod" category="DMD" classification="DESCRIPTION">
      <metadataWrap mimeType="text/xml" textInfo="Acquisition Period" vocabularyName="SAFE">
        <xmlData><safe:acquisitionPeriod><safe:startTime>{iso(names.datatake_start)}</safe:startTime>\
</safe:acquisitionPeriod></xmlData>
      </metadataWrap>
    </metadataObject>
  </metadataSection>
  <dataObjectSection>
{objects}  </dataObjectSection>
</xfdu:XFDU>
"""


def _object_id(path: str) -> str:
    return path.replace("/", "_").replace(".", "_")

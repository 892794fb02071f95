"""MTD_TL.xml of a Sentinel-2 Level-1C granule: geocoding, angle grids, masks.

Source: Products Specification Document 14.9, section 4.9.8; number formats as in real products.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from undersky.grid import Floats, Grid
from undersky.synth.geometry import epsg
from undersky.synth.safe_xml import HEADER, SCHEMA, Document
from undersky.synth.tile_angles import STEP_M


def tile_xml(document: Document) -> str:
    """MTD_TL.xml; the angle grids span the whole tile even where the images are a part of it."""
    names = document.names
    return f"""{HEADER}<n1:Level-1C_Tile_ID xmlns:n1="{SCHEMA}S2_PDI_Level-1C_Tile_Metadata.xsd" \
xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" \
xsi:schemaLocation="{SCHEMA}S2_PDI_Level-1C_Tile_Metadata.xsd">

  <n1:General_Info>
    <TILE_ID metadataLevel="Brief">{names.granule_id}</TILE_ID>
    <DATASTRIP_ID metadataLevel="Standard">{names.datastrip_id}</DATASTRIP_ID>
    <DOWNLINK_PRIORITY metadataLevel="Standard">NOMINAL</DOWNLINK_PRIORITY>
    <SENSING_TIME metadataLevel="Standard">{names.acquired:%Y-%m-%dT%H:%M:%S.%f}Z</SENSING_TIME>
    <Archiving_Info metadataLevel="Expertise">
      <ARCHIVING_CENTRE>{names.centre}</ARCHIVING_CENTRE>
      <ARCHIVING_TIME>{names.generated:%Y-%m-%dT%H:%M:%S}.000000Z</ARCHIVING_TIME>
    </Archiving_Info>
  </n1:General_Info>

  <n1:Geometric_Info>
{_geocoding(document.grids)}    <Tile_Angles metadataLevel="Standard">
{_angles(document)}    </Tile_Angles>
  </n1:Geometric_Info>

  <n1:Quality_Indicators_Info metadataLevel="Standard">
    <Image_Content_QI>
      <CLOUDY_PIXEL_PERCENTAGE>{document.cloud_percent!r}</CLOUDY_PIXEL_PERCENTAGE>
      <DEGRADED_MSI_DATA_PERCENTAGE>0</DEGRADED_MSI_DATA_PERCENTAGE>
{_snow(document)}    </Image_Content_QI>
    <Pixel_Level_QI geometry="FULL_RESOLUTION">
{_mask_list(document)}    </Pixel_Level_QI>
    <PVI_FILENAME>GRANULE/{names.granule}/QI_DATA/{names.prefix}_PVI.jp2</PVI_FILENAME>
  </n1:Quality_Indicators_Info>

</n1:Level-1C_Tile_ID>
"""


def _geocoding(grids: Mapping[int, Grid]) -> str:
    code = epsg(grids[10])
    zone = f"{code % 100}{'S' if 32700 < code < 32800 else 'N'}"
    sizes = "".join(
        f'      <Size resolution="{resolution}">\n        <NROWS>{grid.shape[0]}</NROWS>\n'
        f"        <NCOLS>{grid.shape[1]}</NCOLS>\n      </Size>\n"
        for resolution, grid in grids.items()
    )
    positions = "".join(
        f'      <Geoposition resolution="{resolution}">\n        <ULX>{grid.affine.c:.0f}</ULX>\n'
        f"        <ULY>{grid.affine.f:.0f}</ULY>\n        <XDIM>{resolution}</XDIM>\n"
        f"        <YDIM>-{resolution}</YDIM>\n      </Geoposition>\n"
        for resolution, grid in grids.items()
    )
    return (
        '    <Tile_Geocoding metadataLevel="Brief">\n'
        f"      <HORIZONTAL_CS_NAME>WGS84 / UTM zone {zone}</HORIZONTAL_CS_NAME>\n"
        f"      <HORIZONTAL_CS_CODE>EPSG:{code}</HORIZONTAL_CS_CODE>\n"
        f"{sizes}{positions}    </Tile_Geocoding>\n"
    )


def _angles(document: Document) -> str:
    angles = document.angles
    parts = [_angle_grid("Sun_Angles_Grid", "", angles.sun_zenith, angles.sun_azimuth)]
    parts.append(
        "      <Mean_Sun_Angle>\n"
        + _mean_angle(angles.mean_sun, indent="        ")
        + "      </Mean_Sun_Angle>\n"
    )
    for index, band in enumerate(document.sensor.bands):
        for detector in angles.detectors[band.name]:
            attributes = f' bandId="{index}" detectorId="{detector.number}"'
            name = "Viewing_Incidence_Angles_Grids"
            parts.append(_angle_grid(name, attributes, detector.view_zenith, detector.view_azimuth))
    parts.append("      <Mean_Viewing_Incidence_Angle_List>\n")
    for index, band in enumerate(document.sensor.bands):
        mean = _mean_angle(angles.mean_view[band.name], indent="          ")
        parts.append(
            f'        <Mean_Viewing_Incidence_Angle bandId="{index}">\n{mean}'
            "        </Mean_Viewing_Incidence_Angle>\n"
        )
    parts.append("      </Mean_Viewing_Incidence_Angle_List>\n")
    return "".join(parts)


def _mean_angle(angle: tuple[float, float], *, indent: str) -> str:
    zenith, azimuth = angle
    return (
        f'{indent}<ZENITH_ANGLE unit="deg">{zenith:.12g}</ZENITH_ANGLE>\n'
        f'{indent}<AZIMUTH_ANGLE unit="deg">{azimuth:.12g}</AZIMUTH_ANGLE>\n'
    )


def _angle_grid(name: str, attributes: str, zenith: Floats, azimuth: Floats) -> str:
    grids = _values("Zenith", zenith) + _values("Azimuth", azimuth)
    return f"      <{name}{attributes}>\n{grids}      </{name}>\n"


def _values(name: str, field: npt.NDArray[np.floating]) -> str:
    rows = "".join(
        f"            <VALUES>{' '.join('NaN' if np.isnan(v) else f'{v:.6g}' for v in row)}</VALUES>\n"
        for row in field
    )
    return (
        f'        <{name}>\n          <COL_STEP unit="m">{STEP_M:.0f}</COL_STEP>\n'
        f'          <ROW_STEP unit="m">{STEP_M:.0f}</ROW_STEP>\n          <Values_List>\n{rows}'
        f"          </Values_List>\n        </{name}>\n"
    )


def _snow(document: Document) -> str:
    if not document.names.has_offsets:
        return ""
    return f"      <SNOW_PIXEL_PERCENTAGE>{document.snow_percent!r}</SNOW_PIXEL_PERCENTAGE>\n"


def _mask_list(document: Document) -> str:
    index = {band.name: number for number, band in enumerate(document.sensor.bands)}
    lines = []
    for kind, band, file in document.masks:
        attribute = f' bandId="{index[band]}"' if band else ""
        lines.append(f'      <MASK_FILENAME{attribute} type="MSK_{kind}">{file}</MASK_FILENAME>\n')
    return "".join(lines)

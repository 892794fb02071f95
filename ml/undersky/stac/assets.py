"""One asset a layer: what a reader needs to turn its numbers into values."""

from typing import Any

import pystac

from undersky.bands import Band, Sensor
from undersky.raster.encoding import Layer, bits_of
from undersky.raster.written import WrittenFile, WrittenLayer

Fields = dict[str, Any]

COG_TYPE = "image/tiff; application=geotiff; profile=cloud-optimized"
_SHA2_256 = "1220"
"""Multihash prefix of a sha256."""
_COMMON_NAMES_1_1 = {"coastal", "blue", "green", "red", "nir", "nir08", "nir09", "swir16", "swir22"}
"""Those of our common names that version 1.1 of the electro-optical extension knew."""


def layer_asset(written: WrittenLayer, sensor: Sensor) -> pystac.Asset:
    """The asset of one finished layer, with a link relative to the Item."""
    grid = written.grid
    fields = layer_fields(written.layer, sensor)
    if written.statistics:
        fields["bands"][0]["statistics"] = dict(written.statistics)
    fields |= {
        "proj:shape": list(grid.shape),
        "proj:transform": [float(value) for value in tuple(grid.affine)[:6]],
        "file:size": written.file.size,
        "file:checksum": _SHA2_256 + written.file.sha256,
    }
    title, roles, media = fields.pop("title"), fields.pop("roles"), fields.pop("type")
    description = fields.pop("description", None)
    return pystac.Asset(
        f"./{written.file.path.name}", title, description, media, roles=roles, extra_fields=fields
    )


def layer_fields(layer: Layer, sensor: Sensor, *, wavelengths: bool = True) -> Fields:
    """What an asset of that layer says in every product; wavelengths differ within a family of sensors."""
    fields: Fields = {
        "title": layer.title if wavelengths else _family_title(layer),
        "roles": list(layer.roles),
        "type": COG_TYPE,
        "data_type": layer.dtype,
        "bands": [_band_fields(layer, wavelengths=wavelengths)],
    }
    if layer.band is not None and "reflectance" in layer.roles:
        fields["eo:bands"] = [_band_1_0(layer.band, wavelengths=wavelengths)]
    if layer.nodata is not None:
        fields["nodata"] = layer.nodata
    if layer.unit != "1":
        fields["unit"] = layer.unit
    if layer.curve == "square":
        fields["description"] = "value = (stored / 800) squared; no linear scale applies"
    elif layer.scale != 1.0:
        fields |= {"raster:scale": layer.scale, "raster:offset": layer.offset}
    bits = bits_of(layer, sensor)
    if bits:
        fields["classification:bitfields"] = [
            _bit(i, name, meaning) for i, (name, meaning) in enumerate(bits)
        ]
    return fields


def _family_title(layer: Layer) -> str:
    """The layer's title without the wavelength of one sensor."""
    return (
        layer.title
        if layer.band is None
        else layer.title.removesuffix(f", {layer.band.wavelength_nm:.0f} nm")
    )


def _band_fields(layer: Layer, *, wavelengths: bool) -> Fields:
    fields: Fields = {"name": layer.key}
    band: Band | None = layer.band
    if band is None or "reflectance" not in layer.roles:
        return fields  # a common name on an uncertainty would make `blue` mean two assets
    fields["eo:common_name"] = band.common_name
    if wavelengths:
        fields["eo:center_wavelength"] = round(band.wavelength_nm / 1000, 4)
        fields["eo:full_width_half_max"] = round(band.width_nm / 1000, 4)
    return fields


def _band_1_0(band: Band, *, wavelengths: bool) -> Fields:
    """The band as STAC 1.0 wrote it: odc-stac finds common names only here.

    It had one name for three red-edge bands; they stay without, so that every name means one asset.
    """
    fields: Fields = {"name": band.asset}
    if band.common_name in _COMMON_NAMES_1_1:
        fields["common_name"] = band.common_name
    if wavelengths:
        fields["center_wavelength"] = round(band.wavelength_nm / 1000, 4)
        fields["full_width_half_max"] = round(band.width_nm / 1000, 4)
    return fields


def _bit(offset: int, name: str, meaning: str) -> Fields:
    classes = [
        {"value": 0, "name": "no", "description": f"not: {meaning}"},
        {"value": 1, "name": "yes", "description": meaning},
    ]
    return {"name": name, "description": meaning, "offset": offset, "length": 1, "classes": classes}


def thumbnail_asset(file: WrittenFile) -> pystac.Asset:
    """The asset of the true-colour picture."""
    fields = {"file:size": file.size, "file:checksum": _SHA2_256 + file.sha256}
    title = "True colour; terrain illumination is not corrected"
    return pystac.Asset(f"./{file.path.name}", title, None, "image/jpeg", ["thumbnail"], extra_fields=fields)


def before_asset(file: WrittenFile) -> pystac.Asset:
    """The asset of the picture of what the satellite saw."""
    fields = {"file:size": file.size, "file:checksum": _SHA2_256 + file.sha256}
    title = "True colour before the atmosphere was removed"
    return pystac.Asset(f"./{file.path.name}", title, None, "image/jpeg", ["overview"], extra_fields=fields)

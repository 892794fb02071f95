"""Vendor products become `Scene`s: Sentinel-2 Level-1C and Landsat 8/9 Level-1.

    open_scene(path)       folder, zip or tar  ->  Scene: metadata and headers only, no pixel is decoded
    require_bands(scene)   refuses a scene that lacks a band a product must carry
    verify_pixels(scene)   looks at the pixels: are offset and band names what the metadata says?
    open_detectors(path)   Sentinel-2 only: view angles and footprints detector by detector

Everything here raises `DataError` with a stable reason, quickly, and before much memory is spent.
"""

from undersky.sensors.opening import open_detectors, open_scene, require_bands
from undersky.sensors.plausibility import verify_pixels

__all__ = ["open_detectors", "open_scene", "require_bands", "verify_pixels"]

"""Undersky: surface reflectance and maps of the ground under the sky, from Sentinel-2 and Landsat."""

__version__ = "0.1.0"

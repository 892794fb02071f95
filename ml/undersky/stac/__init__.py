"""STAC 1.1 Items and Collections of our products, schema-checked.

The core schemas come with pystac, so validation needs no network. Nobody ships the extensions' schemas: the
tests check those fields one by one, and by pystac's own extension readers.
"""

from undersky.raster.written import WrittenFile, WrittenLayer
from undersky.stac.documents import (
    attribution,
    surface_collection,
    surface_item,
    to_json,
    validate,
)
from undersky.stac.product import Cost, Lineage, Product

__all__ = [
    "Cost",
    "Lineage",
    "Product",
    "WrittenFile",
    "WrittenLayer",
    "attribution",
    "surface_collection",
    "surface_item",
    "to_json",
    "validate",
]

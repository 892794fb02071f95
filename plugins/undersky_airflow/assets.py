"""Wake-up hints between DAGs.

An event may be lost, merged or doubled: whoever is woken asks the ledger what is to be done, and a schedule
wakes him anyway. Each asset has one producer.

The `x-` keeps Airflow from loading every provider, boto3 with them, to look for a handler of the scheme.
"""

from airflow.sdk import Asset

VALID_ACQUISITIONS = Asset(
    name="valid_acquisitions",
    uri="x-undersky://acquisitions/valid",
    group="undersky",
)
"""A fresh batch of Level-1 scenes was ingested and judged."""

CAMPAIGN_STARTED = Asset(
    name="campaign_started",
    uri="x-undersky://campaigns/started",
    group="undersky",
)
"""Somebody agreed to a campaign: the historical lane has work."""

CAMPAIGN_GOES_ON = Asset(
    name="campaign_goes_on",
    uri="x-undersky://campaigns/goes-on",
    group="undersky",
)
"""A run of the historical lane ended, and a campaign has scenes left."""

SURFACE_PRODUCTS = Asset(
    name="surface_products",
    uri="x-undersky://products/surface",
    group="undersky",
)
"""A fresh batch of surface reflectance was published: there is ground to map."""

LANDCOVER_PRODUCTS = Asset(
    name="landcover_products",
    uri="x-undersky://products/landcover",
    group="undersky",
)
"""A fresh batch of land-cover maps was published; for DAGs of others."""

VESSELS_PRODUCTS = Asset(
    name="vessels_products",
    uri="x-undersky://products/vessels",
    group="undersky",
)
"""A fresh batch of vessels was published; for DAGs of others."""

"""Expectations of a surface-reflectance product: what a reader of docs/product.md relies on."""

from undersky.validation.rules import Rule, Severity

_CRITICAL, _NON_PRODUCT, _WARNING = Severity.CRITICAL, Severity.NON_PRODUCT, Severity.WARNING
_CONTRACT = "docs/product.md"

RULES: tuple[Rule, ...] = (
    Rule(
        "scene", "schema_error", _CRITICAL, "item_invalid",
        "the Item breaks the STAC schema ({schema_error}): a defect of this version, report it",
        "STAC 1.1 core schema", one_of=("none",),
    ),
    Rule(
        "scene", "digest_agrees", _CRITICAL, "digest_mismatch",
        "the Item says digest {digest}, its folder is made for another: "
        "remove the folder and re-make the scene",
        "ARCHITECTURE, store layout", one_of=(True,),
    ),
    Rule(
        "scene", "missing_layers", _CRITICAL, "layer_missing",
        "the Item lacks {missing}: re-make the scene", _CONTRACT, high=0.0,
    ),
    Rule(
        "bands", "is_there", _CRITICAL, "asset_missing",
        "{band} is in the Item and not in the folder: re-make the scene", "the Item is the commit",
        one_of=(True,),
    ),
    Rule(
        "bands", "size_agrees", _CRITICAL, "asset_size",
        "{band} has {bytes:.0f} bytes, the Item says {declared_bytes:.0f}: re-make the scene",
        "file extension of STAC", one_of=(True,),
    ),
    Rule(
        "bands", "checksum_agrees", _CRITICAL, "asset_checksum",
        "{band} does not have the sha256 that the Item gives: re-make the scene", "file extension of STAC",
        one_of=(True,),
    ),
    Rule(
        "bands", "opens", _CRITICAL, "asset_unreadable",
        "{band} cannot be opened as GeoTIFF: re-make the scene", _CONTRACT, one_of=(True,),
    ),
    Rule(
        "bands", "is_cog", _CRITICAL, "not_a_cog",
        "{band} is no Cloud-Optimized GeoTIFF ({cog_error}): re-make the scene", "OGC 21-026, 8",
        one_of=(True,),
    ),
    Rule(
        "bands", "encoding_agrees", _CRITICAL, "encoding_mismatch",
        "{band} is stored as {dtype} with nodata {nodata}, against docs/product.md: re-make the scene",
        _CONTRACT, one_of=(True,),
    ),
    Rule(
        "bands", "grid_agrees", _CRITICAL, "grid_mismatch",
        "{band} does not lie where the Item says: re-make the scene", "projection extension of STAC",
        one_of=(True,),
    ),
    Rule(
        "bands", "grid_shared", _CRITICAL, "grids_differ",
        "{band} does not lie on the grid of the other layers of its resolution: re-make the scene",
        _CONTRACT, one_of=(True,),
    ),
    Rule(
        "scene", "valid_percent", _NON_PRODUCT, "too_little_ground",
        "only {valid_percent:.2f} % of the tile has a value, less than 1: no product is published of such a "
        "sliver",
        "a sliver at the edge of the swath", low=1.0,
    ),
    Rule(
        "scene", "nodata_spread_percent", _CRITICAL, "bands_disagree",
        "between the bands the share of pixels without a value differs by {nodata_spread_percent:.0f} "
        "points, more than 25: look at the scene, then release it or re-make it",
        "edges of the focal plane differ by a kilometre or two", high=25.0,
    ),
    Rule(
        "bands", "uncertainty_missing_percent", _CRITICAL, "uncertainty_missing",
        "{uncertainty_missing_percent:.2f} % of the values of {band} have no uncertainty, or the other way "
        "round: a defect of this version, report it",
        _CONTRACT, high=0.5,
    ),
    Rule(
        "bands", "zero_percent", _CRITICAL, "uncertainty_zero",
        "{zero_percent:.1f} % of {band} claims to be exact: the model's uncertainty is broken, compare "
        "it with the champion",
        "no measurement is exact", high=1.0,
    ),
    Rule(
        "bands", "p50", _CRITICAL, "reflectance_implausible",
        "half of {band} is brighter than {p50:.2f}, and no ground is brighter than 1.3 on average: the "
        "atmosphere is wrong, look at aot_550",
        "fresh snow reaches 1.0; clouds of a cloudy scene 1.2", high=1.3, low=-0.05,
    ),
    Rule(
        "bands", "negative_percent", _CRITICAL, "over_corrected",
        "{negative_percent:.0f} % of {band} is below -0.02: more atmosphere was removed than there was; look "
        "at aot_550, then release or re-make it",
        "dark water may be slightly negative, half a scene may not", high=50.0,
    ),
    Rule(
        "bands", "negative_percent", _WARNING, "partly_over_corrected",
        "{negative_percent:.1f} % of {band} is below -0.02", "dark water may be slightly negative", high=5.0,
    ),
    Rule(
        "bands", "above_one_percent", _WARNING, "much_above_one",
        "{above_one_percent:.0f} % of {band} is above 1", "cloud edges and sun glint", high=40.0,
    ),
    Rule(
        "bands", "median_uncertainty", _WARNING, "uncertain",
        "half of {band} is more uncertain than {median_uncertainty:.2f}",
        "haze beyond which a map says little", high=0.15,
    ),
    Rule(
        "scene", "aot_550", _WARNING, "hazy", "the mean aerosol optical thickness is {aot_550:.2f}",
        "range of the retrieval", low=0.0, high=2.0,
    ),
    Rule(
        "scene", "fallback_percent", _WARNING, "mostly_fallback",
        "{fallback_percent:.0f} % was corrected by the physics baseline: the model does not know such scenes",
        _CONTRACT, high=50.0,
    ),
    Rule(
        "scene", "outside_percent", _WARNING, "outside_tables",
        "{outside_percent:.0f} % lies outside the tables: extrapolated to their edge", _CONTRACT, high=20.0,
    ),
)  # fmt: skip
"""Expectations of a surface product, in the order in which the worst is told."""

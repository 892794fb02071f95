"""Expectations of a land-cover map: the promises of docs/maps.md, and signs of a model gone wrong."""

from undersky.validation import maps
from undersky.validation.rules import Rule, Severity

_CRITICAL, _NON_PRODUCT, _WARNING = Severity.CRITICAL, Severity.NON_PRODUCT, Severity.WARNING
_CONTRACT = "docs/maps.md"

ONE_CLASS_PERCENT = 99.5
"""A collapsed model says one thing everywhere; nearly every tile of land has its roads and rivers."""

RULES: tuple[Rule, ...] = (
    *maps.RULES,
    Rule(
        "bands", "is_cog", _CRITICAL, "not_a_cog",
        "{band} is no Cloud-Optimized GeoTIFF ({cog_error}): map again", "OGC 21-026, 8", one_of=(True,),
    ),
    Rule(
        "bands", "encoding_agrees", _CRITICAL, "encoding_mismatch",
        "{band} is stored as {dtype} with nodata {nodata}, against docs/maps.md: map again", _CONTRACT,
        one_of=(True,),
    ),
    Rule(
        "bands", "grid_agrees", _CRITICAL, "grid_mismatch",
        "{band} does not lie where the Item says: map again", "projection extension of STAC", one_of=(True,),
    ),
    Rule(
        "bands", "surface_grid_agrees", _CRITICAL, "grid_not_of_surface",
        "{band} does not lie on the finest grid of its surface product: map again", _CONTRACT,
        one_of=(True,),
    ),
    Rule(
        "scene", "unknown_percent", _CRITICAL, "class_unknown",
        "{unknown_percent:.3f} % of the pixels have a code that is none of the eleven classes ({unknown}): "
        "the model is of another legend, compare it with the champion",
        "ESA WorldCover v200, table of codes", high=0.0,
    ),
    Rule(
        "bands", "beyond_percent", _CRITICAL, "confidence_out_of_range",
        "{beyond_percent:.3f} % of {band} is beyond 1: a defect of this version, report it", _CONTRACT,
        high=0.0,
    ),
    Rule(
        "scene", "apart_percent", _CRITICAL, "confidence_missing",
        "{apart_percent:.3f} % of the pixels have a class and no confidence, or the other way round: a "
        "defect of this version, report it",
        _CONTRACT, high=0.0,
    ),
    Rule(
        "scene", "unmapped_percent", _CRITICAL, "clear_ground_unmapped",
        "{unmapped_percent:.0f} % of the tile is clear ground by the surface product and has no class: look "
        "at the map, then release it or re-make it",
        "every clear pixel is mapped; a surface product's flags are rounded", high=2.0,
    ),
    Rule(
        "scene", "unexplained_percent", _CRITICAL, "one_class",
        "{unexplained_percent:.2f} % of the map is {dominant}, and the quality mask knows no reason: look at "
        "it, then release it or compare the model with the champion",
        "a collapsed model says one thing everywhere; open sea, snow fields and deserts are told apart by "
        "the mask's water and snow, and by the class",
        high=ONE_CLASS_PERCENT,
    ),
    Rule(
        "scene", "mean_confidence", _CRITICAL, "confidence_low",
        "the mean confidence is {mean_confidence:.2f}: the model does not know such ground; look at the map, "
        "then release it or compare the model with the champion",
        "of eleven classes a guess is right once in eleven times", low=0.3,
    ),
    Rule(
        "scene", "valid_percent", _NON_PRODUCT, "too_little_ground",
        "only {valid_percent:.2f} % of the tile has a class, less than 1: no product is published of such a "
        "remnant",
        "as of a surface product", low=1.0,
    ),
    Rule(
        "scene", "dominant_percent", _WARNING, "one_class_only",
        "{dominant_percent:.2f} % of the map is {dominant}", "open sea, snow fields and deserts",
        high=ONE_CLASS_PERCENT,
    ),
    Rule(
        "scene", "mean_confidence", _WARNING, "unsure",
        "the mean confidence is {mean_confidence:.2f}: many pixels are mixed or unknown to the model",
        "half is where the runner-up may be as likely", low=0.5,
    ),
    Rule(
        "scene", "misplaced_mangroves_percent", _WARNING, "mangroves_misplaced",
        "{misplaced_mangroves_percent:.1f} % of the map is mangroves, at {latitude:.0f} degrees latitude",
        "mangroves grow from Bermuda, 33 N, to Corner Inlet, 39 S", high=0.1,
    ),
    Rule(
        "bands", "colours_agree", _WARNING, "colours_differ",
        "the colour table of {band} is not that of the legend", _CONTRACT, one_of=(True,),
    ),
)  # fmt: skip
"""Expectations of a land-cover map, in the order in which the worst is told."""

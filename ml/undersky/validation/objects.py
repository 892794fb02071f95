"""Expectations of a map of objects: the promises of docs/objects.md, and signs of a model gone wrong."""

from undersky.validation import maps
from undersky.validation.rules import Rule, Severity

_CRITICAL, _WARNING = Severity.CRITICAL, Severity.WARNING
_CONTRACT = "docs/objects.md"

MOST_OBJECTS = 3000
"""In one product, 110 km a side: the busiest straits of the world hold several hundred ships there."""
MOST_PER_KM2 = 5.0
"""Of water, where there are DENSE_FROM or more: ships at anchor off Singapore lie at three or four a km2."""
DENSE_FROM = 100
"""Fewer objects than that say nothing about density: a small basin may be full of them."""
LONGEST_M = 500.0
"""The longest ship ever built, Seawise Giant, measured 458 m."""

RULES: tuple[Rule, ...] = (
    *maps.RULES,
    Rule(
        "scene", "missing_columns", _CRITICAL, "column_missing",
        "the table lacks {columns}: map again", _CONTRACT, high=0.0,
    ),
    Rule(
        "scene", "crs_agrees", _CRITICAL, "not_longlat",
        "the table's geometry is not in longitude and latitude (WGS 84) as GeoParquet says it: map again",
        "GeoParquet 1.1, column metadata; RFC 7946, 4", one_of=(True,),
    ),
    Rule(
        "scene", "files_agree", _CRITICAL, "files_disagree",
        "table and GeoJSON do not hold the same objects ({disagreement}): map again", _CONTRACT,
        one_of=(True,),
    ),
    Rule(
        "scene", "invalid_geometries", _CRITICAL, "geometry_invalid",
        "{invalid_geometries:.0f} objects have no valid box: a defect of this version, report it",
        "OGC 06-103r4, simple features", high=0.0,
    ),
    Rule(
        "scene", "missing_chips", _CRITICAL, "chip_missing",
        "{missing_chips:.0f} objects have no picture: a defect of this version, report it", _CONTRACT,
        high=0.0,
    ),
    Rule(
        "scene", "lowest_score", _CRITICAL, "score_out_of_range",
        "a score is {lowest_score:.3f}, and they lie in 0 to 1: a defect of this version, report it",
        _CONTRACT, low=0.0,
    ),
    Rule(
        "scene", "highest_score", _CRITICAL, "score_out_of_range",
        "a score is {highest_score:.3f}, and they lie in 0 to 1: a defect of this version, report it",
        _CONTRACT, high=1.0,
    ),
    Rule(
        "scene", "objects", _CRITICAL, "too_many_objects",
        "{objects:.0f} objects in one product, more than 3000: look at the picture, then release it or "
        "compare the model with the champion",
        "the busiest waters hold several hundred ships in a tile", high=float(MOST_OBJECTS),
    ),
    Rule(
        "scene", "objects_per_km2", _CRITICAL, "too_many_objects",
        "{objects:.0f} objects on {water_km2:.1f} km2 of water, {objects_per_km2:.1f} a km2: look at the "
        "picture, then release it or compare the model with the champion",
        "ships at anchor off Singapore lie at three or four a km2", high=MOST_PER_KM2,
    ),
    Rule(
        "scene", "outside", _CRITICAL, "outside_footprint",
        "{outside:.0f} objects lie outside the scene: map again", "an object was seen in the scene",
        high=0.0,
    ),
    Rule(
        "scene", "on_nodata", _CRITICAL, "objects_unseen",
        "{on_nodata:.0f} objects lie where the scene has no data: map again", "nothing was seen there",
        high=0.0,
    ),
    Rule(
        "scene", "on_land_percent", _CRITICAL, "objects_on_land",
        "{on_land_percent:.0f} % of the objects have no water near them by the quality mask: look at the "
        "picture, then release it or compare the model with the champion",
        "land is excluded by that mask", high=5.0,
    ),
    Rule(
        "scene", "longest_m", _CRITICAL, "length_absurd",
        "an object is {longest_m:.0f} m long, and no ship is longer than 460 m: look at the picture, then "
        "release it or compare the model with the champion",
        "the longest ship ever built measured 458 m", high=LONGEST_M,
    ),
    Rule(
        "scene", "shortest_m", _CRITICAL, "length_absurd",
        "an object is {shortest_m:.1f} m long, a tenth of a pixel: a defect of this version, report it",
        "what is seen covers a good part of a pixel", low=1.0,
    ),
    Rule(
        "scene", "doubled_percent", _CRITICAL, "objects_doubled",
        "{doubled_percent:.0f} % of the objects lie on another one: a defect of this version, report it",
        "an object is reported once", high=2.0,
    ),
    Rule(
        "scene", "doubled_percent", _WARNING, "some_doubled",
        "{doubled_percent:.2f} % of the objects lie on another one", "ships side by side", high=0.0,
    ),
    Rule(
        "scene", "on_land_percent", _WARNING, "some_on_land",
        "{on_land_percent:.1f} % of the objects have no water near them by the quality mask",
        "docks and narrow basins", high=0.0,
    ),
    Rule(
        "scene", "objects", _WARNING, "many_objects", "{objects:.0f} objects in one product",
        "a busy anchorage, or glint and white caps", high=1000.0,
    ),
)  # fmt: skip
"""Expectations of a map of objects, in the order in which the worst is told."""

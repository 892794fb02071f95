"""Expectations of a delivered Level-1 scene. Format, headers and offsets are the reader's, before this."""

from undersky.validation.rules import Rule, Severity

_CRITICAL, _NON_PRODUCT, _WARNING = Severity.CRITICAL, Severity.NON_PRODUCT, Severity.WARNING

MAX_SUN_ZENITH = 77.0
"""Edge of the radiative-transfer tables; the agencies themselves warn beyond 76 degrees."""
MAX_CLOUD_PERCENT = 95.0
"""Beyond it the clear rest is mostly missed thin cloud."""
MIN_VALID_PERCENT = 1.0
"""A sliver of the swath below this is not worth a product."""

RULES: tuple[Rule, ...] = (
    Rule(
        "scene", "tile_agrees", _CRITICAL, "tile_mismatch",
        "the delivered product is of tile {tile}, announced was {announced_tile}: report it to the provider",
        "catalog and product describe one granule", one_of=(True,),
    ),
    Rule(
        "scene", "platform_agrees", _CRITICAL, "platform_mismatch",
        "the delivered product is of {platform}, announced was {announced_platform}: "
        "report it to the provider",
        "catalog and product describe one granule", one_of=(True,),
    ),
    Rule(
        "scene", "hours_from_announced", _CRITICAL, "date_mismatch",
        "the delivered product was sensed {acquired}, {hours_from_announced:.0f} h from the announced time: "
        "report it to the provider",
        "a datatake lasts less than an hour", high=24.0,
    ),
    Rule(
        "scene", "km_from_tile", _CRITICAL, "place_mismatch",
        "the pixels lie {km_from_tile:.0f} km from tile {tile}: name or georeference is wrong, "
        "deliver it again",
        "tiling grid of Sentinel-2", high=5.0, family="sentinel-2",
    ),
    Rule(
        "scene", "km_from_tile", _CRITICAL, "place_mismatch",
        "the pixels lie {km_from_tile:.0f} km from path and row {tile}: name or georeference is wrong, "
        "deliver it again",
        "WRS-2; scenes off nadir lie one path aside", high=250.0, family="landsat",
    ),
    Rule(
        "scene", "sun_zenith", _NON_PRODUCT, "sun_too_low",
        "the sun stands {sun_zenith:.1f} degrees from the zenith, more than the 77 that the correction "
        "knows: no product is made of such a scene",
        "edge of the radiative-transfer tables", high=MAX_SUN_ZENITH,
    ),
    Rule(
        "scene", "cloud_percent", _NON_PRODUCT, "too_cloudy",
        "{cloud_percent:.0f} % of the scene is cloud by the provider's own count, more than 95: no product "
        "is made of such a scene",
        "experience: the clear rest is mostly missed thin cloud", high=MAX_CLOUD_PERCENT,
    ),
    Rule(
        "scene", "valid_percent", _NON_PRODUCT, "too_little_ground",
        "only {valid_percent:.2f} % of the tile was seen, less than 1: no product is made of such a sliver",
        "a sliver at the edge of the swath", low=MIN_VALID_PERCENT,
    ),
    Rule(
        "scene", "nodata_spread_percent", _CRITICAL, "bands_disagree",
        "between the bands the share of pixels without data differs by {nodata_spread_percent:.0f} points, "
        "more than 25: parts of a band are lost, deliver it again",
        "edges of the focal plane differ by a kilometre or two", high=25.0,
    ),
    Rule(
        "scene", "nodata_spread_percent", _WARNING, "bands_differ",
        "between the bands the share of pixels without data differs by {nodata_spread_percent:.1f} points",
        "edges of the focal plane differ by a kilometre or two", high=5.0,
    ),
    Rule(
        "scene", "id_agrees", _WARNING, "id_differs",
        "the delivered product calls itself {id}, announced was {announced_id}",
        "providers rename on re-processing", one_of=(True,),
    ),
    Rule(
        "scene", "cloud_percent", _WARNING, "cloud_unknown",
        "the metadata states no cloud cover", "both agencies state one",
    ),
    Rule(
        "scene", "incomplete_findings", _WARNING, "incomplete",
        "{incomplete_findings:.0f} of the product's aids are missing ({findings}): some quality tests are "
        "made another way",
        "docs/product.md, bit INCOMPLETE_TESTING", high=0.0,
    ),
    Rule(
        "bands", "spread", _CRITICAL, "band_constant",
        "{band} holds one single value ({p50:.3f}) everywhere: deliver it again",
        "no ground looks like that", low=1e-7,
    ),
    Rule(
        "bands", "p50", _CRITICAL, "reflectance_implausible",
        "half of {band} is brighter than {p50:.2f}, and nothing on Earth is brighter than 1.6 on average: "
        "its scale is wrong, deliver it again",
        "fresh snow under a low sun reaches 1.3 at the top of the atmosphere", high=1.6,
    ),
    Rule(
        "bands", "lost_line_percent", _CRITICAL, "lines_lost",
        "{lost_line_percent:.0f} % of the lines of {band} are lost within the ground: deliver it again",
        "a lost line now and then is a downlink error, many are a broken file", high=20.0,
    ),
    Rule(
        "bands", "lost_line_percent", _WARNING, "some_lines_lost",
        "{lost_line_percent:.1f} % of the lines of {band} are lost", "downlink errors", high=0.0,
    ),
    Rule(
        "bands", "constant_block_percent", _WARNING, "blocks_constant",
        "{constant_block_percent:.0f} % of the blocks of {band} hold one value each",
        "noise alone moves a digit; saturated cloud does not", high=50.0,
    ),
    Rule(
        "bands", "saturated_percent", _WARNING, "much_saturated",
        "{saturated_percent:.0f} % of the middle of {band} is saturated",
        "cloud and snow in the visible", high=20.0,
    ),
    Rule(
        "bands", "resolution_ratio", _WARNING, "resolution_unusual",
        "{band} has pixels of {resolution_m:g} m, {resolution_ratio:.1f} times the usual",
        "product definition of the agency", low=0.99, high=1.01,
    ),
    Rule(
        "bands", "offset_agrees", _WARNING, "offset_unusual",
        "{band} has the offset {offset:g}, unusual for baseline {baseline}",
        "-1000 from baseline 04.00 on, none before (S2-PDGS-MPC-DQR)", one_of=(True,), family="sentinel-2",
    ),
)  # fmt: skip
"""Expectations of Level-1, in the order in which the worst is told."""

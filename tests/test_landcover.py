"""The classes are WorldCover's."""

from undersky.landcover import BY_CODE, BY_SLUG, CLASSES, CODES, NODATA, SLUGS


def test_the_codes_are_those_of_worldcover_v200_in_order() -> None:
    assert CODES == (10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 100)
    assert NODATA not in CODES


def test_names_slugs_and_colours_are_unique() -> None:
    assert len(CLASSES) == len({c.slug for c in CLASSES}) == len({c.colour for c in CLASSES}) == 11
    assert BY_CODE[95].slug == "mangroves"
    assert BY_SLUG["tree_cover"].hex_colour == "006400"
    assert SLUGS[0] == "tree_cover"

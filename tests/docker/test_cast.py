from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from onemachine.component import ROOT
from shapely.geometry import box, shape
from showcase.areas import wanted
from showcase.cast import (
    AREAS,
    CAST,
    LANDSAT,
    PUBLISHED,
    QUARANTINED,
    S2,
    SKIPPED,
    Area,
    Expected,
    Part,
    made_on,
    read_areas,
    read_expected,
    write_areas,
    write_expected,
)
from showcase.following import FINAL, REFUSED, Standing, granule, tally
from showcase.making import _why

from undersky.synth.malformed import MALFORMED
from undersky.tiles import footprint

MADE = date(2026, 11, 22)


def test_about_a_dozen_are_good_two_are_skipped_and_seven_malformed() -> None:
    endings = Counter(part.ending for part in CAST)
    assert endings[PUBLISHED] >= 12
    assert endings[SKIPPED] == 2
    assert endings[QUARANTINED] == 7
    assert {part.sensor for part in CAST if part.ending == PUBLISHED} == {"S2A", "S2B", "S2C", "L8", "L9"}
    assert {part.layout for part in CAST} == {"folder", "zip", "tile"}


def test_every_part_is_a_granule_of_its_own() -> None:
    keys = Counter((part.sensor, part.tile, part.sensed_on(MADE)) for part in CAST)
    assert max(keys.values()) == 1


def test_a_malformed_part_must_end_for_the_reason_of_its_damage() -> None:
    for part in CAST:
        if part.malformed:
            assert part.reason == MALFORMED[part.malformed].reason
            assert _why(part) == MALFORMED[part.malformed].sentence


@pytest.mark.parametrize(
    "part", CAST, ids=lambda part: f"{part.sensor}-{part.tile}-{part.malformed or part.theme}"
)
def test_every_part_is_wanted_by_one_area_whose_profile_serves_its_layout(part: Part) -> None:
    collection = LANDSAT if part.sensor.startswith("L") else S2
    day = part.sensed_on(MADE)
    corner = footprint(part.tile)[0]
    west, north = min(lon for lon, _ in corner), max(lat for _, lat in corner)
    found = []
    for area in AREAS:
        plan = wanted(area, made=MADE)
        in_time = plan.since <= day and (plan.until is None or day <= plan.until)
        place = shape(plan.geometry).intersects(box(west, north - 0.01, west + 0.01, north))
        if in_time and place and collection in plan.collections:
            found.append(area)
    assert len(found) == 1
    assert (part.layout == "tile") == (found[0].profile == "earth-search")


def test_fresh_parts_stay_fresh_for_two_days_after_they_were_made() -> None:
    texts = [path.read_text() for path in (ROOT / "docker" / "archive" / "profiles").glob("*.yaml")]
    days = min(float(yaml.safe_load(text.replace("@", ""))["fresh_days"]) for text in texts)
    for part in CAST:
        if not part.day:
            assert part.days_ago + 2 <= days
            assert part.days_ago >= 1


def test_the_day_of_the_cast_is_kept(tmp_path: Path) -> None:
    today = made_on(tmp_path / "upstream")
    assert abs(today - datetime.now(UTC).date()) <= timedelta(days=1)
    (tmp_path / "upstream" / "made-on.txt").write_text("2026-01-31")
    assert made_on(tmp_path / "upstream") == date(2026, 1, 31)


def test_what_is_expected_and_wanted_survives_the_file(tmp_path: Path) -> None:
    expected = [Expected("a", PUBLISHED, "ok"), Expected("b", SKIPPED, "too_cloudy", "white", is_real=True)]
    areas = [Area("a", S2, "p", since="2020-01-01", geometry={"type": "Point", "coordinates": [1.0, 2.0]})]
    write_expected(tmp_path / "e.json", expected)
    write_areas(tmp_path / "a.json", areas)
    assert read_expected(tmp_path / "e.json") == expected
    found = read_areas(tmp_path / "a.json")
    assert [(area.name, area.geometry, area.since) for area in found] == [
        ("a", {"type": "Point", "coordinates": [1.0, 2.0]}, "2020-01-01")
    ]
    assert wanted(found[0], made=MADE).since == date(2020, 1, 1)
    assert read_expected(tmp_path / "none.json") == []


def standing(expected: tuple[str, str], found: tuple[str, str], *, is_real: bool = False) -> Standing:
    return Standing(Expected("scene", *expected, is_real=is_real), *found, "a sentence")


@pytest.mark.parametrize(
    ("expected", "found", "is_real", "is_right"),
    [
        ((PUBLISHED, "ok"), ("published", "ok"), False, True),
        ((PUBLISHED, "ok"), ("quarantined", "band_missing"), False, False),
        ((PUBLISHED, "ok"), ("refused upstream", "no_usable_hrefs"), True, False),
        ((PUBLISHED, "ok"), ("held", "negative"), False, False),
        ((QUARANTINED, "band_missing"), ("quarantined", "band_missing"), False, True),
        ((QUARANTINED, "band_missing"), ("quarantined", "band_swapped"), False, False),
        ((QUARANTINED, "band_missing"), ("published", "ok"), False, False),
        ((QUARANTINED, "band_missing"), ("refused upstream", "no_usable_hrefs"), False, False),
        ((QUARANTINED, "band_missing"), ("refused upstream", "no_usable_hrefs"), True, True),
        ((QUARANTINED, "band_missing"), ("published", "ok"), True, False),
        ((QUARANTINED, "band_missing"), ("quarantined", "source_gone"), True, True),
        ((QUARANTINED, "band_missing"), ("quarantined", "source_gone"), False, False),
        ((SKIPPED, "old_collection"), ("refused upstream", "old_collection"), True, True),
        ((SKIPPED, "sun_too_low"), ("refused upstream", "sun_too_low"), False, True),
        ((SKIPPED, "sun_too_low"), ("skipped", "sun_too_low"), False, True),
        ((SKIPPED, "sun_too_low"), ("skipped", "too_cloudy"), False, False),
    ],
)
def test_an_ending_is_right_for_its_own_reason_alone(
    expected: tuple[str, str], found: tuple[str, str], *, is_real: bool, is_right: bool
) -> None:
    assert standing(expected, found, is_real=is_real).is_right is is_right


def test_what_is_under_way_is_not_final() -> None:
    for state in ("not announced yet", "discovered", "ingested", "waiting", "wanted", "made", "checked"):
        assert not standing((PUBLISHED, "ok"), (state, "")).is_final
    for state in FINAL:
        assert standing((PUBLISHED, "ok"), (state, "")).is_final


def test_the_tally_counts_in_the_order_of_the_flow() -> None:
    states = ["published", "discovered", "published", REFUSED, "not announced yet"]
    line = tally([standing((PUBLISHED, "ok"), (state, "")) for state in states])
    assert line == "1 not announced yet, 1 discovered, 2 published, 1 refused upstream"
    assert tally([]) == "nothing yet"


def test_tile_and_day_are_read_from_a_products_name() -> None:
    sentinel = "S2B_MSIL1C_20250619T095753_N0511_R066_T32TQM_20250619T132734"
    assert granule(sentinel) == ("32TQM", date(2025, 6, 19))
    assert granule("LC09_L1TP_192029_20250613_20250620_02_T1") == ("192029", date(2025, 6, 13))

"""Names inside a SAFE, against every real one at hand and as a law over dates."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undersky.errors import ConfigError
from undersky.synth.safe_names import SafeNames, iso, stamp

PRODUCT = re.compile(r"(S2[ABC])_MSIL1C_(\d{8}T\d{6})_N(\d{4})_R(\d{3})_T(\d{2}[A-Z]{3})_(\d{8}T\d{6})")
GRANULE = re.compile(r"L1C_T(\d{2}[A-Z]{3})_A(\d{6})_(\d{8}T\d{6})")
TIMES = st.datetimes(datetime(2018, 1, 1), datetime(2029, 12, 31)).map(lambda t: t.replace(tzinfo=UTC))  # noqa: DTZ001
SISTERS = st.sampled_from(["S2A", "S2B"])


def real_names(samples, pattern: re.Pattern[str]) -> set[tuple[str, ...]]:
    return {match.groups() for path in samples.glob("s2-*/**/*") if (match := pattern.fullmatch(path.stem))}


@given(SISTERS, TIMES, st.sampled_from(["02.09", "03.01", "04.00", "05.09", "05.11"]))
def test_the_product_name_says_sensor_baseline_orbit_and_tile(sensor, acquired, baseline):
    names = SafeNames(sensor, "32TQM", acquired, baseline)
    found = PRODUCT.fullmatch(names.product).groups()
    assert found[0] == sensor
    assert found[2] == baseline.replace(".", "")
    assert 1 <= int(found[3]) <= 143
    assert found[4] == "32TQM"
    assert found[1] < stamp(acquired) < found[5]


@given(SISTERS, TIMES)
def test_granule_datastrip_and_images_agree_on_orbit_and_times(sensor, acquired):
    names = SafeNames(sensor, "01WCP", acquired, "05.11")
    tile, orbit, start = GRANULE.fullmatch(names.granule).groups()
    assert tile == "01WCP"
    assert f"_A{orbit}_" in names.granule_id
    assert f"_{orbit}_" in names.datatake_id
    assert names.datastrip.endswith(f"_S{start}")
    assert names.datastrip in names.datastrip_id
    assert names.prefix == f"T01WCP_{stamp(names.datatake_start)}"


@given(SISTERS, TIMES)
def test_times_follow_each_other_as_the_satellite_flies(sensor, acquired):
    names = SafeNames(sensor, "32TQM", acquired, "05.11")
    assert names.datatake_start < names.datastrip_start < acquired < names.generated
    assert names.generated - acquired < timedelta(hours=4)


@given(SISTERS, TIMES)
def test_ten_days_later_the_same_orbit_comes_again(sensor, acquired):
    one, later = (SafeNames(sensor, "32TQM", acquired + timedelta(days=d), "05.11") for d in (0, 10))
    assert later.absolute_orbit - one.absolute_orbit == 143
    assert later.relative_orbit == one.relative_orbit


@pytest.mark.oracle
def test_relative_orbits_follow_from_absolute_ones_in_every_real_pair(samples):
    found = 0
    for path in samples.glob("s2-*/**/MTD_TL.xml"):
        granule = GRANULE.search(path.parent.name)
        product = PRODUCT.search(str(path))
        if granule is None or product is None:
            continue
        taken = datetime.strptime(product[2], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
        names = SafeNames(product[1], product[5], taken, "05.11")
        shift = names.absolute_orbit - int(granule[2])
        assert abs(shift) <= 8
        assert (names.relative_orbit - int(product[4]) - shift) % 143 == 0
        found += 1
    assert found >= 2


@pytest.mark.oracle
def test_real_names_have_the_shape_of_ours(samples):
    assert len(real_names(samples, PRODUCT)) >= 3
    assert len(real_names(samples, GRANULE)) >= 3


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("folder", "baseline"),
    [("s2-l1c-safe-t51mup-20230804-metadata", "05.09"), ("s2-l1c-safe-t55jej-20171207-decimated", "02.06")],
)
def test_long_identifiers_have_the_parts_of_real_ones(folder, baseline, samples):
    text = next((samples / folder).glob("*.SAFE/GRANULE/*/MTD_TL.xml")).read_text()
    names = SafeNames("S2A", "51MUP", datetime(2023, 8, 4, 2, 19, tzinfo=UTC), baseline)
    for element, ours in (("TILE_ID", names.granule_id), ("DATASTRIP_ID", names.datastrip_id)):
        theirs = re.search(rf"<{element}[^>]*>([^<]+)<", text)[1]
        assert _shape(ours) == _shape(theirs)


def _shape(name: str) -> str:
    name = re.sub(r"(?<=_)(SGS_|EPAE|MTI_|MPS_|2[A-C]PS|S2RP)(?=_)", "CCCC", name)
    return re.sub(r"[A-Z](?=\d\d[A-Z]{3}_)|\d", "9", re.sub(r"T\d\d[A-Z]{3}_", "T99ZZZ_", name))


@pytest.mark.parametrize(
    ("baseline", "offsets"),
    [("02.09", False), ("03.01", False), ("04.00", True), ("05.11", True), ("99.99", True)],
)
def test_offsets_and_forecasts_of_aerosol_begin_with_baseline_04(baseline, offsets):
    names = SafeNames("S2A", "32TQM", datetime(2023, 8, 4, tzinfo=UTC), baseline)
    assert names.has_offsets is offsets
    assert names.has_cams is offsets
    assert (names.centre == "2APS") is offsets


@pytest.mark.parametrize("sensor", ["S2A", "S2B", "S2C"])
def test_no_satellite_saw_anything_before_its_launch(sensor):
    launch = {"S2A": (2015, 6, 23), "S2B": (2017, 3, 7), "S2C": (2024, 9, 5)}[sensor]
    day = datetime(*launch, tzinfo=UTC)
    assert SafeNames(sensor, "32TQM", day, "05.11").absolute_orbit == 1
    with pytest.raises(ConfigError, match=f"launched on {day.date()}"):
        SafeNames(sensor, "32TQM", day - timedelta(seconds=1), "05.11")


@given(TIMES)
def test_times_are_written_in_whole_milliseconds_of_utc(time):
    written = datetime.fromisoformat(iso(time))
    assert timedelta(0) <= time - written < timedelta(milliseconds=1)
    assert datetime.strptime(stamp(time), "%Y%m%dT%H%M%S") == time.replace(microsecond=0, tzinfo=None)  # noqa: DTZ007

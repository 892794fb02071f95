"""Great Expectations says of a table of facts what the rules mean, and its pages can be read."""

import re
import socket
from datetime import UTC, datetime

import pytest

from undersky.validation import level1
from undersky.validation.judge import judge, rules_for, suite, table_of
from undersky.validation.pages import files_of
from undersky.validation.rules import Facts, Severity

SCENE = {
    "id": "S2B_X",
    "tile": "32TQM",
    "acquired": "2025-06-19T09:57:53+00:00",
    "tile_agrees": True,
    "platform_agrees": True,
    "hours_from_announced": 0.1,
    "id_agrees": True,
    "km_from_tile": 0.0,
    "sun_zenith": 30.0,
    "cloud_percent": 12.0,
    "valid_percent": 99.0,
    "nodata_spread_percent": 0.3,
    "findings": "",
    "incomplete_findings": 0.0,
}
BAND = {
    "spread": 0.5,
    "p50": 0.2,
    "lost_line_percent": 0.0,
    "constant_block_percent": 0.0,
    "saturated_percent": 0.0,
    "resolution_m": 10.0,
    "resolution_ratio": 1.0,
    "offset": -1000.0,
    "offset_agrees": True,
    "baseline": "05.11",
}


def facts(scene: dict | None = None, band: dict | None = None, family: str = "sentinel-2") -> Facts:
    """Good facts, but for what is given; the second band of three differs."""
    rows = tuple(
        {**BAND, **((band or {}) if name == "B03" else {}), "band": name} for name in ("B02", "B03", "B04")
    )
    return Facts("level-1", family, "S2B_X", {**SCENE, **(scene or {})}, rows)


def test_good_facts_have_no_failure():
    verdict = judge(facts())
    assert verdict.failures == ()
    assert verdict.expectations == len(rules_for(facts()))


SPOILT_SCENE = {
    "tile_mismatch": {"tile_agrees": False},
    "platform_mismatch": {"platform_agrees": False},
    "date_mismatch": {"hours_from_announced": 25.0},
    "place_mismatch": {"km_from_tile": 80.0},
    "sun_too_low": {"sun_zenith": 80.0},
    "too_cloudy": {"cloud_percent": 99.0},
    "too_little_ground": {"valid_percent": 0.2},
    "bands_disagree": {"nodata_spread_percent": 40.0},
    "bands_differ": {"nodata_spread_percent": 10.0},
    "id_differs": {"id_agrees": False},
    "cloud_unknown": {"cloud_percent": None},
    "incomplete": {"incomplete_findings": 2.0, "findings": "a b"},
}
SPOILT_BAND = {
    "band_constant": {"spread": 0.0},
    "reflectance_implausible": {"p50": 3.0},
    "lines_lost": {"lost_line_percent": 50.0},
    "some_lines_lost": {"lost_line_percent": 0.5},
    "blocks_constant": {"constant_block_percent": 90.0},
    "much_saturated": {"saturated_percent": 30.0},
    "resolution_unusual": {"resolution_ratio": 64.0},
    "offset_unusual": {"offset_agrees": False, "offset": 0.0},
}


@pytest.mark.parametrize("code", SPOILT_SCENE)
def test_a_fact_of_the_scene_out_of_bounds_fails_its_own_rule(code):
    verdict = judge(facts(SPOILT_SCENE[code]))
    found = {failure.rule.code: failure for failure in verdict.failures}
    assert code in found
    assert set(found) <= {code, "bands_differ"}
    assert "{" not in found[code].sentence
    assert "?" not in found[code].sentence or code in {"platform_mismatch", "id_differs", "tile_mismatch"}


@pytest.mark.parametrize("code", SPOILT_BAND)
def test_a_fact_of_a_band_out_of_bounds_names_the_band(code):
    verdict = judge(facts(band=SPOILT_BAND[code]))
    found = {failure.rule.code: failure for failure in verdict.failures}
    assert set(found) <= {code, "some_lines_lost"}
    assert found[code].rows == ("B03",)
    assert "B03" in found[code].sentence


def test_every_rule_of_level_1_was_spoilt_here():
    assert {rule.code for rule in level1.RULES} == {*SPOILT_SCENE, *SPOILT_BAND}


def test_the_worst_comes_first_and_decides():
    verdict = judge(facts({"cloud_percent": 99.0, "id_agrees": False}, {"spread": 0.0}))
    assert [failure.rule.code for failure in verdict.failures] == [
        "band_constant",
        "too_cloudy",
        "id_differs",
    ]
    assert verdict.worst.rule.severity is Severity.CRITICAL


def test_several_bands_are_one_sentence():
    rows = tuple({**BAND, "spread": 0.0, "band": name} for name in ("B02", "B03", "B04"))
    (failure,) = judge(Facts("level-1", "sentinel-2", "S2B_X", SCENE, rows)).failures
    assert failure.rows == ("B02", "B03", "B04")
    assert failure.sentence.endswith("and so are B03, B04")


def test_what_is_not_known_is_not_judged():
    absent = {"tile_agrees": None, "hours_from_announced": None, "km_from_tile": float("nan")}
    assert judge(facts(absent, {"spread": float("nan"), "saturated_percent": None})).failures == ()


def test_a_column_nobody_has_is_judged_as_absent():
    rows = ({"band": "B02"},)
    verdict = judge(Facts("level-1", "landsat", "LC09_X", {"id": "LC09_X"}, rows))
    assert [failure.rule.code for failure in verdict.failures] == ["cloud_unknown"]


def test_a_family_has_its_own_rules():
    names = {rule.code for rule in rules_for(facts(family="landsat"))}
    assert "offset_unusual" not in names
    bounds = [rule.high for rule in rules_for(facts(family="landsat")) if rule.code == "place_mismatch"]
    assert bounds == [250.0]


def test_an_expectation_carries_its_severity_code_and_source():
    built = suite("x", level1.RULES)
    assert len(built.expectations) == len(level1.RULES)
    for rule, expectation in zip(level1.RULES, built.expectations, strict=True):
        assert expectation.meta["code"] == rule.code
        assert rule.source in expectation.description
        assert expectation.severity.value in {"critical", "warning", "info"}


def test_numbers_stay_numbers_in_the_table():
    table = table_of(
        [{"a": 1.0, "b": None, "c": "x", "d": True}, {"a": None, "b": None, "c": None, "d": None}]
    )
    assert str(table["a"].dtype) == str(table["b"].dtype) == "float64"
    assert table["c"].iloc[0] == "x"


def test_pages_are_complete_small_and_load_no_picture_from_elsewhere(tmp_path):
    when = datetime(2025, 6, 19, tzinfo=UTC)
    judge(facts({"cloud_percent": 99.0}), docs=tmp_path / "docs", when=when)
    names = dict(files_of(tmp_path / "docs"))
    assert list(names)[-1] == "index.html"
    assert sum(path.stat().st_size for path in names.values()) < 1_200_000
    pages = [path.read_text(encoding="utf-8") for name, path in names.items() if name.endswith(".html")]
    assert len(pages) == 5
    assert any("too_cloudy" in page for page in pages)
    for page in pages:
        assert "amazonaws" not in page
        for link in re.findall(r'(?:src|href)="(\.[^"#]+)"', page):
            assert link.split("?")[0].rsplit("/", 1)[-1] in {path.name for path in names.values()}, link


def test_the_same_facts_make_the_same_pages_names(tmp_path):
    when = datetime(2025, 6, 19, tzinfo=UTC)
    found = []
    for number in range(2):
        folder = tmp_path / str(number)
        judge(facts(), docs=folder, when=when)
        found.append([name for name, _ in files_of(folder)])
    assert found[0] == found[1]


def test_judging_asks_nobody(monkeypatch, tmp_path):
    def refuse(*_: object) -> None:
        raise AssertionError("a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert judge(facts(), docs=tmp_path / "docs").failures == ()

"""`why` answers, for each of nine cases and a few more, against a real PostgreSQL."""

import json
from datetime import UTC, date, datetime, timedelta

import pytest

from ledger_rows import (
    BY,
    DAY,
    GROUND,
    HREF,
    ITEM,
    KEY,
    NEWER,
    SCENE,
    SENSED,
    add_area,
    add_search,
    announce,
    claim,
    held,
    outcome,
    publish,
    published,
    rejection,
    settle,
)
from undersky.errors import ConfigError
from undersky.flow.answer import Case, Question
from undersky.flow.why import why, why_scene
from undersky.refs import Ending, Lane
from undersky.services.ledger import Actor, Ledger, Selection
from undersky.services.profiles import load_profiles

PROFILES = load_profiles()
NOON = datetime(2025, 6, 20, 12, tzinfo=UTC)


def ask(ledger: Ledger, tile: str = "32TQM", day: date = DAY, sensor: str | None = None, now=NOON):
    """The only answer."""
    (answer,) = why(ledger, Question.asked(tile, day, sensor), profiles=PROFILES, now=now).answers
    assert "\n" not in answer.text
    assert answer.text.endswith((".", "json.")), answer.text
    return answer


# the nine cases


def test_1_not_yet_upstream_names_the_last_search_and_the_next_pass(ledger):
    add_area(ledger)
    announce(ledger)  # ten days earlier a satellite was there
    add_search(
        ledger, begin=datetime(2025, 6, 27, tzinfo=UTC), end=datetime(2025, 6, 30, tzinfo=UTC), found=3
    )
    answer = ask(ledger, day=date(2025, 6, 29), now=datetime(2025, 6, 29, 12, tzinfo=UTC))
    assert answer.case is Case.NOT_UPSTREAM
    assert answer.acquisition is None
    assert "last search that covered the day, of copernicus-dataspace for area maremma" in answer.text
    assert "from 2025-06-27 00:00 UTC to 2025-06-30 00:00 UTC and found 3 scenes" in answer.text
    assert "S2B passed at about 09:57 UTC that day" in answer.text
    assert "every 10 days" in answer.text
    assert "The next pass is that of S2B on 2025-07-09 09:57 UTC" in answer.text


def test_2_outside_every_area_says_what_is_near_and_what_it_lacks(ledger):
    far = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]]}
    add_area(ledger, "gulf-of-guinea", geometry=far)
    add_area(ledger, "landsat-only", collections=("landsat-c2-l1",))
    add_area(ledger, "later", since=date(2025, 7, 1))
    add_area(ledger, "over", since=date(2024, 1, 1), until=date(2024, 12, 31))
    answer = ask(ledger)
    assert answer.case is Case.OUTSIDE
    assert "landsat-only covers it but wants only landsat-c2-l1" in answer.text
    assert "later covers it but begins on 2025-07-01" in answer.text
    assert "over covers it but ended on 2024-12-31" in answer.text
    assert "`undersky area add`" in answer.text


def test_3_filtered_names_the_rejected_id_and_its_reason(ledger):
    add_area(ledger, max_cloud=60.0)
    add_search(ledger, rejection())
    answer = ask(ledger)
    assert (answer.case, answer.scene, answer.reason) == (Case.FILTERED, SCENE, "too_cloudy")
    assert (
        f"{SCENE} was rejected for area maremma (reason too_cloudy, profile copernicus-dataspace"
        in answer.text
    )
    assert "92 % cloud; area maremma takes up to 60 %." in answer.text


def test_4_superseded_says_by_which_delivery(ledger):
    add_area(ledger)
    published(ledger)
    announce(ledger, scene=NEWER, baseline="05.12", produced=datetime(2025, 8, 1, tzinfo=UTC))
    answers = why(ledger, Question.asked("32TQM", DAY), profiles=PROFILES).answers
    assert [answer.case for answer in answers] == [Case.PUBLISHED, Case.SUPERSEDED]
    assert f"Meanwhile a newer delivery, {NEWER}, waits since" in answers[0].text
    assert answers[1].scene == SCENE
    assert f"was superseded by {NEWER} (baseline 05.12), announced on" in answers[1].text
    assert HREF in answers[1].text
    (by_name,) = why_scene(ledger, SCENE, profiles=PROFILES).answers
    assert by_name.case is Case.SUPERSEDED


def test_5_waiting_says_for_what_and_since_when(ledger):
    add_area(ledger)
    announce(ledger)
    answer = ask(ledger, now=datetime.now(UTC))
    assert (answer.case, answer.acquisition) == (Case.WAITING, KEY)
    assert f"{KEY} ({SCENE}) waits since" in answer.text
    assert "its files are to be brought home" in answer.text
    assert "(ingest, lane fresh) 1 scene can be claimed" in answer.text
    assert answer.since is not None


def test_5_waiting_after_a_failed_try_says_how_long_it_pauses(ledger):
    announce(ledger)
    ref = claim(ledger)
    ledger.give_back([ref], BY, "upstream_down", "upstream answered 503")
    answer = ask(ledger, now=datetime.now(UTC))
    assert (answer.case, answer.reason, answer.log) == (Case.WAITING, "upstream_down", BY.log)
    assert "and pauses until" in answer.text
    assert "The last try ended so: upstream answered 503 (try 1 of 5" in answer.text


def test_5_waiting_after_its_holder_fell_silent_names_the_holder(ledger):
    announce(ledger)
    claim(ledger, by=Actor("scheduled__gone", "claim"))
    answer = ask(ledger, now=datetime.now(UTC) + timedelta(hours=2))
    assert answer.case is Case.WAITING
    assert "run scheduled__gone fell silent, its lease ended at" in answer.text


def test_5_a_valid_scene_waits_for_its_product(ledger):
    settle(ledger, Ending.DONE)
    answer = ask(ledger, now=datetime.now(UTC))
    assert answer.case is Case.WAITING
    assert "its surface product is to be made" in answer.text
    assert "(surface, lane fresh)" in answer.text


def test_6_skipped_gives_the_sentence(ledger):
    settle(ledger, Ending.SKIPPED, "sun_too_low", "the sun stands 9 degrees high; 13 are needed")
    answer = ask(ledger)
    assert (answer.case, answer.reason) == (Case.SKIPPED, "sun_too_low")
    assert "the sun stands 9 degrees high; 13 are needed." in answer.text
    assert f"`undersky retry {answer.acquisition} --why ...`" in answer.text


def test_7_quarantined_gives_the_sentence_and_the_cure(ledger):
    settle(ledger, Ending.QUARANTINED, "band_missing", "there is no B10")
    answer = ask(ledger)
    assert (answer.case, answer.reason) == (Case.QUARANTINED, "band_missing")
    assert "is quarantined since" in answer.text
    assert "there is no B10. The reason code is band_missing." in answer.text
    assert answer.log == BY.log


def test_8_failed_gives_the_sentence_and_the_cure(ledger):
    settle(ledger, Ending.FAILED, "crashed", "the scene killed its process twice")
    answer = ask(ledger)
    assert (answer.case, answer.reason) == (Case.FAILED, "crashed")
    assert "the scene killed its process twice." in answer.text
    assert f"`undersky retry {answer.acquisition} --why ...`" in answer.text


def test_8_a_failed_product_is_told_from_a_failed_acquisition(ledger):
    settle(ledger, Ending.DONE)
    ref = claim(ledger, "surface")
    ledger.failed(ref, outcome(ref, Ending.FAILED, reason="crashed", sentence="out of memory"), BY)
    answer = ask(ledger)
    assert answer.case is Case.FAILED
    assert answer.text.startswith("The product of S2B_")


def test_9_published_gives_the_address_of_the_item(ledger):
    published(ledger)
    answer = ask(ledger)
    assert (answer.case, answer.href) == (Case.PUBLISHED, HREF)
    assert HREF in answer.text
    assert f"The Item {ITEM} was made by the model physics-1 from {SCENE}, cloud 18.5 %." in answer.text


# more of them


def test_being_worked_on_names_the_run_and_its_lease(ledger):
    announce(ledger)
    claim(ledger, by=Actor("scheduled__1", "claim"))
    answer = ask(ledger, now=datetime.now(UTC))
    assert answer.case is Case.WORKING
    assert "is worked on by run scheduled__1 (claim), whose lease stands until" in answer.text


def test_held_says_what_failed_and_who_decides(ledger):
    held(ledger)
    answer = ask(ledger)
    assert (answer.case, answer.reason) == (Case.HELD, "negative_reflectance")
    assert "40 % negative pixels" in answer.text
    assert "s3://undersky/docs" in answer.text
    assert f"`undersky release {answer.acquisition} --why ...` publishes it" in answer.text


def test_an_area_that_was_never_searched_is_told_from_an_empty_archive(ledger):
    add_area(ledger)
    answer = ask(ledger)
    assert answer.case is Case.NEVER_SEARCHED
    assert "`undersky discover`" in answer.text


def test_a_search_that_failed_counts_as_none(ledger):
    add_area(ledger)
    add_search(ledger, error="the archive answered 503")
    answer = ask(ledger)
    assert (answer.case, answer.reason) == (Case.NEVER_SEARCHED, "search_failed")
    assert "with: the archive answered 503." in answer.text


def test_a_paused_area_gives_its_reason(ledger):
    add_area(ledger)
    ledger.pause_area("maremma", "no money.", BY)
    answer = ask(ledger)
    assert answer.case is Case.PAUSED
    assert "maremma (no money)." in answer.text
    assert "`undersky area resume maremma`" in answer.text


def test_what_was_searched_before_the_pause_counts(ledger):
    add_area(ledger)
    add_search(ledger)
    ledger.pause_area("maremma", "no money", BY)
    assert ask(ledger).case is Case.NOT_UPSTREAM


def test_searches_of_another_area_or_collection_say_nothing(ledger):
    add_area(ledger)
    add_search(ledger, area="elsewhere")
    add_search(ledger, collection="landsat-c2-l1")
    assert ask(ledger).case is Case.NEVER_SEARCHED


def test_a_day_to_come_is_said_to_be_one(ledger):
    add_area(ledger)
    add_search(ledger, end=datetime(2025, 12, 31, tzinfo=UTC))
    answer = ask(ledger, day=date(2025, 7, 20))
    assert answer.case is Case.NOT_UPSTREAM
    assert answer.text.startswith("2025-07-20 has not come yet.")


def test_without_an_earlier_scene_the_repeat_cycle_is_said(ledger):
    add_area(ledger)
    add_search(ledger)
    assert "each of them comes back every 10 days" in ask(ledger).text


def test_landsat_passes_are_known_without_an_earlier_scene(ledger):
    add_area(ledger, collections=("landsat-c2-l1",), geometry=box(-62, -4, -59, -1), since=date(2023, 1, 1))
    window = {"begin": datetime(2023, 7, 1, tzinfo=UTC), "end": datetime(2023, 8, 30, tzinfo=UTC)}
    add_search(ledger, collection="landsat-c2-l1", profile="usgs-landsatlook", **window)
    # LC09_L2SP_231062_20230723 was sensed at 14:12:31.
    answer = ask(ledger, "231/062", date(2023, 7, 23), now=datetime(2023, 7, 23, 15, tzinfo=UTC))
    assert answer.case is Case.NOT_UPSTREAM
    assert "L9 passed at about 14:1" in answer.text
    assert "path 231 by its nominal orbit" in answer.text
    assert "The next pass is that of L8 on 2023-07-31" in answer.text


def test_a_day_without_a_pass_names_the_nearest_ones(ledger):
    add_area(ledger, collections=("landsat-c2-l1",), geometry=box(-62, -4, -59, -1), since=date(2023, 1, 1))
    window = {"begin": datetime(2023, 7, 1, tzinfo=UTC), "end": datetime(2023, 8, 30, tzinfo=UTC)}
    add_search(ledger, collection="landsat-c2-l1", profile="usgs-landsatlook", **window)
    answer = ask(ledger, "231062", date(2023, 7, 25), now=datetime(2023, 7, 26, tzinfo=UTC))
    assert "No satellite is known to pass on that day" in answer.text
    assert "L9 on 2023-07-23 and L8 on 2023-07-31" in answer.text


def test_an_overdue_pass_is_called_late(ledger):
    add_area(ledger)
    announce(ledger)
    add_search(ledger, begin=datetime(2025, 6, 20, tzinfo=UTC), end=datetime(2099, 1, 1, tzinfo=UTC))
    with_profile_delay = ask(ledger, day=date(2025, 6, 29), now=datetime(2099, 1, 1, tzinfo=UTC))
    assert "late, or never acquired" in with_profile_delay.text


def test_a_sensor_narrows_the_question(ledger):
    announce(ledger)
    assert ask(ledger, sensor="sentinel-2b", now=datetime.now(UTC)).case is Case.WAITING
    assert ask(ledger, sensor="S2A").case is Case.OUTSIDE


def test_two_acquisitions_of_a_day_get_an_answer_each(ledger):
    announce(ledger)
    later = {"key": f"{KEY}_S20250619T095800", "scene": SCENE.replace("132734", "142734")}
    announce(ledger, **later)
    found = why(ledger, Question.asked("32TQM", DAY), profiles=PROFILES)
    assert [answer.acquisition for answer in found.answers] == [KEY, later["key"]]


def test_a_remade_product_is_published_with_a_word_on_the_earlier_one(ledger):
    published(ledger)
    ledger.remake(Selection(scenes=(KEY,)), by=BY, why="a new model", lane=Lane.FRESH)
    waiting = ask(ledger, now=datetime.now(UTC))
    assert waiting.case is Case.PUBLISHED
    assert "Meanwhile a new version of it waits since" in waiting.text
    publish(ledger, "2" * 64, HREF.replace("1" * 64, "2" * 64))
    answer = ask(ledger)
    assert answer.href.endswith(f"{'2' * 64}.json")
    assert "took the place of 1 earlier version(s), which stay readable" in answer.text


def test_a_newer_delivery_that_cannot_be_used_is_told_beside_the_published_one(ledger):
    published(ledger)
    announce(ledger, scene=NEWER, baseline="05.12", produced=datetime(2025, 8, 1, tzinfo=UTC))
    ref = claim(ledger)
    ledger.settle(ref, outcome(ref, Ending.QUARANTINED, reason="band_missing", sentence="no B10"), BY)
    first = why(ledger, Question.asked("32TQM", DAY), profiles=PROFILES).answers[0]
    assert first.case is Case.PUBLISHED
    assert f"A newer delivery, {NEWER}, is quarantined: no B10." in first.text


def test_skipped_by_hand_gives_the_persons_reason(ledger):
    announce(ledger)
    ledger.skip(Selection(scenes=(KEY,)), by=BY, why="nobody needs it")
    answer = ask(ledger)
    assert answer.case is Case.SKIPPED
    assert "nobody needs it." in answer.text


@pytest.mark.parametrize("name", [KEY, SCENE])
def test_a_scene_may_be_asked_for_by_name(ledger, name):
    announce(ledger)
    (answer,) = why_scene(ledger, name, profiles=PROFILES).answers
    assert answer.acquisition == KEY


def test_a_name_that_nobody_knows_is_asked_for_by_its_tile_and_day(ledger):
    (answer,) = why_scene(ledger, SCENE, profiles=PROFILES).answers
    assert answer.case is Case.OUTSIDE
    with pytest.raises(ConfigError, match="--tile and --date"):
        why_scene(ledger, "rome", profiles=PROFILES)


def test_an_answer_is_json(ledger):
    published(ledger)
    found = why(ledger, Question.asked("t32tqm", DAY), profiles=PROFILES)
    plain = json.loads(json.dumps(found.as_json()))
    assert plain["tile"] == "32TQM"
    assert plain["answers"][0]["case"] == "published"
    assert plain["answers"][0]["href"] == HREF


@pytest.mark.parametrize(
    ("tile", "sensor"), [("32TQM", "L9"), ("192029", "S2B"), ("32TQM", "SPOT"), ("99ZZZ", None)]
)
def test_a_question_that_cannot_be_meant_is_refused(tile, sensor):
    with pytest.raises(ConfigError):
        Question.asked(tile, DAY, sensor)


@pytest.mark.parametrize(
    ("name", "tile", "day"),
    [
        (SCENE, "32TQM", DAY),
        (KEY, "32TQM", DAY),
        (ITEM, "32TQM", DAY),
        ("LC09_192029_20250613", "192029", date(2025, 6, 13)),
        ("LC09_L1TP_192029_20250613_20250613_02_T1", "192029", date(2025, 6, 13)),
        ("S2B_32TQM_20250619_0_L1C", "32TQM", DAY),
    ],
)
def test_names_of_scenes_say_their_tile_and_day(name, tile, day):
    assert Question.of_name(name) == Question(tile, day)


def box(west, south, east, north):
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


def test_the_ground_of_these_tests_is_under_the_tile():
    from undersky.flow.geojson import touches
    from undersky.tiles import footprint, geojson

    assert touches(GROUND, geojson(footprint("32TQM")))
    assert SENSED.date() == DAY

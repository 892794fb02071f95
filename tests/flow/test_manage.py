"""What people order is done to the scenes they mean, told first where they ask, and kept with its reason."""

import json
from datetime import UTC, date, datetime, timedelta

import pytest

from ledger_rows import BY, KEY, SCENE, announce, claim, held, outcome, published, settle
from undersky.errors import ConfigError
from undersky.flow.manage import manage, parse_span, selection_of, since_moment
from undersky.refs import Ending, Lane
from undersky.services.ledger import AcquisitionState, Actor, ProductState, Selection

NOW = datetime(2025, 6, 20, 12, tzinfo=UTC)
ME = Actor(run="ada")


def order(ledger, action, why="because", **form):
    dry = form.pop("dry_run", False)
    return manage(ledger, action, selection_of(form), by=ME, why=why, dry_run=dry)


def state(ledger):
    return ledger.story(KEY).acquisition.state


def test_a_failed_scene_is_tried_again_and_the_reason_is_kept(ledger):
    settle(ledger, Ending.FAILED, "crashed", "killed")
    done = order(ledger, "retry", state="failed", why="the machine has more memory now")
    assert [change.acquisition for change in done.changes] == [KEY]
    assert done.sentence == f"{KEY} is tried again"
    last = ledger.story(KEY).history[-1]
    assert (last.run, last.sentence) == ("ada", "the machine has more memory now")
    assert state(ledger) is AcquisitionState.INGESTED or state(ledger) is AcquisitionState.DISCOVERED


def test_a_dry_run_says_the_same_and_changes_nothing(ledger):
    settle(ledger, Ending.QUARANTINED, "band_missing", "no B10")
    told = order(ledger, "retry", reason="band_missing", dry_run=True)
    assert told.sentence == f"{KEY} would be tried again"
    assert state(ledger) is AcquisitionState.QUARANTINED
    assert order(ledger, "retry", reason="band_missing").changes == told.changes


def test_a_held_product_is_released(ledger):
    held(ledger)
    done = order(ledger, "release", scenes=[KEY])
    assert done.changes[0].product is not None
    assert ledger.story(KEY).products[-1].released


def test_a_waiting_scene_is_skipped(ledger):
    announce(ledger)
    order(ledger, "skip", tile="t32tqm")
    assert state(ledger) is AcquisitionState.SKIPPED


def test_products_of_a_model_are_made_again_in_the_historical_lane(ledger):
    published(ledger)
    done = order(ledger, "remake", model="physics-1")
    assert done.sentence == f"{KEY} is made again"
    wanted = ledger.story(KEY).products[-1]
    assert (wanted.state, wanted.lane) == (ProductState.WANTED, Lane.HISTORICAL)
    assert order(ledger, "remake", model="physics-9").changes == ()


def test_only_what_came_into_its_state_since_then_is_meant(ledger):
    announce(ledger)
    ref = claim(ledger)
    ledger.settle(ref, outcome(ref, Ending.FAILED, reason="crashed", sentence="killed"), BY)
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    assert order(ledger, "retry", since=tomorrow).changes == ()
    assert len(order(ledger, "retry", since="1h").changes) == 1


def test_nothing_to_do_is_said(ledger):
    assert order(ledger, "retry", state="failed").sentence.startswith("nothing to retry")


def test_many_scenes_are_counted_in_the_sentence(ledger):
    for number in range(7):
        announce(
            ledger, key=f"S2B_20250619T09575{number}_32TQM", scene=SCENE.replace("5753", f"575{number}", 1)
        )
    assert order(ledger, "skip", state="discovered", dry_run=True).sentence == "7 scenes would be skipped"


@pytest.mark.parametrize(
    ("action", "form", "why", "sentence"),
    [
        ("erase", {"state": "failed"}, "x", "retry, release, skip, remake"),
        ("retry", {}, "x", "everything"),
        ("retry", {"state": "failed"}, " ", "reason"),
        ("retry", {"scenes": "S2B_nobody"}, "x", "never met S2B_nobody"),
        ("retry", {"state": "broken"}, "x", "no state is called 'broken'"),
        ("retry", {"since": "yesterday"}, "x", "no moment"),
        ("retry", {"tile": "Bern"}, "x", "no MGRS tile"),
        ("retry", {"colour": "red"}, "x", "no field is called colour"),
        ("retry", {"sensed_from": "June"}, "x", "'June' is no day; expected 2025-06-19"),
        ("retry", {"sensed_until": "2025-06-31"}, "x", "'2025-06-31' is no day"),
        ("retry", {"scenes": 7}, "x", "scenes is 7"),
    ],
)
def test_what_cannot_be_meant_is_refused(ledger, action, form, why, sentence):
    with pytest.raises(ConfigError, match=sentence):
        order(ledger, action, why, **form)


def test_empty_fields_of_a_form_count_as_left_out():
    form = {"scenes": "", "state": "failed", "reason": None, "since": "", "tile": "", "model": ""}
    assert selection_of(form) == Selection(state="failed")


def test_days_and_area_of_a_form_are_understood():
    form = {"area": " maremma ", "sensed_from": "2025-06-01", "sensed_until": date(2025, 6, 30)}
    june = {"sensed_from": date(2025, 6, 1), "sensed_until": date(2025, 6, 30)}
    assert selection_of(form) == Selection(area="maremma", **june)


@pytest.mark.parametrize(
    ("form", "found"),
    [
        ({"sensed_from": "2025-06-19", "sensed_until": "2025-06-19"}, 1),
        ({"sensed_from": "2025-06-20"}, 0),
        ({"sensed_until": "2025-06-18"}, 0),
        ({"area": "maremma"}, 1),
        ({"area": "alps"}, 0),
        ({"area": "maremma", "sensed_until": "2025-06-18"}, 0),
    ],
)
def test_both_days_are_included_and_every_field_narrows(ledger, form, found):
    announce(ledger)
    assert len(order(ledger, "skip", dry_run=True, **form).changes) == found


def test_scenes_may_be_given_as_a_list_or_as_text():
    assert selection_of({"scenes": f"{KEY},\n{SCENE}"}).scenes == (KEY, SCENE)
    assert selection_of({"scenes": [KEY, ""]}).scenes == (KEY,)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("6h", NOW - timedelta(hours=6)),
        ("1.5h", NOW - timedelta(minutes=90)),
        ("30min", NOW - timedelta(minutes=30)),
        ("3d", NOW - timedelta(days=3)),
        ("2025-06-19", datetime(2025, 6, 19, tzinfo=UTC)),
        ("2025-06-19T10:00Z", datetime(2025, 6, 19, 10, tzinfo=UTC)),
        ("2025-06-19T10:00+02:00", datetime(2025, 6, 19, 8, tzinfo=UTC)),
    ],
)
def test_a_moment_is_a_day_a_time_or_a_span_back(text, moment):
    assert since_moment(text, now=NOW) == moment


@pytest.mark.parametrize("text", ["6", "h", "6 weeks", "-6h", ""])
def test_what_is_no_span_is_refused(text):
    with pytest.raises(ConfigError, match="no length of time"):
        parse_span(text)


def test_the_result_is_json(ledger):
    held(ledger)
    plain = json.loads(json.dumps(order(ledger, "release", state="held").as_json()))
    assert (plain["action"], plain["dry_run"], plain["changes"][0]["before"]) == ("release", False, "held")

"""The whole story of a scene, under each of its names."""

import json
from datetime import UTC, datetime

import pytest

from ledger_rows import BY, DAY, ITEM, KEY, NEWER, SCENE, add_search, announce, published, rejection
from undersky.errors import ConfigError
from undersky.flow.show import show, show_day, timeline


@pytest.mark.parametrize("name", [KEY, SCENE, ITEM])
def test_every_name_of_a_scene_leads_to_its_story(ledger, name):
    published(ledger)
    (story,) = show(ledger, name).stories
    assert story.acquisition.key == KEY


def test_tile_and_day_lead_to_every_story_of_the_day(ledger):
    announce(ledger)
    twin = f"{KEY}_S20250619T095800"
    announce(ledger, key=twin, scene=SCENE.replace("132734", "142734"))
    assert [story.acquisition.key for story in show_day(ledger, "t32tqm", DAY).stories] == [KEY, twin]


def test_the_timeline_tells_everything_in_order_with_its_log(ledger):
    published(ledger)
    (story,) = show(ledger, KEY).stories
    lines = timeline(story)
    assert [line.time for line in lines] == sorted(line.time for line in lines)
    assert lines[0].what == "discovered"
    states = [line.what.split(" -> ")[-1] for line in lines]
    order = ["discovered", "ingested", "valid", "wanted", "made", "checked", "published"]
    assert [state for state in dict.fromkeys(states)] == order  # noqa: C416  order is what is claimed
    assert all(line.log == BY.log for line in lines if line.by)
    assert all(line.by == f"{BY.run} ({BY.task})" for line in lines if line.by)


def test_a_later_delivery_stands_in_the_timeline(ledger):
    announce(ledger)
    announce(ledger, scene=NEWER, baseline="05.12", produced=datetime(2025, 8, 1, tzinfo=UTC))
    (story,) = show(ledger, SCENE).stories
    texts = " ".join(line.text for line in timeline(story))
    assert NEWER in texts
    assert [delivery.superseded_by for delivery in story.deliveries] == [NEWER, None]


def test_a_rejected_item_is_shown_with_its_reason(ledger):
    add_search(ledger, rejection())
    found = show(ledger, SCENE)
    assert found.stories == ()
    assert found.rejections[0].reason == "too_cloudy"
    assert show_day(ledger, "32TQM", DAY).rejections[0].item_id == SCENE


def test_what_nobody_knows_is_an_error_that_leads_on(ledger):
    with pytest.raises(ConfigError, match="undersky why --tile 32TQM --date 2025-06-19"):
        show(ledger, SCENE)
    with pytest.raises(ConfigError, match="says why"):
        show_day(ledger, "32TQM", DAY)
    with pytest.raises(ConfigError, match="no tile and date"):
        show(ledger, "rome")


def test_a_story_is_json(ledger):
    published(ledger)
    add_search(ledger, rejection(item_id="other"))
    plain = json.loads(json.dumps(show_day(ledger, "32TQM", DAY).as_json()))
    (story,) = plain["stories"]
    assert story["acquisition"]["key"] == KEY
    assert story["products"][0]["made"]["id"] == ITEM
    assert story["timeline"][-1]["what"].endswith("published")
    assert plain["rejections"][0]["item_id"] == "other"

"""Campaigns as people give them: proposed with an estimate, started, paused, resized, fed a few at a time."""

from datetime import date

import pytest

from fixtures_ledger import BY, claimed, one_valid, publish
from undersky.errors import ConfigError
from undersky.flow import campaign
from undersky.flow.campaign import Wish
from undersky.flow.promote import release_set
from undersky.refs import Lane, ModelRef
from undersky.services.ledger import Actor, CampaignState, Selection

ADA = Actor("ada")
NEW = ModelRef(
    name="correction", version="4", label="network-1", digest="ab" * 32, href="s3://undersky-tests/models/y"
)
WISH = Wish("june", Selection(model="physics-1"), "a new champion", at_once=2)


@pytest.fixture
def filled(ledger):
    """Three products of `physics-1`, and `network-1` released since."""
    for number in range(3):
        publish(ledger, one_valid(ledger, number), f"d{number}")
    ledger.set_release(release_set([NEW]), kind="bootstrap", why="first", by=BY, seen=None)
    return ledger


def test_a_proposal_says_what_it_would_take_and_starts_nothing(filled):
    done = campaign.propose(filled, WISH, by=ADA)
    assert (done.campaign.state, done.campaign.estimate.scenes) == (CampaignState.PROPOSED, 3)
    assert done.sentence == "june: 3 scenes, about 0.0 compute hours and 0.00 GB"
    assert "| why | a new champion |" in done.body
    assert "| at once | 2 |" in done.body
    assert "| budget | no cap |" in done.body
    assert campaign.feed(filled, by=ADA) == []
    assert claimed(filled, "surface", lane=Lane.HISTORICAL) == []


def test_the_same_wish_twice_is_one_campaign_and_another_one_of_that_name_is_refused(filled):
    first = campaign.propose(filled, WISH, by=ADA)
    assert campaign.propose(filled, WISH, by=ADA).campaign == first.campaign
    other = Wish("june", Selection(tile="32TQM"), "another reason")
    with pytest.raises(ConfigError, match="another campaign is called june"):
        campaign.propose(filled, other, by=ADA)


def test_nothing_is_proposed_before_a_model_was_released(ledger):
    with pytest.raises(ConfigError, match="undersky model bootstrap"):
        campaign.propose(ledger, WISH, by=ADA)


@pytest.mark.parametrize(
    ("wish", "sentence"),
    [
        (Wish("june", Selection(), "why"), "over everything is refused"),
        (Wish("June 2026", Selection(tile="32TQM"), "why"), "no name of a campaign"),
        (Wish("june", Selection(tile="32TQM"), " "), "needs a reason"),
        (Wish("june", Selection(tile="32TQM"), "why", at_once=0), "lets nothing through"),
        (Wish("june", Selection(tile="32TQM"), "why", budget_hours=0), "lets nothing through"),
    ],
)
def test_what_cannot_be_wished_for_is_refused(filled, wish, sentence):
    with pytest.raises(ConfigError, match=sentence):
        campaign.propose(filled, wish, by=ADA)


def test_a_running_campaign_has_as_many_scenes_under_way_as_it_may(filled):
    campaign.propose(filled, WISH, by=ADA)
    assert campaign.start(filled, "june", why="", by=ADA).state is CampaignState.RUNNING
    (fed,) = campaign.feed(filled, by=ADA)
    assert (fed.name, fed.fed) == ("june", 2)
    assert fed.sentence.startswith("june is running: 0 published, 2 under way, 0 ended otherwise")
    assert campaign.unfinished(filled) == ["june"]
    assert campaign.feed(filled, by=ADA)[0].fed == 0
    assert len(claimed(filled, "surface", lane=Lane.HISTORICAL)) == 2


def test_a_pause_needs_a_reason_and_ends_the_feeding(filled):
    campaign.propose(filled, WISH, by=ADA)
    campaign.start(filled, "june", why="go", by=ADA)
    with pytest.raises(ConfigError, match="say why"):
        campaign.pause(filled, "june", why=" ", by=ADA)
    assert campaign.pause(filled, "june", why="the disk is full", by=ADA).sentence == "the disk is full"
    assert campaign.feed(filled, by=ADA) == []
    assert campaign.unfinished(filled) == []
    assert campaign.start(filled, "june", why="room again", by=ADA).state is CampaignState.RUNNING


def test_of_an_aborted_one_nothing_waits_and_start_takes_it_up_again(filled):
    campaign.propose(filled, WISH, by=ADA)
    campaign.start(filled, "june", why="go", by=ADA)
    campaign.feed(filled, by=ADA)
    with pytest.raises(ConfigError, match="say why"):
        campaign.abort(filled, "june", why="", by=ADA)
    assert campaign.abort(filled, "june", why="wrong month", by=ADA).state is CampaignState.ABORTED
    assert claimed(filled, "surface", lane=Lane.HISTORICAL) == []
    campaign.start(filled, "june", why="right after all", by=ADA)
    assert campaign.feed(filled, by=ADA)[0].fed == 2


def test_another_cap_lets_more_through(filled):
    campaign.propose(filled, WISH, by=ADA)
    campaign.start(filled, "june", why="go", by=ADA)
    campaign.feed(filled, by=ADA)
    sized = campaign.resize(filled, "june", at_once=3, budget_hours=9.0, why="", by=ADA)
    assert (sized.at_once, sized.budget_hours, sized.state) == (3, 9.0, CampaignState.RUNNING)
    assert campaign.feed(filled, by=ADA)[0].fed == 1


@pytest.mark.parametrize("ended", [False, True])
def test_another_cap_begins_no_campaign_that_nobody_started(filled, ended):
    campaign.propose(filled, WISH, by=ADA)
    if ended:
        campaign.abort(filled, "june", why="wrong month", by=ADA)
    before = filled.campaign("june").state
    sized = campaign.resize(filled, "june", at_once=3, budget_hours=None, why="more", by=ADA)
    assert (sized.at_once, sized.state) == (3, before)


def test_one_that_paused_goes_on_with_another_budget(filled):
    campaign.propose(filled, WISH, by=ADA)
    campaign.start(filled, "june", why="go", by=ADA)
    campaign.pause(filled, "june", why="budget", by=ADA)
    sized = campaign.resize(filled, "june", at_once=None, budget_hours=5.0, why="more money", by=ADA)
    assert (sized.state, sized.budget_hours, sized.at_once) == (CampaignState.RUNNING, 5.0, 2)


def test_a_campaign_that_nobody_proposed_is_named(filled):
    for move in (campaign.start, campaign.pause, campaign.abort):
        with pytest.raises(ConfigError, match="no campaign is called 'july'"):
            move(filled, "july", why="why", by=ADA)
    with pytest.raises(ConfigError, match="no campaign is called 'july'"):
        campaign.resize(filled, "july", at_once=3, budget_hours=None, why="", by=ADA)


def test_without_a_campaign_there_is_nothing_to_feed(ledger):
    assert campaign.feed(ledger, by=ADA) == []
    assert campaign.unfinished(ledger) == []


def test_how_far_it_is_reads_as_a_sentence(filled):
    done = campaign.propose(filled, WISH, by=ADA)
    progress = campaign.progress_of(filled, "june")
    assert campaign.describe(done.campaign, progress) == (
        "june is proposed: 0 published, 0 under way, 0 ended otherwise, 3 left; 0.00 compute hours spent. "
        "a new champion"
    )


def test_the_form_of_reprocess_is_a_wish():
    forms = pytest.importorskip("undersky_airflow.forms")
    blank = {"scenes": [], "model": None, "tile": "", "area": "", "reason": "", "collection": ""}
    form = blank | {
        "name": " june ", "why": " new ", "at_once": 5, "budget_hours": None, "model": "physics-1",
        "sensed_from": "2025-06-01", "sensed_until": "2025-06-30",
    }  # fmt: skip
    days = {"sensed_from": date(2025, 6, 1), "sensed_until": date(2025, 6, 30)}
    assert forms.campaign_of(form) == Wish("june", Selection(model="physics-1", **days), "new", at_once=5)
    assert forms.campaign_of(form | {"budget_hours": "2.5"}).budget_hours == 2.5
    with pytest.raises(ConfigError, match="no day"):
        forms.campaign_of(form | {"sensed_from": "June"})

"""Campaigns: proposed, fed a few scenes at a time, paused, aborted half way, resumed with just the rest."""

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from sqlalchemy import text

from fixtures_ledger import BY, announcement, claimed, one_valid, outcome, product_of
from undersky.errors import ConfigError
from undersky.refs import Ending, Judged, Kind, Lane, ModelRef, ReleaseSet, SceneRef
from undersky.services.ledger import (
    Actor,
    Campaign,
    CampaignEstimate,
    CampaignState,
    Ledger,
    Product,
    ProductState,
    Selection,
)

ANN = Actor("ann", "campaign", log="https://airflow/log/9")
NAME = "after-physics-1"
TILE = Selection(tile="32TQM")
RUNNING, PAUSED, ABORTED = CampaignState.RUNNING, CampaignState.PAUSED, CampaignState.ABORTED


def model(label: str) -> ModelRef:
    return ModelRef(
        name="correction",
        version="1",
        label=label,
        digest=f"digest-{label}",
        href=f"s3://undersky/models/{label}",
    )


ONE, TWO = model("physics-1"), model("physics-2")
OLD, NEW = (ReleaseSet(digest=f"set-{each.label}", models=(each,)) for each in (ONE, TWO))


def publish(ledger: Ledger, ref: SceneRef, by_model: ModelRef, seconds: float = 1800.0) -> None:
    made = product_of(ref, f"{ref.acquisition}-{by_model.label}")
    made = made.model_copy(update={"model": by_model, "bytes": 3_000_000_000, "cpu_seconds": seconds})
    ledger.made(ref, made, BY)
    ledger.checked(ref, Judged(expectations=5), BY)
    with ledger.publishing(ref, made, BY) as row:
        row.published(f"s3://undersky-tests/stac/{made.digest}.json")


def world(ledger: Ledger, scenes: int = 5) -> None:
    """Scenes with a product of the first model."""
    for number in range(scenes):
        publish(ledger, one_valid(ledger, number), ONE)


def propose(ledger: Ledger, name: str = NAME, selection: Selection = TILE, **changes: object) -> Campaign:
    fields = {"why": "physics-2 is sharper", "at_once": 2, "budget_hours": None, "release": NEW} | changes
    return ledger.propose_campaign(name, selection, by=ANN, **fields)


def running(ledger: Ledger, **changes: object) -> None:
    propose(ledger, **changes)
    ledger.move_campaign(NAME, RUNNING, why="approved", by=ANN)


def feed(ledger: Ledger, release: ReleaseSet = NEW) -> int:
    return ledger.feed_campaign(NAME, release, by=ANN)


def waiting(ledger: Ledger) -> list[SceneRef]:
    return claimed(ledger, "surface", lane=Lane.HISTORICAL)


def work(ledger: Ledger, by_model: ModelRef = TWO) -> list[int]:
    """Everything that waits is made and published; numbers of the scenes."""
    numbers = {announcement(number).key: number for number in range(10)}
    refs = waiting(ledger)
    for ref in refs:
        publish(ledger, ref, by_model)
    return [numbers[ref.acquisition] for ref in refs]


def products(ledger: Ledger, number: int) -> list[Product]:
    story = ledger.story(announcement(number).key)
    assert story is not None
    return list(story.products)


def state(ledger: Ledger) -> CampaignState:
    return ledger.campaign(NAME).state


def history(ledger: Ledger) -> list[tuple[str, str]]:
    with ledger._transaction() as connection:
        rows = connection.execute(text("select what, sentence from ledger.campaign_history order by id"))
        return [(row.what, row.sentence) for row in rows]


def test_an_estimate_counts_what_would_be_made_again_and_what_it_took(ledger: Ledger) -> None:
    world(ledger, 3)
    assert ledger.estimate_campaign(TILE, NEW) == CampaignEstimate(3, 1.5, 9_000_000_000)
    assert ledger.estimate_campaign(TILE, OLD) == CampaignEstimate(0, 0.0, 0)
    day = Selection(sensed_from=date(2025, 6, 19), sensed_until=date(2025, 6, 19), area="valley")
    assert ledger.estimate_campaign(day, NEW).scenes == 3
    assert ledger.estimate_campaign(Selection(area="coast"), NEW).scenes == 0


def test_a_deprecated_product_is_made_again_though_its_model_is_the_current_one(ledger: Ledger) -> None:
    world(ledger, 2)
    ledger.deprecated(products(ledger, 1)[0].id, reason="stripes", by=ANN)
    assert ledger.estimate_campaign(TILE, OLD).scenes == 1


def test_a_proposal_stands_as_it_was_said_and_saying_it_twice_changes_nothing(ledger: Ledger) -> None:
    world(ledger, 2)
    selection = Selection(
        scenes=(announcement(0).key, announcement(1).scene),
        since=datetime(2025, 6, 1, tzinfo=UTC),
        tile="32TQM",
        sensed_from=date(2025, 6, 1),
    )
    said = propose(ledger, selection=selection, budget_hours=2.5)
    meant = replace(selection, kind=Kind.SURFACE)
    assert (said.name, said.selection, said.why) == (NAME, meant, "physics-2 is sharper")
    assert (said.state, said.at_once, said.budget_hours, said.run) == (CampaignState.PROPOSED, 2, 2.5, "ann")
    assert said.estimate == CampaignEstimate(2, 1.0, 6_000_000_000)
    assert propose(ledger, selection=selection, budget_hours=2.5) == said == ledger.campaign(NAME)
    assert history(ledger) == [("proposed", "physics-2 is sharper")]
    for changes in ({"selection": TILE}, {"budget_hours": 3.0}, {"at_once": 3}, {"why": "other"}):
        fields = {"selection": selection, "budget_hours": 2.5} | changes
        with pytest.raises(ConfigError, match="another campaign is called after-physics-1"):
            propose(ledger, **fields)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "After physics"}, "is no name of a campaign"),
        ({"name": ""}, "is no name of a campaign"),
        ({"selection": Selection()}, "over everything is refused"),
        ({"why": " "}, "needs a reason"),
        ({"at_once": 0}, "at once 0 lets nothing through"),
        ({"budget_hours": 0.0}, "a budget of 0.0 hours lets nothing through"),
        ({"release": ReleaseSet(digest="x", models=())}, "has no model correction, only nothing"),
    ],
)
def test_a_proposal_that_says_too_little_or_too_much_is_refused(
    ledger: Ledger, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        propose(ledger, **changes)
    assert ledger.campaigns() == ()


def test_campaigns_are_listed_newest_first(ledger: Ledger) -> None:
    for name in ("one", "two", "three"):
        propose(ledger, name)
    ledger.move_campaign("two", RUNNING, why="go", by=ANN)
    assert [each.name for each in ledger.campaigns()] == ["three", "two", "one"]
    assert [each.name for each in ledger.campaigns(state=RUNNING)] == ["two"]
    with pytest.raises(ConfigError, match="no campaign is called 'four': one, three, two"):
        ledger.campaign("four")
    with pytest.raises(ConfigError, match="no campaign is called 'four'"):
        ledger.feed_campaign("four", NEW, by=ANN)


@pytest.mark.parametrize(
    ("path", "end", "allowed"),
    [
        ([], RUNNING, True),
        ([], PAUSED, False),
        ([], ABORTED, True),
        ([RUNNING], PAUSED, True),
        ([RUNNING], ABORTED, True),
        ([RUNNING], CampaignState.DONE, False),
        ([RUNNING], CampaignState.PROPOSED, False),
        ([RUNNING, PAUSED], RUNNING, True),
        ([RUNNING, PAUSED], ABORTED, True),
        ([ABORTED], RUNNING, True),
        ([ABORTED], PAUSED, False),
    ],
)
def test_people_move_a_campaign_where_it_can_go(
    ledger: Ledger,
    path: list[CampaignState],
    end: CampaignState,
    allowed: bool,  # noqa: FBT001
) -> None:
    propose(ledger)
    for each in path:
        ledger.move_campaign(NAME, each, why="so", by=ANN)
    if allowed:
        moved = ledger.move_campaign(NAME, end, why="at last", by=ANN)
        assert (moved.state, moved.sentence) == (end, "at last")
        assert history(ledger)[-1] == (end, "at last")
    else:
        with pytest.raises(ConfigError, match=f"cannot become {end}; it can become"):
            ledger.move_campaign(NAME, end, why="at last", by=ANN)
    assert state(ledger) == (end if allowed else [CampaignState.PROPOSED, *path][-1])


def test_a_move_needs_a_reason(ledger: Ledger) -> None:
    propose(ledger)
    with pytest.raises(ConfigError, match="without a reason"):
        ledger.move_campaign(NAME, RUNNING, why="", by=ANN)


def test_the_state_it_has_is_no_move_but_new_limits_are_taken_up(ledger: Ledger) -> None:
    running(ledger)
    before = ledger.campaign(NAME)
    assert ledger.move_campaign(NAME, RUNNING, why="again", by=ANN, at_once=2) == before
    assert len(history(ledger)) == 2
    wider = ledger.move_campaign(NAME, RUNNING, why="a quiet week", by=ANN, at_once=4, budget_hours=8.0)
    assert (wider.at_once, wider.budget_hours, wider.sentence) == (4, 8.0, before.sentence)
    told = "at_once 2 becomes 4, budget_hours None becomes 8.0: a quiet week"
    assert history(ledger)[-1] == ("changed", told)
    paused = ledger.move_campaign(NAME, PAUSED, why="a busy week", by=ANN, at_once=1)
    assert (paused.at_once, paused.budget_hours) == (1, 8.0)


def test_a_campaign_feeds_no_more_at_once_than_it_may_newest_first(ledger: Ledger) -> None:
    world(ledger, 5)
    running(ledger)
    assert (feed(ledger), feed(ledger)) == (2, 0)
    assert claimed(ledger, "surface") == []
    first, second = waiting(ledger)
    assert [first.acquisition, second.acquisition] == [announcement(4).key, announcement(3).key]
    [_, wanted] = products(ledger, 4)
    assert (wanted.campaign, wanted.lane) == (NAME, Lane.HISTORICAL)
    assert f"campaign {NAME}: physics-2 is sharper" in [
        event.sentence for event in ledger.story(first.acquisition).history
    ]
    publish(ledger, first, TWO)
    assert (feed(ledger), feed(ledger)) == (1, 0)
    progress = ledger.campaign_progress(NAME, NEW)
    assert (progress.estimate_scenes, progress.published, progress.open) == (5, 1, 2)
    assert (progress.ended, progress.left, progress.spent_hours) == (0, 2, 0.5)


def test_a_campaign_that_is_not_running_wants_nothing(ledger: Ledger) -> None:
    world(ledger, 2)
    propose(ledger)
    assert feed(ledger) == 0
    for each in (RUNNING, PAUSED, ABORTED):
        ledger.move_campaign(NAME, each, why="so", by=ANN)
        if each != RUNNING:
            assert feed(ledger) == 0
    assert waiting(ledger) == []


def test_what_is_made_with_the_current_models_is_never_made_again(ledger: Ledger) -> None:
    world(ledger, 2)
    publish(ledger, one_valid(ledger, 2), TWO)
    running(ledger, at_once=10)
    assert feed(ledger) == 2
    assert work(ledger) == [1, 0]
    assert (feed(ledger), state(ledger)) == (0, CampaignState.DONE)
    assert ledger.campaign(NAME).sentence.startswith(
        "nothing is left to make again; 2 products were published"
    )
    assert [len(products(ledger, number)) for number in range(3)] == [2, 2, 1]
    with pytest.raises(ConfigError, match="is done and cannot become running; it can become nothing else"):
        ledger.move_campaign(NAME, RUNNING, why="again", by=ANN)
    assert feed(ledger) == 0


def test_a_campaign_is_not_done_while_something_is_open(ledger: Ledger) -> None:
    world(ledger, 1)
    running(ledger)
    assert (feed(ledger), feed(ledger)) == (1, 0)
    assert state(ledger) == RUNNING


def test_scenes_that_wait_anyway_and_products_with_a_successor_are_left_alone(ledger: Ledger) -> None:
    world(ledger, 2)
    ledger.remake(Selection(scenes=(announcement(1).key,)), by=ANN, why="by hand", lane=Lane.FRESH)
    running(ledger, at_once=10)
    assert feed(ledger) == 1
    assert work(ledger) == [0]
    assert [each.campaign for each in products(ledger, 1)] == [None, None]


def test_of_two_current_products_the_newest_says_whether_the_scene_is_left(ledger: Ledger) -> None:
    world(ledger, 1)
    ledger.remake(TILE, by=ANN, why="by hand", lane=Lane.FRESH)
    [ref] = claimed(ledger, "surface")
    made = product_of(ref, "d2").model_copy(update={"model": TWO})
    ledger.made(ref, made, BY)
    ledger.checked(ref, Judged(expectations=5), BY)
    with ledger.publishing(ref, made, BY) as row:
        row.published("s3://undersky-tests/stac/d2.json", predecessors=())
    assert [each.successor for each in products(ledger, 0)] == [None, None]
    assert ledger.estimate_campaign(TILE, NEW).scenes == 0


def test_what_the_campaign_tried_in_vain_is_not_tried_again(ledger: Ledger) -> None:
    world(ledger, 3)
    running(ledger, at_once=10)
    assert feed(ledger) == 3
    failed, held, unwanted = waiting(ledger)
    ledger.failed(failed, outcome(failed, Ending.FAILED, "crashed"), BY)
    ledger.made(held, product_of(held).model_copy(update={"cpu_seconds": 1800.0}), BY)
    ledger.held(held, outcome(held, Ending.HELD, "expectation"), BY)
    ledger.withdraw(unwanted.product or 0, ANN, why="the sensor was broken")
    progress = ledger.campaign_progress(NAME, NEW)
    assert (progress.ended, progress.open, progress.left, progress.spent_hours) == (3, 0, 0, 0.5)
    assert (feed(ledger), state(ledger)) == (0, CampaignState.DONE)


def test_a_used_up_budget_pauses_a_campaign_until_it_is_raised(ledger: Ledger) -> None:
    world(ledger, 4)
    running(ledger, at_once=1, budget_hours=1.0)
    for number in (3, 2):
        assert (feed(ledger), work(ledger)) == (1, [number])
    assert (feed(ledger), state(ledger)) == (0, PAUSED)
    assert (
        ledger.campaign(NAME).sentence
        == "its budget of 1 hours is used up, 1.00 were spent: raise it to go on"
    )
    ledger.move_campaign(NAME, RUNNING, why="go on", by=ANN)
    assert (feed(ledger), state(ledger)) == (0, PAUSED)
    ledger.move_campaign(NAME, RUNNING, why="go on", by=ANN, budget_hours=10.0)
    assert (feed(ledger), work(ledger)) == (1, [1])


def test_a_campaign_that_ends_with_its_budget_is_done(ledger: Ledger) -> None:
    world(ledger, 1)
    running(ledger, budget_hours=0.5)
    assert (feed(ledger), work(ledger), feed(ledger), state(ledger)) == (1, [0], 0, CampaignState.DONE)


def test_aborted_half_way_and_resumed_it_makes_exactly_the_rest(ledger: Ledger) -> None:
    world(ledger, 6)
    running(ledger, at_once=3)
    assert feed(ledger) == 3
    assert work(ledger) == [5, 4, 3]
    assert feed(ledger) == 3
    [leased] = claimed(ledger, "surface", lane=Lane.HISTORICAL, limit=1)
    ledger.move_campaign(NAME, ABORTED, why="the disk is full", by=ANN)
    assert waiting(ledger) == []
    [_, back] = products(ledger, 0)
    assert (back.state, back.reason) == (ProductState.WITHDRAWN, "campaign_aborted")
    assert back.sentence == f"campaign {NAME} was aborted: the disk is full"
    publish(ledger, leased, TWO)
    assert feed(ledger) == 0
    progress = ledger.campaign_progress(NAME, NEW)
    assert (progress.published, progress.open, progress.ended, progress.left) == (4, 0, 0, 2)
    ledger.move_campaign(NAME, RUNNING, why="the disk was cleared", by=ANN)
    assert feed(ledger) == 2
    assert work(ledger) == [1, 0]
    assert (feed(ledger), state(ledger)) == (0, CampaignState.DONE)
    made = [[each.made.model for each in products(ledger, n) if each.state == "published"] for n in range(6)]
    assert made == [[ONE, TWO]] * 6


def test_a_lease_that_ran_out_does_not_keep_a_product_from_being_taken_back(ledger: Ledger) -> None:
    from datetime import timedelta

    world(ledger, 1)
    running(ledger)
    feed(ledger)
    [silent] = claimed(ledger, "surface", lane=Lane.HISTORICAL, lease=timedelta(seconds=-1))
    ledger.move_campaign(NAME, ABORTED, why="enough", by=ANN)
    assert products(ledger, 0)[-1].state == ProductState.WITHDRAWN
    assert ledger.give_back([silent], BY, "stopped", "late") == [silent]


def test_a_campaign_follows_the_release_set_in_use(ledger: Ledger) -> None:
    world(ledger, 1)
    running(ledger)
    assert (feed(ledger), work(ledger)) == (1, [0])
    three = ReleaseSet(digest="set-3", models=(model("physics-3"),))
    assert (feed(ledger, three), work(ledger, model("physics-3"))) == (1, [0])
    assert (feed(ledger, three), state(ledger)) == (0, CampaignState.DONE)


@pytest.mark.faults
def test_two_who_feed_at_once_stay_under_the_cap(ledger: Ledger) -> None:
    import threading
    from concurrent.futures import ThreadPoolExecutor

    world(ledger, 5)
    running(ledger, at_once=3)
    gate = threading.Barrier(4)

    def race(_: int) -> int:
        gate.wait()
        return feed(ledger)

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(race, range(4))) == [0, 0, 0, 3]
    assert ledger.campaign_progress(NAME, NEW).open == 3

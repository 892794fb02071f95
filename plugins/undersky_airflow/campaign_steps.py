"""The light steps of a campaign, as tasks: estimate, start once somebody agreed, feed the historical lane."""

import logging
from typing import Any

from airflow.sdk import TriggerRule, get_current_context
from airflow.sdk.exceptions import AirflowSkipException

from undersky_airflow.assets import CAMPAIGN_GOES_ON, CAMPAIGN_STARTED
from undersky_airflow.desk import desk
from undersky_airflow.forms import campaign_of
from undersky_airflow.operators import step
from undersky_airflow.plain import plain

log = logging.getLogger(__name__)


@step()
def propose() -> object:
    """Estimates what the form asks for and writes it down, without starting anything."""
    from undersky.flow.campaign import propose as write

    context = get_current_context()
    with desk(context) as at:
        done = write(at.ledger, campaign_of(context["params"]), by=at.by)
    log.info("%s", done.sentence)
    return {"name": done.campaign.name, "subject": f"Make again? {done.sentence}", "body": done.body}


@step(outlets=[CAMPAIGN_STARTED])
def start(proposed: Any, said: Any) -> object:
    """Starts the campaign, or ends it where somebody refused."""
    from undersky.flow.campaign import abort
    from undersky.flow.campaign import start as begin

    with desk(get_current_context()) as at:
        move = begin if said["approved"] else abort
        campaign = move(at.ledger, proposed["name"], why=f"{said['why']} ({said['by']})".strip(), by=at.by)
    log.info("%s is %s", campaign.name, campaign.state)
    if not said["approved"]:
        raise AirflowSkipException(f"{said['by']} refused: {said['why']}")
    return plain(campaign)


@step(trigger_rule=TriggerRule.ALL_DONE)
def feed() -> object:
    """Wants the next scenes of every running campaign, as many as it may have at once, within its budget."""
    from undersky.flow.campaign import feed as want

    with desk(get_current_context()) as at:
        fed = want(at.ledger, by=at.by)
    for each in fed:
        log.info("%s", each.sentence)
    return {each.name: each.fed for each in fed}


@step(trigger_rule=TriggerRule.ALL_DONE, outlets=[CAMPAIGN_GOES_ON])
def go_on() -> object:
    """Wakes the next run where a campaign has scenes left; skipped where none has."""
    from undersky.flow.campaign import unfinished

    with desk(get_current_context()) as at:
        left = unfinished(at.ledger)
    if not left:
        raise AirflowSkipException("no campaign has scenes left")
    return left

"""Campaigns: products that are to be made again, a few at a time, with what is released now.

    a query over the ledger --propose--> estimate --a person--> start --feed--> historical lane --> done

It may be paused, resumed and aborted at any time.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from undersky.errors import ConfigError
from undersky.flow.pin import current
from undersky.refs import Kind
from undersky.services.ledger import CampaignState, Selection

if TYPE_CHECKING:
    from undersky.services.ledger import Actor, Campaign, CampaignProgress, Ledger


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants made again."""

    name: str
    """Lower case letters, digits and hyphens."""
    selection: Selection
    """Which products: of one kind, surface unless it says so or only maps were made by its model."""
    why: str
    """For the history."""
    at_once: int = 20
    """Scenes that may be under way at a time."""
    budget_hours: float | None = None
    """Compute hours after which it pauses; None for no cap."""


@dataclass(frozen=True, slots=True)
class Proposed:
    """A campaign that waits for somebody's word."""

    campaign: "Campaign"

    @property
    def sentence(self) -> str:
        """For a person."""
        cost = self.campaign.estimate
        return (
            f"{self.campaign.name}: {cost.scenes} scenes, about {cost.hours:.1f} compute hours and "
            f"{cost.bytes / 1e9:.2f} GB"
        )

    @property
    def body(self) -> str:
        """What stands above the buttons, Markdown."""
        campaign = self.campaign
        cap = "no cap" if campaign.budget_hours is None else f"{campaign.budget_hours:g} hours"
        rows = {
            "kind": campaign.selection.kind or Kind.SURFACE,
            "why": campaign.why,
            "scenes": campaign.estimate.scenes,
            "compute hours, as they took before": f"{campaign.estimate.hours:.1f}",
            "GB": f"{campaign.estimate.bytes / 1e9:.2f}",
            "at once": campaign.at_once,
            "budget": cap,
        }
        lines = [f"| {name} | {value} |" for name, value in rows.items()]
        return "\n".join(["| campaign | " + campaign.name + " |", "|---|---|", *lines])


@dataclass(frozen=True, slots=True)
class Fed:
    """What a campaign got."""

    name: str
    fed: int
    """Scenes that are wanted now and were not before."""
    sentence: str
    """For a person."""


def propose(ledger: "Ledger", wish: Wish, *, by: "Actor") -> Proposed:
    """The campaign is on record with its estimate; nothing is started. The same wish twice is one campaign.

    Raises:
        ConfigError: Nothing is selected, another campaign has that name, or nothing was released yet.
    """
    release = current(ledger)
    campaign = ledger.propose_campaign(
        wish.name,
        wish.selection,
        why=wish.why,
        at_once=wish.at_once,
        budget_hours=wish.budget_hours,
        release=release,
        by=by,
    )
    return Proposed(campaign)


def start(ledger: "Ledger", name: str, *, why: str, by: "Actor") -> "Campaign":
    """The campaign runs, begun or resumed."""
    return ledger.move_campaign(name, CampaignState.RUNNING, why=why or "started", by=by)


def pause(ledger: "Ledger", name: str, *, why: str, by: "Actor") -> "Campaign":
    """No further scene of it is begun; what is under way ends."""
    return ledger.move_campaign(name, CampaignState.PAUSED, why=_reason(why), by=by)


def abort(ledger: "Ledger", name: str, *, why: str, by: "Actor") -> "Campaign":
    """It ends; what waited of it waits no more. `start` takes it up again."""
    return ledger.move_campaign(name, CampaignState.ABORTED, why=_reason(why), by=by)


def resize(
    ledger: "Ledger", name: str, *, at_once: int | None, budget_hours: float | None, why: str, by: "Actor"
) -> "Campaign":
    """It has another cap or budget; one that paused for its budget goes on, one not begun stays so."""
    state = ledger.campaign(name).state
    waits = state in (CampaignState.PROPOSED, CampaignState.ABORTED)
    return ledger.move_campaign(
        name,
        state if waits else CampaignState.RUNNING,
        why=why or "another cap",
        by=by,
        at_once=at_once,
        budget_hours=budget_hours,
    )


def feed(ledger: "Ledger", *, by: "Actor") -> list[Fed]:
    """Every running campaign has as many scenes under way as it may; one without any left is done."""
    running = ledger.campaigns(state=CampaignState.RUNNING)
    if not running:
        return []
    release = current(ledger)
    fed = []
    for campaign in running:
        count = ledger.feed_campaign(campaign.name, release, by=by)
        now = ledger.campaign(campaign.name)
        progress = ledger.campaign_progress(campaign.name, release)
        fed.append(Fed(campaign.name, count, describe(now, progress)))
    return fed


def unfinished(ledger: "Ledger") -> list[str]:
    """Names of running campaigns that have scenes left."""
    running = ledger.campaigns(state=CampaignState.RUNNING)
    if not running:
        return []
    release = current(ledger)
    return [each.name for each in running if ledger.campaign_progress(each.name, release).left]


def progress_of(ledger: "Ledger", name: str) -> "CampaignProgress":
    """How far a campaign is."""
    return ledger.campaign_progress(name, current(ledger))


def describe(campaign: "Campaign", progress: "CampaignProgress") -> str:
    """The campaign in a sentence."""
    return (
        f"{campaign.name} is {campaign.state}: {progress.published} published, {progress.open} under way, "
        f"{progress.ended} ended otherwise, {progress.left} left; {progress.spent_hours:.2f} compute hours "
        "spent" + (f". {campaign.sentence}" if campaign.sentence else "")
    )


def _reason(why: str) -> str:
    if not why.strip():
        raise ConfigError("say why: it stands in the history of the campaign")
    return why.strip()

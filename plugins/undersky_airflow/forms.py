"""The forms of `manage_scenes` and `reprocess`: what may be chosen."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from undersky.refs import Begin, Kind

if TYPE_CHECKING:
    from undersky.flow.campaign import Wish
    from undersky.flow.manage import Managed
    from undersky.services.ledger import Actor, Ledger

ACTIONS = ["retry", "release", "skip", "remake"]
STATES = [
    *("discovered", "ingested", "valid", "quarantined", "skipped", "failed"),
    *("wanted", "made", "checked", "published", "held", "withdrawn"),
]
"""Of acquisitions and of products, as the ledger has them; written out, for a DAG may not load the ledger."""
BEGIN = [each.value for each in Begin]
"""Where `model_release` may begin."""
KINDS = [each.value for each in Kind]
"""Of products."""
CRITERIA = ("scenes", "state", "reason", "since", "tile", "model", "kind")


def decide(ledger: "Ledger", answers: Mapping[str, object], by: "Actor", user: str | None) -> "Managed":
    """What the order of the form changes, or with `dry_run` would change.

    Args:
        ledger: The ledger.
        answers: Of the form; blank fields are no criterion.
        by: Who, for the history.
        user: Who filled in the form, for the reason; None for nobody that Airflow knows.

    Raises:
        ConfigError: The selection or the reason is empty, or an answer makes no sense.
    """
    from undersky.flow.manage import manage, selection_of

    selection = selection_of({name: answers.get(name) for name in CRITERIA})
    why = str(answers["why"]).strip()
    signed = f"{why} ({user})" if user and why else why
    # Anything but a plain false is a dry run: a form must not act by accident.
    dry_run = answers["dry_run"] is not False
    return manage(ledger, str(answers["action"]), selection, by=by, why=signed, dry_run=dry_run)


CAMPAIGN_CRITERIA = (
    *("scenes", "model", "kind", "tile", "area", "sensed_from", "sensed_until", "reason", "collection"),
)


def campaign_of(answers: Mapping[str, object]) -> "Wish":
    """The campaign that the form of `reprocess` asks for; blank fields are no criterion.

    Raises:
        ConfigError: An answer makes no sense.
    """
    from undersky.flow.campaign import Wish
    from undersky.flow.manage import selection_of

    budget = answers["budget_hours"]
    return Wish(
        name=str(answers["name"]).strip(),
        selection=selection_of({name: answers[name] for name in CAMPAIGN_CRITERIA if name in answers}),
        why=str(answers["why"]).strip(),
        at_once=int(str(answers["at_once"])),
        budget_hours=None if budget is None else float(str(budget)),
    )

"""What the flow asks and tells the ledger about models: release sets, deprecation, campaigns."""

from dataclasses import replace

from undersky.refs import Kind, ModelRef, ReleaseSet
from undersky.services.ledger import campaigns, feeding, releasing
from undersky.services.ledger.people import People
from undersky.services.ledger.records import Actor, CampaignState, ReleaseKind, Selection
from undersky.services.ledger.views import (
    Campaign,
    CampaignEstimate,
    CampaignProgress,
    Product,
    ReleaseRecord,
)


class Models(People):
    """The part of the ledger that knows which models are in use; every method is one transaction."""

    # release sets

    def release(self) -> ReleaseRecord | None:
        """The release set in use, which is the newest; None before the first."""
        with self._transaction() as connection:
            return releasing.newest(connection)

    def releases(self, *, limit: int = 100) -> tuple[ReleaseRecord, ...]:
        """The release sets that were in use, newest first."""
        with self._transaction() as connection:
            return releasing.listed(connection, limit=limit)

    def set_release(
        self,
        release: ReleaseSet,
        *,
        kind: ReleaseKind,
        why: str,
        by: Actor,
        seen: int | None,
        withdrawn: ModelRef | None = None,
    ) -> ReleaseRecord:
        """The release set is in use from now on; saying it twice changes nothing.

        Args:
            release: The models.
            kind: bootstrap, promotion or rollback.
            why: The reason, for the history.
            by: Who.
            seen: Id of the newest record when the caller decided; None where there was none.
            withdrawn: The model version that a rollback takes out of use.

        Returns:
            The newest record: the new one, or the one that says the same already.

        Raises:
            ConfigError: The reason is empty; or a model is withdrawn by what is no rollback, or though the
                release set still has it.
            ServiceError: The newest record is not the one that the caller saw.
        """
        step = releasing.Step(release, kind, why, withdrawn)
        with self._transaction() as connection:
            return releasing.append(connection, step, by=by, seen=seen)

    def withdrawn_models(self) -> dict[str, str]:
        """Package digest to reason of each model version that was rolled back and not promoted again."""
        with self._transaction() as connection:
            return releasing.withdrawn_models(connection)

    def withdrawn_release(self, digest: str, kind: Kind = Kind.SURFACE) -> str | None:
        """Why nobody should make that kind with the release set of that digest; None if they may."""
        with self._transaction() as connection:
            return releasing.withdrawn_release(connection, digest, kind)

    # deprecation

    def to_deprecate(self, *, limit: int = 500) -> tuple[Product, ...]:
        """Published products of withdrawn models, and maps of such, not marked yet; oldest first."""
        with self._transaction() as connection:
            return releasing.to_deprecate(connection, limit=limit)

    def deprecated(self, product: int, *, reason: str, by: Actor) -> None:
        """The published product is marked with that reason; twice changes nothing.

        Raises:
            ConfigError: No such product, or one that was never published.
        """
        with self._transaction() as connection:
            releasing.deprecate(connection, product, reason=reason, by=by)

    # campaigns

    def estimate_campaign(self, selection: Selection, release: ReleaseSet) -> CampaignEstimate:
        """What it would cost to make the selection's products again with that release set.

        Raises:
            ConfigError: The release set has no model of the selection's kind.
        """
        with self._transaction() as connection:
            return feeding.estimate(connection, feeding.with_kind(connection, selection), release)

    def propose_campaign(
        self,
        name: str,
        selection: Selection,
        *,
        why: str,
        at_once: int,
        budget_hours: float | None,
        release: ReleaseSet,
        by: Actor,
    ) -> Campaign:
        """The campaign is on record and waits for a person; saying it twice changes nothing.

        Args:
            name: Lower-case letters, digits and hyphens.
            selection: Which products; an empty one is refused. Without a kind it is about surface products,
                or about the one kind of map that its model made.
            why: The reason, for the history.
            at_once: Products that may wait or be worked on at a time.
            budget_hours: Hours of one CPU core after which it is paused; None for as many as it takes.
            release: The models in use, for the estimate.
            by: Who.

        Raises:
            ConfigError: A name that is none, or another campaign's; an empty selection or reason; a limit
                that lets nothing through; a release set without a model of its kind.
        """
        wanted = campaigns.Proposal(name, selection, why, campaigns.Caps(at_once, budget_hours))
        with self._transaction() as connection:
            wanted = replace(wanted, selection=feeding.with_kind(connection, selection))
            cost = feeding.estimate(connection, wanted.selection, release)
            return campaigns.propose(connection, wanted, cost, by)

    def move_campaign(
        self,
        name: str,
        state: CampaignState,
        *,
        why: str,
        by: Actor,
        at_once: int | None = None,
        budget_hours: float | None = None,
    ) -> Campaign:
        """The campaign has that state; of an aborted one nothing waits any more.

        Args:
            name: Of the campaign.
            state: running, paused or aborted; the state that it has is no error and changes nothing.
            why: The reason, for the history.
            by: Who.
            at_once: As `propose_campaign`; None leaves it as it is.
            budget_hours: As `at_once`.

        Raises:
            ConfigError: No such campaign, no way to that state, an empty reason, or a limit that lets nothing
                through.
        """
        move = campaigns.Move(state, why, campaigns.Caps(at_once, budget_hours))
        with self._transaction() as connection:
            return campaigns.move(connection, name, move, by)

    def campaign(self, name: str) -> Campaign:
        """The campaign of that name.

        Raises:
            ConfigError: There is none.
        """
        with self._transaction() as connection:
            return campaigns.one(connection, name)

    def campaigns(self, *, state: CampaignState | None = None) -> tuple[Campaign, ...]:
        """Every campaign, newest first; only those in that state."""
        with self._transaction() as connection:
            return campaigns.listed(connection, state=state)

    def campaign_progress(self, name: str, release: ReleaseSet) -> CampaignProgress:
        """How far the campaign is, if it goes on with that release set.

        Raises:
            ConfigError: No such campaign, or a release set without a model of its kind.
        """
        with self._transaction() as connection:
            return feeding.progress(connection, name, release)

    def feed_campaign(self, name: str, release: ReleaseSet, *, by: Actor) -> int:
        """As many scenes are wanted, in the historical lane, as the running campaign has room for.

        It becomes paused when its budget is used up, and done when nothing is left and nothing is open.

        Returns:
            How many scenes are wanted anew; 0 for a campaign that is not running.

        Raises:
            ConfigError: No such campaign, or a release set without a model of its kind.
        """
        with self._transaction() as connection:
            return feeding.feed(connection, name, release, by)

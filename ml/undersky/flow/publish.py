"""`publish`: what a batch's stages said goes into the ledger, and what they found good becomes visible.

    making and judging stage: outcomes --> ledger --checked--> row locked, lease checked
                                                                 PUT Item If-None-Match
                                                                 Items it replaces: successor link
                                                               ledger: published

Every kind of product goes this way. A map names the published surface product that it is of; where that one
does not count any more by then, the map is withdrawn, and what took its place gets a map of its own.

Each scene by itself, each step repeatable. A crash after the put leaves an Item that equals what the next
run wants to put, which counts as published; so there is one Item a product, and none that the ledger does not
know.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from undersky.errors import ConfigError, ServiceError
from undersky.flow import published as items
from undersky.flow.claim import read_batch
from undersky.flow.items import Commit, read_item, update_item
from undersky.flow.published import WrongProduct
from undersky.refs import STAGES, Batch, Ending, Made, Manifest, Outcome, Reference, SceneRef, Stage
from undersky.services.ledger import LeaseLost, Predecessor, ProductState
from undersky.services.store import PreconditionFailed

if TYPE_CHECKING:
    from undersky.services.ledger import Actor, Ledger
    from undersky.services.store import Store

R = TypeVar("R", bound=Reference)


class SceneReport(Reference):
    """How one scene left the batch."""

    acquisition: str
    scene: str
    tile: str
    state: str
    """State of the product; `given_back` or `lost` where the scene is not ours any more, `retry` where a
    service failed and the same call may succeed."""
    reason: str = "ok"
    sentence: str = ""
    item: str | None = None
    """Address of the Item, where it is published."""
    new: bool = False
    """Whether this call published it."""


class PublishReport(Reference):
    """How every scene left the batch."""

    run: str
    batch: str
    scenes: tuple[SceneReport, ...]

    @property
    def retryable(self) -> tuple[SceneReport, ...]:
        """Scenes that the same call may still publish."""
        return tuple(scene for scene in self.scenes if scene.state == "retry")

    def counts(self) -> dict[str, int]:
        """Scenes by state."""
        states = [scene.state for scene in self.scenes]
        return {state: states.count(state) for state in sorted(set(states))}


def publish(
    ledger: "Ledger",
    store: "Store",
    batch_href: str,
    by: "Actor",
    *,
    commit: Commit = "store",
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> PublishReport:
    """Every scene of the batch stands in the ledger where its outcome puts it; good ones are published.

    Scenes of which no stage said anything, because it died, are given back. A scene whose service failed is
    reported as `retry`: the same call again takes up what is left.

    Args:
        ledger: The truth.
        store: The own bucket.
        batch_href: Address of `batch.json`.
        by: Who.
        commit: What decides a race: the store's conditional put, or the ledger's lock alone where the store
            has none.
        clock: What time it is (aware).

    Raises:
        ConfigError: No such batch, a document of another version, or a store that may not be written.
        ServiceError: The batch could not be read.
    """
    batch = read_batch(store, batch_href)
    folder = store.key(batch_href).rpartition("/")[0]
    first, last = (outcomes(store, folder, stage) for stage in STAGES[batch.kind])
    desk = _Desk(ledger, store, batch, by, commit, clock)
    scenes = [
        desk.scene(ref, last.get(ref.acquisition) or first.get(ref.acquisition)) for ref in batch.scenes
    ]
    return PublishReport(run=batch.run, batch=batch.name, scenes=tuple(scenes))


def outcomes(store: "Store", folder: str, stage: Stage) -> dict[str, Outcome]:
    """How the scenes of a batch left a stage: its manifest, or what a stage that died wrote scene by scene.

    Raises:
        ConfigError: A document was written by another version.
        ServiceError: The store does not answer.
    """
    text = store.find(f"{folder}/{stage}.json")
    if text is not None:
        return _parsed(Manifest, text, f"{folder}/{stage}.json").by_acquisition()
    keys = [stored.key for stored in store.list(f"{folder}/{stage}/") if stored.key.endswith(".json")]
    found = [_parsed(Outcome, store.get(key), key) for key in keys]
    return {outcome.acquisition: outcome for outcome in found}


@dataclass(frozen=True, slots=True)
class _Desk:
    """One batch on its way into the ledger and the catalog."""

    ledger: "Ledger"
    store: "Store"
    batch: Batch
    by: "Actor"
    commit: Commit
    clock: Callable[[], datetime]

    def scene(self, ref: SceneRef, outcome: Outcome | None) -> SceneReport:
        """One scene, whatever happens to the others."""
        try:
            return self._scene(ref, outcome)
        except LeaseLost as error:
            return _report(ref, "lost", "lease_lost", str(error))
        except ServiceError as error:
            return _report(ref, "retry", "service_failed", str(error))

    def _scene(self, ref: SceneRef, outcome: Outcome | None) -> SceneReport:
        if outcome is None:
            return self._given_back(ref, "stage_died", f"no stage said how {ref.scene} ended; see its log")
        if outcome.made is None:
            return self._said(ref, outcome, self.ledger.ended(ref, outcome, self.by))
        if (wrong := _strange(ref, outcome.made)) is not None:
            return self._wrong(ref, outcome, wrong)
        return self._made(ref, outcome, outcome.made)

    def _made(self, ref: SceneRef, outcome: Outcome, made: Made) -> SceneReport:
        state = self.ledger.made(ref, made, self.by, is_lost=self._is_lost(made))
        if state not in (ProductState.MADE, ProductState.CHECKED):
            return self._said(ref, outcome, state)
        if outcome.ending != Ending.DONE:
            state = self.ledger.ended(ref, outcome, self.by)
        elif outcome.stage != STAGES[ref.kind][1]:
            sentence = f"{made.id} was made but not judged: its validation died; see its log"
            return self._given_back(ref, "stage_died", sentence)
        else:
            state = self.ledger.checked(ref, outcome.judged, self.by)
        if state != ProductState.CHECKED:
            return self._said(ref, outcome, state)
        return self._published(ref, outcome, made)

    def _is_lost(self, made: Made) -> bool:
        """Whether no Item lies where the product's belongs."""
        try:
            return self.store.head(items.item_key(made)) is None
        except WrongProduct:  # it belongs nowhere, and is refused when it is to be published
            return False

    def _withdrawn(self, ref: SceneRef) -> str | None:
        """Why a model was taken back that made it, since the run began; None if none was."""
        release = self.batch.release
        why = None if release is None else self.ledger.withdrawn_release(release.digest, ref.kind)
        if why is not None or ref.surface is None:
            return why
        reasons = self.ledger.withdrawn_models()
        return next((reasons[each.digest] for each in ref.surface.models if each.digest in reasons), None)

    def _said(self, ref: SceneRef, outcome: Outcome, state: ProductState) -> SceneReport:
        published = state == ProductState.PUBLISHED and outcome.made is not None
        reason = "ok" if published else outcome.reason
        if state == ProductState.WITHDRAWN and outcome.ending == Ending.DONE:
            reason = "same_product"
        item = self.store.href(items.item_key(outcome.made)) if published and outcome.made else None
        return _report(ref, str(state), reason, "" if published else outcome.sentence, item=item)

    def _given_back(self, ref: SceneRef, reason: str, sentence: str) -> SceneReport:
        lost = self.ledger.give_back([ref], self.by, reason, sentence)
        return _report(ref, "lost" if lost else "given_back", reason, sentence)

    def _published(self, ref: SceneRef, outcome: Outcome, made: Made) -> SceneReport:
        if (why := self._withdrawn(ref)) is not None:
            return self._given_back(ref, "model_withdrawn", f"{made.id} is not published: {why}")
        candidate = self._document(made.item)
        missing = made.item if candidate is None else self._missing(candidate, made)
        if candidate is None or missing is not None:
            sentence = f"{made.id} cannot be published: {missing} is not in the store as its Item says"
            return self._given_back(ref, "assets_missing", sentence)
        try:
            return self._visible(ref, outcome, made, candidate)
        except WrongProduct as error:
            return self._wrong(ref, outcome, str(error))

    def _wrong(self, ref: SceneRef, outcome: Outcome, sentence: str) -> SceneReport:
        """What a stage left, or what lies in its place, is not the product that was wanted: failed."""
        wrong = outcome.model_copy(
            update={"ending": Ending.FAILED, "reason": "item_conflict", "sentence": sentence}
        )
        return self._said(ref, wrong, self.ledger.ended(ref, wrong, self.by))

    def _visible(
        self, ref: SceneRef, outcome: Outcome, made: Made, candidate: Mapping[str, Any]
    ) -> SceneReport:
        """The Item lies where everybody reads it, and the ledger says so; both or neither count.

        Raises:
            WrongProduct: The candidate is of another product, or another Item lies in its place.
        """
        key = items.item_key(made)
        with self.ledger.publishing(ref, made, self.by) as row:
            if row.done:
                return _report(ref, str(ProductState.PUBLISHED), "ok", "", item=row.href)
            if row.outdated is not None:
                row.give_up()
                state = str(ProductState.WITHDRAWN)
                return _report(ref, state, row.outdated.reason, row.outdated.sentence)
            followed, earlier = self._earlier(row.predecessors, key)
            source = None if row.source_href is None else self.store.key(row.source_href)
            publication = self._publication(ref, outcome, earlier, source)
            self._put(key, items.published_item(candidate, publication))
            for each in earlier:
                change = partial(items.succeeded, key=each.key, by_key=key, by_id=made.id)
                update_item(self.store, each.key, change, commit=self.commit)
            row.published(self.store.href(key), followed)
        return _report(ref, str(ProductState.PUBLISHED), "ok", "", item=self.store.href(key), new=True)

    def _publication(
        self, ref: SceneRef, outcome: Outcome, earlier: Sequence[items.Earlier], source: str | None
    ) -> items.Publication:
        if outcome.made is None:
            raise ValueError("only what was made is published")
        docs = outcome.judged.docs if outcome.judged else None
        inside = docs is not None and docs.startswith(f"{self.store.url}/")
        return items.Publication(
            made=outcome.made,
            acquisition=ref.acquisition,
            at=self.clock(),
            run=self.by.run,
            release=self.batch.release,
            judged=outcome.judged,
            docs=self.store.key(docs) if docs is not None and inside else None,
            earlier=earlier,
            source=source,
        )

    def _earlier(
        self, predecessors: Sequence[Predecessor], key: str
    ) -> tuple[list[Predecessor], list[items.Earlier]]:
        """The products that the new one takes the place of, and their Items, newest last.

        A published one whose Item is gone is no hindrance; one that was never published counts if its Item is
        there after all.
        """
        followed: list[Predecessor] = []
        found: dict[str, items.Earlier] = {}
        for each in predecessors:
            at = self.store.key(each.href) if each.href else items.item_key(each.made)
            document = self._document(at) if at != key else None
            if document is not None:
                found[at] = items.Earlier(at, document)
            if document is not None or each.is_published:
                followed.append(each)
        newest_last = sorted(found.values(), key=lambda earlier: items.version_of(earlier.item))
        return followed, newest_last

    def _missing(self, candidate: Mapping[str, Any], made: Made) -> str | None:
        """Key of an asset that is absent or has another size; None where the product is whole."""
        there = {stored.key: stored.size for stored in self.store.list(f"{made.prefix.strip('/')}/")}
        for asset in candidate.get("assets", {}).values():
            key = items.resolved(str(asset["href"]), made.item)
            if key not in there or there[key] != asset.get("file:size", there[key]):
                return key
        return None

    def _put(self, key: str, item: Mapping[str, Any]) -> None:
        """The Item lies there, or an equal one did.

        Raises:
            WrongProduct: Another one lies there.
        """
        there = self._document(key) if self.commit == "ledger" else None
        if there is None:
            try:
                self.store.put(
                    key,
                    items.to_bytes(item),
                    content_type=items.ITEM_TYPE,
                    if_absent=self.commit == "store",
                )
            except PreconditionFailed:
                there = self._document(key)
            else:
                return
        if there is not None and items.same_product(there, item):
            self._renew(key, there, item)
        else:
            raise WrongProduct(
                f"another Item lies at {self.store.href(key)}: it is not {item['id']}; who writes there "
                "beside `undersky publish`? Move it away and retry the scene"
            )

    def _renew(self, key: str, there: Mapping[str, Any], item: Mapping[str, Any]) -> None:
        """An equal Item that was deprecated is current again: its model was promoted once more."""
        if there["properties"].get("deprecated"):
            update_item(self.store, key, lambda _: dict(item), commit=self.commit)

    def _document(self, key: str) -> dict[str, Any] | None:
        return read_item(self.store, key)


def _strange(ref: SceneRef, made: Made) -> str | None:
    """Why a stage's product is not what was wanted of that scene; None if it is."""
    if made.kind != ref.kind:
        return (
            f"{made.id} is of kind {made.kind}, {ref.kind} was wanted: do stage and flow differ in version?"
        )
    wanted = None if ref.surface is None else ref.surface.digest
    if made.source != wanted:
        return f"{made.id} is made of surface product {made.source}, {wanted} was to be mapped"
    return None


def _report(
    ref: SceneRef, state: str, reason: str, sentence: str, *, item: str | None = None, new: bool = False
) -> SceneReport:
    return SceneReport(
        acquisition=ref.acquisition, scene=ref.scene, tile=ref.tile, state=state, reason=reason,
        sentence=sentence, item=item, new=new,
    )  # fmt: skip


def _parsed(kind: type[R], text: bytes, where: str) -> R:
    try:
        return kind.from_json(text)
    except ValidationError as error:
        raise ConfigError(
            f"{where} is no {kind.__name__}: {error.errors()[0]['msg']}; was it written by another version "
            "of Undersky?"
        ) from error

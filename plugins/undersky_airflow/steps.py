"""The light steps, as tasks: each opens the services, calls one function of `undersky.flow` and reports.

A step runs inside the Airflow task. Running it again does no harm: the ledger decides.
"""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from airflow.sdk import TriggerRule, get_current_context
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from undersky.errors import ServiceError
from undersky.refs import MODELS, STAGES, Kind, Lane, ModelRef, ReleaseSet, Stage
from undersky_airflow.actors import run_key
from undersky_airflow.cards import Card, card
from undersky_airflow.defaults import SEARCH_TIMEOUT
from undersky_airflow.desk import desk
from undersky_airflow.failures import failed_searches, failed_tasks
from undersky_airflow.forms import decide
from undersky_airflow.links import DATA_DOCS, MODEL_VERSION, PRODUCTS, RUN_PAGE, public
from undersky_airflow.operators import found_out, step
from undersky_airflow.plain import plain

if TYPE_CHECKING:
    from undersky.services.ledger import Work

log = logging.getLogger(__name__)

ANYWAY = TriggerRule.ALL_DONE
"""It runs whatever became of the tasks before."""
MAPS = [str(kind) for kind in Kind if kind.is_map]
"""What is made of a published surface product."""
EVERY_KIND = [str(kind) for kind in Kind]
LABEL = "{{ task.op_args[0]['label'] }}"
"""How a mapped task is called in the grid."""


@step(trigger_rule=ANYWAY, execution_timeout=SEARCH_TIMEOUT)
def discover(lane: Lane) -> object:
    """Asks every provider for the acquisitions of every area, up to the time of the run."""
    from undersky.flow.discover import discover as ask
    from undersky.services.profiles import load_profiles

    context = get_current_context()
    areas = context["params"].get("areas") or None
    with desk(context) as at:
        profiles = load_profiles(at.settings.profiles)
        now = context["dag_run"].run_after
        return plain(ask(at.ledger, profiles, lane=Lane(lane), by=at.by, now=now, areas=areas))


@step(trigger_rule=ANYWAY, links=[MODEL_VERSION])
def pin(lane: Lane, kinds: Sequence[str] = (Kind.SURFACE,)) -> object:
    """Resolves the champion of every model, verified: the whole run works with these.

    Skipped, and all that needs it, where no scene of the lane waits: a run woken in vain ends at once.

    Args:
        lane: Fresh or historical.
        kinds: Of product, that the run makes.
    """
    from undersky.flow.pin import pin as resolve
    from undersky.services.opened import open_registry

    context = get_current_context()
    wanted = [Kind(kind) for kind in kinds]
    with desk(context) as at:
        if not at.has_work(Lane(lane), wanted):
            raise AirflowSkipException("no scene waits for its product: nothing to pin models for")
        release = resolve(
            at.ledger,
            at.store,
            run=run_key(context),
            open_registry=lambda: open_registry(at.settings),
        )
    found_out(Model_version=next((page for kind in wanted if (page := _page(release, kind))), None))
    return release.to_json()


@step(trigger_rule=ANYWAY)
def claim_ingest(lane: Lane) -> list[Card]:
    """Leases acquisitions that are not home yet, newest first, in batches, whether or not the search failed.

    Run again it finds the batches that this run has already.
    """
    return _claimed("ingest", lane, None)


@step()
def claim_surface(lane: Lane, release: str) -> list[Card]:
    """Leases scenes whose product is wanted, newest first, in batches; needs the pinned models.

    Run again it finds the batches that this run has already.
    """
    return _claimed("surface", lane, ReleaseSet.from_json(release))


@step(trigger_rule=ANYWAY)
def claim_landcover(lane: Lane, release: str | None) -> list[Card]:
    """Leases published surface products whose land cover is to be mapped, newest first, in batches.

    Run again it finds the batches that this run has already.
    """
    return _claimed_maps(Kind.LANDCOVER, lane, release)


@step(trigger_rule=ANYWAY)
def claim_vessels(lane: Lane, release: str | None) -> list[Card]:
    """Leases published surface products whose vessels are to be found, newest first, in batches.

    Run again it finds the batches that this run has already.
    """
    return _claimed_maps(Kind.VESSELS, lane, release)


def _claimed_maps(kind: Kind, lane: Lane, release: str | None) -> list[Card]:
    """No batch where the pinned release set has no model of that kind."""
    if release is None:
        raise AirflowSkipException("no models are pinned: the task `pin` was skipped, or failed")
    return _claimed(kind.value, lane, ReleaseSet.from_json(release))


def _principal(release: ReleaseSet | None, kind: Kind) -> ModelRef | None:
    """The model of the release set that makes that kind of product; None where it has none."""
    models = {model.name: model for model in release.models} if release else {}
    return models.get(MODELS[kind][0])


def _page(release: ReleaseSet | None, kind: Kind) -> str | None:
    """Where people look at the model that makes that kind of product."""
    model = _principal(release, kind)
    return model.page if model else None


def _claimed(work: "Work", lane: Lane, release: ReleaseSet | None) -> list[Card]:
    from undersky.flow.claim import claim

    context = get_current_context()
    with desk(context) as at:
        hrefs = claim(
            at.ledger,
            at.store,
            work=work,
            lane=Lane(lane),
            run=run_key(context),
            by=at.by,
            limit=context["params"].get("limit") or at.settings.claim_scenes,
            batch_scenes=at.settings.batch_scenes,
            lease=at.lease,
            release=release,
        )
        return [card(href, at.batch(href)) for href in hrefs]


@step(trigger_rule=ANYWAY, map_index_template=LABEL, links=[DATA_DOCS])
def settle(batch: Card) -> object:
    """Tells the ledger how each scene of the batch ended: valid, quarantined, skipped, or given back."""
    from undersky.flow.settle import settle as tell

    with desk(get_current_context()) as at:
        report = tell(at.ledger, at.store, batch["href"], at.by)
        found_out(Data_Docs=at.data_docs(batch["href"], Stage.VALIDATE_L1))
    for scene in report.scenes:
        log.info("%s %s: %s %s", scene.tile, scene.acquisition, scene.state, scene.sentence)
    return plain(report.counts())


@step(trigger_rule=ANYWAY, map_index_template=LABEL, links=[PRODUCTS, DATA_DOCS, MODEL_VERSION])
def publish(batch: Card) -> object:
    """Puts the Item of each good product, once; tells the ledger how the others ended."""
    from undersky.flow.publish import publish as put

    with desk(get_current_context()) as at:
        report = put(at.ledger, at.store, batch["href"], at.by, commit=at.settings.commit)
        about = at.batch(batch["href"])
        items = [scene.item for scene in report.scenes if scene.item]
        found_out(
            Products=public(items[0], at.settings) if items else None,
            Data_Docs=at.data_docs(batch["href"], STAGES[about.kind][1]),
            Model_version=_page(about.release, about.kind),
        )
    for scene in report.scenes:
        log.info("%s %s: %s %s", scene.tile, scene.acquisition, scene.state, scene.item or scene.sentence)
    if report.retryable:
        names = ", ".join(scene.acquisition for scene in report.retryable)
        raise ServiceError(f"not published yet, a service failed: {names}; {report.retryable[0].sentence}")
    return {**report.counts(), "items": items}


@step(trigger_rule=ANYWAY)
def index() -> object:
    """Rebuilds what searches find, from the ledger, where something was published.

    What was published while its model was taken back is deprecated first.
    """
    from undersky.flow.index import index as rebuild
    from undersky.flow.rollback import deprecate

    with desk(get_current_context()) as at:
        deprecate(at.ledger, at.store, by=at.by, commit=at.settings.commit)
        return plain(rebuild(at.ledger, at.store, public_url=at.settings.public_url))


@step(trigger_rule=ANYWAY, links=[RUN_PAGE])
def page() -> object:
    """Writes the page on which all that the run made can be seen, before and after, held or published.

    Skipped where the run claimed no product: there is nothing to show.
    """
    from undersky.flow.page import write_page

    context = get_current_context()
    with desk(context) as at:
        written = write_page(at.ledger, at.store, run=run_key(context))
        if written is None:
            raise AirflowSkipException("this run claimed no product: there is nothing to show")
        found_out(Page_of_this_run=public(written.href, at.settings))
    log.info("%s: %d scenes, %d of them with pictures", written.href, written.scenes, written.shown)
    return written.href


@step(trigger_rule=ANYWAY)
def account(searched: object = None) -> object:
    """Names every unexpected failure of the run, and fails if there is one: nothing bad looks green.

    Args:
        searched: What `discover` returned, where the run searched.
    """
    from undersky.flow.account import account as count

    context = get_current_context()
    failures = [*failed_searches(searched), *failed_tasks(context)]
    with desk(context) as at:
        report = count(at.ledger, at.store, run=run_key(context), by=at.by)
    log.info("scenes by state: %s; given back: %d", report.counts, len(report.given_back))
    if unexpected := [*report.unexpected, *failures]:
        raise AirflowFailException("\n".join([f"{len(unexpected)} unexpected:", *unexpected]))
    return plain(report.counts)


@step()
def manage() -> object:
    """Does, or with `dry_run` only says, what the form asks for."""
    context = get_current_context()
    with desk(context) as at:
        user = context["dag_run"].triggering_user_name
        managed = decide(at.ledger, context["params"], at.by, user)
    for change in managed.changes:
        log.info("%s %s: %s -> %s", change.tile, change.scene, change.before, change.after)
    log.info("%s%s", "DRY RUN: " if managed.dry_run else "", managed.sentence)
    return plain(managed.as_json())

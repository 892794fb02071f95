"""SeaweedFS: a real S3 server in one process."""

import json
import signal
import sys
from pathlib import Path

from onemachine.component import Component, Site, answers
from onemachine.folder import write_private
from onemachine.ports import LOOPBACK

BUCKET = "undersky"


def storage(site: Site) -> Component:
    """The server, its files under `s3/`; the owner's key writes, anybody reads what the policy says."""
    folder = site.folder.path / "s3"
    config = site.folder.path / "s3.json"
    ports = site.ports
    flags = {
        "ip": LOOPBACK,
        "ip.bind": LOOPBACK,
        "dir": folder,
        "master.port": ports["weed_master"],
        "master.port.grpc": ports["weed_master_grpc"],
        "master.telemetry": "false",
        "master.electionTimeout": "1s",  # alone, it waits out one at every start
        "master.volumeSizeLimitMB": 1024,
        "volume.port": ports["weed_volume"],
        "volume.port.grpc": ports["weed_volume_grpc"],
        "volume.max": 200,
        "volume.preStopSeconds": 0,
        "volume.minFreeSpace": "300MiB",
        "filer": "true",
        "filer.port": ports["weed_filer"],
        "filer.port.grpc": ports["weed_filer_grpc"],
        "s3": "true",
        "s3.port": ports["s3"],
        "s3.port.grpc": ports["weed_s3_grpc"],
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "s3.config": config,
    }
    return Component(
        "s3",
        (_binary(), "-logtostderr=true", "server", *(f"-{name}={value}" for name, value in flags.items())),
        # The Go runtime gives memory back when it nears this; it is a wish, not a limit.
        {**site.environment, "GOMEMLIMIT": "256MiB"},
        waits_for=lambda: answers(f"{site.url('s3')}/", good=(200, 403)),
        prepare=lambda: _configure(site, folder, config),
        port="s3",
        patience_s=90.0,
        # It takes 15 s to say goodbye and keeps nothing in memory that it acknowledged.
        stop_signal=signal.SIGKILL,
        stop_s=5.0,
        stops_last=True,
    )


def _binary() -> Path:
    return Path(sys.executable).with_name("weed")


def _configure(site: Site, folder: Path, config: Path) -> None:
    folder.mkdir(exist_ok=True)
    owner = {
        "name": "undersky",
        "credentials": [{"accessKey": site.secrets.s3_key, "secretKey": site.secrets.s3_secret}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    write_private(config, json.dumps({"identities": [owner]}))

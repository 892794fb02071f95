"""A cluster on this machine, from nothing to the first published scene: what `make kind` runs.

It needs docker, kind, kubectl and helm, 8 cores, 16 GB of memory and 60 GB of disk, and a free account at the
Copernicus Data Space, from which the scene comes:

    UNDERSKY_CREDENTIALS='{"cdse": {"user": "...", "secret": "..."}}' make kind

`python helm/kind.py --dry-run` prints what it would do. `kind delete cluster --name undersky` takes all away.
"""

import argparse
import base64
import json
import os
import secrets
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CLUSTER = NAMESPACE = "undersky"
VERSION = "0.1.0"
AIRFLOW_CHART = "1.22.0"
TOOLS: Mapping[str, str] = {
    "docker": "https://docs.docker.com/engine/install/",
    "kind": "https://kind.sigs.k8s.io/docs/user/quick-start/#installation",
    "kubectl": "https://kubernetes.io/docs/tasks/tools/",
    "helm": "https://helm.sh/docs/intro/install/",
}
"""What must be on PATH, and where it comes from."""
DAGS = ("ingest_acquisitions", "surface_maps")
SERVERS = ("airflow-api-server", "airflow-scheduler", "airflow-triggerer", "airflow-dag-processor")
PATIENCE_S = 3 * 3600.0
"""How long the first scene may take: 700 MB are fetched, and two cores correct it."""
GROUND: Mapping[str, object] = {
    "type": "Polygon",
    "coordinates": [[[11.30, 44.45], [11.40, 44.45], [11.40, 44.52], [11.30, 44.52], [11.30, 44.45]]],
}
"""A piece of Bologna, inside one tile."""
_USAGE = 2

Kubectl = ("kubectl", "--context", f"kind-{CLUSTER}", "--namespace", NAMESPACE)
Helm = ("helm", "--kube-context", f"kind-{CLUSTER}", "--namespace", NAMESPACE)
IN_AIRFLOW = (*Kubectl, "exec", "--stdin", "deployment/airflow-api-server", "--")


@dataclass(frozen=True, slots=True)
class Step:
    """One command."""

    sentence: str
    """What is true afterwards."""
    command: tuple[str, ...]
    """Run in the root of the checkout."""
    given: str | None = None
    """What it reads from standard input; never printed."""
    may_fail: bool = False
    """Where the next step does not need it: it may have been done before."""


def main(argv: list[str] | None = None) -> int:
    """Goes the whole way; 2 where something is missing that only a person can bring."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dry-run", action="store_true", help="print the commands and run none")
    credentials = os.environ.get("UNDERSKY_CREDENTIALS", "")
    if parser.parse_args(argv).dry_run:
        for step in plan(credentials, today=datetime.now(UTC).date()):
            _say(f"# {step.sentence}\n{shlex.join(step.command)}{' < (not shown)' if step.given else ''}")
        return 0
    complaints = [*missing(shutil.which), *([] if credentials else [NO_CREDENTIALS])]
    if complaints:
        sys.stderr.writelines(f"{sentence}\n" for sentence in complaints)
        return _USAGE
    for step in plan(credentials, today=datetime.now(UTC).date()):
        _say(f"--- {step.sentence}")
        code = subprocess.run(step.command, input=step.given, text=True, cwd=ROOT, check=False).returncode
        if code and not step.may_fail:
            sys.stderr.write(
                f"{shlex.join(step.command)} ended with {code}; run this again when it is mended\n"
            )
            return 1
    return _wait(_published)


NO_CREDENTIALS = (
    "UNDERSKY_CREDENTIALS is not set: make a free account at https://dataspace.copernicus.eu and set "
    '\'{"cdse": {"user": "...", "secret": "..."}}\''
)


def missing(which: Callable[[str], str | None]) -> list[str]:
    """A sentence for each tool that is not on PATH."""
    return [f"{tool} is missing: see {page}" for tool, page in TOOLS.items() if which(tool) is None]


def plan(credentials: str, *, today: date) -> Iterator[Step]:
    """Every command up to the point where there is nothing to do but wait."""
    yield Step(
        "there is a cluster", ("kind", "create", "cluster", "--name", CLUSTER, "--wait", "5m"), may_fail=True
    )
    images = [f"undersky-{name}:{VERSION}" for name in ("airflow", "worker")]
    for name, image in zip(("airflow", "worker"), images, strict=True):
        yield Step(
            f"the image {image} is built",
            ("docker", "build", "-f", f"docker/{name}.Dockerfile", "-t", image, "."),
        )
    yield Step("the cluster has both images", ("kind", "load", "docker-image", *images, "--name", CLUSTER))
    # Never `apply`: the database keeps the password that it began with.
    create = (*Kubectl, "create", "-f", "-")
    yield Step("there is a namespace with its Secrets", create, _secrets(credentials), may_fail=True)
    yield Step("PostgreSQL and an S3 server begin", (*Kubectl, "apply", "-f", "helm/kind"))
    for name in ("postgres", "s3"):
        yield _rolled_out(name)
    ours = ("helm/undersky", "--values", "helm/undersky/ci/trial-values.yaml")
    yield Step(
        "Undersky is installed", (*Helm, "upgrade", "--install", "undersky", *ours, "--timeout", "20m")
    )
    theirs = ("airflow", "--repo", "https://airflow.apache.org", "--version", AIRFLOW_CHART)
    values = ("--values", "helm/airflow-values.yaml")
    yield Step(
        "Airflow is installed",
        (*Helm, "upgrade", "--install", "airflow", *theirs, *values, "--timeout", "20m"),
    )
    for name in SERVERS:
        yield _rolled_out(name)
    job = f"first-models-{today:%Y%m%d}"
    begin = (*Kubectl, "create", "job", job, "--from=cronjob/undersky-bootstrap")
    yield Step("the first models are being released", begin, may_fail=True)
    wait = (*Kubectl, "wait", "--for=condition=complete", "--timeout=2h", f"job/{job}")
    yield Step("the first models are released", wait)
    yield Step(
        "everything is well, seen from inside", (*Helm, "test", "undersky", "--logs", "--timeout", "5m")
    )
    # Of the fresh lane: what was sensed within ten days.
    days = ("--from", (today - timedelta(days=9)).isoformat(), "--max-cloud", "80")
    what = ("--collections", "sentinel-2-l1c", "--profile", "copernicus-dataspace", "--name", "trial", *days)
    add = (*IN_AIRFLOW, "undersky", "area", "add", "/dev/stdin", *what)
    yield Step("an area is wanted", add, json.dumps(GROUND), may_fail=True)
    for name in DAGS:
        yield Step(f"{name} runs", (*IN_AIRFLOW, "airflow", "dags", "unpause", name))


def _rolled_out(name: str) -> Step:
    status = (*Kubectl, "rollout", "status", f"deployment/{name}", "--timeout", "15m")
    return Step(f"{name} is ready", status)


def _secrets(credentials: str) -> str:
    """The namespace and its Secrets, as YAML (which JSON is), with passwords made now."""
    postgres, admin, release, trainer, reader, key, secret = (secrets.token_urlsafe(24) for _ in range(7))
    database = f"postgresql://undersky:{postgres}@postgres.{NAMESPACE}.svc:5432"
    values = {
        "postgres": {"POSTGRES_PASSWORD": postgres},
        "ledger": {"UNDERSKY_LEDGER": f"{database}/undersky"},
        "store": {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret},
        "providers": {"UNDERSKY_CREDENTIALS": credentials},
        "trainer": {"UNDERSKY_TRAINER_LOGIN": f"trainer:{trainer}"},
        "release": {
            "UNDERSKY_RELEASE_LOGIN": f"release:{release}",
            "MLFLOW_TRACKING_USERNAME": "reader",
            "MLFLOW_TRACKING_PASSWORD": reader,
        },
        "mlflow": {
            "PGHOST": f"postgres.{NAMESPACE}.svc",
            "PGPORT": "5432",
            "PGDATABASE": "mlflow",
            "PGUSER": "undersky",
            "PGPASSWORD": postgres,
            "MLFLOW_AUTH_ADMIN_PASSWORD": admin,
            "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_urlsafe(32),
        },
        "airflow": {
            "connection": f"{database}/airflow",
            "fernet-key": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "api-secret-key": secrets.token_urlsafe(32),
            "jwt-secret": secrets.token_urlsafe(32),
        },
    }
    labels = {"pod-security.kubernetes.io/warn": "restricted"}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}
    documents = [namespace, *(_secret(f"undersky-{name}", data) for name, data in values.items())]
    return "\n---\n".join(json.dumps(document) for document in documents)


def _secret(name: str, data: Mapping[str, str]) -> Mapping[str, object]:
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": dict(data)}


def _published() -> int:
    """How many products are published, by the index of the bucket."""
    done = subprocess.run(
        (*IN_AIRFLOW, "undersky", "index", "--json"), capture_output=True, text=True, check=False
    )
    return int(json.loads(done.stdout)["items"]) if done.returncode == 0 else 0


def _wait(published: Callable[[], int], *, patience_s: float = PATIENCE_S, pause_s: float = 30.0) -> int:
    """0 as soon as something is published, 1 when nothing was in time."""
    _say("--- waiting for the first published scene; `kubectl get pods --watch` shows its stages come and go")
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        if found := published():
            _say(f"{found} published. {NEXT}")
            return 0
        time.sleep(pause_s)
    status = shlex.join((*IN_AIRFLOW, "undersky", "status"))
    sys.stderr.write(f"nothing was published in {patience_s / 3600:g} hours; ask\n  {status}\n")
    return 1


NEXT = f"""To look at it:
  {shlex.join((*Kubectl, "port-forward", "service/undersky-catalog", "8082"))}
  {shlex.join((*Kubectl, "port-forward", "service/airflow-api-server", "8080"))}
  {shlex.join((*Kubectl, "exec", "-it", "deployment/airflow-api-server", "--"))} airflow users create \
--role Admin --username YOU --email YOU@example.org --firstname A --lastname B
It is taken away by: kind delete cluster --name {CLUSTER}"""


def _say(sentence: str) -> None:
    sys.stdout.write(f"{sentence}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

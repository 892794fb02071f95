"""What builds and runs images on this machine, and stand-ins for base images that cannot be fetched.

Where Docker's engine answers it builds on the official bases. Without one, buildah and podman do, as root;
and where no registry can be reached either, on stand-ins: Debian's own packages, laid out as the official
images lay out theirs. They bear names of their own, so that nothing ever takes them for the originals.
"""

import functools
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[2]
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
PYTHON = ("docker.io/library/python", "3.11-slim-bookworm")
AIRFLOW = ("docker.io/apache/airflow", "slim-3.3.2-python3.11")
STAND_INS = {PYTHON: "localhost/undersky-stand-in/python", AIRFLOW: "localhost/undersky-stand-in/airflow"}

# As docker-library's and Airflow's images: Python first in PATH; user airflow 50000 of group 0, its virtual
# environment at ~/.local, an entry that puts `airflow` before what is no python or bash.
AIRFLOW_STAND_IN = """
ARG PYTHON
FROM ${PYTHON}
RUN apt-get update && apt-get install --yes --no-install-recommends dumb-init \\
    && useradd --uid 50000 --gid 0 --create-home airflow && mkdir -p /opt/airflow/dags /opt/airflow/logs \\
    && chown -R airflow:0 /opt/airflow
COPY --chmod=755 entrypoint /entrypoint
ENV AIRFLOW_HOME=/opt/airflow VIRTUAL_ENV=/home/airflow/.local PATH=/home/airflow/.local/bin:$PATH
USER 50000
COPY airflow.txt /tmp/airflow.txt
RUN --mount=type=cache,target=/tmp/.cache,uid=50000 python3 -m venv /home/airflow/.local \\
    && pip --cache-dir /tmp/.cache install -c /tmp/airflow.txt apache-airflow
WORKDIR /opt/airflow
ENTRYPOINT ["/usr/bin/dumb-init", "--", "/entrypoint"]
"""
AIRFLOW_ENTRY = (
    '#!/bin/bash\n[[ $1 =~ ^(bash|python)$ ]] && exec "$@"\n[[ $1 == airflow ]] && shift\nexec airflow "$@"\n'
)


@dataclass(frozen=True, slots=True)
class Builder:
    """A program that builds images and one that runs them."""

    name: str
    """docker, or buildah (with podman)."""

    def build(
        self,
        dockerfile: Path,
        tag: str,
        *,
        context: Path = ROOT,
        target: str | None = None,
        arguments: Mapping[str, str] | None = None,
        wheels: Path | None = None,
    ) -> None:
        """The image is there under its tag; the build's last lines are the message where it failed."""
        command = ["docker", "build"]
        if self.name == "buildah":
            command = ["buildah", "bud", "--isolation", "chroot", "--network", "host", "--layers"]
        command += ["--file", str(dockerfile), "--tag", tag]
        command += ["--target", target] if target else []
        command += ["--build-context", f"wheels={wheels}"] if wheels else []
        for name, value in (arguments or {}).items():
            command += ["--build-arg", f"{name}={value}"]
        done = subprocess.run([*command, str(context)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]

    def run(
        self,
        image: str,
        *command: str,
        options: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """What a container of its own made of the command; its root cannot be written, it sees no network."""
        run = ["docker", "run"]
        if self.name == "buildah":
            # runc and cgroupfs: they work where there is no systemd. The limits: podman asks for more than
            # a machine may give.
            limits = ("--ulimit", "nofile=4096:4096", "--ulimit", "nproc=4096:4096")
            run = ["podman", "--runtime", "runc", "--cgroup-manager", "cgroupfs", "run", *limits]
        run += ["--rm", "--read-only", "--network", "none", "--cap-drop", "all"]
        run += ["--security-opt", "no-new-privileges", *options]
        for name, value in (environment or {}).items():
            run += ["--env", f"{name}={value}"]
        return subprocess.run([*run, image, *command], capture_output=True, text=True, check=False)

    def inspect(self, image: str, form: str) -> str:
        """What the image says of itself, by a Go template."""
        program = "docker" if self.name == "docker" else "podman"
        command = [program, "image", "inspect", "--format", form, image]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    def has(self, image: str) -> bool:
        """Whether the image is there, without asking a registry."""
        program = "docker" if self.name == "docker" else "podman"
        command = [program, "image", "inspect", image]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


@functools.cache
def builder() -> Builder | None:
    """What builds here; None where nothing does."""
    if shutil.which("docker") and _succeeds("docker", "info"):
        return Builder("docker")
    if shutil.which("buildah") and shutil.which("podman") and shutil.which("runc") and os.geteuid() == 0:
        return Builder("buildah")
    return None


def base_arguments(program: Builder, base: tuple[str, str]) -> dict[str, str] | None:
    """Build arguments that name a base that is there; None where it can neither be fetched nor be made."""
    name, version = base
    if program.name == "docker" or _pulled(f"{name}:{version}"):
        return {}
    if not shutil.which("debootstrap"):
        return None
    stand_in = f"{STAND_INS[base]}:{version}"
    if not program.has(stand_in):
        {PYTHON: _make_python, AIRFLOW: _make_airflow}[base](program, stand_in)
    return {"BASE": STAND_INS[base]}


def wheels() -> Path | None:
    """The folder that PIP_FIND_LINKS names, where it holds a torch."""
    named = os.environ.get("PIP_FIND_LINKS")
    return Path(named) if named and list(Path(named).glob("torch-*.whl")) else None


def _make_python(_: Builder, tag: str) -> None:
    """Debian 12 with its own Python 3.11, and the certificates that this machine trusts."""
    with TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        packages = "--include=ca-certificates,python3,python3-venv,tzdata"
        _do("debootstrap", "--variant=minbase", packages, "bookworm", str(tree))
        (tree / "usr/local/bin/python").symlink_to("/usr/bin/python3")
        shutil.copy(CERTIFICATES, tree / CERTIFICATES.relative_to("/"))
        left_out = (
            "usr/share/doc",
            "usr/share/man",
            "usr/share/locale",
            "var/cache/apt",
            "var/lib/apt/lists",
        )
        for part in left_out:
            shutil.rmtree(tree / part)
        (tree / "var/cache/apt/archives/partial").mkdir(parents=True)
        (tree / "var/lib/apt/lists/partial").mkdir(parents=True)
        tar = Path(folder) / "tree.tar"
        _do("tar", "--directory", str(tree), "--create", "--file", str(tar), ".")
        path = "ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
        _do("podman", "import", "--change", path, str(tar), tag)


def _make_airflow(program: Builder, tag: str) -> None:
    """Airflow of our lock on that Python, where the official image has it."""
    python = f"{STAND_INS[PYTHON]}:{PYTHON[1]}"
    if not program.has(python):
        _make_python(program, python)
    with TemporaryDirectory() as folder:
        context = Path(folder)
        (context / "Dockerfile").write_text(AIRFLOW_STAND_IN, encoding="utf-8")
        (context / "entrypoint").write_text(AIRFLOW_ENTRY, encoding="utf-8")
        shutil.copy(ROOT / "requirements" / "airflow.txt", context)
        program.build(context / "Dockerfile", tag, context=context, arguments={"PYTHON": python})


@functools.cache
def _pulled(image: str) -> bool:
    try:
        return _succeeds("podman", "pull", "--quiet", image, patience_s=600.0)
    except subprocess.TimeoutExpired:
        return False


def _succeeds(*command: str, patience_s: float = 30.0) -> bool:
    done = subprocess.run(command, capture_output=True, timeout=patience_s, check=False)
    return done.returncode == 0


def _do(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]

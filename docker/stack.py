"""The stack on one machine: `stack.py up | down | status | env`.

State lies in `build/demo`, or in the folder that UNDERSKY_DEMO_DIR names. UNDERSKY_DEMO_PORTS fixes ports:
`airflow=8081,s3=9000`; without it a taken port is replaced by a free one.
"""

import argparse
import os
import shlex
import signal
import sys
import time
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parent))

from onemachine.folder import Folder, StackError
from onemachine.processes import clean_up, members, memory_mb
from onemachine.stack import NO_PROXY, Stack, components, demo_folder, flow_settings, known_site, running


def up(folder: Folder) -> int:
    """Starts everything and stays until Ctrl-C or `down`."""
    began = time.monotonic()
    with running(folder, purpose="docker/stack.py up", say=_say) as stack:
        stack.supervisor.wait_for([component.name for component in stack.supervisor.components])
        _say(f"all ready after {time.monotonic() - began:.0f} s, {stack.supervisor.memory_mb():.0f} MB")
        for line in places(stack):
            _say(line)
        _say("Ctrl-C stops it")
        try:
            while True:
                stack.supervisor.check()
                time.sleep(1.0)
        except KeyboardInterrupt:
            _say("stopping")
    _say("stopped, no process left")
    return 0


def places(stack: Stack) -> list[str]:
    """Where people look, and as whom."""
    site = stack.site
    return [
        f"Airflow  {site.url('airflow')}  admin / {site.secrets.airflow_admin}",
        f"MLflow   {site.url('mlflow')}  admin / {site.secrets.mlflow_admin}",
        f"S3       {site.url('s3')}  key {site.secrets.s3_key}, secret {site.secrets.s3_secret}",
    ]


def down(folder: Folder) -> int:
    """Ends whatever runs in the folder, by its supervisor or without."""
    holder = folder.holder()
    if holder is not None and psutil.pid_exists(pid := int(holder["pid"])):
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + 60
        while folder.holder() is not None and time.monotonic() < deadline:
            time.sleep(0.2)
    with folder.locked("docker/stack.py down"):
        ended = clean_up(folder, mark=folder.secrets().stack)
    _say("stopped" if holder is not None or ended else f"nothing runs in {folder.path}")
    return 0


def status(folder: Folder) -> int:
    """Says which component answers; 0 when all do."""
    holder = folder.holder()
    if holder is None:
        _say(f"nothing runs in {folder.path}")
        return 1
    _say(f"{folder.path}: process {holder['pid']} runs {holder['purpose']} since {holder['since']}")
    missing = 0
    for component in components(known_site(folder)):
        if component.command:
            lacks = component.waits_for()
            missing += lacks is not None
            _say(f"  {component.name:<14} {lacks or 'ready'}")
    _say(f"  {memory_mb(members(folder, mark=folder.secrets().stack)):.0f} MB")
    return 1 if missing else 0


def env(folder: Folder) -> int:
    """Prints exports, for `eval "$(.venv/bin/python docker/stack.py env)"`."""
    for name, value in {**NO_PROXY, **flow_settings(known_site(folder))}.items():
        _say(f"export {name}={shlex.quote(value)}")
    return 0


def main() -> int:
    """The verb's exit code; a message instead of a traceback where a person must act."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = {verb.__name__: verb for verb in (up, down, status, env)}
    parser.add_argument("verb", choices=verbs)
    verb = verbs[parser.parse_args().verb]
    try:
        return verb(demo_folder())
    except StackError as error:
        print(error, file=sys.stderr)  # noqa: T201  a command line
        return 2
    except KeyboardInterrupt:
        return 130


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201  a command line


if __name__ == "__main__":
    sys.exit(main())

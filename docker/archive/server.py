#!/usr/bin/env python3
"""Plays an upstream archive over folders of products: `python docker/archive/server.py FOLDER --port 8650`.

Three STAC APIs announce what lies below the folders, as three providers would: `/cdse`, `/earth-search`,
`/landsatlook`. New products appear while it runs. `/faults` makes things go wrong (docs/providers.md).
"""

import argparse
import logging
import socket
import sys
import tempfile
from pathlib import Path

import uvicorn
from upstream.application import make_application

_TEMPLATES = Path(__file__).parent / "profiles"


def write_profiles(folder: Path, *, port: int, host: str = "127.0.0.1") -> list[Path]:
    """The profiles of the played providers, for UNDERSKY_PROFILES."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for template in sorted(_TEMPLATES.glob("*.yaml")):
        text = template.read_text(encoding="utf-8").replace("@HOST@", host).replace("@PORT@", str(port))
        path = folder / template.name
        part = path.with_name(f".{path.name}.part")
        part.write_text(text, encoding="utf-8")
        part.replace(path)
        written.append(path)
    return written


def main(argv: list[str] | None = None) -> int:
    """Serves until it is stopped."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="products, at any depth")
    parser.add_argument("--port", type=int, default=8650)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument(
        "--cache", type=Path, help="keeps zips of SAFE folders; a temporary folder when not given"
    )
    parser.add_argument(
        "--faults", type=Path, help="JSON file with a list of faults, read again when it changes"
    )
    parser.add_argument("--login", metavar="USER:SECRET", help="downloads of /cdse need a token for it")
    parser.add_argument("--write-profiles", type=Path, metavar="DIR", help="lay the profiles there first")
    arguments = parser.parse_args(argv)
    missing = [str(folder) for folder in arguments.folders if not folder.is_dir()]
    if missing:
        parser.error(f"no such folder: {' '.join(missing)}")
    if _is_taken(arguments.host, arguments.port):
        parser.error(f"port {arguments.port} of {arguments.host} is taken; give another --port")
    if arguments.write_profiles:
        write_profiles(arguments.write_profiles, port=arguments.port, host=arguments.host)
    login = tuple(arguments.login.split(":", 1)) if arguments.login else None
    if login is not None and len(login) != 2:
        parser.error("--login is USER:SECRET")
    logging.getLogger("uvicorn.error").addFilter(lambda record: record.exc_info is None)
    with tempfile.TemporaryDirectory(prefix="undersky-archive-") as temporary:
        cache = arguments.cache or Path(temporary)
        cache.mkdir(parents=True, exist_ok=True)
        application = make_application(
            tuple(arguments.folders), cache=cache, faults=arguments.faults, login=login
        )
        uvicorn.run(
            application,
            host=arguments.host,
            port=arguments.port,
            log_level="warning",
            lifespan="off",
            timeout_graceful_shutdown=2,
        )
    return 0


def _is_taken(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return True
    return False


if __name__ == "__main__":
    sys.exit(main())

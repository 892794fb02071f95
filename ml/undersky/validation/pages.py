"""Data Docs made fit to lie in a bucket: small, and calling nobody but the style sheets they name."""

import html
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

_HEAVY = ("static/images/*.gif", "static/images/iterative-dev-loop.png")
_AGENT = re.compile(r"https://great-expectations-web-assets\.s3\.[\w.-]+/[\w./-]+(\?d=[\w.]+)?")
_STATIC = re.compile(r"(?:\.{1,2}/)*static/")


def finished_pages(folder: Path, *, title: str) -> None:
    """The pages load no picture from their maker's servers, and pictures of a guided tour are gone."""
    for pattern in _HEAVY:
        for path in folder.glob(pattern):
            path.unlink()
    for page in folder.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        up = "../" * (len(page.relative_to(folder).parts) - 1)
        text = _AGENT.sub(f"{up}static/images/logo-long.png", text)
        text = text.replace("<title>Data documentation", f"<title>{html.escape(title)}: expectations")
        page.write_text(text, encoding="utf-8")


def with_shared_statics(folder: Path, *, statics: str) -> None:
    """The pages find styles, fonts and logos at another place, seen from the folder; their own are removed.

    Args:
        folder: Finished pages.
        statics: That place relative to the folder, `../../../static/1.24.1`.
    """
    for page in folder.rglob("*.html"):
        up = "../" * (len(page.relative_to(folder).parts) - 1)
        text = page.read_text(encoding="utf-8")
        page.write_text(_STATIC.sub(f"{up}{statics}/", text), encoding="utf-8")
    shutil.rmtree(folder / "static", ignore_errors=True)


def files_of(folder: Path) -> Iterator[tuple[str, Path]]:
    """Every file with its name relative to the folder, `index.html` last: whoever sees it finds the rest."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    yield from ((path.relative_to(folder).as_posix(), path) for path in paths if path.name != "index.html")
    yield from ((path.relative_to(folder).as_posix(), path) for path in paths if path.name == "index.html")

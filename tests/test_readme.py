"""The README's commands run and say what it says they say; its links and verbs exist."""

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest

from undersky.cli import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, flags=re.DOTALL)


def commands():
    """The shell commands of the first block, as argument lists."""
    first = next(text for language, text in BLOCKS if language == "sh")
    return [shlex.split(line) for line in first.splitlines() if line.startswith(".venv/bin/undersky")]


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    """What the README's commands print, run in an empty folder as a newcomer would."""
    folder = tmp_path_factory.mktemp("newcomer")
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out):
        patch.chdir(folder)
        for _, *arguments in commands():
            assert main([name for argument in arguments for name in _expanded(argument)]) == 0
    return out.getvalue()


def _expanded(argument):
    """What a shell makes of it."""
    found = sorted(str(path) for path in Path().glob(argument)) if "*" in argument else []
    return found or [argument]


def test_the_commands_print_what_the_readme_shows(printed):
    shown = next(text for language, text in BLOCKS if language == "text")

    def steady(text):
        without_time = re.sub(r"made in [\d.]+ s", "made in some time", text)
        return re.sub(r"_(SR|LC)_[0-9a-f]{8}", r"_\1_digest", without_time).strip()

    assert steady(printed) == steady(shown)


def test_every_relative_link_leads_somewhere():
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]
    assert len(links) >= 5
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_make_verb_that_is_named_exists():
    named = re.findall(r"^make (\w+)|`make (\w+)`", README, flags=re.MULTILINE)
    verbs = {name for pair in named for name in pair if name}
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert verbs
    assert verbs <= targets


def test_every_folder_of_the_table_exists():
    rows = re.findall(r"^\| (`.+?`) \| .+ \|$", README, flags=re.MULTILINE)
    folders = [name for row in rows for name in re.findall(r"`(.+?)`", row)]
    assert folders
    for folder in folders:
        assert (ROOT / folder).exists(), folder


def test_the_makefile_has_at_most_twelve_verbs_and_each_explains_itself():
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    verbs = re.findall(r"^([a-z]+):(.*)$", text, flags=re.MULTILINE)
    assert len(verbs) <= 12
    assert all("## " in rest for _, rest in verbs)
    assert verbs[0][0] == "help"

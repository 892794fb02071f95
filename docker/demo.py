"""`make demo`: the whole flow on one machine, from announced acquisitions to maps that anybody can read.

ONCE=1                 stop when done; the exit code says whether every scene ended as it must
UNDERSKY_SAMPLES=DIR   add every real product found there
UNDERSKY_DEMO_DIR=DIR  keep state there, not in build/demo
UNDERSKY_DEMO_PORTS    fix ports, airflow=8081,s3=9000
UNDERSKY_DEMO_MINUTES  how long the flow may take, 20
"""

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from onemachine.airflow import api
from onemachine.archive import samples
from onemachine.component import fetch
from onemachine.folder import StackError
from onemachine.stack import Stack, demo_folder, running
from rich.console import Console
from rich.live import Live
from showcase import preparing, telling
from showcase.cast import Expected, made_on, read_expected
from showcase.flow import Flow
from showcase.following import Standing, follow, haziest, tally
from showcase.mapping import map_published, pages
from showcase.releasing import Releasing

from undersky.services.ledger import Ledger

FLOW_MINUTES = 20.0
SETTLE_S = 120.0
REMAKE_S = 600.0
SURFACE = "surface reflectance (terrain illumination is not corrected)"


class Demo:
    """One showing."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.seconds: dict[str, float] = {}

    def show(self) -> int:
        """0 when every scene ended as it must; stays up in a terminal until Ctrl-C."""
        folder = demo_folder()
        made_on(folder.path / "upstream")
        self.say(f"state lies in {folder.path}; it takes minutes, Ctrl-C stops it")
        with running(folder, purpose="make demo", say=self.say, more=preparing.steps) as stack:
            with self._timed("start"):
                stack.supervisor.wait_for([component.name for component in stack.supervisor.components])
            self.say(f"stack is up, {stack.supervisor.memory_mb():.0f} MB")
            ledger = Ledger.open(stack.environment["UNDERSKY_LEDGER"])
            try:
                good = self._run(stack, ledger)
            finally:
                ledger.close()
            if self._is_attended:
                self._stay(stack)
        self.say("stopped, no process left")
        return 0 if good else 1

    def say(self, line: str) -> None:
        """A line of progress."""
        self.console.print(line, highlight=False, soft_wrap=True, markup=False)

    def _run(self, stack: Stack, ledger: Ledger) -> bool:
        expected = self._expected(stack)
        before = follow(ledger, expected)
        there = sum(each.state == "published" for each in before)
        if there:
            self.say(f"{there} products were there: they are not made again")
        flow = Flow(stack, api(stack.site), ledger)
        known = flow.runs(("failed",))
        with self._timed("flow"):
            flow.unpause()
            flow.trigger()
            minutes = float(os.environ.get("UNDERSKY_DEMO_MINUTES") or FLOW_MINUTES)
            with self._progress() as show:
                standings = flow.follow_to_the_end(expected, patience_s=minutes * 60, show=show)
        remade = _remade(before, standings)
        with self._timed("models"):
            released = self._release(stack, ledger, flow, standings)
        with self._timed("maps"):
            mapped = map_published(stack, flow.api, ledger, follow(ledger, expected), say=self.say)
        with self._timed("settle"):
            quiet = flow.settle_down(patience_s=SETTLE_S)
            findable = self._wait_for_catalog(stack, sum(each.state == "published" for each in standings))
        failed = flow.failed(known)
        standings = follow(ledger, expected)
        self._tell(stack, standings)
        for page in pages(stack, flow):
            self.say(f"page of a run that mapped: {page}")
        for dag, run in failed:
            page = f"{stack.site.url('airflow')}/dags/{dag}/runs/{run}"
            self.say(f"NOT AS EXPECTED  a run of {dag} failed: {page}")
        if not quiet:
            self.say("NOT AS EXPECTED  runs of Airflow are still in progress")
        if not findable:
            self.say("NOT AS EXPECTED  the STAC API does not find every product")
        for scene in remade:
            self.say(f"NOT AS EXPECTED  {scene} was published and was made again")
        good = released and mapped and quiet and findable
        return good and all(each.is_right for each in standings) and not failed and not remade

    def _release(self, stack: Stack, ledger: Ledger, flow: Flow, standings: Sequence[Standing]) -> bool:
        """The shipped weights take the baseline's place, two scenes show it, a small training is refused."""
        if len({record.release.model("correction").digest for record in ledger.releases()}) > 1:
            self.say("the shipped weights were released before: see `undersky model list`")
            return True
        releasing = Releasing(stack, flow.api, self.say, attended=self._is_attended)
        if not releasing.release_shipped():
            return False
        hazy = haziest(preparing.upstream(stack.site) / "products", standings)
        again = releasing.remake([each.expected.scene for each in hazy])
        refused = releasing.refuse_small()
        done = again and self._wait_for_remade(stack, ledger, hazy)
        self._show_better(stack, ledger, hazy)
        return refused and done

    def _wait_for_remade(self, stack: Stack, ledger: Ledger, scenes: Sequence[Standing]) -> bool:
        deadline = time.monotonic() + REMAKE_S
        names = [each.expected for each in scenes]
        while time.monotonic() < deadline:
            stack.supervisor.check()
            now = follow(ledger, names)
            if all(_is_newer(after, before) for after, before in zip(now, scenes, strict=True)):
                return True
            time.sleep(2.0)
        self.say("NOT AS EXPECTED  the campaign did not make its scenes again in time")
        return False

    def _show_better(self, stack: Stack, ledger: Ledger, scenes: Sequence[Standing]) -> None:
        """Each scene by the baseline and by the learned weights, beside what is true."""
        for number, before in enumerate(scenes, start=1):
            (after,) = follow(ledger, [before.expected])
            hrefs = [each.product.href for each in (before, after) if each.product and each.product.href]
            items = dict(zip(("physics baseline", "learned weights"), hrefs, strict=False))
            drawn = telling.picture(stack, before.expected.scene, items, name=f"released-{number}.png")
            if drawn is not None:
                path, errors = drawn
                told = ", ".join(f"{caption} {error:.4f}" for caption, error in errors.items())
                self.say(f"  {before.expected.scene}: mean error against the truth: {told}; {path}")

    @property
    def _is_attended(self) -> bool:
        return not os.environ.get("ONCE") and sys.stdout.isatty()

    def _expected(self, stack: Stack) -> list[Expected]:
        notes = sorted((preparing.upstream(stack.site) / "expected").glob("*.json"))
        simulated = [each for note in notes for each in read_expected(note)]
        real = read_expected(preparing.real(stack.site) / "expected.json") if samples() else []
        return simulated + real

    def _tell(self, stack: Stack, standings: Sequence[Standing]) -> None:
        console, site = self.console, stack.site
        console.print()
        telling.tell_products(console, site, standings)
        console.print()
        telling.tell_refusals(console, standings)
        console.print()
        shown = next((each for each in standings if each.state == "published"), None)
        if shown is not None and shown.product is not None:
            href = telling.public(site, shown.product.href or "")
            item = telling.read_item(fetch(href)[1])
            drawn = telling.picture(stack, shown.expected.scene, {SURFACE: shown.product.href or ""})
            if drawn is not None:
                self.say(f"before and after: {drawn[0]}")
            snippet = telling.snippet(site, shown, item)
            path = site.folder.path / "snippet.py"
            path.write_text(snippet, encoding="utf-8")
            self.say(f"\nin Python ({path}):\n\n{snippet}")
            telling.tell_places(console, stack, telling.band_address(href, item, "red"))
        telling.tell_surprises(console, standings)
        right = sum(each.is_right for each in standings)
        phases = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in self.seconds.items())
        self.say(f"\n{right} of {len(standings)} scenes ended as they must; {phases}")

    def _wait_for_catalog(self, stack: Stack, wanted: int, *, patience_s: float = 60.0) -> bool:
        deadline = time.monotonic() + patience_s
        while telling.findable(stack.site) < wanted:
            stack.supervisor.check()
            if time.monotonic() > deadline:
                return False
            time.sleep(1.0)
        return True

    def _stay(self, stack: Stack) -> None:
        self.say("\nit stays up: Ctrl-C stops it and leaves no process behind")
        try:
            while True:
                stack.supervisor.check()
                time.sleep(1.0)
        except KeyboardInterrupt:
            self.say("stopping")

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - began

    @contextmanager
    def _progress(self) -> Iterator[Callable[[Sequence[Standing]], None]]:
        """Shows the tally in place on a terminal, a line for each change elsewhere."""
        last = ""
        with Live("", console=self.console, refresh_per_second=4, transient=True) as live:

            def show(standings: Sequence[Standing]) -> None:
                nonlocal last
                line = tally(standings)
                if self.console.is_terminal:
                    live.update(line)
                elif line != last:
                    self.say(f"  {line}")
                last = line

            yield show


def _is_newer(after: Standing, before: Standing) -> bool:
    """Whether another product of the scene is published than was."""
    return (
        after.state == "published"
        and after.product is not None
        and before.product is not None
        and after.product.id != before.product.id
    )


def _remade(before: Sequence[Standing], after: Sequence[Standing]) -> list[str]:
    """Scenes whose published product is another one than before."""
    was, now = (
        {
            each.expected.scene: each.product.id
            for each in standings
            if each.product and each.state == "published"
        }
        for standings in (before, after)
    )
    return [scene for scene, product in was.items() if now.get(scene) != product]


def main() -> int:
    """The exit code; a message instead of a traceback where a person must act."""
    console = Console(width=None if sys.stdout.isatty() else 320)
    try:
        return Demo(console).show()
    except StackError as error:
        print(error, file=sys.stderr)  # noqa: T201  a command line
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())

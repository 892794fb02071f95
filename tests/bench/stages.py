"""What each stage of a scene spends on a full Sentinel-2 tile: the figures that `undersky plan` ships with.

Run: python tests/bench/stages.py [STAGE ...] [--cache DIR] [--factor 10] [--threads 2] [--json FILE]
     python tests/bench/stages.py --json ml/undersky/flow/bench.json      and they are what ships

The tile is the one that tile.py makes, and everything measured runs in a process of its own, as there.
Products stay in the cache, so that a later run may measure single stages; their lines in the file are
replaced. What a stage moves between the store and the disk is left out, and `ingest` with it: the network
decides how long they take. A judgement has its Data Docs.

On a machine that does much else, seconds say nothing of the stage: they are left out. CPU-seconds stay, and
the load beside them.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import tile as bench
from tile import Run, Spent

HERE = Path(__file__).resolve()
_JUDGE = {"map": "validate-map", "detect": "validate-objects"}
_IN_LEVEL1 = {"validate-l1", "correct"}


def main() -> None:
    arguments = _arguments()
    if arguments.run:
        bench.measure(_WORK[arguments.run](arguments.product, arguments.folder, arguments.threads))
        return
    cache = arguments.cache or Path(tempfile.gettempdir()) / "undersky-bench"
    cache.mkdir(parents=True, exist_ok=True)
    level1 = bench._tile(cache, arguments.factor)
    work = cache / f"{arguments.factor * bench.SMALL_PIXELS}-made"
    work.mkdir(exist_ok=True)
    sys.stdout.write(f"{'':32}{'seconds':>10}{'CPU-s':>10}{'peak MB':>10}{'MB':>10}\n")
    for stage in arguments.stages or _WORK:
        for left in (work / stage, work / f"docs-{stage}"):
            shutil.rmtree(left, ignore_errors=True)
        given = level1 if stage in _IN_LEVEL1 else work
        options = ("--product", given, "--folder", work, "--threads", arguments.threads)
        spent = bench.in_a_process(HERE, "--run", stage, *options)
        sys.stdout.write(bench._line(stage, spent) + "\n")
        _write(stage, spent, arguments)


def _write(stage: str, spent: Spent, arguments: argparse.Namespace) -> None:
    """The stage's line stands in the file, with how it was measured."""
    if arguments.json is None:
        return
    load, cores, side = os.getloadavg()[0], os.cpu_count() or 1, arguments.factor * bench.SMALL_PIXELS
    how = (
        f"tests/bench/stages.py, {side:,} x {side:,} pixels, {arguments.threads} threads on {cores} cores, "
        f"load {load:.1f}, {datetime.now(UTC):%Y-%m-%d}"
    )
    line = {**asdict(spent), "how": how}
    if load > max(arguments.threads, cores) + 1:
        line["seconds"] = None
    known = json.loads(arguments.json.read_text(encoding="utf-8")) if arguments.json.exists() else {}
    text = json.dumps({name: (known | {stage: line}).get(name) for name in _WORK}, indent=1)
    arguments.json.write_text(text + "\n", encoding="utf-8")


def _made(work: Path, stage: str) -> Path:
    """The product that the stage left."""
    (folder,) = (path for path in (work / stage).iterdir() if path.is_dir())
    return folder


def _judged(judge: Callable[..., object], docs: Path) -> Run:
    from undersky.stages.validate import Pages

    def run() -> int:
        judge(pages=Pages(docs))
        return sum(path.stat().st_size for path in docs.rglob("*") if path.is_file())

    return run


def _level1_judged(product: Path, work: Path, _threads: int) -> Run:
    from undersky.stages.validate import validate_level1

    return _judged(lambda pages: validate_level1(product, pages=pages), work / "docs-validate-l1")


def _correct(product: Path, work: Path, threads: int) -> Run:
    return bench._correct(product, work / "correct", threads)


def _surface_judged(_product: Path, work: Path, _threads: int) -> Run:
    from undersky.stages.validate import validate_surface

    folder = _made(work, "correct")
    return _judged(lambda pages: validate_surface(folder, pages=pages), work / "docs-validate-surface")


def _map(_product: Path, work: Path, threads: int) -> Run:
    return bench._map(_made(work, "correct"), work / "map", threads)


def _detect(_product: Path, work: Path, threads: int) -> Run:
    return bench._detect(_made(work, "correct"), work / "detect", threads)


def _map_judged(stage: str) -> Callable[[Path, Path, int], Run]:
    def prepared(_product: Path, work: Path, _threads: int) -> Run:
        from undersky.stages.validate import Expected, item_in, validate_map
        from undersky.validation.map_facts import SurfaceEvidence

        surface, folder = _made(work, "correct"), _made(work, stage)
        expected = Expected(surface=SurfaceEvidence(item_in(surface), surface))
        docs = work / f"docs-{_JUDGE[stage]}"
        return _judged(lambda pages: validate_map(folder, expected=expected, pages=pages), docs)

    return prepared


_WORK: dict[str, Callable[[Path, Path, int], Run]] = {
    "validate-l1": _level1_judged,
    "correct": _correct,
    "validate-surface": _surface_judged,
    "map": _map,
    "validate-map": _map_judged("map"),
    "detect": _detect,
    "validate-objects": _map_judged("detect"),
}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stages", nargs="*", metavar="STAGE", help=f"of {', '.join(_WORK)}; all by default")
    parser.add_argument("--cache", type=Path, help="where tiles are kept; default: a temporary folder")
    parser.add_argument("--factor", type=int, default=bench.FULL, help="tile side in units of 1,098 pixels")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, help="also write the figures there")
    parser.add_argument("--run", choices=tuple(_WORK), help=argparse.SUPPRESS)
    parser.add_argument("--product", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()

"""A full Sentinel-2 tile corrected and mapped, beside the floor: decoding its bands and encoding its layers.

Run: python tests/bench/tile.py [--cache DIR] [--factor 10] [--threads 2] [--json FILE]

A simulated scene (1,098 pixels a side) is repeated `factor` times in both directions as lossless JPEG 2000
with the blocks of real products, once, into the cache. Everything measured runs in a process of its own, so
that its peak memory is its own. The floor does no science: read every band, write every layer as COG.
"""

import argparse
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import rasterio
import rasterio.shutil
from rasterio.windows import Window

Run = Callable[[], int]
HERE = Path(__file__).resolve()
FULL = 10
SMALL_PIXELS = 1098


@dataclass(frozen=True, slots=True)
class Spent:
    """What one process spent on its work, start-up and preparation left out."""

    seconds: float
    cpu_seconds: float
    peak_rss_mb: float
    bytes: int = 0


def main() -> None:
    arguments = _arguments()
    if arguments.run:
        measure(_WORK[arguments.run](arguments.tile, arguments.folder, arguments.threads))
        return
    cache = arguments.cache or Path(tempfile.gettempdir()) / "undersky-bench"
    cache.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=cache))
    try:
        result = _compare(cache, work, arguments)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    _report(result, arguments)


def _compare(cache: Path, work: Path, arguments: argparse.Namespace) -> dict[str, Spent]:
    tile = _tile(cache, arguments.factor)
    quarter = _tile(cache, max(1, arguments.factor // 2))
    result = {"correct": _child("correct", tile, work / "full", arguments)}
    _child("unpack", tile, work, arguments)
    result["decode"] = _child("decode", tile, work, arguments)
    result["encode"] = _child("encode", tile, work, arguments)
    shutil.rmtree(work / "raw")
    (surface,) = (path.parent for path in (work / "full").glob("*/quality.tif"))
    for name in ("map", "detect"):
        result[name] = _child(name, surface, work / name, arguments)
    shutil.rmtree(work / "full")
    result["correct, physics"] = _child("physics", tile, work / "physics", arguments)
    shutil.rmtree(work / "physics")
    result["correct, a quarter of the area"] = _child("correct", quarter, work / "quarter", arguments)
    return result


def _report(result: dict[str, Spent], arguments: argparse.Namespace) -> None:
    decode, encode, ours = result["decode"], result["encode"], result["correct"]
    floor_s, floor_cpu = decode.seconds + encode.seconds, decode.cpu_seconds + encode.cpu_seconds
    side = arguments.factor * SMALL_PIXELS
    quarter, physics = result["correct, a quarter of the area"], result["correct, physics"]
    seconds_ratio, slower = ours.seconds / floor_s, ours.seconds / physics.seconds
    lines = [
        f"{side:,} x {side:,} pixels, {arguments.threads} threads, {os.cpu_count()} cores",
        f"{'':32}{'seconds':>10}{'CPU-s':>10}{'peak MB':>10}{'MB':>10}",
        *(_line(name, spent) for name, spent in result.items()),
        f"{'floor (decode + encode)':32}{floor_s:10.1f}{floor_cpu:10.1f}",
        f"{'correct / floor (bar 1.50)':32}{seconds_ratio:10.2f}{ours.cpu_seconds / floor_cpu:10.2f}",
        f"{'learned / physics (bar 1.10)':32}{slower:10.2f}{ours.cpu_seconds / physics.cpu_seconds:10.2f}",
        f"{'peak memory, full / quarter':32}{ours.peak_rss_mb / quarter.peak_rss_mb:10.2f}",
    ]  # fmt: skip
    sys.stdout.write("\n".join(lines) + "\n")
    if arguments.json:
        facts = {name: asdict(spent) for name, spent in result.items()}
        facts["ratio"] = {"seconds": ours.seconds / floor_s, "cpu_seconds": ours.cpu_seconds / floor_cpu}
        arguments.json.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def _line(name: str, spent: Spent) -> str:
    size = spent.bytes / 1e6
    return f"{name:32}{spent.seconds:10.1f}{spent.cpu_seconds:10.1f}{spent.peak_rss_mb:10.0f}{size:10.0f}"


def _child(work: str, tile: Path, folder: Path, arguments: argparse.Namespace) -> Spent:
    given = ("--run", work, "--tile", tile, "--folder", folder, "--threads", arguments.threads)
    return in_a_process(HERE, *given)


def in_a_process(script: Path, *arguments: object) -> Spent:
    """What a script spent that ends with `measure`."""
    command = [sys.executable, str(script), *map(str, arguments)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return Spent(**json.loads(done.stdout.splitlines()[-1]))


def measure(run: Run) -> None:
    """One piece of work in this process; what it spent goes to the standard output."""
    began, cpu = time.monotonic(), time.process_time()
    size = run()
    seconds, cpu_seconds = time.monotonic() - began, time.process_time() - cpu
    peak = _peak_rss_mb()
    sys.stdout.write(json.dumps(asdict(Spent(seconds, cpu_seconds, peak, size))) + "\n")


def _peak_rss_mb() -> float:
    """Of this process alone: getrusage would inherit the peak of whoever started it."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.search(r"VmHWM:\s+(\d+)", status.read_text(encoding="ascii"))[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _correct(tile: Path, folder: Path, threads: int, model: str | None = None):
    from undersky.stages.correct import CorrectOptions, correct, estimator_for

    estimator, options = estimator_for(model=model), CorrectOptions(threads=threads)
    return lambda: correct(tile, folder, estimator=estimator, options=options).bytes


def _map(surface: Path, folder: Path, threads: int):
    from undersky.stages.map import MapOptions, map_cover, open_mapper

    mapper = open_mapper()
    return lambda: map_cover(surface, folder, mapper=mapper, options=MapOptions(threads=threads)).bytes


def _detect(surface: Path, folder: Path, threads: int):
    from undersky.stages.detect import DetectOptions, detect, open_detector

    detector = open_detector()
    options = DetectOptions(threads=threads)
    return lambda: detect(surface, folder, detector=detector, options=options).bytes


def _unpack(_tile: Path, folder: Path, threads: int):
    """Every layer of the corrected tile as raw GeoTIFF: what the encoding floor starts from."""
    raw = folder / "raw"
    raw.mkdir(exist_ok=True)
    layers = sorted((folder / "full").glob("*/*.tif"))

    def run() -> int:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda p: rasterio.shutil.copy(p, raw / p.name, driver="GTiff"), layers))
        return sum(path.stat().st_size for path in raw.iterdir())

    return run


def _decode(tile: Path, _folder: Path, threads: int):
    from undersky.bands import SENSORS

    bands = [band.name for band in SENSORS[tile.name[:3]].corrected_bands]
    paths = [next(tile.glob(f"GRANULE/*/IMG_DATA/*_{name}.jp2")) for name in bands]
    paths.sort(key=lambda path: -path.stat().st_size)

    def read(path: Path) -> int:
        total = 0
        with rasterio.open(path, driver="JP2OpenJPEG") as dataset:
            step = dataset.block_shapes[0][0]
            for row in range(0, dataset.height, step):
                strip = Window(0, row, dataset.width, min(step, dataset.height - row))
                total += dataset.read(1, window=strip).nbytes
        return total

    def run() -> int:
        with ThreadPoolExecutor(threads) as pool:
            return sum(pool.map(read, paths))

    return run


def _encode(tile: Path, folder: Path, threads: int):
    from undersky.bands import SENSORS
    from undersky.raster import encoding
    from undersky.raster.cog import translate

    layers = encoding.layers_of(SENSORS[tile.name[:3]])
    layers = sorted(layers, key=lambda layer: -(folder / "raw" / f"{layer.key}.tif").stat().st_size)
    target = folder / "encoded"
    target.mkdir()

    def write(layer: encoding.Layer) -> int:
        path = target / f"{layer.key}.tif"
        translate(folder / "raw" / path.name, path, layer=layer, threads=1)
        return path.stat().st_size

    def run() -> int:
        with ThreadPoolExecutor(threads) as pool:
            return sum(pool.map(write, layers))

    return run


_WORK = {
    "correct": _correct,
    "physics": partial(_correct, model="physics"),
    "map": _map,
    "detect": _detect,
    "unpack": _unpack,
    "decode": _decode,
    "encode": _encode,
}


def _tile(cache: Path, factor: int) -> Path:
    """The simulated SAFE, `factor` times as large in both directions; made once."""
    folder = cache / f"{factor * SMALL_PIXELS}"
    found = list(folder.glob("*.SAFE"))
    if found:
        return found[0]
    small = _simulated(cache)
    if factor == 1:
        return small
    half_done = cache / f".{folder.name}.partial"
    shutil.rmtree(half_done, ignore_errors=True)
    tile = half_done / small.name
    shutil.copytree(small, tile, ignore=shutil.ignore_patterns("*.jp2"))
    images = sorted(path for path in small.rglob("*.jp2") if not path.stem.endswith(("TCI", "PVI")))
    for number, path in enumerate(images, start=1):
        sys.stderr.write(f"enlarging {number}/{len(images)} {path.name}\n")
        _enlarge(path, tile / path.relative_to(small), factor)
    for path in tile.glob("GRANULE/*/MTD_TL.xml"):
        path.write_text(_enlarged_sizes(path.read_text(encoding="utf-8"), factor), encoding="utf-8")
    half_done.rename(folder)
    return folder / small.name


def _simulated(cache: Path) -> Path:
    from undersky.synth.acquisition import Request, simulate
    from undersky.synth.safe import write_safe

    folder = cache / str(SMALL_PIXELS)
    folder.mkdir(exist_ok=True)
    found = list(folder.glob("*.SAFE"))
    return found[0] if found else write_safe(simulate(Request(sensor="S2B", nodata_edge=False)), folder)


def _enlarged_sizes(xml: str, factor: int) -> str:
    return re.sub(r"<(NROWS|NCOLS)>(\d+)<", lambda m: f"<{m[1]}>{int(m[2]) * factor}<", xml)


def _enlarge(small: Path, large: Path, factor: int) -> None:
    """The image repeated `factor` x `factor` times, lossless, in the blocks of real products."""
    large.parent.mkdir(parents=True, exist_ok=True)
    raw = large.with_suffix(".tif")
    with rasterio.open(small) as dataset:
        pixels, transform = dataset.read(), dataset.transform
        profile = {
            "count": dataset.count,
            "dtype": dataset.dtypes[0],
            "crs": dataset.crs,
            "transform": transform,
        }
    _, rows, cols = pixels.shape
    profile |= {"height": rows * factor, "width": cols * factor, "interleave": "band", "compress": "ZSTD"}
    row_of_tiles = np.tile(pixels, (1, 1, factor))
    with rasterio.open(raw, "w", driver="GTiff", tiled=True, zstd_level=1, **profile) as scratch:
        for row in range(0, rows * factor, rows):
            scratch.write(row_of_tiles, window=Window(0, row, cols * factor, rows))
    size = {10: 1024, 20: 640, 60: 192}[round(transform.a)]
    options = {"driver": "JP2OpenJPEG", "quality": 100, "reversible": "YES", "resolutions": 5, "ycc": "NO"}
    with rasterio.Env(GDAL_NUM_THREADS=2, GDAL_CACHEMAX=1024, GDAL_PAM_ENABLED="NO"):
        rasterio.shutil.copy(raw, large, blockxsize=size, blockysize=size, **options)
    raw.unlink()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--cache", type=Path, help="where the enlarged tiles are kept; default: a temporary folder"
    )
    parser.add_argument("--factor", type=int, default=FULL, help="tile side in units of 1,098 pixels")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, help="also write the figures there")
    parser.add_argument("--run", choices=tuple(_WORK), help=argparse.SUPPRESS)
    parser.add_argument("--tile", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()

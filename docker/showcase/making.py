"""Makes a share of the cast: `making UPSTREAM NUMBER OF`, a child process; parts that are there stay."""

import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from showcase.cast import CAST, Expected, Part, made_on, read_expected, write_expected
from undersky.settings import one_thread_a_library


def make(upstream: Path, number: int, count: int) -> None:
    """Every `count`-th part, beginning with that number, lies in the folder; its ending is noted."""
    wanted = [(upstream / "expected" / f"{index:02d}.json", index) for index in range(len(CAST))]
    missing = [(note, index) for note, index in wanted[number::count] if not read_expected(note)]
    if not missing:
        return
    from undersky.stages.simulate import Order, request_for, simulate  # noqa: PLC0415  slow to load

    day = made_on(upstream)
    for note, index in missing:
        part = CAST[index]
        request = request_for(
            part.sensor,
            tile=part.tile,
            day=part.sensed_on(day),
            seed=11 + index,
            theme=part.theme,
            cloud_percent=part.cloud_percent,
            size_m=part.size_m,
        )
        if part.cloud_percent >= 100:
            request = replace(request, cloud_cover=1.0)
        order = Order(request, baseline=part.baseline, layout=part.layout, malformed=part.malformed)
        made = simulate(upstream / "products", order=order)
        note.parent.mkdir(exist_ok=True)
        write_expected(note, [Expected(_scene(made.product, part), part.ending, part.reason, _why(part))])
        print(f"{part.sensor} {part.tile} {part.malformed or 'good'}: {made.product}", flush=True)  # noqa: T201


def _scene(product: Path, part: Part) -> str:
    if part.layout == "tile":
        import json  # noqa: PLC0415  one of the layouts

        return str(json.loads((product / "tileInfo.json").read_text(encoding="utf-8"))["productName"])
    return product.name.removesuffix(".zip").removesuffix(".SAFE")


def _why(part: Part) -> str:
    if part.malformed is None:
        return f"{part.cloud_percent:g} % cloud over {part.theme}" + (f" on {part.day}" if part.day else "")
    from undersky.synth.malformed import MALFORMED  # noqa: PLC0415

    return MALFORMED[part.malformed].sentence


if __name__ == "__main__":
    one_thread_a_library()
    make(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))

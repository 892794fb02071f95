"""The chart, linted, rendered and checked for each of its example values: what `make chart` runs.

Helm is the real one, inside a wheel; the schemas are those of three releases of Kubernetes. No cluster is
asked.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import helm_python
import kubernetes_validate
from chartcheck.objects import Json, Object, lint, render, values_of
from chartcheck.policies import POLICIES

CHART = Path(__file__).resolve().parent / "undersky"
RELEASES = ("1.33", "1.35", "1.37")
"""Of Kubernetes, for each of which every object must be valid."""


def examples() -> dict[str, Path]:
    """Every file of example values, by its name: `trial`."""
    return {_title(file): file for file in sorted(CHART.glob("ci/*-values.yaml"))}


def main(chosen: Sequence[Path] = ()) -> int:
    """One line for each file of values, and what is wrong with it; 1 if anything is."""
    files = list(chosen) or list(examples().values())
    width = max(len(_title(file)) for file in files)
    code = 0
    for file in files:
        count, found = check(values_of(file))
        what = (
            f"{len(found)} wrong" if found else f"valid for {', '.join(RELEASES)}, {len(POLICIES)} rules kept"
        )
        sys.stdout.write(f"{_title(file):<{width}}  {count:>3} objects, {what}\n")
        sys.stdout.writelines(f"  {sentence}\n" for sentence in found)
        code = 1 if found else code
    return code


def check(values: Json, *, chart: Path = CHART) -> tuple[int, list[str]]:
    """How many objects the values make, and everything that is wrong with them."""
    try:
        found = lint(chart, values)
        rendered = render(chart, values)
    except helm_python.HelmError as error:
        return 0, [f"helm: {error}"]
    return len(rendered.objects), [*found, *complaints(rendered.objects)]


def complaints(objects: Sequence[Object]) -> Iterator[str]:
    """What schemas and rules have against the objects."""
    for each in objects:
        for release in RELEASES:
            try:
                kubernetes_validate.validate(dict(each.body), release, strict=True)
            except kubernetes_validate.ValidationError as error:
                where = ".".join(map(str, error.path)) or "the object"
                yield f"{each.name}: Kubernetes {release} refuses {where}: {error.message}"
    for name, policy in POLICIES.items():
        yield from (f"{sentence} ({name})" for sentence in policy(objects))


def _title(file: Path) -> str:
    return file.name.removesuffix("-values.yaml")


if __name__ == "__main__":
    sys.exit(main([Path(each) for each in sys.argv[1:]]))

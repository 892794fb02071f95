"""Two packages held against each other: the same scenes, the gate, the page that a person reads.

candidate, champion --by what they are for--> corrections, maps --> judgement, slices, page
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from undersky.datasets.suites import DATA
from undersky.errors import ConfigError
from undersky.evaluation.evaluating import CORRECTION, EVALUATORS, SHIPPED
from undersky.evaluation.gate import Gate, load_gate
from undersky.evaluation.versus import Comparison
from undersky.judgement import Judgement
from undersky.models.package import ModelPackage, load_package, package_folder
from undersky.release.corrections import hold_corrections
from undersky.release.maps import hold_maps
from undersky.training.task import Progress

EVALUATED = (CORRECTION, *EVALUATORS)
"""Models that can be evaluated."""


class Held(Protocol):
    """A candidate beside the champion."""

    @property
    def comparison(self) -> Comparison:
        """Judgement and evidence."""

    @property
    def judgement(self) -> Judgement:
        """What the gate says."""

    def figures(self) -> dict[str, bytes]:
        """Path to PNG, for the registry's run."""

    def page(self) -> str:
        """The review page, HTML."""


def hold_against(
    candidate: str | Path,
    champion: str | Path | None = None,
    *,
    suites: tuple[str, ...] = (),
    scenes: int | None = None,
    workers: int = 1,
    others: Mapping[str, Path] | None = None,
    progress: Progress | None = None,
    suites_folder: Path = DATA,
) -> Held:
    """Both packages on the same scenes, judged.

    Args:
        candidate: Folder of a package, or a shipped one by its name.
        champion: The same; the shipped one of its kind when None.
        suites: Those that the gate names when empty.
        scenes: Of each suite, evenly spread; all when None.
        workers: Processes of a correction's evaluation; no figure depends on it.
        others: Model to folder of the champion of every other model: those that work on what this one makes
            are looked at on both.
        progress: Told the done fraction of each suite.
        suites_folder: Where the frozen suites of corrections lie.

    Raises:
        ConfigError: An unknown suite, no scene left, or packages of different models.
        DataError: A package is refused.
    """
    new = load_package(package_folder(candidate))
    folders = package_folder(candidate), package_folder(champion or SHIPPED.get(new.name))
    gate = _gate_for(new, load_package(folders[1]))
    if gate.model == CORRECTION:
        return hold_corrections(
            *folders,
            gate=gate,
            suites=suites,
            scenes=scenes,
            workers=workers,
            others=others,
            progress=progress,
            suites_folder=suites_folder,
        )
    return hold_maps(*folders, gate=gate, suites=suites, scenes=scenes, others=others, progress=progress)


def _gate_for(candidate: ModelPackage, champion: ModelPackage) -> Gate:
    if candidate.name not in EVALUATED or candidate.name != champion.name:
        raise ConfigError(
            f"{candidate.version} is a model {candidate.name}, {champion.version} a model {champion.name}; "
            f"two of one kind are compared, and there are {' '.join(EVALUATED)}"
        )
    return load_gate(candidate.name)

"""Two models on the same scenes: scores, evidence by scene, and what the gate says of the candidate.

suites --score_suite, both at once--> Score, Score --rows_of--> rows --judge--> Judgement
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from undersky.datasets.folders import Folder
from undersky.datasets.suites import Suite
from undersky.errors import ConfigError
from undersky.evaluation.correctors import Corrector
from undersky.evaluation.evidence import Row, rows_of, slice_table, to_table
from undersky.evaluation.gate import Gate
from undersky.evaluation.judging import Identity, judge
from undersky.evaluation.score import Score, score_suite
from undersky.judgement import Judgement

CANDIDATE, CHAMPION = "candidate", "champion"
"""What the two are called in the evidence."""


@dataclass(frozen=True, slots=True)
class Sides:
    """Both models on one suite."""

    candidate: Score
    """The candidate's; histograms are counted for it."""
    champion: Score
    """The champion's."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything that came out of comparing two models."""

    judgement: Judgement
    """What the gate says."""
    candidate: tuple[Row, ...]
    """Evidence of all suites."""
    champion: tuple[Row, ...]
    """The same."""
    scores: Mapping[str, Sides] = field(default_factory=dict)
    """By suite; none of maps, whose evidence is their rows."""

    def table(self) -> bytes:
        """The evidence of both as Parquet: every figure of the judgement can be computed again from it."""
        return to_table({CANDIDATE: self.candidate, CHAMPION: self.champion})

    def slices(self) -> str:
        """Every slice of both as CSV."""
        return slice_table(self.candidate, self.champion)


def compare_on(
    suites: Sequence[Suite | Folder],
    candidate: Corrector,
    champion: Corrector,
    *,
    gate: Gate,
    identity: Identity,
    workers: int = 1,
    progress: Callable[[float, str], None] | None = None,
    further: tuple[Sequence[Row], Sequence[Row]] = ((), ()),
) -> Comparison:
    """Both models on the same pixels of every suite, judged by the gate; `workers` changes no figure.

    Args:
        suites: Whole, or each with some of its scenes.
        candidate: The new one.
        champion: The one in use.
        gate: The rules.
        identity: Digests, labels and suites, for the judgement.
        workers: Processes.
        progress: Told the done fraction of each suite, 0 .. 1, and its name.
        further: Evidence beside the suites, the candidate's and the champion's: what others make of theirs.

    Raises:
        ConfigError: No suite, or two of one name.
        DataError: A model is refused, or a user's scene is damaged.
    """
    names = [suite.name for suite in suites]
    if not names or len(set(names)) < len(names):
        raise ConfigError(f"found the suites {' '.join(names) or '(none)'}; name one or more, each once")
    scores = {
        suite.name: Sides(*score_suite(suite, [candidate, champion], workers=workers, progress=tell))
        for suite, tell in ((suite, _teller(suite.name, progress)) for suite in suites)
    }
    mine, theirs = (
        (*(row for name, sides in scores.items() for row in rows_of(name, getattr(sides, side))), *more)
        for side, more in zip((CANDIDATE, CHAMPION), further, strict=True)
    )
    return Comparison(judge(gate, mine, theirs, identity=identity), mine, theirs, scores)


def _teller(name: str, progress: Callable[[float, str], None] | None) -> Callable[[int, int], None]:
    def tell(done: int, of: int) -> None:
        if progress is not None:
            progress(done / of, name)

    return tell

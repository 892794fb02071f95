"""Which models are maps, and who evaluates each: imported when it is asked for, for each loads its own data.

name --EVALUATORS--> evaluate(MapsOptions) -> MapsScore
"""

from collections.abc import Callable
from importlib import import_module

from undersky.errors import ConfigError
from undersky.evaluation.maps import MapsOptions, MapsScore
from undersky.models.package import DEFAULT

Evaluate = Callable[[MapsOptions], MapsScore]

EVALUATORS: dict[str, tuple[str, str]] = {
    "quality": ("undersky.evaluation.masks", "evaluate_quality"),
    "landcover": ("undersky.evaluation.cover", "evaluate_landcover"),
    "vessels": ("undersky.evaluation.objects", "evaluate_vessels"),
}
"""Map model to the module and the function that evaluates it, in the order of the flow."""

CORRECTION = "correction"
SHIPPED = {CORRECTION: DEFAULT, **{name: name for name in EVALUATORS}}
"""Model to the shipped package that is used unless somebody names another."""


def evaluate_model(name: str, options: MapsOptions) -> MapsScore:
    """What a map model scores, on its simulated suite and, with samples, on real ones.

    Args:
        name: Of the model: `landcover`.
        options: Which package, what data.

    Raises:
        ConfigError: There is no such map model, or no scene is left.
        DataError: The package is refused, or a sample is damaged.
    """
    if name not in EVALUATORS:
        raise ConfigError(f"there is no map model {name!r}; there are {' '.join(EVALUATORS)}")
    module, function = EVALUATORS[name]
    evaluate: Evaluate = getattr(import_module(module), function)
    return evaluate(options)

"""Everything that a training carries from one step to the next; a checkpoint is this, written down."""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import cast

from torch import Tensor, nn
from torch.optim import AdamW

from undersky.errors import DataError, Reason
from undersky.models.package import Json
from undersky.training.checkpoint import Checkpoint
from undersky.training.recipe import Recipe
from undersky.training.schedule import averaging_decay, learning_rate

Row = dict[str, float]


@dataclass(slots=True)
class State:
    """A training between two steps; it changes in place."""

    recipe: Recipe
    """What is followed."""
    network: nn.Module
    """As the last step left it."""
    average: nn.Module
    """The running mean of the weights: what is packaged."""
    optimizer: AdamW
    """With its moments."""
    step: int = 0
    """The next one."""
    seconds: float = 0.0
    """Spent on steps, over all resumptions."""
    gpu_hours: float = 0.0
    """Likewise, times the GPUs at work."""
    history: list[Row] = field(default_factory=list)
    """What was noted, about two hundred rows however long the training."""
    _sums: Row = field(default_factory=dict)
    _counted: int = 0

    @classmethod
    def fresh(cls, network: nn.Module, recipe: Recipe) -> "State":
        """Before the first step. Biases and scales are not pulled towards zero."""
        trained = [p for p in network.parameters() if p.requires_grad]
        groups: list[dict[str, object]] = [
            {"params": [p for p in trained if p.ndim > 1], "weight_decay": recipe.weight_decay},
            {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
        ]
        optimizer = AdamW([group for group in groups if group["params"]], lr=recipe.learning_rate)
        return cls(recipe, network, deepcopy(network).requires_grad_(False), optimizer)

    def advance(self, figures: Mapping[str, float]) -> None:
        """One step is taken along the gradients that lie in the network, and its figures are counted."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.recipe, self.step)
        self.optimizer.step()
        share = 1 - averaging_decay(self.recipe, self.step)
        now = self.network.state_dict()
        for name, mean in self.average.state_dict().items():
            if mean.is_floating_point():
                mean.lerp_(now[name], share)
            else:
                mean.copy_(now[name])
        for name, value in figures.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._counted += 1
        self.step += 1

    def note(self, facts: Mapping[str, float]) -> Row:
        """A row of the history: the step, the mean figures since the last row, and the facts."""
        means = {name: value / max(1, self._counted) for name, value in self._sums.items()}
        row = {
            "step": self.step,
            **means,
            "learning_rate": learning_rate(self.recipe, self.step - 1),
            **facts,
        }
        self.history.append(row)
        self._sums, self._counted = {}, 0
        return row

    def checkpoint(self) -> Checkpoint:
        """All of it."""
        tensors = {f"network/{name}": value for name, value in self.network.state_dict().items()}
        tensors |= {f"average/{name}": value for name, value in self.average.state_dict().items()}
        for index, moments in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{index}/{name}": value for name, value in moments.items()}
        facts = {
            "seconds": self.seconds,
            "gpu_hours": self.gpu_hours,
            "history": self.history,
            "sums": self._sums,
            "counted": self._counted,
        }
        return Checkpoint(self.step, tensors, cast("Mapping[str, Json]", facts))

    def resume(self, found: Checkpoint) -> None:
        """It goes on where the checkpoint was made.

        Raises:
            DataError: `model_refused`: the network has changed since.
        """
        try:
            self.network.load_state_dict(_below("network", found.tensors))
            self.average.load_state_dict(_below("average", found.tensors))
            self._resume_optimizer(_below("optimizer", found.tensors))
            facts = cast("Mapping[str, float]", found.facts)
            self.seconds, self.gpu_hours = facts["seconds"], facts["gpu_hours"]
            self._counted = int(facts["counted"])
            self.history = [dict(row) for row in cast("Iterable[Row]", found.facts["history"])]
            self._sums = dict(cast("Row", found.facts["sums"]))
        except (KeyError, ValueError, TypeError, RuntimeError) as error:
            raise DataError(
                Reason.MODEL_REFUSED,
                f"the checkpoint of step {found.step} does not fit the network that this version builds "
                f"({error}); --fresh starts over",
            ) from error
        self.step = found.step

    def _resume_optimizer(self, moments: Mapping[str, Tensor]) -> None:
        state: dict[int, dict[str, Tensor]] = {}
        for path, value in moments.items():
            index, name = path.split("/", 1)
            state.setdefault(int(index), {})[name] = value.clone()  # torch would share it
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})


def _below(part: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(f"{part}/"): t for name, t in tensors.items() if name.startswith(f"{part}/")}

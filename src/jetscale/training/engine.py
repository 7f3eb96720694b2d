"""One model, its data and its optimiser on one device: assembles batches and makes steps."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from jetscale.errors import TrainingError
from jetscale.mixtures.ragged import Ragged
from jetscale.models.batch import Batch, apply_module, make_batch
from jetscale.models.build import build_model
from jetscale.models.layout import arrange
from jetscale.models.protocol import architecture_named
from jetscale.objectives.protocol import objective_named, outputs_of
from jetscale.store.checkpoints import load_trunk
from jetscale.study import ModelSize, Recipe
from jetscale.training.optim import FlatAdamW
from jetscale.training.order import Order, Seeds
from jetscale.training.ranks import Ranks
from jetscale.training.spec import RunSpec


class Engine:
    """The model of a run and all that changes it, from the arguments of `train_run`.

    ``tokens`` are the constituents computed so far by this rank, padding included.
    """

    def __init__(self, spec: RunSpec, train: Ragged, device: str, trunk: Path | None) -> None:
        seeds = Seeds.of(spec.seed)
        settings = spec.recipe.model
        self.objective = objective_named(settings.objective)
        self.outputs = outputs_of(settings.objective, len(spec.classes))
        self.train = train
        self.starts, self.lengths = train.offsets[:-1], train.lengths
        self.ranks, jets = Ranks.current(), len(train)
        batch = spec.recipe.schedule.batch(jets, spec.epochs)
        self.order = Order(seed=seeds.order, jets=jets, batch_size=batch, epochs=spec.epochs)
        shape = spec.size, spec.features, self.outputs
        self.parameters = architecture_named(settings.architecture).parameters(*shape)
        self.model, factors = build_model(
            settings, *shape, trunk_seed=seeds.trunk, head_seed=seeds.head
        )
        self.trunk, head = parts_of(self.model, spec.recipe)
        if trunk is not None:
            load_into(self.trunk, trunk, spec.size, spec.recipe)
        self.groups = 1 if getattr(self.model, "padded", False) else None
        self.model.to(device)
        width, steps = spec.size.width, self.order.steps
        self.optimiser = FlatAdamW(self.trunk, head, spec.recipe, width, steps, factors)
        if len(self.optimiser.weights) != self.parameters.total:
            raise TrainingError(
                f"architecture {settings.architecture!r} counts {self.parameters.total} "
                f"parameters, trunk and head of its model have {len(self.optimiser.weights)}"
            )
        self.device = self.optimiser.weights.device
        self.tokens = 0
        # Ours draws no random numbers in training, but a model with dropout does.
        torch.manual_seed(seeds.order)

    def assemble(self, step: int) -> tuple[Batch | None, int]:
        """The jets of a step for this rank, None if it has none, and their number over all."""
        rows = self.order.rows(step)
        jets, rows = len(rows), self.ranks.own(rows)
        if not len(rows):  # the last batch of an epoch can have fewer jets than there are ranks
            return None, jets
        layout = arrange(self.starts[rows], self.lengths[rows], groups=self.groups)
        self.tokens += len(layout.index)
        labels, like = self.train.labels[rows], self.optimiser.weights
        return make_batch(self.train, layout, labels, like), jets

    def update(self, step: int, batch: Batch | None, jets: int) -> Tensor:
        """Make one step; returns the mean loss before it, which the next step overwrites."""
        self.optimiser.gradient.zero_()
        total = self.optimiser.gradient[-1]
        if batch is not None:
            outputs = self.model(batch)
            if outputs.shape != (len(batch.labels), self.outputs):  # or a loss might broadcast
                raise TrainingError(
                    f"the model gives shape {tuple(outputs.shape)}, its architecture and objective "
                    f"promise {(len(batch.labels), self.outputs)}"
                )
            loss = self.objective.loss(outputs, batch) / jets
            torch.autograd.backward(loss)
            total.copy_(loss.detach())
        self.ranks.add_up(self.optimiser.gradient)
        self.optimiser.step(step)
        return total

    def apply(self, data: Ragged) -> NDArray[np.float64]:
        """(n, outputs) of the model with its averaged weights, in the order of the data.

        Each rank applies it to a share of the data; all of them get everything.
        """
        with self.optimiser.averaged():
            rows = self.ranks.own(np.arange(len(data)))
            mine = data if len(rows) == len(data) else data.take(rows)
            outputs = apply_module(self.model, mine, groups=self.groups)
        if self.ranks.world == 1:
            return outputs
        whole = torch.zeros(len(data), self.outputs, dtype=torch.float64, device=self.device)
        if len(rows):
            whole[rows] = torch.from_numpy(outputs).to(self.device)
        self.ranks.add_up(whole)
        return whole.cpu().numpy()

    def trunk_weights(self) -> dict[str, Tensor]:
        """Copies of the trunk's weights as they are evaluated, which is what is handed on.

        A trunk is judged by the score of its model, and fine-tuning starts at the same place: with
        averaging that is the average, not the last and noisier point of the path.
        """
        with self.optimiser.averaged():
            return {name: w.cpu().clone() for name, w in self.trunk.state_dict().items()}

    def wait(self) -> None:
        """Return when the device has done all it was told to do."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def state(self) -> dict[str, Any]:
        """All that later steps depend on, for a checkpoint."""
        random = {"cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            random["cuda"] = torch.cuda.get_rng_state(self.device)
        state = {"tokens": self.tokens, "optimiser": self.optimiser.state(), "random": random}
        return state | {"buffers": dict(self.model.named_buffers())}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        self.tokens = state["tokens"]
        self.optimiser.restore(state["optimiser"])
        for name, buffer in self.model.named_buffers():
            buffer.copy_(state["buffers"][name])
        torch.set_rng_state(state["random"]["cpu"])
        if self.device.type == "cuda" and "cuda" in state["random"]:
            torch.cuda.set_rng_state(state["random"]["cuda"], self.device)


def parts_of(model: nn.Module, recipe: Recipe) -> tuple[nn.Module, nn.Module]:
    """Trunk and head of a model; raises TrainingError where the architecture made none."""
    trunk, head = getattr(model, "trunk", None), getattr(model, "head", None)
    if isinstance(trunk, nn.Module) and isinstance(head, nn.Module):
        return trunk, head
    raise TrainingError(
        f"architecture {recipe.model.architecture!r}: its models need modules trunk and head"
    )


def load_into(trunk: nn.Module, path: Path, size: ModelSize, recipe: Recipe) -> None:
    """Give a trunk the weights in a file; TrainingError for a file that does not fit."""
    weights = load_trunk(path, describe_trunk(size, recipe))
    try:
        trunk.load_state_dict(weights)
    except RuntimeError as error:
        raise TrainingError(
            f"trunk {path}: its weights are not those of architecture "
            f"{recipe.model.architecture!r} as it is now; run the pretraining again"
        ) from error


def describe_trunk(size: ModelSize, recipe: Recipe) -> dict[str, str]:
    """What two runs must share for one to start from the trunk of the other."""
    return {
        "size": size.name,
        "features": recipe.data.features,
        "architecture": recipe.model.architecture,
        # the same weights are another function where branches are divided by the depth
        "parametrization": recipe.model.parametrization,
    }

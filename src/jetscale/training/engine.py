"""The models of a stack with their data and optimiser on one device: makes batches and steps."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from jetscale.errors import TrainingError
from jetscale.mixtures.ragged import Ragged
from jetscale.models.batch import Batch, apply_module, batch_tensors, make_batch, repeat
from jetscale.models.build import build_model
from jetscale.models.layout import Layout, arrange, group_cost
from jetscale.models.parametrization import Factors
from jetscale.models.stack import stack_models
from jetscale.objectives.protocol import OBJECTIVES, Objective, is_stackable
from jetscale.objectives.shape import Shape
from jetscale.store.checkpoints import load_trunk
from jetscale.study import ModelSize, Recipe
from jetscale.training.optim import FlatAdamW, peak_rate
from jetscale.training.order import Order, Seeds
from jetscale.training.pretext import TokenModel, read_tokens
from jetscale.training.ranks import Ranks
from jetscale.training.spec import RunSpec

FULL = 0.8
"""Constituents of a mean jet, as a share of the limit, from which on jets are padded to it."""
EVALUATED = 256  # jets in a batch of an evaluation, over all models of a stack


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a run of a stack starts from and trains on."""

    spec: RunSpec
    train: Ragged
    """Its D jets."""
    trunk: Path | None = None
    """Weights of a pretrained trunk; None starts from random ones."""


class Engine:
    """The models of a stack of runs and all that changes them, from the arguments of `train_run`.

    A single run is a stack of one, whose tensors lack the leading dimension. ``tokens`` are the
    constituents computed so far by this rank for each run, padding included.
    """

    def __init__(self, sources: Sequence[Source], device: str) -> None:
        self.sources = list(sources)
        spec = sources[0].spec
        settings = spec.recipe.model
        self.shape = shape_of(spec)
        self.outputs, self.parameters = self.shape.outputs, self.shape.parameters
        # one of constituents gives its loss with the head: see `_losses`
        self.objective = cast(Objective, OBJECTIVES.find(settings.objective))
        # of each jet, which tell the runs of a stack apart
        self.losses: Callable[[Tensor, Batch], Tensor] | None = None
        if len(sources) > 1:
            if not is_stackable(settings.objective):
                raise TrainingError(
                    f"objective {settings.objective!r} has no losses(outputs, batch), one for each "
                    f"jet: its {len(sources)} runs cannot be trained in a stack"
                )
            self.losses = getattr(self.objective, "losses", None)
        self.orders = [_order_of(source) for source in sources]
        self.order, self.ranks = self.orders[0], Ranks.current()
        self.alike = all(  # whether all see the same jets in the same order
            source.train is sources[0].train and order.seed == self.order.seed
            for source, order in zip(sources, self.orders, strict=True)
        )
        lengths = {id(source.train): source.train.lengths for source in sources}  # a pass over all
        self.lengths = [lengths[id(source.train)] for source in sources]
        made = [_build(source, self.shape) for source in sources]
        self.model, factors = stack_models([model for model, _ in made]), made[0][1]
        self.trunk, self.head = parts_of(self.model, spec.recipe)
        self.groups = 1 if getattr(self.model, "padded", False) else None
        self.rounded = spec.recipe.precision == "bfloat16"
        self.model.to(device)
        kept = self.model.state_dict()
        self.running = [b for name, b in self.model.named_buffers() if name in kept]
        if self.running and len(sources) > 1:
            raise TrainingError(
                f"architecture {settings.architecture!r} keeps buffers that training changes, "
                f"which {len(sources)} models would share; it must not say stackable = True"
            )
        width, steps = spec.size.width, self.order.steps
        self.peaks = [peak_rate(source.spec.recipe, width, steps) for source in sources]
        peaks = self.peaks if len(sources) > 1 else ()
        self.optimiser = FlatAdamW(
            self.trunk, self.head, spec.recipe, width, steps, factors, peaks=peaks
        )
        if self.optimiser.parameters != self.parameters.total:
            raise TrainingError(
                f"architecture {settings.architecture!r} counts {self.parameters.total} "
                f"parameters, trunk and head of its model have {self.optimiser.parameters}"
            )
        self.device = self.optimiser.weights.device
        self.group_cost = group_cost(width, self.device.type)
        self.pad_to = self.shape.constituents if all(map(is_full, sources)) else None
        self.tokens = [0] * len(sources)
        # Ours draws no random numbers in training, but a model with dropout does. Its checkpoint
        # keeps the first rank's generator; others start theirs anew at every step.
        torch.manual_seed(self.order.seed)

    @property
    def models(self) -> int:
        """How many models are stacked; 0 for a single one, which has no such dimension."""
        return len(self.sources) if len(self.sources) > 1 else 0

    def assemble(self, step: int) -> tuple[Batch | None, int]:
        """The jets of a step for this rank, None if it has none, and their number over all.

        The number is that of one model; all of a stack see equally many.
        """
        rows = [order.rows(step) for order in self.orders]
        jets, rows = len(rows[0]), [self.ranks.own(mine) for mine in rows]
        if not len(rows[0]):  # the last batch of an epoch can have fewer jets than there are ranks
            return None, jets
        like = self.optimiser.weights
        if self.alike:
            data, mine = self.sources[0].train, rows[0]
            layout = self._arrange(data.offsets[:-1][mine], self.lengths[0][mine])
            batch = make_batch(data, layout, data.labels[mine], like)
            batch = repeat(batch, self.models) if self.models else batch
        else:
            batch, layout = self._stack_batch(rows)
        if isinstance(self.model, TokenModel):
            columns = self.shape.constituents
            draws = [self.ranks.own(order.draws(step, columns)) for order in self.orders]
            batch = self.model.prepare(batch, layout, np.stack(draws))
        self.tokens = [tokens + layout.index.shape[-1] for tokens in self.tokens]
        return batch, jets

    def _arrange(self, starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> Layout:
        return arrange(
            starts, lengths, groups=self.groups, pad_to=self.pad_to, cost=self.group_cost
        )

    def _stack_batch(self, rows: Sequence[NDArray[np.int64]]) -> tuple[Batch, Layout]:
        """The batch in which each model sees the jets in ``rows`` of its own data."""
        sets = [source.train for source in self.sources]
        starts = np.stack([jets.offsets[:-1][mine] for jets, mine in zip(sets, rows, strict=True)])
        lengths = np.stack([n[mine] for n, mine in zip(self.lengths, rows, strict=True)])
        layout = self._arrange(starts, lengths)
        tokens = zip(sets, layout.index, strict=True)
        values = np.stack([jets.values.take(index, axis=0) for jets, index in tokens])
        labels = np.stack([jets.labels[mine] for jets, mine in zip(sets, rows, strict=True)])
        ordered = np.take_along_axis(labels, layout.order, -1).ravel()
        return batch_tensors(values, layout, ordered, self.optimiser.weights), layout

    def update(self, step: int, batch: Batch | None, jets: int) -> Tensor:
        """Make one step; returns the mean loss before it, which the next step overwrites.

        It is a number, or one for each model of a stack.
        """
        mean = self.optimiser.gradient[..., -1]
        if batch is None:
            self.optimiser.gradient.zero_()
        else:
            if self.ranks.rank:
                torch.manual_seed(self.order.seed_of(step, self.ranks.rank))
            losses = self._losses(batch) / jets
            self.optimiser.backward(losses.sum())  # no model has a part in the loss of another
            mean.copy_(losses.detach())
        self.ranks.add_up(self.optimiser.gradient)
        self.optimiser.step(step)
        self.ranks.share(self.running)  # each rank has moved the means of its own jets
        return mean

    def _losses(self, batch: Batch) -> Tensor:
        """The loss summed over the jets of a batch, or over those of each model of a stack."""
        # only products are rounded: weights, moments, norms, losses and scores stay single
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.rounded):
            if isinstance(self.model, TokenModel):
                return self.model.loss(batch)
            outputs = self.model(batch)
        outputs = outputs.float() if self.rounded else outputs
        expected = (len(batch.labels), self.outputs)
        outputs = outputs.flatten(0, 1) if self.models else outputs
        if outputs.shape != expected:  # or a loss might broadcast
            raise TrainingError(
                f"the model gives shape {tuple(outputs.shape)}, its architecture and objective "
                f"promise {expected}"
            )
        if self.losses is None:
            return self.objective.loss(outputs, batch)
        return self.losses(outputs, batch).view(self.models, -1).sum(1)

    def apply(self, data: Ragged) -> NDArray[np.float64]:
        """(K, n, outputs) of the K models with averaged weights, in the order of the data.

        Each rank applies them to a share of the data; all of them get everything.
        """
        with self.optimiser.averaged():
            rows = self.ranks.own(np.arange(len(data)))
            mine = data if len(rows) == len(data) else data.take(rows)
            batch = max(EVALUATED // max(1, self.models), 16)
            outputs = apply_module(
                self.model, mine, batch=batch, groups=self.groups, models=self.models
            )
        outputs = outputs if self.models else outputs[None]
        if self.ranks.world == 1:
            return outputs
        shape = len(self.sources), len(data), self.outputs
        whole = torch.zeros(shape, dtype=torch.float64, device=self.device)
        if len(rows):
            whole[:, rows] = torch.from_numpy(outputs).to(self.device)
        self.ranks.add_up(whole)
        return whole.cpu().numpy()

    def keep(self, runs: Sequence[int]) -> "Engine":
        """An engine of some runs of the stack, where they are now."""
        states = [self.state(run) for run in runs]
        engine = Engine([self.sources[run] for run in runs], str(self.device))
        for row, state in enumerate(states):
            engine.restore(state, row)
        return engine

    def trunk_weights(self, run: int = 0) -> dict[str, Tensor]:
        """Copies of a trunk's weights as they are evaluated, which is what is handed on.

        A trunk is judged by the score of its model, and fine-tuning starts at the same place: with
        averaging that is the average, not the last and noisier point of the path.
        """
        return self._weights(self.trunk, run)

    def model_weights(self, run: int = 0) -> dict[str, dict[str, Tensor]]:
        """Copies of the weights of trunk and head of a model as they are evaluated."""
        parts = {"trunk": self.trunk, "head": self.head}
        return {name: self._weights(part, run) for name, part in parts.items()}

    def _weights(self, part: nn.Module, run: int) -> dict[str, Tensor]:
        with self.optimiser.averaged():
            stacked = dict(part.named_parameters()) if self.models else {}
            return {
                name: (w[run] if name in stacked else w).cpu().clone()
                for name, w in part.state_dict().items()
            }

    def wait(self) -> None:
        """Return when the device has done all it was told to do."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def state(self, run: int = 0) -> dict[str, Any]:
        """All that later steps of a run depend on, for a checkpoint."""
        random = {"cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            random["cuda"] = torch.cuda.get_rng_state(self.device)
        optimiser = {name: rows.clone() for name, rows in self.optimiser.state(run).items()}
        state = {"tokens": self.tokens[run], "optimiser": optimiser, "random": random}
        return state | {"buffers": dict(self.model.named_buffers())}

    def restore(self, state: dict[str, Any], run: int = 0) -> None:
        """Continue a run from what `state` returned; those of a stack are at the same step."""
        self.tokens[run] = state["tokens"]
        self.optimiser.restore(state["optimiser"], run)
        for name, buffer in self.model.named_buffers():
            buffer.copy_(state["buffers"][name])
        torch.set_rng_state(state["random"]["cpu"])
        if self.device.type == "cuda" and "cuda" in state["random"]:
            torch.cuda.set_rng_state(state["random"]["cuda"], self.device)


def is_full(source: Source) -> bool:
    """Whether a run pads its jets to the limit of its recipe: most of them reach it.

    That costs little, and runs on jets of their own are then computed in a stack as they are alone.
    """
    jets, limit = source.train, source.spec.recipe.data.constituents
    return bool(jets.offsets[-1] - jets.offsets[0] >= FULL * limit * len(jets))


def equal_batches(sources: Sequence[Source]) -> list[list[int]]:
    """Places of the runs that a stack computes as each alone, to the last bit.

    Their steps have jets of the same lengths: they are the same jets, or padded to the limit. What
    is read of constituents depends on the jet: there they are the same jets.
    """
    found = defaultdict[Hashable, list[int]](list)
    for place, source in enumerate(sources):
        padded = is_full(source) and not shape_of(source.spec).reads_tokens
        found["full" if padded else (id(source.train), source.spec.seed)].append(place)
    return list(found.values())


def _order_of(source: Source) -> Order:
    """Which jets the steps of a run see."""
    spec, jets = source.spec, len(source.train)
    batch = spec.recipe.schedule.batch(jets, spec.epochs)
    seed = Seeds.of(spec.seed).order
    return Order(seed=seed, jets=jets, batch_size=batch, epochs=spec.epochs)


def shape_of(spec: RunSpec) -> Shape:
    """What decides the parameters and FLOPs of a run."""
    return Shape(
        model=spec.recipe.model,
        size=spec.size,
        features=spec.features,
        classes=len(spec.classes),
        constituents=spec.recipe.data.constituents,
    )


def _build(source: Source, shape: Shape) -> tuple[nn.Module, dict[str, Factors]]:
    """The model that a run starts from, and the factors of its weights."""
    spec, seeds = source.spec, Seeds.of(source.spec.seed)
    made = spec.size, spec.features, shape.outputs
    model, factors = build_model(
        spec.recipe.model, *made, trunk_seed=seeds.trunk, head_seed=seeds.head
    )
    if pretext := shape.reads_tokens:
        model, factors = read_tokens(model, pretext, shape, seeds.head, factors)
    trunk, _ = parts_of(model, spec.recipe)
    if source.trunk is not None:
        load_into(trunk, source.trunk, spec.size, spec.recipe)
    return model, factors


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

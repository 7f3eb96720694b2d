"""AdamW over one flat buffer, with the width rule, the head's own rate, clipping and the schedule.

All parameters become views of one vector, all gradients views of another, so that a step is a dozen
vector operations whatever the number of layers: the calls, not the arithmetic, are what a small
model pays for. The models of a stack (see `jetscale.models.stack`) have a row, a norm and a rate
each. The update is AdamW (arXiv 1711.05101) and equals ``torch.optim.AdamW`` after
``clip_grad_norm_``. Only matrices decay. The peak rate follows a law of width and steps, since a
fixed rate across sizes biases scaling exponents; warm-up is linear, then a cosine to zero at the
run's end. Beside the weights there may be their moving average, one more operation a step.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from jetscale.models.parametrization import Factors
from jetscale.study import Recipe

EPSILON = 1e-8
CLIP_EPSILON = 1e-6
MIN_WARMUP = 2


def schedule(step: int, steps: int, warmup: float) -> float:
    """Factor on the peak rate at ``step``, counted from 0, of ``steps``.

    Rises linearly over the first w = max(2, warmup x steps) steps, reaching 1 at step w - 1, then
    falls as a cosine that would reach 0 one step after the last.

    >>> [round(schedule(step, 6, 0.1), 2) for step in range(6)]
    [0.5, 1.0, 1.0, 0.85, 0.5, 0.15]
    """
    rising = max(MIN_WARMUP, round(warmup * steps))
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / (steps - rising)))


def average_weight(step: int, steps: int, average: float) -> float:
    """Share of the newest weights in their moving average at ``step``, counted from 0.

    The average forgets with the decay b = 1 - 1 / (average x steps). Its share of the newest is
    (1 - b) / (1 - b^(step + 1)): as Adam's own correction, so that after k steps it is a weighted
    mean of k weights, without the random ones that the run started from.

    >>> [round(average_weight(step, 40, 0.1), 2) for step in (0, 1, 2, 39)]
    [1.0, 0.57, 0.43, 0.25]
    """
    decay = 1 - 1 / max(1.0, average * steps)  # a time constant below a step is no averaging
    return float((1 - decay) / (1 - decay ** (step + 1)))


class FlatAdamW:
    """AdamW on a trunk and a head of P parameters, for a schedule of ``steps``.

    ``factors`` are those of the parameters by name, such as ``trunk.query``; none change nothing.

    Their parameters become views of ``weights``, their gradients lie in ``gradient``, (P + 1,) with
    one free place: the loop keeps the loss there, so that ranks sum both at once. For a stack of K
    models, whose peak rates are ``peaks``, both have a leading dimension of K.
    """

    def __init__(
        self,
        trunk: nn.Module,
        head: nn.Module,
        recipe: Recipe,
        width: int,
        steps: int,
        factors: Mapping[str, Factors] | None = None,
        peaks: Sequence[float] = (),
    ) -> None:
        self.recipe, self.steps = recipe, steps
        self.peak = peaks[0] if peaks else peak_rate(recipe, width, steps)
        rows = (len(peaks),) if peaks else ()
        named = {f"trunk.{name}": p for name, p in trunk.named_parameters()}
        named |= {f"head.{name}": p for name, p in head.named_parameters()}
        self.weights = torch.cat([p.detach().reshape(*rows, -1) for p in named.values()], dim=-1)
        self.parameters = self.weights.shape[-1]
        self.gradient = self.weights.new_zeros(*rows, self.parameters + 1)
        self._stacked = list(named.values()) if peaks else []
        self._first = torch.zeros_like(self.weights)
        self._second = torch.zeros_like(self.weights)
        self._scale = torch.empty_like(self.weights)
        self._decay = torch.zeros_like(self.weights)
        # one number is faster to add than a vector, and all that ``standard`` needs
        self._epsilon = torch.empty_like(self.weights) if factors else EPSILON
        first = 0
        for name, parameter in named.items():
            shape = parameter.shape[len(rows) :]
            part = slice(first, first + shape.numel())
            parameter.data = self.weights[..., part].view(parameter.shape)
            if not peaks:
                parameter.grad = self.gradient[part].view(shape)
            self._set(part, name, len(shape), (factors or {}).get(name, Factors()))
            first = part.stop
        self._decay *= self._scale
        # a row is moved by itself where rates differ, as it is alone, to the last bit
        apart = len(set(peaks)) > 1
        self._moves: list[tuple[Any, float]] = (
            list(enumerate(peaks)) if apart else [(..., self.peak)]
        )
        self._average = self.weights.clone() if recipe.optimiser.average else None

    def _set(self, part: slice, name: str, ndim: int, factors: Factors) -> None:
        """Set the rate, decay and epsilon of one parameter relative to those of the trunk."""
        optimiser = self.recipe.optimiser
        multiplier = optimiser.head_multiplier if name.startswith("head.") else 1.0
        self._scale[..., part] = multiplier * factors.rate
        if ndim > 1:  # for rate x decay as it was
            self._decay[..., part] = optimiser.weight_decay / factors.rate
        if isinstance(self._epsilon, Tensor):
            self._epsilon[..., part] = EPSILON * factors.epsilon

    def rate(self, step: int) -> float:
        """Learning rate of the trunk at ``step``, counted from 0; that of the first of a stack."""
        return self._rate(step, self.peak)

    def _rate(self, step: int, peak: float) -> float:
        return peak * schedule(step, self.steps, self.recipe.schedule.warmup)

    def backward(self, loss: Tensor) -> None:
        """Set ``gradient`` to that of a loss."""
        if not self._stacked:
            self.gradient.zero_()
            torch.autograd.backward(loss)
            return
        # torch does not accumulate into rows that are not dense without a warning
        # not all of a trunk need have a part in what it is pretrained to do
        found = torch.autograd.grad(loss, self._stacked, materialize_grads=True)
        torch.cat([part.flatten(1) for part in found], dim=1, out=self.gradient[:, :-1])

    @torch.no_grad()
    def step(self, step: int) -> None:
        """Clip the gradients to norm ``clip`` and update the weights; ``step`` counts from 0."""
        beta1, beta2 = self.recipe.optimiser.beta1, self.recipe.optimiser.beta2
        gradient = self.gradient[..., :-1]
        norm = torch.linalg.vector_norm(gradient, dim=-1, keepdim=True)
        gradient.mul_((self.recipe.optimiser.clip / (norm + CLIP_EPSILON)).clamp_(max=1.0))
        self._first.lerp_(gradient, 1 - beta1)
        self._second.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        root = self._second.sqrt().div_(math.sqrt(1 - beta2 ** (step + 1))).add_(self._epsilon)
        direction = (self._first * self._scale).div_(root)
        for row, peak in self._moves:
            rate, weights = self._rate(step, peak), self.weights[row]
            weights.addcmul_(weights, self._decay[row], value=-rate)
            weights.add_(direction[row], alpha=-rate / (1 - beta1 ** (step + 1)))
        if self._average is not None:
            share = average_weight(step, self.steps, self.recipe.optimiser.average)
            self._average.lerp_(self.weights, share)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Give the model its averaged weights within the block; the trained ones come back after.

        Without averaging they are the trained ones. Buffers, such as the running means of a batch
        norm, are those of training.
        """
        if self._average is None:
            yield
            return
        trained = self.weights.clone()
        self.weights.copy_(self._average)  # parameters are views: they follow
        try:
            yield
        finally:
            self.weights.copy_(trained)

    def state(self, row: int = 0) -> dict[str, Tensor]:
        """Weights, moments and, where there is one, the average of a model, for a checkpoint."""
        state = {"weights": self.weights, "first": self._first, "second": self._second}
        state |= {} if self._average is None else {"average": self._average}
        return {name: whole.view(-1, self.parameters)[row] for name, whole in state.items()}

    def restore(self, state: dict[str, Any], row: int = 0) -> None:
        """Continue from what `state` returned."""
        for name, tensor in self.state(row).items():
            tensor.copy_(state[name])


def peak_rate(recipe: Recipe, width: int, steps: int) -> float:
    """The largest learning rate of a run; its recipe has the law of this run alone."""
    return recipe.optimiser.law("scratch").at(width, steps)

"""What it takes to train a model for an objective: parameters and FLOPs; no torch needed.

A jet objective has the head of the architecture; one of constituents brings its own, which reads
some of them, and the trunk ends before it pools.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from jetscale.models.inputs import Features, Parameters
from jetscale.models.protocol import Architecture, architecture_named, flops_by_jet, token_flops
from jetscale.objectives.protocol import TokenObjective, outputs_of, token_objective
from jetscale.study import Model, ModelSize

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A model size with its inputs and what it is trained for.

    ``model`` is that of the recipe as a run follows it. Raises StudyError where architecture or
    objective are not known, or do not go together.
    """

    model: Model
    size: ModelSize
    features: Features
    classes: int
    constituents: int  # most of a jet

    @property
    def architecture(self) -> Architecture:
        """What the trunk is one of."""
        return architecture_named(self.model.architecture)

    @property
    def reads_tokens(self) -> TokenObjective | None:
        """The objective if it is one of constituents."""
        return token_objective(self.model.objective)

    @property
    def outputs(self) -> int:
        """Numbers for each jet; 1, the fewest that an architecture can build, where none are."""
        return 1 if self.reads_tokens else outputs_of(self.model.objective, self.classes)

    @property
    def parameters(self) -> Parameters:
        """Numbers of parameters of trunk and head."""
        counts = self.architecture.parameters(self.size, self.features, self.outputs)
        if (objective := self.reads_tokens) is None:
            return counts
        self._trunk()  # refuses an architecture without vectors of constituents
        head = objective.head_parameters(self.size, self.features, self.constituents)
        total = counts.total - counts.head + head
        return Parameters(total=total, non_embedding=counts.non_embedding, head=head)

    def training_flops(self, lengths: Ints, times: int = 1) -> float:
        """FLOPs, forward and backward, of jets of these lengths, each seen ``times`` times."""
        sums = {
            "jets": times * len(lengths),
            "constituents": times * int(lengths.sum()),
            "constituents_squared": times * int((lengths**2).sum()),
        }
        read = self.reads_tokens.tokens_read(lengths).sum() if self.reads_tokens else 0
        return self._flops(sums, times * int(read))

    def expected_flops(self, jets: int, lengths: NDArray[np.float64]) -> float:
        """The same for a number of jets whose lengths are distributed as some typical ones."""
        sums = {
            "jets": jets,
            "constituents": round(jets * float(lengths.mean())),
            "constituents_squared": round(jets * float((lengths**2).mean())),
        }
        whole = np.maximum(1, np.rint(lengths)).astype(np.int64)
        read = self.reads_tokens.tokens_read(whole).mean() if self.reads_tokens else 0
        return self._flops(sums, round(jets * float(read)))

    def flops_by_jet(self, lengths: Ints) -> NDArray[np.float64]:
        """(k,) FLOPs of each of k jets of these lengths."""
        if (objective := self.reads_tokens) is None:
            return flops_by_jet(self._trunk(), lengths)
        head = objective.head_flops(self.size, self.features)
        return flops_by_jet(self._trunk(), lengths) + head * objective.tokens_read(lengths)

    def _flops(self, sums: dict[str, int], read: int) -> float:
        flops = self._trunk()(**sums)
        if (objective := self.reads_tokens) is None:
            return flops
        return flops + read * objective.head_flops(self.size, self.features)

    def _trunk(self) -> Callable[..., float]:
        """FLOPs of all but the head of an objective's own, for sums over jets."""
        shape = self.size, self.features
        if self.reads_tokens:
            count = partial(token_flops, self.architecture, *shape)
            count(jets=0, constituents=0, constituents_squared=0)
            return count
        return partial(self.architecture.training_flops, *shape, self.outputs)

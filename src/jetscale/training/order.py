"""Which jets each optimiser step sees; numpy only.

Every epoch is a fresh permutation of all jets, cut into batches; the last one may be smaller. The
order depends on the seed and the step alone, so a resumed run needs no saved generator.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeds:
    """Independent seeds for the three random choices of a training run."""

    trunk: int
    head: int
    order: int

    @classmethod
    def of(cls, seed: int) -> "Seeds":
        """Three unrelated seeds derived from a training seed."""
        trunk, head, order = np.random.SeedSequence(seed).generate_state(3).tolist()
        return cls(trunk=trunk, head=head, order=order)


@dataclass(slots=True, kw_only=True)
class Order:
    """Batches of positions 0 .. jets - 1 over all epochs."""

    seed: int
    jets: int
    batch_size: int
    epochs: int
    _epoch: int = field(default=-1, init=False)
    _permutation: NDArray[np.int64] = field(init=False)

    @property
    def steps_per_epoch(self) -> int:
        """ceil(jets / batch_size)."""
        return -(-self.jets // self.batch_size)

    @property
    def steps(self) -> int:
        """Optimiser steps of the whole run."""
        return self.epochs * self.steps_per_epoch

    def rows(self, step: int) -> NDArray[np.int64]:
        """Positions of the jets of ``step``, counted from 0."""
        epoch, within = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._permutation = np.random.default_rng([self.seed, epoch]).permutation(self.jets)
            self._epoch = epoch
        first = within * self.batch_size
        return self._permutation[first : first + self.batch_size]

    def draws(self, step: int, columns: int) -> NDArray[np.float64]:
        """(jets, columns) uniform numbers, a row for each jet of `rows`.

        They depend on seed, step and columns alone: the same on any rank and after a resume.
        """
        jets = min(self.batch_size, self.jets - step % self.steps_per_epoch * self.batch_size)
        # not 0 at the end: a seed sequence takes [a, b] and [a, b, 0] for the same
        return np.random.default_rng([self.seed, step, 1]).random((jets, columns))

    def seed_of(self, step: int, rank: int) -> int:
        """A seed for what a model draws in a step on a rank after the first, as for dropout."""
        chance = np.random.SeedSequence([self.seed, step, 1 + rank])  # 1 is taken by `draws`
        return int(chance.generate_state(1, np.uint64)[0])

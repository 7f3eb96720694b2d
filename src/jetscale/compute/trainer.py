"""Ray Train without what serves data sets: jets come from files, so a group would wait for it."""

from typing import Any

from ray.train.torch import TorchTrainer

NOT_NEEDED = "DatasetsCallback"


class Trainer(TorchTrainer):  # type: ignore[misc]
    """A trainer whose groups start without the two actors of Ray Data.

    Each of them imports Ray anew, two seconds of a core before the first step. Both names are
    Ray's own: where they have changed, groups start as Ray would start them.
    """

    def _create_default_callbacks(self) -> list[Any]:
        callbacks = super()._create_default_callbacks()
        return [one for one in callbacks if type(one).__name__ != NOT_NEEDED]

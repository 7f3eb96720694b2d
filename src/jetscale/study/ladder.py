"""The ladder: which model sizes a study trains."""

from dataclasses import dataclass

from jetscale.study.checks import plain, positive_int, require


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSize:
    """One rung of the ladder: a transformer with ``layers`` blocks of ``width`` and ``heads``."""

    width: int
    layers: int
    heads: int

    def __post_init__(self) -> None:
        for name in ("width", "layers", "heads"):
            plain(self, name, positive_int("model size", name, getattr(self, name)))
        require(
            self.width % self.heads == 0,
            f"model size: width {self.width} is not a multiple of {self.heads} heads",
        )

    @property
    def name(self) -> str:
        """Short name, as in ``d32-l2-h4``."""
        return f"d{self.width}-l{self.layers}-h{self.heads}"

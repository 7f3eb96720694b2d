"""The size of a model in numbers."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """Numbers of trainable parameters."""

    total: int
    """All of them; the laws are fitted to this N."""
    non_embedding: int
    """Those between the embedding of the inputs and the head."""
    head: int
    """Those of the head."""

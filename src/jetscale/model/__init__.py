"""The jet transformer, its cost in parameters and FLOPs, and its optimiser."""

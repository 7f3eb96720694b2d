"""One spec in one process: training steps, evaluation, checkpoints."""

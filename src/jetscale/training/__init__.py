"""One cell in one process: training steps, evaluation, checkpoints."""

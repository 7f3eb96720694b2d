"""One training in one process: optimiser steps, evaluation, checkpoints."""

VERSION = 1
"""Raised when the optimiser, the schedule or the loop gives other weights from the same inputs."""

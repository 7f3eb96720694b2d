"""Pythia: hard processes, decays, showers, and the labels of jets."""

VERSION = 3  # raised when the simulation makes other jets from the same seed

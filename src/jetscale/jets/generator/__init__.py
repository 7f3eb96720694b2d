"""Pythia: hard processes, decays, showers, and the labels of jets."""

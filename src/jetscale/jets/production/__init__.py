"""Folders of simulated jets, made in chunks."""

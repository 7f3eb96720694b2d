"""Mixtures against each other: losses cell by cell, exponents, frontiers at a budget, tests."""

"""Objectives: what a model is trained to do and how it is scored."""

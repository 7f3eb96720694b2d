"""Architectures: what a trunk and a head are made of, and what they cost."""

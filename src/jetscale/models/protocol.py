"""PLACEHOLDER until the models branch is merged."""

from types import SimpleNamespace
from typing import Any


def architecture_named(name: str) -> Any:
    """X"""
    return SimpleNamespace(version=1)

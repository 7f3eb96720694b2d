"""The commands are silent while they work, except where a test is about what they say then."""

import pytest


@pytest.fixture(autouse=True)
def not_told(monkeypatch):
    """The lines that say what a command does; they are not printed."""
    lines = []
    monkeypatch.setattr("jetscale.cli.common._tell", lines.append)
    return lines

"""The `jetscale` command, one file per family of verbs."""

from jetscale.cli.app import cli, main, run_script

__all__ = ["cli", "main", "run_script"]

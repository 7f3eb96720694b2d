"""A command that trains: what a study says where its trainer is a program of somebody else's.

The command is a text that is split into words as a shell would do it, but no shell runs it. In each
word a name in braces stands for something of the run, see `FIELDS`.
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from string import Formatter

from jetscale.errors import unknown
from jetscale.study.checks import check_fields, plain, require
from jetscale.study.source import sweep_folder

FILES = ("parquet", "root")
FIELDS = {
    "kind": "pretrain or finetune",
    "mixture": "name of the mixture",
    "width": "of the model, from the ladder",
    "layers": "of the model",
    "heads": "of the model",
    "params": "N as planned",
    "examples": "D, the jets in the training file",
    "epochs": "passes over them",
    "steps": "optimiser steps as planned",
    "batch_size": "jets per step",
    "learning_rate": "largest rate, by the rate law of the recipe",
    "seed": "training seed",
    "train": "file of the D jets",
    "validation": "file of jets to validate on; empty where pretraining",
    "test": "file of jets for the loss; empty where pretraining",
    "trunk": "file that the pretraining left; empty from scratch",
    "save_trunk": "file to write the trunk to; empty unless pretraining",
    "checkpoint": "folder that is kept until the run has its record",
    "device": "cpu or cuda",
    "python": "the interpreter of jetscale",
    "out": "file to write the result to, JSON",
}
"""Names that a command may use, and what they stand for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A program that trains a run, in place of jetscale's own engine.

    >>> command = Command(run="python train.py --width={width} --data={train} --out={out}")
    >>> command.words({"width": "8", "train": "a b.parquet", "out": "o.json"})
    ['python', 'train.py', '--width=8', '--data=a b.parquet', '--out=o.json']
    """

    run: str
    """The command; it starts in the folder of the sweep file. Braces of its own are doubled."""
    version: int = 1
    """To be raised when the program changes so that it gives other losses: runs get new keys."""
    files: str = "parquet"
    """Format of the files of jets: ``parquet`` or ``root``."""
    folder: str = field(init=False, compare=False, repr=False, default="")
    """Where it starts; no part of its identity."""

    def __post_init__(self) -> None:
        check_fields(self, "command")
        plain(self, "folder", str(sweep_folder()))
        require(self.files in FILES, f"command: {unknown('files', self.files, FILES)}")
        shown = f"command {self.run[:60]!r}"
        try:
            words = shlex.split(self.run)
            parsed = [part for word in words for part in Formatter().parse(word)]
        except ValueError as error:  # a quote or a brace without its other half
            require(False, f"{shown}: {error}; close it, and write {{{{ for a brace of its own")
        require(bool(words), "command: run is empty; write the program and its options")
        for _, name, spec, conversion in parsed:
            if name is not None:
                require(name in FIELDS, f"{shown}: {unknown('field', name, FIELDS)}")
                bare = not (spec or conversion)
                require(bare, f"{shown}: {{{name}}} takes no format; write {{{name}}} alone")
        for name in ("train", "out"):
            require(name in self.fields, f"{shown}: has no {{{name}}}, {FIELDS[name]}; add it")

    @property
    def fields(self) -> set[str]:
        """Names of `FIELDS` that it uses."""
        return {name for _, name, _, _ in Formatter().parse(self.run) if name is not None}

    def words(self, values: Mapping[str, str]) -> list[str]:
        """The words of the command of one run, from a value for each of its fields.

        A value may be empty or hold spaces: it stays part of its word.
        """
        return [word.format_map(values) for word in shlex.split(self.run)]

    def to_dict(self) -> dict[str, str | int]:
        """What decides the result of its runs, as plain values."""
        return {"run": self.run, "version": self.version, "files": self.files}

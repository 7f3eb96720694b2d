"""The columns of a run table: their names here, under other people's names, and of an example.

A spelling is taken over where it can mean one thing alone, and a note says so; where two columns
could be meant, nobody guesses.
"""

import difflib
import re
from collections import Counter
from collections.abc import Mapping

import numpy as np
import pandas as pd

from jetscale.errors import TableError, unknown

REQUIRED = ("mixture", "params", "examples", "loss")
COVARIATES = ("unique_examples", "pretraining_examples")
"""What else can tell two runs apart: the distinct examples a run drew its ``examples`` from, and
the examples its model was pretrained on, 0 from scratch. Some laws need them."""
POSITIVE = (
    *("params", "examples", "loss", "flops", "params_non_embedding", "unique_examples"),
    "measured_loss",
)
NOT_NEGATIVE = ("pretraining_flops", "pretraining_examples", "error")
TEXTS = ("trunk", "noun", "search", "quantity", "device")
_OTHERS = ("seed", "regret", "regret_error", "seconds", "test_examples", "test_background")
KNOWN = tuple(dict.fromkeys((*REQUIRED, *COVARIATES, *POSITIVE, *NOT_NEGATIVE, *TEXTS, *_OTHERS)))
_NOUNS = ("token", "sample", "image", "jet", "event")
_ALIASES: dict[str, tuple[str, ...]] = {
    "mixture": ("dataset", "data_mixture", "training_data", "corpus", "arm"),
    "params": (
        *("n", "parameters", "n_params", "num_params", "n_parameters", "num_parameters"),
        *("model_size", "model_params", "nparams"),
    ),
    "examples": (
        *("d", "example", "data_size", "dataset_size"),
        *(f"{start}{noun}s" for noun in _NOUNS for start in ("", "n_", "num_", "train_")),
        *(f"training_{noun}s" for noun in _NOUNS),
    ),
    "loss": ("l", "test_loss", "validation_loss", "val_loss", "eval_loss", "final_loss"),
    "flops": (
        *("c", "flop", "compute", "training_flop", "training_flops", "train_flops"),
        *("total_flops", "training_compute"),
    ),
    "unique_examples": tuple(f"unique_{noun}s" for noun in _NOUNS),
    "pretraining_examples": tuple(f"pretraining_{noun}s" for noun in _NOUNS),
    "seed": ("random_seed",),
}
_PREFIXES = {f"{prefix}flops": 1e3 ** (i + 1) for i, prefix in enumerate("kmgtpez")}
_PREFIXES |= dict.fromkeys(("pf_days", "pflop_s_days", "petaflop_s_days"), 8.64e19)
_MULTIPLES = {"k": 1e3, "thousands": 1e3, "m": 1e6, "millions": 1e6, "b": 1e9, "billions": 1e9}
_MULTIPLES |= {"t": 1e12, "trillions": 1e12} | {f"1e{power}": 10.0**power for power in range(1, 25)}
_SIZES = ("params", "examples", "unique_examples", "pretraining_examples")
_LISTED, _SHOWN = 20, 60  # column names in a message, and characters of a name or a value
_COMPUTE = re.compile(r"flop|(^|_)compute($|_)|(^|_)pf_")  # in the name of a column
_SEARCHED = 1000  # columns that are searched for other spellings; a table may have a million


def parse_columns(text: str) -> dict[str, str]:
    """Return the columns that ``params=N,examples=tokens`` names, by what they are here.

    >>> parse_columns("params=N, loss=Final loss")
    {'params': 'N', 'loss': 'Final loss'}
    """
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    for name, sign, _ in pairs:
        if not sign:
            what = f"columns: {name.strip()!r} has no '=', needs NAME=COLUMN"
            raise TableError(f"{what}, e.g. params=N,examples=tokens")
    return {name.strip(): column.strip() for name, _, column in pairs}


def rename(
    frame: pd.DataFrame, asked: Mapping[str, str], score: str = ""
) -> tuple[pd.DataFrame, list[str]]:
    """Return a table whose columns have the names used here, and what was taken for what.

    ``asked`` are the columns a person named, that of a ``score`` too; raises TableError where one
    is not there, or where several could be meant. A mixture that is asked for as "" is one for all
    rows.
    """
    columns = [str(column) for column in frame.columns]
    twice = next((name for name, times in Counter(columns).items() if name and times > 1), None)
    if twice is not None:
        raise TableError(f"column {twice!r} is there twice; keep one")
    frame, notes = frame.set_axis(columns, axis=1), []
    for name, column in asked.items():
        if name not in (*KNOWN, score):
            raise TableError(unknown("column", name, KNOWN))
        if column not in columns and (column or name != "mixture"):
            raise TableError(f"columns: {name}={column}: {unknown('column', column, columns)}")
    found = dict(asked)
    taken = {*asked.values(), *KNOWN}
    for name in KNOWN:
        if name in asked or name in columns:
            continue
        near = [c for c in columns[:_SEARCHED] if c not in taken and _factor(name, c)]
        if len(near) > 1:
            cure = f"say which, e.g. --columns {name}={near[0]!r}"
            raise TableError(f"{' and '.join(map(repr, near))} can both be {name}; {cure}")
        if near:
            found[name] = near[0]
            notes.append(f"read {near[0]} as {name}")
    new = {name: frame[column] for name, column in found.items() if column}
    kept = frame.drop(columns=[*found.values(), *found], errors="ignore")
    out = pd.concat([kept, pd.DataFrame(new, index=frame.index)], axis=1)
    others = [c for c in columns[:_SEARCHED] if c in out and c not in KNOWN]
    if "mixture" not in out and all(_is_number(out[c]) for c in others):
        found["mixture"] = ""  # no column could name one
        notes.append("no column of mixtures: all runs are one mixture, 'all'")
    if found.get("mixture") == "":
        out["mixture"] = "all"
    return _filled(out, found, notes), notes


def _factor(name: str, column: str) -> float | None:
    """Return what a column is to be multiplied by to be this one; None where it is another.

    A unit stands behind the word, ``Compute (GFLOPs)``; behind one letter only in brackets.
    """
    plain, words = _plain(column), {name, *_ALIASES.get(name, ())}
    if plain in words:
        return 1.0
    if name not in ("flops", *_SIZES):
        return None
    prefixes = _PREFIXES if name == "flops" else {}
    if plain in prefixes:
        return prefixes[plain]
    for unit, factor in (_MULTIPLES | prefixes).items():
        word = plain.removesuffix(f"_{unit}")
        if word != plain and word in words and (len(word) > 1 or column.strip()[-1] in ")]"):
            return factor
    return None


def _filled(frame: pd.DataFrame, found: Mapping[str, str], notes: list[str]) -> pd.DataFrame:
    """Add what follows from other columns: the noun, a prefix of FLOPs, and D from C = 6 N D."""
    words = [w for w in _plain(found.get("examples", "")).split("_") if w not in _MULTIPLES]
    if "noun" not in frame and words and words[-1].removesuffix("s") in _NOUNS:
        frame["noun"] = words[-1].removesuffix("s")
    for name in [name for name in ("flops", *_SIZES) if name in found]:
        if (factor := _factor(name, found[name]) or 1.0) != 1:
            frame[name] = pd.to_numeric(frame[name], errors="coerce") * factor
            shown = "FLOPs" if name == "flops" else name
            notes.append(f"{found[name]}: {shown} are {factor:g} times the column")
    if {"params", "flops"} <= set(frame.columns) and "examples" not in frame:
        numbers = [pd.to_numeric(frame[name], errors="coerce") for name in ("flops", "params")]
        frame["examples"] = numbers[0] / (6 * numbers[1])
        notes.append("no column of examples: they are taken from C = 6 x params x examples")
    unread = [c for c in frame.columns[:_SEARCHED] if c not in KNOWN and _COMPUTE.search(_plain(c))]
    if "flops" not in frame and unread:
        notes.append(
            f"{unread[0][:_SHOWN]} is not read, as its unit is not known: compute is taken to be "
            "6 x params x examples; --columns flops=COLUMN names a column of FLOPs"
        )
    return frame


def check_required(frame: pd.DataFrame, columns: list[str]) -> None:
    """Refuse a table without a column that every table needs; the message says which may be it.

    ``columns`` are those the table came with.
    """
    for name in REQUIRED:
        if name in frame:
            continue
        spare = {c.lower(): c for c in columns[:_SEARCHED] if c not in KNOWN and len(c) <= _SHOWN}
        near = difflib.get_close_matches(name, list(spare), n=1, cutoff=0.5)
        alone = " (mixture= for one mixture)" if name == "mixture" else ""
        hint = f"add it, or give --columns {name}=COLUMN{alone}"
        hint = f"; rename {spare[near[0]]!r}" if near else f"; {hint}"
        listed = ", ".join(c[:_SHOWN] for c in columns[:_LISTED]) or "none"
        more = f" and {len(columns) - _LISTED} more" if len(columns) > _LISTED else ""
        raise TableError(f"missing column {name!r}{hint}; found: {listed}{more}")


def scale_notes(clean: pd.DataFrame, noun: str) -> list[str]:
    """Return a line where the stated FLOPs are powers of ten away from 6 N D.

    More than 6 N D may be right, as an example can be many tokens; three decades less cannot.
    """
    if "flops" not in clean:
        return []
    ratio = clean["flops"] / (6 * clean["params"] * clean["examples"])
    decades = float(np.log10(ratio).median())
    if -1.5 < decades < (1.5 if noun == "token" else 4.5):
        return []
    units = "are they GFLOPs or TFLOPs?" if decades < 0 else "are params in millions, or the like?"
    return [
        f"flops are 10^{decades:.1f} of 6 x params x examples: {units} budgets and FLOPs below are "
        "in the units of the column"
    ]


def _is_number(column: pd.Series) -> bool:
    return bool(pd.to_numeric(column, errors="coerce").notna().any())


def _plain(name: str) -> str:
    """A column's name in lower case, words joined by underscores: ``Model Size`` is model_size."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")

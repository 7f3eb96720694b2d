"""Names of MLflow runs, for people and never parsed.

MLflow's tables and legends cut a name after some 20 characters: what tells runs apart comes first.
"""

import time
from collections.abc import Mapping, Sequence

from jetscale.store.record import Record
from jetscale.words import short

_SHOWN = 20  # characters of a name that the UI shows
_UNSET = "unset"


def name_run(record: Record) -> str:
    """Mixture, N, D and seed; the long name of a mixture comes last, where it may be cut.

    >>> from types import SimpleNamespace as Some
    >>> run = {"kind": "finetune", "params": 12_490, "examples": 8000, "seed": 2}
    >>> name_run(Some(mixture="qcd+bsm", **run)), name_run(Some(mixture="half of qcd+bsm", **run))
    ('qcd+bsm 12.5k 8k s2', '12.5k 8k s2 half of qcd+bsm')
    """
    kind = "pre " if record.kind == "pretrain" else ""
    cell = f"{short(record.params)} {short(record.examples)} s{record.seed}"
    name = f"{kind}{record.mixture} {cell}"
    return name if len(name) <= _SHOWN else f"{kind}{cell} {record.mixture}"


def name_parent(name: str, told: Mapping[str, str], others: Sequence[Mapping[str, str]]) -> str:
    """The ``name`` of the first parent run of a study; of a later one its number and what changed.

    ``told`` are the settings of the new one, ``others`` those of the parents there are, the latest
    first.

    >>> now, before = {"recipe.schedule.epochs": "5"}, {"recipe.schedule.epochs": "9"}
    >>> name_parent("study mine", now, []), name_parent("study mine", now, [before])
    ('study mine', 'study 2 epochs=5')
    """
    if not others:
        return name
    latest = others[0]
    changed = [
        f"{key.rsplit('.', 1)[-1]}={told.get(key, _UNSET)[:_SHOWN]}"
        for key in (*told, *(latest.keys() - told.keys()))
        if key.startswith(("recipe.", "search.")) and told.get(key) != latest.get(key)
    ]
    number = f"{name.split(' ', 1)[0]} {len(others) + 1}"
    return f"{number} {', '.join(changed) or time.strftime('%Y-%m-%d')}"[:200]

"""Records of version 0.1 (schema 1) read as records of today.

Nothing is written: the old files stay as they are, under the keys they had.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from jetscale.digests import digest
from jetscale.store.record import BadRecord, Record, parse_record

SCHEMA = 1
_REFERENCE_WIDTH = 16
_SAME = (
    "study", "kind", "mixture", "parts", "width", "layers", "heads", "seed", "subset", "params",
    "params_non_embedding", "examples", "examples_seen", "steps", "flops", "flops_padded",
    "flops_6nd", "pretraining_flops", "validation_loss", "scores", "curve", "streams", "timings",
    "device", "host", "versions", "started", "finished",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Former:
    """What it takes to read the results of version 0.1 as those of a study of today."""

    keys: Mapping[str, str] = field(default_factory=dict)  # key of a run to the one it had
    recipe: Mapping[str, Any] = field(default_factory=dict)
    """The recipe of the study: equal keys mean equal settings."""


def upgrade_record(
    values: Mapping[str, Any], former: Former, name: str, pretraining_examples: int
) -> Record:
    """The record of today that a record of schema 1 describes.

    Version 0.1 dropped the tokens it computed. ``pretraining_examples`` are those of the trunk,
    whose record is another file. Raises BadRecord as `jetscale.store.record.parse_record`.
    """
    now, recipe = {old: new for new, old in former.keys.items()}, dict(former.recipe)
    try:
        pretraining, trunk = values["kind"] == "pretrain", values["trunk"]
        optimiser, timings = recipe["optimiser"], values["timings"]
        width_rule = (_REFERENCE_WIDTH / values["width"]) ** optimiser["width_exponent"]
        record = Record(
            **{name: values[name] for name in _SAME},
            key=now[values["key"]],
            trunk=None if trunk is None else now[trunk],
            trunk_sha256=None,
            model_sha256=None,
            epochs=recipe["schedule"]["pretraining_epochs" if pretraining else "epochs"],
            loss=None if pretraining else values["loss"],
            training_loss=values["curve"]["training_loss"][-1][1],
            pretraining_examples=pretraining_examples,
            constituents=round(values["flops_6nd"] / (6 * values["params_non_embedding"])),
            tokens=None,
            validation_scores={},
            peak_rate=optimiser["learning_rate"] * width_rule,
            jets_per_second=values["examples_seen"] / (timings["batches"] + timings["steps"]),
            ranks=1,
            recipe=recipe,
            recipe_digest=digest(recipe),
        )
    except (LookupError, TypeError, ValueError, ArithmeticError) as error:
        raise BadRecord(
            f"{name}: not a record of schema 1 ({type(error).__name__}: {error}); remove the file"
        ) from error
    return parse_record(asdict(record), name)

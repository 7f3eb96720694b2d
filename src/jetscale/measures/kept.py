"""The last measurement of a study on disk, where the report finds it.

It is kept with the parts of every mixture: a mixture that has changed since was not measured.
"""

import json
from pathlib import Path
from typing import Any

from jetscale.as_json import as_json
from jetscale.measures.result import MeasureTable
from jetscale.store.local import write_json
from jetscale.study import Study

NAME = "measures.json"


def keep(found: MeasureTable, study: Study, folder: Path) -> Path:
    """Write what was measured into the results folder of the study."""
    path = folder / NAME
    write_json(path, as_json(found) | {"parts": _parts(study)})
    return path


def kept(study: Study, folder: Path) -> dict[str, Any] | None:
    """What was measured last, as JSON has it; None unless all mixtures were."""
    try:
        found: dict[str, Any] = json.loads((folder / NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if found.get("parts") == _parts(study) else None


def _parts(study: Study) -> dict[str, dict[str, float]]:
    return {mixture.name: dict(mixture.parts) for mixture in study.mixtures if mixture.parts}

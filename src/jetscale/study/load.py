"""Reading a sweep file: a Python file with a function ``study()`` that returns a `Study`."""

import re
import runpy
from dataclasses import fields
from pathlib import Path

from jetscale.errors import StudyError, unknown
from jetscale.study import Mixture, ModelSize, Recipe, Study
from jetscale.study.recipe import GROUPS
from jetscale.study.source import Folders, Simulated


def load_study(path: Path) -> Study:
    """The Study that ``study()`` in a sweep file returns.

    Raises
    ------
    StudyError
        The file is missing, has no ``study`` function, fails, or names an unknown field.
    """
    if not path.is_file():
        raise StudyError(_missing(path))
    if path.suffix != ".py":
        raise StudyError(f"{path} is not a Python file; a run table is given by --runs {path}")
    try:
        content = runpy.run_path(str(path), run_name="jetscale_sweep")
        if not callable(content.get("study")):
            raise StudyError("no function 'study' that returns a Study")
        result = content["study"]()
    except StudyError as error:
        raise StudyError(f"{path}: {error}") from error
    except TypeError as error:
        raise StudyError(f"{path}: {_explain_type_error(error)}") from error
    except (Exception, SystemExit) as error:
        raise StudyError(f"{path}: {type(error).__name__}: {error}") from error
    if not isinstance(result, Study):
        raise StudyError(f"{path}: study() returned {type(result).__name__}, needs a Study")
    return result


def _missing(path: Path) -> str:
    folders = {path.parent, Path("sweeps")}
    known = sorted(p.as_posix() for folder in folders for p in folder.glob("*.py"))
    if not known:
        return f"no sweep file {path}; a sweep is a Python file with a function study()"
    return unknown("sweep file", path.as_posix(), known)


def _explain_type_error(error: TypeError) -> str:
    """The nearest field name when a value was given one it does not have."""
    match = re.match(r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'", str(error))
    types = (Study, Mixture, Recipe, *GROUPS.values(), ModelSize, Simulated, Folders)
    owners = {kind.__name__: kind for kind in types}
    if match is None or match[1] not in owners:
        return str(error)
    known = [f.name for f in fields(owners[match[1]])]
    return unknown(f"{match[1]} field", match[2], known)

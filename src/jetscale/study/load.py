"""Reading a sweep file: a Python file with a function ``study()`` that returns a `Study`."""

import re
import sys
import traceback
from contextlib import ExitStack, redirect_stdout
from dataclasses import fields
from pathlib import Path
from types import ModuleType

from jetscale import study as front
from jetscale.errors import StudyError, unknown
from jetscale.study import Study
from jetscale.study.function import vars_of
from jetscale.study.source import SWEEP_FOLDER


def load_study(path: str | Path) -> Study:
    """The Study of a sweep file; StudyError, with the line of the file, where it fails.

    A note of the error is what that line says. What the file prints goes to standard error:
    standard output is for results.
    """
    if not (path := Path(path)).is_file():
        raise StudyError(_missing(path))
    if path.suffix != ".py":
        table = f"fit, compare, allocate, power and report read a run table, by --runs {path}"
        raise StudyError(f"{path} is not a Python file; {table}")
    try:
        with redirect_stdout(sys.stderr), ExitStack() as stack:
            stack.callback(SWEEP_FOLDER.reset, SWEEP_FOLDER.set(path.absolute().parent))
            content = vars_of(path)
            if not callable(content.get("study")):
                raise StudyError("no function 'study' that returns a Study")
            result = content["study"]()
    except (Exception, SystemExit) as error:
        place, line = _place(path, error)
        wrong = StudyError(f"{place}: {_explain(error)}")
        if line:
            wrong.add_note(line)
        raise wrong from error
    if not isinstance(result, Study):
        raise StudyError(f"{path}: study() returned {type(result).__name__}, needs a Study")
    return result


def _missing(path: Path) -> str:
    files = [p for folder in {path.parent, Path("sweeps")} for p in folder.glob("*.py")]
    marked = re.compile(r"^def study\(", re.MULTILINE)
    known = sorted(p.as_posix() for p in files if marked.search(p.read_text(errors="replace")))
    none = f"no sweep file {path}; a sweep is a Python file with a function study()"
    return unknown("sweep file", path.as_posix(), known) if known else none


def _place(path: Path, error: BaseException) -> tuple[str, str]:
    """Where a user's own code led to an error, and what that line says.

    Own code is the sweep file, and what lies beside it.
    """
    if isinstance(error, SyntaxError) and error.filename:
        at, number, text = error.filename, error.lineno, error.text or ""
    else:
        folder, frames = path.resolve().parent, traceback.extract_tb(error.__traceback__)
        own = [
            frame  # "<string>", the code of a dataclass, is no file
            for frame in frames
            if Path(frame.filename).is_file() and Path(frame.filename).resolve().parent == folder
        ]
        if not own:
            return str(path), ""
        at, number, text = own[-1].filename, own[-1].lineno, own[-1].line or ""
    near = Path(at).resolve().parent == path.resolve().parent
    shown = path.parent / Path(at).name if near else at
    return f"{shown}:{number}", f"{number:>5} | {text.strip()}" if text.strip() else ""


def _explain(error: BaseException) -> str:
    """What went wrong; for a field or a name that is not there the nearest one."""
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    if isinstance(error, StudyError):
        return text
    match = re.match(r"(\w+)\.__init__\(\) (got an unexpected|missing) .*?('.*')", text)
    if isinstance(error, TypeError) and match is not None and hasattr(front, match[1]):
        names = re.findall(r"'(\w+)'", match[3])
        if match[2] == "missing":
            return f"{match[1]} lacks {' and '.join(names)}; write {match[1]}({names[0]}=..., ...)"
        known = [f.name for f in fields(getattr(front, match[1]))]
        return unknown(f"{match[1]} field", names[0], known)
    match = re.match(r"cannot import name '(\w+)' from '([\w.]+)'", text)
    if isinstance(error, ImportError) and match is not None and match[2] in sys.modules:
        place = sys.modules[match[2]]
        hidden = {name for name, value in vars(place).items() if isinstance(value, ModuleType)}
        public = [n for n in dir(place) if n not in hidden and not n.startswith("_")]
        return unknown(f"name of {match[2]}", match[1], public)
    return f"{type(error).__name__}: {text}"

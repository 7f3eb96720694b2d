"""A user's function as a value: where it lies, so that any process on any node can call it.

A function in a sweep file cannot be pickled by name, because the file is run, not imported: a
worker runs it again. Others are carried as module and name, with the folder to import from.
"""

import importlib
import inspect
import runpy
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import FunctionType
from typing import Any

from jetscale.errors import StudyError
from jetscale.sources import source_digest
from jetscale.study.checks import require

SWEEP = "jetscale_sweep"  # the name under which a sweep file is run
_NEEDS = "needs a function at the top level of a file"


@dataclass(frozen=True, slots=True)
class Function:
    """A top-level function of a file or module, to be called as such; equal if the sources are."""

    name: str
    source: str  # digest of its file and of what that imports, see `jetscale.sources`
    module: str = field(compare=False)  # to import; empty for a file that is run
    place: str = field(compare=False)  # the file to run, or the folder to import from

    @classmethod
    def of(cls, owner: str, function: object) -> "Function":
        """The reference to a function; StudyError, of ``owner``, if it is not at the top level."""
        if isinstance(function, Function):
            return function
        plain = inspect.unwrap(function) if isinstance(function, FunctionType) else None
        if not isinstance(function, FunctionType) or not isinstance(plain, FunctionType):
            raise StudyError(f"{owner} is {function!r}, {_NEEDS}")
        name, module = function.__qualname__, function.__module__
        file = Path(plain.__code__.co_filename).absolute()  # a decorator can lie in another one
        require("." not in name, f"{owner} is {function!r}, {_NEEDS}")
        require(file.is_file(), f"{owner} {name!r} is not in a file; write it into a Python file")
        other = "is another function than the one its file calls so; give it a name of its own"
        require(plain.__globals__.get(name) is function, f"{owner} {name!r} {other}")
        found = getattr(sys.modules.get(module), name, None)
        if module in ("__main__", SWEEP) or found is not function:
            return cls(name=name, source=source_digest(file), module="", place=str(file))
        depth = module.count(".") + (file.name == "__init__.py")
        place, source = str(file.parents[depth]), source_digest(file, module)
        return cls(name=name, source=source, module=module, place=place)

    def __call__(self, *arguments: Any) -> Any:
        """What the function returns."""
        return _load(self.module, self.place, self.name)(*arguments)


@lru_cache
def _load(module: str, place: str, name: str) -> Callable[..., Any]:
    if module and place not in sys.path:
        sys.path.insert(0, place)
    content = vars(importlib.import_module(module)) if module else vars_of(Path(place))
    function: Callable[..., Any] = content[name]
    return function


def vars_of(file: Path) -> dict[str, Any]:
    """What a sweep file defines; it may import modules that lie beside it."""
    folder = str(file.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return runpy.run_path(str(file), run_name=SWEEP)

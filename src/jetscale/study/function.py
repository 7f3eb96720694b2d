"""A user's function as a value: where it lies, so that any process on any node can call it.

A function in a sweep file cannot be pickled by name, because the file is run, not imported: a
worker runs it again. Others are carried as module and name, with the folder to import from.
"""

import ast
import importlib
import inspect
import runpy
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

from jetscale.errors import StudyError
from jetscale.study.checks import require

SWEEP = "jetscale_sweep"  # the name under which a sweep file is run


@dataclass(frozen=True, slots=True)
class Function:
    """A top-level function of a file or module, to be called as such; equal if the sources are."""

    name: str
    source: str  # with what it uses of its own file, without comments and layout
    module: str = field(compare=False)  # to import; empty for a file that is run
    place: str = field(compare=False)  # the file to run, or the folder to import from

    @classmethod
    def of(cls, owner: str, function: object) -> "Function":
        """The reference to a function; StudyError, of ``owner``, if it is not at the top level."""
        if isinstance(function, Function):
            return function
        if not isinstance(function, FunctionType) or "." in function.__qualname__:
            needs = "needs a function at the top level of a file"
            raise StudyError(f"{owner} is {function!r}, {needs}")
        name, module = function.__qualname__, function.__module__
        file = Path(function.__code__.co_filename).absolute()
        require(file.is_file(), f"{owner} {name!r} is not in a file; write it into a Python file")
        source, found = source_of(function), getattr(sys.modules.get(module), name, None)
        if module in ("__main__", SWEEP) or found is not function:
            return cls(name=name, source=source, module="", place=str(file))
        depth = module.count(".") + (file.name == "__init__.py")
        return cls(name=name, source=source, module=module, place=str(file.parents[depth]))

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


def source_of(function: FunctionType) -> str:
    """The text of a function, then of all that its file defines and it uses.

    A comment or another line width makes no other simulator; a changed constant does. Values are
    taken by the statements that make them: the text of a value may hold an address in memory.
    """
    texts: dict[str, str] = {}
    waiting: dict[str, Any] = {function.__name__: function}
    made = _statements(Path(function.__code__.co_filename))
    while waiting:
        name, value = waiting.popitem()
        if isinstance(value, FunctionType):
            if value.__code__.co_filename != function.__code__.co_filename:
                continue  # another file or a library: `version` of a corpus stands for those
            try:
                texts[name] = ast.unparse(ast.parse(textwrap.dedent(inspect.getsource(value))))
            except (OSError, TypeError, SyntaxError) as error:
                raise StudyError(f"the source of {name!r} cannot be read: {error}") from error
            used = {n: value.__globals__.get(n) for n in _names(value.__code__)}
            waiting |= {n: found for n, found in used.items() if n not in texts}
        elif name in made:
            texts[name] = "\n".join(map(ast.unparse, made[name]))
            nodes = [node for statement in made[name] for node in ast.walk(statement)]
            names = {node.id for node in nodes if isinstance(node, ast.Name)} - texts.keys()
            waiting |= {n: function.__globals__.get(n) for n in names & made.keys()}
        elif isinstance(value, bool | int | float | str):  # from another file
            texts[name] = f"{name} = {value!r}"
    return "\n".join(texts[name] for name in sorted(texts))


def _statements(file: Path) -> dict[str, list[ast.stmt]]:
    """Name to the statements at the top level of a file that bind it, imports aside."""
    found: dict[str, list[ast.stmt]] = {}
    for statement in ast.parse(file.read_text()).body:
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            names = [statement.name]
        else:
            nodes = (node for node in ast.walk(statement) if isinstance(node, ast.Name))
            names = [node.id for node in nodes if isinstance(node.ctx, ast.Store)]
        for name in names:
            found.setdefault(name, []).append(statement)
    return found


def _names(code: CodeType) -> set[str]:
    """Global names in a function's code, inner functions and comprehensions included."""
    inner = [_names(constant) for constant in code.co_consts if isinstance(constant, CodeType)]
    return set(code.co_names).union(*inner)

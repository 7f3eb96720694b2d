"""The identity of code that a user wrote: what its files say, whatever their layout."""

import ast
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from jetscale.digests import digest
from jetscale.errors import StudyError


def source_digest(file: Path, module: str = "") -> str:
    """Digest of a user's file and of the modules it imports that lie beside it or in its package.

    ``module`` is the name under which the file is imported; empty for one that is run. Whole files
    count, since what a function uses can be bound anywhere in them: a constant that is needed
    elsewhere alone makes another digest, too. Comments, docstrings and layout do not, nor does what
    a file does when it is run (``if __name__ == "__main__"``), nor the function ``study()`` of the first
    file: a study may grow. Installed packages, data files and what is imported by a computed name
    are not looked at.
    """
    depth = module.count(".") + (file.name == "__init__.py")
    root, top = file.parents[depth], module.split(".")[0]
    texts: dict[str, str] = {}
    waiting = {file, *(_files([root], module) if module else ())}
    while waiting:
        path = waiting.pop()
        tree = _parse(path)
        tree.body = [kept for node in tree.body for kept in _kept(node, path == file)]
        # the text rather than a dump of the tree, whose fields vary between versions of Python
        texts["" if path == file else path.relative_to(root).as_posix()] = ast.unparse(tree)
        package = path.relative_to(root).parts[:-1]
        for level, name in _imports(tree):
            base = package[: len(package) - level + 1] if level else ()
            full = ".".join((*base, name))
            if full.split(".")[0] == top or not root.name.endswith("-packages"):
                found = _files([root] if level else [root, path.parent], full)
                waiting |= {p for p in found if p.relative_to(root).as_posix() not in texts} - {file}
    return digest(texts)


def digest_of(reference: str, thing: Any) -> str | None:
    """Digest of the modules in which ``package.module:attribute`` is named and is defined.

    None where none of them has a file.
    """
    modules = {reference.partition(":")[0], getattr(thing, "__module__", None) or ""}
    digests = []
    for module in sorted(modules):
        file = getattr(sys.modules.get(module), "__file__", None)
        theirs = module.split(".")[0] not in sys.stdlib_module_names | {"jetscale"}
        if theirs and file is not None and Path(file).is_file():
            digests.append(source_digest(Path(file).absolute(), module))
    return digest(digests) if digests else None


def _parse(path: Path) -> ast.Module:
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError) as error:
        raise StudyError(f"the source of {path} cannot be read: {error}; mend the file") from error
    for node in ast.walk(tree):  # a text that stands alone does nothing: docstrings are such
        for name in ("body", "orelse", "finalbody"):
            if isinstance(block := getattr(node, name, None), list):
                setattr(node, name, [line for line in block if not _is_text(line)])
    return tree


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _kept(node: ast.stmt, first: bool) -> list[ast.stmt]:
    """The statements of one at the top level that count: none that runs a file or is ``study()``."""
    if isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'":
        return node.orelse
    return [] if first and isinstance(node, ast.FunctionDef) and node.name == "study" else [node]


def _imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Level (dots before it) and name of all that may be a module in the imports of a file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield node.level, f"{node.module}.{alias.name}" if node.module else alias.name


def _files(folders: Iterable[Path], module: str) -> Iterator[Path]:
    """Files of a module and of the packages it lies in, in the first folder that has any."""
    names = module.split(".")
    for folder in folders if names[0] != "jetscale" else ():  # its versions stand beside its code
        stems = [folder.joinpath(*names[:n]) for n in range(1, len(names) + 1)]
        files = [file for stem in stems for file in (stem / "__init__.py", stem.with_suffix(".py"))]
        if found := [file for file in files if file.is_file()]:
            yield from found
            return

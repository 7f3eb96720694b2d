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
    count, since what a function uses can be bound anywhere in them: a constant that ``study()``
    alone needs, as a ladder, makes another digest, too. Comments, docstrings and layout do not, nor
    does what a file does when it is run (``if __name__ == "__main__"``), nor the function
    ``study()`` of the first file: a study may grow. Installed packages, data files and what is
    imported by a computed name are not looked at.
    """
    depth = module.count(".") + (file.name == "__init__.py")
    root, top = file.parents[depth], module.split(".")[0]
    texts, seen = dict[str, str](), set[Path]()
    waiting = {file, *_files([root], module)}
    while waiting:
        seen.add(path := waiting.pop())
        try:
            tree = _Bare().visit(ast.parse(path.read_bytes()))
        except (OSError, SyntaxError, ValueError) as error:
            raise StudyError(f"the source of {path} cannot be read: {error}; mend it") from error
        if path == file:
            tree.body = [line for line in tree.body if getattr(line, "name", "") != "study"]
        # the text rather than a dump of the tree, whose fields vary between versions of Python
        texts["" if path == file else path.relative_to(root).as_posix()] = ast.unparse(tree)
        package = path.relative_to(root).parts[:-1]
        for level, name in _imports(tree):
            base = package[: len(package) - level + 1] if level else ()
            full = ".".join((*base, name))
            if full.split(".")[0] == top or not root.name.endswith("-packages"):
                waiting |= {*_files([root] if level else [root, path.parent], full)} - seen
    return digest(texts)


def digest_of(reference: str, thing: Any) -> str | None:
    """Digest of the modules that name and define ``package.module:attribute``; None without one."""
    modules = {reference.partition(":")[0], getattr(thing, "__module__", None) or ""}
    ours = sys.stdlib_module_names | {"jetscale"}
    theirs = sorted(module for module in modules if module.split(".")[0] not in ours)
    files = [(getattr(sys.modules.get(module), "__file__", None), module) for module in theirs]
    found = [source_digest(Path(f).absolute(), m) for f, m in files if f and Path(f).is_file()]
    return digest(found) if found else None


class _Bare(ast.NodeTransformer):
    """Takes away what does nothing when a file is imported."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        """Nothing for a text that stands alone, as docstrings do."""
        return None if isinstance(node.value, ast.Constant) else node

    def visit_If(self, node: ast.If) -> Any:
        """What is left of a statement that asks whether the file is run."""
        self.generic_visit(node)
        return node.orelse if ast.unparse(node.test) == "__name__ == '__main__'" else node


def _imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Level (dots before it) and name of all that may be a module in the imports of a file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = getattr(node, "module", None)
            for alias in node.names:
                yield getattr(node, "level", 0), f"{module}.{alias.name}" if module else alias.name


def _files(folders: Iterable[Path], module: str) -> Iterator[Path]:
    """Files of a module and of the packages it lies in; none of ours, which have versions."""
    names = module.split(".")
    for folder in folders if names[0] not in ("", "jetscale") else ():
        stems = [folder.joinpath(*names[:n]) for n in range(1, len(names) + 1)]
        files = [file for stem in stems for file in (stem / "__init__.py", stem.with_suffix(".py"))]
        yield from (file for file in files if file.is_file())

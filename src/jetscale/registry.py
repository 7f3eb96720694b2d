"""Names that a recipe may use, and what they stand for.

A room with a protocol keeps one `Registry`. A name is found in three ways: it is built in, it was
registered in this process, or it is a reference ``package.module:attribute`` that is imported. A
reference is the form that travels: a worker process on another machine resolves it too.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Generic, TypeVar

from jetscale.errors import StudyError, unknown

T = TypeVar("T")


class Registry(Generic[T]):
    """Things of one kind by name.

    Args:
        what: What a thing is called in messages, as ``architecture``.
        built_in: Name to reference. A reference is imported when its name is asked for, so that
            planning needs none of the packages behind it.
        accept: Makes a thing of what a reference names, or raises StudyError; gets the reference
            and what was found there.
    """

    def __init__(
        self, what: str, built_in: Mapping[str, str], accept: Callable[[str, Any], T]
    ) -> None:
        self.what = what
        self.built_in = built_in
        self.accept = accept
        self.known: dict[str, T] = {}

    def register(self, name: str, thing: T) -> None:
        """Let ``name`` stand for ``thing``; a name registered before gets the new thing.

        Raises:
            StudyError: The name is built in, or looks like a reference.
        """
        if name in self.built_in or ":" in name:
            raise StudyError(
                f"{self.what} {name!r} cannot be registered: the name is built in or holds a "
                "colon; choose another name"
            )
        self.known[name] = thing

    def find(self, name: str) -> T:
        """The thing that ``name`` stands for.

        Raises:
            StudyError: The name is not known, or its reference cannot be imported or is of another
                kind.
        """
        if name not in self.known:
            reference = self.built_in.get(name, name)
            if ":" not in reference:
                names = {**self.built_in, **self.known}
                raise StudyError(f"{unknown(self.what, name, names)}; or package.module:attribute")
            self.known[name] = self.accept(name, self._import(reference))
        return self.known[name]

    def _import(self, reference: str) -> Any:
        path, _, attribute = reference.partition(":")
        where = f"{self.what} {reference!r}"
        try:
            module = import_module(path)
        except Exception as error:  # the module is the user's: it can raise anything
            line = " ".join(str(error).split())
            raise StudyError(
                f"{where}: importing {path!r} failed with {type(error).__name__}: {line}; it must "
                "be installed or lie beside the sweep file"
            ) from error
        if not hasattr(module, attribute):
            names = [name for name in vars(module) if not name.startswith("_")]
            raise StudyError(f"{where}: {unknown('attribute', attribute, names)}")
        return getattr(module, attribute)

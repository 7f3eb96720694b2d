"""Names that a recipe may use, and what they stand for.

A room with a protocol keeps one `Registry`. A name is found in three ways: it is built in, it was
registered in this process, or it is a reference ``package.module:attribute`` that is imported. A
reference is the form that travels: a worker process on another machine resolves it too.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Generic, TypeVar, cast

from jetscale.errors import StudyError, unknown
from jetscale.sources import digest_of

T = TypeVar("T")


class Registry(Generic[T]):
    """Things of one kind by name; messages call a thing ``what``, as ``architecture``.

    ``built_in`` is name to reference, imported when asked for. ``accept`` makes a thing of a
    reference and what was found there, or raises StudyError.
    """

    def __init__(
        self, what: str, built_in: Mapping[str, str], accept: Callable[[str, Any], T]
    ) -> None:
        self.what, self.built_in, self.accept = what, built_in, accept
        self.known: dict[str, T] = {}

    def register(self, name: str, thing: T) -> None:
        """Let ``name`` stand for ``thing``; StudyError if it is built in or like a reference."""
        if not isinstance(name, str) or name in self.built_in or ":" in name:
            raise StudyError(
                f"{self.what} {name!r} cannot be registered: the name is built in, no text or "
                "holds a colon; choose another name"
            )
        self.known[name] = self.accept(name, thing)

    def find(self, name: str) -> T:
        """The thing that ``name`` stands for; StudyError if there is none or it is of no use."""
        if name not in self.known:
            reference = self.built_in.get(name, name)
            if ":" not in reference:
                names = {**self.built_in, **self.known}
                raise StudyError(f"{unknown(self.what, name, names)}; or package.module:attribute")
            where, (path, _, attribute) = f"{self.what} {reference!r}", reference.partition(":")
            try:
                module = import_module(path)
            except (Exception, SystemExit) as error:  # the module is the user's
                line = " ".join(str(error).split())
                raise StudyError(
                    f"{where}: importing {path!r} failed with {type(error).__name__}: {line}; it "
                    "must be installed or lie beside the sweep file, or beside the model"
                ) from error
            if not hasattr(module, attribute):
                public = [name for name in vars(module) if not name.startswith("_")]
                raise StudyError(f"{where}: {unknown('attribute', attribute, public)}")
            self.known[name] = self.accept(name, getattr(module, attribute))
        return self.known[name]

    def version(self, name: str) -> int | str:
        """The ``version`` of a thing, as it enters keys; StudyError where it is no number or text.

        A class of a user's that has that of jetscale's class adds the digest of its own source.
        """
        thing: Any = self.find(name)
        version: Any = getattr(thing, "version", None)
        if type(version) not in (int, str):
            needs = "needs a whole number or a text"
            raise StudyError(f"{self.what} {name!r}: version is {version!r}, {needs}")
        kinds = (thing, *type(thing).__mro__)
        owner = next((k for k in kinds if "version" in getattr(k, "__dict__", ())), thing)
        ours = [kind.__module__.startswith("jetscale.") for kind in (owner, type(thing))]
        inherited = digest_of(name, thing) if ours == [True, False] else None
        return f"{version}+{inherited}" if inherited else cast("int | str", version)

import sys

import pytest

from jetscale.errors import StudyError
from jetscale.registry import Registry


def accept(reference, found):
    if not isinstance(found, int):
        raise StudyError(f"{reference} is {found!r}")
    return found


@pytest.fixture
def registry():
    return Registry("number", {"page": "mmap:PAGESIZE"}, accept)


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes a module that can be imported."""
    monkeypatch.syspath_prepend(tmp_path)
    written = []

    def write(name, text):
        (tmp_path / f"{name}.py").write_text(text)
        written.append(name)

    yield write
    for name in written:
        sys.modules.pop(name, None)


def test_a_built_in_name_is_imported_when_it_is_asked_for(registry):
    assert registry.known == {}
    assert registry.find("page") > 0


def test_a_registered_name_can_be_replaced(registry):
    registry.register("two", 2)
    assert registry.find("two") == 2
    registry.register("two", 3)
    assert registry.find("two") == 3


@pytest.mark.parametrize("name", ["page", "a:b"])
def test_names_with_another_meaning_cannot_be_registered(registry, name):
    with pytest.raises(StudyError, match=f"number '{name}' cannot be registered"):
        registry.register(name, 1)


def test_a_reference_is_imported_once(registry, module):
    module("mine_once", "import itertools\nSEVEN = 7\n")
    assert registry.find("mine_once:SEVEN") == 7
    sys.modules["mine_once"].SEVEN = 8
    assert registry.find("mine_once:SEVEN") == 7


def test_an_unknown_name_shows_the_nearest_and_the_other_form(registry):
    registry.register("seven", 7)
    with pytest.raises(
        StudyError, match=r"unknown number 'sevn'; did you mean 'seven'.*or package"
    ):
        registry.find("sevn")


def test_errors_of_a_reference_are_one_line(registry, module):
    with pytest.raises(StudyError, match=r"'no_such_module:x': importing .* ModuleNotFoundError"):
        registry.find("no_such_module:x")
    module("mine_broken", "raise ValueError('two\\nlines')\n")
    with pytest.raises(StudyError, match="failed with ValueError: two lines; it must be installed"):
        registry.find("mine_broken:x")
    module("mine_text", "TEXT = 'x'\n")
    with pytest.raises(StudyError, match="unknown attribute 'TXT'; did you mean 'TEXT'"):
        registry.find("mine_text:TXT")
    with pytest.raises(StudyError, match="mine_text:TEXT is 'x'"):
        registry.find("mine_text:TEXT")

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


class Theirs:
    def __init__(self, version):
        self.version = version


@pytest.mark.parametrize("version", [None, 1.5, float("nan"), b"1", object(), True])
def test_a_version_must_be_able_to_stand_in_a_key(version):
    registry = Registry("thing", {}, lambda name, found: found)
    registry.register("mine", Theirs(version))
    with pytest.raises(StudyError, match=r"thing 'mine': version is .*, needs a whole number"):
        registry.version("mine")
    registry.register("mine", Theirs("second"))
    assert registry.version("mine") == "second"


def test_what_inherits_a_version_of_ours_has_the_digest_of_its_own_source(tmp_path, monkeypatch):
    text = "from jetscale.objectives.classify import Classify\nclass Mine(Classify):\n    K = 3\n"
    (tmp_path / "mine_inherits.py").write_text(text + "MINE = Mine()\n")
    monkeypatch.syspath_prepend(tmp_path)

    def version():
        built_in = {"classify": "jetscale.objectives.classify:CLASSIFY"}
        registry = Registry("objective", built_in, lambda name, found: found)
        assert registry.version("classify") == 1
        return registry.version("mine_inherits:MINE")

    first = version()
    assert first.startswith("1+")
    (tmp_path / "mine_inherits.py").write_text(text.replace("3", "4") + "MINE = Mine()\n")
    assert version() != first
    (tmp_path / "mine_inherits.py").write_text(text + "    version = 7\nMINE = Mine()\n")
    sys.modules.pop("mine_inherits")
    assert version() == 7


def test_an_import_that_exits_is_one_line(registry, module):
    module("mine_exits", "import sys\nsys.exit('no licence')\n")
    with pytest.raises(StudyError, match="failed with SystemExit: no licence"):
        registry.find("mine_exits:x")

"""Functions of users' files, called in this and in other processes."""

import pickle
import subprocess
import sys
from multiprocessing import get_context

import pytest

from jetscale.errors import StudyError
from jetscale.sources import source_digest
from jetscale.study.function import Function, vars_of

FILE = """
import numpy as np
from beside import add

SCALE = 2
ARRAY = np.array([1.0])

class Seven:
    def get(self):
        return 7

def tabled(x):
    return x

TABLE = {'a': tabled}

def helper(x):
    return SCALE * x

def inner(x):
    return sum(helper(y) for y in range(x))

def decorated(function):
    return function

def function(x):  # a comment
    return add(inner(x), 1 + 0 * (len(ARRAY) + Seven().get() + len(TABLE)))

# later

def study():
    return 'small'

if __name__ == "__main__":
    print('run')
else:
    SCALE = 4 - SCALE  # imported
"""


@pytest.fixture
def sweep(tmp_path):
    """A file that is no module, with a module beside it."""
    (tmp_path / "beside.py").write_text("def add(a, b):\n    return a + b\n")
    path = tmp_path / "my-sweep.py"  # cannot be imported by that name
    path.write_text(FILE)
    return path


def of(path, text=None):
    if text is not None:
        path.write_text(text)
    return Function.of("simulate", vars_of(path)["function"])


@pytest.mark.slow
def test_a_function_of_a_run_file_works_in_a_process_of_its_own(sweep):
    function = of(sweep)
    assert function(4) == 13
    assert (function.module, function.name) == ("", "function")
    with get_context("spawn").Pool(1) as pool:
        assert pool.map(function, [1, 4]) == [1, 13]


@pytest.mark.slow
def test_it_works_where_nothing_but_the_package_is_known(sweep, tmp_path):
    (tmp_path / "f.pickle").write_bytes(pickle.dumps(of(sweep)))
    code = "import pickle, sys; print(pickle.load(open(sys.argv[1], 'rb'))(4))"
    command = [sys.executable, "-c", code, tmp_path / "f.pickle"]
    result = subprocess.run(command, capture_output=True, text=True, check=True, cwd="/")
    assert result.stdout.strip() == "13"


@pytest.mark.slow
def test_the_source_is_the_same_in_every_process(sweep):
    code = (
        "import sys, pathlib; from jetscale.study.function import Function, vars_of; "
        "print(Function.of('s', vars_of(pathlib.Path(sys.argv[1]))['function']).source)"
    )
    command = [sys.executable, "-c", code, str(sweep)]
    texts = {
        subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(2)
    }
    assert texts == {of(sweep).source + "\n"}


@pytest.mark.slow
def test_a_function_of_a_module_is_imported(sweep, tmp_path, monkeypatch):
    package = tmp_path / "mypackage"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "simulator.py").write_text(
        "from . import other\n\ndef f(x):\n    return other.K * x\n"
    )
    (package / "other.py").write_text("K = 3\n")
    monkeypatch.syspath_prepend(tmp_path)
    function = Function.of("simulate", __import__("mypackage.simulator").simulator.f)
    assert (function.module, function.place) == ("mypackage.simulator", str(tmp_path))
    assert function(2) == 6
    with get_context("spawn").Pool(1) as pool:
        assert pool.apply(function, (2,)) == 6


@pytest.mark.parametrize(
    ("change", "same"),
    [
        (("# a comment", "# another one"), True),
        (("ARRAY = np.array([1.0])", "ARRAY = np.array([2.0])"), False),
        (("return 7", "return 8"), False),
        (("TABLE = {'a': tabled}", "TABLE = {'b': tabled}"), False),
        (("    return SCALE * x", "\n    return (SCALE\n            * x)"), True),
        (("    return SCALE * x", '    """What it does."""\n    return SCALE * x'), True),
        (("SCALE = 2", "SCALE = 3"), False),
        (("SCALE * x", "SCALE + x"), False),
        (("add(inner(x), 1", "add(inner(x), 2"), False),
        # what a function uses need not be named in its code
        (("def function(x)", "def function(x, scale=SCALE)"), False),
        (("def function(x)", "def function(x, *, scale=SCALE)"), False),
        (("def function(x)", "@decorated\ndef function(x)"), False),
        (("# later", "TABLE['a'] = helper"), False),
        (("# later", "Seven.more = 8"), False),
        (("# later", "ARRAY[0] = 3"), False),
        (("# later", "def change():\n    global SCALE\n    SCALE = 3\n\nchange()"), False),
        # a study may grow, and a file may be run
        (("return 'small'", "return 'large'"), True),
        (("print('run')", "print('ran')"), True),
        (("4 - SCALE", "0 + SCALE"), False),
    ],
)
def test_equal_are_functions_that_do_the_same(sweep, change, same):
    assert change[0] in FILE
    before = of(sweep)
    after = of(sweep, FILE.replace(*change))
    assert (before == after) is same
    moved = of(sweep.with_name("moved.py"), FILE)
    assert moved == before


@pytest.mark.parametrize(
    ("name", "old", "new", "same"),
    [
        ("beside.py", "1.0", "2.0", False),
        ("beside.py", "# a comment", "# another", True),
        ("farther.py", "K = 3", "K = 4", False),
        ("own/__init__.py", "", "K = 4", False),
        ("own/near.py", "K = 3", "K = 4", False),
        ("own/sub/deep.py", "K = 3", "K = 4", False),
        ("unused.py", "K = 3", "K = 4", True),
        ("own/unused.py", "K = 3", "K = 4", True),
    ],
)
def test_modules_beside_the_file_count(tmp_path, name, old, new, same):
    files = {
        "beside.py": "# a comment\ndef f():\n    import farther\n    return 1.0 * farther.K\n",
        "farther.py": "import math, json, numpy as np, no_such_module_of_ours\nK = 3",
        "own/__init__.py": "",
        "own/near.py": "from .sub import deep\nfrom . import near\nK = 3",
        "own/sub/deep.py": "from ..near import *\nK = 3",  # a folder without __init__.py
        "unused.py": "K = 3",
        "own/unused.py": "K = 3",
        "sweep.py": "import beside, own.near\nimport jetscale.study\ndef f(x):\n    return x",
    }
    for file, text in files.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(text)
    before = source_digest(tmp_path / "sweep.py")
    assert before == source_digest(tmp_path / "sweep.py", "sweep")
    (tmp_path / name).write_text(files[name].replace(old, new) if old else new)
    assert (source_digest(tmp_path / "sweep.py") == before) is same
    module = source_digest(tmp_path / "own/near.py", "own.near")
    assert module != before


def test_installed_packages_do_not_count_and_a_file_must_be_python(tmp_path):
    folder = tmp_path / "site-packages"
    (folder / "mine").mkdir(parents=True)
    (folder / "mine" / "model.py").write_text("import other\nfrom . import layers")
    (folder / "mine" / "layers.py").write_text("K = 3")
    (folder / "other.py").write_text("K = 3")
    before = source_digest(folder / "mine" / "model.py", "mine.model")
    (folder / "other.py").write_text("K = 4")
    assert source_digest(folder / "mine" / "model.py", "mine.model") == before
    (folder / "mine" / "layers.py").write_text("K = 4")
    assert source_digest(folder / "mine" / "model.py", "mine.model") != before
    (folder / "mine" / "layers.py").write_text("K = ")
    with pytest.raises(StudyError, match=r"layers\.py cannot be read: .*; mend it"):
        source_digest(folder / "mine" / "model.py", "mine.model")


def test_a_decorated_function_is_that_of_its_own_file(sweep, tmp_path):
    (tmp_path / "decorators.py").write_text(
        "import functools\ndef twice(f):\n    @functools.wraps(f)\n"
        "    def wrapper(x):\n        return 2 * f(x)\n    return wrapper\n"
    )
    text = FILE.replace(
        "def function(x)", "from decorators import twice\n\n@twice\ndef function(x)"
    )
    function = of(sweep, text)
    assert function.place == str(sweep)
    assert function(4) == 26
    (tmp_path / "decorators.py").write_text(
        (tmp_path / "decorators.py").read_text().replace("2 * f(x)", "3 * f(x)")
    )
    assert of(sweep) != function
    sys.modules.pop("decorators")


def test_a_function_that_its_file_calls_otherwise_is_refused(sweep):
    sweep.write_text(FILE + "\nfirst = function\n\ndef function(x):\n    return x\n")
    with pytest.raises(StudyError, match="simulate 'function' is another function than the one"):
        Function.of("simulate", vars_of(sweep)["first"])


def test_what_is_no_top_level_function_is_refused(sweep):
    def local(x):
        return x

    for bad in (local, lambda x: x, 3, Function):
        with pytest.raises(StudyError, match=r"simulate is .*, needs a function at the top level"):
            Function.of("simulate", bad)
    scope = {"__name__": "notebook"}
    exec(compile("def f(x):\n    return x\n", "<cell 3>", "exec"), scope)
    with pytest.raises(StudyError, match="'f' is not in a file; write it into a Python file"):
        Function.of("simulate", scope["f"])


def test_a_reference_stays_a_reference(sweep):
    function = of(sweep)
    assert Function.of("simulate", function) is function

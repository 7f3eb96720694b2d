"""Functions of users' files, called in this and in other processes."""

import pickle
import subprocess
import sys
from multiprocessing import get_context

import pytest

from jetscale.errors import StudyError
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

def function(x):  # a comment
    return add(inner(x), 1 + 0 * (len(ARRAY) + Seven().get() + len(TABLE)))
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


def test_a_function_of_a_run_file_works_in_a_process_of_its_own(sweep):
    function = of(sweep)
    assert function(4) == 13
    assert (function.module, function.name) == ("", "function")
    with get_context("spawn").Pool(1) as pool:
        assert pool.map(function, [1, 4]) == [1, 13]


def test_it_works_where_nothing_but_the_package_is_known(sweep, tmp_path):
    (tmp_path / "f.pickle").write_bytes(pickle.dumps(of(sweep)))
    code = "import pickle, sys; print(pickle.load(open(sys.argv[1], 'rb'))(4))"
    command = [sys.executable, "-c", code, tmp_path / "f.pickle"]
    result = subprocess.run(command, capture_output=True, text=True, check=True, cwd="/")
    assert result.stdout.strip() == "13"


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
    assert " at 0x" not in texts.pop()


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
        (("SCALE = 2", "OTHER = 1\nSCALE = 2"), True),
        (("SCALE = 2", "SCALE = 3"), False),
        (("SCALE * x", "SCALE + x"), False),
        (("add(inner(x), 1", "add(inner(x), 2"), False),
    ],
)
def test_equal_are_functions_that_do_the_same(sweep, change, same):
    before = of(sweep)
    after = of(sweep, FILE.replace(*change))
    assert (before == after) is same
    moved = of(sweep.with_name("moved.py"), FILE)
    assert moved == before


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

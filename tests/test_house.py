"""The rules of the house: who may import whom, how files look."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"
MODULES = {
    ".".join(p.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__"): p
    for p in sorted(SOURCE.rglob("*.py"))
}
MAY_IMPORT = {
    "ray": {
        "jetscale.jets.ingest_many",
        "jetscale.jets.ray_data",
        "jetscale.mixtures.prepare",
        "jetscale.sweep.cluster",
    },
    "h5py": {"jetscale.jets.formats"},
    "hdf5plugin": {"jetscale.jets.formats.hdf5"},
    "uproot": {"jetscale.jets.formats"},
    "torch": {
        "jetscale.model",
        "jetscale.training",
        "jetscale.sweep.worker",
        "jetscale.sweep.cluster",
    },
    "mlflow": {"jetscale.sweep.tracking"},
    "pythia8mc": {"jetscale.jets.simulate", "jetscale.jets.gun"},
    "fastjet": {"jetscale.jets.recluster"},
    "awkward": {"jetscale.jets"},
    "rich": {
        "jetscale.display",
        "jetscale.display_checks",
        "jetscale.display_jets",
        "jetscale.display_measure",
        "jetscale.display_power",
        "jetscale.display_scaling",
    },
    "click": {
        "jetscale.cli",
        "jetscale.cli_analysis",
        "jetscale.cli_base",
        "jetscale.cli_jets",
        "jetscale.cli_measure",
        "jetscale.cli_power",
    },
    "plotly": {"jetscale.report"},
}
WITHOUT_TORCH = ("jetscale.model.flops", "jetscale.plan", "jetscale.scaling", "jetscale.report")
FLOW = {  # a room and what it may import of ours
    "jetscale.jets": {"jetscale.errors", "jetscale.files", "jetscale.jets"},
    "jetscale.scaling": {"jetscale.errors", "jetscale.scaling"},
    "jetscale.model": {
        "jetscale.errors",
        "jetscale.study",
        "jetscale.jets.schema",
        "jetscale.mixtures.ragged",
        "jetscale.model",
    },
}


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call):  # require("fastjet") imports too
            names |= {
                a.value for a in node.args if isinstance(a, ast.Constant) and is_name(a.value)
            }
    return names


def is_name(value: object) -> bool:
    return isinstance(value, str) and value.isidentifier()


def within(name: str, prefixes: set[str]) -> bool:
    return any(name == prefix or name.startswith(prefix + ".") for prefix in prefixes)


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_heavy_packages_stay_in_their_rooms(package):
    users = {module for module, path in MODULES.items() if within_any(imported(path), package)}
    strangers = {module for module in users if not within(module, MAY_IMPORT[package])}
    assert not strangers
    assert users, f"nothing imports {package}: drop the rule"


def within_any(names: set[str], package: str) -> bool:
    return any(name.split(".")[0] == package for name in names)


@pytest.mark.parametrize("room", FLOW)
def test_rooms_import_only_what_lies_before_them(room):
    for module, path in MODULES.items():
        if within(module, {room}):
            ours = {name for name in imported(path) & set(MODULES) if name != "jetscale"}
            assert {name for name in ours if not within(name, FLOW[room])} == set(), module


@pytest.mark.parametrize("module", WITHOUT_TORCH)
def test_planning_and_analysis_start_without_torch_and_ray(module):
    code = f"import sys, {module}; print(sorted({{'torch', 'ray', 'mlflow'}} & set(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def edges(module: str, path: Path) -> set[str]:
    """Modules of ours that a module imports; a name imported from a package is the module's own."""
    names = imported(path) & set(MODULES) - {module}
    return {n for n in names if not any(other.startswith(n + ".") for other in names)}


def test_no_import_cycles():
    graph = {module: edges(module, path) for module, path in MODULES.items()}
    order = list(TopologicalSorter(graph).static_order())  # raises CycleError for a cycle
    assert set(order) == set(MODULES)


def test_every_module_says_what_it_is_for():
    silent = [m for m, p in MODULES.items() if not ast.get_docstring(ast.parse(p.read_text()))]
    assert not silent


def test_files_stay_small():
    lines = {m: len(p.read_text().splitlines()) for m, p in MODULES.items()}
    assert {m: n for m, n in lines.items() if n > 400} == {}


def test_functions_can_be_read_without_scrolling():
    long = {}
    for module, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.end_lineno is not None:
                length = node.end_lineno - node.lineno + 1
                if length > 75:
                    long[f"{module}.{node.name}"] = length
    assert not long

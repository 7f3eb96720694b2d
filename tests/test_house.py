"""The rules of the house: who may import whom, how files look."""

import ast
import subprocess
import sys
from collections import Counter
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"
MODULES = {
    ".".join(p.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__"): p
    for p in sorted(SOURCE.rglob("*.py"))
}
MAY_IMPORT = {  # a package and the rooms that may use it
    "ray": {"jetscale.compute"},
    "h5py": {"jetscale.jets.ingest.formats"},
    "hdf5plugin": {"jetscale.jets.ingest.formats.hdf5"},
    "uproot": {"jetscale.jets.ingest.formats", "jetscale.mixtures.files"},
    "onnx": {"jetscale.classifiers.graph", "jetscale.tracking.registry"},
    "onnxruntime": {"jetscale.classifiers.graph"},
    "torch": {
        "jetscale.classifiers",
        "jetscale.compute.trials",
        "jetscale.models",
        "jetscale.objectives",
        "jetscale.store.checkpoints",
        "jetscale.sweep.work",
        "jetscale.sweep.worker",
        "jetscale.training",
    },
    "fsspec": {"jetscale.store.remote"},
    "mlflow": {"jetscale.tracking"},
    "pythia8mc": {"jetscale.jets.generator"},
    "fastjet": {"jetscale.jets.detector"},
    "awkward": {"jetscale.jets", "jetscale.mixtures.files"},
    "rich": {"jetscale.display"},
    "click": {"jetscale.cli"},
    "plotly": {"jetscale.report"},
    "jinja2": {"jetscale.report"},
    "markupsafe": {"jetscale.report"},
    "matplotlib": {"jetscale.measures.figure"},
}
WITHOUT_TORCH = (
    "jetscale.compute.connect",
    "jetscale.executor",
    "jetscale.jets.production.production",
    "jetscale.mixtures.assemble",
    "jetscale.models.build",
    "jetscale.models.parametrization",
    "jetscale.models.part",
    "jetscale.models.protocol",
    "jetscale.models.transformer",
    "jetscale.objectives.classify",
    "jetscale.objectives.masked",
    "jetscale.objectives.protocol",
    "jetscale.objectives.shape",
    "jetscale.training",
    "jetscale.planning",
    "jetscale.questions",
    "jetscale.scaling",
    "jetscale.report",
    "jetscale.studies",
)
FLOW = {  # a room and what it may import of ours
    "jetscale.mixtures": {
        "jetscale.compute.dataset",
        "jetscale.digests",
        "jetscale.errors",
        "jetscale.executor",
        "jetscale.jets",
        "jetscale.mixtures",
        "jetscale.objectives.protocol",
        "jetscale.store.local",
        "jetscale.study",
    },
    "jetscale.executor": {"jetscale.errors"},
    "jetscale.jets": {
        "jetscale.errors",
        "jetscale.executor",
        "jetscale.store.local",
        "jetscale.jets",
    },
    "jetscale.jets.shards": {
        "jetscale.errors",
        "jetscale.jets.example",
        "jetscale.jets.schema",
        "jetscale.jets.shards",
        "jetscale.store.local",
    },
    "jetscale.study": {
        "jetscale.digests",
        "jetscale.errors",
        "jetscale.jets.example",
        "jetscale.jets.generator.conditions",
        "jetscale.jets.generator.processes",
        "jetscale.jets.schema",
        "jetscale.jets.shards",
        "jetscale.objectives.protocol",
        "jetscale.sources",
        "jetscale.store.local",
        "jetscale.study",
    },
    "jetscale.answers": {
        "jetscale.analysis",
        "jetscale.answers",
        "jetscale.machines",
        "jetscale.scaling",
        "jetscale.words",
        "jetscale.shown",
    },
    "jetscale.report": {
        "jetscale.analysis",
        "jetscale.answers",
        "jetscale.errors",
        "jetscale.measures",
        "jetscale.report",
        "jetscale.scaling",
        "jetscale.store.local",
        "jetscale.tuning",
        "jetscale.words",
    },
    "jetscale.jets.generator": {
        "jetscale.errors",
        "jetscale.jets.arrays",
        "jetscale.jets.schema",
        "jetscale.jets.generator",
    },
    "jetscale.jets.detector": {
        "jetscale.jets.arrays",
        "jetscale.jets.schema",
        "jetscale.jets.generator",
        "jetscale.jets.detector",
    },
    "jetscale.measures": {
        "jetscale.jsonable",
        "jetscale.errors",
        "jetscale.jets",
        "jetscale.mixtures",
        "jetscale.models.inputs",
        "jetscale.planning",
        "jetscale.store",
        "jetscale.study",
        "jetscale.training.embed",
        "jetscale.measures",
        "jetscale.shown",
    },
    "jetscale.classifiers": {
        "jetscale.classifiers",
        "jetscale.errors",
        "jetscale.jets",
        "jetscale.jsonable",
        "jetscale.mixtures",
        "jetscale.models",
        "jetscale.objectives",
        "jetscale.planning",
        "jetscale.shown",
        "jetscale.store",
        "jetscale.study",
        "jetscale.tracking.address",
        "jetscale.words",
    },
    "jetscale.analysis": {
        "jetscale.jsonable",
        "jetscale.errors",
        "jetscale.scaling",
        "jetscale.words",
    },
    "jetscale.starters": {"jetscale.cli", "jetscale.study"},
    "jetscale.tuning": {
        "jetscale.jsonable",
        "jetscale.errors",
        "jetscale.scaling",
        "jetscale.study",
        "jetscale.words",
        "jetscale.shown",
    },
    "jetscale.scaling": {
        "jetscale.jsonable",
        "jetscale.errors",
        "jetscale.scaling",
        "jetscale.words",
        "jetscale.shown",
    },
    "jetscale.shown": set(),
    "jetscale.words": set(),
    "jetscale.jsonable": set(),
    "jetscale.models": {
        "jetscale.errors",
        "jetscale.jets.schema",
        "jetscale.mixtures.ragged",
        "jetscale.models",
        "jetscale.registry",
        "jetscale.sources",
        "jetscale.study",
    },
    "jetscale.models.part": {
        "jetscale.errors",
        "jetscale.jets.schema",
        "jetscale.models.batch",
        "jetscale.models.inputs",
        "jetscale.models.part",
        "jetscale.study",
    },
    "jetscale.models.transformer": {
        "jetscale.models.batch",
        "jetscale.models.inputs",
        "jetscale.models.parametrization",
        "jetscale.models.stack",
        "jetscale.models.transformer",
        "jetscale.study",
    },
    "jetscale.objectives": {
        "jetscale.errors",
        "jetscale.models.batch",
        "jetscale.models.inputs",
        "jetscale.models.layout",
        "jetscale.models.parametrization",
        "jetscale.models.protocol",
        "jetscale.models.stack",
        "jetscale.objectives",
        "jetscale.registry",
        "jetscale.study",
    },
    "jetscale.training": {
        "jetscale.errors",
        "jetscale.mixtures.ragged",
        "jetscale.models.batch",
        "jetscale.models.build",
        "jetscale.models.inputs",
        "jetscale.models.layout",
        "jetscale.models.parametrization",
        "jetscale.models.protocol",
        "jetscale.models.stack",
        "jetscale.objectives.protocol",
        "jetscale.objectives.shape",
        "jetscale.store.checkpoints",
        "jetscale.store.local",
        "jetscale.study",
        "jetscale.training",
    },
    "jetscale.store.checkpoints": {
        "jetscale.errors",
        "jetscale.store.local",
        "jetscale.store.storage",
    },
    "jetscale.store": {
        "jetscale.digests",
        "jetscale.errors",
        "jetscale.planning",
        "jetscale.store",
        "jetscale.study",
        "jetscale.shown",
        "jetscale.words",
    },
    "jetscale.planning": {
        "jetscale.digests",
        "jetscale.errors",
        "jetscale.jets",
        "jetscale.machines",
        "jetscale.mixtures",
        "jetscale.models",
        "jetscale.objectives",
        "jetscale.planning",
        "jetscale.scaling.power.grid",
        "jetscale.study",
        "jetscale.training",
        "jetscale.words",
        "jetscale.shown",
    },
    "jetscale.compute": {
        "jetscale.compute",
        "jetscale.errors",
        "jetscale.executor",
        "jetscale.machines",
        "jetscale.mixtures",
        "jetscale.planning.board",
        "jetscale.planning.feed",
        "jetscale.planning.run",
        "jetscale.planning.workers",
        "jetscale.training",
    },
    "jetscale.sweep": {
        "jetscale.compute",
        "jetscale.digests",
        "jetscale.errors",
        "jetscale.executor",
        "jetscale.machines",
        "jetscale.mixtures",
        "jetscale.models.inputs",
        "jetscale.planning",
        "jetscale.scaling.searched",
        "jetscale.scaling.tuning",
        "jetscale.store",
        "jetscale.study",
        "jetscale.sweep",
        "jetscale.tracking",
        "jetscale.training",
        "jetscale.jets.shards.manifest",
    },
    "jetscale.tracking": {
        "jetscale.digests",
        "jetscale.errors",
        "jetscale.planning.identity",
        "jetscale.store",
        "jetscale.tracking",
        "jetscale.words",
    },
    "jetscale.display": {
        "jetscale.analysis",
        "jetscale.answers",
        "jetscale.display",
        "jetscale.jets.shards",
        "jetscale.measures",
        "jetscale.scaling",
        "jetscale.store.records",
        "jetscale.tracking.address",
        "jetscale.tuning",
        "jetscale.words",
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


@pytest.mark.slow
@pytest.mark.parametrize("package", MAY_IMPORT)
def test_heavy_packages_stay_in_their_rooms(package):
    users = {module for module, path in MODULES.items() if within_any(imported(path), package)}
    strangers = {module for module in users if not within(module, MAY_IMPORT[package])}
    assert not strangers
    assert users, f"nothing imports {package}: drop the rule"


def within_any(names: set[str], package: str) -> bool:
    return any(name.split(".")[0] == package for name in names)


@pytest.mark.slow
@pytest.mark.parametrize("room", FLOW)
def test_rooms_import_only_what_lies_before_them(room):
    for module, path in MODULES.items():
        if within(module, {room}):
            ours = {name for name in imported(path) & set(MODULES) if name != "jetscale"}
            assert {name for name in ours if not within(name, FLOW[room])} == set(), module


@pytest.mark.slow
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


@pytest.mark.slow
def test_no_import_cycles():
    graph = {module: edges(module, path) for module, path in MODULES.items()}
    order = list(TopologicalSorter(graph).static_order())  # raises CycleError for a cycle
    assert set(order) == set(MODULES)


@pytest.mark.slow
def test_every_module_says_what_it_is_for():
    silent = [m for m, p in MODULES.items() if not ast.get_docstring(ast.parse(p.read_text()))]
    assert not silent


def test_the_source_stays_small():
    assert sum(len(p.read_text().splitlines()) for p in MODULES.values()) <= 42_500


def test_files_stay_small():
    lines = {m: len(p.read_text().splitlines()) for m, p in MODULES.items()}
    assert {m: n for m, n in lines.items() if n > 400} == {}


def test_every_room_has_a_list_of_what_it_may_import():
    rooms = {
        path.name for path in (SOURCE / "jetscale").iterdir() if (path / "__init__.py").exists()
    }
    without = {room for room in rooms if f"jetscale.{room}" not in FLOW}
    assert without <= {"cli"}  # the command line may use every room


@pytest.mark.slow
def test_names_of_result_files_stand_in_the_store():
    names = ("records/", "mlflow.db", "run.lock", "mirror.lock", "home.json", "measures.json")
    for module, path in MODULES.items():
        if within(module, {"jetscale.store"}):
            continue
        texts = {
            node.value
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        assert not [t for t in texts if t in names], module


@pytest.mark.slow
def test_few_functions_are_helpers_used_once():
    """A helper that one place uses hides its few lines behind a name; some are worth it."""
    functions, once = 0, []
    for module, path in MODULES.items():
        tree = ast.parse(path.read_text())
        used = Counter(
            node.id if isinstance(node, ast.Name) else node.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Name | ast.Attribute)
        )
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                functions += 1
                private = node.name.startswith("_") and not node.name.startswith("__")
                if private and used[node.name] == 1:
                    once.append(f"{module}.{node.name}")
    assert len(once) <= 0.15 * functions, once


@pytest.mark.slow
def test_functions_can_be_read_without_scrolling():
    long = {}
    for module, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.end_lineno is not None:
                length = node.end_lineno - node.lineno + 1
                if length > 75:
                    long[f"{module}.{node.name}"] = length
    assert not long

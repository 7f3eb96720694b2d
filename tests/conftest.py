"""Fixtures shared by all rooms."""

import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, settings

from jetscale.jets import schema

pytest_plugins = (
    "fixtures.batches",
    "fixtures.browser",
    "fixtures.executors",
    "fixtures.faults",
    "fixtures.former",
    "fixtures.gates",
    "fixtures.hosts",
    "fixtures.kept",
    "fixtures.object_store",
    "fixtures.searches",
    "fixtures.streams",
    "fixtures.studies",
    "fixtures.training",
)

ROOT = Path(__file__).parents[1]
ENDED = pytest.StashKey[int]()


def pytest_configure() -> None:
    """Let nothing depend on how long it takes, and Ctrl-C reach the tests and what they start.

    Others may want the machine; in the background, shells have SIGINT ignored.
    """
    patient = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
    settings.register_profile("jetscale", **patient)
    settings.load_profile("jetscale")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real sample jets; set JETSCALE_TEST_DATA to use another one."""
    folder = Path(os.environ.get("JETSCALE_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real sample data at {folder}")
    return folder


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Fits that commands keep go to a folder of the tests."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))


def jets(n: int, labels: Sequence[int], seed: int = 0) -> pa.Table:
    """n jets of 1 to 40 constituents; ``jet_pt`` is 100 + the row number, so a jet can be found."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 41, n)
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
    total = int(lengths.sum())
    flat = {name: rng.normal(size=total).astype(np.float32) for name in schema.PART_FLOATS}
    flat["part_energy"] = rng.uniform(1, 50, total).astype(np.float32)
    flat["part_charge"] = rng.integers(-1, 2, total).astype(np.int32)
    flat |= {name: rng.random(total) < 0.3 for name in schema.PART_FLAGS}
    columns = {k: pa.ListArray.from_arrays(offsets, pa.array(v)) for k, v in flat.items()}
    columns |= {
        name: pa.array(rng.uniform(0.5, 2, n).astype(np.float32)) for name in schema.JET_FLOATS
    }
    columns["jet_pt"] = pa.array((100 + np.arange(n)).astype(np.float32))
    columns["jet_nparticles"] = pa.array(lengths.astype(np.int32))
    columns["jet_label"] = pa.array(rng.choice(labels, n).astype(np.int32))
    return pa.table(columns)


@pytest.fixture(scope="session")
def make_jets() -> Callable[..., pa.Table]:
    """A function (n, labels, seed) that makes up n jets of any corpus."""
    return jets


@pytest.fixture(params=sorted((ROOT / "sweeps").glob("*.py")), ids=lambda path: path.stem)
def real_sweep(request: pytest.FixtureRequest) -> Path:
    """Every sweep file of the repository in turn."""
    return Path(request.param)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Remember how the tests ended."""
    session.config.stash[ENDED] = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave with the status of the tests, without the interpreter's end.

    Threads of the native libraries that Ray brings outlive the objects they use there: a run of
    2441 passed tests once ended in a segmentation fault.
    """
    ray = sys.modules.get("ray")
    status = config.stash.get(ENDED, None)
    if ray is None or status is None:
        return
    ray.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)

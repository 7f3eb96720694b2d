"""cluster/mlflow_server.sh with PostgreSQL: a real server, a real database, records mirrored.

On an emulated host, since the server's port is fixed and may be taken on this machine.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from fixtures.hosts import Host, Hosts, wait_until

from jetscale.jets.shards import write_shards
from jetscale.store.home import Home
from jetscale.study.load import load_study
from jetscale.sweep.work import work

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
ADDRESS = "postgresql://jetscale@127.0.0.1:5432/postgres"
SWEEP = """
from jetscale.study import Controls, Folders, Mixture, ModelSize, Study

def study():
    root = {root!r}
    return Study(
        name="kept",
        source=Folders(train=root + "/train", validation=root + "/validation",
                       test=root + "/test"),
        mixtures=(Mixture(name="scratch"),),
        ladder=(ModelSize(width=8, layers=1, heads=1),),
        data_sizes=(50, 100), seeds=(1,),
        controls=Controls(pretraining_jets=100, validation_jets=50, test_jets=80,
                          constituents=16, epochs=2, learning_rate=0.01),
    )
"""


@pytest.fixture(scope="module")
def database(two_hosts: Hosts) -> Iterator[Host]:
    """A host with PostgreSQL on its loopback and the password where libpq looks for it."""
    pytest.importorskip("psycopg", reason="no psycopg: the extra postgres is not installed")
    if missing := [name for name in ("initdb", "postgres", "psql") if not shutil.which(name)]:
        pytest.skip(f"no {', '.join(missing)}: PostgreSQL is not installed")
    host, folder = two_hosts.head, two_hosts.head.home / "database"
    (host.outside / "password").write_text("secret\n")
    pass_file = host.outside / ".pgpass"
    pass_file.write_text("127.0.0.1:*:*:jetscale:secret\n")
    pass_file.chmod(0o600)
    tools = ":".join({str(Path(shutil.which(name)).parent) for name in ("initdb", "psql")})
    as_nobody = f"PATH=$PATH:{tools} setpriv --reuid=65534 --regid=65534 --clear-groups"
    made = host.run(
        f"mkdir /tmp/pg && cp ~/password /tmp/pg && chown -R 65534:65534 /tmp/pg && cd /tmp/pg && "
        f"{as_nobody} initdb -D /tmp/pg/data -U jetscale -A scram-sha-256 --pwfile=password && "
        f"({as_nobody} setsid postgres -D /tmp/pg/data -h 127.0.0.1 -k /tmp/pg > log 2>&1 &)"
    )
    assert made.returncode == 0, f"{folder}: {made.stdout}"
    wait_until(lambda: host.run(f"PATH=$PATH:{tools} psql {ADDRESS} -c ''").returncode == 0, "psql")
    yield host
    host.run("kill -INT $(head -n 1 /tmp/pg/data/postmaster.pid)")


def test_records_are_mirrored_into_postgresql_and_outlive_the_server(
    two_hosts, database, make_jets
):
    root = two_hosts.shared / "jets"
    for i, (role, jets) in enumerate([("train", 200), ("validation", 60), ("test", 90)]):
        write_shards(root / role, [make_jets(jets, range(10), i)], corpus="jetclass", role=role)
    sweep = two_hosts.shared / "kept.py"
    sweep.write_text(SWEEP.format(root=str(root)))
    results = two_hosts.shared / "runs"
    assert work(load_study(sweep), Home(results)).done == 2

    settings = {
        "JETSCALE_HOME": str(results),
        "PYTHONPATH": str(ROOT / "src"),
    }
    (database.outside / "jetscale").symlink_to(ROOT)
    server = f"JETSCALE_MLFLOW_DATABASE={ADDRESS} bash ~/jetscale/cluster/mlflow_server.sh"

    def call(line: str) -> str:
        done = database.run(line, **settings)
        assert done.returncode == 0, done.stdout
        return done.stdout

    call(server)
    assert database.listening()[5000] == {"127.0.0.1"}
    assert not any("postgresql://" in line for line in database.processes())
    # a table is read from MLflow, after the records that it lacks were mirrored into it
    table = f"from jetscale import runs; print(len(runs('{sweep}', source='mlflow')))"
    assert call(f'MLFLOW_TRACKING_URI=http://127.0.0.1:5000 python -c "{table}"') == "2\n"
    count = "SELECT count(*) FROM tags WHERE key = 'jetscale.key'"
    query = f'import psycopg\nprint(*psycopg.connect("{ADDRESS}").execute("{count}").fetchone())'
    assert call(f"python - << 'END'\n{query}\nEND") == "2\n"
    assert not (results / "mlflow.db").exists()
    call(f"{server} stop")
    wait_until(
        lambda: not [line for line in database.processes() if "mlflow" in line], "still there"
    )
    call(server)
    found = "import mlflow; print(len(mlflow.search_runs(search_all_experiments=True)))"
    assert call(f'MLFLOW_TRACKING_URI=http://127.0.0.1:5000 python -c "{found}"') == "3\n"
    call(f"{server} stop")

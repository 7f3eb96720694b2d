"""A sweep whose environment is full of secrets keeps and prints none of them."""

import pytest
from fixtures.faults import Server, call

SECRETS = {
    "MLFLOW_TRACKING_TOKEN": "t0ken-5f1c2a",
    "AWS_SECRET_ACCESS_KEY": "aws-5f1c2a",
    "AWS_SESSION_TOKEN": "session-5f1c2a",
    "PGPASSWORD": "pg-5f1c2a",
}


@pytest.mark.long
@pytest.mark.integration
def test_a_sweep_leaves_no_secret_anywhere(small_sweep, tmp_path):
    """The password of the server and tokens of the environment are in no file and no word."""
    server, home = Server(tmp_path), tmp_path / "user" / "runs"
    home.mkdir(parents=True)
    try:
        address = server.up().uri.replace("http://", "http://me:pass-5f1c2a@")
        told = SECRETS | {"MLFLOW_TRACKING_URI": address}
        outputs = [call("run", small_sweep(), home=home, **told)]
        outputs += [call(verb, small_sweep(), home=home, **told) for verb in ("sync", "status")]
    finally:
        server.kill()
    # and where the server is away, which is when addresses are printed
    outputs.append(call("sync", small_sweep(), home=home, **told))
    assert [code for code, _ in outputs] == [0, 0, 0, 2]
    assert "http://me:***@127.0.0.1" in outputs[-1][1]
    assert not [said for _, said in outputs if "5f1c2a" in said]
    files = [path for path in (*home.rglob("*"), server.folder / "server.db") if path.is_file()]
    assert len(files) > 20
    assert not [path for path in files if b"5f1c2a" in path.read_bytes()]
    assert [path for path in files if b"mixture" in path.read_bytes()]

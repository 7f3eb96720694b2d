import socket

import pytest

from jetscale.errors import StorageError, SweepError
from jetscale.store.home import Home
from jetscale.tracking.mirror import Mirror
from jetscale.tracking.ui import addresses, check_port, serve


def test_a_folder_without_results_is_one_line(tmp_path):
    with pytest.raises(StorageError, match=r"no results at .*mlflow.db: start a sweep"):
        serve(f"sqlite:///{tmp_path}/mlflow.db", Home(tmp_path), 5001)
    assert list(tmp_path.iterdir()) == []


def test_a_taken_port_is_one_line(tmp_path):
    (tmp_path / "mlflow.db").touch()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(
            StorageError, match=rf"port {port} .* cannot be opened .*; choose another"
        ):
            serve(f"sqlite:///{tmp_path}/mlflow.db", Home(tmp_path), port)
    check_port(port)
    assert port > 0


def test_a_tracking_server_has_its_own_ui(tmp_path):
    with pytest.raises(
        SweepError, match=r"at http://me:\*\*\*@127.0.0.1:5000: open that address in a browser"
    ):
        serve("http://me:secret@127.0.0.1:5000", Home(tmp_path), 5001)


@pytest.mark.integration
def test_each_study_has_an_address_in_the_view_of_trained_models(tmp_path):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    home = Home(tmp_path)
    assert addresses(Mirror(uri, "mine", home).uri, 5001) == {
        "mine": "http://127.0.0.1:5001/#/experiments/1/runs?workflowType=machine_learning"
    }
    (tmp_path / "broken.db").write_text("no database at all")
    assert addresses(f"sqlite:///{tmp_path}/broken.db", 80) == {}
    Mirror(uri, "second", home)
    assert set(addresses(uri, 80)) == {"mine", "second"}

import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import suppress

import pytest
from fixtures.waiting import wait_until

from jetscale.errors import StorageError, SweepError
from jetscale.store.home import Home
from jetscale.tracking.address import tracking_uri
from jetscale.tracking.mirror import Mirror
from jetscale.tracking.names import name_run
from jetscale.tracking.ui import addresses, check_port, serve
from jetscale.tracking.view import VIEW, VIEW_TAG


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


def refuse(*_arguments):
    from mlflow.exceptions import MlflowException

    raise MlflowException("attempt to write a readonly database")


@pytest.mark.integration
def test_each_study_has_an_address_in_the_view_of_trained_models(tmp_path, monkeypatch):
    uri, home = f"sqlite:///{tmp_path}/mlflow.db", Home(tmp_path)
    mirror = Mirror(uri, "mine", home)
    table = "runs?workflowType=machine_learning&viewStateShareKey=jetscale"
    shown = {"mine": f"http://127.0.0.1:5001/#/experiments/1/{table}"}
    assert addresses(uri, 5001) == shown
    parent = mirror.parent("identity", {})
    mirror.attach(parent, {"report.html": "x"}, "1. What?")
    page = f"http://127.0.0.1:5001/#/experiments/1/runs/{parent}?workflowType=machine_learning"
    assert addresses(uri, 5001) == shown | {"mine, answers": page}
    # a study of an earlier version has no view yet
    mirror.client.delete_experiment_tag(mirror.experiment, VIEW_TAG)
    assert set(addresses(uri, 80)) == {"mine", "mine, answers"}
    assert mirror.client.get_experiment(mirror.experiment).tags[VIEW_TAG] == VIEW
    mirror.client.delete_experiment_tag(mirror.experiment, VIEW_TAG)
    with monkeypatch.context() as patch:
        patch.setattr("mlflow.tracking.MlflowClient.set_experiment_tag", refuse)
        assert addresses(uri, 5001)["mine"] == shown["mine"].split("&")[0]
    (tmp_path / "broken.db").write_text("no database at all")
    with pytest.raises(SweepError, match=r"MLflow at sqlite:.*broken.db failed: "):
        addresses(f"sqlite:///{tmp_path}/broken.db", 80)


@pytest.fixture
def results(tmp_path, study, records):
    """A results folder with a mirrored study and its report, and the id of its parent run."""
    home = Home(tmp_path / "my runs")
    home.path.mkdir()
    mirror = Mirror(tracking_uri(home), study.name, home)
    parent = mirror.parent("identity", {"mixtures": ["scratch", "qcd"]})
    mirror.sync(records, parent)
    mirror.attach(parent, {"report.html": "<p>the report</p>"}, "1. What?")
    return home, parent


@pytest.fixture
def server(results, tmp_path, monkeypatch):
    """(process, its log, the address) of a running `jetscale ui`."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("JETSCALE_HOME", str(results[0].path))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address, said = f"http://127.0.0.1:{port}", tmp_path / "log"
    command = [sys.executable, "-P", "-m", "jetscale", "ui", "--port", str(port)]
    with said.open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, process_group=0)
    try:
        wait_until(lambda: process.poll() is not None or answers(address), "no page")
        assert process.poll() is None, said.read_text()
        yield process, said, address
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def answers(address):
    with suppress(OSError):
        return get(address).startswith("<!doctype html>")
    return False


def get(address, **headers):
    request = urllib.request.Request(address, headers=headers)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
        return answer.read().decode()


@pytest.mark.integration
def test_the_ui_is_quiet_serves_reports_to_this_machine_and_ends_whole(server, results):
    process, said, address = server
    parent, port = results[1], address.rsplit(":")[-1]
    lines = said.read_text().splitlines()
    assert lines[0].endswith(f"mlflow.db starts on port {port}; stop it with Ctrl-C")
    assert [line.split(":")[0] for line in lines[1:]] == ["  tiny", "  tiny, answers"]
    page = f"{address}/get-artifact?run_uuid={parent}&path=report.html"
    assert get(page) == "<p>the report</p>"
    with pytest.raises(urllib.error.HTTPError, match="403"):
        get(page, Host="elsewhere.org")
    assert {pid for pid, group in groups() if group == process.pid} == {process.pid}
    process.send_signal(signal.SIGINT)
    assert process.wait() == 0
    assert said.read_text().splitlines() == lines
    assert process.pid not in {group for _, group in groups()}


def groups():
    """(process, its group) of everything that runs."""
    listed = subprocess.run(["ps", "-eo", "pid=,pgid="], capture_output=True, text=True, check=True)
    return [tuple(map(int, line.split())) for line in listed.stdout.splitlines()]


@pytest.mark.integration
def test_the_address_shows_loss_mixture_sizes_and_seed_the_best_first(server, browser, records):
    wait = pytest.importorskip("selenium.webdriver.support.ui").WebDriverWait
    said = server[1].read_text().splitlines()
    browser.set_window_size(1400, 900)
    browser.get(said[1].split(": ")[1])
    script = """
        const box = cell => cell.getBoundingClientRect();
        const cells = [...document.querySelectorAll(arguments[0])];
        cells.sort((a, b) => box(a).top - box(b).top || box(a).left - box(b).left);
        return cells.map(cell => cell.innerText.trim()).filter(text => text);
    """
    losses = ".ag-center-cols-container .ag-row [col-id='metrics.`loss`']"
    header = ".ag-header-row-column .ag-header-cell"

    def shown(where):
        return browser.execute_script(script, where)

    wait(browser, 120).until(lambda _: len(shown(losses)) == 8)
    expected = ["Run Name", "Created", "loss", "mixture", "params", "examples", "seed"]
    wait(browser, 60).until(lambda _: shown(header)[:7] == expected)
    numbers = [float(text.rstrip("…")) for text in shown(losses)]
    assert numbers == sorted(numbers)
    best = min((r for r in records if r.loss is not None), key=lambda r: r.loss)
    assert name_run(best).split(" s")[0] in browser.find_element("tag name", "body").text

import pytest

from jetscale.compute.trials import (
    _capacity,
    _init_arguments,
    _joined,
    _line,
    _protect_token,
    check,
    cores,
)
from jetscale.errors import SweepError


def test_one_cpu_is_kept_for_the_drivers():
    capacity = _capacity({"CPU": 9.0}, local=False)
    assert (capacity.slots, capacity.cpus, capacity.device) == (8, 9, "cpu")


def test_gpus_bound_the_trials():
    capacity = _capacity({"CPU": 33.0, "GPU": 4.0}, local=False)
    assert (capacity.slots, capacity.device) == (4, "cuda")
    assert _capacity({"CPU": 3.0, "GPU": 4.0}, local=False).slots == 2


@pytest.mark.parametrize("resources", [{}, {"CPU": 1.0}, {"CPU": 1.0, "GPU": 8.0}])
def test_a_cluster_that_would_wait_for_ever_is_refused(resources):
    with pytest.raises(SweepError, match="needs at least 2"):
        _capacity(resources, local=False)


def test_this_machine_offers_a_trial_per_core():
    arguments = _init_arguments(None)
    capacity = _capacity({"CPU": arguments["num_cpus"]}, local=True)
    assert capacity.slots == capacity.cpus == cores()
    assert arguments["include_dashboard"] is False


def test_an_address_that_does_not_answer_is_one_line(tmp_path):
    with pytest.raises(SweepError, match=r"Ray on 127.0.0.1:1 does not answer") as caught:
        check("127.0.0.1:1", tmp_path)
    assert "\n" not in str(caught.value)


def test_the_cluster_this_process_was_started_in_is_joined(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert _joined(None) == "10.0.0.1:6379"
    assert _joined("auto") == "auto"
    monkeypatch.delenv("RAY_ADDRESS")
    assert _joined(None) is None


def test_the_token_is_for_its_owner_alone(tmp_path, monkeypatch):
    token = tmp_path / "token"
    token.write_text("secret")
    token.chmod(0o644)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(token))
    _protect_token()
    assert token.stat().st_mode & 0o777 == 0o600
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "absent"))
    _protect_token()


def test_the_line_of_an_error_is_the_one_that_names_it():
    text = "Traceback ...\n  File x\njetscale.errors.StorageError: cannot write x: full\n\nNote: y"
    assert _line(RuntimeError(text)) == "StorageError: cannot write x: full"
    assert _line(RuntimeError("")) == "RuntimeError"


def test_a_cluster_is_joined_not_configured():
    arguments = _init_arguments("auto")
    assert arguments["address"] == "auto"
    assert "num_cpus" not in arguments

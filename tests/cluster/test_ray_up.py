"""The `ray up` files, checked by Ray's own code and by running their commands against stubs."""

import copy
import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config, with_envs

ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "cluster"
NAMES = ("aws", "gcp", "onprem")
CLOUDS = ("aws", "gcp")
# What `ray up` exports before the head's start commands, and the autoscaler before the workers'.
HEAD_ENV = {"RAY_enable_autoscaler_v2": "1"}
WORKER_ENV = {"RAY_HEAD_IP": "10.0.0.1"}


def load(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((CLUSTER / f"{name}.yaml").read_text())
    return loaded


def prepared(config: dict[str, Any]) -> dict[str, Any]:
    """Prepare and validate without network or credentials, as the first steps of `ray up` do."""
    ready: dict[str, Any] = prepare_config(copy.deepcopy(config))
    validate_config(ready)
    return ready


def start_commands(config: dict[str, Any]) -> list[str]:
    commands: list[str] = config["head_start_ray_commands"] + config["worker_start_ray_commands"]
    return [command for command in commands if "ray start" in command]


@pytest.mark.parametrize("name", NAMES)
class TestEveryFile:
    def test_passes_ray_schema_and_preparation(self, name):
        ready = prepared(load(name))
        assert ready["head_node_type"] in ready["available_node_types"]

    @pytest.mark.parametrize("misspelt", ["idle_timeout_minuts", "setup_command", "filemounts"])
    def test_misspelt_key_is_refused_by_name(self, name, misspelt):
        with pytest.raises(jsonschema.ValidationError, match=misspelt):
            prepared(load(name) | {misspelt: 1})

    def test_head_and_workers_install_the_same(self, name):
        ready = prepared(load(name))
        assert ready["head_setup_commands"] == ready["worker_setup_commands"]
        assert any("setup_node.sh" in command for command in ready["head_setup_commands"])

    def test_nothing_of_the_provider_defaults_is_run(self, name):
        # Defaults of the cloud files install another Ray and open the dashboard to the world.
        config = load(name)
        ready = prepared(config)
        for key in ("setup_commands", "head_start_ray_commands", "worker_start_ray_commands"):
            assert ready[key] == config[key]

    def test_start_commands_run_ray_with_token_and_without_usage_statistics(self, name, home):
        (home.folder / ".jetscale_env").write_text("")
        told = '#!/bin/bash\necho "ray $RAY_AUTH_MODE $RAY_USAGE_STATS_ENABLED $*" >> "$STUB_LOG"\n'
        home.stub("ray", told)
        config = load(name)
        for command in with_envs(start_commands(config), HEAD_ENV | WORKER_ENV):
            home.run(command)
        calls = home.calls("ray")
        assert len(calls) == len(start_commands(config)) == 2
        assert all(call.startswith("token 0 start") for call in calls)

    def test_worker_joins_the_head(self, name, home):
        (home.folder / ".jetscale_env").write_text("")
        for command in with_envs(load(name)["worker_start_ray_commands"][:2], WORKER_ENV):
            assert home.run(command).returncode == 0
        assert home.calls("ray") == ["stop", "start --address=10.0.0.1:6379"]

    def test_only_loopback_and_ray_own_port(self, name):
        text = (CLUSTER / f"{name}.yaml").read_text()
        head, worker = start_commands(load(name))
        assert "--dashboard-host=127.0.0.1" in head
        assert "dashboard" not in worker
        assert re.findall(r"--[a-z-]*port\S*", head + worker) == ["--port=6379"]
        assert "0.0.0.0" not in text
        assert "IpPermissions" not in text

    def test_every_command_uses_the_prepared_environment(self, name):
        config = load(name)
        for key in ("head_start_ray_commands", "worker_start_ray_commands"):
            assert all(command.startswith(". ~/.jetscale_env && ") for command in config[key])

    def test_mounts_carry_the_token_and_all_the_package_needs(self, name):
        mounts = load(name)["file_mounts"]
        assert mounts["~/.ray/auth_token"] == "~/.ray/auth_token"
        local = {path for path in mounts.values() if not path.startswith("~")}
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        needed = {"src", "sweeps", "cluster", "pyproject.toml", "constraints.txt"}
        assert local == needed | {project["readme"], *project["license-files"]}
        assert all((ROOT / path).exists() for path in local)
        assert all(mounts[f"~/jetscale/{path}"] == path for path in local)

    def test_placeholders_stop_the_setup_with_one_line(self, name, home):
        done = home.run(load(name)["setup_commands"][0])
        assert done.returncode == 1
        assert "still the placeholder" in done.stderr
        assert "SET_ME" in done.stderr
        assert done.stderr.count("\n") == 1
        assert home.calls("mount") == home.calls("apt-get") == []

    def test_mlflow_starts_before_ray_on_the_head_alone(self, name):
        config = load(name)
        has_mlflow = ["mlflow_server.sh" in c for c in config["head_start_ray_commands"]]
        assert has_mlflow == [True, False, False]
        assert not any("mlflow" in c for c in config["worker_start_ray_commands"])


@pytest.mark.parametrize("name", CLOUDS)
class TestClouds:
    def test_cpu_head_and_gpu_workers_on_demand(self, name):
        config = load(name)
        types = config["available_node_types"]
        assert config["head_node_type"] == "head"
        assert "GPU" not in types["head"]["resources"]
        worker = types["gpu_worker"]
        assert worker["resources"]["GPU"] == 1
        assert worker["min_workers"] == 0
        assert worker["max_workers"] == config["max_workers"]
        assert not re.search("spot|preemptible", str(types), flags=re.IGNORECASE)

    def test_spot_workers_by_option(self, name):
        text, head = (CLUSTER / f"{name}.yaml").read_text(), load(name)
        option = {
            "aws": r"# (?=InstanceMarketOptions: )",
            "gcp": r"scheduling: .*\n(?: +#.*\n)* +# (?=scheduling: .*SPOT)",
        }[name]
        opened, times = re.subn(option, "", text)
        assert times == 1
        ready = prepared(yaml.safe_load(opened))["available_node_types"]
        wanted = {
            "aws": {"InstanceMarketOptions": {"MarketType": "spot"}},
            "gcp": {
                "scheduling": {
                    "onHostMaintenance": "TERMINATE",
                    "provisioningModel": "SPOT",
                    "instanceTerminationAction": "DELETE",
                }
            },
        }[name]
        before = head["available_node_types"]
        for key, value in wanted.items():
            assert ready["gpu_worker"]["node_config"][key] == value
            assert ready["head"]["node_config"].get(key) == before["head"]["node_config"].get(key)

    def test_shared_folder_is_mounted_where_results_go(self, name):
        (command,) = load(name)["setup_commands"]
        assert re.search(r"JETSCALE_HOME=/mnt/jetscale/runs ", command)
        assert re.search(r"JETSCALE_NFS=\S*SET_ME\S*:/", command)

    def test_autoscaler_is_left_at_ray_default(self, name):
        assert "autoscaler_v2" not in (CLUSTER / f"{name}.yaml").read_text()

    def test_head_can_call_the_cloud(self, name):
        assert re.search(r"JETSCALE_EXTRAS=\S*cloud", load(name)["setup_commands"][0])


def test_aws_head_and_workers_share_one_image():
    images = {
        node["node_config"]["ImageId"] for node in load("aws")["available_node_types"].values()
    }
    assert images == {"ami-SET_ME"}


def test_gcp_disks_are_in_the_zone_of_the_nodes_and_python_agrees():
    config = load("gcp")
    zone = config["provider"]["availability_zone"]
    assert zone.startswith(config["provider"]["region"])
    for node in config["available_node_types"].values():
        (disk,) = node["node_config"]["disks"]
        assert disk["initializeParams"]["diskType"].startswith(f"zones/{zone}/")
        assert "ubuntu-2404" in disk["initializeParams"]["sourceImage"]


def test_onprem_starts_all_its_workers():
    config = load("onprem")
    ready = prepared(config)
    (node,) = ready["available_node_types"].values()
    assert node["min_workers"] == node["max_workers"] == len(config["provider"]["worker_ips"])


def test_onprem_turns_autoscaler_v2_off_against_ray_up(home):
    (home.folder / ".jetscale_env").write_text("")
    home.stub("ray", '#!/bin/bash\necho "$RAY_enable_autoscaler_v2"\n')
    command = load("onprem")["head_start_ray_commands"][-1]
    assert home.run(*with_envs([command], HEAD_ENV)).stdout == "0\n"


def test_onprem_workers_end_with_the_head():
    *_, last = with_envs(load("onprem")["worker_start_ray_commands"], WORKER_ENV)
    assert last.endswith("bash ~/jetscale/cluster/end_with_head.sh $RAY_HEAD_IP 6379")


def test_onprem_mounts_nothing_and_needs_no_cloud():
    (command,) = load("onprem")["setup_commands"]
    assert "JETSCALE_NFS" not in command
    assert "cloud" not in command

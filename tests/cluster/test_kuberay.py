"""cluster/kuberay.yaml against the fields that KubeRay documents, since its CRDs need a network.

The field lists are those of the reference of ray.io/v1, KubeRay 1.6; what the project does not use
is left out, so a new field has to be looked up before it passes here.
"""

import copy
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import ray
import yaml

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "cluster" / "kuberay.yaml").read_text()
QUANTITY = {"type": "string", "pattern": r"^[0-9]+(Gi)?$"}
COUNT = {"type": "integer", "minimum": 0}


def fields(required: str = "", **known: Any) -> dict[str, Any]:
    """The schema of a mapping with these fields and no others."""
    needed = required.split()
    return {
        "type": "object",
        "properties": known,
        "required": needed,
        "additionalProperties": False,
    }


def each(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": item, "minItems": 1}


STRING, ANY = {"type": "string"}, {"type": "object"}
PARAMETERS = {"type": "object", "additionalProperties": STRING}  # of `ray start`; no number passes
AMOUNTS = {"type": "object", "additionalProperties": QUANTITY, "required": ["cpu", "memory"]}
CONTAINER = fields(
    "name image env resources volumeMounts",
    name=STRING,
    image=STRING,
    env=each(fields("name value", name=STRING, value=STRING)),
    resources=fields("requests limits", requests=AMOUNTS, limits=AMOUNTS),
    volumeMounts=each(fields("name mountPath", name=STRING, mountPath=STRING)),
)
VOLUME = fields(
    "name",
    name=STRING,
    persistentVolumeClaim=fields("claimName", claimName=STRING),
    emptyDir=fields(medium={"const": "Memory"}),
)
TEMPLATE = fields(
    "spec",
    spec=fields(
        "containers",
        securityContext=fields(runAsNonRoot={"const": True}, runAsUser=COUNT, fsGroup=COUNT),
        containers=each(CONTAINER),
        volumes=each(VOLUME),
        nodeSelector=PARAMETERS,
        tolerations=each(ANY),
    ),
)
CLUSTER = fields(
    "headGroupSpec rayVersion",
    rayVersion=STRING,
    authOptions=fields("mode", mode={"enum": ["token", "disabled"]}, secretName=STRING),
    enableInTreeAutoscaling={"type": "boolean"},
    autoscalerOptions=fields(
        upscalingMode={"enum": ["Default", "Aggressive", "Conservative"]}, idleTimeoutSeconds=COUNT
    ),
    headGroupSpec=fields("template rayStartParams", template=TEMPLATE, rayStartParams=PARAMETERS),
    workerGroupSpecs=each(
        fields(
            "groupName minReplicas maxReplicas rayStartParams template",
            groupName=STRING,
            replicas=COUNT,
            minReplicas=COUNT,
            maxReplicas=COUNT,
            idleTimeoutSeconds=COUNT,
            rayStartParams=PARAMETERS,
            template=TEMPLATE,
        )
    ),
)
JOB = fields(
    "entrypoint rayClusterSpec",
    entrypoint=STRING,
    submissionMode={"enum": ["K8sJobMode", "HTTPMode", "InteractiveMode"]},
    backoffLimit=COUNT,
    shutdownAfterJobFinishes={"type": "boolean"},
    ttlSecondsAfterFinished=COUNT,
    rayClusterSpec=CLUSTER,
)
CLAIM = fields(
    "accessModes resources",
    accessModes={"const": ["ReadWriteMany"]},
    storageClassName=STRING,
    resources=fields("requests", requests=fields("storage", storage=QUANTITY)),
)
KINDS = {
    "RayCluster": ("ray.io/v1", CLUSTER),
    "RayJob": ("ray.io/v1", JOB),
    "PersistentVolumeClaim": ("v1", CLAIM),
}


def load(text: str = TEXT) -> dict[str, Any]:
    listed = yaml.safe_load(text)
    assert (listed["apiVersion"], listed["kind"]) == ("v1", "List")
    return {item["kind"]: item for item in listed["items"]}


def check(items: dict[str, Any]) -> None:
    for kind, item in items.items():
        version, schema = KINDS[kind]
        metadata = fields("name labels", name=STRING, labels=PARAMETERS)
        whole = fields(
            "apiVersion kind metadata spec",
            apiVersion={"const": version},
            kind={"const": kind},
            metadata=metadata,
            spec=schema,
        )
        jsonschema.validate(item, whole)


@pytest.fixture
def items() -> dict[str, Any]:
    return copy.deepcopy(load())


@pytest.fixture
def spec(items) -> dict[str, Any]:
    found: dict[str, Any] = items["RayJob"]["spec"]["rayClusterSpec"]
    return found


def pods(spec):
    groups = [spec["headGroupSpec"], *spec["workerGroupSpecs"]]
    return [group["template"]["spec"] for group in groups]


def test_the_file_has_the_documented_fields(items):
    check(items)
    assert set(items) == set(KINDS)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("RayJob", "spec", "shutdownAfterJobFinish"), True),
        (("RayCluster", "spec", "authOptions", "mode"), "Token"),
        (("RayCluster", "spec", "headGroupSpec", "rayStartParams", "num-cpus"), 0),
        (("RayCluster", "spec", "workerGroupSpecs", 0, "minReplica"), 1),
        (("PersistentVolumeClaim", "spec", "accessModes"), ["ReadWriteOnce"]),
    ],
)
def test_the_check_finds_a_mistake(items, path, value):
    place = items
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        check(items)


def test_job_and_cluster_are_the_same_cluster(items):
    assert items["RayJob"]["spec"]["rayClusterSpec"] == items["RayCluster"]["spec"]


def test_every_node_asks_for_the_token_of_the_secret(spec):
    assert spec["authOptions"] == {"mode": "token", "secretName": "jetscale-token"}
    assert "kubectl create secret generic jetscale-token --from-literal=auth_token=" in TEXT
    assert "stringData" not in TEXT  # no token in a file


def test_ray_is_the_tested_version(spec):
    assert spec["rayVersion"] == ray.__version__
    image = (ROOT / "cluster" / "Dockerfile").read_text()
    assert f"FROM rayproject/ray:{ray.__version__}-py312" in image


def test_every_pod_writes_to_the_shared_folder(items, spec):
    claim = items["PersistentVolumeClaim"]["metadata"]["name"]
    for pod in pods(spec):
        (container,) = pod["containers"]
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        assert mounts.keys() == volumes.keys()
        assert volumes["results"]["persistentVolumeClaim"]["claimName"] == claim
        environment = {item["name"]: item["value"] for item in container["env"]}
        assert environment["JETSCALE_HOME"].startswith(mounts["results"] + "/")
        assert environment["RAY_USAGE_STATS_ENABLED"] == "0"
        assert mounts["shared-memory"] == "/dev/shm"
        assert container["resources"]["requests"] == container["resources"]["limits"]


def test_the_head_trains_nothing_and_workers_come_on_demand(spec):
    assert spec["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    assert spec["enableInTreeAutoscaling"] is True
    groups = {group["groupName"]: group for group in spec["workerGroupSpecs"]}
    assert groups.keys() == {"cpu", "gpu"}
    for name, group in groups.items():
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
        (container,) = group["template"]["spec"]["containers"]
        assert ("nvidia.com/gpu" in container["resources"]["limits"]) == (name == "gpu")
    assert groups["cpu"]["minReplicas"] >= 1  # a sweep counts the CPUs when it starts


def test_nothing_is_opened_to_the_outside():
    assert not re.search("LoadBalancer|NodePort|Ingress|hostNetwork|hostPort", TEXT)


def test_the_lines_for_spot_nodes_fit_where_they_stand():
    opened = re.sub(r"^( +)# (nodeSelector|tolerations): ", r"\1\2: ", TEXT, flags=re.MULTILINE)
    items = load(opened)
    check(items)
    groups = {g["groupName"]: g for g in items["RayCluster"]["spec"]["workerGroupSpecs"]}
    assert {"nodeSelector", "tolerations"} <= groups["gpu"]["template"]["spec"].keys()
    assert "nodeSelector" not in groups["cpu"]["template"]["spec"]


def test_what_must_be_filled_in_is_marked(items, spec):
    assert items["PersistentVolumeClaim"]["spec"]["storageClassName"] == "SET_ME"
    assert {pod["containers"][0]["image"] for pod in pods(spec)} == {"SET_ME/jetscale:0.2.0"}

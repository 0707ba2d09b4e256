"""The manifests fit together, and suit the programs that they run."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from aioinformers.controllers import run
from aioinformers.integrations.answers import PATHS
from aioinformers.objects.shard import COUNT, INDEX
from tests.deploy.manifests import FILES, ROOT, container_of, documents_of, only, workload_of

pytestmark = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)

PROBES = {"startupProbe": "/startupz", "readinessProbe": "/readyz", "livenessProbe": "/livez"}


def address_of(container: dict[str, Any]) -> tuple[str, int]:
    """Return where the program listens, as its command and environment say."""
    words = [*container["command"], *container.get("args", ())]
    if "--host" in words:
        return words[words.index("--host") + 1], int(words[words.index("--port") + 1])
    environment = {each["name"]: each.get("value") for each in container["env"]}
    host, _, port = environment["STATUS"].rpartition(":")
    return host, int(port)


def test_probes_reach_the_program_where_it_listens(path: Path) -> None:
    container = container_of(documents_of(path))
    host, port = address_of(container)
    assert host == "0.0.0.0", "a kubelet does not ask at the loopback address"
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    prefixes = set()
    for probe, last in PROBES.items():
        get = container[probe]["httpGet"]
        assert ports[get["port"]] == port
        assert last in PATHS
        prefixes.add(get["path"].removesuffix(last))
    template = workload_of(documents_of(path))["spec"]["template"]
    annotations = template["metadata"]["annotations"]
    assert annotations["prometheus.io/scrape"] == "true"
    assert annotations["prometheus.io/port"] == str(port)
    assert "/metrics" in PATHS
    assert {annotations["prometheus.io/path"].removesuffix("/metrics")} == prefixes


def test_no_probe_restarts_a_program_because_the_api_server_is_slow(path: Path) -> None:
    """At its start it has ten minutes; afterwards only what a restart mends is asked."""
    container = container_of(documents_of(path))
    startup = container["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 600
    assert container["livenessProbe"]["httpGet"]["path"].endswith("/livez")
    assert container["livenessProbe"]["timeoutSeconds"] > 1


def test_the_end_has_more_time_than_the_program_takes(path: Path) -> None:
    documents = documents_of(path)
    pause = container_of(documents).get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    grace = inspect.signature(run).parameters["grace"].default if "STATUS" in str(documents) else 6 + pause
    assert workload_of(documents)["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > grace


def test_names_refer_to_what_there_is(path: Path) -> None:
    documents = documents_of(path)
    namespace = only(documents, "Namespace")["metadata"]["name"]
    names = {(document["kind"], document["metadata"]["name"]) for document in documents}
    spec = workload_of(documents)["spec"]
    labels = spec["template"]["metadata"]["labels"]
    assert spec["selector"]["matchLabels"] == labels
    assert ("ServiceAccount", spec["template"]["spec"]["serviceAccountName"]) in names
    for document in documents:
        assert document["metadata"].get("namespace", namespace) == namespace
        if document["kind"].endswith("RoleBinding"):
            assert (document["roleRef"]["kind"], document["roleRef"]["name"]) in names
            assert document["kind"] == f"{document['roleRef']['kind']}Binding"
            for subject in document["subjects"]:
                assert (subject["kind"], subject["name"]) in names
                assert subject["namespace"] == namespace
        if document["kind"] == "Service":
            assert document["spec"]["selector"] == labels
            ports = {each["name"] for each in container_of(documents)["ports"]}
            assert {each["targetPort"] for each in document["spec"]["ports"]} <= ports


def test_nobody_is_root_and_nothing_is_writable(path: Path) -> None:
    documents = documents_of(path)
    pod, container = workload_of(documents)["spec"]["template"]["spec"], container_of(documents)
    assert pod["securityContext"]["runAsNonRoot"] is True
    user = re.search(r"^USER (\d+):(\d+)$", (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert user is not None
    assert (pod["securityContext"]["runAsUser"], pod["securityContext"]["runAsGroup"]) == tuple(map(int, user.groups()))
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"requests", "limits"} == set(container["resources"])


def test_no_role_allows_more_than_can_be_read_in_it(path: Path) -> None:
    for document in documents_of(path):
        for rule in document.get("rules", ()):
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
            assert "secrets" not in rule["resources"]


def test_a_shard_for_each_replica(path: Path) -> None:
    documents = documents_of(path)
    environment = {each["name"]: each for each in container_of(documents).get("env", ())}
    spec = workload_of(documents)["spec"]
    if COUNT not in environment:
        assert workload_of(documents)["kind"] == "Deployment"
        return
    assert workload_of(documents)["kind"] == "StatefulSet"
    assert environment[COUNT]["value"] == str(spec["replicas"])
    label = "metadata.labels['apps.kubernetes.io/pod-index']"
    assert environment[INDEX]["valueFrom"]["fieldRef"]["fieldPath"] == label
    assert spec["serviceName"] == only(documents, "Service")["metadata"]["name"]

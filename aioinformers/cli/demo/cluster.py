"""Simulates the demonstration's cluster: users, a deployment controller, a scheduler and a kubelet. Uses no loop."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from aioinformers.testing import FakeAPIServer
from aioinformers.types import GroupVersionResource

__all__ = ["CONFIGMAPS", "DEPLOYMENTS", "NODES", "PODS", "REPLICASETS", "WIDGETS", "BusyCluster"]

PODS = GroupVersionResource("", "v1", "pods")
NODES = GroupVersionResource("", "v1", "nodes")
CONFIGMAPS = GroupVersionResource("", "v1", "configmaps")
DEPLOYMENTS = GroupVersionResource("apps", "v1", "deployments")
REPLICASETS = GroupVersionResource("apps", "v1", "replicasets")
WIDGETS = GroupVersionResource("example.com", "v1", "widgets")

_NAMESPACES = ("infra", "search", "shop")
_APPS = ("cart", "catalog", "checkout", "gateway", "indexer", "mailer", "queue", "ranking", "sessions", "web")
_COLORS = ("amber", "blue", "green", "red", "violet")
_MIN_NODES, _MAX_NODES = 3, 7
_MAX_REPLICAS = 8

Object = dict[str, Any]


class BusyCluster:
    """Deployments with their ReplicaSets and Pods, Nodes, ConfigMaps and a custom resource.

    Each :meth:`step` does one action of a user, taken from a shuffled list so that each comes up soon. Then a
    deployment controller, a scheduler and a kubelet, each a few lines long, do one round of their work.

    Args:
        server: The server that holds the objects.
        rng: Source of all random choices.
    """

    def __init__(self, server: FakeAPIServer, rng: random.Random) -> None:
        self._server = server
        self._rng = rng
        self._actions: list[Callable[[], None]] = []
        self._count = 0

    def build(self) -> None:
        """Create all objects, and let the controllers work until little changes."""
        self._server.create("customresourcedefinitions", _CRD)
        for namespace in _NAMESPACES:
            self._server.create("namespaces", {"metadata": {"name": namespace}})
        for make in (self._add_node, self._add_config, self._add_widget, self._deploy):
            for _ in range(6):
                make()
        for _ in range(12):
            self._work()

    def step(self) -> None:
        """Do one action of a user and one round of the controllers."""
        if not self._actions:
            self._actions = [
                self._scale_up, self._scale_down, self._roll_out, self._deploy, self._undeploy,
                self._add_config, self._edit_config, self._remove_config,
                self._add_widget, self._edit_widget, self._remove_widget,
                self._add_node, self._heartbeat, self._remove_node, self._heartbeat,
                self._move_label, self._move_label, self._move_label,
            ]  # fmt: skip
            self._rng.shuffle(self._actions)
        self._actions.pop()()
        self._work()

    # -- users ------------------------------------------------------------------------------------------------

    def _deploy(self) -> None:
        taken = {_name(deployment) for deployment in self._server.list(DEPLOYMENTS)}
        if free := [name for name in _APPS if name not in taken]:
            self._server.create(DEPLOYMENTS, self._deployment(self._rng.choice(free)))

    def _deployment(self, name: str) -> Object:
        self._count += 1
        labels, container = {"app": name}, {"name": name, "image": f"{name}:1.{self._count}"}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
        return {
            "metadata": {"name": name, "namespace": self._rng.choice(_NAMESPACES), "labels": labels},
            "spec": {
                "replicas": self._rng.randint(2, 5),
                "selector": {"matchLabels": labels},
                "template": template,
            },
        }

    def _undeploy(self) -> None:
        deployments = self._server.list(DEPLOYMENTS)
        if len(deployments) > 3:
            self._delete(DEPLOYMENTS, self._rng.choice(deployments))

    def _scale(self, change: int) -> None:
        deployment = self._rng.choice(self._server.list(DEPLOYMENTS))
        wanted = deployment["spec"]["replicas"] + change
        self._patch(DEPLOYMENTS, deployment, {"spec": {"replicas": min(max(wanted, 1), _MAX_REPLICAS)}})

    def _scale_up(self) -> None:
        self._scale(self._rng.randint(1, 3))

    def _scale_down(self) -> None:
        self._scale(-self._rng.randint(1, 3))

    def _roll_out(self) -> None:
        deployment = self._rng.choice(self._server.list(DEPLOYMENTS))
        self._count += 1
        container = {"name": _name(deployment), "image": f"{_name(deployment)}:1.{self._count}"}
        self._patch(DEPLOYMENTS, deployment, {"spec": {"template": {"spec": {"containers": [container]}}}})

    def _move_label(self) -> None:
        """Add the canary label to a pod or remove it, so that the pod enters or leaves a selection."""
        pod = self._rng.choice(self._server.list(PODS))
        track = None if "track" in pod["metadata"]["labels"] else "canary"
        self._patch(PODS, pod, {"metadata": {"labels": {"track": track}}})

    def _add_config(self) -> None:
        self._count += 1
        metadata = {"name": f"settings-{self._count}", "namespace": self._rng.choice(_NAMESPACES)}
        self._server.create(CONFIGMAPS, {"metadata": metadata, "data": {"level": "info"}})

    def _edit_config(self) -> None:
        self._count += 1
        self._patch(CONFIGMAPS, self._any(CONFIGMAPS), {"data": {f"key-{self._count}": "on"}})

    def _remove_config(self) -> None:
        self._delete(CONFIGMAPS, self._any(CONFIGMAPS))

    def _add_widget(self) -> None:
        self._count += 1
        metadata = {"name": f"widget-{self._count}", "namespace": self._rng.choice(_NAMESPACES)}
        widget = {"metadata": metadata, "spec": {"color": self._rng.choice(_COLORS)}, "status": {"phase": "New"}}
        self._server.create(WIDGETS, widget)

    def _edit_widget(self) -> None:
        change = {"spec": {"color": self._rng.choice(_COLORS), "turns": self._count}, "status": {"phase": "Painted"}}
        self._patch(WIDGETS, self._any(WIDGETS), change)

    def _remove_widget(self) -> None:
        self._delete(WIDGETS, self._any(WIDGETS))

    def _add_node(self) -> None:
        if len(self._server.list(NODES)) < _MAX_NODES:
            self._count += 1
            condition = {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": _now()}
            node = {"metadata": {"name": f"node-{self._count}"}, "spec": {}, "status": {"conditions": [condition]}}
            self._server.create(NODES, node)

    def _heartbeat(self) -> None:
        node = self._any(NODES)
        condition = {**node["status"]["conditions"][0], "lastHeartbeatTime": _now()}
        beats = int(node["metadata"].get("annotations", {}).get("heartbeats", 0)) + 1
        annotations = {"annotations": {"heartbeats": str(beats)}}
        self._patch(NODES, node, {"metadata": annotations, "status": {"conditions": [condition]}})

    def _remove_node(self) -> None:
        nodes = self._server.list(NODES)
        if len(nodes) > _MIN_NODES:
            self._delete(NODES, self._rng.choice(nodes))

    # -- controllers ------------------------------------------------------------------------------------------

    def _work(self) -> None:
        self._run_deployments()
        self._run_replicasets()
        self._run_kubelets()

    def _run_deployments(self) -> None:
        """Give each deployment one ReplicaSet of its size; scale older ones down and delete them."""
        replicasets = self._server.list(REPLICASETS)
        current: set[str] = set()
        for deployment in self._server.list(DEPLOYMENTS):
            template = deployment["spec"]["template"]
            image = template["spec"]["containers"][0]["image"]
            name = f"{_name(deployment)}-{zlib.crc32(image.encode()):08x}"
            current.add(name)
            own = next((replicaset for replicaset in replicasets if _name(replicaset) == name), None)
            if own is None:
                labels = {**template["metadata"]["labels"], "revision": name.rpartition("-")[2]}
                metadata = {"name": name, "namespace": deployment["metadata"]["namespace"], "labels": labels}
                spec = {"replicas": deployment["spec"]["replicas"], "template": template}
                self._server.create(REPLICASETS, {"metadata": metadata, "spec": spec})
                continue
            self._patch(REPLICASETS, own, {"spec": {"replicas": deployment["spec"]["replicas"]}})
            self._patch(DEPLOYMENTS, deployment, {"status": own.get("status", {})})
        for replicaset in replicasets:
            if _name(replicaset) in current:
                continue
            self._patch(REPLICASETS, replicaset, {"spec": {"replicas": 0}})
            if not replicaset.get("status", {}).get("replicas"):
                self._delete(REPLICASETS, replicaset)

    def _run_replicasets(self) -> None:
        """Create or delete one pod of each ReplicaSet that has too few or too many."""
        pods: dict[str, list[Object]] = {}
        for pod in self._server.list(PODS):
            pods.setdefault(pod["metadata"]["labels"]["revision"], []).append(pod)
        for replicaset in self._server.list(REPLICASETS):
            metadata, spec = replicaset["metadata"], replicaset["spec"]
            own = pods.pop(metadata["labels"]["revision"], [])
            if len(own) < spec["replicas"]:
                self._server.create(PODS, self._pod(replicaset))
            elif len(own) > spec["replicas"]:
                self._delete(PODS, self._rng.choice(own))
            ready = sum(pod["status"]["phase"] == "Running" for pod in own)
            self._patch(REPLICASETS, replicaset, {"status": {"replicas": len(own), "readyReplicas": ready}})
        for orphans in pods.values():
            for pod in orphans:
                self._delete(PODS, pod)

    def _pod(self, replicaset: Object) -> Object:
        metadata = replicaset["metadata"]
        return {
            "metadata": {
                "generateName": f"{metadata['name']}-",
                "namespace": metadata["namespace"],
                "labels": dict(metadata["labels"]),
            },
            "spec": dict(replicaset["spec"]["template"]["spec"]),
            "status": {"phase": "Pending"},
        }

    def _run_kubelets(self) -> None:
        """Schedule pods without a node, start scheduled pods, and delete pods whose node is gone."""
        nodes = [_name(node) for node in self._server.list(NODES)]
        for pod in self._server.list(PODS):
            node = pod["spec"].get("nodeName")
            if node is None:
                self._patch(PODS, pod, {"spec": {"nodeName": self._rng.choice(nodes)}})
            elif node not in nodes:
                self._delete(PODS, pod)
            elif pod["status"]["phase"] == "Pending":
                started = [{"name": container["name"], "ready": True} for container in pod["spec"]["containers"]]
                self._patch(PODS, pod, {"status": {"phase": "Running", "containerStatuses": started}})

    # -- the API ----------------------------------------------------------------------------------------------

    def _any(self, resource: GroupVersionResource) -> Object:
        return self._rng.choice(self._server.list(resource))

    def _patch(self, resource: GroupVersionResource, obj: Object, patch: Object) -> None:
        self._server.patch(resource, _name(obj), patch, namespace=obj["metadata"].get("namespace"))

    def _delete(self, resource: GroupVersionResource, obj: Object) -> None:
        self._server.delete(resource, _name(obj), namespace=obj["metadata"].get("namespace"))


def _name(obj: Object) -> str:
    return str(obj["metadata"]["name"])


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_CRD: Object = {
    "metadata": {"name": "widgets.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "shortNames": ["wd"]},
        "versions": [{"name": "v1", "served": True, "storage": True, "subresources": {"status": {}}}],
    },
}

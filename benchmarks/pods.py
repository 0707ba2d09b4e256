"""Realistic Pods of about 5 KB, as a cluster has them: ``python -m benchmarks.pods OBJECTS EVENTS`` prints them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

TRICKLE = 1_000
"""How many updates are there to be sent one at a time, after the flood."""

MANAGERS = ("kube-controller-manager", "kube-scheduler", "kubelet", "rollout-operator")


def managed_fields(index: int) -> list[dict[str, Any]]:
    """Return the bookkeeping that server-side apply keeps on every object."""
    fields = {
        "f:metadata": {"f:labels": {".": {}, "f:app": {}, "f:tier": {}}, "f:ownerReferences": {".": {}}},
        "f:spec": {"f:containers": {'k:{"name":"main"}': {".": {}, "f:image": {}, "f:resources": {".": {}}}}},
        "f:status": {"f:conditions": {'k:{"type":"Ready"}': {".": {}, "f:lastTransitionTime": {}, "f:status": {}}}},
    }
    return [
        {
            "manager": manager, "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1",
            "time": f"2026-01-01T00:{index % 60:02}:00Z", "fieldsV1": fields,
        }
        for manager in MANAGERS
    ]  # fmt: skip


def pod(index: int, version: int) -> dict[str, Any]:
    """Return one Pod; ``version`` is its resourceVersion."""
    app = f"app-{index % 97}"
    probe = {"httpGet": {"path": "/healthz", "port": 8080, "scheme": "HTTP"}, "periodSeconds": 10, "timeoutSeconds": 1}
    container = {
        "name": "main", "image": f"registry.example.com/team/{app}:v1.{index % 13}.0", "imagePullPolicy": "IfNotPresent",
        "ports": [{"containerPort": 8080, "name": "http", "protocol": "TCP"}],
        "env": [{"name": f"SETTING_{i}", "value": f"value-{i}"} for i in range(8)],
        "resources": {"limits": {"cpu": "1", "memory": "512Mi"}, "requests": {"cpu": "100m", "memory": "128Mi"}},
        "livenessProbe": probe, "readinessProbe": probe, "terminationMessagePolicy": "File",
        "volumeMounts": [{"mountPath": "/var/run/secrets/token", "name": "token", "readOnly": True}],
    }  # fmt: skip
    conditions = [
        {"type": kind, "status": "True", "lastProbeTime": None, "lastTransitionTime": "2026-01-01T00:00:00Z"}
        for kind in ("Initialized", "Ready", "ContainersReady", "PodScheduled")
    ]
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {
            "name": f"{app}-{index:06}", "generateName": f"{app}-", "namespace": f"ns-{index % 50}",
            "uid": f"{index:08x}-aaaa-bbbb-cccc-dddddddddddd", "resourceVersion": str(version),
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"app": app, "tier": "web" if index % 2 else "db", "pod-template-hash": f"{index % 97:010x}"},
            "annotations": {"prometheus.io/scrape": "true", "checksum/config": f"{index:064x}"},
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": app, "uid": f"{index % 97:08x}-1111-2222-3333-444444444444",
                "controller": True, "blockOwnerDeletion": True,
            }],
            "managedFields": managed_fields(index),
        },
        "spec": {
            "containers": [container], "nodeName": f"node-{index % 200}", "restartPolicy": "Always",
            "serviceAccountName": app, "schedulerName": "default-scheduler", "priority": 0, "dnsPolicy": "ClusterFirst",
            "tolerations": [
                {"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
                for key in ("not-ready", "unreachable")
            ],
            "volumes": [{"name": "token", "projected": {"defaultMode": 420, "sources": [
                {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}}]}}],
        },
        "status": {
            "phase": "Running", "conditions": conditions, "hostIP": f"10.0.0.{index % 200}", "qosClass": "Burstable",
            "podIP": f"10.{index // 65536}.{index // 256 % 256}.{index % 256}", "startTime": "2026-01-01T00:00:00Z",
            "containerStatuses": [{
                "name": "main", "ready": True, "restartCount": 0, "started": True, "image": container["image"],
                "imageID": f"registry.example.com/team/{app}@sha256:{index % 97:064x}",
                "containerID": f"containerd://{index:064x}", "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
            }],
        },
    }  # fmt: skip


def encoded(index: int, version: int) -> bytes:
    """Return one Pod as the bytes that a server sends."""
    return json.dumps(pod(index, version), separators=(",", ":")).encode()


def feed(objects: int, events: int) -> Iterator[bytes]:
    """Yield the objects, then the updates, then ``TRICKLE`` updates more."""
    for i in range(objects):
        yield encoded(i, i + 1)
    for i in range(events + TRICKLE):
        yield encoded(i % objects, objects + i + 1)


def main(objects: int, events: int) -> None:
    """Print a feed, one Pod a line."""
    for body in feed(objects, events):
        sys.stdout.buffer.write(body + b"\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))

"""``apps``: Workloads that are kept running, and their revisions.

Generated from kubernetes_asyncio 36 by ``tools/generate_resources.py``: change that, not this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aioinformers.resources._accessor import Accessor, Group, Version

if TYPE_CHECKING:
    from kubernetes_asyncio.client import V1ControllerRevision, V1DaemonSet, V1Deployment, V1ReplicaSet, V1StatefulSet

__all__ = [
    "Apps",
    "AppsV1",
    "AppsV1beta1",
    "AppsV1beta2",
]


class AppsV1(Version, group="apps", version="v1"):
    """``apps/v1``."""

    controllerrevisions: Accessor[V1ControllerRevision]
    daemonsets: Accessor[V1DaemonSet]
    deployments: Accessor[V1Deployment]
    replicasets: Accessor[V1ReplicaSet]
    statefulsets: Accessor[V1StatefulSet]


class AppsV1beta2(
    Version,
    group="apps",
    version="v1beta2",
    untyped={
        "controllerrevisions": "ControllerRevision",
        "daemonsets": "DaemonSet",
        "deployments": "Deployment",
        "replicasets": "ReplicaSet",
        "statefulsets": "StatefulSet",
    },
):
    """``apps/v1beta2``."""

    controllerrevisions: Accessor[dict[str, Any]]
    daemonsets: Accessor[dict[str, Any]]
    deployments: Accessor[dict[str, Any]]
    replicasets: Accessor[dict[str, Any]]
    statefulsets: Accessor[dict[str, Any]]


class AppsV1beta1(
    Version,
    group="apps",
    version="v1beta1",
    untyped={"controllerrevisions": "ControllerRevision", "deployments": "Deployment", "statefulsets": "StatefulSet"},
):
    """``apps/v1beta1``."""

    controllerrevisions: Accessor[dict[str, Any]]
    deployments: Accessor[dict[str, Any]]
    statefulsets: Accessor[dict[str, Any]]


class Apps(Group, versions=(AppsV1, AppsV1beta2, AppsV1beta1)):
    """The versions of ``apps``."""

    v1: AppsV1
    v1beta2: AppsV1beta2
    v1beta1: AppsV1beta1

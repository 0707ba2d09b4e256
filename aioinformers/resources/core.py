"""``core``: The core group: Pods, Services, ConfigMaps, Namespaces, Nodes, ...

Generated from kubernetes_asyncio 36 by ``tools/generate_resources.py``: change that, not this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aioinformers.resources._accessor import Accessor, Group, Version

if TYPE_CHECKING:
    from kubernetes_asyncio.client import (
        CoreV1Event,
        V1ComponentStatus,
        V1ConfigMap,
        V1Endpoints,
        V1LimitRange,
        V1Namespace,
        V1Node,
        V1PersistentVolume,
        V1PersistentVolumeClaim,
        V1Pod,
        V1PodTemplate,
        V1ReplicationController,
        V1ResourceQuota,
        V1Secret,
        V1Service,
        V1ServiceAccount,
    )

__all__ = [
    "Core",
    "CoreV1",
]


class CoreV1(
    Version,
    group="",
    version="v1",
    cluster_scoped={"componentstatuses", "namespaces", "nodes", "persistentvolumes"},
):
    """``v1``."""

    componentstatuses: Accessor[V1ComponentStatus]
    configmaps: Accessor[V1ConfigMap]
    endpoints: Accessor[V1Endpoints]
    events: Accessor[CoreV1Event]
    limitranges: Accessor[V1LimitRange]
    namespaces: Accessor[V1Namespace]
    nodes: Accessor[V1Node]
    persistentvolumeclaims: Accessor[V1PersistentVolumeClaim]
    persistentvolumes: Accessor[V1PersistentVolume]
    pods: Accessor[V1Pod]
    podtemplates: Accessor[V1PodTemplate]
    replicationcontrollers: Accessor[V1ReplicationController]
    resourcequotas: Accessor[V1ResourceQuota]
    secrets: Accessor[V1Secret]
    serviceaccounts: Accessor[V1ServiceAccount]
    services: Accessor[V1Service]


class Core(Group, versions=(CoreV1,)):
    """The versions of ``core``."""

    v1: CoreV1

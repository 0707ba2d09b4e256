"""The core group."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aioinformers.resources._accessor import Accessor, InformerSource, Version

if TYPE_CHECKING:
    from kubernetes_asyncio.client import V1ConfigMap, V1Namespace, V1Node, V1Pod, V1Service

__all__ = ["Core", "CoreV1"]


class CoreV1(Version):
    """``v1``."""

    group, version = "", "v1"

    configmaps: Accessor[V1ConfigMap]
    namespaces: Accessor[V1Namespace]
    nodes: Accessor[V1Node]
    pods: Accessor[V1Pod]
    services: Accessor[V1Service]

    @classmethod
    def table(cls) -> dict[str, tuple[str, str, bool]]:
        """Return kind, model and whether it is namespaced, by plural."""
        return {
            "configmaps": ("ConfigMap", "V1ConfigMap", True),
            "namespaces": ("Namespace", "V1Namespace", False),
            "nodes": ("Node", "V1Node", False),
            "pods": ("Pod", "V1Pod", True),
            "services": ("Service", "V1Service", True),
        }


class Core:
    """Versions of the core group."""

    versions = (CoreV1,)

    def __init__(self, factory: InformerSource) -> None:
        self.v1 = CoreV1(factory)

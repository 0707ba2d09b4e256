"""``node.k8s.io``: Container runtimes.

Generated from kubernetes_asyncio 36 by ``tools/generate_resources.py``: change that, not this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from aioinformers.resources._accessor import Accessor, Group, Version

if TYPE_CHECKING:
    from kubernetes_asyncio.client import V1RuntimeClass

__all__ = [
    "Node",
    "NodeV1",
    "NodeV1alpha1",
    "NodeV1beta1",
]


class NodeV1(Version):
    """``node.k8s.io/v1``."""

    group, version = "node.k8s.io", "v1"
    cluster_scoped = ("runtimeclasses",)

    runtimeclasses: Accessor[V1RuntimeClass]


class NodeV1beta1(Version):
    """``node.k8s.io/v1beta1``."""

    group, version = "node.k8s.io", "v1beta1"
    cluster_scoped = ("runtimeclasses",)
    untyped: ClassVar = {"runtimeclasses": "RuntimeClass"}

    runtimeclasses: Accessor[dict[str, Any]]


class NodeV1alpha1(Version):
    """``node.k8s.io/v1alpha1``."""

    group, version = "node.k8s.io", "v1alpha1"
    cluster_scoped = ("runtimeclasses",)
    untyped: ClassVar = {"runtimeclasses": "RuntimeClass"}

    runtimeclasses: Accessor[dict[str, Any]]


class Node(Group):
    """The versions of ``node.k8s.io``."""

    versions = (NodeV1, NodeV1beta1, NodeV1alpha1)

    v1: NodeV1
    v1beta1: NodeV1beta1
    v1alpha1: NodeV1alpha1

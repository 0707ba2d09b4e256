"""``node.k8s.io``: Container runtimes.

Generated from kubernetes_asyncio 36 by ``tools/generate_resources.py``: change that, not this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aioinformers.resources._accessor import Accessor, Group, Version

if TYPE_CHECKING:
    from kubernetes_asyncio.client import V1RuntimeClass

__all__ = [
    "Node",
    "NodeV1",
    "NodeV1alpha1",
    "NodeV1beta1",
]


class NodeV1(Version, group="node.k8s.io", version="v1", cluster_scoped={"runtimeclasses"}):
    """``node.k8s.io/v1``."""

    runtimeclasses: Accessor[V1RuntimeClass]


class NodeV1beta1(
    Version,
    group="node.k8s.io",
    version="v1beta1",
    cluster_scoped={"runtimeclasses"},
    untyped={"runtimeclasses": "RuntimeClass"},
):
    """``node.k8s.io/v1beta1``."""

    runtimeclasses: Accessor[dict[str, Any]]


class NodeV1alpha1(
    Version,
    group="node.k8s.io",
    version="v1alpha1",
    cluster_scoped={"runtimeclasses"},
    untyped={"runtimeclasses": "RuntimeClass"},
):
    """``node.k8s.io/v1alpha1``."""

    runtimeclasses: Accessor[dict[str, Any]]


class Node(Group, versions=(NodeV1, NodeV1beta1, NodeV1alpha1)):
    """The versions of ``node.k8s.io``."""

    v1: NodeV1
    v1beta1: NodeV1beta1
    v1alpha1: NodeV1alpha1

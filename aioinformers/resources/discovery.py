"""``discovery.k8s.io``: Endpoints of Services.

Generated from kubernetes_asyncio 36 by ``tools/generate_resources.py``: change that, not this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from aioinformers.resources._accessor import Accessor, Group, Version

if TYPE_CHECKING:
    from kubernetes_asyncio.client import V1EndpointSlice

__all__ = [
    "Discovery",
    "DiscoveryV1",
    "DiscoveryV1alpha1",
    "DiscoveryV1beta1",
]


class DiscoveryV1(Version):
    """``discovery.k8s.io/v1``."""

    group, version = "discovery.k8s.io", "v1"

    endpointslices: Accessor[V1EndpointSlice]


class DiscoveryV1beta1(Version):
    """``discovery.k8s.io/v1beta1``."""

    group, version = "discovery.k8s.io", "v1beta1"
    untyped: ClassVar = {"endpointslices": "EndpointSlice"}

    endpointslices: Accessor[dict[str, Any]]


class DiscoveryV1alpha1(Version):
    """``discovery.k8s.io/v1alpha1``."""

    group, version = "discovery.k8s.io", "v1alpha1"
    untyped: ClassVar = {"endpointslices": "EndpointSlice"}

    endpointslices: Accessor[dict[str, Any]]


class Discovery(Group):
    """The versions of ``discovery.k8s.io``."""

    versions = (DiscoveryV1, DiscoveryV1beta1, DiscoveryV1alpha1)

    v1: DiscoveryV1
    v1beta1: DiscoveryV1beta1
    v1alpha1: DiscoveryV1alpha1

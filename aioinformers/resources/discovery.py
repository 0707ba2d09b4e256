"""``discovery.k8s.io``: Endpoints of Services.

Generated from kubernetes_asyncio 36 by ``tools/generate_resources.py``: change that, not this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aioinformers.resources._accessor import Accessor, Group, Version

if TYPE_CHECKING:
    from kubernetes_asyncio.client import V1EndpointSlice

__all__ = [
    "Discovery",
    "DiscoveryV1",
    "DiscoveryV1alpha1",
    "DiscoveryV1beta1",
]


class DiscoveryV1(Version, group="discovery.k8s.io", version="v1"):
    """``discovery.k8s.io/v1``."""

    endpointslices: Accessor[V1EndpointSlice]


class DiscoveryV1beta1(
    Version,
    group="discovery.k8s.io",
    version="v1beta1",
    untyped={"endpointslices": "EndpointSlice"},
):
    """``discovery.k8s.io/v1beta1``."""

    endpointslices: Accessor[dict[str, Any]]


class DiscoveryV1alpha1(
    Version,
    group="discovery.k8s.io",
    version="v1alpha1",
    untyped={"endpointslices": "EndpointSlice"},
):
    """``discovery.k8s.io/v1alpha1``."""

    endpointslices: Accessor[dict[str, Any]]


class Discovery(Group, versions=(DiscoveryV1, DiscoveryV1beta1, DiscoveryV1alpha1)):
    """The versions of ``discovery.k8s.io``."""

    v1: DiscoveryV1
    v1beta1: DiscoveryV1beta1
    v1alpha1: DiscoveryV1alpha1

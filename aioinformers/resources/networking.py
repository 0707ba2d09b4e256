"""``networking.k8s.io``: Ingresses, network policies and addresses of Services.

Generated from kubernetes_asyncio 36 by ``tools/generate_resources.py``: change that, not this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aioinformers.resources._accessor import Accessor, Group, Version

if TYPE_CHECKING:
    from kubernetes_asyncio.client import (
        V1beta1IPAddress,
        V1beta1ServiceCIDR,
        V1Ingress,
        V1IngressClass,
        V1IPAddress,
        V1NetworkPolicy,
        V1ServiceCIDR,
    )

__all__ = [
    "Networking",
    "NetworkingV1",
    "NetworkingV1alpha1",
    "NetworkingV1beta1",
]


class NetworkingV1(
    Version,
    group="networking.k8s.io",
    version="v1",
    cluster_scoped={"ingressclasses", "ipaddresses", "servicecidrs"},
):
    """``networking.k8s.io/v1``."""

    ingressclasses: Accessor[V1IngressClass]
    ingresses: Accessor[V1Ingress]
    ipaddresses: Accessor[V1IPAddress]
    networkpolicies: Accessor[V1NetworkPolicy]
    servicecidrs: Accessor[V1ServiceCIDR]


class NetworkingV1beta1(
    Version,
    group="networking.k8s.io",
    version="v1beta1",
    cluster_scoped={"ingressclasses", "ipaddresses", "servicecidrs"},
    untyped={"ingressclasses": "IngressClass", "ingresses": "Ingress"},
):
    """``networking.k8s.io/v1beta1``."""

    ingressclasses: Accessor[dict[str, Any]]
    ingresses: Accessor[dict[str, Any]]
    ipaddresses: Accessor[V1beta1IPAddress]
    servicecidrs: Accessor[V1beta1ServiceCIDR]


class NetworkingV1alpha1(
    Version,
    group="networking.k8s.io",
    version="v1alpha1",
    cluster_scoped={"clustercidrs", "ipaddresses", "servicecidrs"},
    untyped={"clustercidrs": "ClusterCIDR", "ipaddresses": "IPAddress", "servicecidrs": "ServiceCIDR"},
):
    """``networking.k8s.io/v1alpha1``."""

    clustercidrs: Accessor[dict[str, Any]]
    ipaddresses: Accessor[dict[str, Any]]
    servicecidrs: Accessor[dict[str, Any]]


class Networking(Group, versions=(NetworkingV1, NetworkingV1beta1, NetworkingV1alpha1)):
    """The versions of ``networking.k8s.io``."""

    v1: NetworkingV1
    v1beta1: NetworkingV1beta1
    v1alpha1: NetworkingV1alpha1

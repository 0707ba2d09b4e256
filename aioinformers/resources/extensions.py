"""``extensions``: What later moved to ``apps``, ``networking.k8s.io`` and ``policy``.

Generated from kubernetes_asyncio 36 by ``tools/generate_resources.py``: change that, not this file.
"""

from __future__ import annotations

from typing import Any

from aioinformers.resources._accessor import Accessor, Group, Version

__all__ = [
    "Extensions",
    "ExtensionsV1beta1",
]


class ExtensionsV1beta1(
    Version,
    group="extensions",
    version="v1beta1",
    cluster_scoped={"podsecuritypolicies", "thirdpartyresources"},
    untyped={
        "daemonsets": "DaemonSet",
        "deployments": "Deployment",
        "ingresses": "Ingress",
        "networkpolicies": "NetworkPolicy",
        "podsecuritypolicies": "PodSecurityPolicy",
        "replicasets": "ReplicaSet",
        "thirdpartyresources": "ThirdPartyResource",
    },
):
    """``extensions/v1beta1``."""

    daemonsets: Accessor[dict[str, Any]]
    deployments: Accessor[dict[str, Any]]
    ingresses: Accessor[dict[str, Any]]
    networkpolicies: Accessor[dict[str, Any]]
    podsecuritypolicies: Accessor[dict[str, Any]]
    replicasets: Accessor[dict[str, Any]]
    thirdpartyresources: Accessor[dict[str, Any]]


class Extensions(Group, versions=(ExtensionsV1beta1,)):
    """The versions of ``extensions``."""

    v1beta1: ExtensionsV1beta1

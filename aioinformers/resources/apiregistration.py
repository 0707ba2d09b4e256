"""``apiregistration.k8s.io``: API servers that serve a group behind the main one.

Generated from kubernetes_asyncio 36 by ``tools/generate_resources.py``: change that, not this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aioinformers.resources._accessor import Accessor, Group, Version

if TYPE_CHECKING:
    from kubernetes_asyncio.client import V1APIService

__all__ = [
    "Apiregistration",
    "ApiregistrationV1",
    "ApiregistrationV1beta1",
]


class ApiregistrationV1(Version, group="apiregistration.k8s.io", version="v1", cluster_scoped={"apiservices"}):
    """``apiregistration.k8s.io/v1``."""

    apiservices: Accessor[V1APIService]


class ApiregistrationV1beta1(
    Version,
    group="apiregistration.k8s.io",
    version="v1beta1",
    cluster_scoped={"apiservices"},
    untyped={"apiservices": "APIService"},
):
    """``apiregistration.k8s.io/v1beta1``."""

    apiservices: Accessor[dict[str, Any]]


class Apiregistration(Group, versions=(ApiregistrationV1, ApiregistrationV1beta1)):
    """The versions of ``apiregistration.k8s.io``."""

    v1: ApiregistrationV1
    v1beta1: ApiregistrationV1beta1

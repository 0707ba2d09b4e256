"""``apiregistration.k8s.io``: API servers that serve a group behind the main one.

Generated from kubernetes_asyncio 36 by ``tools/generate_resources.py``: change that, not this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from aioinformers.resources._accessor import Accessor, Group, Version

if TYPE_CHECKING:
    from kubernetes_asyncio.client import V1APIService

__all__ = [
    "Apiregistration",
    "ApiregistrationV1",
    "ApiregistrationV1beta1",
]


class ApiregistrationV1(Version):
    """``apiregistration.k8s.io/v1``."""

    group, version = "apiregistration.k8s.io", "v1"
    cluster_scoped = ("apiservices",)

    apiservices: Accessor[V1APIService]


class ApiregistrationV1beta1(Version):
    """``apiregistration.k8s.io/v1beta1``."""

    group, version = "apiregistration.k8s.io", "v1beta1"
    cluster_scoped = ("apiservices",)
    untyped: ClassVar = {"apiservices": "APIService"}

    apiservices: Accessor[dict[str, Any]]


class Apiregistration(Group):
    """The versions of ``apiregistration.k8s.io``."""

    versions = (ApiregistrationV1, ApiregistrationV1beta1)

    v1: ApiregistrationV1
    v1beta1: ApiregistrationV1beta1

"""``apiextensions.k8s.io``: Definitions of custom resources.

Generated from kubernetes_asyncio 36 by ``tools/generate_resources.py``: change that, not this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from aioinformers.resources._accessor import Accessor, Group, Version

if TYPE_CHECKING:
    from kubernetes_asyncio.client import V1CustomResourceDefinition

__all__ = [
    "Apiextensions",
    "ApiextensionsV1",
    "ApiextensionsV1beta1",
]


class ApiextensionsV1(Version):
    """``apiextensions.k8s.io/v1``."""

    group, version = "apiextensions.k8s.io", "v1"
    cluster_scoped = ("customresourcedefinitions",)

    customresourcedefinitions: Accessor[V1CustomResourceDefinition]


class ApiextensionsV1beta1(Version):
    """``apiextensions.k8s.io/v1beta1``."""

    group, version = "apiextensions.k8s.io", "v1beta1"
    cluster_scoped = ("customresourcedefinitions",)
    untyped: ClassVar = {"customresourcedefinitions": "CustomResourceDefinition"}

    customresourcedefinitions: Accessor[dict[str, Any]]


class Apiextensions(Group):
    """The versions of ``apiextensions.k8s.io``."""

    versions = (ApiextensionsV1, ApiextensionsV1beta1)

    v1: ApiextensionsV1
    v1beta1: ApiextensionsV1beta1

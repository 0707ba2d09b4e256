"""``apiextensions.k8s.io``: Definitions of custom resources.

Generated from kubernetes_asyncio 36 by ``tools/generate_resources.py``: change that, not this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aioinformers.resources._accessor import Accessor, Group, Version

if TYPE_CHECKING:
    from kubernetes_asyncio.client import V1CustomResourceDefinition

__all__ = [
    "Apiextensions",
    "ApiextensionsV1",
    "ApiextensionsV1beta1",
]


class ApiextensionsV1(
    Version,
    group="apiextensions.k8s.io",
    version="v1",
    cluster_scoped={"customresourcedefinitions"},
):
    """``apiextensions.k8s.io/v1``."""

    customresourcedefinitions: Accessor[V1CustomResourceDefinition]


class ApiextensionsV1beta1(
    Version,
    group="apiextensions.k8s.io",
    version="v1beta1",
    cluster_scoped={"customresourcedefinitions"},
    untyped={"customresourcedefinitions": "CustomResourceDefinition"},
):
    """``apiextensions.k8s.io/v1beta1``."""

    customresourcedefinitions: Accessor[dict[str, Any]]


class Apiextensions(Group, versions=(ApiextensionsV1, ApiextensionsV1beta1)):
    """The versions of ``apiextensions.k8s.io``."""

    v1: ApiextensionsV1
    v1beta1: ApiextensionsV1beta1

"""``internal.apiserver.k8s.io``: What the API servers of one cluster tell each other.

Generated from kubernetes_asyncio 36 by ``tools/generate_resources.py``: change that, not this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aioinformers.resources._accessor import Accessor, Group, Version

if TYPE_CHECKING:
    from kubernetes_asyncio.client import V1alpha1StorageVersion

__all__ = [
    "Internal",
    "InternalV1alpha1",
]


class InternalV1alpha1(
    Version,
    group="internal.apiserver.k8s.io",
    version="v1alpha1",
    cluster_scoped={"storageversions"},
):
    """``internal.apiserver.k8s.io/v1alpha1``."""

    storageversions: Accessor[V1alpha1StorageVersion]


class Internal(Group, versions=(InternalV1alpha1,)):
    """The versions of ``internal.apiserver.k8s.io``."""

    v1alpha1: InternalV1alpha1

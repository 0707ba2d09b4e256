"""``lifecycle.k8s.io``: Evictions as objects.

Generated from kubernetes_asyncio 36 by ``tools/generate_resources.py``: change that, not this file.
"""

from __future__ import annotations

from typing import Any, ClassVar

from aioinformers.resources._accessor import Accessor, Group, Version

__all__ = [
    "Lifecycle",
    "LifecycleV1alpha1",
]


class LifecycleV1alpha1(Version):
    """``lifecycle.k8s.io/v1alpha1``."""

    group, version = "lifecycle.k8s.io", "v1alpha1"
    untyped: ClassVar = {"evictionrequests": "EvictionRequest", "evictions": "Eviction"}

    evictionrequests: Accessor[dict[str, Any]]
    evictions: Accessor[dict[str, Any]]


class Lifecycle(Group):
    """The versions of ``lifecycle.k8s.io``."""

    versions = (LifecycleV1alpha1,)

    v1alpha1: LifecycleV1alpha1

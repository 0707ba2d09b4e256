"""``lifecycle.k8s.io``: Evictions as objects.

Generated from kubernetes_asyncio 36 by ``tools/generate_resources.py``: change that, not this file.
"""

from __future__ import annotations

from typing import Any

from aioinformers.resources._accessor import Accessor, Group, Version

__all__ = [
    "Lifecycle",
    "LifecycleV1alpha1",
]


class LifecycleV1alpha1(
    Version,
    group="lifecycle.k8s.io",
    version="v1alpha1",
    untyped={"evictionrequests": "EvictionRequest", "evictions": "Eviction"},
):
    """``lifecycle.k8s.io/v1alpha1``."""

    evictionrequests: Accessor[dict[str, Any]]
    evictions: Accessor[dict[str, Any]]


class Lifecycle(Group, versions=(LifecycleV1alpha1,)):
    """The versions of ``lifecycle.k8s.io``."""

    v1alpha1: LifecycleV1alpha1

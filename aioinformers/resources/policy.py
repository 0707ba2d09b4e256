"""``policy``: Disruption budgets, and what Pods were allowed to do.

Generated from kubernetes_asyncio 36 by ``tools/generate_resources.py``: change that, not this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aioinformers.resources._accessor import Accessor, Group, Version

if TYPE_CHECKING:
    from kubernetes_asyncio.client import V1PodDisruptionBudget

__all__ = [
    "Policy",
    "PolicyV1",
    "PolicyV1beta1",
]


class PolicyV1(Version, group="policy", version="v1"):
    """``policy/v1``."""

    poddisruptionbudgets: Accessor[V1PodDisruptionBudget]


class PolicyV1beta1(
    Version,
    group="policy",
    version="v1beta1",
    cluster_scoped={"podsecuritypolicies"},
    untyped={"poddisruptionbudgets": "PodDisruptionBudget", "podsecuritypolicies": "PodSecurityPolicy"},
):
    """``policy/v1beta1``."""

    poddisruptionbudgets: Accessor[dict[str, Any]]
    podsecuritypolicies: Accessor[dict[str, Any]]


class Policy(Group, versions=(PolicyV1, PolicyV1beta1)):
    """The versions of ``policy``."""

    v1: PolicyV1
    v1beta1: PolicyV1beta1

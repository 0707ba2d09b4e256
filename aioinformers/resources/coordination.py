"""``coordination.k8s.io``: Leases, and candidates for leadership.

Generated from kubernetes_asyncio 36 by ``tools/generate_resources.py``: change that, not this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aioinformers.resources._accessor import Accessor, Group, Version

if TYPE_CHECKING:
    from kubernetes_asyncio.client import V1alpha2LeaseCandidate, V1beta1LeaseCandidate, V1Lease

__all__ = [
    "Coordination",
    "CoordinationV1",
    "CoordinationV1alpha1",
    "CoordinationV1alpha2",
    "CoordinationV1beta1",
]


class CoordinationV1(Version, group="coordination.k8s.io", version="v1"):
    """``coordination.k8s.io/v1``."""

    leases: Accessor[V1Lease]


class CoordinationV1beta1(Version, group="coordination.k8s.io", version="v1beta1", untyped={"leases": "Lease"}):
    """``coordination.k8s.io/v1beta1``."""

    leasecandidates: Accessor[V1beta1LeaseCandidate]
    leases: Accessor[dict[str, Any]]


class CoordinationV1alpha2(Version, group="coordination.k8s.io", version="v1alpha2"):
    """``coordination.k8s.io/v1alpha2``."""

    leasecandidates: Accessor[V1alpha2LeaseCandidate]


class CoordinationV1alpha1(
    Version,
    group="coordination.k8s.io",
    version="v1alpha1",
    untyped={"leasecandidates": "LeaseCandidate"},
):
    """``coordination.k8s.io/v1alpha1``."""

    leasecandidates: Accessor[dict[str, Any]]


class Coordination(Group, versions=(CoordinationV1, CoordinationV1beta1, CoordinationV1alpha2, CoordinationV1alpha1)):
    """The versions of ``coordination.k8s.io``."""

    v1: CoordinationV1
    v1beta1: CoordinationV1beta1
    v1alpha2: CoordinationV1alpha2
    v1alpha1: CoordinationV1alpha1

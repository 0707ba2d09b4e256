"""``scheduling.k8s.io``: Priorities, and Pods that are scheduled together.

Generated from kubernetes_asyncio 36 by ``tools/generate_resources.py``: change that, not this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aioinformers.resources._accessor import Accessor, Group, Version

if TYPE_CHECKING:
    from kubernetes_asyncio.client import V1alpha2PodGroup, V1alpha2Workload, V1PriorityClass

__all__ = [
    "Scheduling",
    "SchedulingV1",
    "SchedulingV1alpha1",
    "SchedulingV1alpha2",
    "SchedulingV1alpha3",
    "SchedulingV1beta1",
]


class SchedulingV1(Version, group="scheduling.k8s.io", version="v1", cluster_scoped={"priorityclasses"}):
    """``scheduling.k8s.io/v1``."""

    priorityclasses: Accessor[V1PriorityClass]


class SchedulingV1beta1(
    Version,
    group="scheduling.k8s.io",
    version="v1beta1",
    cluster_scoped={"priorityclasses"},
    untyped={"podgroups": "PodGroup", "priorityclasses": "PriorityClass", "workloads": "Workload"},
):
    """``scheduling.k8s.io/v1beta1``."""

    podgroups: Accessor[dict[str, Any]]
    priorityclasses: Accessor[dict[str, Any]]
    workloads: Accessor[dict[str, Any]]


class SchedulingV1alpha3(
    Version,
    group="scheduling.k8s.io",
    version="v1alpha3",
    untyped={"compositepodgroups": "CompositePodGroup", "podgroups": "PodGroup", "workloads": "Workload"},
):
    """``scheduling.k8s.io/v1alpha3``."""

    compositepodgroups: Accessor[dict[str, Any]]
    podgroups: Accessor[dict[str, Any]]
    workloads: Accessor[dict[str, Any]]


class SchedulingV1alpha2(Version, group="scheduling.k8s.io", version="v1alpha2"):
    """``scheduling.k8s.io/v1alpha2``."""

    podgroups: Accessor[V1alpha2PodGroup]
    workloads: Accessor[V1alpha2Workload]


class SchedulingV1alpha1(
    Version,
    group="scheduling.k8s.io",
    version="v1alpha1",
    cluster_scoped={"priorityclasses"},
    untyped={"priorityclasses": "PriorityClass", "workloads": "Workload"},
):
    """``scheduling.k8s.io/v1alpha1``."""

    priorityclasses: Accessor[dict[str, Any]]
    workloads: Accessor[dict[str, Any]]


class Scheduling(
    Group,
    versions=(SchedulingV1, SchedulingV1beta1, SchedulingV1alpha3, SchedulingV1alpha2, SchedulingV1alpha1),
):
    """The versions of ``scheduling.k8s.io``."""

    v1: SchedulingV1
    v1beta1: SchedulingV1beta1
    v1alpha3: SchedulingV1alpha3
    v1alpha2: SchedulingV1alpha2
    v1alpha1: SchedulingV1alpha1

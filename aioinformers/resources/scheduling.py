"""``scheduling.k8s.io``: Priorities, and Pods that are scheduled together.

Generated from kubernetes_asyncio 36 by ``tools/generate_resources.py``: change that, not this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

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


class SchedulingV1(Version):
    """``scheduling.k8s.io/v1``."""

    group, version = "scheduling.k8s.io", "v1"
    cluster_scoped = ("priorityclasses",)

    priorityclasses: Accessor[V1PriorityClass]


class SchedulingV1beta1(Version):
    """``scheduling.k8s.io/v1beta1``."""

    group, version = "scheduling.k8s.io", "v1beta1"
    cluster_scoped = ("priorityclasses",)
    untyped: ClassVar = {"podgroups": "PodGroup", "priorityclasses": "PriorityClass", "workloads": "Workload"}

    podgroups: Accessor[dict[str, Any]]
    priorityclasses: Accessor[dict[str, Any]]
    workloads: Accessor[dict[str, Any]]


class SchedulingV1alpha3(Version):
    """``scheduling.k8s.io/v1alpha3``."""

    group, version = "scheduling.k8s.io", "v1alpha3"
    untyped: ClassVar = {"compositepodgroups": "CompositePodGroup", "podgroups": "PodGroup", "workloads": "Workload"}

    compositepodgroups: Accessor[dict[str, Any]]
    podgroups: Accessor[dict[str, Any]]
    workloads: Accessor[dict[str, Any]]


class SchedulingV1alpha2(Version):
    """``scheduling.k8s.io/v1alpha2``."""

    group, version = "scheduling.k8s.io", "v1alpha2"

    podgroups: Accessor[V1alpha2PodGroup]
    workloads: Accessor[V1alpha2Workload]


class SchedulingV1alpha1(Version):
    """``scheduling.k8s.io/v1alpha1``."""

    group, version = "scheduling.k8s.io", "v1alpha1"
    cluster_scoped = ("priorityclasses",)
    untyped: ClassVar = {"priorityclasses": "PriorityClass", "workloads": "Workload"}

    priorityclasses: Accessor[dict[str, Any]]
    workloads: Accessor[dict[str, Any]]


class Scheduling(Group):
    """The versions of ``scheduling.k8s.io``."""

    versions = (SchedulingV1, SchedulingV1beta1, SchedulingV1alpha3, SchedulingV1alpha2, SchedulingV1alpha1)

    v1: SchedulingV1
    v1beta1: SchedulingV1beta1
    v1alpha3: SchedulingV1alpha3
    v1alpha2: SchedulingV1alpha2
    v1alpha1: SchedulingV1alpha1

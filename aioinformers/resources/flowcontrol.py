"""``flowcontrol.apiserver.k8s.io``: Fair shares of the API server's capacity.

Generated from kubernetes_asyncio 36 by ``tools/generate_resources.py``: change that, not this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from aioinformers.resources._accessor import Accessor, Group, Version

if TYPE_CHECKING:
    from kubernetes_asyncio.client import V1FlowSchema, V1PriorityLevelConfiguration

__all__ = [
    "Flowcontrol",
    "FlowcontrolV1",
    "FlowcontrolV1alpha1",
    "FlowcontrolV1beta1",
    "FlowcontrolV1beta2",
    "FlowcontrolV1beta3",
]


class FlowcontrolV1(Version):
    """``flowcontrol.apiserver.k8s.io/v1``."""

    group, version = "flowcontrol.apiserver.k8s.io", "v1"
    cluster_scoped = ("flowschemas", "prioritylevelconfigurations")

    flowschemas: Accessor[V1FlowSchema]
    prioritylevelconfigurations: Accessor[V1PriorityLevelConfiguration]


class FlowcontrolV1beta3(Version):
    """``flowcontrol.apiserver.k8s.io/v1beta3``."""

    group, version = "flowcontrol.apiserver.k8s.io", "v1beta3"
    cluster_scoped = ("flowschemas", "prioritylevelconfigurations")
    untyped: ClassVar = {"flowschemas": "FlowSchema", "prioritylevelconfigurations": "PriorityLevelConfiguration"}

    flowschemas: Accessor[dict[str, Any]]
    prioritylevelconfigurations: Accessor[dict[str, Any]]


class FlowcontrolV1beta2(Version):
    """``flowcontrol.apiserver.k8s.io/v1beta2``."""

    group, version = "flowcontrol.apiserver.k8s.io", "v1beta2"
    cluster_scoped = ("flowschemas", "prioritylevelconfigurations")
    untyped: ClassVar = {"flowschemas": "FlowSchema", "prioritylevelconfigurations": "PriorityLevelConfiguration"}

    flowschemas: Accessor[dict[str, Any]]
    prioritylevelconfigurations: Accessor[dict[str, Any]]


class FlowcontrolV1beta1(Version):
    """``flowcontrol.apiserver.k8s.io/v1beta1``."""

    group, version = "flowcontrol.apiserver.k8s.io", "v1beta1"
    cluster_scoped = ("flowschemas", "prioritylevelconfigurations")
    untyped: ClassVar = {"flowschemas": "FlowSchema", "prioritylevelconfigurations": "PriorityLevelConfiguration"}

    flowschemas: Accessor[dict[str, Any]]
    prioritylevelconfigurations: Accessor[dict[str, Any]]


class FlowcontrolV1alpha1(Version):
    """``flowcontrol.apiserver.k8s.io/v1alpha1``."""

    group, version = "flowcontrol.apiserver.k8s.io", "v1alpha1"
    cluster_scoped = ("flowschemas", "prioritylevelconfigurations")
    untyped: ClassVar = {"flowschemas": "FlowSchema", "prioritylevelconfigurations": "PriorityLevelConfiguration"}

    flowschemas: Accessor[dict[str, Any]]
    prioritylevelconfigurations: Accessor[dict[str, Any]]


class Flowcontrol(Group):
    """The versions of ``flowcontrol.apiserver.k8s.io``."""

    versions = (FlowcontrolV1, FlowcontrolV1beta3, FlowcontrolV1beta2, FlowcontrolV1beta1, FlowcontrolV1alpha1)

    v1: FlowcontrolV1
    v1beta3: FlowcontrolV1beta3
    v1beta2: FlowcontrolV1beta2
    v1beta1: FlowcontrolV1beta1
    v1alpha1: FlowcontrolV1alpha1

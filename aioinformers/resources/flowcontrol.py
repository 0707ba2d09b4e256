"""``flowcontrol.apiserver.k8s.io``: Fair shares of the API server's capacity.

Generated from kubernetes_asyncio 36 by ``tools/generate_resources.py``: change that, not this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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


class FlowcontrolV1(
    Version,
    group="flowcontrol.apiserver.k8s.io",
    version="v1",
    cluster_scoped={"flowschemas", "prioritylevelconfigurations"},
):
    """``flowcontrol.apiserver.k8s.io/v1``."""

    flowschemas: Accessor[V1FlowSchema]
    prioritylevelconfigurations: Accessor[V1PriorityLevelConfiguration]


class FlowcontrolV1beta3(
    Version,
    group="flowcontrol.apiserver.k8s.io",
    version="v1beta3",
    cluster_scoped={"flowschemas", "prioritylevelconfigurations"},
    untyped={"flowschemas": "FlowSchema", "prioritylevelconfigurations": "PriorityLevelConfiguration"},
):
    """``flowcontrol.apiserver.k8s.io/v1beta3``."""

    flowschemas: Accessor[dict[str, Any]]
    prioritylevelconfigurations: Accessor[dict[str, Any]]


class FlowcontrolV1beta2(
    Version,
    group="flowcontrol.apiserver.k8s.io",
    version="v1beta2",
    cluster_scoped={"flowschemas", "prioritylevelconfigurations"},
    untyped={"flowschemas": "FlowSchema", "prioritylevelconfigurations": "PriorityLevelConfiguration"},
):
    """``flowcontrol.apiserver.k8s.io/v1beta2``."""

    flowschemas: Accessor[dict[str, Any]]
    prioritylevelconfigurations: Accessor[dict[str, Any]]


class FlowcontrolV1beta1(
    Version,
    group="flowcontrol.apiserver.k8s.io",
    version="v1beta1",
    cluster_scoped={"flowschemas", "prioritylevelconfigurations"},
    untyped={"flowschemas": "FlowSchema", "prioritylevelconfigurations": "PriorityLevelConfiguration"},
):
    """``flowcontrol.apiserver.k8s.io/v1beta1``."""

    flowschemas: Accessor[dict[str, Any]]
    prioritylevelconfigurations: Accessor[dict[str, Any]]


class FlowcontrolV1alpha1(
    Version,
    group="flowcontrol.apiserver.k8s.io",
    version="v1alpha1",
    cluster_scoped={"flowschemas", "prioritylevelconfigurations"},
    untyped={"flowschemas": "FlowSchema", "prioritylevelconfigurations": "PriorityLevelConfiguration"},
):
    """``flowcontrol.apiserver.k8s.io/v1alpha1``."""

    flowschemas: Accessor[dict[str, Any]]
    prioritylevelconfigurations: Accessor[dict[str, Any]]


class Flowcontrol(
    Group,
    versions=(FlowcontrolV1, FlowcontrolV1beta3, FlowcontrolV1beta2, FlowcontrolV1beta1, FlowcontrolV1alpha1),
):
    """The versions of ``flowcontrol.apiserver.k8s.io``."""

    v1: FlowcontrolV1
    v1beta3: FlowcontrolV1beta3
    v1beta2: FlowcontrolV1beta2
    v1beta1: FlowcontrolV1beta1
    v1alpha1: FlowcontrolV1alpha1

"""``resource.k8s.io``: Devices and claims to them (dynamic resource allocation).

Generated from kubernetes_asyncio 36 by ``tools/generate_resources.py``: change that, not this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aioinformers.resources._accessor import Accessor, Group, Version

if TYPE_CHECKING:
    from kubernetes_asyncio.client import (
        ResourceV1ResourceClaim,
        V1alpha3DeviceTaintRule,
        V1alpha3ResourcePoolStatusRequest,
        V1beta1DeviceClass,
        V1beta1ResourceClaim,
        V1beta1ResourceClaimTemplate,
        V1beta1ResourceSlice,
        V1beta2DeviceClass,
        V1beta2DeviceTaintRule,
        V1beta2ResourceClaim,
        V1beta2ResourceClaimTemplate,
        V1beta2ResourceSlice,
        V1DeviceClass,
        V1ResourceClaimTemplate,
        V1ResourceSlice,
    )

__all__ = [
    "Resource",
    "ResourceV1",
    "ResourceV1alpha1",
    "ResourceV1alpha2",
    "ResourceV1alpha3",
    "ResourceV1beta1",
    "ResourceV1beta2",
]


class ResourceV1(
    Version,
    group="resource.k8s.io",
    version="v1",
    cluster_scoped={"deviceclasses", "devicetaintrules", "resourceslices"},
    untyped={"devicetaintrules": "DeviceTaintRule"},
):
    """``resource.k8s.io/v1``."""

    deviceclasses: Accessor[V1DeviceClass]
    devicetaintrules: Accessor[dict[str, Any]]
    resourceclaims: Accessor[ResourceV1ResourceClaim]
    resourceclaimtemplates: Accessor[V1ResourceClaimTemplate]
    resourceslices: Accessor[V1ResourceSlice]


class ResourceV1beta2(
    Version,
    group="resource.k8s.io",
    version="v1beta2",
    cluster_scoped={"deviceclasses", "devicetaintrules", "resourceslices"},
):
    """``resource.k8s.io/v1beta2``."""

    deviceclasses: Accessor[V1beta2DeviceClass]
    devicetaintrules: Accessor[V1beta2DeviceTaintRule]
    resourceclaims: Accessor[V1beta2ResourceClaim]
    resourceclaimtemplates: Accessor[V1beta2ResourceClaimTemplate]
    resourceslices: Accessor[V1beta2ResourceSlice]


class ResourceV1beta1(
    Version,
    group="resource.k8s.io",
    version="v1beta1",
    cluster_scoped={"deviceclasses", "resourceslices"},
):
    """``resource.k8s.io/v1beta1``."""

    deviceclasses: Accessor[V1beta1DeviceClass]
    resourceclaims: Accessor[V1beta1ResourceClaim]
    resourceclaimtemplates: Accessor[V1beta1ResourceClaimTemplate]
    resourceslices: Accessor[V1beta1ResourceSlice]


class ResourceV1alpha3(
    Version,
    group="resource.k8s.io",
    version="v1alpha3",
    cluster_scoped={"deviceclasses", "devicetaintrules", "resourcepoolstatusrequests", "resourceslices"},
    untyped={
        "deviceclasses": "DeviceClass",
        "podschedulingcontexts": "PodSchedulingContext",
        "resourceclaims": "ResourceClaim",
        "resourceclaimtemplates": "ResourceClaimTemplate",
        "resourceslices": "ResourceSlice",
    },
):
    """``resource.k8s.io/v1alpha3``."""

    deviceclasses: Accessor[dict[str, Any]]
    devicetaintrules: Accessor[V1alpha3DeviceTaintRule]
    podschedulingcontexts: Accessor[dict[str, Any]]
    resourceclaims: Accessor[dict[str, Any]]
    resourceclaimtemplates: Accessor[dict[str, Any]]
    resourcepoolstatusrequests: Accessor[V1alpha3ResourcePoolStatusRequest]
    resourceslices: Accessor[dict[str, Any]]


class ResourceV1alpha2(
    Version,
    group="resource.k8s.io",
    version="v1alpha2",
    cluster_scoped={"resourceclasses", "resourceslices"},
    untyped={
        "podschedulingcontexts": "PodSchedulingContext",
        "resourceclaimparameters": "ResourceClaimParameters",
        "resourceclaims": "ResourceClaim",
        "resourceclaimtemplates": "ResourceClaimTemplate",
        "resourceclasses": "ResourceClass",
        "resourceclassparameters": "ResourceClassParameters",
        "resourceslices": "ResourceSlice",
    },
):
    """``resource.k8s.io/v1alpha2``."""

    podschedulingcontexts: Accessor[dict[str, Any]]
    resourceclaimparameters: Accessor[dict[str, Any]]
    resourceclaims: Accessor[dict[str, Any]]
    resourceclaimtemplates: Accessor[dict[str, Any]]
    resourceclasses: Accessor[dict[str, Any]]
    resourceclassparameters: Accessor[dict[str, Any]]
    resourceslices: Accessor[dict[str, Any]]


class ResourceV1alpha1(
    Version,
    group="resource.k8s.io",
    version="v1alpha1",
    cluster_scoped={"resourceclasses"},
    untyped={
        "podschedulings": "PodScheduling",
        "resourceclaims": "ResourceClaim",
        "resourceclaimtemplates": "ResourceClaimTemplate",
        "resourceclasses": "ResourceClass",
    },
):
    """``resource.k8s.io/v1alpha1``."""

    podschedulings: Accessor[dict[str, Any]]
    resourceclaims: Accessor[dict[str, Any]]
    resourceclaimtemplates: Accessor[dict[str, Any]]
    resourceclasses: Accessor[dict[str, Any]]


class Resource(
    Group,
    versions=(ResourceV1, ResourceV1beta2, ResourceV1beta1, ResourceV1alpha3, ResourceV1alpha2, ResourceV1alpha1),
):
    """The versions of ``resource.k8s.io``."""

    v1: ResourceV1
    v1beta2: ResourceV1beta2
    v1beta1: ResourceV1beta1
    v1alpha3: ResourceV1alpha3
    v1alpha2: ResourceV1alpha2
    v1alpha1: ResourceV1alpha1

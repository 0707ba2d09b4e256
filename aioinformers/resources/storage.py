"""``storage.k8s.io``: Storage classes, drivers and attachments.

Generated from kubernetes_asyncio 36 by ``tools/generate_resources.py``: change that, not this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aioinformers.resources._accessor import Accessor, Group, Version

if TYPE_CHECKING:
    from kubernetes_asyncio.client import (
        V1beta1VolumeAttributesClass,
        V1CSIDriver,
        V1CSINode,
        V1CSIStorageCapacity,
        V1StorageClass,
        V1VolumeAttachment,
        V1VolumeAttributesClass,
    )

__all__ = [
    "Storage",
    "StorageV1",
    "StorageV1alpha1",
    "StorageV1beta1",
]


class StorageV1(
    Version,
    group="storage.k8s.io",
    version="v1",
    cluster_scoped={"csidrivers", "csinodes", "storageclasses", "volumeattachments", "volumeattributesclasses"},
):
    """``storage.k8s.io/v1``."""

    csidrivers: Accessor[V1CSIDriver]
    csinodes: Accessor[V1CSINode]
    csistoragecapacities: Accessor[V1CSIStorageCapacity]
    storageclasses: Accessor[V1StorageClass]
    volumeattachments: Accessor[V1VolumeAttachment]
    volumeattributesclasses: Accessor[V1VolumeAttributesClass]


class StorageV1beta1(
    Version,
    group="storage.k8s.io",
    version="v1beta1",
    cluster_scoped={"csidrivers", "csinodes", "storageclasses", "volumeattachments", "volumeattributesclasses"},
    untyped={
        "csidrivers": "CSIDriver",
        "csinodes": "CSINode",
        "csistoragecapacities": "CSIStorageCapacity",
        "storageclasses": "StorageClass",
        "volumeattachments": "VolumeAttachment",
    },
):
    """``storage.k8s.io/v1beta1``."""

    csidrivers: Accessor[dict[str, Any]]
    csinodes: Accessor[dict[str, Any]]
    csistoragecapacities: Accessor[dict[str, Any]]
    storageclasses: Accessor[dict[str, Any]]
    volumeattachments: Accessor[dict[str, Any]]
    volumeattributesclasses: Accessor[V1beta1VolumeAttributesClass]


class StorageV1alpha1(
    Version,
    group="storage.k8s.io",
    version="v1alpha1",
    cluster_scoped={"volumeattachments", "volumeattributesclasses"},
    untyped={
        "csistoragecapacities": "CSIStorageCapacity",
        "volumeattachments": "VolumeAttachment",
        "volumeattributesclasses": "VolumeAttributesClass",
    },
):
    """``storage.k8s.io/v1alpha1``."""

    csistoragecapacities: Accessor[dict[str, Any]]
    volumeattachments: Accessor[dict[str, Any]]
    volumeattributesclasses: Accessor[dict[str, Any]]


class Storage(Group, versions=(StorageV1, StorageV1beta1, StorageV1alpha1)):
    """The versions of ``storage.k8s.io``."""

    v1: StorageV1
    v1beta1: StorageV1beta1
    v1alpha1: StorageV1alpha1

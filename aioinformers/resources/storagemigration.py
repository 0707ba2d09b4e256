"""``storagemigration.k8s.io``: Rewrites of stored objects in a newer version.

Generated from kubernetes_asyncio 36 by ``tools/generate_resources.py``: change that, not this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aioinformers.resources._accessor import Accessor, Group, Version

if TYPE_CHECKING:
    from kubernetes_asyncio.client import V1beta1StorageVersionMigration

__all__ = [
    "Storagemigration",
    "StoragemigrationV1",
    "StoragemigrationV1alpha1",
    "StoragemigrationV1beta1",
]


class StoragemigrationV1(
    Version,
    group="storagemigration.k8s.io",
    version="v1",
    cluster_scoped={"storageversionmigrations"},
    untyped={"storageversionmigrations": "StorageVersionMigration"},
):
    """``storagemigration.k8s.io/v1``."""

    storageversionmigrations: Accessor[dict[str, Any]]


class StoragemigrationV1beta1(
    Version,
    group="storagemigration.k8s.io",
    version="v1beta1",
    cluster_scoped={"storageversionmigrations"},
):
    """``storagemigration.k8s.io/v1beta1``."""

    storageversionmigrations: Accessor[V1beta1StorageVersionMigration]


class StoragemigrationV1alpha1(
    Version,
    group="storagemigration.k8s.io",
    version="v1alpha1",
    cluster_scoped={"storageversionmigrations"},
    untyped={"storageversionmigrations": "StorageVersionMigration"},
):
    """``storagemigration.k8s.io/v1alpha1``."""

    storageversionmigrations: Accessor[dict[str, Any]]


class Storagemigration(Group, versions=(StoragemigrationV1, StoragemigrationV1beta1, StoragemigrationV1alpha1)):
    """The versions of ``storagemigration.k8s.io``."""

    v1: StoragemigrationV1
    v1beta1: StoragemigrationV1beta1
    v1alpha1: StoragemigrationV1alpha1

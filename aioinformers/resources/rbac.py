"""``rbac.authorization.k8s.io``: Roles and who has them.

Generated from kubernetes_asyncio 36 by ``tools/generate_resources.py``: change that, not this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aioinformers.resources._accessor import Accessor, Group, Version

if TYPE_CHECKING:
    from kubernetes_asyncio.client import V1ClusterRole, V1ClusterRoleBinding, V1Role, V1RoleBinding

__all__ = [
    "Rbac",
    "RbacV1",
    "RbacV1alpha1",
    "RbacV1beta1",
]


class RbacV1(
    Version,
    group="rbac.authorization.k8s.io",
    version="v1",
    cluster_scoped={"clusterrolebindings", "clusterroles"},
):
    """``rbac.authorization.k8s.io/v1``."""

    clusterrolebindings: Accessor[V1ClusterRoleBinding]
    clusterroles: Accessor[V1ClusterRole]
    rolebindings: Accessor[V1RoleBinding]
    roles: Accessor[V1Role]


class RbacV1beta1(
    Version,
    group="rbac.authorization.k8s.io",
    version="v1beta1",
    cluster_scoped={"clusterrolebindings", "clusterroles"},
    untyped={
        "clusterrolebindings": "ClusterRoleBinding",
        "clusterroles": "ClusterRole",
        "rolebindings": "RoleBinding",
        "roles": "Role",
    },
):
    """``rbac.authorization.k8s.io/v1beta1``."""

    clusterrolebindings: Accessor[dict[str, Any]]
    clusterroles: Accessor[dict[str, Any]]
    rolebindings: Accessor[dict[str, Any]]
    roles: Accessor[dict[str, Any]]


class RbacV1alpha1(
    Version,
    group="rbac.authorization.k8s.io",
    version="v1alpha1",
    cluster_scoped={"clusterrolebindings", "clusterroles"},
    untyped={
        "clusterrolebindings": "ClusterRoleBinding",
        "clusterroles": "ClusterRole",
        "rolebindings": "RoleBinding",
        "roles": "Role",
    },
):
    """``rbac.authorization.k8s.io/v1alpha1``."""

    clusterrolebindings: Accessor[dict[str, Any]]
    clusterroles: Accessor[dict[str, Any]]
    rolebindings: Accessor[dict[str, Any]]
    roles: Accessor[dict[str, Any]]


class Rbac(Group, versions=(RbacV1, RbacV1beta1, RbacV1alpha1)):
    """The versions of ``rbac.authorization.k8s.io``."""

    v1: RbacV1
    v1beta1: RbacV1beta1
    v1alpha1: RbacV1alpha1

"""The group ``apps``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aioinformers.resources._accessor import Accessor, InformerSource, Version

if TYPE_CHECKING:
    from kubernetes_asyncio.client import V1DaemonSet, V1Deployment, V1ReplicaSet, V1StatefulSet

__all__ = ["Apps", "AppsV1"]


class AppsV1(Version):
    """``apps/v1``."""

    group, version = "apps", "v1"

    daemonsets: Accessor[V1DaemonSet]
    deployments: Accessor[V1Deployment]
    replicasets: Accessor[V1ReplicaSet]
    statefulsets: Accessor[V1StatefulSet]

    @classmethod
    def table(cls) -> dict[str, tuple[str, str, bool]]:
        """Return kind, model and whether it is namespaced, by plural."""
        return {
            "daemonsets": ("DaemonSet", "V1DaemonSet", True),
            "deployments": ("Deployment", "V1Deployment", True),
            "replicasets": ("ReplicaSet", "V1ReplicaSet", True),
            "statefulsets": ("StatefulSet", "V1StatefulSet", True),
        }


class Apps:
    """Versions of the group."""

    versions = (AppsV1,)

    def __init__(self, factory: InformerSource) -> None:
        self.v1 = AppsV1(factory)

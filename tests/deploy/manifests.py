"""The manifests of ``deploy/kubernetes/`` as documents, and the paths at which a server has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml  # type: ignore[import-untyped]  # kubernetes_asyncio brings it

__all__ = ["FILES", "ROOT", "Documents", "container_of", "documents_of", "only", "path_of", "workload_of"]

ROOT: Final = Path(__file__).resolve().parents[2]
FILES: Final = sorted((ROOT / "deploy" / "kubernetes").glob("*.yaml"))
CLUSTER_WIDE: Final = {"Namespace", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"}

Documents = list[dict[str, Any]]


def documents_of(path: Path) -> Documents:
    """Return the documents of a file."""
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def only(documents: Documents, kind: str) -> dict[str, Any]:
    """Return the one document of a kind."""
    (found,) = [document for document in documents if document["kind"] == kind]
    return found


def workload_of(documents: Documents) -> dict[str, Any]:
    """Return the one document that runs Pods."""
    (found,) = [document for document in documents if document["kind"] in ("Deployment", "StatefulSet")]
    return found


def container_of(documents: Documents) -> dict[str, Any]:
    """Return the container of what runs Pods."""
    container: dict[str, Any]
    (container,) = workload_of(documents)["spec"]["template"]["spec"]["containers"]
    return container


def path_of(document: dict[str, Any]) -> str:
    """Return where a server has an object."""
    version, kind, metadata = document["apiVersion"], document["kind"], document["metadata"]
    prefix = f"/apis/{version}" if "/" in version else f"/api/{version}"
    within = "" if kind in CLUSTER_WIDE else f"/namespaces/{metadata['namespace']}"
    return f"{prefix}{within}/{kind.lower()}s/{metadata['name']}"

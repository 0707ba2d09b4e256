"""``auditregistration.k8s.io``: Receivers of audit events.

Generated from kubernetes_asyncio 36 by ``tools/generate_resources.py``: change that, not this file.
"""

from __future__ import annotations

from typing import Any

from aioinformers.resources._accessor import Accessor, Group, Version

__all__ = [
    "Auditregistration",
    "AuditregistrationV1alpha1",
]


class AuditregistrationV1alpha1(
    Version,
    group="auditregistration.k8s.io",
    version="v1alpha1",
    cluster_scoped={"auditsinks"},
    untyped={"auditsinks": "AuditSink"},
):
    """``auditregistration.k8s.io/v1alpha1``."""

    auditsinks: Accessor[dict[str, Any]]


class Auditregistration(Group, versions=(AuditregistrationV1alpha1,)):
    """The versions of ``auditregistration.k8s.io``."""

    v1alpha1: AuditregistrationV1alpha1

"""``auditregistration.k8s.io``: Receivers of audit events.

Generated from kubernetes_asyncio 36 by ``tools/generate_resources.py``: change that, not this file.
"""

from __future__ import annotations

from typing import Any, ClassVar

from aioinformers.resources._accessor import Accessor, Group, Version

__all__ = [
    "Auditregistration",
    "AuditregistrationV1alpha1",
]


class AuditregistrationV1alpha1(Version):
    """``auditregistration.k8s.io/v1alpha1``."""

    group, version = "auditregistration.k8s.io", "v1alpha1"
    cluster_scoped = ("auditsinks",)
    untyped: ClassVar = {"auditsinks": "AuditSink"}

    auditsinks: Accessor[dict[str, Any]]


class Auditregistration(Group):
    """The versions of ``auditregistration.k8s.io``."""

    versions = (AuditregistrationV1alpha1,)

    v1alpha1: AuditregistrationV1alpha1

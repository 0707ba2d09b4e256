"""``batch``: Workloads that end.

Generated from kubernetes_asyncio 36 by ``tools/generate_resources.py``: change that, not this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from aioinformers.resources._accessor import Accessor, Group, Version

if TYPE_CHECKING:
    from kubernetes_asyncio.client import V1CronJob, V1Job

__all__ = [
    "Batch",
    "BatchV1",
    "BatchV1beta1",
    "BatchV2alpha1",
]


class BatchV1(Version):
    """``batch/v1``."""

    group, version = "batch", "v1"

    cronjobs: Accessor[V1CronJob]
    jobs: Accessor[V1Job]


class BatchV1beta1(Version):
    """``batch/v1beta1``."""

    group, version = "batch", "v1beta1"
    untyped: ClassVar = {"cronjobs": "CronJob"}

    cronjobs: Accessor[dict[str, Any]]


class BatchV2alpha1(Version):
    """``batch/v2alpha1``."""

    group, version = "batch", "v2alpha1"
    untyped: ClassVar = {"cronjobs": "CronJob"}

    cronjobs: Accessor[dict[str, Any]]


class Batch(Group):
    """The versions of ``batch``."""

    versions = (BatchV1, BatchV1beta1, BatchV2alpha1)

    v1: BatchV1
    v1beta1: BatchV1beta1
    v2alpha1: BatchV2alpha1

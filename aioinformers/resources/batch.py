"""``batch``: Workloads that end.

Generated from kubernetes_asyncio 36 by ``tools/generate_resources.py``: change that, not this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aioinformers.resources._accessor import Accessor, Group, Version

if TYPE_CHECKING:
    from kubernetes_asyncio.client import V1CronJob, V1Job

__all__ = [
    "Batch",
    "BatchV1",
    "BatchV1beta1",
    "BatchV2alpha1",
]


class BatchV1(Version, group="batch", version="v1"):
    """``batch/v1``."""

    cronjobs: Accessor[V1CronJob]
    jobs: Accessor[V1Job]


class BatchV1beta1(Version, group="batch", version="v1beta1", untyped={"cronjobs": "CronJob"}):
    """``batch/v1beta1``."""

    cronjobs: Accessor[dict[str, Any]]


class BatchV2alpha1(Version, group="batch", version="v2alpha1", untyped={"cronjobs": "CronJob"}):
    """``batch/v2alpha1``."""

    cronjobs: Accessor[dict[str, Any]]


class Batch(Group, versions=(BatchV1, BatchV1beta1, BatchV2alpha1)):
    """The versions of ``batch``."""

    v1: BatchV1
    v1beta1: BatchV1beta1
    v2alpha1: BatchV2alpha1

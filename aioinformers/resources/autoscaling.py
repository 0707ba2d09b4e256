"""``autoscaling``: Scaling of workloads.

Generated from kubernetes_asyncio 36 by ``tools/generate_resources.py``: change that, not this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from aioinformers.resources._accessor import Accessor, Group, Version

if TYPE_CHECKING:
    from kubernetes_asyncio.client import V1HorizontalPodAutoscaler, V2HorizontalPodAutoscaler

__all__ = [
    "Autoscaling",
    "AutoscalingV1",
    "AutoscalingV2",
    "AutoscalingV2alpha1",
    "AutoscalingV2beta1",
    "AutoscalingV2beta2",
]


class AutoscalingV2(Version):
    """``autoscaling/v2``."""

    group, version = "autoscaling", "v2"

    horizontalpodautoscalers: Accessor[V2HorizontalPodAutoscaler]


class AutoscalingV1(Version):
    """``autoscaling/v1``."""

    group, version = "autoscaling", "v1"

    horizontalpodautoscalers: Accessor[V1HorizontalPodAutoscaler]


class AutoscalingV2beta2(Version):
    """``autoscaling/v2beta2``."""

    group, version = "autoscaling", "v2beta2"
    untyped: ClassVar = {"horizontalpodautoscalers": "HorizontalPodAutoscaler"}

    horizontalpodautoscalers: Accessor[dict[str, Any]]


class AutoscalingV2beta1(Version):
    """``autoscaling/v2beta1``."""

    group, version = "autoscaling", "v2beta1"
    untyped: ClassVar = {"horizontalpodautoscalers": "HorizontalPodAutoscaler"}

    horizontalpodautoscalers: Accessor[dict[str, Any]]


class AutoscalingV2alpha1(Version):
    """``autoscaling/v2alpha1``."""

    group, version = "autoscaling", "v2alpha1"
    untyped: ClassVar = {"horizontalpodautoscalers": "HorizontalPodAutoscaler"}

    horizontalpodautoscalers: Accessor[dict[str, Any]]


class Autoscaling(Group):
    """The versions of ``autoscaling``."""

    versions = (AutoscalingV2, AutoscalingV1, AutoscalingV2beta2, AutoscalingV2beta1, AutoscalingV2alpha1)

    v2: AutoscalingV2
    v1: AutoscalingV1
    v2beta2: AutoscalingV2beta2
    v2beta1: AutoscalingV2beta1
    v2alpha1: AutoscalingV2alpha1

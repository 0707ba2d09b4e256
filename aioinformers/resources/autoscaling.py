"""``autoscaling``: Scaling of workloads.

Generated from kubernetes_asyncio 36 by ``tools/generate_resources.py``: change that, not this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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


class AutoscalingV2(Version, group="autoscaling", version="v2"):
    """``autoscaling/v2``."""

    horizontalpodautoscalers: Accessor[V2HorizontalPodAutoscaler]


class AutoscalingV1(Version, group="autoscaling", version="v1"):
    """``autoscaling/v1``."""

    horizontalpodautoscalers: Accessor[V1HorizontalPodAutoscaler]


class AutoscalingV2beta2(
    Version,
    group="autoscaling",
    version="v2beta2",
    untyped={"horizontalpodautoscalers": "HorizontalPodAutoscaler"},
):
    """``autoscaling/v2beta2``."""

    horizontalpodautoscalers: Accessor[dict[str, Any]]


class AutoscalingV2beta1(
    Version,
    group="autoscaling",
    version="v2beta1",
    untyped={"horizontalpodautoscalers": "HorizontalPodAutoscaler"},
):
    """``autoscaling/v2beta1``."""

    horizontalpodautoscalers: Accessor[dict[str, Any]]


class AutoscalingV2alpha1(
    Version,
    group="autoscaling",
    version="v2alpha1",
    untyped={"horizontalpodautoscalers": "HorizontalPodAutoscaler"},
):
    """``autoscaling/v2alpha1``."""

    horizontalpodautoscalers: Accessor[dict[str, Any]]


class Autoscaling(
    Group,
    versions=(AutoscalingV2, AutoscalingV1, AutoscalingV2beta2, AutoscalingV2beta1, AutoscalingV2alpha1),
):
    """The versions of ``autoscaling``."""

    v2: AutoscalingV2
    v1: AutoscalingV1
    v2beta2: AutoscalingV2beta2
    v2beta1: AutoscalingV2beta1
    v2alpha1: AutoscalingV2alpha1

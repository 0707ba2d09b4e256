"""``settings.k8s.io``: Pod presets.

Generated from kubernetes_asyncio 36 by ``tools/generate_resources.py``: change that, not this file.
"""

from __future__ import annotations

from typing import Any

from aioinformers.resources._accessor import Accessor, Group, Version

__all__ = [
    "Settings",
    "SettingsV1alpha1",
]


class SettingsV1alpha1(Version, group="settings.k8s.io", version="v1alpha1", untyped={"podpresets": "PodPreset"}):
    """``settings.k8s.io/v1alpha1``."""

    podpresets: Accessor[dict[str, Any]]


class Settings(Group, versions=(SettingsV1alpha1,)):
    """The versions of ``settings.k8s.io``."""

    v1alpha1: SettingsV1alpha1

"""``settings.k8s.io``: Pod presets.

Generated from kubernetes_asyncio 36 by ``tools/generate_resources.py``: change that, not this file.
"""

from __future__ import annotations

from typing import Any, ClassVar

from aioinformers.resources._accessor import Accessor, Group, Version

__all__ = [
    "Settings",
    "SettingsV1alpha1",
]


class SettingsV1alpha1(Version):
    """``settings.k8s.io/v1alpha1``."""

    group, version = "settings.k8s.io", "v1alpha1"
    untyped: ClassVar = {"podpresets": "PodPreset"}

    podpresets: Accessor[dict[str, Any]]


class Settings(Group):
    """The versions of ``settings.k8s.io``."""

    versions = (SettingsV1alpha1,)

    v1alpha1: SettingsV1alpha1

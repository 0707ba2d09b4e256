"""An informer as the barrier sees it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aioinformers import SharedInformer
from aioinformers.transport.source import Source

__all__ = ["Followed"]


class Followed:
    """An informer of one scope, as the barrier sees it."""

    def __init__(self, informer: SharedInformer[Any], source: Source, query: Mapping[str, str] | None = None) -> None:
        self.informer = informer
        self.name = "configmaps"
        self.source = source
        self.path = "/api/v1/configmaps"
        self.query = query or {}

    @property
    def version(self) -> str:
        return self.informer.last_sync_resource_version or ""

    def hurry(self) -> None:
        """Do not: how long that takes is what is tried."""

    async def wait_for_version(self, version: str) -> None:
        await self.informer.wait_for_resource_version(version)

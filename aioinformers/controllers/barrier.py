"""What a new leader's caches follow, as the barrier asks for it (G19)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from aioinformers.errors import ApiStatusError
from aioinformers.informer import SharedInformer, pipeline_of
from aioinformers.transport.source import Source
from aioinformers.types import Scope

__all__ = ["FollowedScope", "followed_by"]


class FollowedScope:
    """One scope of an informer.

    Args:
        informer: The informer.
        scope: The scope.

    Attributes:
        name: What it is, for errors.
        source: Makes its requests.
        path: The URL path that it lists.
        query: Its selectors.
    """

    def __init__(self, informer: SharedInformer[Any], scope: Scope) -> None:
        self._pipeline = pipeline = pipeline_of(informer)
        spec = pipeline.spec
        self._informer, self._scope = informer, scope
        self.name: str = f"{informer.name}{scope.place}"
        self.source: Source = pipeline.source
        target = spec.target(scope)
        self.path: str = target.path
        self.query: Mapping[str, str] = target.query

    @property
    def version(self) -> str:
        """The resourceVersion that the cache has reached."""
        return self._informer.resource_versions.get(self._scope, "")

    def hurry(self) -> None:
        """Connect now, if that waits: the server has just answered. A pause that it has asked for is kept."""
        reflector = self._pipeline.following.reflectors.get(self._scope)
        if reflector is not None and reflector.hurry is not None:
            error = reflector.last_error
            pause = error.retry_after if isinstance(error, ApiStatusError) else None
            asyncio.get_running_loop().call_later(pause or 0.0, _finish, reflector.hurry)

    async def wait_for_version(self, version: str) -> None:
        """Wait until the cache has reached a resourceVersion."""
        await self._informer.wait_for_resource_version(version, namespace=self._scope.namespace or None)


def followed_by(informer: SharedInformer[Any]) -> list[FollowedScope]:
    """Return what an informer follows."""
    return [FollowedScope(informer, scope) for scope in informer.resource_versions]


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)

"""The kinds that a controller writes: what a document's apiVersion and kind mean to the server."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from aioinformers.checks import shown
from aioinformers.controllers.sources import Cache
from aioinformers.controllers.writes import Kind
from aioinformers.errors import InformerError
from aioinformers.resources import kind_of_resource, kinds
from aioinformers.transport.source import Source

__all__ = ["Kinds"]

logger: logging.Logger = logging.getLogger("aioinformers.controllers")


class Kinds:
    """Knows the kinds of the objects that a controller writes.

    Args:
        caches: The controller's caches, that of the reconciled objects first.

    Attributes:
        source: Makes the requests of the first.
    """

    def __init__(self, caches: Sequence[Cache]) -> None:
        self._caches = tuple(caches)
        pipeline = caches[0].pipeline
        self.source: Source = pipeline.source
        self._discovery = pipeline.discovery
        self._known: dict[tuple[str, str], Kind] = {}
        self._own: dict[str, Kind] = {}

    async def prepare(self) -> None:
        """Find out what the caches' own kinds are; ask the server where the catalogue does not say.

        Cancellation changes nothing.
        """
        for cache in self._caches:
            kind = await self._kind_of(cache)
            self._own[cache.resource] = self._known[kind.resource.api_version, kind.kind] = kind

    @property
    def main(self) -> Kind:
        """The kind of the reconciled objects, once it is known."""
        return self._own[self._caches[0].resource]

    async def _kind_of(self, cache: Cache) -> Kind:
        resource, layout = cache.informer.resource, cache.pipeline.store.layout
        if (known := kind_of_resource(resource)) is not None:
            return Kind(resource, known.kind, known.is_namespaced)
        try:
            served = await self._discovery.resolve(str(resource))
        except (InformerError, ValueError, LookupError) as error:
            logger.info("%s: what the server calls its objects cannot be found out: %s", cache.informer.name, error)
            keys = cache.pipeline.store.all_keys()
            return Kind(resource, layout.object_type.kind, not keys or "/" in keys[0])
        return Kind(resource, served.kind, served.is_namespaced)

    async def of(self, document: Mapping[str, Any]) -> Kind:
        """Return the kind of a document.

        Cancellation changes nothing.

        Raises:
            ValueError: If it does not say what it is, or the server serves no such kind.
            InformerError: If the server has to be asked, and does not answer.
        """
        api_version, kind = document.get("apiVersion"), document.get("kind")
        if not isinstance(api_version, str) or not isinstance(kind, str) or not api_version or not kind:
            raise ValueError(f"{shown(document)} does not say its apiVersion and kind")
        wanted = api_version, kind
        if (known := self._known.get(wanted)) is None:
            known = self._known[wanted] = self._find(api_version, kind) or await self._ask(api_version, kind)
        return known

    @staticmethod
    def _find(api_version: str, kind: str) -> Kind | None:
        group, _, version = api_version.rpartition("/")
        for one in kinds():
            if (one.resource.group, one.resource.version, one.kind) == (group, version, kind):
                return Kind(one.resource, kind, one.is_namespaced)
        return None

    async def _ask(self, api_version: str, kind: str) -> Kind:
        for served in await self._discovery.discover():
            resource = served.resource
            if (resource.api_version, served.kind) == (api_version, kind):
                return Kind(resource, kind, served.is_namespaced)
        raise ValueError(f"the server serves no {kind} of {api_version}: is its CustomResourceDefinition installed?")

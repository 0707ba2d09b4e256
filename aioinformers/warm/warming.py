"""Lets one informer start from what was stored, and stores it again.

Never wrong, at worst cold (G24): whatever does not fit, is damaged or cannot be checked leads to an ordinary list.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from aioinformers.cache.dispatcher import Dispatcher
from aioinformers.cache.indexer import Store
from aioinformers.transport.source import Source
from aioinformers.types import GroupVersionResource, Scope, WatchFailure
from aioinformers.warm.cache import WarmCache, directory_of
from aioinformers.warm.frames import UnfitError
from aioinformers.warm.identity import cluster_of, file_name, identity_of
from aioinformers.warm.journal import Journal, Volume
from aioinformers.warm.start import Parts, Resumption, Start

__all__ = ["Warming"]

logger: logging.Logger = logging.getLogger("aioinformers.warm")


class Warming:
    """The warm starts of one informer's scopes.

    Args:
        warm: What the user says of it.
        name: The informer's name.
        resource: Its resource.
        query: Selectors and further query parameters.
        store: Its store.
        dispatcher: The store's writer.
        source: Makes its requests.

    Attributes:
        journal: Stores what changes.
        on_failure: Told of each attempt to check what is stored that failed, before its delay.
    """

    def __init__(
        self,
        warm: WarmCache,
        name: str,
        resource: GroupVersionResource,
        query: Mapping[str, str],
        store: Store[Any],
        dispatcher: Dispatcher[Any],
        source: Source,
    ) -> None:
        self._name = name
        self._starts: dict[Scope, Start] = {}
        self.on_failure: Callable[[WatchFailure], None] = lambda _failure: None
        self._parts = Parts(
            warm, directory_of(warm), resource, query, store, dispatcher, source,
            lambda failure: self.on_failure(failure),
        )  # fmt: skip
        self.journal: Journal = Journal(store, directory_of(warm), lambda: cluster_of(source)())
        dispatcher.journal, dispatcher.serves_stale = self.journal, warm.serve_stale

    async def begin(self, scope: Scope, path: str, query: Mapping[str, str]) -> Resumption | None:
        """Hand what is stored of a scope to the dispatcher, if it fits; then its reflector is to be started.

        It waits for the server, for ever, if there is something to check. Cancellation: it can be begun again.

        Args:
            scope: The scope.
            path: The URL path of its collection.
            query: Selectors and further query parameters of its requests, the selector of a shard among them.

        Returns:
            Where the reflector goes on; None for an ordinary start.
        """
        volume = self._volume(scope, query)
        start = self._starts[scope] = Start(self._parts, scope, path, volume)
        resumption: Resumption | None = None
        try:
            resumption = await start.run()
            logger.info("%s: %s", volume.name, start.remark)
        except UnfitError as reason:
            start.remark = f"cold: {reason}"
            await self._parts.directory.run(volume.delete)
            logger.info("%s: %s", volume.name, start.remark)
        except Exception as error:
            is_bug = not isinstance(error, OSError)
            volume.problem = f"a bug: {error!r}" if is_bug else str(error)
            start.remark = f"cold, and nothing is stored: {volume.problem}"
            logger.warning("%s: %s", volume.name, start.remark, exc_info=is_bug)
        finally:
            start.doing = ""
        return Resumption("") if resumption is None and start.was_told else resumption

    def _volume(self, scope: Scope, query: Mapping[str, str]) -> Volume:
        volumes = self.journal.volumes
        if scope not in volumes:
            identity = identity_of(self._parts.resource, scope, query, self._parts.store.layout)
            name = f"{self._name}{scope.place}" if len(self._parts.store.partitions) > 1 else self._name
            volumes[scope] = Volume(name, file_name(self._parts.resource, identity), identity)
        return volumes[scope]

    # -- what is known of it; other threads may ask -----------------------------------------------------------

    def doing(self, scope: Scope) -> str:
        """Say what a scope waits for before its reflector is started; empty after that."""
        start = self._starts.get(scope)
        return "" if start is None else start.doing

    @property
    def remark(self) -> str:
        """Whether the informer has started warm or cold, and why; empty before that."""
        starts = [each for each in list(self._starts.values()) if each.remark]
        warm = [each for each in starts if each.is_warm]
        cold = list(dict.fromkeys([each.remark for each in starts if not each.is_warm]))
        if not cold:
            count, age = sum([each.count for each in warm]), max([each.age for each in warm], default=0.0)
            return f"warm: {count} objects, {age:.0f} s old" if warm else ""
        of_all = f"{len(warm)} of {len(starts)} scopes are warm; " if warm else ""
        return of_all + "; ".join(cold[:3])

    @property
    def stale_for(self) -> float | None:
        """The age in seconds of the oldest state that is read before it is current; None if there is none."""
        partitions, times = self._parts.store.partitions, []
        for scope in list(self._starts):
            start, partition = self._starts.get(scope), partitions.get(scope)
            if start is not None and partition is not None and partition.is_stale:
                times.append(start.stored_at)
        return max(time.time() - min(times), 0.0) if times else None

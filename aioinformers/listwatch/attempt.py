"""One attempt of a reflector: what it is about, how far it has got, and of what use it was."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from aioinformers.errors import InformerError, ResponseError
from aioinformers.listwatch.kinds import KindCheck
from aioinformers.listwatch.recovery import Outcome
from aioinformers.listwatch.wire import WatchDecoder
from aioinformers.objects.deltas import Batch
from aioinformers.objects.shard import Shard
from aioinformers.settings import Settings
from aioinformers.transport.source import Body
from aioinformers.types import GroupVersionResource, Scope

__all__ = ["Attempt", "OpenWatch", "Target", "behind", "use_of", "watch_query"]

_METADATA_LIST: Final = "PartialObjectMetadataList"


@dataclass(frozen=True, slots=True)
class Target:
    """What one reflector follows.

    Attributes:
        resource: The resource.
        scope: What of it to follow.
        query: Selectors and further query parameters of every request.
        is_foreign: Tells whether a list is of another kind, by its kind and apiVersion.
        shard: The shard whose objects are followed; None for all.
    """

    resource: GroupVersionResource
    scope: Scope
    query: Mapping[str, str]
    is_foreign: Callable[[str, str], bool]
    shard: Shard | None = None

    @property
    def path(self) -> str:
        """The URL path of the collection."""
        namespace = self.scope.namespace
        middle = f"/namespaces/{namespace}" if namespace else ""
        return f"{self.resource.path}{middle}/{self.resource.resource}"

    def __str__(self) -> str:
        return f"{self.resource}{self.scope.place}"

    def refuse_list(self, kind: str, api_version: str, accept: str) -> None:
        """Refuse a list of another kind, such as a confused proxy may answer; every list may call itself a List.

        Args:
            kind: What the list says of itself.
            api_version: The same.
            accept: What lists have been asked for as.

        Raises:
            ResponseError: If it is another's.
        """
        if kind not in ("", "List") and self._is_foreign(kind, api_version, accept):
            raise ResponseError(f"expected a list of {self.resource}, got {_named_kind(kind, api_version)}")

    def refuse_object(self, kind: str, api_version: str, accept: str) -> None:
        """Refuse a watch that tells of another kind; as :meth:`refuse_list`."""
        if self._is_foreign(f"{kind}List", api_version, accept):
            raise ResponseError(f"expected a watch of {self.resource}, got {_named_kind(kind, api_version)}")

    def _is_foreign(self, kind_of_list: str, api_version: str, accept: str) -> bool:
        if kind_of_list == _METADATA_LIST:
            return _METADATA_LIST not in accept
        return self.is_foreign(kind_of_list, api_version)


@dataclass(slots=True)
class Attempt:
    """How far the attempt under way has got, so that an error in its middle does not hide it.

    Attributes:
        has_list: A whole list has been handed to the dispatcher.
        is_paged: The list came in pages although it was asked from the watch cache.
        delivered: Events and bookmarks of the watch, without initial objects.
        opened: Loop time at which the server answered the watch; None before that.
        is_versioned: A later watch may begin at the version of each event.
        bookmarks: Bookmarks of the watch, after its initial objects.
        is_interrupted: Neither the server nor the network ended it.
    """

    has_list: bool = False
    is_paged: bool = False
    delivered: int = 0
    opened: float | None = None
    is_versioned: bool = True
    bookmarks: int = 0
    is_interrupted: bool = False

    def note(self, batch: Batch) -> None:
        """Note what has been handed to the dispatcher."""
        self.delivered += len(batch.deltas) + batch.foreign + batch.bookmarks
        self.bookmarks += batch.bookmarks

    def outcome(self, error: InformerError | None, version: str, now: float) -> Outcome:
        """Return how the attempt ended, given its error, the last version and the loop's time."""
        lived = 0.0 if self.opened is None else now - self.opened
        return Outcome(error, version, self.has_list, self.is_paged, self.delivered, lived, self.is_interrupted)


class OpenWatch(NamedTuple):
    """A watch that the server has answered.

    Attributes:
        body: What it tells.
        decoder: Reads that.
        kinds: Looks whether it is about the right kind.
        timeout: Seconds after which the server is to close it.
    """

    body: Body
    decoder: WatchDecoder
    kinds: KindCheck
    timeout: float


def watch_query(
    selectors: Mapping[str, str], settings: Settings, random: float, seconds: float | None
) -> dict[str, str]:
    """Return the query of a watch, without the version that it begins at.

    Args:
        selectors: What every request has.
        settings: Between which times the server is to close it.
        random: A number in [0, 1), which chooses one of them, so that not all watches end at once.
        seconds: How long it lasts nevertheless; None for as long as they say.
    """
    timeout = settings.watch_timeout_min + random * (settings.watch_timeout_max - settings.watch_timeout_min)
    timeout = timeout if seconds is None else seconds
    return {**selectors, "watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": f"{timeout:.0f}"}


def use_of(outcome: Outcome) -> str:
    """Say what use a watch was that the server has closed too early."""
    if not outcome.delivered:
        return "without an event"
    return "and had told nothing new" if outcome.version else "and lists give no version to resume it from"


def _named_kind(kind: str, api_version: str) -> str:
    """Return a kind with its apiVersion, if that is known, for messages."""
    return f"{kind} of {api_version}" if api_version else kind


def behind(names: list[str]) -> str:
    """Say who has the turns; of many only some are named."""
    more = f" and {len(names) - 3} others" if len(names) > 4 else ""
    named = ", ".join(names[:3] if more else names)
    return f", behind {named}{more}" if names else ""

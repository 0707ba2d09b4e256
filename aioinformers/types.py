"""Values that cross a boundary: resources, keys, events and snapshots of state."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeAlias, TypeVar

import msgspec

__all__ = [
    "ALL_NAMESPACES",
    "Added",
    "AllNamespaces",
    "BusyKey",
    "Cause",
    "CompactStatistics",
    "ConsumerStatistics",
    "Deleted",
    "Event",
    "FactoryHealth",
    "GroupVersionResource",
    "InformerHealth",
    "InformerStatistics",
    "ListOptions",
    "ObjectKey",
    "Updated",
    "WatchFailure",
]

T = TypeVar("T")


class AllNamespaces(enum.Enum):
    """Type of :data:`ALL_NAMESPACES`."""

    ALL_NAMESPACES = "*"


ALL_NAMESPACES = AllNamespaces.ALL_NAMESPACES
"""Every namespace, where ``None`` would inherit the factory's."""


class GroupVersionResource(NamedTuple):
    """An API resource: ``GroupVersionResource("apps", "v1", "deployments")``; the core group is ``""``."""

    group: str
    version: str
    resource: str

    @classmethod
    def parse(cls, text: str) -> GroupVersionResource:
        """Parse ``deployments.v1.apps`` or, for the core group, ``pods.v1.`` (or ``pods.v1``).

        Raises:
            ValueError: If the text has not the form ``plural.version.group``.
        """
        resource, dot, rest = text.partition(".")
        version, _, group = rest.partition(".")
        if not (dot and resource and _is_version(version)):
            raise ValueError(
                f"{text!r} does not name a resource: write plural.version.group, such as 'deployments.v1.apps', "
                f"or 'pods.v1.' for the core group"
            )
        return cls(group, version, resource)

    @property
    def api_version(self) -> str:
        """``group/version``, or the version alone for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def path(self) -> str:
        """The URL path under which the group's version is served."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"

    def __str__(self) -> str:
        return f"{self.resource}.{self.version}.{self.group}".rstrip(".")


def _is_version(text: str) -> bool:
    return len(text) > 1 and text[0] == "v" and text[1].isdigit() and text.isalnum()


class ObjectKey(NamedTuple):
    """Namespace and name of an object; the namespace of cluster-scoped objects is ``""``."""

    namespace: str
    name: str

    @classmethod
    def parse(cls, text: str) -> ObjectKey:
        """Parse ``namespace/name`` or, for cluster-scoped objects, ``name``."""
        namespace, slash, name = text.partition("/")
        return cls(namespace, name) if slash else cls("", text)

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


class Cause(enum.Enum):
    """What made an event."""

    LIST = "list"
    """The first list, or the snapshot that a consumer who joins later is given."""
    WATCH = "watch"
    """The server's change stream."""
    RELIST = "relist"
    """A later list found a difference that the stream did not deliver."""
    RESYNC = "resync"
    """The consumer's own resync period came round; nothing changed."""


_NO_KEY = ObjectKey("", "")
_NO_RESOURCE = GroupVersionResource("", "", "")


class Added(msgspec.Struct, Generic[T], frozen=True, gc=False):
    """An object is there that was not, as far as this consumer was told.

    Attributes:
        object: The object, decoded on first access where its type is decoded lazily.
        initial: Whether it was there already when the consumer joined or the cache first synced.
        cause: What made the event.
        key: Namespace and name, without decoding the object.
        resource: The informer's resource.
    """

    object: T
    initial: bool = False
    cause: Cause = Cause.WATCH
    key: ObjectKey = _NO_KEY
    resource: GroupVersionResource = _NO_RESOURCE


class Updated(msgspec.Struct, Generic[T], frozen=True, gc=False):
    """An object has changed since this consumer was last told; a resync has ``old is object``.

    Attributes:
        old: What the consumer was last given.
        object: The newer object.
        cause: What made the event.
        key: Namespace and name, without decoding the object.
        resource: The informer's resource.
    """

    old: T
    object: T
    cause: Cause = Cause.WATCH
    key: ObjectKey = _NO_KEY
    resource: GroupVersionResource = _NO_RESOURCE


class Deleted(msgspec.Struct, Generic[T], frozen=True, gc=False):
    """An object is gone (or no longer matches the selector).

    Attributes:
        object: Its final state, or the last known one if ``final_state_known`` is false.
        final_state_known: Whether the server reported the deletion; false if it happened unseen.
        cause: What made the event.
        key: Namespace and name, without decoding the object.
        resource: The informer's resource.
    """

    object: T
    final_state_known: bool = True
    cause: Cause = Cause.WATCH
    key: ObjectKey = _NO_KEY
    resource: GroupVersionResource = _NO_RESOURCE


Event: TypeAlias = Added[T] | Updated[T] | Deleted[T]
"""What a handler gets: ``Added``, ``Updated`` or ``Deleted``."""


_RESERVED = frozenset({
    "allowWatchBookmarks", "continue", "fieldSelector", "labelSelector", "limit", "resourceVersion",
    "resourceVersionMatch", "sendInitialEvents", "shardSelector", "timeoutSeconds", "watch",
})  # fmt: skip


@dataclass(slots=True)
class ListOptions:
    """What ``tweak_list_options`` may change: it narrows every LIST page and every WATCH of an informer.

    Attributes:
        label_selector: Sent as ``labelSelector``.
        field_selector: Sent as ``fieldSelector``.
        shard_selector: Sent as ``shardSelector`` (KEP-5866).
        extra: Further query parameters.
    """

    label_selector: str | None = None
    field_selector: str | None = None
    shard_selector: str | None = None
    extra: Mapping[str, str] | None = None

    def query(self) -> dict[str, str]:
        """Return the query parameters.

        Raises:
            ValueError: If ``extra`` names a parameter that the reflector or a field of its own sets.
        """
        extra = dict(self.extra or {})
        if reserved := sorted(_RESERVED & extra.keys()):
            raise ValueError(
                f"list options: {', '.join(reserved)} cannot be set through `extra`: selectors have fields of "
                f"their own, the rest belongs to the reflector"
            )
        named = {
            "labelSelector": self.label_selector,
            "fieldSelector": self.field_selector,
            "shardSelector": self.shard_selector,
        }
        return extra | {name: value for name, value in named.items() if value}


@dataclass(frozen=True, slots=True)
class WatchFailure:
    """A failed request or stream of one informer, as ``on_watch_error`` observes it.

    Attributes:
        resource: The informer's resource.
        scope: The namespace, or ``""`` for all.
        error: What went wrong.
        attempt: Consecutive failures, this one included.
        next_delay: Seconds until the next try.
    """

    resource: GroupVersionResource
    scope: str
    error: Exception
    attempt: int
    next_delay: float


@dataclass(frozen=True, slots=True)
class BusyKey:
    """An object whose event is inside a handler.

    Attributes:
        key: The object.
        seconds: How long it has been there.
    """

    key: ObjectKey
    seconds: float


@dataclass(frozen=True, slots=True)
class ConsumerStatistics:
    """A snapshot of one consumer's backlog and history.

    Attributes:
        queued: Events that wait for delivery.
        handled: Events delivered without an error.
        failed: Events whose handler raised, timed out or cancelled itself.
        filtered: Records that the filter kept from the consumer.
        coalesced: Events absorbed by merging.
        undelivered: Events that were dropped when the consumer was closed.
        high_water: The longest backlog there has been.
        busy_keys: Objects inside handlers, the longest first.
    """

    queued: int
    handled: int
    failed: int
    filtered: int
    coalesced: int
    undelivered: int
    high_water: int
    busy_keys: tuple[BusyKey, ...] = ()


@dataclass(frozen=True, slots=True)
class CompactStatistics:
    """A snapshot of what packing has done in an informer with ``compact=True``.

    Attributes:
        objects: Objects packed since the start, each version of one counted.
        raw_bytes: Their size before, all in all.
        packed_bytes: Their size after.
        dictionaries: Dictionaries in use.
    """

    objects: int
    raw_bytes: int
    packed_bytes: int
    dictionaries: int

    @property
    def ratio(self) -> float:
        """How many times smaller objects have become; 1 before any was packed."""
        return self.raw_bytes / self.packed_bytes if self.packed_bytes else 1.0


@dataclass(frozen=True, slots=True)
class InformerStatistics:
    """A snapshot of one informer.

    Attributes:
        objects: Objects in the cache.
        added: Additions applied since the start.
        updated: Updates applied since the start.
        deleted: Deletions applied since the start.
        lists: Lists committed, initial streams included.
        failures: Failed attempts to list or watch.
        rejected: Per key of an object that could not be read: why. The cache keeps its last good version.
        unreadable: Lines and items that not even a key could be read from.
        queued_batches: Batches between the reflectors and the dispatcher.
        consumers: Per consumer, by name.
        compact: What packing has done; None without ``compact=True``.
    """

    objects: int
    added: int
    updated: int
    deleted: int
    lists: int
    failures: int
    rejected: Mapping[str, str]
    unreadable: int
    queued_batches: int
    consumers: Mapping[str, ConsumerStatistics]
    compact: CompactStatistics | None = None


@dataclass(frozen=True, slots=True)
class InformerHealth:
    """Whether one informer does its work.

    Attributes:
        name: The informer's name.
        has_synced: Whether the cache holds a whole state of the server.
        is_watching: Whether every scope follows the change stream right now.
        last_activity: Seconds since the server was last heard of; None before that.
        rejected: How many objects could not be read.
        reason: What it waits for and why; empty if nothing is wrong.
    """

    name: str
    has_synced: bool
    is_watching: bool
    last_activity: float | None
    rejected: int
    reason: str


@dataclass(frozen=True, slots=True)
class FactoryHealth:
    """Whether all informers of a factory do their work.

    Attributes:
        is_ready: Every informer that is not optional has synced and none has crashed.
        informers: Each informer's health.
    """

    is_ready: bool
    informers: tuple[InformerHealth, ...]

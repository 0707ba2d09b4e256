"""Snapshots of counts, backlogs and health, as users read them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aioinformers.types import ObjectKey, Scope

__all__ = [
    "BusyKey", "CompactStatistics", "ConsumerStatistics", "FactoryHealth", "InformerHealth", "InformerStatistics",
    "ScopeHealth",
]  # fmt: skip


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
        ignored: Updates that changed nothing which matters to the consumer, as its ``ignore`` and ``only`` say.
    """

    queued: int
    handled: int
    failed: int
    filtered: int
    coalesced: int
    undelivered: int
    high_water: int
    busy_keys: tuple[BusyKey, ...] = ()
    ignored: int = 0


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
class ScopeHealth:
    """Whether one scope of an informer is followed, such as one of its namespaces.

    Attributes:
        scope: The scope.
        has_synced: Whether the cache holds a whole state of it, so that its namespace can be read.
        is_watching: Whether its change stream is followed right now.
        silent_for: Seconds since the server was last heard of; None before that.
        is_degraded: It has synced, but the last attempt to follow it failed: what the cache holds may be out of date.
        reason: What it waits for and why; empty if nothing is wrong.
    """

    scope: Scope
    has_synced: bool
    is_watching: bool
    silent_for: float | None
    reason: str
    is_degraded: bool = False


@dataclass(frozen=True, slots=True)
class InformerHealth:
    """Whether one informer does its work.

    Attributes:
        name: The informer's name.
        has_synced: Whether the cache holds a whole state of the server.
        is_watching: Whether every scope follows the change stream right now.
        has_crashed: Whether a bug ended it.
        silent_for: Seconds since the most silent scope last heard from the server; None before that.
        rejected: How many objects could not be read.
        reason: What it waits for and why; empty if nothing is wrong.
        scopes: Each scope's health, such as each namespace's.
        is_degraded: It has synced, but of a scope the last attempt to follow it failed, or a bug has ended it: what the
            cache holds may be out of date, and ``reason`` says why.
        warnings: What the server said beside its answers, such as that this version is deprecated.
    """

    name: str
    has_synced: bool
    is_watching: bool
    has_crashed: bool
    silent_for: float | None
    rejected: int
    reason: str
    scopes: tuple[ScopeHealth, ...] = ()
    is_degraded: bool = False
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FactoryHealth:
    """Whether all informers of a factory do their work.

    Attributes:
        is_ready: Every informer that is not optional has synced, and none at all has crashed.
        informers: Each informer's health.
        reason: Why it is not ready, or degraded, by informer; empty if all is well.
        is_degraded: An informer, optional or not, is: reads are answered, but may be out of date.
    """

    is_ready: bool
    informers: tuple[InformerHealth, ...]
    reason: str = ""
    is_degraded: bool = False

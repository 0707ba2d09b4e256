"""Every number of the recovery machinery in one documented, frozen place."""

from __future__ import annotations

from dataclasses import dataclass, fields

__all__ = ["Settings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Deadlines, sizes and delays of a factory's informers. All times are seconds.

    The defaults suit real clusters; tests and special networks override single ones:
    ``Settings(page_size=100, watch_list=False)``.
    """

    connect_timeout: float = 10.0
    """A TCP or TLS connection must stand after this long."""
    header_timeout: float = 30.0
    """A response's headers must be there after this long."""
    list_silence_timeout: float = 30.0
    """A LIST body may be silent this long."""
    list_timeout: float = 600.0
    """A whole LIST, all its pages, may take this long; so may a stream of initial objects, until their end."""
    page_size: int = 500
    """Objects asked per page of a LIST; a server may send more where it reads from its watch cache."""

    watch_list: bool = True
    """Ask for initial objects as a stream (``sendInitialEvents``, KEP-3157) before trying LIST."""
    watch_list_silence_timeout: float = 15.0
    """A stream of initial objects may be silent this long before LIST is used instead."""
    watch_list_timeout: float = 60.0
    """A stream of initial objects without its end mark is given up this long after its last object."""
    watch_list_memory: float = 600.0
    """How long a server that failed to stream initial objects is not asked again."""

    watch_timeout_min: float = 300.0
    """Lower bound of the random ``timeoutSeconds`` of a watch."""
    watch_timeout_max: float = 600.0
    """Upper bound of the random ``timeoutSeconds`` of a watch."""
    watch_silence_timeout: float = 75.0
    """A watch that has shown a bookmark may be silent this long (servers send one about every 60 s)."""
    watch_timeout_slack: float = 30.0
    """A watch without bookmarks must end this long after its ``timeoutSeconds``."""
    watch_healthy_after: float = 60.0
    """A watch that lived this long counts as healthy even if nothing happened."""

    backoff_initial: float = 0.8
    """First delay after a failure, before jitter."""
    backoff_max: float = 30.0
    """Largest delay, before jitter."""
    backoff_factor: float = 2.0
    """Growth of the delay per consecutive failure."""
    backoff_jitter: float = 1.0
    """Up to this fraction of the delay is added at random."""
    retry_after_max: float = 60.0
    """A server's ``Retry-After``, in seconds or as a date, is honoured up to this long."""
    max_concurrent_lists: int = 4
    """Lists that a factory runs at once; the others queue up."""

    queue_size: int = 8
    """Batches between a reflector and the dispatcher; a full queue slows the socket, not the memory."""
    max_object_bytes: int = 64 * 1024 * 1024
    """A single object beyond this size ends the stream with a named error instead of eating the memory."""
    compression: bool = False
    """Accept gzip for LIST: less network, more CPU."""
    time_slice: float = 0.002
    """How long a stage may keep the event loop before others run."""
    slow_handler_warning: float = 30.0
    """A handler that holds a key this long is named in a warning."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, bool | str) and (value < 0 or (value == 0 and field.name not in _MAY_BE_ZERO)):
                raise ValueError(f"Settings.{field.name} must be positive, not {value!r}")
        if self.watch_timeout_max < self.watch_timeout_min:
            raise ValueError("Settings.watch_timeout_max must not be smaller than watch_timeout_min")
        if self.backoff_factor < 1:
            raise ValueError("Settings.backoff_factor must be at least 1")


_MAY_BE_ZERO = frozenset({"backoff_jitter", "watch_list_memory", "watch_timeout_slack", "time_slice"})

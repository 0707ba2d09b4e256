"""The timeouts, sizes and delays of informers in one frozen dataclass."""

from __future__ import annotations

from dataclasses import dataclass, fields

from aioinformers.checks import require_number, shown

__all__ = ["Settings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Timeouts, sizes and delays of a factory's informers. All times are in seconds.

    The defaults suit real clusters; override single values for tests and special networks:
    ``Settings(page_size=100, watch_list=False)``.

    Raises:
        TypeError: If a value is no number, or not True or False where that is asked for.
        ValueError: If a value is negative, zero where that is not possible, or contradicts another value.
    """

    connect_timeout: float = 10.0
    """Longest time to establish a TCP or TLS connection."""
    header_timeout: float = 30.0
    """Longest time until a response's headers arrive."""
    list_silence_timeout: float = 30.0
    """Longest silence within the body of a LIST."""
    list_timeout: float = 600.0
    """Longest time for a whole LIST with all its pages, and for a stream of initial objects up to its end mark."""
    page_size: int = 500
    """Objects requested per page of a LIST; a server that reads from its watch cache may send more."""

    watch_list: bool = True
    """Whether to request initial objects as a stream (``sendInitialEvents``, KEP-3157) before trying LIST."""
    watch_list_silence_timeout: float = 15.0
    """Longest silence at the beginning of a stream of initial objects before LIST is used instead."""
    watch_list_timeout: float = 60.0
    """Longest time from the last object of a stream of initial objects to its end mark."""
    watch_list_memory: float = 600.0
    """How long a server that failed to stream initial objects is not asked for it again."""

    watch_timeout_min: float = 300.0
    """Lower bound of the random ``timeoutSeconds`` of a watch."""
    watch_timeout_max: float = 600.0
    """Upper bound of the random ``timeoutSeconds`` of a watch."""
    watch_silence_timeout: float = 75.0
    """Longest silence of a watch that has delivered a bookmark (servers send one about every 60 s)."""
    watch_timeout_slack: float = 30.0
    """How long after its ``timeoutSeconds`` a watch without bookmarks must have ended."""
    watch_healthy_after: float = 60.0
    """Age from which a watch counts as healthy even if it has delivered nothing."""

    backoff_initial: float = 0.8
    """First delay after a failure, before jitter."""
    backoff_max: float = 30.0
    """Largest delay, before jitter."""
    backoff_factor: float = 2.0
    """Growth of the delay with each consecutive failure."""
    backoff_jitter: float = 1.0
    """Largest fraction of the delay that is added at random."""
    retry_after_max: float = 60.0
    """Longest wait for a server's ``Retry-After``, given in seconds or as a date."""
    gone_after: float = 30.0
    """Shortest time between two answers that say for certain that what cannot be listed is gone: a kind, a namespace.

    Only then its objects are let go of.
    """
    max_concurrent_lists: int = 4
    """Lists that a factory reads at the same time, all but one of them of one API group at most; others wait."""

    queue_size: int = 8
    """Batches between a reflector and the dispatcher; while the queue is full, the reflector reads nothing."""
    max_object_bytes: int = 64 * 1024 * 1024
    """Largest size of one object in bytes; a larger one ends the request with an error that names this setting."""
    compression: bool = False
    """Whether to accept gzip for LIST: less network traffic, more CPU time."""
    time_slice: float = 0.002
    """How long a task of an informer may occupy the event loop before other tasks run."""
    slow_handler_warning: float = 30.0
    """Time after which a handler that is still busy with an object is named in a warning."""

    def __post_init__(self) -> None:
        for field in fields(self):
            name, value = f"Settings.{field.name}", getattr(self, field.name)
            if isinstance(field.default, bool):
                if not isinstance(value, bool):
                    raise TypeError(f"{name} must be True or False, not {shown(value)}")
                continue
            require_number(name, value, whole=isinstance(field.default, int))
            if value < 0 or (value == 0 and field.name not in _MAY_BE_ZERO):
                raise ValueError(f"{name} must be positive, not {value!r}")
        if self.watch_timeout_max < self.watch_timeout_min:
            raise ValueError("Settings.watch_timeout_max must not be smaller than watch_timeout_min")
        if self.backoff_factor < 1:
            raise ValueError("Settings.backoff_factor must be at least 1")


_MAY_BE_ZERO = frozenset({"backoff_jitter", "watch_list_memory", "watch_timeout_slack", "time_slice"})

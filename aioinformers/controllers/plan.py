"""What a controller is to do, as it has been declared. Pure."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from aioinformers.controllers.outcomes import Requeue
from aioinformers.controllers.request import Request
from aioinformers.controllers.sources import ByIndex, Cache, Mapper
from aioinformers.informer import SharedInformer
from aioinformers.types import ObjectKey

__all__ = ["Plan"]

T = TypeVar("T")


@dataclass(kw_only=True)
class Plan(Generic[T]):
    """What a controller is to do.

    Attributes:
        name: Its name.
        main: The cache of the objects that it reconciles.
        fields: ``ignore`` and ``only`` of changes of these.
        reconcile: Called for each.
        cleanup: Called for each that is being deleted and has the finalizer.
        gone: Called with the key of each that is gone.
        on_error: Called with what failed.
        finalizer: What is kept on each, until it has been cleaned up.
        owned: The caches of what belongs to them.
        watched: Informers of what leads to them, and how.
        concurrency: How many are reconciled at a time.
        timeout: Seconds after which a run is cancelled; None for never.
        slow_after: Seconds after which a run is told of; None for never.
        every: Seconds after which all are reconciled again; None for never.
        backoff: Seconds to wait after so many failures.
        rate: Runs a second.
    """

    name: str
    main: Cache
    fields: Mapping[str, tuple[str, ...]]
    reconcile: Callable[[Request[T]], Awaitable[Requeue | None]] | None = None
    cleanup: Callable[[Request[T]], Awaitable[Requeue | None]] | None = None
    gone: Callable[[ObjectKey], Awaitable[None]] | None = None
    on_error: Callable[[Request[T], Exception], Requeue | None] | None = None
    finalizer: str | None = None
    owned: list[Cache] = field(default_factory=list)
    watched: list[tuple[SharedInformer[Any], Mapper | ByIndex]] = field(default_factory=list)
    concurrency: int = 16
    timeout: float | None = 300.0
    slow_after: float | None = 30.0
    every: float | None = None
    backoff: Callable[[int], float] | None = None
    rate: float | None = None

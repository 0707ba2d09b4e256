"""How one scope of an informer does, in words. Other threads may ask: what may change meanwhile is looked at once."""

from __future__ import annotations

from dataclasses import dataclass

from aioinformers.cache.indexer import Partition
from aioinformers.errors import ApiStatusError
from aioinformers.listwatch.recovery import State
from aioinformers.listwatch.reflector import Reflector
from aioinformers.statistics import ScopeHealth, ShardMode
from aioinformers.types import Scope

__all__ = ["Circumstances", "condition_of", "is_of_kind"]

METHOD_NOT_ALLOWED = 405


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What holds for all scopes of an informer.

    Attributes:
        now: The loop's time.
        is_running: Whether the informer runs.
        has_failed: Whether a bug has ended it.
        whole: What is wrong with all scopes at once; empty if each has a reason of its own, or none.
        beside: What else is wrong, where a scope has no reason of its own; empty if nothing is.
        mode: Who keeps the objects of other shards away from all of them; None if each scope has its own.
    """

    now: float
    is_running: bool
    has_failed: bool
    whole: str
    beside: str = ""
    mode: ShardMode | None = None


def condition_of(
    scope: Scope,
    partition: Partition,
    reflector: Reflector | None,
    before: str,
    around: Circumstances,
    *,
    is_coming: bool,
) -> ScopeHealth:
    """Return what a scope does, and what it waits for.

    Args:
        scope: The scope.
        partition: What is cached of it.
        reflector: What follows it; None before that.
        before: What is done before that; empty if nothing is.
        around: What holds for all scopes.
        is_coming: Whether it is hidden until its first list is whole.
    """
    state = None if reflector is None else reflector.state
    since = None if reflector is None else reflector.last_activity
    error = None if reflector is None else reflector.last_error
    is_synced = around.is_running and partition.is_synced
    reason = around.whole
    if not reason and (error is not None or state is not State.WATCHING or not is_synced):
        doing = before or "starting" if reflector is None else reflector.activity(around.now)
        doing = "applying the list" if state is State.WATCHING else doing
        reason = f"{doing}{scope.place}" + ("" if error is None else f": {error}")
    is_ill = around.has_failed or bool(around.beside) or not (error is None or is_of_kind(error))
    own_mode = None if reflector is None or reflector.ownership is None else reflector.ownership.mode
    return ScopeHealth(
        scope,
        is_synced,
        is_watching=around.is_running and state is State.WATCHING,
        silent_for=None if since is None else max(around.now - since, 0.0),
        reason=reason or around.beside,
        is_degraded=partition.is_synced and is_ill,
        is_coming=is_coming,
        shard_mode=around.mode or own_mode,
    )


def is_of_kind(error: Exception | None) -> bool:
    """Tell whether an error is that the kind cannot be watched, as componentstatuses: it is listed now and then."""
    return isinstance(error, ApiStatusError) and error.status == METHOD_NOT_ALLOWED

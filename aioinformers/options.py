"""The arguments that informers, handlers and streams are asked for with: each spelled once, and what it means. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Generic, TypeAlias, TypedDict, TypeVar

from aioinformers.delivery.events import Event
from aioinformers.objects.layout import IndexDefinition
from aioinformers.types import ALL_NAMESPACES, EVERYTHING, AllNamespaces, ListOptions, Scope

__all__ = [
    "HandlerOptions", "InformerOptions", "Namespaces", "StreamOptions", "Transform", "Transforms", "Tweak",
    "check_options", "period_of", "scopes_of", "transforms_of",
]  # fmt: skip

T = TypeVar("T")

Namespaces: TypeAlias = str | Sequence[str] | AllNamespaces | None
Transform: TypeAlias = Callable[[Any], Any]
Transforms: TypeAlias = Transform | Sequence[Transform] | None
Tweak: TypeAlias = Callable[[ListOptions], None]

_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


class InformerOptions(TypedDict, total=False):
    """What an informer can be asked for with, beside ``object_type``; all of it may be left out.

    Attributes:
        namespace: One namespace or several; None for the factory's, ``ALL_NAMESPACES`` for all.
        label_selector: Only objects whose labels match; judged by the server.
        field_selector: Only objects whose fields match; judged by the server.
        resync_period: Seconds; the default of handlers that are registered later; 0 for never.
        indexers: Indexes by name, added to the shared informer: a path in JSON names or a callable.
        transform: Changes each object on arrival, one or several in order; replaces the factory's.
        shared_objects: Give everybody the same decoded object, read-only by contract.
        compact: Keep objects packed: a fraction of the memory, for some microseconds per event and read. None, the
            default, takes a shared informer as it is; a new one is not compact.
        optional: Waiting for a factory's caches does not wait for this one.
    """

    namespace: Namespaces
    label_selector: str | None
    field_selector: str | None
    resync_period: float | None
    indexers: Mapping[str, IndexDefinition] | None
    transform: Transforms
    shared_objects: bool
    compact: bool | None
    optional: bool


class HandlerOptions(TypedDict, Generic[T], total=False):
    """How a handler wants its events; all of it may be left out.

    Attributes:
        concurrency: How many events may be handled at once, 1 by default; never two of one object, always in order per
            object.
        resync_period: Seconds after which every object is given again as an update without a change; 0 for never, None,
            the default, for the informer's; at least 1.
        limit: Events kept exactly as they came, 1,024 by default; a longer backlog is merged per object. None keeps
            everything.
        filter: Objects for which it is false do not exist for this handler: an update that makes it true comes as an
            addition, one that makes it false as a deletion.
        on_error: Called (and awaited, if it gives an awaitable) with the exception and event of a failed call.
        handler_timeout: Seconds after which a call is cancelled and counts as failed; None, the default, for no limit.
        name: Shown in logs and statistics; the handler's own name by default.
    """

    concurrency: int
    resync_period: float | None
    limit: int | None
    filter: Callable[[T], bool] | None
    on_error: Callable[[Exception, Event[T]], Awaitable[None] | None] | None
    handler_timeout: float | None
    name: str | None


class StreamOptions(TypedDict, Generic[T], total=False):
    """How a stream wants its events; all of it may be left out.

    Attributes:
        resync_period: As for handlers; 0, never, by default, and None for the informer's.
        limit: As for handlers.
        filter: As for handlers.
        name: Shown in statistics.
    """

    resync_period: float | None
    limit: int | None
    filter: Callable[[T], bool] | None
    name: str | None


def check_options(known: type[Any], given: Mapping[str, Any], where: str, also: Sequence[str] = ()) -> None:
    """Refuse options that do not exist, which only type checkers would find otherwise.

    Args:
        known: The ``TypedDict`` that spells them.
        given: What was given.
        where: What was called.
        also: Further names that it takes.

    Raises:
        TypeError: If an option is unknown; names the one that comes near.
    """
    names = [*known.__annotations__, *also]
    for name in given:
        if name in names:
            continue
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names)}"
        raise TypeError(f"{where} has no option {name!r}: {hint}")


def scopes_of(namespace: Namespaces) -> tuple[Scope, ...]:
    """Return one scope per namespace, sorted; :data:`EVERYTHING` alone for all namespaces."""
    if namespace is None or namespace is ALL_NAMESPACES:
        return (EVERYTHING,)
    names = (namespace,) if isinstance(namespace, str) else tuple(namespace)
    if not names:
        raise ValueError("namespace=[] selects nothing: give names, or ALL_NAMESPACES")
    for name in names:
        if not _NAMESPACE.fullmatch(name):
            raise ValueError(f"{name!r} cannot be a namespace: for all of them leave it out or use ALL_NAMESPACES")
    return tuple(Scope(name) for name in sorted(set(names)))


def transforms_of(transform: Transforms) -> tuple[Transform, ...]:
    """Return the transforms in order, whether one was given, several or none."""
    transforms = () if transform is None else (transform,) if callable(transform) else tuple(transform)
    for one in transforms:
        if not callable(one):
            raise TypeError(f"a transform must be callable, not {one!r}")
    return transforms


def period_of(seconds: float) -> float:
    """Return a resync period: 0 for never, else at least a second."""
    if seconds < 0:
        raise ValueError(f"a resync period must not be negative, not {seconds!r}")
    return max(seconds, 1.0) if seconds else 0.0

"""The arguments that informers, handlers and streams are asked for with: each spelled once, and what it means. Pure."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypedDict, TypeVar

from aioinformers.checks import is_coroutine_function, require_number, require_plain, shown, suggestion
from aioinformers.delivery.events import Event
from aioinformers.objects.layout import IndexDefinition
from aioinformers.objects.shard import Shard
from aioinformers.objects.transforms import drop_fields, keep_fields
from aioinformers.settings import Settings
from aioinformers.types import ALL_NAMESPACES, EVERYTHING, AllNamespaces, ListOptions, Scope

if TYPE_CHECKING:
    from aioinformers.warm.cache import WarmCache

__all__ = [
    "HandlerOptions", "InformerOptions", "Namespaces", "StreamOptions", "Transform", "Transforms", "Tweak", "Until",
    "check_options", "period_of", "require_until", "scopes_of", "settings_of", "shard_of",
    "transforms_of",
]  # fmt: skip

T = TypeVar("T")


class Until(Protocol):
    """What ends a wait or a stream when it is set: an ``asyncio.Event``."""

    def is_set(self) -> bool:
        """Tell whether it has been set."""

    async def wait(self) -> Any:
        """Wait until it is set."""


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
        shard: Only the objects of one of several shards (``aioinformers.sharding.Shard``); None for all objects, also
            where the factory has a shard. Left out, it is the factory's.
        warm: Where the state is stored for the next process, instead of the factory's ``warm``; None for nowhere.
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
    shard: Shard | None
    warm: WarmCache | None


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
        ignore: Fields whose changes are no events for this handler, as JSON paths: ``("status",)``. An update that
            changes nothing else is counted as ``ignored``. The cache holds the new version all the same. The
            resourceVersion, the managed fields and the generation never count.
        only: The only fields whose changes are events: ``("spec.template", "metadata.labels")``.
    """

    concurrency: int
    resync_period: float | None
    limit: int | None
    filter: Callable[[T], bool] | None
    on_error: Callable[[Exception, Event[T]], Awaitable[None] | None] | None
    handler_timeout: float | None
    name: str | None
    ignore: str | Iterable[str] | None
    only: str | Iterable[str] | None


class StreamOptions(TypedDict, Generic[T], total=False):
    """How a stream wants its events; all of it may be left out.

    Attributes:
        resync_period: As for handlers; 0, never, by default, and None for the informer's.
        limit: As for handlers.
        filter: As for handlers.
        name: Shown in statistics.
        ignore: As for handlers.
        only: As for handlers.
        until: The stream ends when it is set, and drops what is queued.
    """

    resync_period: float | None
    limit: int | None
    filter: Callable[[T], bool] | None
    name: str | None
    ignore: str | Iterable[str] | None
    only: str | Iterable[str] | None
    until: Until | None


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
        raise TypeError(f"{where} has no option {name!r}: {suggestion(name, names)}")


def require_until(until: Any) -> None:
    """Refuse what cannot be waited for.

    Raises:
        TypeError: If it is no event, such as ``asyncio.Event``.
    """
    if isinstance(until, type) or not (
        hasattr(until, "is_set") and is_coroutine_function(getattr(until, "wait", None))
    ):
        raise TypeError(f"until must be an asyncio.Event, not {shown(until)}")


def scopes_of(namespace: Namespaces, *, may_be_all: bool = True) -> tuple[Scope, ...]:
    """Return one scope per namespace, sorted; :data:`EVERYTHING` alone for all namespaces.

    Args:
        namespace: One namespace, several, or all.
        may_be_all: Whether the errors may advise to ask for all.
    """
    advice = ": for all of them {} ALL_NAMESPACES{}" if may_be_all else ""
    if namespace is None or namespace is ALL_NAMESPACES:
        return (EVERYTHING,)
    if isinstance(namespace, Mapping):
        raise TypeError(f"namespaces are a text or several, such as ['a', 'b'], not {shown(namespace)}")
    names = (namespace,) if isinstance(namespace, str) or not isinstance(namespace, Iterable) else tuple(namespace)
    if not names:
        raise ValueError(f"namespace=[] selects nothing: give names{', or ALL_NAMESPACES' if may_be_all else ''}")
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"a namespace is a text, not {shown(name)}{advice.format('use', ' alone')}")
        if not _NAMESPACE.fullmatch(name):
            raise ValueError(f"{name!r} cannot be a namespace{advice.format('leave it out or use', '')}")
    return tuple(Scope(name) for name in sorted(set(names)))


def shard_of(shard: Any) -> Shard | None:
    """Return a shard as it was given; None for all objects.

    Raises:
        TypeError: If it is something else, such as ``"2/8"``; says how a shard is written.
    """
    if shard is None or isinstance(shard, Shard):
        return shard
    raise TypeError(
        f"shard= is a Shard of aioinformers.sharding, such as Shard(2, of=8) for the third of eight, or None for all "
        f"objects, not {shown(shard)}"
    )


def transforms_of(transform: Transforms) -> tuple[Transform, ...]:
    """Return the transforms in order, whether one was given, several or none."""
    if transform is None:
        return ()
    given: Any = transform
    transforms = tuple(given) if isinstance(given, Sequence) and not isinstance(given, str) else (given,)
    for one in transforms:
        if one in (drop_fields, keep_fields):
            raise TypeError(f"{one.__name__} makes a transform: call it with paths, as {one.__name__}('status')")
        require_plain(one, "transform", "the object")
    return transforms


def settings_of(settings: Settings | None) -> Settings:
    """Return the settings that were given, or the defaults.

    Raises:
        TypeError: If something else was given, such as a dict.
    """
    if settings is None:
        return Settings()
    if not isinstance(settings, Settings):
        raise TypeError(f"settings must be Settings, such as Settings(page_size=100), not {shown(settings)}")
    return settings


def period_of(seconds: float) -> float:
    """Return a resync period: 0 for never, else at least a second."""
    require_number("a resync period", seconds)
    if seconds < 0:
        raise ValueError(f"a resync period must not be negative, not {seconds!r}")
    return max(seconds, 1.0) if seconds else 0.0

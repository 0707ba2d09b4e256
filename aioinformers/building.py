"""Informers out of arguments: what the factory and :func:`new_informer` have in common."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar, Unpack, overload

from aioinformers.checks import require_plain
from aioinformers.checks import shown as displayed
from aioinformers.discovery import Discovery
from aioinformers.informer import SharedInformer
from aioinformers.naming import resource_of
from aioinformers.objects.layout import IndexDefinition, Layout
from aioinformers.objects.object_types import ObjectType, compacted, object_type_of
from aioinformers.objects.schemas import Schema
from aioinformers.objects.selectors import parse_field_selector, parse_label_selector
from aioinformers.objects.shard import Shard, share_of
from aioinformers.objects.transforms import BytesTransform
from aioinformers.options import (
    InformerOptions,
    Transform,
    Tweak,
    check_options,
    period_of,
    scopes_of,
    settings_of,
    shard_of,
    transforms_of,
)
from aioinformers.pipeline import InformerSpec, Pipeline
from aioinformers.resources import GROUPS, Kind, kind_of_resource, kinds
from aioinformers.settings import Settings
from aioinformers.tally import Tally, place_of, so_often
from aioinformers.transport.source import Source, load_model
from aioinformers.types import EVERYTHING, GroupVersionResource, ListOptions, Scope, WatchFailure
from aioinformers.warm.cache import WarmCache, refuse_secrets
from aioinformers.words import printable

__all__ = ["Defaults", "InformerRequest", "build_informer", "new_informer", "request_of"]

T = TypeVar("T")

logger: logging.Logger = logging.getLogger("aioinformers.factory")

MAX_NAMED_SCOPES = 5
"""Namespaces that the name of an informer tells."""


@overload
def new_informer(
    api_client: Any,
    what: type[T],
    *,
    object_type: None = None,
    tweak_list_options: Tweak | None = None,
    settings: Settings | None = None,
    on_watch_error: Callable[[WatchFailure], None] | None = None,
    on_warning: Callable[[str], None] | None = None,
    **options: Unpack[InformerOptions],
) -> SharedInformer[T]: ...
@overload
def new_informer(
    api_client: Any,
    what: GroupVersionResource | str,
    *,
    object_type: None = None,
    tweak_list_options: Tweak | None = None,
    settings: Settings | None = None,
    on_watch_error: Callable[[WatchFailure], None] | None = None,
    on_warning: Callable[[str], None] | None = None,
    **options: Unpack[InformerOptions],
) -> SharedInformer[dict[str, Any]]: ...
@overload
def new_informer(
    api_client: Any,
    what: type[Any] | GroupVersionResource | str,
    *,
    object_type: type[dict[Any, Any]],
    tweak_list_options: Tweak | None = None,
    settings: Settings | None = None,
    on_watch_error: Callable[[WatchFailure], None] | None = None,
    on_warning: Callable[[str], None] | None = None,
    **options: Unpack[InformerOptions],
) -> SharedInformer[dict[str, Any]]: ...
@overload
def new_informer(
    api_client: Any,
    what: type[Any] | GroupVersionResource | str,
    *,
    object_type: type[T],
    tweak_list_options: Tweak | None = None,
    settings: Settings | None = None,
    on_watch_error: Callable[[WatchFailure], None] | None = None,
    on_warning: Callable[[str], None] | None = None,
    **options: Unpack[InformerOptions],
) -> SharedInformer[T]: ...
def new_informer(
    api_client: Any,
    what: type[Any] | GroupVersionResource | str,
    *,
    object_type: Any = None,
    tweak_list_options: Tweak | None = None,
    settings: Settings | None = None,
    on_watch_error: Callable[[WatchFailure], None] | None = None,
    on_warning: Callable[[str], None] | None = None,
    **options: Unpack[InformerOptions],
) -> SharedInformer[Any]:
    """Make an informer that needs no factory: ``async with informer:``, ``await informer.run()`` or ``factory.add``.

    Args:
        api_client: A ``kubernetes_asyncio.client.ApiClient``; it stays the caller's to close.
        what: A model class, a :class:`GroupVersionResource` or its text.
        object_type: What users see; the model class given, or dict.
        tweak_list_options: Called once with its :class:`ListOptions`.
        settings: Deadlines, sizes and delays.
        on_watch_error: Observes each failed attempt to list or watch.
        on_warning: Told of each text that the server sends as a ``Warning`` header, once.
        options: See :class:`InformerOptions`.

    Raises:
        TypeError: If ``api_client`` is not an API client, or an option is unknown.
        ValueError: If ``what`` names no resource, or an option cannot be.
        ImportError: If ``compact`` needs a package that is not installed.
    """
    also = ("object_type", "tweak_list_options", "settings", "on_watch_error", "on_warning")
    check_options(InformerOptions, options, "new_informer()", also)
    if on_watch_error is not None:
        require_plain(on_watch_error, "on_watch_error", "the failure")
    default_type = what if isinstance(what, type) else dict
    request = request_of(resource_of(what), object_type or default_type, options, Defaults(tweak=tweak_list_options))
    if on_warning is not None:
        require_plain(on_warning, "on_warning", "the text")
    source = Source(api_client, settings_of(settings), on_warning)
    return build_informer(request, source, Discovery(source), on_watch_error)[0]


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds for all informers of a factory that do not say otherwise.

    Attributes:
        scopes: What they follow.
        transforms: What changes their objects.
        resync_period: Seconds.
        resync_periods: Seconds, for single resources.
        tweak: Changes the options of their requests.
        shard: Whose objects they follow; None for all.
        warm: Where their states are stored.
    """

    scopes: tuple[Scope, ...] = (EVERYTHING,)
    transforms: tuple[Transform, ...] = ()
    resync_period: float = 0.0
    resync_periods: Mapping[GroupVersionResource, float] | None = None
    tweak: Tweak | None = None
    shard: Shard | None = None
    warm: WarmCache | None = None

    def __post_init__(self) -> None:
        if self.tweak is not None:
            require_plain(self.tweak, "tweak_list_options", "the list options")
        _require_warm(self.warm)


@dataclass(frozen=True, slots=True)
class InformerRequest:
    """An informer as it was asked for: what it is, and what a shared one must agree with or takes over.

    Attributes:
        spec: What it follows.
        object_type: How objects are kept and shown, but for packing.
        transforms: What changes objects on arrival, in order.
        own_transforms: Those of them that were asked for here, and so are about this resource.
        resync_period: Seconds, if given.
        default_resync: Seconds of a new informer to which none were given.
        indexers: Its indexes, beside those that a shared one has.
        is_compact: Whether objects are kept packed, if given.
        is_optional: Nobody counts on it.
        warm: Where its state is stored.
        is_warm_given: Whether that was asked for here.
    """

    spec: InformerSpec
    object_type: ObjectType[Any]
    transforms: tuple[Transform, ...]
    own_transforms: tuple[Transform, ...]
    resync_period: float | None
    default_resync: float
    indexers: Mapping[str, IndexDefinition]
    is_compact: bool | None
    is_optional: bool
    warm: WarmCache | None = None
    is_warm_given: bool = False

    @property
    def identity(self) -> Hashable:
        """What two requests for one informer have in common."""
        # Built-in transforms are the same if they do the same, a user's only if they are one object.
        transforms = tuple(one if isinstance(one, BytesTransform) else id(one) for one in self.transforms)
        query = tuple(sorted(self.spec.query.items()))
        shown, shard = self.object_type, self.spec.shard
        by = None if shard is None else shard.by  # the ranges are the scopes'
        return (self.spec.resource, self.spec.scopes, by, query, shown.python_type, type(shown), transforms)

    def renamed(self, name: str) -> InformerRequest:
        """Return the same request for an informer of another name."""
        return replace(self, spec=replace(self.spec, name=name))

    def share(self, informer: SharedInformer[Any], pipeline: Pipeline[Any]) -> None:
        """Let an informer that is there already serve this request.

        Raises:
            ValueError: If it has another resync period, or keeps objects packed and was not to, or the reverse, or
                stores its state elsewhere.
            IndexConflictError: If an index exists with another definition.
        """
        if self.resync_period is not None and self.resync_period != informer.resync_period:
            raise ValueError(
                f"{informer.name} is shared and has resync_period={informer.resync_period:g}: give handlers "
                f"their own with add_event_handler(..., resync_period=...)"
            )
        if self.is_compact is not None and self.is_compact != informer.is_compact:
            raise ValueError(
                f"{informer.name} is shared and has compact={informer.is_compact}: ask for it so, or leave compact out"
            )
        if self.is_warm_given and self.warm is not pipeline.warm:
            raise ValueError(
                f"{informer.name} is shared and has warm={pipeline.warm!r}: ask for it so, or leave warm out"
            )
        if self.indexers:
            _ = informer.add_indexers(self.indexers)
        if not self.is_optional:
            pipeline.is_optional = False  # somebody counts on it


def request_of(
    resource: GroupVersionResource, object_type: Any, options: InformerOptions, defaults: Defaults
) -> InformerRequest:
    """Return what is asked for.

    Args:
        resource: The resource.
        object_type: The Python type that users see.
        options: What was said of it; that these options exist has been checked.
        defaults: What holds where nothing was said.

    Raises:
        TypeError: If the object type or a transform cannot be.
        ValueError: For a namespace that cannot be, or on a cluster-scoped kind, or a reserved option, or another
            selector of shards than the shard's; for Secrets that would be stored.
        InvalidSelectorError: If a selector cannot be parsed.
    """
    kind = kind_of_resource(resource)
    for name in ("shared_objects", "compact", "optional"):
        if not isinstance(options.get(name), bool | None):
            raise TypeError(f"{name} is True or False, not {displayed(options.get(name))}")
    _require_own_model(kind, object_type)
    is_shared = options.get("shared_objects", False)
    shown = object_type_of(object_type, shared=is_shared)
    warm = options.get("warm", defaults.warm)
    _require_warm(warm)
    if warm is not None:
        refuse_secrets(warm, resource)
    own = transforms_of(options.get("transform"))
    transforms = own or defaults.transforms
    marks = [*_type_marks(kind, shown, is_shared=is_shared), *_transform_marks(transforms, defaults.transforms)]
    period = options.get("resync_period")
    return InformerRequest(
        spec=_spec_of(resource, kind, options, defaults, marks),
        object_type=shown,
        transforms=transforms,
        own_transforms=own,
        resync_period=None if period is None else period_of(period),
        default_resync=(defaults.resync_periods or {}).get(resource, defaults.resync_period),
        indexers=options.get("indexers") or {},
        is_compact=options.get("compact"),
        is_optional=options.get("optional", False),
        warm=warm,
        is_warm_given="warm" in options,
    )


def _require_warm(warm: Any) -> None:
    if not isinstance(warm, WarmCache | None):
        raise TypeError(f"warm is a WarmCache, such as WarmCache('/var/cache/app'), or None, not {displayed(warm)}")


def _require_own_model(kind: Kind | None, object_type: Any) -> None:
    """Refuse the model of another kind."""
    if kind is None or not (isinstance(object_type, type) and hasattr(object_type, "openapi_types")):
        return
    other = next((each for each in kinds() if each.model == object_type.__name__), None)
    if other is not None and other.kind != kind.kind:
        raise TypeError(f"object_type={object_type.__name__} is the model of {other.resource}, not of {kind.resource}")


def _type_marks(kind: Kind | None, shown: ObjectType[Any], *, is_shared: bool) -> list[str]:
    """Return what an informer's name says of its object type: nothing of the usual one."""
    usual = "dict" if kind is None or kind.model is None else kind.model
    name = shown.python_type.__name__
    return [f"as {name}"] * (name != usual) + ["shared objects"] * is_shared


def _transform_marks(transforms: Sequence[Transform], usual: Sequence[Transform]) -> list[str]:
    """Return what an informer's name says of its transforms: nothing of the factory's."""
    if transforms == usual:
        return []
    names = [
        str(getattr(one, "__name__", None) or (one if isinstance(one, BytesTransform) else type(one).__name__))
        for one in transforms
    ]
    return [f"through {' and '.join(names)}"]


def _spec_of(
    resource: GroupVersionResource,
    kind: Kind | None,
    options: InformerOptions,
    defaults: Defaults,
    marks: Sequence[str],
) -> InformerSpec:
    namespace = options.get("namespace")
    scopes = defaults.scopes if namespace is None else scopes_of(namespace)
    if kind is not None and not kind.is_namespaced and scopes != (EVERYTHING,):
        if namespace is not None:
            raise ValueError(f"{resource} is cluster-scoped: it cannot be limited to namespaces")
        scopes = (EVERYTHING,)
    shard = shard_of(options["shard"]) if "shard" in options else defaults.shard
    query = _query_of(options, shard, defaults.tweak)
    limits = [*_scope_marks(scopes), *[str(shard).replace(",", "")] * (shard is not None)]
    limits += [*(f"{k}={v}" for k, v in query.items()), *marks]
    if shard is not None:
        scopes = tuple(scope._replace(ranges=share_of(shard).ranges) for scope in scopes)
    name = f"{resource} [{', '.join(limits)}]" if limits else str(resource)
    foreign = functools.partial(is_foreign, resource)
    is_namespaced = kind is None or kind.is_namespaced
    return InformerSpec(name, resource, scopes, query, kind is None, namespace is None, is_namespaced, foreign, shard)


def _query_of(options: InformerOptions, shard: Shard | None, tweak: Tweak | None) -> dict[str, str]:
    """Return the query of every request, but for the selector of a shard, which each scope has of its own."""
    labels, fields = options.get("label_selector"), options.get("field_selector")
    list_options = ListOptions(
        label_selector=str(parse_label_selector(labels)) if labels else None,
        field_selector=str(parse_field_selector(fields)) if fields else None,
        shard_selector=None if shard is None else shard.selector,
    )
    if tweak is not None:
        tweak(list_options)
    if shard is None:
        return list_options.query()
    if list_options.shard_selector != shard.selector:
        raise ValueError(
            f"tweak_list_options has changed the shard_selector of {shard}: what is asked for is what is verified: "
            f"change shard= instead, or say shard=None for a selector of your own"
        )
    list_options.shard_selector = None
    return list_options.query()


def _scope_marks(scopes: Sequence[Scope]) -> list[str]:
    """Return what an informer's name says of its scopes: of many, the first ones and how many more there are."""
    names = [str(scope) for scope in scopes if scope != EVERYTHING]
    more = len(names) - MAX_NAMED_SCOPES
    return names if more <= 0 else [*names[:MAX_NAMED_SCOPES], f"{more} more"]


def build_informer(
    request: InformerRequest,
    source: Source,
    discovery: Discovery,
    on_watch_error: Callable[[WatchFailure], None] | None,
    *,
    owner: str = "",
) -> tuple[SharedInformer[Any], Pipeline[Any]]:
    """Make a new informer.

    Args:
        request: What it is to be.
        source: Makes its requests.
        discovery: Knows what the server serves.
        on_watch_error: Observes each failed attempt to list or watch.
        owner: The factory that runs it, by name; empty for a standalone one.

    Returns:
        What users see, and the machinery behind it.

    Raises:
        ImportError: If ``compact`` needs a package that is not installed.
        ValueError: If its objects cannot be packed.
    """
    spec = request.spec

    tally = Tally()

    def on_user_error(what: str, key: str, error: BaseException) -> None:
        if count := tally.note((what, place_of(error))):
            again = so_often(count)
            logger.error("%s: %s raised for %s%s", spec.name, what, printable(key), again, exc_info=error)

    object_type = compacted(request.object_type) if request.is_compact else request.object_type
    if (kind := kind_of_resource(spec.resource)) is not None:
        object_type.learn_kind(kind.kind, spec.resource.api_version)  # not all servers say it of every object
    schema = _schema_of(spec.resource, kind)
    for transform in request.own_transforms:
        for path in transform.paths if isinstance(transform, BytesTransform) else ():
            schema.check(str(path), path, is_value=False)
    layout: Layout[Any] = Layout(object_type, request.transforms, None, on_user_error, schema)
    pipeline = Pipeline(spec, layout, source, discovery, on_watch_error, request.warm)
    pipeline.owner, pipeline.is_shared, pipeline.is_optional = owner, bool(owner), request.is_optional
    given = request.resync_period
    pipeline.resync_period = request.default_resync if given is None else given
    informer = SharedInformer(pipeline)
    _ = informer.add_indexers(request.indexers)
    return informer, pipeline


def _schema_of(resource: GroupVersionResource, kind: Kind | None) -> Schema:
    """Return what checks the paths of a resource's indexes; it loads the client's models when it is first asked."""
    model = None if kind is None else kind.model
    whole = None if model is None else functools.partial(load_model, model)
    return Schema(kind.kind if kind else resource.resource, whole, functools.partial(load_model, "V1ObjectMeta"))


def is_foreign(resource: GroupVersionResource, kind: str, api_version: str) -> bool:
    """Tell whether a list is of another resource, by its kind and apiVersion.

    The lists of built-in kinds are called by a rule. A custom resource may name the kind of its list as it likes: only
    the list of a built-in kind is certainly another one.
    """
    known = kind_of_resource(resource)
    if known is not None:
        return kind != f"{known.kind}List"
    if api_version.rpartition("/")[0] not in GROUPS:
        return False
    return any(kind == f"{each.kind}List" and api_version == each.resource.api_version for each in kinds())

"""Informers out of arguments: what the factory and :func:`new_informer` have in common."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, overload

from aioinformers.informer import SharedInformer
from aioinformers.objects.layout import Indexer, Layout
from aioinformers.objects.object_types import ObjectType, compacted, object_type_of
from aioinformers.objects.selectors import parse_field_selector, parse_label_selector
from aioinformers.options import Namespaces, Transforms, Tweak, period_of, scopes_of, transforms_of
from aioinformers.pipeline import InformerSpec, Pipeline
from aioinformers.resources import GROUPS, kind_of_model, kind_of_resource, kinds
from aioinformers.settings import Settings
from aioinformers.transport.source import Source
from aioinformers.types import EVERYTHING, GroupVersionResource, ListOptions, Scope, WatchFailure

__all__ = ["build_informer", "new_informer", "resource_of", "spec_of"]

T = TypeVar("T")


logger: logging.Logger = logging.getLogger("aioinformers.factory")


@overload
def new_informer(
    api_client: Any,
    what: type[T],
    *,
    namespace: Namespaces = None,
    label_selector: str | None = None,
    field_selector: str | None = None,
    object_type: None = None,
    resync_period: float = 0.0,
    indexers: Mapping[str, Indexer] | None = None,
    tweak_list_options: Tweak | None = None,
    transform: Transforms = None,
    shared_objects: bool = False,
    compact: bool = False,
    settings: Settings | None = None,
    on_watch_error: Callable[[WatchFailure], None] | None = None,
) -> SharedInformer[T]: ...
@overload
def new_informer(
    api_client: Any,
    what: GroupVersionResource | str,
    *,
    namespace: Namespaces = None,
    label_selector: str | None = None,
    field_selector: str | None = None,
    object_type: None = None,
    resync_period: float = 0.0,
    indexers: Mapping[str, Indexer] | None = None,
    tweak_list_options: Tweak | None = None,
    transform: Transforms = None,
    shared_objects: bool = False,
    compact: bool = False,
    settings: Settings | None = None,
    on_watch_error: Callable[[WatchFailure], None] | None = None,
) -> SharedInformer[dict[str, Any]]: ...
@overload
def new_informer(
    api_client: Any,
    what: type[Any] | GroupVersionResource | str,
    *,
    namespace: Namespaces = None,
    label_selector: str | None = None,
    field_selector: str | None = None,
    object_type: type[dict[Any, Any]],
    resync_period: float = 0.0,
    indexers: Mapping[str, Indexer] | None = None,
    tweak_list_options: Tweak | None = None,
    transform: Transforms = None,
    shared_objects: bool = False,
    compact: bool = False,
    settings: Settings | None = None,
    on_watch_error: Callable[[WatchFailure], None] | None = None,
) -> SharedInformer[dict[str, Any]]: ...
@overload
def new_informer(
    api_client: Any,
    what: type[Any] | GroupVersionResource | str,
    *,
    namespace: Namespaces = None,
    label_selector: str | None = None,
    field_selector: str | None = None,
    object_type: type[T],
    resync_period: float = 0.0,
    indexers: Mapping[str, Indexer] | None = None,
    tweak_list_options: Tweak | None = None,
    transform: Transforms = None,
    shared_objects: bool = False,
    compact: bool = False,
    settings: Settings | None = None,
    on_watch_error: Callable[[WatchFailure], None] | None = None,
) -> SharedInformer[T]: ...
def new_informer(
    api_client: Any,
    what: type[Any] | GroupVersionResource | str,
    *,
    namespace: Namespaces = None,
    label_selector: str | None = None,
    field_selector: str | None = None,
    object_type: Any = None,
    resync_period: float = 0.0,
    indexers: Mapping[str, Indexer] | None = None,
    tweak_list_options: Tweak | None = None,
    transform: Transforms = None,
    shared_objects: bool = False,
    compact: bool = False,
    settings: Settings | None = None,
    on_watch_error: Callable[[WatchFailure], None] | None = None,
) -> SharedInformer[Any]:
    """Make an informer that needs no factory: ``async with informer:``, ``await informer.run()`` or ``factory.add``.

    Args:
        api_client: A ``kubernetes_asyncio.client.ApiClient``; it stays the caller's to close.
        what: A model class, a :class:`GroupVersionResource` or its text.
        namespace: One namespace or several; None for all.
        label_selector: Only objects whose labels match; judged by the server.
        field_selector: Only objects whose fields match; judged by the server.
        object_type: What users see; the model class given, or dict.
        resync_period: Seconds; the default of its handlers; 0 for never.
        indexers: Its indexes.
        tweak_list_options: Called once with its :class:`ListOptions`.
        transform: Changes each object on arrival.
        shared_objects: Give everybody the same decoded object, read-only by contract.
        compact: Keep objects packed: a fraction of the memory, for some microseconds per event and read.
        settings: Deadlines, sizes and delays.
        on_watch_error: Observes each failed attempt to list or watch.

    Raises:
        TypeError: If ``api_client`` is no API client.
        ValueError: If ``what`` names no resource, or an option cannot be.
        ImportError: If ``compact`` needs a package that is not installed.
    """
    resource = resource_of(what)
    known = kind_of_resource(resource)
    is_namespaced = None if known is None else known.is_namespaced
    spec = spec_of(
        resource, is_namespaced, namespace, (EVERYTHING,), label_selector, field_selector, tweak_list_options
    )
    python_type = object_type or (what if isinstance(what, type) else dict)
    kind = object_type_of(python_type, shared=shared_objects)
    kind = compacted(kind) if compact else kind
    source = Source(api_client, settings or Settings())
    informer = build_informer(spec, kind, transforms_of(transform), source, on_watch_error, period_of(resync_period))
    _ = informer.add_indexers(indexers or {})
    return informer


def build_informer(
    spec: InformerSpec,
    kind: ObjectType[Any],
    transforms: tuple[Callable[[Any], Any], ...],
    source: Source,
    on_watch_error: Callable[[WatchFailure], None] | None,
    resync_period: float,
    *,
    is_optional: bool = False,
    is_owned: bool = False,
) -> SharedInformer[Any]:
    """Put an informer together; ``is_owned`` says that a factory runs it."""

    def on_index_error(name: str, key: str, error: Exception) -> None:
        logger.error("%s: index %s raised for %s; filed under nothing", spec.name, name, key, exc_info=error)

    layout: Layout[Any] = Layout(kind, transforms, None, on_index_error)
    pipeline = Pipeline(spec, layout, source.settings, on_watch_error)
    return SharedInformer(pipeline, source, resync_period=resync_period, is_optional=is_optional, is_owned=is_owned)


def spec_of(
    resource: GroupVersionResource,
    is_namespaced: bool | None,
    namespace: Namespaces,
    inherited: tuple[Scope, ...],
    label_selector: str | None,
    field_selector: str | None,
    tweak: Tweak | None,
) -> InformerSpec:
    """Return what an informer is to follow.

    Args:
        resource: The resource.
        is_namespaced: Whether its objects live in namespaces; None if that must be asked from the server.
        namespace: What the user said, None if nothing.
        inherited: The scopes that hold then.
        label_selector: What the user said.
        field_selector: What the user said.
        tweak: Changes the options of all requests.

    Raises:
        ValueError: For a namespace that cannot be, or on a cluster-scoped kind, or a reserved option.
        InvalidSelectorError: If a selector cannot be parsed.
    """
    scopes = inherited if namespace is None else scopes_of(namespace)
    if is_namespaced is False and scopes != (EVERYTHING,):
        if namespace is not None:
            raise ValueError(f"{resource} is cluster-scoped: it cannot be limited to namespaces")
        scopes = (EVERYTHING,)
    options = ListOptions(
        label_selector=str(parse_label_selector(label_selector)) if label_selector else None,
        field_selector=str(parse_field_selector(field_selector)) if field_selector else None,
    )
    if tweak is not None:
        tweak(options)
    query = options.query()
    limits = [*(str(scope) for scope in scopes if scope != EVERYTHING), *(f"{k}={v}" for k, v in query.items())]
    name = f"{resource} [{', '.join(limits)}]" if limits else str(resource)
    foreign = functools.partial(is_foreign, resource)
    return InformerSpec(name, resource, scopes, query, is_namespaced is None, namespace is None, foreign)


def is_foreign(resource: GroupVersionResource, kind: str, api_version: str) -> bool:
    """Tell whether a list is none of a resource, by its kind and apiVersion.

    The lists of built-in kinds are called by a rule. A custom resource may name the kind of its list as it likes: only
    the list of a built-in kind is certainly another one.
    """
    known = kind_of_resource(resource)
    if known is not None:
        return kind != f"{known.kind}List"
    if api_version.rpartition("/")[0] not in GROUPS:
        return False
    return any(kind == f"{each.kind}List" and api_version == each.resource.api_version for each in kinds())


def resource_of(what: type[Any] | GroupVersionResource | str) -> GroupVersionResource:
    """Return the resource that a model class, a resource or its text names."""
    if isinstance(what, GroupVersionResource):
        return what
    return GroupVersionResource.parse(what) if isinstance(what, str) else kind_of_model(what).resource

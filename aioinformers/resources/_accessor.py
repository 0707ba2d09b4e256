"""How ``factory.<group>.<version>.<plural>(...)`` becomes an informer."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Protocol, TypeVar, overload

from aioinformers.informer import SharedInformer
from aioinformers.objects.layout import Indexer
from aioinformers.types import AllNamespaces, GroupVersionResource

__all__ = ["Accessor", "Group", "InformerSource", "Kind", "Version"]

D = TypeVar("D")
T = TypeVar("T")

_ACCESSOR = re.compile(r"Accessor\[(?:dict\[str, Any\]|(?P<model>\w+))\]")
_MODEL = re.compile(r"(?:[A-Z][a-z]+)?V\d+(?:(?:alpha|beta)\d+)?(?P<kind>[A-Z]\w*)")


@dataclass(frozen=True, slots=True)
class Kind:
    """A built-in kind.

    Attributes:
        resource: Group, version and plural.
        kind: Its name.
        model: The name of its kubernetes_asyncio model; None if there is none: its objects are dicts.
        is_namespaced: Whether its objects live in namespaces.
    """

    resource: GroupVersionResource
    kind: str
    model: str | None = None
    is_namespaced: bool = True


class InformerSource(Protocol):
    """What an accessor needs of a factory."""

    def informer_of(self, kind: Kind, object_type: Any, **options: Any) -> SharedInformer[Any]:
        """Return the shared informer of a kind and arguments."""


class Accessor(Generic[D]):
    """Gives the shared informer of one kind; the same arguments give the same informer."""

    def __init__(self, factory: InformerSource, kind: Kind) -> None:
        self._factory = factory
        self.kind = kind

    def __repr__(self) -> str:
        return f"<Accessor {self.kind.resource}>"

    @overload
    def __call__(
        self,
        *,
        namespace: str | Sequence[str] | AllNamespaces | None = None,
        label_selector: str | None = None,
        field_selector: str | None = None,
        object_type: None = None,
        resync_period: float | None = None,
        indexers: Mapping[str, Indexer] | None = None,
        transform: Callable[[Any], Any] | Sequence[Callable[[Any], Any]] | None = None,
        shared_objects: bool = False,
        compact: bool | None = None,
        optional: bool = False,
    ) -> SharedInformer[D]: ...
    @overload
    def __call__(
        self,
        *,
        namespace: str | Sequence[str] | AllNamespaces | None = None,
        label_selector: str | None = None,
        field_selector: str | None = None,
        object_type: type[dict[Any, Any]],
        resync_period: float | None = None,
        indexers: Mapping[str, Indexer] | None = None,
        transform: Callable[[Any], Any] | Sequence[Callable[[Any], Any]] | None = None,
        shared_objects: bool = False,
        compact: bool | None = None,
        optional: bool = False,
    ) -> SharedInformer[dict[str, Any]]: ...
    @overload
    def __call__(
        self,
        *,
        namespace: str | Sequence[str] | AllNamespaces | None = None,
        label_selector: str | None = None,
        field_selector: str | None = None,
        object_type: type[T],
        resync_period: float | None = None,
        indexers: Mapping[str, Indexer] | None = None,
        transform: Callable[[Any], Any] | Sequence[Callable[[Any], Any]] | None = None,
        shared_objects: bool = False,
        compact: bool | None = None,
        optional: bool = False,
    ) -> SharedInformer[T]: ...
    def __call__(self, *, object_type: Any = None, **options: Any) -> SharedInformer[Any]:
        """Return the shared informer of this kind.

        Args:
            namespace: One namespace or several; None for the factory's, ``ALL_NAMESPACES`` for all.
            label_selector: Only objects whose labels match; judged by the server.
            field_selector: Only objects whose fields match; judged by the server.
            object_type: What users see; the kubernetes_asyncio model by default.
            resync_period: Seconds; the default of handlers that are registered later.
            indexers: Added to the shared informer.
            transform: Changes each object on arrival; replaces the factory's.
            shared_objects: Give everybody the same decoded object, read-only by contract.
            compact: Keep objects packed: a fraction of the memory, for some microseconds per event and read. None for$
                as the shared informer is, which is False for a new one.
            optional: Waiting for the factory's caches does not wait for this one.
            options: The arguments above, as the overloads declare them.

        Raises:
            ValueError: For a namespace that cannot be, or on a cluster-scoped kind; for a resync period or ``compact``
                that differs from the shared informer's.
            ImportError: If ``compact`` needs a package that is not installed.
            InvalidSelectorError: If a selector cannot be parsed.
            IndexConflictError: If an index exists with another definition.
            InformerClosedError: If the factory has been shut down.
        """
        return self._factory.informer_of(self.kind, object_type, **options)


class Version:
    """The kinds of one group and version; each is an attribute, its accessor, named as its plural.

    A subclass declares each kind as ``plural: Accessor[Model]``, or ``Accessor[dict[str, Any]]`` where the client has
    no model: type checkers read these annotations, and so does this class, once per subclass. What they do not tell
    comes as arguments of the class: ``group``, ``version``, ``cluster_scoped``, the plurals of kinds that do not live
    in namespaces, and ``untyped``, the kinds without a model by plural (a model's name tells its kind).

    Attributes:
        group: The API group; ``""`` for the core group.
        version: The version.
    """

    group: ClassVar[str]
    version: ClassVar[str]
    _kinds: ClassVar[dict[str, Kind]]

    def __init_subclass__(
        cls,
        *,
        group: str,
        version: str,
        cluster_scoped: Collection[str] = (),
        untyped: Mapping[str, str] | None = None,
    ) -> None:
        cls.group, cls.version, cls._kinds = group, version, {}
        for plural, annotation in cls.__annotations__.items():
            declared = _ACCESSOR.fullmatch(annotation)
            assert declared is not None, f"{plural}: {annotation} declares no accessor"
            model = declared["model"]
            name = (untyped or {})[plural] if model is None else _kind_of(model)
            resource = GroupVersionResource(group, version, plural)
            cls._kinds[plural] = Kind(resource, name, model, plural not in cluster_scoped)

    def __init__(self, factory: InformerSource) -> None:
        for plural, kind in self._kinds.items():
            accessor: Accessor[Any] = Accessor(factory, kind)
            setattr(self, plural, accessor)

    def __repr__(self) -> str:
        return f"<{self.group or 'core'}/{self.version}: {', '.join(self._kinds)}>"

    @classmethod
    def kinds(cls) -> Mapping[str, Kind]:
        """Return the kinds by plural."""
        return cls._kinds


def _kind_of(model: str) -> str:
    """Return the kind that a model's name tells: ``V1beta1PodGroup`` -> ``PodGroup``, ``CoreV1Event`` -> ``Event``."""
    match = _MODEL.fullmatch(model)
    assert match is not None, f"{model} is not named as models of list-able kinds are"
    return match["kind"]


class Group:
    """The versions of one API group; each is an attribute. A subclass is given them as an argument of the class.

    Attributes:
        versions: The versions, as a server orders them: stable ones first, newer ones first.
    """

    versions: ClassVar[tuple[type[Version], ...]]

    def __init_subclass__(cls, *, versions: tuple[type[Version], ...]) -> None:
        cls.versions = versions

    def __init__(self, factory: InformerSource) -> None:
        for version in self.versions:
            setattr(self, version.version, version(factory))

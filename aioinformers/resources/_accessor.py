"""How ``factory.<group>.<version>.<plural>(...)`` becomes an informer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, overload

from aioinformers.informer import SharedInformer
from aioinformers.objects import Indexer
from aioinformers.types import AllNamespaces, GroupVersionResource

__all__ = ["Accessor", "InformerSource", "Kind", "Version"]

D = TypeVar("D")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Kind:
    """A built-in kind.

    Attributes:
        resource: Group, version and plural.
        kind: Its name.
        model: The name of its kubernetes_asyncio model.
        is_namespaced: Whether its objects live in namespaces.
    """

    resource: GroupVersionResource
    kind: str
    model: str
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
            optional: Waiting for the factory's caches does not wait for this one.
            options: The arguments above, as the overloads declare them.

        Raises:
            ValueError: For a namespace that cannot be, or on a cluster-scoped kind.
            InvalidSelectorError: If a selector cannot be parsed.
            IndexConflictError: If an index exists with another definition.
            InformerClosedError: If the factory has been shut down.
        """
        return self._factory.informer_of(self.kind, object_type, **options)


class Version:
    """The kinds of one group and version; each is an attribute, its accessor."""

    group = ""
    version = ""

    def __init__(self, factory: InformerSource) -> None:
        for name, kind in self.kinds().items():
            setattr(self, name, Accessor(factory, kind))

    @classmethod
    def kinds(cls) -> dict[str, Kind]:
        """Return the kinds by the name of their attribute, which is their plural."""
        return {
            plural: Kind(GroupVersionResource(cls.group, cls.version, plural), *row)
            for plural, row in cls.table().items()
        }

    @classmethod
    def table(cls) -> dict[str, tuple[str, str, bool]]:
        """Return kind, model and whether it is namespaced, by plural."""
        raise AssertionError(f"{cls.__name__} lists no kinds")

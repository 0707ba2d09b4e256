"""How ``factory.<group>.<version>.<plural>(...)`` becomes an informer."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeAlias, TypeVar, Unpack, overload

from aioinformers.checks import near
from aioinformers.informer import SharedInformer
from aioinformers.options import InformerOptions, check_options
from aioinformers.types import GroupVersionResource

__all__ = ["Accessor", "Group", "InformerMaker", "Kind", "Version", "attribute_of"]

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


InformerMaker: TypeAlias = Callable[[Kind, Any, InformerOptions], SharedInformer[Any]]
"""What an accessor needs of a factory: the shared informer of a kind, an object type and options."""


class Accessor(Generic[D]):
    """Gives the shared informer of one kind; the same arguments give the same informer."""

    def __init__(self, make: InformerMaker, kind: Kind) -> None:
        self._make = make
        self.kind = kind

    def __repr__(self) -> str:
        return f"<Accessor {self.kind.resource}>"

    if not TYPE_CHECKING:  # type checkers know which attributes there are

        def __getattr__(self, name: str) -> Any:
            called = f"factory.{attribute_of(self.kind.resource)}()"
            if not name.startswith("_") and hasattr(SharedInformer, name):
                raise AttributeError(f"{self!r} is no informer before it is called: {called}.{name}")
            raise AttributeError(f"{self!r} has no attribute {name!r}: {called} is the informer")

    @overload
    def __call__(self, *, object_type: None = None, **options: Unpack[InformerOptions]) -> SharedInformer[D]: ...
    @overload
    def __call__(
        self, *, object_type: type[dict[Any, Any]], **options: Unpack[InformerOptions]
    ) -> SharedInformer[dict[str, Any]]: ...
    @overload
    def __call__(self, *, object_type: type[T], **options: Unpack[InformerOptions]) -> SharedInformer[T]: ...
    def __call__(self, *other: Any, object_type: Any = None, **options: Unpack[InformerOptions]) -> SharedInformer[Any]:
        """Return the shared informer of this kind.

        Args:
            other: Nothing: all that is wanted has a name.
            object_type: What users see; the kubernetes_asyncio model by default.
            options: See :class:`aioinformers.InformerOptions`.

        Raises:
            TypeError: If an option is unknown, or not given by its name.
            ValueError: For a namespace that cannot be, or on a cluster-scoped kind; for a resync period or ``compact``
                that differs from the shared informer's.
            ImportError: If ``compact`` needs a package that is not installed.
            InvalidSelectorError: If a selector cannot be parsed.
            IndexConflictError: If an index exists with another definition.
            InformerClosedError: If the factory has been shut down.
        """
        plural = self.kind.resource.resource
        if other:
            raise TypeError(f"{plural}() takes its options by name, such as {plural}(label_selector='app=web')")
        check_options(InformerOptions, options, f"{plural}()", ("object_type",))
        return self._make(self.kind, object_type, options)


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

    def __init__(self, make: InformerMaker) -> None:
        for plural, kind in self._kinds.items():
            accessor: Accessor[Any] = Accessor(make, kind)
            setattr(self, plural, accessor)

    def __repr__(self) -> str:
        return f"<{self.group or 'core'}/{self.version}: {', '.join(self._kinds)}>"

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            by_name = {kind.kind.lower(): plural for plural, kind in self._kinds.items()} | {p: p for p in self._kinds}
            found = by_name.get(name.lower()) or by_name.get(near(name, by_name))
            hint = f"did you mean {found}()?" if found else f"there are {', '.join(self._kinds)}"
            raise AttributeError(f"{self.group or 'core'}/{self.version} has no {name!r}: {hint}")

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

    def __init__(self, make: InformerMaker) -> None:
        for version in self.versions:
            setattr(self, version.version, version(make))

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            versions = [version.version for version in self.versions]
            for kind in (kind for version in self.versions for kind in version.kinds().values()):
                if name.lower() in (kind.resource.resource, kind.kind.lower()):
                    hint = f"write factory.{attribute_of(kind.resource)}()"
                    break
            else:
                hint = f"its versions are {', '.join(versions)}"
            raise AttributeError(f"the group {type(self).__name__.lower()} has no {name!r}: {hint}")


def attribute_of(resource: GroupVersionResource) -> str:
    """Return how a built-in resource is reached from a factory: ``apps.v1.deployments``."""
    return f"{resource.group.partition('.')[0] or 'core'}.{resource.version}.{resource.resource}"

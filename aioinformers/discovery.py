"""What the server serves: names, scopes and versions of the resources that can be listed and watched.

Since Kubernetes 1.26 two aggregated documents say it all (``/api``, ``/apis``); an older server ignores that they were
asked for, and is asked for one document per group and version.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar
from weakref import WeakKeyDictionary

import msgspec

from aioinformers.errors import InformerError, ResourceNotFoundError, ResponseError
from aioinformers.transport.source import Source
from aioinformers.types import GroupVersionResource

__all__ = ["ApiResource", "Discovery", "discover", "is_namespaced", "resolve"]

T = TypeVar("T")

logger: logging.Logger = logging.getLogger("aioinformers.discovery")

AGGREGATED: Final = (
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"
    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,"  # servers before 1.30
    "application/json"
)
FRESH_FOR: Final = 60.0
"""Seconds for which the server's answer is believed; a name that it lacks is asked for again at once."""
_CONCURRENT: Final = 8


@dataclass(frozen=True, slots=True)
class ApiResource:
    """A resource that can be listed and watched.

    Attributes:
        resource: Group, version and plural.
        kind: The kind of its objects.
        is_namespaced: Whether its objects live in namespaces.
        short_names: Abbreviations, such as ``deploy``.
        singular: The singular name.
        is_preferred: Whether this is the version that the server prefers for the group.
    """

    resource: GroupVersionResource
    kind: str
    is_namespaced: bool
    short_names: tuple[str, ...] = ()
    singular: str = ""
    is_preferred: bool = True

    def answers_to(self, name: str) -> bool:
        """Tell whether a user may mean this resource by a name, whatever its case.

        That is a plural, singular, short name or kind, alone or with a group (or the beginning of one), or with version
        and group: ``deploy``, ``Pod``, ``ingresses.networking``, ``widgets.v1.example.com``, ``pods.v1``.
        """
        return self.rank(name) is not None

    def rank(self, name: str) -> tuple[bool, int] | None:
        """Return how well a name fits, as kubectl ranks it, the best first; None if it does not fit.

        The whole group comes before the beginning of one, plural and singular before short names and the kind.
        """
        head, _, tail = name.lower().rstrip(".").partition(".")
        group, version, plural = self.resource
        names = ((plural, self.singular), self.short_names, (self.kind.lower(),))
        found = next((at for at, texts in enumerate(names) if head and head in texts), None)
        is_exact = not tail or tail in (group, f"{version}.{group}".rstrip("."))
        return None if found is None or not (is_exact or group.startswith(tail)) else (not is_exact, found)


class _Resource(msgspec.Struct, rename={"singular": "singularName", "short_names": "shortNames"}):
    name: str
    kind: str = ""
    namespaced: bool = False
    verbs: list[str] | None = None
    singular: str = ""
    short_names: list[str] | None = None


class _ResourceList(msgspec.Struct):
    resources: list[_Resource] | None = None


class _Version(msgspec.Struct):
    version: str = ""


class _Group(msgspec.Struct, rename={"preferred": "preferredVersion"}):
    name: str = ""
    versions: list[_Version] | None = None
    preferred: _Version | None = None


class _Kind(msgspec.Struct):
    kind: str = ""


class _AggregatedResource(msgspec.Struct, rename="camel"):
    resource: str
    response_kind: _Kind | None = None
    scope: str = ""
    verbs: list[str] | None = None
    singular_resource: str = ""
    short_names: list[str] | None = None


class _AggregatedVersion(msgspec.Struct):
    version: str
    resources: list[_AggregatedResource] | None = None


class _Name(msgspec.Struct):
    name: str = ""


class _AggregatedGroup(msgspec.Struct):
    metadata: _Name
    versions: list[_AggregatedVersion] | None = None


class _Root(msgspec.Struct):
    """Any of the documents that ``/api`` and ``/apis`` may be: they share no other field."""

    kind: str = ""
    items: list[_AggregatedGroup] | None = None  # APIGroupDiscoveryList
    groups: list[_Group] | None = None  # APIGroupList
    versions: list[str] | None = None  # APIVersions


def _decode(body: bytes, kind: type[T], path: str) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ResponseError(f"GET {path}: the answer is no discovery document") from error


def _is_watchable(verbs: Iterable[str] | None) -> bool:
    return {"list", "watch"} <= set(verbs or ())


def _aggregated(groups: Iterable[_AggregatedGroup]) -> Iterator[ApiResource]:
    for group in groups:
        for position, version in enumerate(group.versions or ()):  # the preferred one is the first
            for found in version.resources or ():
                if _is_watchable(found.verbs):
                    yield ApiResource(
                        GroupVersionResource(group.metadata.name, version.version, found.resource),
                        found.response_kind.kind if found.response_kind else "",
                        found.scope == "Namespaced",
                        tuple(found.short_names or ()),
                        found.singular_resource,
                        position == 0,
                    )


async def _of_version(source: Source, group: str, version: str, *, is_preferred: bool = True) -> list[ApiResource]:
    path = GroupVersionResource(group, version, "").path
    listed = _decode(await source.read_json(path), _ResourceList, path)
    return [
        ApiResource(
            GroupVersionResource(group, version, found.name),
            found.kind,
            found.namespaced,
            tuple(found.short_names or ()),
            found.singular,
            is_preferred,
        )
        for found in listed.resources or ()
        if "/" not in found.name and _is_watchable(found.verbs)
    ]


async def _of_versions(source: Source, wanted: Sequence[tuple[str, str, bool]]) -> list[ApiResource]:
    """Ask for the documents of many versions; a group whose own server is down must not hide the others."""
    limit = asyncio.Semaphore(_CONCURRENT)

    async def one(group: str, version: str, is_preferred: bool) -> list[ApiResource]:
        async with limit:
            try:
                return await _of_version(source, group, version, is_preferred=is_preferred)
            except InformerError as error:
                if not group:
                    raise
                logger.warning("%s/%s cannot be discovered: %s", group, version, error)
                return []

    # Exceptions are results here: no request may outlive this call.
    found = await asyncio.gather(*(one(*each) for each in wanted), return_exceptions=True)
    resources: list[ApiResource] = []
    for each in found:
        if isinstance(each, BaseException):
            raise each
        resources += each
    return resources


async def _under(source: Source, path: str) -> list[ApiResource]:
    try:
        root = _decode(await source.read_json(path, accept=AGGREGATED), _Root, path)
    except ResourceNotFoundError:
        return []  # a server of single groups has no core group
    if root.kind == "APIGroupDiscoveryList":
        return list(_aggregated(root.items or ()))
    if root.kind not in ("APIVersions", "APIGroupList"):
        raise ResponseError(f"GET {path}: the answer is no discovery document but {root.kind or 'of no kind'}")
    wanted = [("", version, position == 0) for position, version in enumerate(root.versions or ())]
    for group in root.groups or ():
        versions = [each.version for each in group.versions or ()]
        preferred = group.preferred.version if group.preferred else ""
        versions.sort(key=lambda version: version != preferred)
        wanted += [(group.name, version, version == preferred) for version in versions]
    return await _of_versions(source, wanted)


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """What the server has said; the core group first, then in its order, preferred versions first."""

    resources: tuple[ApiResource, ...]
    expires: float

    def best(self, name: str) -> ApiResource | None:
        ranks = ((rank, at) for at, each in enumerate(self.resources) if (rank := each.rank(name)) is not None)
        found = min(ranks, default=None)
        return None if found is None else self.resources[found[1]]


class Discovery:
    """What one server serves, remembered for a while.

    Args:
        fresh_for: Seconds of the loop's time for which an answer is believed.
    """

    def __init__(self, fresh_for: float = FRESH_FOR) -> None:
        self._fresh_for = fresh_for
        self._snapshot: _Snapshot | None = None
        self._lock = asyncio.Lock()

    async def resources(self, source: Source) -> list[ApiResource]:
        """Ask the server now, whatever is remembered; see :func:`discover`."""
        return list((await self._read(source, unlike=self._snapshot)).resources)

    async def resolve(self, source: Source, name: str) -> ApiResource:
        """Return what a name means; see :func:`resolve`."""
        before = self._snapshot
        snapshot = await self._read(source)
        found = snapshot.best(name)
        if found is None and snapshot is before:  # remembered: a definition may have come since
            snapshot = await self._read(source, unlike=snapshot)
            found = snapshot.best(name)
        if found is None:
            raise ResourceNotFoundError(404, "NotFound", _unknown(name, snapshot.resources))
        return found

    def known(self, resource: GroupVersionResource) -> ApiResource | None:
        """Return what is remembered of a resource."""
        if self._snapshot is None or asyncio.get_running_loop().time() >= self._snapshot.expires:
            return None
        return next((each for each in self._snapshot.resources if each.resource == resource), None)

    async def _read(self, source: Source, *, unlike: _Snapshot | None = None) -> _Snapshot:
        """Return a fresh snapshot other than ``unlike``; callers at the same time share one question."""
        loop = asyncio.get_running_loop()
        async with self._lock:
            current = self._snapshot
            if current is None or current is unlike or loop.time() >= current.expires:
                found = [*await _under(source, "/api"), *await _under(source, "/apis")]
                self._snapshot = current = _Snapshot(tuple(found), loop.time() + self._fresh_for)
            return current


_discoveries: WeakKeyDictionary[Source, Discovery] = WeakKeyDictionary()


def _discovery_of(source: Source) -> Discovery:
    return _discoveries.setdefault(source, Discovery())


def _unknown(name: str, known: Iterable[ApiResource]) -> str:
    import difflib

    texts: dict[str, str] = {}
    for each in known:
        full = f"{each.resource.resource}.{each.resource.group}".rstrip(".")
        shown = full if "." in name else each.resource.resource
        texts |= dict.fromkeys((each.resource.resource, each.singular, each.kind.lower(), full), shown)
    close = difflib.get_close_matches(name.lower(), texts, n=8)
    near = list(dict.fromkeys(texts[text] for text in close))[:3]
    hint = f"did you mean {' or '.join(near)}?" if near else "list what there is with `kubectl api-resources`"
    return f"the server serves no resource {name!r} that can be listed and watched: {hint}"


async def resolve(source: Source, name: str) -> ApiResource:
    """Return the resource that a user means by a name, such as ``deploy``, ``Pod`` or ``widgets.example.com``.

    A missing version is the one that the server prefers. A name of several resources means what kubectl takes it for:
    the core group's, then the first in the server's order. The answer may be :data:`FRESH_FOR` seconds old.

    Raises:
        ResourceNotFoundError: If the server serves nothing of that name; says what comes near.
        ApiStatusError: If the server refuses to say.
        ConnectionFailedError: If the server cannot be reached.
        ResponseError: If its answer cannot be understood.
    """
    return await _discovery_of(source).resolve(source, name)


async def discover(source: Source) -> list[ApiResource]:
    """Ask for every resource that can be listed and watched, in all versions; a group whose server is down is left out.

    Raises:
        ApiStatusError: If the server refuses to say.
        ConnectionFailedError: If the server cannot be reached.
        ResponseError: If its answer cannot be understood.
    """
    return await _discovery_of(source).resources(source)


async def is_namespaced(source: Source, resource: GroupVersionResource) -> bool:
    """Tell whether a resource lives in namespaces, as remembered or as the small document of its version says.

    Raises:
        ResourceNotFoundError: If the server does not serve it.
        ApiStatusError: If the server refuses to say.
        ConnectionFailedError: If the server cannot be reached.
        ResponseError: If its answer cannot be understood.
    """
    if (known := _discovery_of(source).known(resource)) is not None:
        return known.is_namespaced
    for each in await _of_version(source, resource.group, resource.version):
        if each.resource == resource:
            return each.is_namespaced
    raise ResourceNotFoundError(404, "NotFound", f"the server does not serve {resource}")

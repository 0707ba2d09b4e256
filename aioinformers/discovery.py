"""What the server serves: the resources that can be listed and watched, their names and versions.

Since Kubernetes 1.26 two aggregated documents (``/api``, ``/apis``) describe all of them. An older server ignores that
these were asked for; it is then asked for one document per group and version.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeVar

import msgspec

from aioinformers.errors import (
    ForbiddenError,
    InformerError,
    ResourceNotFoundError,
    ResponseError,
    UnauthorizedError,
)
from aioinformers.transport.source import Source
from aioinformers.types import Absence, GroupVersionResource

__all__ = ["ApiResource", "Discovery"]

T = TypeVar("T")

logger: logging.Logger = logging.getLogger("aioinformers.discovery")

AGGREGATED: Final = (
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"
    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,"  # servers before 1.30
    "application/json"
)
_METADATA: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
_DEFINITIONS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
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
        position = next((at for at, texts in enumerate(names) if head and head in texts), None)
        is_exact = not tail or tail in (group, f"{version}.{group}".rstrip("."))
        if position is None or not (is_exact or group.startswith(tail)):
            return None
        return not is_exact, position


class _Resource(msgspec.Struct, rename={"singular": "singularName", "short_names": "shortNames"}):
    name: str
    kind: str = ""
    namespaced: bool = False
    verbs: list[str] | None = None
    singular: str = ""
    short_names: list[str] | None = None


class _ResourceList(msgspec.Struct, rename={"group_version": "groupVersion"}):
    resources: list[_Resource] | None = None
    kind: str = ""
    group_version: str = ""


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
    freshness: str = ""


class _Name(msgspec.Struct):
    name: str = ""


class _AggregatedGroup(msgspec.Struct):
    metadata: _Name
    versions: list[_AggregatedVersion] | None = None


class _Root(msgspec.Struct):
    """Any of the documents that ``/api`` and ``/apis`` may be; ``kind`` tells which one."""

    kind: str = ""
    items: list[_AggregatedGroup] | None = None  # APIGroupDiscoveryList
    groups: list[_Group] | None = None  # APIGroupList
    versions: list[str] | None = None  # APIVersions


def _decode(body: bytes, document: type[T], path: str) -> T:
    try:
        return msgspec.json.decode(body, type=document)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ResponseError(f"GET {path}: the answer is not a discovery document") from error


def _is_watchable(verbs: Iterable[str] | None) -> bool:
    return {"list", "watch"} <= set(verbs or ())


def _aggregated(groups: Iterable[_AggregatedGroup]) -> Iterator[ApiResource]:
    """Yield the resources of an aggregated document, in its order."""
    for group in groups:
        for position, version in enumerate(group.versions or ()):  # the preferred one is the first
            for each in version.resources or ():
                if _is_watchable(each.verbs):
                    yield ApiResource(
                        GroupVersionResource(group.metadata.name, version.version, each.resource),
                        each.response_kind.kind if each.response_kind else "",
                        each.scope == "Namespaced",
                        tuple(each.short_names or ()),
                        each.singular_resource,
                        position == 0,
                    )


class _ServedVersion(NamedTuple):
    """A version of a group, which has a document of its own."""

    group: str
    version: str
    is_preferred: bool


def _versions(root: _Root) -> Iterator[_ServedVersion]:
    """Yield the versions that a root lists: of each group the preferred one first."""
    for position, version in enumerate(root.versions or ()):
        yield _ServedVersion("", version, position == 0)
    for group in root.groups or ():
        preferred = group.preferred.version if group.preferred else ""
        for each in sorted(group.versions or (), key=lambda each: each.version != preferred):
            yield _ServedVersion(group.name, each.version, each.version == preferred)


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """What the server serves; the core group first, then in its order, preferred versions first."""

    resources: tuple[ApiResource, ...]
    expires: float

    def named(self, name: str) -> ApiResource | None:
        """Return the resource that fits a name best, the first of those that fit alike."""
        ranks = ((rank, at) for at, each in enumerate(self.resources) if (rank := each.rank(name)) is not None)
        best = min(ranks, default=None)
        return None if best is None else self.resources[best[1]]


class Discovery:
    """What one server serves, remembered for a while.

    Whoever asks while the same question is under way waits for its answer. A cancelled question changes nothing: the
    next caller, also one that has waited for it, asks again.

    Args:
        source: Makes the requests.
        fresh_for: Seconds of the loop's time for which an answer is believed.
    """

    def __init__(self, source: Source, fresh_for: float = FRESH_FOR) -> None:
        self._source = source
        self._fresh_for = fresh_for
        self._snapshot: _Snapshot | None = None
        self._lock = asyncio.Lock()
        self._defined: set[str] = set()  # the CustomResourceDefinitions that have been seen

    async def resolve(self, name: str) -> ApiResource:
        """Return the resource that a user means by a name, such as ``deploy``, ``Pod`` or ``widgets.example.com``.

        A missing version is the one that the server prefers. A name of several resources means what kubectl takes it
        for: the core group's, then the first in the server's order. A remembered answer is used while it is fresh, and
        asked for again if it lacks the name.

        Cancellation changes nothing.

        Raises:
            ResourceNotFoundError: If the server serves nothing of that name; the message names what comes near.
            ApiStatusError: If the server refuses to answer.
            ConnectionFailedError: If the server cannot be reached.
            ResponseError: If its answer cannot be understood.
        """
        before = self._snapshot
        snapshot = await self._read()
        resource = snapshot.named(name)
        if resource is None and snapshot is before:  # remembered: the resource may have been defined since
            snapshot = await self._read(unlike=snapshot)
            resource = snapshot.named(name)
        if resource is None:
            raise ResourceNotFoundError(404, "NotFound", _unknown(name, snapshot.resources))
        return resource

    async def discover(self) -> list[ApiResource]:
        """Ask now for every resource that can be listed and watched, in all versions, whatever is remembered.

        A group whose own server is down is left out, with a warning. Cancellation changes nothing.

        Raises:
            ApiStatusError: If the server refuses to answer.
            ConnectionFailedError: If the server cannot be reached.
            ResponseError: If its answer cannot be understood.
        """
        return list((await self._read(unlike=self._snapshot)).resources)

    async def is_namespaced(self, resource: GroupVersionResource) -> bool:
        """Tell whether the objects of a resource live in namespaces.

        What is not remembered is read from the small document of the resource's version. Cancellation changes nothing.

        Raises:
            ResourceNotFoundError: If the server does not serve it.
            ApiStatusError: If the server refuses to answer.
            ConnectionFailedError: If the server cannot be reached.
            ResponseError: If its answer cannot be understood.
        """
        for each in self._remembered():
            if each.resource == resource:
                return each.is_namespaced
        for each in await self._read_version(resource.group, resource.version):
            if each.resource == resource:
                return each.is_namespaced
        raise ResourceNotFoundError(404, "NotFound", f"the server does not serve {resource}")

    async def note_definition(self, resource: GroupVersionResource) -> None:
        """Remember whether a kind has a CustomResourceDefinition, for the time when it is gone.

        What the server does not allow to be seen is not remembered; while it does not answer, it is asked again.
        Cancellation changes nothing.
        """
        while True:
            try:
                if await self._exists(_DEFINITIONS, _definition_of(resource)):
                    self._defined.add(_definition_of(resource))
            except (UnauthorizedError, ForbiddenError, ResourceNotFoundError, ResponseError) as error:
                logger.debug("%s: its definition cannot be seen: %s", resource, error)
            except InformerError as error:
                logger.debug("%s: its definition has not been found yet: %s", resource, error)
                await asyncio.sleep(self._fresh_for)
                continue
            return

    async def find_absence(self, resource: GroupVersionResource, namespace: str) -> Absence:
        """Ask the server whether what it refuses to list is gone, or only away for a while; nothing is remembered.

        A kind is gone if the document of its group and version, or the one of all groups, lacks it and is up to date.
        A group that is not served at all may come back, for its server may be away, unless it is known to be one of
        CustomResourceDefinitions and the kind's is gone. A namespace is gone if the server does not have it.

        Cancellation changes nothing.

        Args:
            resource: The resource.
            namespace: The namespace whose objects were to be listed; empty for all of them.

        Raises:
            ApiStatusError: If the server refuses to answer.
            ConnectionFailedError: If the server cannot be reached.
            ResponseError: If its answer cannot be understood.
        """
        try:
            found = await self._read_own_document(resource)
        except ResourceNotFoundError:
            return await self._find_version(resource)
        if found is None:
            return Absence(True, f"{resource.path} does not name {resource.resource} any more")
        if not namespace:
            return Absence(False, f"{resource.path} still names {resource.resource}")
        if not found.namespaced:
            return Absence(True, f"{resource} is cluster-scoped now: nothing of it is in a namespace")
        if await self._exists("/api/v1/namespaces", namespace):
            return Absence(False, f"namespace {namespace} is still there", is_of_kind=False)
        return Absence(True, f"there is no namespace {namespace} any more", is_of_kind=False)

    async def _read_own_document(self, resource: GroupVersionResource) -> _Resource | None:
        """Return what the document of a resource's group and version says of it; None if it says nothing."""
        path = resource.path
        listed = _decode(await self._source.read_json(path, is_proof=True), _ResourceList, path)
        if listed.kind != "APIResourceList" or listed.group_version != resource.api_version or not listed.resources:
            raise ResponseError(f"GET {path}: the answer does not say what {resource.api_version} has")
        return next((each for each in listed.resources if each.name == resource.resource), None)

    async def _find_version(self, resource: GroupVersionResource) -> Absence:
        """Return what is to be believed if a resource's version has no document."""
        group, version, plural = resource
        root = await self._read_groups()
        served = None
        for each in root.items or ():  # of the aggregated document
            if group and each.metadata.name == group:
                served = {one.version for one in each.versions or ()}
                if any(one.freshness != "Current" for one in each.versions or ()):
                    return Absence(False, f"what the server says of {group} is not up to date: its server is away")
        for one in root.groups or ():
            if group and one.name == group:
                served = {each.version for each in one.versions or ()}
        if not served:
            return await self._find_group(resource)
        if version in served:
            return Absence(False, f"{group}/{version} is said to be served, and is not")
        return Absence(True, f"{group}/{version} is not served any more, only {', '.join(sorted(served))}: no {plural}")

    async def _find_group(self, resource: GroupVersionResource) -> Absence:
        """Return what is to be believed if a resource's whole group is not served."""
        what = f"the API group {resource.group} is not served" if resource.group else "the core group is not served"
        name = _definition_of(resource)
        if name not in self._defined:
            return Absence(False, f"{what}, which may be an outage of its server")
        if await self._exists(_DEFINITIONS, name):
            return Absence(False, f"{what}, although the definition of the kind is there")
        return Absence(True, f"{what}, and the definition of the kind is not there any more")

    async def _read_groups(self) -> _Root:
        root = _decode(await self._source.read_json("/apis", accept=AGGREGATED, is_proof=True), _Root, "/apis")
        if root.kind not in ("APIGroupDiscoveryList", "APIGroupList") or not (root.items or root.groups):
            raise ResponseError("GET /apis: the answer does not say which groups there are")
        return root

    async def _exists(self, collection: str, name: str) -> bool:
        """Tell whether there is an object of a name. A 404 that is about anything else is raised."""
        try:
            await self._source.read_json(f"{collection}/{name}", accept=_METADATA, is_proof=True)
        except ResourceNotFoundError as error:
            if error.reason == "NotFound" and f'"{name}" not found' in error.message:
                return False
            raise
        return True

    def _remembered(self) -> tuple[ApiResource, ...]:
        snapshot = self._snapshot
        if snapshot is None or asyncio.get_running_loop().time() >= snapshot.expires:
            return ()
        return snapshot.resources

    async def _read(self, *, unlike: _Snapshot | None = None) -> _Snapshot:
        """Return a fresh snapshot other than ``unlike``; callers at the same time share one question."""
        loop = asyncio.get_running_loop()
        async with self._lock:
            current = self._snapshot
            if current is None or current is unlike or loop.time() >= current.expires:
                resources = (*await self._read_root("/api"), *await self._read_root("/apis"))
                self._snapshot = current = _Snapshot(resources, loop.time() + self._fresh_for)
            return current

    async def _read_root(self, path: str) -> list[ApiResource]:
        try:
            root = _decode(await self._source.read_json(path, accept=AGGREGATED), _Root, path)
        except ResourceNotFoundError:
            return []  # a server of single groups has no core group
        if root.kind == "APIGroupDiscoveryList":
            return list(_aggregated(root.items or ()))
        if root.kind not in ("APIVersions", "APIGroupList"):
            kind = f"of kind {root.kind!r}" if root.kind else "without a kind"
            raise ResponseError(f"GET {path}: the answer is not a discovery document, but one {kind}")
        return await self._read_versions(_versions(root))

    async def _read_versions(self, versions: Iterable[_ServedVersion]) -> list[ApiResource]:
        """Ask for the documents of many versions; a group whose own server is down must not hide the others."""
        limit = asyncio.Semaphore(_CONCURRENT)

        async def read(one: _ServedVersion) -> list[ApiResource]:
            async with limit:
                try:
                    return await self._read_version(one.group, one.version, is_preferred=one.is_preferred)
                except InformerError as error:
                    if not one.group:
                        raise
                    logger.warning("%s/%s cannot be discovered: %s", one.group, one.version, error)
                    return []

        # Exceptions are results here: no request may outlive this call.
        answers = await asyncio.gather(*map(read, versions), return_exceptions=True)
        resources: list[ApiResource] = []
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
            resources += answer
        return resources

    async def _read_version(self, group: str, version: str, *, is_preferred: bool = True) -> list[ApiResource]:
        path = GroupVersionResource(group, version, "").path
        listed = _decode(await self._source.read_json(path), _ResourceList, path)
        return [
            ApiResource(
                GroupVersionResource(group, version, each.name),
                each.kind,
                each.namespaced,
                tuple(each.short_names or ()),
                each.singular,
                is_preferred,
            )
            for each in listed.resources or ()
            if "/" not in each.name and _is_watchable(each.verbs)
        ]


def _definition_of(resource: GroupVersionResource) -> str:
    return f"{resource.resource}.{resource.group}"


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

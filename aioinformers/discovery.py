"""What the server serves: scopes, names and short names of resources."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import msgspec

from aioinformers.errors import InformerError, ResourceNotFoundError
from aioinformers.source import Source
from aioinformers.types import GroupVersionResource

__all__ = ["ApiResource", "discover", "is_namespaced", "resolve"]


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
        """Tell whether a user may mean this resource by a name, whatever its case."""
        names = {self.resource.resource, self.singular, self.kind.lower(), *self.short_names}
        head, _, tail = name.lower().partition(".")
        group = self.resource.group
        return head in names and (not tail or tail in (group, f"{self.resource.version}.{group}".rstrip(".")))


class _Resource(msgspec.Struct, rename={"singular": "singularName", "short_names": "shortNames"}):
    name: str
    kind: str = ""
    namespaced: bool = False
    verbs: list[str] = []
    singular: str = ""
    short_names: list[str] | None = None


class _ResourceList(msgspec.Struct):
    resources: list[_Resource] | None = None


class _Version(msgspec.Struct, rename={"group_version": "groupVersion"}):
    version: str = ""
    group_version: str = ""


class _Group(msgspec.Struct, rename={"preferred": "preferredVersion"}):
    name: str = ""
    versions: list[_Version] = []
    preferred: _Version | None = None


class _GroupList(msgspec.Struct):
    groups: list[_Group] | None = None


class _CoreVersions(msgspec.Struct):
    versions: list[str] = []


async def _resources(source: Source, group: str, version: str, *, is_preferred: bool = True) -> list[ApiResource]:
    path = GroupVersionResource(group, version, "").path
    listed = msgspec.json.decode(await source.read_json(path), type=_ResourceList)
    return [
        ApiResource(
            GroupVersionResource(group, version, r.name), r.kind, r.namespaced,
            tuple(r.short_names or ()), r.singular, is_preferred,
        )
        for r in listed.resources or ()
        if "/" not in r.name and {"list", "watch"} <= set(r.verbs)
    ]  # fmt: skip


async def is_namespaced(source: Source, resource: GroupVersionResource) -> bool:
    """Ask the server whether a resource lives in namespaces.

    Raises:
        ResourceNotFoundError: If the server does not serve it.
        ApiStatusError: If the server refuses to say.
        ConnectionFailedError: If the server cannot be reached.
    """
    for known in await _resources(source, resource.group, resource.version):
        if known.resource == resource:
            return known.is_namespaced
    raise ResourceNotFoundError(404, "NotFound", f"the server does not serve {resource}")


async def discover(source: Source) -> list[ApiResource]:
    """Return every resource that can be listed and watched; a group whose server is down is left out.

    Raises:
        ApiStatusError: If the server refuses to say.
        ConnectionFailedError: If the server cannot be reached.
    """
    core = msgspec.json.decode(await source.read_json("/api"), type=_CoreVersions).versions
    groups = msgspec.json.decode(await source.read_json("/apis"), type=_GroupList).groups or []
    wanted = [("", version, True) for version in core]
    for group in groups:
        preferred = group.preferred.version if group.preferred else ""
        wanted += [(group.name, v.version, v.version == preferred) for v in group.versions]
    limit = asyncio.Semaphore(8)

    async def one(group: str, version: str, is_preferred: bool) -> list[ApiResource]:
        async with limit:
            try:
                return await _resources(source, group, version, is_preferred=is_preferred)
            except InformerError:
                return []  # an aggregated API whose server is down must not hide the others

    found = await asyncio.gather(*(one(*item) for item in wanted))
    return [resource for resources in found for resource in resources]


async def resolve(source: Source, name: str) -> ApiResource:
    """Return the resource that a user means by a plural, singular, kind, short name or ``plural.group``.

    Raises:
        ResourceNotFoundError: If the server serves nothing of that name; says what comes near.
        ApiStatusError: If the server refuses to say.
        ConnectionFailedError: If the server cannot be reached.
    """
    import difflib

    known = await discover(source)
    matches = [resource for resource in known if resource.answers_to(name)]
    if matches:
        # As kubectl does: the core group first, then the server's order; the preferred version of a group wins.
        return min(matches, key=lambda r: (not r.is_preferred, r.resource.group != "", known.index(r)))
    names = sorted({resource.resource.resource for resource in known})
    near = difflib.get_close_matches(name.lower(), names, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else "list what there is with `kubectl api-resources`"
    raise ResourceNotFoundError(404, "NotFound", f"the server serves no resource {name!r}: {hint}")

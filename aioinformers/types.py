"""Values that cross a boundary: resources, keys, events and snapshots of state."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from aioinformers.checks import shown

__all__ = [
    "ALL_NAMESPACES",
    "END_OF_PROCESS",
    "EVERYTHING",
    "Absence",
    "AllNamespaces",
    "Cause",
    "GroupVersionResource",
    "ListOptions",
    "ObjectKey",
    "Scope",
    "WatchFailure",
    "is_version",
    "lowest_version",
    "version_order",
]

T = TypeVar("T")


class AllNamespaces(enum.Enum):
    """Type of :data:`ALL_NAMESPACES`."""

    ALL_NAMESPACES = "*"


ALL_NAMESPACES = AllNamespaces.ALL_NAMESPACES
"""Every namespace, where ``None`` would inherit the factory's."""


END_OF_PROCESS = (KeyboardInterrupt, SystemExit)
"""What handlers and hooks may raise to end the process; everything else that they raise is a failure of theirs."""


class Scope(NamedTuple):
    """What one reflector of an informer follows: all namespaces, one of them, or ranges of a shard.

    Attributes:
        namespace: The namespace; ``""`` for all namespaces and for cluster-scoped resources.
        ranges: The ranges of hashes, each with its first value and the value after its last; empty for all objects.
    """

    namespace: str = ""
    ranges: tuple[tuple[int, int], ...] = ()

    @property
    def place(self) -> str:
        """The text `` in <scope>`` for messages; empty for all namespaces without ranges."""
        return f" in {self}" if self != EVERYTHING else ""

    def __str__(self) -> str:
        ranges = " ".join(f"{begin:016x}-{end:016x}" for begin, end in self.ranges)
        return " ".join(filter(None, (self.namespace or "all namespaces", ranges)))


EVERYTHING = Scope()
"""The scope of all objects in all namespaces."""


class GroupVersionResource(NamedTuple):
    """An API resource, such as ``GroupVersionResource("apps", "v1", "deployments")``.

    Attributes:
        group: The API group; ``""`` for the core group.
        version: The version of the group.
        resource: The plural name.
    """

    group: str
    version: str
    resource: str

    @classmethod
    def parse(cls, text: str) -> GroupVersionResource:
        """Parse a text such as ``deployments.v1.apps`` or, for the core group, ``pods.v1`` or ``pods.v1.``.

        Raises:
            TypeError: If it is not a text.
            ValueError: If the text does not have the form ``plural.version.group``.
        """
        if not isinstance(text, str):
            raise TypeError(f"a resource is named by a text such as 'deployments.v1.apps', not by {shown(text)}")
        resource, dot, rest = text.partition(".")
        version, _, group = rest.partition(".")
        if not (dot and resource and is_version(version)):
            raise ValueError(
                f"{text!r} does not name a resource: write plural.version.group, such as 'deployments.v1.apps', "
                f"or 'pods.v1.' for the core group; a version that does not begin with v and a digit needs "
                f"GroupVersionResource(group, version, plural)"
            )
        return cls(group, version, resource)

    @property
    def api_version(self) -> str:
        """The ``apiVersion``: ``group/version``, or only the version for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def path(self) -> str:
        """The URL path of the group's version, such as ``/apis/apps/v1``."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"

    def __str__(self) -> str:
        return f"{self.resource}.{self.version}.{self.group}".rstrip(".")


def is_version(text: str) -> bool:
    """Tell whether a text is a version as Kubernetes' own are: ``v1``, ``v2beta1``."""
    return len(text) > 1 and text[0] == "v" and text[1].isdigit() and text.isalnum()


class ObjectKey(NamedTuple):
    """Namespace and name of an object.

    Attributes:
        namespace: The namespace; ``""`` for cluster-scoped objects.
        name: The name.
    """

    namespace: str
    name: str

    @classmethod
    def parse(cls, text: str) -> ObjectKey:
        """Parse ``namespace/name`` or, for cluster-scoped objects, ``name``."""
        namespace, slash, name = text.partition("/")
        return cls(namespace, name) if slash else cls("", text)

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


def version_order(resource_version: str) -> tuple[int, str]:
    """Return a sort key for a resourceVersion, a decimal number of any length, without converting it (KEP-5504)."""
    return len(resource_version), resource_version


def lowest_version(versions: Iterable[str]) -> str:
    """Return the lowest of some resourceVersions; empty if there is none, or one that cannot be compared."""
    known = list(versions)
    return min(known, key=version_order) if known and all(version.isdecimal() for version in known) else ""


class Cause(enum.Enum):
    """The reason for an event. Members may be added later: match those you know, and ignore others."""

    LIST = "list"
    """The first list, or the snapshot for a consumer that joins later."""
    WATCH = "watch"
    """A change that the watch delivered."""
    RELIST = "relist"
    """A difference that a later list showed and the watch did not deliver."""
    RESYNC = "resync"
    """The consumer's resync period; nothing changed."""
    WARM = "warm"
    """The cache was filled from the state that an earlier process had stored."""
    SHARD = "shard"
    """This process follows the object since now, or no more: its shard or its namespace has come or gone."""


_RESERVED = frozenset({
    "allowWatchBookmarks", "continue", "fieldSelector", "labelSelector", "limit", "resourceVersion",
    "resourceVersionMatch", "sendInitialEvents", "shardSelector", "timeoutSeconds", "watch",
})  # fmt: skip


@dataclass(slots=True)
class ListOptions:
    """The options that ``tweak_list_options`` may change; they limit every LIST and WATCH of an informer.

    Attributes:
        label_selector: Sent as ``labelSelector``.
        field_selector: Sent as ``fieldSelector``.
        shard_selector: Sent as ``shardSelector`` (KEP-5866).
        extra: Further query parameters.
    """

    label_selector: str | None = None
    field_selector: str | None = None
    shard_selector: str | None = None
    extra: Mapping[str, str] | None = None

    def query(self) -> dict[str, str]:
        """Return the query parameters.

        Raises:
            ValueError: If ``extra`` names a parameter that the reflector or another field sets.
        """
        extra = dict(self.extra or {})
        if reserved := sorted(_RESERVED & extra.keys()):
            raise ValueError(
                f"list options: {', '.join(reserved)} cannot be set through `extra`: selectors have fields of "
                f"their own, the rest belongs to the reflector"
            )
        named = {
            "labelSelector": self.label_selector,
            "fieldSelector": self.field_selector,
            "shardSelector": self.shard_selector,
        }
        return extra | {name: value for name, value in named.items() if value}


@dataclass(frozen=True, slots=True)
class WatchFailure:
    """A failed request or watch of one informer, the argument of ``on_watch_error``.

    Attributes:
        resource: The informer's resource.
        scope: The scope of the reflector that failed.
        error: The exception.
        attempt: Number of consecutive failures, this one included.
        next_delay: Seconds until the next attempt; 0 if the informer tries another way at once.
    """

    resource: GroupVersionResource
    scope: Scope
    error: Exception
    attempt: int
    next_delay: float


class Absence(NamedTuple):
    """What the server says about something that it refuses to list.

    Attributes:
        is_gone: Whether what was to be listed is certainly gone, as far as one answer goes. False if it is served, and
            if it may only be away for a while.
        reason: Why that is believed.
        is_of_kind: Whether that is about the kind; otherwise it is about the namespace.
    """

    is_gone: bool
    reason: str
    is_of_kind: bool = True

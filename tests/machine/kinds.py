"""What is followed: informers of several kinds, their indexes, and the faults that requests may meet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from aioinformers import Metadata, SharedInformer, SharedInformerFactory
from aioinformers.testing import Ending, FakeAPIServer, Fault, StatusError

NAMESPACES = ("a", "b", "c")
NAMES = ("p", "q", "r", "s")
DIGITS = "012345"


class SmallMeta(msgspec.Struct, frozen=True):
    """The metadata that a user's own type declares."""

    name: str
    uid: str
    resourceVersion: str  # noqa: N815
    labels: dict[str, str] = {}
    namespace: str = ""


class Small(msgspec.Struct, frozen=True):
    """A type of the user's: decoded on arrival."""

    metadata: SmallMeta


class Facts(NamedTuple):
    """What the checks need to know of an object, whatever its type."""

    uid: str
    version: int
    app: str
    digit: str


def facts(obj: Any) -> Facts:
    """Return the facts of a dict, model or Struct."""
    if isinstance(obj, dict):
        meta = obj["metadata"]
        uid, version, labels = meta["uid"], meta["resourceVersion"], meta["labels"]
    else:
        meta = obj.metadata
        uid, labels = meta.uid, meta.labels
        version = meta.resourceVersion if isinstance(obj, Small) else meta.resource_version
    return Facts(uid, int(version), labels["app"], labels["v"])


class Kind(NamedTuple):
    """An informer that a script may ask for."""

    open: Callable[[SharedInformerFactory], SharedInformer[Any]]
    resource: str = "configmaps"
    namespaces: tuple[str | None, ...] = (None,)
    selector: str | None = None

    @property
    def keys(self) -> int:
        """How many objects there may be."""
        return len(NAMES) * (1 if self.resource == "nodes" else len(NAMESPACES) if None in self.namespaces else 2)

    def truth(self, server: FakeAPIServer) -> dict[str, Facts]:
        """Return what the server has of it."""
        found = [
            obj for where in self.namespaces
            for obj in server.list(self.resource, namespace=where, label_selector=self.selector)
        ]  # fmt: skip
        return {key_of(obj["metadata"]): facts(obj) for obj in found}


def key_of(meta: Mapping[str, str]) -> str:
    """Return namespace and name as one text."""
    return "/".join(filter(None, (meta.get("namespace"), meta["name"])))


KINDS: dict[str, Kind] = {
    "dicts everywhere": Kind(lambda f: f.for_resource("configmaps.v1.")),
    "models in two namespaces": Kind(lambda f: f.core.v1.configmaps(namespace=["a", "b"]), namespaces=("a", "b")),
    "dicts of app x": Kind(lambda f: f.for_resource("configmaps.v1.", label_selector="app=x"), selector="app=x"),
    "structs in a": Kind(lambda f: f.core.v1.configmaps(namespace="a", object_type=Small), namespaces=("a",)),
    "metadata in b": Kind(lambda f: f.core.v1.configmaps(namespace="b", object_type=Metadata), namespaces=("b",)),
    "nodes": Kind(lambda f: f.for_resource("nodes.v1."), "nodes"),
}


def parity(obj: Any) -> list[str]:
    """Index by a callable of several values."""
    digit = facts(obj).digit
    return ["even" if int(digit) % 2 == 0 else "odd", "digit"]


def fragile(obj: Any) -> list[str]:
    """Index by a callable that fails for some objects: they are filed under nothing."""
    if facts(obj).digit == "3":
        raise ValueError("three")
    return [facts(obj).app]


INDEXES: dict[str, tuple[Any, Callable[[Facts], list[str]]]] = {
    "app": ("metadata.labels.app", lambda f: [f.app]),
    "v": ("metadata.labels['v']", lambda f: [f.digit]),
    "parity": (parity, lambda f: ["even" if int(f.digit) % 2 == 0 else "odd", "digit"]),
    "fragile": (fragile, lambda f: [] if f.digit == "3" else [f.app]),
}
"""Per name: its definition, and the values that it should file an object under."""


MISDEEDS: dict[str, type[BaseException]] = {
    error.__name__: error for error in (asyncio.CancelledError, GeneratorExit, KeyError, TimeoutError, ValueError)
}
"""What a hook may raise."""

FAULTS: dict[str, Fault] = {
    **{f"status {status}": Fault(status=status) for status in (401, 403, 404, 410, 500, 503, 504)},
    "status 429 with Retry-After": Fault(status=429, headers={"Retry-After": "20"}),
    **{
        f"error event {code}": Fault(
            status=200, body={"type": "ERROR", "object": StatusError(code, "", "injected").body()}
        )
        for code in (410, 500, 504)
    },
    **{
        f"{ending.value} after {after} bytes": Fault(ending=ending, after=after)
        for ending in Ending
        for after in (0, 1, 150, 1000)
    },
    **{f"{delay:g} s late": Fault(delay=delay) for delay in (0.5, 20, 40)},
}
"""What may happen to a request."""

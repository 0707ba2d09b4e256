"""What the storage holds, and what a LIST or WATCH of it gives."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aioinformers.testing.apiserver.listing import Listing, list_objects
from aioinformers.testing.apiserver.resources import Resource
from aioinformers.testing.apiserver.selection import Selection
from aioinformers.testing.apiserver.storage import Storage
from aioinformers.testing.apiserver.table import Stored
from aioinformers.testing.apiserver.watching import Watch, WatchOptions, open_watch
from aioinformers.types import GroupVersionResource

__all__ = ["WIDGETS", "decoded", "events", "listing", "make", "watch"]

WIDGETS = Resource(
    gvr=GroupVersionResource("example.com", "v1", "widgets"), kind="Widget", status=True, generation=True, custom=True
)


def decoded(item: Stored) -> dict[str, Any]:
    obj: dict[str, Any] = json.loads(item.body)
    return obj


def make(storage: Storage, resource: Resource, name: str, **fields: Any) -> Stored:
    return storage.create(resource, {"metadata": {"name": name}, **fields})


def listing(
    storage: Storage,
    resource: Resource,
    query: Mapping[str, str] | None = None,
    *,
    watch_cache: bool = True,
    **more: str,
) -> Listing:
    names = {name.rstrip("_"): value for name, value in more.items()} | dict(query or {})
    selection = Selection.parse(resource, "", names, shard_selector=True)
    return list_objects(storage, resource, selection, names, watch_cache=watch_cache)


def watch(storage: Storage, resource: Resource, **query: str) -> Watch:
    selection = Selection.parse(resource, query.pop("namespace", ""), query, shard_selector=True)
    return open_watch(storage, resource, selection, WatchOptions.parse(query, watch_list=True))


def events(stream: Watch) -> list[tuple[str, str, str]]:
    seen = []
    while lines := stream.read():
        for line in lines.splitlines():
            event = json.loads(line)
            metadata = event["object"]["metadata"]
            seen.append((event["type"], metadata.get("name", ""), metadata["resourceVersion"]))
    return seen

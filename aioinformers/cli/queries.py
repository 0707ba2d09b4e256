"""The commands ``watch`` and ``get``, which print an informer's events and the objects in its cache."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec

from aioinformers.cli.columns import format_row, format_table, headings, row_of
from aioinformers.cli.problems import CommandError, usage_error
from aioinformers.cli.session import Query, Session, open_session
from aioinformers.cli.terminal import json_text, notice, say
from aioinformers.delivery.events import Added, Event, Updated
from aioinformers.types import ObjectKey
from aioinformers.words import printable

__all__ = ["get", "watch"]

_BACKLOG = 100_000
_STATUS_WIDTH = 18
_AGE_WIDTH = 6


async def watch(query: Query, output: str | None, seconds: float | None) -> int:
    """Print all objects, then each change, until the time is up or the coroutine is cancelled.

    Args:
        query: The objects to watch.
        output: ``json``, ``wide`` or None.
        seconds: Seconds after which to end; None for never.

    Returns:
        The exit code.

    Raises:
        CommandError: If the objects cannot be watched, or not be listed in time.
        BrokenPipeError: If the reader of stdout has gone.
    """
    is_listed = False
    clock = asyncio.timeout(seconds)
    try:
        async with clock, open_session(query, notice) as session:
            recoveries = asyncio.create_task(session.report_recoveries(), name="report recoveries")
            try:
                await session.wait_synced()
                is_listed = True
                await _print_events(session, output)
            finally:
                recoveries.cancel()
                await asyncio.wait((recoveries,))
    except TimeoutError:
        if not clock.expired():
            raise
    if not is_listed:
        raise CommandError(f"{query.resource} could not be listed within {seconds:g} s")
    return 0


async def _print_events(session: Session, output: str | None) -> None:
    # The limit is larger than any usual backlog of a terminal; beyond it, changes of one object merge.
    async with session.informer.stream(limit=_BACKLOG) as events:
        printer = _Printer(session.informer.indexer, output)
        async for event in events:
            printer.print(event)


class _Printer:
    """Prints events, by default in columns wide enough for the objects in the cache.

    Args:
        keys: The keys of the cache, read when the first event is printed.
        output: ``json``, ``wide`` or None.
    """

    def __init__(self, keys: Iterable[ObjectKey], output: str | None) -> None:
        self._output = output
        self._keys = keys
        self._widths: Sequence[int] = ()
        self._is_namespaced = False

    def print(self, event: Event[dict[str, Any]]) -> None:
        """Print one event."""
        verb = "ADDED" if isinstance(event, Added) else "MODIFIED" if isinstance(event, Updated) else "DELETED"
        if self._output == "json":
            say(json_text(msgspec.json.encode({"type": verb, "object": event.object}).decode()))
            return
        if not self._widths:
            self._start(event.key)
        row = row_of(
            event.object,
            datetime.now(UTC),
            is_namespaced=self._is_namespaced,
            is_wide=self._output == "wide",
            event=verb,
        )
        say(format_row(row, self._widths))

    def _start(self, first: ObjectKey) -> None:
        """Print the headings. Only the first object shows whether the resource is namespaced."""
        self._is_namespaced = bool(first.namespace)
        titles = headings(is_namespaced=self._is_namespaced, is_wide=self._output == "wide", has_event=True)
        widths = dict(zip(titles, map(len, titles), strict=True))
        widths |= {"EVENT": len("MODIFIED"), "STATUS": _STATUS_WIDTH, "AGE": _AGE_WIDTH}
        keys = [first, *self._keys]
        widths["NAME"] = max(4, *(len(printable(key.name)) for key in keys))
        if self._is_namespaced:
            widths["NAMESPACE"] = max(9, *(len(printable(key.namespace)) for key in keys))
        self._widths = list(widths.values())
        say(format_row(titles, self._widths))


async def get(query: Query, name: str | None, output: str | None, timeout: float) -> int:
    """Print the objects of a synced cache; cancellation ends the informer.

    Args:
        query: The objects to get.
        name: The name of a single object; None for all.
        output: ``json``, ``wide``, ``name`` or None.
        timeout: Seconds to wait for the cache to sync.

    Returns:
        The exit code.

    Raises:
        CommandError: If the objects cannot be listed, or no object has the name.
        BrokenPipeError: If the reader of stdout has gone.
    """
    if name is not None and query.all_namespaces:
        raise usage_error("a single object has a namespace: give NAME with -n NAMESPACE, or -A without NAME")
    if name is not None:
        if query.label_selector or query.field_selector:
            raise usage_error("NAME already selects one object: leave the selectors out")
        query = replace(query, field_selector=f"metadata.name={_escaped(name)}")
    async with open_session(query, _ignore) as session:
        await session.wait_synced(timeout)
        objects = session.informer.lister.list()
        resource, where = session.informer.resource, session.where
    if name is not None and not objects:
        others = f"aioinformers get {query.resource}{' -A' if where else ''}"
        raise CommandError(f"{resource} {name!r} not found{where}: see what there is with `{others}`")
    objects.sort(key=lambda obj: (obj["metadata"].get("namespace") or "", obj["metadata"]["name"]))
    _print_objects(objects, output, is_one=name is not None)
    if not objects and output is None:
        notice(f"no {resource} found{where}")
    return 0


def _escaped(value: str) -> str:
    """Return a value escaped for a field selector."""
    return re.sub(r"([\\,=])", r"\\\1", value)


def _ignore(_: str) -> None:
    """Ignore notices: ``get`` ends soon, and its final error says what went wrong."""


def _print_objects(objects: list[dict[str, Any]], output: str | None, *, is_one: bool) -> None:
    if output == "json":
        document: dict[str, Any] = {"apiVersion": "v1", "kind": "List", "items": objects, "metadata": {}}
        text = json.dumps(objects[0] if is_one else document, indent=4, ensure_ascii=False)
        say(*json_text(text).split("\n"))
        return
    if output == "name":
        for obj in objects:
            group = f".{obj['apiVersion'].partition('/')[0]}" if "/" in obj["apiVersion"] else ""
            say(f"{obj['kind'].lower()}{group}/{obj['metadata']['name']}")
        return
    if not objects:
        return
    is_namespaced, is_wide, now = "namespace" in objects[0]["metadata"], output == "wide", datetime.now(UTC)
    rows = [row_of(obj, now, is_namespaced=is_namespaced, is_wide=is_wide) for obj in objects]
    say(*format_table([headings(is_namespaced=is_namespaced, is_wide=is_wide), *rows]))

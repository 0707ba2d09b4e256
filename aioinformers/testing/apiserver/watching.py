"""Answers WATCH requests: parses the options and produces the lines. Pure: the HTTP layer waits for changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from aioinformers.testing.apiserver.documents import encode, with_version
from aioinformers.testing.apiserver.listing import parse_count, parse_flag, parse_version
from aioinformers.testing.apiserver.resources import Resource
from aioinformers.testing.apiserver.selection import Selection
from aioinformers.testing.apiserver.status import StatusError
from aioinformers.testing.apiserver.storage import Storage
from aioinformers.testing.apiserver.table import ADDED, DELETED, Change, Stored, Table

__all__ = ["Watch", "WatchOptions", "error_line", "open_watch"]

_INITIAL_EVENTS_END = "k8s.io/initial-events-end"
_BATCH = 128  # largest number of changes per write; a single event is written at once


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchOptions:
    """The options of a WATCH.

    Attributes:
        version: The version after which changes are sent; None or 0 for any version.
        initial: Whether all objects are sent first, as ADDED.
        streaming: Whether ``sendInitialEvents`` requested that, so that the state must not be older than ``version``.
        marked: Whether a bookmark marks the end of the initial objects.
        bookmarks: Whether bookmarks may be sent.
        timeout: Seconds after which the server ends the watch; 0 for the server's default.
    """

    version: int | None
    initial: bool
    streaming: bool
    marked: bool
    bookmarks: bool
    timeout: int

    @classmethod
    def parse(cls, query: Mapping[str, str], *, watch_list: bool) -> WatchOptions:
        """Parse and check a query.

        Args:
            query: The query of the request.
            watch_list: Whether the server supports ``sendInitialEvents``.

        Raises:
            StatusError: 422, or like kube-apiserver 500 for an invalid resourceVersion.
        """
        _validate(query, watch_list=watch_list)
        try:
            version = parse_version(query)
        except StatusError as error:
            problem = error.message.removeprefix("invalid resource version: ")
            raise StatusError(500, "", problem) from error
        asked = query.get("sendInitialEvents")
        streaming = asked is not None and parse_flag(query, "sendInitialEvents")
        bookmarks = parse_flag(query, "allowWatchBookmarks")
        initial = streaming or (asked is None and not version)
        return cls(
            version=version,
            initial=initial,
            streaming=streaming,
            marked=initial and bookmarks and watch_list,
            bookmarks=bookmarks,
            timeout=parse_count(query, "timeoutSeconds"),
        )


def open_watch(storage: Storage, resource: Resource, selection: Selection, options: WatchOptions) -> Watch:
    """Start a watch.

    Raises:
        StatusError: 404 if the resource is not served; 410 or 504, which the server sends as an ERROR event before it
            ends the stream.
    """
    table = storage.table(resource)
    if options.initial:
        if options.streaming and (options.version or 0) > storage.version:
            raise StatusError.version_too_large(options.version or 0, storage.version)
        if options.version != 0:
            table.reach(storage.version)
        return Watch(table, selection, table.end(), storage.version, options, selection.filter(table.ordered()))
    after = options.version or storage.version
    return Watch(table, selection, table.position_after(after), after, options, ())


def error_line(error: StatusError) -> bytes:
    """Return the line of an ERROR event."""
    return _line("ERROR", encode(error.body()))


class Watch:
    """The position of one watch in the log of its resource.

    Args:
        table: The objects and log of the resource.
        selection: The objects to watch.
        position: The position in the log of the first change to send.
        after: The version after which the watch begins.
        options: The options of the request.
        initial: The objects to send first.

    Attributes:
        after: The version after which the watch begins.
    """

    def __init__(
        self,
        table: Table,
        selection: Selection,
        position: int,
        after: int,
        options: WatchOptions,
        initial: Sequence[Stored],
    ) -> None:
        self._table = table
        self._selection = selection
        self._position = position
        self.after: int = after
        self._initial = self._initial_lines(initial, after, options)

    @property
    def ended(self) -> bool:
        """Whether the resource is no longer served and everything has been read."""
        return self._table.closed and self._position == self._table.end()

    def read(self) -> bytes:
        """Return the next lines, at most one batch; empty if there are no new ones.

        Raises:
            LaggedBehindError: If the log has dropped changes that this watch has not read.
        """
        while True:
            if initial := b"".join(islice(self._initial, _BATCH)):
                return initial
            changes = self._table.read(self._position, _BATCH)
            if not changes:
                return b""
            self._position += len(changes)
            if lines := b"".join(self._lines(changes)):
                return lines

    def bookmark(self) -> bytes:
        """Return a bookmark; empty if the resource is not known to have passed the beginning of the watch.

        As on kube-apiserver, a watch of a quiet resource, or from a version of the future, gets no bookmarks. Only
        etcd's progress notifications, every ten minutes, are not implemented.
        """
        return self._bookmark(self._table.reached, {}) if self._table.reached > self.after else b""

    def listen(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call a function whenever there may be new lines; return a function that ends this."""
        return self._table.listen(callback)

    def _initial_lines(self, items: Sequence[Stored], version: int, options: WatchOptions) -> Iterator[bytes]:
        for item in items:
            yield _line(ADDED, item.body)
        if options.marked:
            yield self._bookmark(version, {_INITIAL_EVENTS_END: "true"})

    def _lines(self, changes: Sequence[Change]) -> Iterator[bytes]:
        for change in changes:
            if change.version > self.after and (line := self._line_of(change)):
                yield line

    def _line_of(self, change: Change) -> bytes:
        """Return the line for a change; empty if it does not concern the selection.

        An object that enters the selection is ADDED. One that leaves it is DELETED, with the content that matched last
        and the version of the change.
        """
        item, previous, matches = change.item, change.previous, self._selection.matches
        if not self._selection.has_selectors:
            return _line(change.type, item.body) if matches(item) else b""
        is_in = change.type != DELETED and matches(item)
        was_in = previous is not None and matches(previous)
        if is_in:
            return _line(change.type if was_in else ADDED, item.body)
        if was_in and change.type == DELETED:
            return _line(DELETED, item.body)
        if was_in:
            assert previous is not None
            return _line(DELETED, with_version(self._table.resource, previous.body, change.version))
        return b""

    def _bookmark(self, version: int, annotations: Mapping[str, str]) -> bytes:
        resource = self._table.resource
        metadata: dict[str, object] = {"resourceVersion": str(version)}
        if annotations:
            metadata["annotations"] = annotations
        kind, api_version = {"kind": resource.kind}, {"apiVersion": resource.gvr.api_version}
        if resource.custom:
            return _line("BOOKMARK", encode(api_version | kind | {"metadata": dict(sorted(metadata.items()))}))
        return _line("BOOKMARK", encode(kind | api_version | {"metadata": metadata}))


def _line(type_: str, body: bytes) -> bytes:
    return b'{"type":"%b","object":%b}\n' % (type_.encode(), body)


def _validate(query: Mapping[str, str], *, watch_list: bool) -> None:
    match, causes = query.get("resourceVersionMatch", ""), []

    def forbid(field: str, why: str) -> None:
        causes.append((field, "FieldValueForbidden", f"Forbidden: {why}"))

    if "sendInitialEvents" in query:
        if match != "NotOlderThan":
            forbid(
                "resourceVersionMatch",
                "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
            )
        if not watch_list:
            forbid(
                "sendInitialEvents",
                "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled",
            )
    elif match:
        forbid(
            "resourceVersionMatch",
            "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
        )
    if causes:
        raise StatusError.invalid_options(causes)

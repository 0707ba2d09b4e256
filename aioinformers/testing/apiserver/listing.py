"""Answers LIST requests: the version that a query selects, pages, continue tokens, and the bytes. Pure."""

from __future__ import annotations

import base64
import binascii
import bisect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter

import msgspec

from aioinformers.testing.apiserver.documents import encode, item_bytes
from aioinformers.testing.apiserver.resources import Resource
from aioinformers.testing.apiserver.selection import Selection
from aioinformers.testing.apiserver.status import StatusError
from aioinformers.testing.apiserver.storage import Storage
from aioinformers.testing.apiserver.table import Stored, Table

__all__ = ["Listing", "list_objects", "parse_count", "parse_flag", "parse_version"]

_LATEST = -1  # in a continue token: continue in the current version
_TOKEN_EXPIRED = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list "
    "without the continue parameter, or use the continue token in this response to retrieve the remainder of "
    "the results. Continuing with the provided token results in an inconsistent list - objects that were "
    "created, modified, or deleted between the time the first chunk was returned and now may show up in the list."
)


class _Token(msgspec.Struct, frozen=True):
    """The content of a continue token in kube-apiserver's format."""

    v: str
    rv: int
    start: str

    def encode(self) -> str:
        return base64.urlsafe_b64encode(msgspec.json.encode(self)).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str) -> _Token:
        try:
            raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            return msgspec.json.decode(raw, type=cls)
        except (binascii.Error, msgspec.DecodeError, ValueError) as error:
            raise StatusError.bad_request(f"invalid continue token: continue key is not valid: {error}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The answer to a LIST.

    Attributes:
        resource: The resource.
        version: The resourceVersion of the list.
        items: The objects of this page.
        continue_token: Token for the next page; ``""`` on the last page.
        remaining: Number of objects after this page; None if the server does not report it.
        shards: The selector of shards that has been applied, as the list repeats it; ``""`` for none.
    """

    resource: Resource
    version: int
    items: list[Stored]
    continue_token: str = ""
    remaining: int | None = None
    shards: str = ""

    def pieces(self, size: int = 256 * 1024) -> Iterator[bytes]:
        """Yield the body in pieces of about ``size`` bytes.

        Lists of built-in and of custom kinds differ in the order of the envelope, and in whether items have a kind.
        Neither has white space between items.
        """
        metadata: dict[str, object] = {"resourceVersion": str(self.version)}
        if self.continue_token or self.resource.custom:
            metadata["continue"] = self.continue_token
        if self.remaining:
            metadata["remainingItemCount"] = self.remaining
        if (
            self.shards and not self.resource.custom
        ):  # kube-apiserver 1.37 filters lists of custom kinds, and says nothing
            metadata["shardInfo"] = {"selector": self.shards}
        kind, api_version = f"{self.resource.kind}List", self.resource.gvr.api_version
        if self.resource.custom:
            ordered = encode(dict(sorted(metadata.items()))).decode()
            head = f'{{"apiVersion":"{api_version}","items":['
            tail = f'],"kind":"{kind}","metadata":{ordered}}}\n'
        else:
            head = f'{{"kind":"{kind}","apiVersion":"{api_version}","metadata":{encode(metadata).decode()},"items":['
            tail = "]}\n"
        parts, pending, separator = [head.encode()], 0, b""
        for item in self.items:
            parts.append(separator + item_bytes(self.resource, item.body))
            separator = b","
            pending += len(parts[-1])
            if pending >= size:
                yield b"".join(parts)
                parts, pending = [], 0
        parts.append(tail.encode())
        yield b"".join(parts)


def list_objects(
    storage: Storage,
    resource: Resource,
    selection: Selection,
    query: Mapping[str, str],
    *,
    watch_cache: bool = True,
) -> Listing:
    """Answer a LIST.

    Args:
        storage: The server's storage.
        resource: The resource to list.
        selection: The objects to list.
        query: The query of the request.
        watch_cache: Whether the server has a watch cache, which answers ``resourceVersion=0`` without pages.

    Raises:
        StatusError: 400, 410, 422 or 504.
    """
    _validate(query)
    table = storage.table(resource)
    limit = parse_count(query, "limit")
    if text := query.get("continue"):
        token = _Token.decode(text)
        if query.get("resourceVersion", "0") != "0":
            raise StatusError.bad_request("specifying resource version is not allowed when using continue")
        version = storage.version if token.rv == _LATEST else token.rv
        found = _continued(table, token, version)
    else:
        version = _version_asked(storage, query, limit)
        found = table.at(version)
        if query.get("resourceVersion") != "0":  # 0 is answered without asking for the most recent version
            table.reach(version)
        if watch_cache and query.get("resourceVersion") == "0":
            limit = 0
    items, shards = selection.filter(found), str(selection.shards or "")
    page = items[:limit]
    if not limit or len(items) < limit or (page == items and not _is_more(selection, found, page[-1])):
        return Listing(resource=resource, version=version, items=items, shards=shards)
    return Listing(
        resource=resource,
        version=version,
        items=page,
        continue_token=_Token("meta.k8s.io/v1", version, f"/{page[-1].key}\0").encode(),
        remaining=None if selection.has_selectors else len(items) - limit,
        shards=shards,
    )


def parse_version(query: Mapping[str, str]) -> int | None:
    """Return the query's resourceVersion; None if it is missing.

    Raises:
        StatusError: 400 if it is not a number.
    """
    text = query.get("resourceVersion", "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit()):
        problem = f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax'
        raise StatusError.bad_request(f"invalid resource version: {problem}")
    return int(text)


def parse_count(query: Mapping[str, str], name: str) -> int:
    """Return a number of the query; 0 if it is missing.

    Raises:
        StatusError: 400 if it is not a number.
    """
    text = query.get(name, "")
    if not text:
        return 0
    if not text.removeprefix("-").isdecimal():
        raise StatusError.bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    return max(0, int(text))


def parse_flag(query: Mapping[str, str], name: str) -> bool:
    """Tell whether a flag is set; as in kube-apiserver, every value except ``false`` and ``0`` sets it."""
    return query.get(name, "false").lower() not in ("false", "0")


def _version_asked(storage: Storage, query: Mapping[str, str], limit: int) -> int:
    version = parse_version(query)
    if not version:
        return storage.version
    if version > storage.version:
        raise StatusError.version_too_large(version, storage.version)
    match = query.get("resourceVersionMatch", "")
    # A limit without a match selects exactly this version, as servers did before the parameter existed.
    return version if match == "Exact" or (limit and not match) else storage.version


def _continued(table: Table, token: _Token, version: int) -> list[Stored]:
    try:
        items = table.at(version)
    except StatusError as error:
        fresh = _Token(token.v, _LATEST, token.start).encode()
        raise StatusError.expired(_TOKEN_EXPIRED, continue_token=fresh) from error
    return items[bisect.bisect_left(items, token.start.removeprefix("/"), key=attrgetter("key")) :]


def _is_more(selection: Selection, found: list[Stored], last: Stored) -> bool:
    """Tell whether a full page is not the last one: the server has not looked yet at whether what is left matches."""
    after = bisect.bisect_right(found, last.key, key=attrgetter("key"))
    return any(selection.reads(item) for item in found[after:])


def _validate(query: Mapping[str, str]) -> None:
    match, field = query.get("resourceVersionMatch", ""), "resourceVersionMatch"
    causes = []

    def forbid(where: str, why: str) -> None:
        causes.append((where, "FieldValueForbidden", f"Forbidden: {why}"))

    if match:
        if not query.get("resourceVersion"):
            forbid(field, "resourceVersionMatch is forbidden unless resourceVersion is provided")
        if query.get("continue"):
            forbid(field, "resourceVersionMatch is forbidden when continue is provided")
        if match not in ("Exact", "NotOlderThan"):
            known = 'supported values: "Exact", "NotOlderThan", ""'
            causes.append((field, "FieldValueNotSupported", f'Unsupported value: "{match}": {known}'))
        if match == "Exact" and query.get("resourceVersion") == "0":
            forbid(field, 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"')
    if "sendInitialEvents" in query:
        forbid("sendInitialEvents", "sendInitialEvents is forbidden for list")
    if causes:
        raise StatusError.invalid_options(causes)

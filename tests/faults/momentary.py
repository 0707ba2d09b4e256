"""The faults that no face shows for longer than a moment although they go on, and why."""

from __future__ import annotations

from typing import Final

from tests.faults.answers import BUSY, STATUSES

__all__ = ["MOMENTARY"]

MOMENTARY: Final[dict[str, tuple[str, ...]]] = {
    "the server is asked for lists instead of streams, and gives them": (
        *(
            f"every stream of initial objects is answered with {code} {reason}"
            for code, reason in STATUSES.items()
            if code not in BUSY
        ),
        "a stream of initial objects ends with 410 Expired",
        "a stream of initial objects ends with 500 in its middle",
        "a stream of initial objects ends with nothing, before its end is marked",
        "a stream of initial objects ends with a line that is no JSON",
        "a stream of initial objects stays silent",
        "a stream of initial objects gives not even headers",
        "a stream of initial objects hangs in the middle of a line",
        "the connection of every stream of initial objects is reset in its middle",
        "a proxy drops all bookmarks: the end of the initial objects is never marked",
        "the mark that ends the initial objects says false",
        "bookmarks come, but none marks the end of the initial objects",
        "the end of the initial objects is never marked and events keep coming",
        "the server is downgraded and cannot stream initial objects any more",
    ),
    "a stream brings the whole state anew, and goes on as the watch": (
        "watches are answered with 200 and nothing else",
        "watches are answered with 204 No Content",
        "watches are redirected to themselves",
        "every watch ends with an ERROR event 410 Expired",
        "every watch ends with an ERROR event 500",
        "every watch ends with an ERROR event of a too large resourceVersion",
        "every watch ends with an ERROR event of an unknown code",
        "every watch ends with an ERROR event 403, for RBAC has changed",
        "every watch ends with an ERROR event without a code",
        "every watch ends with an ERROR event that is an object, not a Status",
        "every watch ends with an ERROR event that is no object at all",
        "every watch ends with an ERROR event without an object",
        "every watch ends with an ERROR event whose Status is malformed",
        "every event arrives as garbage",
        "an object without metadata stands among the events",
        "watches are answered as Tables",
        "watches tell of objects of another kind",
        "a proxy answers a watch with a Status that no ERROR event wraps",
        "every watch is closed at once, without an event",
        "every watch is closed after half a line",
        "permission to list is never given, only to watch",
    ),
    "it happens once, and the next attempt succeeds": (
        "an empty list is written as null",
        "a watch delivers events and then 410 Expired",
        "a watch delivers events and then 500",
        "a watch delivers events and then 429",
        "an event is cut by whatever stands between, and the stream goes on",
        "a deletion arrives as garbage",
        "an event holds bytes that are no UTF-8 outside of any object",
        "the API server restarts",
        "API servers restart one after the other",
        "history is compacted while the connection is away",
        "the server is upgraded and can stream initial objects now",
        "the token expires and the hook has a new one",
    ),
    "it is slow, and each attempt succeeds in the end": (
        "headers come 20 seconds late",
        "bytes trickle in at 400 a second",
        "an object of 900 kB comes at 10 kB a second",
        "bytes arrive in splinters of three",
        "every packet takes two seconds",
    ),
    "what came can be used all the same": (
        "lists have no resourceVersion",
        "an object without metadata stands in the list",
        "an object of the list holds half of a surrogate pair",
        "the metadata of every list hold nulls",
        "lists are written anew by a proxy, with spaces",
        "the second page of every list has expired",
        "the first list comes from a watch cache that lags behind",
        "the object of an event holds a bad escape",
        "blank lines stand between the events",
        "lines end with carriage return and line feed",
        "a proxy writes the JSON anew, with spaces and keys in another order",
        "events of a type that does not exist yet stand among the others",
        "every event comes twice",
        "watches begin earlier than asked and tell old events again",
        "bookmarks stop coming after the first ones",
    ),
    "nothing shows it before a deadline that comes after its end": (
        "lists have no resourceVersion, and an object goes before the watch begins",
        "a watch hangs after its headers, for ever",
        "a watch hangs in the middle of a line",
        "a watch that has shown a bookmark falls silent",
        "the network freezes: connections stay open and nothing arrives",
        "etcd was restored from a backup: resourceVersions fall, and watches are told nothing",
        "etcd was restored from a backup, and the server cannot stream",
    ),
    "a kind that cannot be watched is listed now and then, which is no outage": (
        "every watch is answered with 405 MethodNotAllowed",
    ),
}
"""Titles by the reason."""

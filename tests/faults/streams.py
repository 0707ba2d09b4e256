"""Faults inside a watch: ERROR events, lines that are none, streams that end, streams that never begin."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
from collections.abc import Callable
from typing import Any

from aioinformers.testing import Ending, Fault, RequestInfo, drop_bookmarks
from tests.faults.answers import JSON, answered, status_of
from tests.faults.scene import Case, Scene
from tests.kit import QUICK, configmap

__all__ = ["CASES"]


def line(kind: str, obj: Any) -> bytes:
    return json.dumps({"type": kind, "object": obj}, separators=(",", ":")).encode() + b"\n"


def saying(*lines: bytes) -> Fault:
    """A watch that says this and ends."""
    return Fault(status=200, body=b"".join(lines), headers=JSON)


def rewritten(rewrite: Callable[[bytes], bytes], kinds: str = "watch stream") -> Callable[[Scene], None]:
    """Change the lines of every watch."""
    return answered(kinds, Fault(rewrite=rewrite))


def rewritten_once(rewrite: Callable[[bytes], bytes]) -> Callable[[Scene], None]:
    """Change the first piece of a watch that can be changed, and no other one."""

    def inject(scene: Scene) -> None:
        done: list[bytes] = []

        def change(data: bytes) -> bytes:
            if done or (changed := rewrite(data)) == data:
                return data
            done.append(data)
            return changed

        rewritten(change, "watch")(scene)

    return inject


def replaced(pattern: bytes, by: bytes) -> Callable[[bytes], bytes]:
    return lambda data: re.sub(pattern, by, data)


def followed_by(said: bytes) -> Callable[[bytes], bytes]:
    return lambda data: data + said if b"kept" in data else data


def error(code: int, **more: Any) -> bytes:
    return line("ERROR", status_of(code, **more))


TOO_LARGE = {"causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]}

ERRORS = [
    Case(title=f"every watch ends with an ERROR event {what}", inject=answered("watch", saying(said)), says=says)
    for what, said, says in (
        ("410 Expired", error(410, reason="Expired", message="too old resource version: 1 (9)"), "410 Expired"),
        ("429", error(429, reason="TooManyRequests", details={"retryAfterSeconds": 5}), "429"),
        ("500", error(500, reason="InternalError", message="etcdserver: no leader"), "no leader"),
        ("504 Timeout", error(504, reason="Timeout", message="request timed out"), "504 Timeout"),
        ("of a too large resourceVersion", error(504, reason="Timeout", details=TOO_LARGE), "504"),
        ("of an unknown code", error(799, reason="Teapot"), "799 Teapot"),
        ("403, for RBAC has changed", error(403, reason="Forbidden"), "403 Forbidden"),
        ("without a code", line("ERROR", {"kind": "Status", "reason": "Weird"}), "Weird"),
        ("that is an object, not a Status", line("ERROR", configmap("c")), "500"),
        ("that is no object at all", line("ERROR", "went wrong"), "500"),
        ("without an object", b'{"type":"ERROR"}\n', "500"),
        ("whose Status is malformed", line("ERROR", {"kind": "Status", "code": "x", "details": [1]}), "500"),
    )
]

STREAM_ERRORS = [
    Case(
        title=f"a stream of initial objects ends with {what}",
        inject=answered("stream", saying(*said)),
        at_start=True,
        says=says,
    )
    for what, said, says in (
        ("410 Expired", [error(410, reason="Expired")], "410"),
        ("500 in its middle", [line("ADDED", configmap("ghost")), error(500, message="no progress")], "no progress"),
        ("a too large resourceVersion", [error(504, reason="Timeout", details=TOO_LARGE)], "504"),
        ("nothing, before its end is marked", [line("ADDED", configmap("ghost"))], "before its end was marked"),
        ("a line that is no JSON", [line("ADDED", configmap("ghost")), b'{"type":"ADD\n'], "could not be read"),
    )
]

LATE_ERRORS = [
    Case(
        title=f"a watch delivers events and then {what}",
        inject=rewritten_once(followed_by(said)),
        says=says,
    )
    for what, said, says in (
        ("410 Expired", error(410, reason="Expired"), "410"),
        ("500", error(500, reason="InternalError"), "500"),
        ("429", error(429, reason="TooManyRequests"), "429"),
    )
]

LINES = [
    Case(
        title="an event is cut by whatever stands between, and the stream goes on",
        inject=rewritten_once(replaced(rb'("name":"kept".*)', rb'"nam')),
        says="could not be read",
    ),
    Case(
        title="a deletion arrives as garbage",
        inject=rewritten_once(replaced(rb'\{"type":"DELETED".*', b"\x00\x01\x02")),
        says="could not be read",
    ),
    Case(
        title="every event arrives as garbage",
        inject=rewritten(replaced(rb'\{"type":"(ADDED|MODIFIED|DELETED)".*', b"<garbage>"), "watch"),
        says="could not be read",
    ),
    Case(
        title="an event holds bytes that are no UTF-8 outside of any object",
        inject=rewritten_once(replaced(rb'\{"type":"MODIFIED"', b'{"type":"\xff\xfe"')),
        says="could not be read",
    ),
    Case(
        title="the object of an event holds a bad escape",
        inject=rewritten_once(replaced(rb'(\{"type":"MODIFIED".*?"n":")', rb"\1\\q")),
        is_silent=True,
        within=1,
    ),
    Case(title="blank lines stand between the events", inject=rewritten(replaced(rb"\n", b"\n\n \n"))),
    Case(title="lines end with carriage return and line feed", inject=rewritten(replaced(rb"\n", b"\r\n"))),
    Case(
        title="a proxy writes the JSON anew, with spaces and keys in another order",
        inject=rewritten(
            lambda data: b"".join(
                json.dumps(dict(sorted(json.loads(each).items()))).encode() + b"\n" for each in data.splitlines()
            )
        ),
    ),
    Case(
        title="events of a type that does not exist yet stand among the others",
        inject=rewritten(lambda data: data + line("PAUSED", {"metadata": {}})),
    ),
    Case(
        title="an object without metadata stands among the events",
        inject=rewritten(lambda data: line("ADDED", {"data": {}}) + data, "watch"),
        says="could not be read",
    ),
    Case(
        title="watches are answered as Tables",
        inject=rewritten(
            lambda data: b"".join(
                line(json.loads(each)["type"], {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "rows": []})
                for each in data.splitlines()
            )
        ),
        says="expected a watch of configmaps.v1, got Table",
    ),
    Case(
        title="watches tell of objects of another kind",
        inject=answered("watch", saying(line("ADDED", configmap("stranger") | {"kind": "Secret"}))),
        says="expected a watch of configmaps.v1, got Secret",
    ),
    Case(
        title="a proxy answers a watch with a Status that no ERROR event wraps",
        inject=answered("watch", saying(json.dumps(status_of(410, reason="Expired")).encode() + b"\n")),
        says="could not be read",
    ),
    Case(title="every event comes twice", inject=rewritten(replaced(rb"([^\n]+\n)", rb"\1\1"), "watch")),
]


def closing(after: int, ending: Ending) -> Fault:
    return Fault(ending=ending, after=after)


def closed_with_event(scene: Scene) -> None:
    """Each watch delivers one event and ends, and there is always another event."""
    scene.on("watch", Fault(rewrite=lambda data: data.splitlines(keepends=True)[0], ending=Ending.END, after=80))
    scene.server.close_watches()


def replayed(request: RequestInfo) -> Fault | None:
    """Let a watch begin earlier than it was asked to."""
    assert isinstance(request.query, dict)
    request.query["resourceVersion"] = str(max(1, int(request.query["resourceVersion"]) - 3))
    return None


def same_event(scene: Scene) -> None:
    """A broken cache answers each watch with the same old event."""
    known = scene.server.get("configmaps", "kept", namespace="default")
    scene.on("watch", saying(line("MODIFIED", known)))
    scene.server.close_watches()


ENDS = [
    Case(
        title="every watch is closed at once, without an event",
        inject=answered("watch", closing(0, Ending.END)),
        says="without an event",
    ),
    Case(
        title="every watch is closed after half a line",
        inject=answered("watch", closing(30, Ending.END)),
    ),
    Case(title="every watch repeats one old event and closes", inject=same_event, says="had told nothing new"),
    Case(title="watches begin earlier than asked and tell old events again", inject=answered("watch", replayed)),
    Case(
        title="the connection of every watch is reset in the middle of a line",
        inject=answered("watch", closing(60, Ending.RESET)),
        says="connection broke",
    ),
    Case(
        title="the connection of every watch is closed in the middle of a line",
        inject=answered("watch", closing(60, Ending.CLOSE)),
        says="connection broke",
    ),
    Case(
        title="the connection of every watch is reset before the headers",
        inject=answered("watch", Fault(ending=Ending.RESET, after=None)),
        says="request failed",
    ),
    Case(
        title="a load balancer ends every watch after ten seconds",
        inject=lambda scene: _end_every_ten_seconds(scene),
        is_quiet=True,
        says="without an event",
    ),
]


def _end_every_ten_seconds(scene: Scene) -> None:
    loop = asyncio.get_running_loop()
    for number in range(18):
        loop.call_later(10 * number, scene.server.close_watches)


UNMARKED = [
    Case(
        title="a proxy drops all bookmarks: the end of the initial objects is never marked",
        inject=rewritten(drop_bookmarks),
        at_start=True,
        lasts=150,
        says="stream of initial objects was silent for 60 s",
    ),
    Case(
        title="the end of the initial objects is never marked and events keep coming",
        inject=lambda scene: _never_marked_and_busy(scene),
        at_start=True,
        lasts=660,
        says="closed before its end was marked",
        is_silent=True,
    ),
    Case(
        title="the mark that ends the initial objects says false",
        inject=rewritten(replaced(b'initial-events-end":"true"', b'initial-events-end":"false"'), "stream"),
        at_start=True,
        is_quiet=True,
        says="stream of initial objects was silent for 60 s",
    ),
    Case(
        title="bookmarks come, but none marks the end of the initial objects",
        inject=rewritten(replaced(b'initial-events-end":"true"', b'initial-events-end":"false"'), "stream"),
        at_start=True,
        server={"bookmark_interval": 30.0},
        says="none marks the end",
    ),
    Case(
        title="a stream of initial objects stays silent",
        inject=answered("stream", closing(0, Ending.STALL)),
        at_start=True,
        says="stream of initial objects was silent for 15 s",
    ),
    Case(
        title="a stream of initial objects gives not even headers",
        inject=answered("stream", Fault(ending=Ending.STALL, after=None)),
        at_start=True,
        says="no answer within 15 s",
    ),
    Case(
        title="a stream of initial objects hangs in the middle of a line",
        inject=answered("stream", closing(500, Ending.STALL)),
        at_start=True,
        says="stream of initial objects was silent",
    ),
    Case(
        title="the connection of every stream of initial objects is reset in its middle",
        inject=answered("stream", closing(500, Ending.RESET)),
        at_start=True,
        says="connection broke",
    ),
    Case(
        title="bookmarks stop coming after the first ones",
        inject=rewritten(drop_bookmarks, "watch"),
        lasts=900,
        is_crowded=True,
    ),
]


def _never_marked_and_busy(scene: Scene) -> None:
    scene.on("stream", Fault(rewrite=drop_bookmarks))
    loop = asyncio.get_running_loop()
    for number in range(66):
        loop.call_later(10 * number + 5, scene.server.patch, "configmaps", "kept", {"data": {"x": str(number)}})


HANGS = [
    Case(
        title="a watch hangs before its headers",
        inject=answered("watch", Fault(ending=Ending.STALL, after=None)),
        says="no answer within 30 s",
        within=61,
    ),
    Case(
        title="a watch hangs after its headers, for ever",
        inject=answered("watch", closing(0, Ending.STALL)),
        lasts=60,
        is_silent=True,
        within=631,
    ),
    Case(
        title="a watch hangs in the middle of a line",
        inject=answered("watch", closing(60, Ending.STALL)),
        lasts=60,
        is_silent=True,
        within=631,
    ),
    Case(
        title="a watch that has shown a bookmark falls silent",
        inject=lambda scene: _silent_after_a_bookmark(scene),
        lasts=64,
        is_silent=True,
        within=75,
    ),
    Case(
        title="an event is larger than max_object_bytes",
        inject=lambda scene: _huge(scene),
        settings=dataclasses.replace(QUICK, max_object_bytes=20_000),
        undo=lambda scene: scene.server.delete("configmaps", "huge", namespace="default"),
        says="larger than max_object_bytes",
    ),
]


def _silent_after_a_bookmark(scene: Scene) -> None:
    """Everything after the first bookmark of the watch is lost."""
    seen: list[bytes] = []

    def rewrite(data: bytes) -> bytes:
        if seen:
            return b""
        if b'"type":"BOOKMARK"' in data:
            seen.append(data)
        return data

    scene.on("watch", Fault(rewrite=rewrite), times=1)
    scene.server.close_watches()


def _huge(scene: Scene) -> None:
    scene.server.create("configmaps", configmap("huge", data="x" * 30_000))


CASES = [*ERRORS, *STREAM_ERRORS, *LATE_ERRORS, *LINES, *ENDS, *UNMARKED, *HANGS]

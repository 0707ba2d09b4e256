"""Faults of answers: every status, of a list, a watch, a stream of initial objects; and bodies that are none."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from aioinformers.testing import Ending, Fault, RequestInfo
from tests.faults.scene import LISTS, Case, Scene, made
from tests.kit import QUICK

__all__ = ["CASES", "JSON", "answered", "status_of"]

JSON = {"Content-Type": "application/json"}
HTML = "<html>\n<head><title>502 Bad Gateway</title></head>\n<body>\nnginx\n</body>\n</html>\n"

STATUSES = {
    400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 405: "MethodNotAllowed",
    406: "NotAcceptable", 409: "Conflict", 410: "Expired", 422: "Invalid", 429: "TooManyRequests",
    500: "InternalError", 502: "BadGateway", 503: "ServiceUnavailable", 504: "Timeout",
}  # fmt: skip


def status_of(code: int, **more: Any) -> dict[str, Any]:
    """Return a ``Status`` body."""
    status = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": "injected by the test",
    }
    return {**status, "reason": STATUSES.get(code, ""), "code": code, **more}


def answered(kinds: str, fault: Fault | Callable[[RequestInfo], Fault | None]) -> Callable[[Scene], None]:
    """Return the step that has requests of some kinds fail, once the watches that are open have ended."""

    def inject(scene: Scene) -> None:
        scene.on(kinds, fault)
        scene.server.close_watches()

    return inject


def said_no(code: int, headers: Mapping[str, str] | None = None) -> Fault:
    return Fault(status=code, body=status_of(code, reason=STATUSES[code]), headers=headers or {})


def in_pieces(scene: Scene) -> None:
    """Each request fails, and no piece of what comes says all of why."""
    scene.proxy.split = 200
    answered("list watch", said_no(504))(scene)


BUSY = (429, 503, 504)

LISTED = [
    Case(
        title=f"every list is answered with {code} {reason}",
        inject=answered("list", said_no(code)),
        at_start=True,
        server=LISTS,
        says=f"{code} {reason}",
    )
    for code, reason in STATUSES.items()
]

WATCHED = [
    Case(
        title=f"every watch is answered with {code} {reason}",
        inject=answered("watch", said_no(code)),
        server=LISTS,
        says=f"{code} {reason}",
    )
    for code, reason in STATUSES.items()
]

STREAMED = [
    Case(
        title=f"every stream of initial objects is answered with {code} {reason}",
        inject=answered("stream", said_no(code)),
        at_start=True,
        says=f"{code} {reason}",
    )
    for code, reason in STATUSES.items()
]

PATIENCE = [
    Case(
        title="a busy server asks lists to come back in 20 seconds",
        inject=answered("list", said_no(429, {"Retry-After": "20"})),
        at_start=True,
        server=LISTS,
        says="429",
    ),
    Case(
        title="a busy server asks watches to come back in an hour",
        inject=answered("watch", said_no(503, {"Retry-After": "3600"})),
        says="503",
        within=61,
    ),
    Case(
        title="a busy server names a date to come back at",
        inject=answered("watch list", said_no(503, {"Retry-After": "Wed, 21 Oct 2037 07:28:00 GMT"})),
        says="503",
        within=61,
    ),
    Case(
        title="the server is overloaded for everybody: several informers at once get 429",
        inject=answered("list stream watch", said_no(429, {"Retry-After": "1"})),
        is_crowded=True,
        says="429",
    ),
]

PROXIES = [
    Case(
        title="a load balancer answers lists with an HTML page and 502",
        inject=answered("list stream", Fault(status=502, body=HTML, headers={"Content-Type": "text/html"})),
        at_start=True,
        says="502",
    ),
    Case(
        title="a load balancer answers watches with an HTML page and 503",
        inject=answered("watch", Fault(status=503, body=HTML, headers={"Content-Type": "text/html"})),
        says="503",
    ),
    Case(
        title="a login page with status 200 instead of a list",
        inject=answered("list", Fault(status=200, body=HTML, headers={"Content-Type": "text/html"})),
        at_start=True,
        server=LISTS,
        says="no list",
    ),
    Case(
        title="a login page with status 200 instead of a watch",
        inject=answered("watch stream", Fault(status=200, body=HTML, headers={"Content-Type": "text/html"})),
        says="could not be read",
    ),
    Case(
        title="lists are answered with 500 and nothing else",
        inject=answered("list", Fault(status=500, body=b"")),
        at_start=True,
        server=LISTS,
        says="500",
    ),
    Case(
        title="lists are answered with 200 and nothing else",
        inject=answered("list", Fault(status=200, body=b"", headers=JSON)),
        at_start=True,
        server=LISTS,
        says="no list",
    ),
    Case(
        title="watches are answered with 200 and nothing else",
        inject=answered("watch", Fault(status=200, body=b"", headers=JSON)),
        says="without an event",
    ),
    Case(
        title="watches are answered with 204 No Content",
        inject=answered("watch", Fault(status=204, body=b"")),
        says="unexpected answer 204",
    ),
    Case(
        title="lists are redirected to a login page",
        inject=answered("list", Fault(status=302, body=b"", headers={"Location": "http://127.0.0.1:1/login"})),
        at_start=True,
        server=LISTS,
        says="cannot connect to 127.0.0.1:1: connection refused",
    ),
    Case(
        title="watches are redirected to themselves",
        inject=answered("watch", Fault(status=307, body=b"", headers={"Location": "?watch=true"})),
        says="redirects the request to itself",
    ),
    Case(
        title="the answer that says what went wrong breaks off itself",
        inject=answered(
            "list watch", Fault(status=500, body=status_of(500, message="x" * 400), ending=Ending.RESET, after=50)
        ),
        server=LISTS,
        says="500",
    ),
    Case(
        title="the answer that says what went wrong comes in small pieces",
        inject=in_pieces,
        is_proxied=True,
        server=LISTS,
        says="504 Timeout: injected by the test",
    ),
    Case(
        title="the answer that says what went wrong is larger than anybody wants to read",
        inject=answered("list watch", Fault(status=500, body=status_of(500, message="x" * 3_000_000))),
        server=LISTS,
        says="500",
    ),
    Case(
        title="a failure says so in a body that is a JSON list",
        inject=answered("list watch", Fault(status=500, body=b"[1,2]", headers=JSON)),
        server=LISTS,
        says="500",
    ),
    Case(
        title="headers come 20 seconds late",
        inject=answered("list watch stream", Fault(delay=20)),
        is_silent=True,
        within=61,
    ),
    Case(
        title="all requests but short ones are held back by a proxy for longer than anybody waits",
        inject=answered("watch stream", Fault(delay=500)),
        settings=dataclasses.replace(QUICK, watch_list=False),
        says="no answer within 30 s",
        within=61,
    ),
]

NOT_GZIP = Fault(status=200, body=b"\x1f\x8bno gzip at all", headers={**JSON, "Content-Encoding": "gzip"})
UNKNOWN = Fault(status=200, body=b"{}", headers={**JSON, "Content-Encoding": "br"})
LONG_HEADER = Fault(status=200, body=b"{}", headers={**JSON, "X-Trace": "x" * 40_000})


def large(scene: Scene) -> None:
    """Lists so large that the server compresses them, and each breaks off."""
    for number in range(6):
        scene.server.create("configmaps", made(f"large-{number}", data="x" * 40_000))
    scene.on("list", Fault(ending=Ending.RESET, after=200))


FRAMES = [
    Case(
        title=f"{what} {claim}",
        inject=answered(kinds, fault),
        at_start=kinds == "list",
        server=LISTS if kinds == "list" else {},
        says=says,
    )
    for what, kinds in (("lists", "list"), ("watches", "watch stream"))
    for claim, fault, says in (
        ("claim to be gzip and are not", NOT_GZIP, ""),
        ("come in an encoding that was not asked for", UNKNOWN, ""),
        ("come with headers of 40 kB", LONG_HEADER, "request failed"),
    )
] + [
    Case(
        title="a compressed list breaks off in its middle",
        inject=large,
        at_start=True,
        server=LISTS,
        settings=dataclasses.replace(QUICK, compression=True),
        says="connection broke",
    ),
]

CASES = [*LISTED, *WATCHED, *STREAMED, *PATIENCE, *PROXIES, *FRAMES]

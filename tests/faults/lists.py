"""Faults of lists: stale, cut, mangled, endless, without what they promise."""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from aioinformers.testing import Ending, Fault, RequestInfo
from tests.faults.answers import JSON, answered, status_of
from tests.faults.scene import LISTS, Case, Scene, made
from tests.kit import QUICK, configmap

__all__ = ["CASES"]

PAGED = {"watch_list": False, "watch_cache": False}
PAGES = dataclasses.replace(QUICK, page_size=3)


def changed(change: Callable[[dict[str, Any]], Any]) -> Callable[[Scene], None]:
    """Change the document of every list."""

    def rewrite(body: bytes) -> bytes:
        document = json.loads(body)
        return json.dumps(change(document) or document, separators=(",", ":")).encode()

    return answered("list", Fault(rewrite=rewrite))


def refused(code: int, **more: Any) -> Callable[[Scene], None]:
    """Refuse lists of any version but the most recent one, and watches so that there is a list."""

    def fault(request: RequestInfo) -> Fault | None:
        if request.verb == "watch" or request.query.get("resourceVersion"):
            return Fault(status=code, body=status_of(code, **more))
        return None

    return answered("list watch", fault)


def emptied(scene: Scene) -> None:
    """Delete everything, and write null for it, as Go does for no slice."""
    for obj in scene.server.list("configmaps"):
        scene.server.delete("configmaps", obj["metadata"]["name"], namespace=obj["metadata"]["namespace"])
    scene.on("list", Fault(rewrite=lambda body: body.replace(b'"items":[]', b'"items":null')))
    scene.server.expire()
    scene.server.close_watches()


def stale(scene: Scene) -> None:
    """A watch cache that lags behind answers the lists that take any state, from before the last changes."""
    version = scene.server.resource_version
    scene.write()

    def lag(request: RequestInfo) -> None:
        assert isinstance(request.query, dict)
        if request.query.get("resourceVersion") == "0":
            request.query.update({"resourceVersion": version, "resourceVersionMatch": "Exact"})
            request.query.pop("limit", None)

    scene.on("list", lag)


def expired_pages(request: RequestInfo) -> Fault | None:
    return Fault(status=410, body=status_of(410, reason="Expired")) if "continue" in request.query else None


def same_page(scene: Scene) -> None:
    """Whatever page is asked for, the second one comes."""

    def second(request: RequestInfo) -> None:
        assert isinstance(request.query, dict)
        if token := request.query.get("continue"):
            request.query["continue"] = scene.notes.setdefault("token", token)

    scene.on("list", second)


def leading_nowhere(tokens: Iterator[str], **changes: Any) -> Callable[[Scene], None]:
    """Give every page one of some tokens for the next one, whatever token was asked for."""

    def rewrite(body: bytes) -> bytes:
        document = json.loads(body) | changes
        document["metadata"]["continue"] = next(tokens)
        return json.dumps(document).encode()

    def first(request: RequestInfo) -> Fault:
        assert isinstance(request.query, dict)
        request.query.pop("continue", None)
        return Fault(rewrite=rewrite)

    return answered("list", first)


def unversioned_and_changing(scene: Scene) -> None:
    """Lists have no resourceVersion, and an object goes between the list and the watch."""

    def late(request: RequestInfo) -> Fault:
        if "gone" not in scene.notes:
            scene.notes["gone"] = True
            scene.server.delete("configmaps", "victim-8", namespace="default")
        return Fault()

    versions = re.compile(rb'"metadata":\{"resourceVersion":"\d+"\}')
    scene.on("list", Fault(rewrite=lambda body: versions.sub(b'"metadata":{}', body)))
    scene.on("watch", late)


def without_version(document: dict[str, Any]) -> None:
    document["metadata"].pop("resourceVersion")


def huge(scene: Scene) -> None:
    scene.server.create("configmaps", made("huge", data="x" * 30_000))


def of_kind(fault_body: Any) -> Fault:
    return Fault(status=200, body=json.dumps(fault_body).encode(), headers=JSON)


SECRETS = {
    "kind": "SecretList",
    "apiVersion": "v1",
    "metadata": {"resourceVersion": "1"},
    "items": [{"metadata": {"name": "s", "namespace": "default", "uid": "u", "resourceVersion": "1"}}],
}

TOO_LARGE = [
    Case(
        title=f"lists are refused as of a too large resourceVersion, {how}",
        inject=refused(504, reason="Timeout", **said),
        server=LISTS,
        says="504 Timeout",
    )
    for how, said in (
        ("with a cause", {"details": {"causes": [{"reason": "ResourceVersionTooLarge"}], "retryAfterSeconds": 1}}),
        ("in words of a cause", {"details": {"causes": [{"message": "Too large resource version"}]}}),
        ("in the message", {"message": "Timeout: Too large resource version: 99, current: 12"}),
    )
]

BODIES = [
    Case(title="an empty list is written as null", inject=emptied, server=LISTS),
    Case(
        title="lists have no resourceVersion",
        inject=changed(without_version),
        at_start=True,
        server=LISTS,
        within=1,
    ),
    Case(
        title="lists have no resourceVersion, and an object goes before the watch begins",
        inject=unversioned_and_changing,
        at_start=True,
        server=LISTS,
        lasts=20,
        is_silent=True,
        within=601,
    ),
    Case(
        title="an object without metadata stands in the list",
        inject=changed(lambda document: document["items"].insert(0, {"data": {}})),
        at_start=True,
        server=LISTS,
    ),
    Case(
        title="an object of the list holds half of a surrogate pair",
        inject=answered("list", Fault(rewrite=lambda body: body.replace(b'"of":"first"', rb'"of":"\ud83d"', 1))),
        at_start=True,
        server=LISTS,
        is_silent=True,
        within=1,
    ),
    Case(
        title="the metadata of every list hold nulls",
        inject=changed(lambda document: document["metadata"].update({"continue": None, "remainingItemCount": None})),
        at_start=True,
        server=LISTS,
        within=1,
    ),
    Case(
        title="lists are written anew by a proxy, with spaces",
        inject=answered("list", Fault(rewrite=lambda body: json.dumps(json.loads(body), indent=2).encode())),
        at_start=True,
        server=LISTS,
    ),
    Case(
        title="lists are answered as Tables",
        inject=answered("list", of_kind({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "rows": [], "metadata": {}})),
        at_start=True,
        server=LISTS,
        says="expected a list, got Table",
    ),
    Case(
        title="lists are answered with a list of another kind",
        inject=answered("list", of_kind(SECRETS)),
        at_start=True,
        server=LISTS,
        says="expected a list of configmaps.v1, got SecretList",
    ),
    Case(
        title="lists are answered with a single object",
        inject=answered("list", of_kind(configmap("c"))),
        at_start=True,
        server=LISTS,
        says="expected a list, got ConfigMap",
    ),
    Case(
        title="lists are answered with a Status of success",
        inject=answered("list", of_kind({"kind": "Status", "apiVersion": "v1", "status": "Success"})),
        at_start=True,
        server=LISTS,
        says="expected a list, got Status",
    ),
    Case(
        title="lists are answered with JSON of no kind",
        inject=answered("list", of_kind({"hello": "world"})),
        at_start=True,
        server=LISTS,
        says="an object without kind",
    ),
    Case(
        title="the body of every list ends in its middle, as if that were its end",
        inject=answered("list", Fault(rewrite=lambda body: body[: len(body) // 2])),
        at_start=True,
        server=LISTS,
        says="cut or no list",
    ),
    Case(
        title="an object of the list is larger than max_object_bytes",
        inject=huge,
        undo=lambda scene: scene.server.delete("configmaps", "huge", namespace="default"),
        at_start=True,
        server=LISTS,
        settings=dataclasses.replace(QUICK, max_object_bytes=20_000),
        says="larger than max_object_bytes",
    ),
]

CONNECTIONS = [
    Case(
        title=f"the connection of every list {what}",
        inject=answered("list", Fault(ending=ending, after=after)),
        at_start=True,
        server=LISTS,
        says=says,
        within=61 if ending is Ending.STALL else 31,
    )
    for what, ending, after, says in (
        ("is reset in its middle", Ending.RESET, 700, "connection broke"),
        ("is closed in its middle", Ending.CLOSE, 700, "connection broke"),
        ("is reset before the headers", Ending.RESET, None, "request failed"),
        ("falls silent before the headers", Ending.STALL, None, "no answer within 30 s"),
        ("falls silent after the headers", Ending.STALL, 0, "the list was silent for 30 s"),
        ("falls silent in its middle", Ending.STALL, 700, "the list was silent for 30 s"),
    )
]

PAGING = [
    Case(
        title="the second page of every list has expired",
        inject=answered("list", expired_pages),
        at_start=True,
        server=PAGED,
        settings=PAGES,
    ),
    Case(
        title="the second page of every list is answered with 500",
        inject=answered("list", lambda request: Fault(status=500) if "continue" in request.query else None),
        at_start=True,
        server=PAGED,
        settings=PAGES,
        says="500",
    ),
    Case(
        title="the second page of a list comes again and again",
        inject=same_page,
        at_start=True,
        server=PAGED,
        settings=PAGES,
        says="round in circles",
    ),
    Case(
        title="the first page of a list comes again and again, with ever new tokens",
        inject=leading_nowhere(map(str, itertools.count())),
        at_start=True,
        server=PAGED,
        settings=PAGES,
        says="round in circles",
        concerns_stock=False,
    ),
    Case(
        title="every page of a list is empty and leads to another one",
        inject=leading_nowhere(map(str, itertools.count()), items=[]),
        at_start=True,
        server=PAGED,
        settings=PAGES,
        says="the list is empty, and there is said to be more of it",
        concerns_stock=False,
    ),
    Case(
        title="lists of any version but the most recent one are answered with 410",
        inject=refused(410, reason="Expired"),
        server=LISTS,
        says="410 Expired",
    ),
    Case(
        title="the first list comes from a watch cache that lags behind",
        inject=stale,
        at_start=True,
        server=LISTS,
        within=1,
    ),
]

CASES = [*TOO_LARGE, *BODIES, *CONNECTIONS, *PAGING]

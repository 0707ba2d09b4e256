"""Faults of connections and servers: networks that break or freeze, servers that go, come back and have changed."""

from __future__ import annotations

import asyncio
import dataclasses
import json

from aioinformers.testing import Fault, RequestInfo, drop_bookmarks
from tests.faults.answers import answered, status_of
from tests.faults.scene import LISTS, Case, Scene, made
from tests.kit import QUICK

__all__ = ["CASES"]

WIDGETS = "widgets.v1.example.com"


def cut(scene: Scene) -> None:
    scene.proxy.refuse = True
    scene.proxy.cut()


def cut_every_five_seconds(scene: Scene) -> None:
    loop = asyncio.get_running_loop()
    for number in range(12):
        loop.call_later(5 * number, scene.proxy.cut)


def freeze(scene: Scene) -> None:
    scene.proxy.freeze()


async def thawed(scene: Scene) -> None:
    """Half-open connections are lost for good when the network is there again."""
    scene.proxy.cut()
    await asyncio.sleep(0)


async def freeze_after_a_bookmark(scene: Scene) -> None:
    scene.write()  # without news there are no bookmarks
    await asyncio.sleep(62)
    scene.proxy.freeze()


def slowly(scene: Scene) -> None:
    scene.proxy.rate = 400.0
    scene.proxy.cut()


async def large_and_slow(scene: Scene) -> None:
    scene.write()  # without news there are no bookmarks, and without those more silence is allowed
    await asyncio.sleep(62)
    scene.proxy.rate = 10_000.0
    scene.server.create("configmaps", made("large", data="x" * 900_000))


def in_splinters(scene: Scene) -> None:
    scene.proxy.split = 3
    scene.proxy.cut()


def late(scene: Scene) -> None:
    scene.proxy.delay = 2.0
    scene.proxy.cut()


async def stop(scene: Scene) -> None:
    await scene.server.stop()


async def start(scene: Scene) -> None:
    await scene.server.start()


async def start_without_history(scene: Scene) -> None:
    scene.server.expire()
    await scene.server.start()


async def restart(scene: Scene) -> None:
    await scene.server.stop()
    await scene.server.start()


async def rolling(scene: Scene) -> None:
    """One server after the other restarts, watches end each time."""
    for _ in range(3):
        await restart(scene)
        await asyncio.sleep(8)


async def restored(scene: Scene) -> None:
    backup = scene.server.backup()
    for _ in range(3):
        scene.write()
        await asyncio.sleep(1)
    for number in range(200):  # history that will be gone, so that the old versions lie in the future for long
        scene.server.create("events", {"metadata": {"name": f"e-{number}", "namespace": "default"}})
    scene.server.patch("configmaps", "kept", {"data": {"last": "x"}}, namespace="default")
    await asyncio.sleep(1)
    scene.server.restore(backup)


def crd_deleted(scene: Scene) -> None:
    scene.server.storage.remove_resource(scene.server.storage.resources.resolve(scene.plural))


def crd_created(scene: Scene) -> None:
    scene.server.add_resource(WIDGETS, "Widget")
    for name in ("kept", "phoenix", *(f"victim-{number}" for number in range(1, 9))):
        scene.server.create(scene.plural, made(name))


async def crd_deleted_unseen(scene: Scene) -> None:
    """The kind goes while nobody watches; its group has others."""
    await scene.server.stop()
    scene.server.add_resource("gizmos.v1.example.com", "Gizmo")
    crd_deleted(scene)
    await scene.server.start()


def group_away(scene: Scene) -> None:
    """As long as its server is, nothing tells of the group."""

    def without(body: bytes) -> bytes:
        document = json.loads(body)
        document["items"] = [each for each in document["items"] if each["metadata"].get("name") != "example.com"]
        return json.dumps(document).encode()

    def gone(request: RequestInfo) -> Fault | None:
        if request.path == "/apis":
            return Fault(rewrite=without)
        return Fault(status=404, body="404 page not found\n") if "/apis/example.com" in request.path else None

    scene.server.intercept(gone)
    scene.server.reset_connections()


def forbidden(request: RequestInfo) -> Fault:
    message = f'{request.resource} is forbidden: User "u" cannot {request.verb} resource'
    return Fault(status=403, body=status_of(403, reason="Forbidden", message=message))


def watching_only(scene: Scene) -> None:
    """Nothing happens, so that the version is checked by a list, which is not allowed."""

    def quiet(data: bytes) -> bytes:
        return data if b"initial-events-end" in data else drop_bookmarks(data)

    scene.on("list", forbidden)
    scene.on("watch stream", Fault(rewrite=quiet))


def upgraded(scene: Scene) -> None:
    scene.server.expire()
    scene.server.upgrade(watch_list=True)


def downgraded(scene: Scene) -> None:
    scene.server.expire()
    scene.server.upgrade(watch_list=False)


def compacted(scene: Scene) -> None:
    scene.write()
    scene.server.reset_connections()
    scene.write()
    scene.server.expire()


def etcd_gone(scene: Scene) -> None:
    fault = Fault(status=500, body=status_of(500, message="etcdserver: leader changed"))
    scene.on("list watch stream", lambda request: fault)
    scene.server.reset_connections()


NETWORK = [
    Case(
        title="every connection is reset, and each new one too",
        inject=cut,
        is_proxied=True,
        is_crowded=True,
        says="request failed",
    ),
    Case(title="all connections are reset every five seconds", inject=cut_every_five_seconds, is_proxied=True,
         lasts=61, is_quiet=True),
    Case(
        title="the network freezes: connections stay open and nothing arrives",
        inject=freeze,
        undo=thawed,
        is_proxied=True,
        lasts=60,
        is_silent=True,
    ),
    Case(
        title="a connection dies and nobody tells (half-open), after a bookmark",
        inject=freeze_after_a_bookmark,
        undo=thawed,
        is_proxied=True,
        is_crowded=True,
        lasts=240,
        says="the watch was silent for 75 s",
    ),
    Case(
        title="a connection dies and nobody tells (half-open), before any bookmark",
        inject=freeze,
        undo=thawed,
        is_proxied=True,
        server={"bookmark_interval": 10_000.0},
        lasts=700,
        says="the watch was silent for",
    ),
    Case(
        title="the network is frozen when the informers start",
        inject=freeze,
        undo=thawed,
        is_proxied=True,
        at_start=True,
        is_crowded=True,
        says="no answer within",
        within=61,
    ),
    Case(title="bytes trickle in at 400 a second", inject=slowly, is_proxied=True, is_silent=True),
    Case(title="an object of 900 kB comes at 10 kB a second", inject=large_and_slow, is_proxied=True, is_quiet=True,
         settings=dataclasses.replace(QUICK, watch_silence_timeout=20), is_silent=True),
    Case(title="bytes arrive in splinters of three", inject=in_splinters, is_proxied=True, server=LISTS, lasts=90),
    Case(title="every packet takes two seconds", inject=late, is_proxied=True, is_silent=True),
]  # fmt: skip

SERVERS = [
    Case(
        title="the API server is down for ten minutes",
        inject=stop,
        undo=start,
        lasts=600,
        is_crowded=True,
        says="cannot connect",
    ),
    Case(
        title="the API server is down for ten minutes and has forgotten all old versions",
        inject=stop,
        undo=start_without_history,
        lasts=600,
        is_crowded=True,
        says="cannot connect",
    ),
    Case(
        title="the API server is not there yet when the informers start",
        inject=stop,
        undo=start,
        at_start=True,
        is_crowded=True,
        says="cannot connect",
    ),
    Case(title="the API server restarts", inject=restart, is_crowded=True),
    Case(title="API servers restart one after the other", inject=rolling, is_crowded=True),
    Case(title="etcd is gone and every request fails with 500", inject=etcd_gone, is_crowded=True, says="leader"),
    Case(title="history is compacted while the connection is away", inject=compacted, is_crowded=True),
    Case(
        title="etcd was restored from a backup: resourceVersions fall, and watches are told nothing",
        inject=restored,
        lasts=5,
        is_silent=True,
        is_quiet=True,
        within=631,
    ),
    Case(
        title="etcd was restored from a backup, and the server cannot stream",
        inject=restored,
        server=LISTS,
        lasts=5,
        is_silent=True,
        is_quiet=True,
        within=631,
    ),
    Case(
        title="a CRD is deleted with all its objects, and created again",
        inject=crd_deleted,
        undo=crd_created,
        resource=WIDGETS,
        says="404",
        concerns_stock=False,
    ),
    Case(
        title="a kind is not served any more, which nobody saw, and comes back",
        inject=crd_deleted_unseen,
        undo=crd_created,
        resource=WIDGETS,
        says="waiting for the kind to be served",
        concerns_stock=False,
    ),
    Case(
        title="the API group of an aggregated server is away for an hour",
        inject=group_away,
        resource=WIDGETS,
        lasts=3600,
        is_quiet=True,
        says="its objects are kept: the API group example.com is not served",
        concerns_stock=False,
    ),
    Case(
        title="permission is taken away for a while",
        inject=answered("list watch stream", forbidden),
        is_crowded=True,
        says="403 Forbidden",
    ),
    Case(
        title="permission to list is never given, only to watch",
        inject=watching_only,
        at_start=True,
        is_quiet=True,
        lasts=900,
        says="403 Forbidden",
    ),
    Case(
        title="permission to watch is taken away, lists are allowed",
        inject=answered("watch stream", forbidden),
        lasts=300,
        says="403 Forbidden",
    ),
    Case(title="the server is upgraded and can stream initial objects now", inject=upgraded, server=LISTS),
    Case(title="the server is downgraded and cannot stream initial objects any more", inject=downgraded),
]

CASES = [*NETWORK, *SERVERS]

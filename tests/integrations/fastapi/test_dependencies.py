"""What routes ask for, and how its errors are answered."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec
import pytest
from fastapi import Depends, FastAPI, Request, WebSocket
from fastapi.responses import JSONResponse
from kubernetes_asyncio import client
from starlette.websockets import WebSocketDisconnect

from aioinformers import (
    ALL_NAMESPACES,
    GroupVersionResource,
    Indexer,
    InformerCrashedError,
    Lister,
    NotFoundError,
    SharedInformer,
    SharedInformerFactory,
    keep_fields,
)
from aioinformers.informer import pipeline_of
from aioinformers.integrations.fastapi import informers
from aioinformers.integrations.fastapi.dependencies import (
    EXCEPTION_HANDLERS,
    Factory,
    Stopping,
    indexer_of,
    informer_of,
    lister_of,
)
from aioinformers.integrations.lifecycle import KEY, AppState
from aioinformers.testing import FakeAPIServer
from tests.integrations.apps import build_on, client_of, served
from tests.kit import configmap

pytestmark = pytest.mark.virtual_time

ConfigMaps = Annotated[Lister[client.V1ConfigMap], lister_of(client.V1ConfigMap, namespace="shop")]


class Small(msgspec.Struct, frozen=True):
    """What somebody needs of an object."""

    metadata: dict[str, Any]


def app_on(server: FakeAPIServer, **options: Any) -> FastAPI:
    """Return an app with a route for each kind of dependency."""
    app = FastAPI(lifespan=informers(build_on(server), sync_timeout=5), **options)

    @app.get("/names")
    async def names(configmaps: ConfigMaps) -> list[str]:
        return sorted(each.metadata.name for each in configmaps)

    @app.get("/names/{name}")
    def one(name: str, configmaps: ConfigMaps) -> str:
        """Not async: it runs in a thread, and reads there."""
        return str(configmaps.get(name, namespace="shop").metadata.name)

    @app.get("/labelled/{value}")
    async def labelled(
        value: str,
        configmaps: Annotated[
            Indexer[dict[str, Any]], indexer_of("configmaps.v1.", indexers={"app": "metadata.labels['app']"})
        ],
    ) -> list[str]:
        return sorted(each["metadata"]["name"] for each in configmaps.by_index("app", value))

    @app.get("/small")
    async def small(found: Annotated[Lister[Small], lister_of("configmaps.v1.", object_type=Small)]) -> list[str]:
        return sorted(str(each.metadata["name"]) for each in found)

    @app.get("/wait/{name}")
    async def wait(
        name: str, found: Annotated[SharedInformer[client.V1ConfigMap], informer_of(client.V1ConfigMap)]
    ) -> str:
        await found.wait_for(f"shop/{name}", lambda each: each is not None)
        return "there"

    @app.get("/informers")
    async def informers_(factory: Factory) -> list[str]:
        return sorted(each.name for each in factory)

    return app


async def test_routes_are_given_what_they_ask_for() -> None:
    async with FakeAPIServer() as server:
        server.create("configmaps", configmap("a", "shop", {"app": "web"}))
        server.create("configmaps", configmap("b", "other", {"app": "web"}))
        async with served(app_on(server)) as app:
            asked = len(server.requests)
            assert (await app.get("/names")).json() == ["a"]
            assert (await app.get("/names/a")).json() == "a"
            assert (await app.get("/labelled/web")).json() == ["a", "b"]
            assert (await app.get("/small")).json() == ["a", "b"]
            assert (await app.get("/wait/a")).json() == "there"
            assert (await app.get("/informers")).json() == [
                "configmaps.v1",
                "configmaps.v1 [as Small]",
                "configmaps.v1 [as dict]",
                "configmaps.v1 [shop]",
            ]
            assert len(server.requests) == asked, "all were made before it served"


async def test_what_is_not_there_is_404_and_says_nothing_else() -> None:
    async with FakeAPIServer() as server:
        server.create("configmaps", configmap("hidden", "shop"))
        app = app_on(server)

        @app.get("/careless/{name}")
        async def careless(name: str, found: Annotated[Any, lister_of(client.V1ConfigMap)]) -> None:
            found.get(name)

        async with served(app) as running:
            answer = await running.get("/names/absent")
            assert (answer.status_code, answer.json()) == (
                404,
                {"detail": "there is no 'shop/absent' among configmaps.v1"},
            )
            answer = await running.get("/careless/hidden")  # the error says in which namespace one is
            assert (answer.status_code, answer.json()) == (404, {"detail": "there is no 'hidden' among configmaps.v1"})


async def test_before_the_sync_reads_are_503_and_never_empty() -> None:
    async with FakeAPIServer() as server:
        heal = server.fail("* configmaps", 403, times=None)
        async with served(app_on(server)) as app:
            for path in ("/names", "/names/a", "/labelled/web", "/small"):
                answer = await app.get(path)
                assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
                assert answer.json() == {
                    "detail": "configmaps.v1 cannot be read yet: the API server does not allow to list and watch them"
                }
            heal()
            await asyncio.sleep(60)
            assert (await app.get("/names")).json() == []


async def test_one_that_is_met_late_is_made_then() -> None:
    async with FakeAPIServer() as server, served(app := app_on(server)) as running:
        server.create("secrets", {"metadata": {"name": "s", "namespace": "shop"}})

        @app.get("/late")
        async def late(secrets: Annotated[Any, lister_of("secrets.v1.")]) -> int:
            return len(secrets)

        answer = await running.get("/late")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        assert answer.json() == {"detail": "secrets.v1 cannot be read yet: the first list is under way"}
        await asyncio.sleep(1)
        assert (await running.get("/late")).json() == 1


async def test_one_that_was_released_is_made_again() -> None:
    async with FakeAPIServer() as server, served(app_on(server)) as app:
        factory = app.state[KEY].factory
        gone = next(each for each in factory if each.name == "configmaps.v1 [shop]")
        assert await factory.release(gone)
        assert (await app.get("/names")).status_code == 503
        await asyncio.sleep(1)
        assert (await app.get("/names")).status_code == 200


async def test_a_cache_that_a_bug_has_ended_is_503(caplog: pytest.LogCaptureFixture) -> None:
    async with FakeAPIServer() as server, served(app_on(server)) as app:
        state = app.state[KEY]
        crashed = next(each for each in state.factory if each.name == "configmaps.v1 [shop]")

        def bug(*_: Any, **__: Any) -> Any:
            raise AssertionError("a bug at 10.0.0.1")

        pipeline_of(crashed).dispatcher.apply = bug  # type: ignore[method-assign]
        server.create("configmaps", configmap("a", "shop"))
        with pytest.raises(InformerCrashedError):
            await crashed.wait_closed()
        answer = await app.get("/names")
        assert (answer.status_code, answer.json()) == (503, {"detail": "the cache has failed"})
        assert (await app.get("/informers")).status_code == 200
        assert "a bug at 10.0.0.1" in caplog.text


async def test_reads_go_on_while_the_server_stops_and_end_with_the_factory() -> None:
    async with FakeAPIServer() as server, served(app_on(server)) as app:
        state: AppState = app.state[KEY]
        waiting = asyncio.create_task(app.get("/wait/never"))
        await asyncio.sleep(1)
        state.stop()
        answer = await waiting
        assert (answer.status_code, answer.json()) == (503, {"detail": "the server is stopping"})
        assert answer.headers["Retry-After"] == "1"
        assert (await app.get("/names")).json() == []
        assert state.factory is not None
        await state.factory.shutdown()
        for path in ("/names", "/wait/a", "/labelled/web"):
            answer = await app.get(path)
            assert (answer.status_code, answer.json()) == (503, {"detail": "the server is stopping"})


async def test_an_app_of_its_own_words_is_asked_first() -> None:
    app = FastAPI()

    @app.exception_handler(NotFoundError)
    async def not_found(_: Request, error: NotFoundError) -> JSONResponse:
        return JSONResponse({"missing": error.key}, 410)

    async with FakeAPIServer() as server:
        inner = app_on(server, exception_handlers=app.exception_handlers)
        async with served(inner) as running:
            answer = await running.get("/names/absent")
            assert (answer.status_code, answer.json()) == (410, {"missing": "shop/absent"})


async def test_overrides_need_no_cluster_and_no_lifespan() -> None:
    async with FakeAPIServer() as server:
        app = app_on(server, exception_handlers=EXCEPTION_HANDLERS)

    class Fake:
        def __iter__(self) -> Any:
            return iter([client.V1ConfigMap(metadata=client.V1ObjectMeta(name="fake"))])

        def get(self, name: str, *, namespace: str) -> Any:
            raise NotFoundError("configmaps.v1", f"{namespace}/{name}")

    app.dependency_overrides[lister_of(client.V1ConfigMap, namespace="shop")] = Fake
    http = client_of(app)
    assert http.get("/names").json() == ["fake"]
    assert http.get("/names/absent").status_code == 404, "by the app's handlers, as the dependency is away"


async def test_without_the_lifespan_it_is_said_what_to_do() -> None:
    async with FakeAPIServer() as server:
        app = app_on(server)
    with pytest.raises(
        RuntimeError, match=r"this app runs no informers: give it FastAPI\(lifespan=informers\(build\)\)"
    ):
        client_of(app).get("/names")
    for name in ("/wait/a", "/informers"):
        with pytest.raises(RuntimeError, match="with TestClient"):
            client_of(app).get(name)


def test_websockets_are_answered_too() -> None:
    """In a thread with a loop of its own, as TestClient runs apps."""
    lifespan = informers(no_factory, sync_timeout=0)
    app = FastAPI(lifespan=lifespan)

    @app.websocket("/names")
    async def names(socket: WebSocket, found: ConfigMaps) -> None:
        await socket.accept()

    @app.websocket("/stopping")
    async def until_it_stops(socket: WebSocket, stopping: Stopping) -> None:
        await socket.accept()
        await stopping.wait()
        await socket.send_text("good bye")
        await socket.close()

    with client_of(app) as http:
        with pytest.raises(WebSocketDisconnect) as refused, http.websocket_connect("/names"):
            pass
        assert refused.value.code == 1013
        why = refused.value.reason  # by now nobody may have answered there
        assert why.startswith("configmaps.v1 cannot be read yet: "), why
        assert why.endswith(("the first list is under way", "the API server cannot be reached")), why
        with http.websocket_connect("/stopping") as socket:
            lifespan.stop()
            assert socket.receive_text() == "good bye"


async def no_factory() -> Any:
    """A factory whose server never answers."""
    configuration = client.Configuration()
    configuration.host = "http://127.0.0.1:9"
    async with client.ApiClient(configuration) as api, SharedInformerFactory(api) as factory:
        yield factory


# -- what is asked for --------------------------------------------------------------------------------------------


def test_who_asks_for_the_same_depends_on_the_same() -> None:
    """So FastAPI calls it once for a request, and an override is found."""
    gvr = GroupVersionResource("", "v1", "pods")
    same = [lister_of("pods.v1."), lister_of(gvr), lister_of(gvr, object_type=dict), lister_of(gvr, namespace=None)]
    assert len(set(same)) == 1
    assert repr(same[0]) == "lister_of('pods.v1')"
    others = [
        same[0], indexer_of(gvr), informer_of(gvr), lister_of(client.V1Pod), lister_of(gvr, namespace="a"),
        lister_of(gvr, namespace=ALL_NAMESPACES), lister_of(gvr, label_selector="a=b"), lister_of(gvr, optional=True),
        lister_of(gvr, indexers={"node": "spec.nodeName"}), lister_of(gvr, transform=keep_fields("metadata")),
        lister_of(gvr, compact=False), lister_of(gvr, resync_period=30),
    ]  # fmt: skip
    assert len(set(others)) == len(others)
    assert same[0] != "lister_of('pods.v1')"


async def first(configmaps: ConfigMaps) -> Any:
    return configmaps.get("first", namespace="shop")


@pytest.mark.parametrize("function", [lister_of, indexer_of, informer_of])
@pytest.mark.parametrize(
    ("arguments", "options", "error", "words"),
    [
        (("pods",), {}, ValueError, "did you mean 'pods.v1.'"),
        ((Small,), {}, ValueError, "Small"),
        ((client.V1PodList,), {}, ValueError, "V1PodList"),
        ((7,), {}, TypeError, "a resource is named by its text"),
        ((client.V1Pod(),), {}, TypeError, "give the class V1Pod"),
        (("pods.v1.",), {"namespaces": "a"}, TypeError, "has no option 'namespaces': did you mean 'namespace'"),
        (("pods.v1.",), {"namespace": "*"}, ValueError, "cannot be a namespace"),
        (("nodes.v1.",), {"namespace": "a"}, ValueError, "cluster-scoped"),
        (("pods.v1.",), {"label_selector": "a=(b"}, ValueError, "bad selector"),
        (("pods.v1.",), {"object_type": client.V1Node}, TypeError, "is the model of nodes.v1"),
    ],
)
def test_what_cannot_be_is_refused_where_it_is_written(
    function: Any, arguments: Any, options: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words.replace("*", r"\*").replace("(", r"\(")):
        function(*arguments, **options)


async def test_what_contradicts_another_dependency_ends_the_start() -> None:
    async with FakeAPIServer() as server:
        app = app_on(server)

        @app.get("/other")
        async def other(
            found: Annotated[Any, indexer_of("configmaps.v1.", indexers={"app": "metadata.labels['other']"})],
        ) -> None: ...

        with pytest.raises(ValueError, match="index 'app' exists with another definition"):
            async with served(app):
                pass


async def test_sub_dependencies_are_answered_too() -> None:
    async with FakeAPIServer() as server:
        app = FastAPI(lifespan=informers(build_on(server)))

        @app.get("/first")
        async def route(found: Annotated[Any, Depends(first)]) -> str:
            return str(found.metadata.name)

        async with served(app) as running:
            assert (await running.get("/first")).status_code == 404
            server.create("configmaps", configmap("first", "shop"))
            await asyncio.sleep(1)
            assert (await running.get("/first")).json() == "first"

"""Nothing wrong happens in silence, and nothing is said without end: logs, health, waits and arguments."""

from __future__ import annotations

import asyncio
import datetime
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from kubernetes_asyncio import client

from aioinformers import Event, NotFoundError, ObjectKey, SharedInformerFactory, drop_fields, new_informer
from aioinformers.errors import InformerClosedError, InformerCrashedError
from aioinformers.informer import pipeline_of
from aioinformers.testing import EventRecorder, FakeAPIServer, Fault
from tests.kit import QUICK, Recorder, configmap, factory_on, pod

pytestmark = pytest.mark.virtual_time


def lines(caplog: pytest.LogCaptureFixture, words: str) -> list[logging.LogRecord]:
    return [record for record in caplog.records if words in record.getMessage()]


DOUBLINGS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]


# -- noise ----------------------------------------------------------------------------------------------------------


async def failing(event: Event[Any]) -> None:
    raise ValueError("always")


async def also_failing(event: Event[Any]) -> None:
    raise ValueError(event.key.name) if event.key.name < "c1" else KeyError(event.key.name)


def refuse(obj: Any) -> Any:
    raise ValueError("not mine")


@pytest.mark.parametrize("concurrency", [1, 8])
async def test_a_handler_that_always_fails_is_told_of_at_each_doubling(
    caplog: pytest.LogCaptureFixture, concurrency: int
) -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        for number in range(2000):
            server.create("configmaps", configmap(f"c{number}"))
        informer = factory.core.v1.configmaps()
        registration = informer.add_event_handler(failing, concurrency=concurrency)
        await factory.start()
        await registration.wait_synced(timeout=60)
        told = lines(caplog, "handler failing failed")
        assert len(told) == len(DOUBLINGS)
        assert all(record.exc_info for record in told)
        assert "times by now" not in told[0].getMessage()
        assert told[-1].getMessage().endswith(" (1,024 times by now; told of again at 2,048)")
        assert registration.statistics().failed == 2000


async def test_another_error_of_a_handler_is_told_of_by_itself(caplog: pytest.LogCaptureFixture) -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        for number in range(20):
            server.create("configmaps", configmap(f"c{number}"))
        registration = factory.core.v1.configmaps().add_event_handler(also_failing)
        await factory.start()
        await registration.wait_synced(timeout=60)
        kinds = [record.exc_info[0] for record in lines(caplog, "also_failing failed") if record.exc_info]
        assert kinds.count(ValueError) == 1
        assert kinds.count(KeyError) == 5


async def test_with_on_error_the_traceback_is_its_to_show(caplog: pytest.LogCaptureFixture) -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("configmaps", configmap("c"))
        errors: list[str] = []
        registration = factory.core.v1.configmaps().add_event_handler(
            failing, on_error=lambda error, event: errors.append(f"{event.key}: {error}")
        )
        await factory.start()
        await registration.wait_synced(timeout=5)
        (record,) = lines(caplog, "handler failing failed")
        assert not record.exc_info
        assert record.getMessage().endswith(": ValueError")
        assert errors == ["default/c: always"]


async def test_filters_indexes_and_on_error_that_always_raise_are_told_of_at_each_doubling(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        for number in range(2000):
            server.create("configmaps", configmap(f"c{number}"))
        informer = factory.core.v1.configmaps(object_type=dict, indexers={"bad": refuse})
        informer.add_event_handler(Recorder(), filter=refuse)
        registration = informer.add_event_handler(failing, on_error=lambda error, event: refuse(event))
        await factory.start()
        await registration.wait_synced(timeout=60)
        for words in ("the filter of Recorder raised", "index bad", "on_error of handler failing raised"):
            assert len(lines(caplog, words)) == len(DOUBLINGS), words


async def test_g11_rejections_are_told_of_at_each_doubling_and_a_transforms_own_error_with_them(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        for number in range(2000):
            server.create("configmaps", configmap(f"c{number}"))
        informer = factory.core.v1.configmaps(object_type=dict, transform=refuse)
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        assert informer.health().rejected == 2000
        assert informer.statistics().rejected["default/c7"] == "the transform refuse raised ValueError"
        told = lines(caplog, "cannot be read: the transform refuse raised ValueError")
        assert len(told) == len(DOUBLINGS)
        raised = lines(caplog, "the transform refuse raised for default/c")
        assert len(raised) == len(DOUBLINGS)
        assert raised[0].exc_info
        server.create("configmaps", configmap("late"))
        await asyncio.sleep(1)
        assert len(lines(caplog, "cannot be read")) == len(DOUBLINGS)


async def test_on_watch_error_that_always_raises_is_told_of_at_each_doubling(caplog: pytest.LogCaptureFixture) -> None:
    async with FakeAPIServer() as server, server.api_client() as api:
        server.fail("* pods", status=403, times=None)
        async with SharedInformerFactory(api, settings=QUICK, on_watch_error=refuse) as factory:
            pods = factory.core.v1.pods()
            await asyncio.sleep(600)
            failures = pods.statistics().failures
            assert failures > 16
            assert len(lines(caplog, "on_watch_error raised")) == failures.bit_length()


# -- what health tells ----------------------------------------------------------------------------------------------


async def test_synced_but_refused_ever_since_is_degraded_and_says_why() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        pods, nodes = factory.core.v1.pods(), factory.core.v1.nodes(optional=True)
        await factory.start()
        await factory.wait_live(timeout=5)
        assert not factory.health().is_degraded
        assert factory.health().reason == ""
        heal = server.fail("* pods", status=401, times=None)
        server.close_watches()
        await asyncio.sleep(3600)
        health = factory.health()
        assert health.is_ready, "reads are answered"
        assert health.is_degraded
        assert "pods.v1: " in health.reason
        assert "401" in health.reason
        assert pods.health().is_degraded
        assert pods.health().scopes[0].is_degraded
        assert not nodes.health().is_degraded
        heal()
        await factory.wait_live(timeout=60)
        assert not factory.health().is_degraded


async def test_a_wait_for_live_informers_names_those_that_are_late() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        factory.core.v1.pods()
        factory.core.v1.nodes()
        with pytest.raises(RuntimeError, match="has not been started"):
            await factory.wait_live(timeout=1)
        server.fail("* nodes", status=403, times=None)
        await factory.start()
        with pytest.raises(TimeoutError) as caught:
            await factory.wait_live(timeout=20)
        assert str(caught.value).startswith("factory is not live within 20 s: nodes.v1: ")
        assert "403" in str(caught.value)
        assert "pods" not in str(caught.value)


async def test_a_wait_for_live_informers_ends_with_them() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        nodes, pods = factory.core.v1.nodes(), factory.core.v1.pods()
        server.fail("* nodes", status=403, times=None)
        await factory.start()
        waiting = asyncio.create_task(factory.wait_live())
        await asyncio.sleep(5)
        assert not waiting.done()
        await factory.release(nodes)
        await asyncio.wait_for(waiting, 1)  # nobody waits for what was released
        server.fail("* pods", status=403, times=None)
        server.close_watches()
        await asyncio.sleep(5)
        waiting = asyncio.create_task(factory.wait_live())
        cancelled = asyncio.create_task(factory.wait_live())
        await asyncio.sleep(1)
        cancelled.cancel()
        await asyncio.wait([cancelled])
        assert cancelled.cancelled()
        await factory.shutdown()
        with pytest.raises(InformerClosedError):
            await waiting
        with pytest.raises(InformerClosedError):
            await factory.wait_live()
        assert not pipeline_of(pods).is_live


async def test_a_crash_ends_the_wait_for_live_informers(monkeypatch: pytest.MonkeyPatch) -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        pods = factory.core.v1.pods()
        server.fail("list pods", status=403, times=2)
        await factory.start()
        waiting = asyncio.create_task(factory.wait_live())
        await asyncio.sleep(0)

        def broken(*_: object) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(pipeline_of(pods).dispatcher, "_stage", broken)
        server.create("pods", pod("a"))
        with pytest.raises(InformerCrashedError):
            await asyncio.wait_for(waiting, 60)
        assert factory.health().informers[0].has_crashed


async def test_a_crash_of_a_live_informer_ends_the_wait_for_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        pods, nodes = factory.core.v1.pods(), factory.core.v1.nodes()
        server.fail("* nodes", status=403, times=None)
        await factory.start()
        await pods.wait_synced(timeout=5)
        waiting = asyncio.create_task(factory.wait_live())
        await asyncio.sleep(5)

        def broken(*_: object) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(pipeline_of(pods).dispatcher, "apply", broken)
        server.create("pods", pod("a"))
        with pytest.raises(InformerCrashedError, match="pods"):
            await asyncio.wait_for(waiting, 5)
        assert not nodes.has_synced


async def test_a_kind_that_can_only_be_listed_is_live_once_it_has_been() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.fail("watch pods", status=405, times=None)
        pods = factory.core.v1.pods()
        await factory.start()
        await factory.wait_live(timeout=60)
        assert not pods.is_watching
        assert not factory.health().is_degraded
        assert "405" in pods.health().reason


@pytest.mark.parametrize("document", ["list", "nothing"])
async def test_g5_nothing_is_gone_because_another_server_says_so(document: str) -> None:
    """A gateway redirects to where the kind is not served."""
    async with FakeAPIServer() as server, FakeAPIServer() as other, factory_on(server) as factory:
        server.create("pods", pod("a"))
        pods = factory.core.v1.pods()
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        resources = [{"name": "nodes", "kind": "Node", "namespaced": False, "verbs": ["list", "watch"]}]
        listed = {"kind": "APIResourceList", "groupVersion": "v1", "resources": resources}
        other.intercept(lambda request: Fault(status=200, body=listed) if request.path == "/api/v1" else None)
        other.fail("* pods", status=404, times=None)

        def elsewhere(request: Any) -> Fault | None:
            if document == "nothing" and request.path == "/api/v1":
                return None
            return Fault(status=307, headers={"Location": f"{other.url}{request.path}"})

        server.intercept(elsewhere)
        server.close_watches()
        server.expire()
        await asyncio.sleep(600)
        assert len(pods.lister) == 1
        assert "redirected" in pods.health().reason
        assert pods.health().is_degraded


async def test_what_the_server_warns_of_is_told_once_and_stands_in_health(caplog: pytest.LogCaptureFixture) -> None:
    texts: list[str] = []
    header = {"Warning": '299 - "v1 ConfigMap is deprecated"'}
    async with FakeAPIServer() as server, server.api_client() as api:
        server.intercept(lambda request: Fault(headers=header) if "configmaps" in request.path else None)
        async with SharedInformerFactory(api, settings=QUICK, on_warning=texts.append) as factory:
            configmaps, pods = factory.core.v1.configmaps(), factory.core.v1.pods()
            await factory.wait_live(timeout=5)
            for _ in range(5):
                server.close_watches()
                await asyncio.sleep(10)
            assert configmaps.health().warnings == ("v1 ConfigMap is deprecated",)
            assert pods.health().warnings == ()
        assert texts == ["v1 ConfigMap is deprecated"]
        assert len(lines(caplog, "the server says: v1 ConfigMap is deprecated")) == 1
        caplog.clear()
        async with new_informer(api, "configmaps.v1.", settings=QUICK, on_warning=refuse) as informer:
            await informer.wait_synced(timeout=5)
        assert len(lines(caplog, "on_warning raised")) == 1


# -- how waits end --------------------------------------------------------------------------------------------------


async def test_a_stream_ends_when_its_event_is_set() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        for name in "abc":
            server.create("pods", pod(name))
        pods, over = factory.core.v1.pods(), asyncio.Event()
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        names: list[str] = []
        asyncio.get_running_loop().call_later(60, over.set)
        before = asyncio.get_running_loop().time()
        async with pods.stream(until=over) as events:
            names += [event.key.name async for event in events]
        assert asyncio.get_running_loop().time() - before == pytest.approx(60, abs=1)
        assert names == ["a", "b", "c"]
        async with pods.stream(until=over) as events:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert [event async for event in events] == []
            assert events.statistics().undelivered == 3
        async with pods.stream(until=asyncio.Event()) as events:
            asyncio.get_running_loop().call_later(5, asyncio.create_task, factory.shutdown())
            assert len([event async for event in events]) == 3, "the factory's end is one, too"


async def test_an_event_that_cannot_be_waited_for_ends_its_stream_alone(caplog: pytest.LogCaptureFixture) -> None:
    """Such as one that another loop has used."""

    class Broken(asyncio.Event):
        async def wait(self) -> Any:
            raise RuntimeError("bound to another loop")

    async with FakeAPIServer() as server, factory_on(server) as factory:
        pods = factory.core.v1.pods()
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        async with pods.stream(until=Broken()) as events, pods.stream() as others:
            assert [event async for event in events] == []
            server.create("pods", pod("a"))
            assert (await anext(others)).key.name == "a"
        assert len(lines(caplog, "until of stream raised, and ends it")) == 1
        assert factory.health().is_ready
        with pytest.raises(RuntimeError, match="another loop"):
            await pods.wait_for("default/b", lambda obj: obj is not None, until=Broken())


async def test_a_stream_of_an_informer_that_never_starts_leaves_nothing() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        over = asyncio.Event()
        async with factory.core.v1.pods().stream(until=over) as events:
            over.set()
            assert [event async for event in events] == []
        async with factory.core.v1.nodes().stream(until=asyncio.Event()):
            pass
        stream = factory.core.v1.nodes().stream(until=asyncio.Event())
        await stream.__aenter__()
        await factory.shutdown()


async def test_a_wait_is_given_up_when_its_event_is_set() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("pods", pod("a"))
        pods, over = factory.core.v1.pods(), asyncio.Event()
        await factory.start()
        assert await pods.wait_for("default/a", lambda obj: obj is not None, timeout=5, until=over) is not None
        assert await pods.wait_for("default/b", lambda obj: obj is None, until=over) is None
        asyncio.get_running_loop().call_later(60, over.set)
        with pytest.raises(TimeoutError, match=r"pods.v1: the wait for default/b was given up, as its `until` event"):
            await pods.wait_for("default/b", lambda obj: obj is not None, timeout=600, until=over)
        with pytest.raises(TimeoutError, match="default/b did not come into the cache within 5 s"):
            await pods.wait_for("default/b", lambda obj: obj is not None, timeout=5, until=asyncio.Event())
        waiting = asyncio.create_task(pods.wait_for("default/b", lambda obj: obj is not None, until=asyncio.Event()))
        await asyncio.sleep(1)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert waiting.cancelled()
        waiting = asyncio.create_task(pods.wait_for("default/b", lambda obj: obj is not None, until=asyncio.Event()))
        await asyncio.sleep(1)
        await factory.shutdown()
        with pytest.raises(InformerClosedError):
            await waiting


async def test_what_cannot_be_waited_for_is_no_event() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        pods = factory.core.v1.pods()
        for odd in (True, 5.0, asyncio.Event, lambda: True):
            with pytest.raises(TypeError, match=r"until must be an asyncio\.Event, not "):
                pods.stream(until=odd)  # type: ignore[arg-type]
            with pytest.raises(TypeError, match=r"until must be an asyncio\.Event, not "):
                await pods.wait_for("a/b", lambda obj: True, until=odd)  # type: ignore[arg-type]


async def test_every_timeout_says_what_was_waited_for() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("pods", pod("a"))
        pods, errors = factory.core.v1.pods(), list[Exception]()

        async def hangs(event: Event[Any]) -> None:
            await asyncio.sleep(1000)

        registration = pods.add_event_handler(
            hangs, handler_timeout=7, on_error=lambda error, event: errors.append(error)
        )
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        with pytest.raises(TimeoutError, match=r"hangs of pods.v1 has not handled the initial state within 1 s"):
            await registration.wait_synced(timeout=1)
        await asyncio.sleep(10)
        assert [str(error) for error in errors] == [
            "the handler has not handled Added(pods.v1 default/a, initial=True, cause=LIST) within 7 s"
        ]


@pytest.mark.parametrize("concurrency", [1, 4])
async def test_a_handler_that_waits_for_itself_is_told_so(concurrency: int) -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("pods", pod("a"))
        pods, errors = factory.core.v1.pods(), list[str]()

        async def waits(event: Event[Any]) -> None:
            if event.key.name == "a":
                await registration.wait_synced()
            else:
                await registration.wait_synced()  # it has been by now

        registration = pods.add_event_handler(
            waits, concurrency=concurrency, name="mine", on_error=lambda error, event: errors.append(str(error))
        )
        await factory.start()
        await registration.wait_synced(timeout=5)
        assert errors == ["mine of pods.v1 waits inside its own handler for that to be done"]
        server.create("pods", pod("b"))
        await asyncio.sleep(1)
        assert registration.statistics().handled == 1


# -- arguments ------------------------------------------------------------------------------------------------------


async def test_an_object_without_its_namespace_says_where_one_is() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        for namespace in ("a", "b", "c", "d"):
            server.create("pods", {"metadata": {"name": "web", "namespace": namespace}})
        server.create("pods", {"metadata": {"name": "alone", "namespace": "a"}})
        pods = factory.core.v1.pods()
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        found = {
            "alone": "pods.v1 'alone' is not in the cache: one is in namespace 'a': give namespace=",
            "web": "pods.v1 'web' is not in the cache: one is in namespace 'a', 'b', 'c' and 1 more: give namespace=",
            "a/web": "pods.v1 'a/web' is not in the cache: a name has no slash: did you mean 'web' with namespace='a'?",
            "never": "pods.v1 'never' is not in the cache",
        }
        for name, words in found.items():
            with pytest.raises(NotFoundError) as caught:
                pods.lister.get(name)
            assert str(caught.value) == words
        for read in (lambda: pods.lister.get("x", namespace="a"), lambda: pods.indexer["a/x"]):
            with pytest.raises(NotFoundError, match=r"^pods.v1 'a/x' is not in the cache$"):
                read()  # type: ignore[no-untyped-call]
        assert pods.indexer.get(ObjectKey("a", "x")) is None


class Equal:
    """One handler is not another because it is equal to it."""

    async def on_add(self, obj: Any) -> None: ...

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


async def test_a_handler_is_removed_by_itself() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        pods, recorder, methods = factory.core.v1.pods(), Recorder(), Recorder()

        @pods.on_add
        async def decorated(obj: Any) -> None: ...

        pods.add_event_handler(recorder)
        pods.add_event_handler(recorder)
        pods.add_event_handler(methods.__call__)
        assert len(pods.statistics().consumers) == 3
        pods.remove_event_handler(methods.__call__)
        pods.remove_event_handler(recorder)
        assert pods.statistics().consumers == {}
        with pytest.raises(ValueError, match=r"Recorder is not registered at pods.v1: give the registration"):
            pods.remove_event_handler(recorder)
        pods.add_event_handler(Equal())
        with pytest.raises(ValueError, match=r"Equal is not registered at pods.v1"):
            pods.remove_event_handler(Equal())
        with pytest.raises(ValueError, match=r"decorated is not registered at pods.v1: remove default_registration"):
            pods.remove_event_handler(decorated)


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"namespace": [None]}, TypeError, "a namespace is a text, not None"),
        ({"namespace": 5}, TypeError, "a namespace is a text, not 5"),
        (
            {"indexers": ["spec.nodeName"]},
            TypeError,
            "indexers are given by name, as {'node': 'spec.nodeName'}, not",
        ),
        ({"indexers": {"node": "spec.node_name"}}, ValueError, "did you mean spec.nodeName?"),
        ({"indexers": {"node": failing}}, TypeError, "index 'node' is called without await"),
        ({"indexers": {"": "spec.nodeName"}}, TypeError, "an index is named by a text, not by ''"),
        ({"transform": drop_fields}, TypeError, "drop_fields makes a transform: call it with paths"),
        ({"object_type": client.V1Node}, TypeError, "object_type=V1Node is the model of nodes.v1, not of pods.v1"),
        ({"optional": "no"}, TypeError, "optional is True or False, not 'no'"),
        ({"resync_period": 10**400}, ValueError, "a resync period must be a number that a float can hold"),
        ({"transform": failing}, TypeError, "transform is called without await"),
        ({"transform": "status"}, TypeError, "transform must be a function, not 'status'"),
        ({"resync_period": "60"}, TypeError, "a resync period must be a number, not '60'"),
        ({"lable_selector": "a=b"}, TypeError, "pods() has no option 'lable_selector': did you mean 'label_selector'?"),
    ],
)
async def test_options_that_cannot_be_are_refused(given: Any, error: type[Exception], words: str) -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        with pytest.raises(error) as caught:
            factory.core.v1.pods(**given)
        assert words in str(caught.value)
        assert not list(factory)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"filter": failing}, "filter is called without await"),
        ({"filter": "spec"}, "filter must be a function, not 'spec'"),
        ({"filter": lambda old, new: True}, "filter is called with the object; "),
        ({"on_error": lambda error: None}, "on_error is called with the exception and the event; "),
        ({"on_error": "log"}, "on_error must be a function, not 'log'"),
        ({"concurrency": "4"}, "concurrency must be a whole number, not '4'"),
        ({"concurrency": 2.5}, "concurrency must be a whole number, not 2.5"),
        ({"limit": True}, "limit must be a whole number, not True"),
        ({"handler_timeout": "5"}, "handler_timeout must be a number, not '5'"),
        ({"name": 5}, "name must be a text, not 5"),
    ],
)
async def test_options_of_handlers_that_cannot_be_are_refused(given: Any, words: str) -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        with pytest.raises(TypeError) as caught:
            factory.core.v1.pods().add_event_handler(Recorder(), **given)
        assert str(caught.value).startswith(words)


async def test_async_hooks_of_a_factory_are_refused() -> None:
    async def hook(given: Any) -> None: ...

    async with FakeAPIServer() as server, server.api_client() as api:
        for name in ("on_watch_error", "on_warning", "tweak_list_options", "transform"):
            given: dict[str, Any] = {name: hook}
            with pytest.raises(TypeError, match=f"{name} is called without await"):
                SharedInformerFactory(api, **given)
            with pytest.raises(TypeError, match=f"{name} is called without await"):
                new_informer(api, "pods.v1.", **given)


async def test_an_answer_that_would_have_to_be_awaited_is_not_true(caplog: pytest.LogCaptureFixture) -> None:
    """It comes from a plain function that calls an async one."""

    async def runs(obj: Any) -> bool:
        return True

    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("pods", pod("a"))
        pods, seen = factory.core.v1.pods(), Recorder()
        registration = pods.add_event_handler(seen, filter=lambda obj: runs(obj))  # type: ignore[arg-type, return-value]
        await factory.start()
        await registration.wait_synced(timeout=5)
        assert registration.statistics().filtered == 1
        (record,) = lines(caplog, "the filter of Recorder raised; taken as false")
        assert record.exc_info
        assert "something to await" in str(record.exc_info[1])
        with pytest.raises(TypeError, match="condition gave something to await"):
            await pods.wait_for("default/a", lambda obj: runs(obj))  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize("seconds", ["3", True, datetime.timedelta(seconds=3), float("nan")])
async def test_a_timeout_that_is_no_number_of_seconds_is_refused_wherever_one_is_taken(seconds: Any) -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory, AsyncExitStack() as held:
        pods = factory.core.v1.pods()
        registration = pods.add_event_handler(Recorder())
        await factory.start()
        stream = await held.enter_async_context(pods.stream())
        await factory.wait_for_cache_sync()
        waits: list[Callable[[], Awaitable[Any]]] = [
            lambda: factory.wait_for_cache_sync(timeout=seconds),
            lambda: factory.wait_live(timeout=seconds),
            lambda: factory.shutdown(seconds),
            lambda: pods.wait_synced(timeout=seconds),
            lambda: pods.wait_for("a", lambda _: True, timeout=seconds),
            lambda: pods.wait_for_resource_version("1", timeout=seconds),
            lambda: registration.wait_synced(timeout=seconds),
            lambda: stream.wait_synced(timeout=seconds),
            lambda: EventRecorder[Any]().wait_for(lambda _: True, timeout=seconds),
        ]
        for wait in waits:
            with pytest.raises((TypeError, ValueError), match=r"^(timeout|grace) must be a number"):
                await wait()
        assert pods.has_synced, "nothing was ended by what was refused"
        async with server.api_client() as api, new_informer(api, "configmaps.v1.") as alone:
            with pytest.raises((TypeError, ValueError), match=r"^grace must be a number"):
                await alone.aclose(grace=seconds)


async def test_what_is_no_key_no_version_no_option_and_no_setting_is_refused() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("pods", pod("web-0", namespace="shop"))
        pods = factory.core.v1.pods()
        await factory.start()
        await factory.wait_for_cache_sync()
        with pytest.raises(NotFoundError, match="one is in namespace 'shop': a key is 'namespace/name'"):
            pods.indexer["web-0"]
        wrong: Any = 3
        given: Any
        keys: list[Any] = [wrong, None, ("a", "b", "c")]
        for key in keys:
            with pytest.raises(TypeError, match="a key is an ObjectKey"):
                pods.indexer[key]
        assert pods.indexer.resource_version("shop/web-0") == pods.indexer.resource_version(ObjectKey("shop", "web-0"))
        for read in (pods.lister.namespace, lambda given: pods.lister.list(namespace=given)):
            for given in (wrong, ["shop"]):
                with pytest.raises(TypeError, match="a namespace is a text, not"):
                    read(given)
        with pytest.raises(TypeError, match="the values of an index are texts, not 3"):
            pods.indexer.by_index("namespace", wrong)
        with pytest.raises(TypeError, match="a resourceVersion is a text"):
            await pods.wait_for_resource_version(wrong)
        make: Any = factory.core.v1.pods
        with pytest.raises(TypeError, match=r"pods\(\) takes its options by name"):
            make("shop")
        settings: Any = {"page_size": 100}
        async with server.api_client() as api:
            with pytest.raises(TypeError, match=r"settings must be Settings, such as Settings\(page_size=100\)"):
                SharedInformerFactory(api, settings=settings)
            with pytest.raises(TypeError, match="settings must be Settings"):
                new_informer(api, "pods.v1.", settings=settings)

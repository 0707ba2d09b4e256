"""A controller calls its function for each object until it is what it should be, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import msgspec
import pytest
from kubernetes_asyncio import client

from aioinformers import ObjectKey
from aioinformers.controllers import Controller, Request, Requeue, Terminal, Why
from aioinformers.coordination import LeaderElection
from aioinformers.errors import InformerCrashedError, InvalidPathError
from aioinformers.testing import FakeAPIServer
from tests.controllers.worlds import Document, now, world
from tests.kit import configmap, factory_on

pytestmark = pytest.mark.virtual_time


class Frozen(msgspec.Struct, frozen=True, rename="camel"):
    """Decoded once, so that its informer keeps no JSON; it does not show the status."""

    api_version: str


async def test_g19_each_object_is_reconciled_once_the_caches_have_synced_and_again_when_it_changes() -> None:
    async with world("a", "b") as (server, factory, configmaps):
        controller, seen = Controller(configmaps), list[tuple[str, int, str]]()

        @controller.reconcile
        async def reconcile(request: Request[Document]) -> Requeue | None:
            assert configmaps.has_synced
            assert request.object["metadata"]["uid"] == request.uid
            seen.append((request.key.name, request.attempt, request.triggers[0].kind.value))
            return None

        async with controller.running() as running:
            assert running is controller
            await asyncio.sleep(1)
            assert seen == []
            await factory.start()
            await asyncio.sleep(1)
            assert sorted(seen) == [("a", 0, "object"), ("b", 0, "object")]
            seen.clear()
            server.patch("configmaps", "a", {"data": {"v": "2"}}, namespace="default")
            await asyncio.sleep(1)
            assert seen == [("a", 0, "object")]
            assert controller.statistics().succeeded == 3
        assert repr(controller) == "<Controller configmaps, ended>"


async def test_changes_of_the_status_do_not_count_unless_asked_for() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("pods", {"metadata": {"name": "p", "namespace": "default"}, "status": {"phase": "Pending"}})
        runs: dict[str, int] = {"usual": 0, "all": 0}
        pods = factory.core.v1.pods()

        def controller(name: str, **options: Any) -> Controller[Any]:
            made = Controller(pods, name=name, **options)

            @made.reconcile
            async def count(request: Request[Any]) -> None:
                runs[name] += 1

            return made

        async with controller("usual").running(), controller("all", ignore=()).running():
            await factory.start()
            await asyncio.sleep(1)
            server.patch("pods", "p", {"status": {"phase": "Running"}}, namespace="default")
            await asyncio.sleep(1)
        assert runs == {"usual": 1, "all": 2}


async def test_what_fails_is_repeated_and_news_do_not_wait(caplog: pytest.LogCaptureFixture) -> None:
    async with world("a") as (server, factory, configmaps):
        controller, times = Controller(configmaps, backoff=lambda failures: 100.0 * failures), list[float]()

        @controller.reconcile
        async def reconcile(request: Request[Document]) -> None:
            times.append(now())
            if request.object.get("data", {}).get("v") != "good":
                raise ValueError("not yet")

        await factory.start()
        async with controller.running():
            await asyncio.sleep(150)
            assert times == [0, 100]
            failing = controller.failing()
            assert [(str(key), one.error, one.failures) for key, one in failing.items()] == [
                ("default/a", "ValueError: not yet", 2)
            ]
            server.patch("configmaps", "a", {"data": {"v": "good"}}, namespace="default")
            await asyncio.sleep(1)
            assert times == [0, 100, 150]
            assert controller.failing() == {}
        assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [
            "configmaps: default/a failed",
            "configmaps: default/a failed (2 times by now; told of again at 4)",
        ]


async def test_a_function_may_ask_to_be_called_again_and_a_change_comes_before() -> None:
    async with world("a") as (server, factory, configmaps):
        controller, times = Controller(configmaps), list[float]()

        @controller.reconcile
        async def reconcile(request: Request[Document]) -> Requeue:
            times.append(now())
            return Requeue(after=100)

        await factory.start()
        async with controller.running():
            await asyncio.sleep(130)
            server.patch("configmaps", "a", {"data": {"v": "2"}}, namespace="default")
            await asyncio.sleep(130)
        assert times == [0, 100, 130, 230]


async def test_what_is_terminal_waits_for_a_change_of_the_object(caplog: pytest.LogCaptureFixture) -> None:
    async with world("a") as (server, factory, configmaps):
        controller, runs = Controller(configmaps, every=10), list[str]()

        @controller.reconcile
        async def reconcile(request: Request[Document]) -> None:
            runs.append(request.triggers[0].kind.value)
            raise Terminal("this can never be")

        await factory.start()
        async with controller.running():
            await asyncio.sleep(35)
            assert runs == ["object"]
            server.patch("configmaps", "a", {"data": {"v": "2"}}, namespace="default")
            await asyncio.sleep(1)
            controller.trigger("default/a")
            await asyncio.sleep(1)
            assert runs == ["object", "object", "request"]
        assert "configmaps: default/a: this can never be; it is not repeated until the object changes" in caplog.text


async def test_what_takes_too_long_is_cancelled_told_and_repeated(caplog: pytest.LogCaptureFixture) -> None:
    async with world("a", "b") as (_, factory, configmaps):
        controller = Controller(configmaps, timeout=60, slow_after=20, backoff=lambda failures: 1000.0)
        ended: list[tuple[str, float]] = []

        @controller.reconcile
        async def reconcile(request: Request[Document]) -> None:
            assert request.deadline == now() + 60
            try:
                await asyncio.sleep(1 if request.key.name == "b" else 1000)
            finally:
                ended.append((request.key.name, now()))

        await factory.start()
        async with controller.running():
            await asyncio.sleep(30)
            (busy,) = controller.statistics().busy
            assert (str(busy.key), busy.seconds) == ("default/a", 30)
            assert "reconcile" in busy.awaits
            await asyncio.sleep(40)
            assert ended == [("b", 1), ("a", 60)]
            assert controller.statistics().timed_out == 1
            assert controller.failing()[ObjectKey("default", "a")].error.startswith("TimeoutError: it was not done")
        assert "configmaps: default/a takes long (20 s): " in caplog.text


async def test_a_run_that_swallows_its_cancellation_keeps_its_key_alone() -> None:
    async with world("a", "b") as (server, factory, configmaps):
        controller, done = Controller(configmaps, timeout=10, concurrency=2), list[str]()
        gate = asyncio.Event()

        @controller.reconcile
        async def reconcile(request: Request[Document]) -> None:
            if request.key.name == "a":
                while not gate.is_set():
                    try:
                        await gate.wait()
                    except asyncio.CancelledError:
                        continue
            done.append(request.key.name)

        await factory.start()
        async with controller.running():
            await asyncio.sleep(30)
            for number in range(3):
                server.patch("configmaps", "b", {"data": {"v": str(number)}}, namespace="default")
                await asyncio.sleep(1)
            assert done == ["b"] * 4
            assert [str(busy.key) for busy in controller.statistics().busy] == ["default/a"]
            gate.set()
            await asyncio.sleep(1)
            assert done[-1] == "a"


async def test_a_cancellation_that_nobody_asked_for_is_a_failure() -> None:
    async with world("a") as (_, factory, configmaps):
        controller, runs = Controller(configmaps, backoff=lambda failures: 10.0), list[float]()

        @controller.reconcile
        async def reconcile(request: Request[Document]) -> None:
            runs.append(now())
            if len(runs) < 3:
                raise asyncio.CancelledError

        await factory.start()
        async with controller.running():
            await asyncio.sleep(100)
        assert runs == [0, 10, 20]


async def test_what_is_gone_is_told_of_until_that_succeeds() -> None:
    async with world("a", "b") as (server, factory, configmaps):
        controller, told = Controller(configmaps, backoff=lambda failures: 5.0), list[tuple[str, float]]()

        @controller.reconcile
        async def reconcile(request: Request[Document]) -> None: ...

        @controller.gone
        async def gone(key: ObjectKey) -> None:
            told.append((str(key), now()))
            if len(told) < 3:
                raise ValueError("not yet")

        await factory.start()
        async with controller.running():
            await asyncio.sleep(1)
            server.delete("configmaps", "a", namespace="default")
            await asyncio.sleep(60)
        assert told == [("default/a", 1), ("default/a", 6), ("default/a", 11)]


async def test_an_owner_is_reconciled_when_what_belongs_to_it_changes_and_the_former_one_too() -> None:
    async with world("a", "b") as (server, factory, configmaps):
        secrets = factory.for_resource("secrets.v1.")
        controller, seen = Controller(configmaps).owns(secrets), list[tuple[str, str]]()

        @controller.reconcile
        async def reconcile(request: Request[Document]) -> None:
            seen.extend((request.key.name, trigger.kind.value) for trigger in request.triggers)

        def owned_by(name: str, uid: str = "") -> Document:
            uid = uid or server.get("configmaps", name, namespace="default")["metadata"]["uid"]
            reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": uid, "controller": True}
            return {"metadata": {"name": "s", "namespace": "default", "ownerReferences": [reference]}}

        await factory.start()
        async with controller.running():
            await asyncio.sleep(1)
            seen.clear()
            server.create("secrets", owned_by("a"))
            await asyncio.sleep(1)
            assert seen == [("a", "child")]
            server.patch("secrets", "s", owned_by("b"), namespace="default")
            await asyncio.sleep(1)
            assert sorted(seen[1:]) == [("a", "child"), ("b", "child")]
            server.delete("secrets", "s", namespace="default")
            await asyncio.sleep(1)
            assert seen[3:] == [("b", "child")]
            server.create("secrets", owned_by("a", uid="another"))
            server.create("secrets", {"metadata": {"name": "t", "namespace": "default"}})
            await asyncio.sleep(1)
            assert len(seen) == 4


@pytest.mark.parametrize("by_index", [False, True])
async def test_objects_are_reconciled_when_what_leads_to_them_changes(by_index: bool) -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        for name, secret in (("a", "s"), ("b", "t"), ("c", "s")):
            server.create("configmaps", configmap(name) | {"data": {"secret": f"default/{secret}"}})
        configmaps = factory.for_resource("configmaps.v1.", indexers={"secret": "data.secret"})
        secrets = factory.for_resource("secrets.v1.")
        controller, seen = Controller(configmaps), list[str]()

        def users(secret: Document) -> list[ObjectKey]:
            return configmaps.indexer.index_keys("secret", f"default/{secret['metadata']['name']}")

        controller.watches(secrets, to="secret" if by_index else users)

        @controller.reconcile
        async def reconcile(request: Request[Document]) -> None:
            seen.extend(request.key.name for trigger in request.triggers if trigger.kind is Why.WATCHED)

        await factory.start()
        async with controller.running():
            await asyncio.sleep(1)
            server.create("secrets", {"metadata": {"name": "s", "namespace": "default"}})
            await asyncio.sleep(1)
            assert sorted(seen) == ["a", "c"]


async def test_all_are_reconciled_again_from_time_to_time() -> None:
    async with world("a", "b") as (_, factory, configmaps):
        controller, times = Controller(configmaps, every=60), list[tuple[float, str]]()

        @controller.reconcile
        async def reconcile(request: Request[Document]) -> None:
            times.append((now(), request.triggers[0].kind.value))

        await factory.start()
        async with controller.running():
            await asyncio.sleep(130)
        assert sorted(set(times)) == [(0, "object"), (60, "period"), (120, "period")]
        assert len(times) == 6


# -- writes -------------------------------------------------------------------------------------------------------


async def test_g20_a_key_is_not_run_again_before_the_cache_shows_what_it_wrote() -> None:
    """The watch is held up: without that, each run would create one child more."""
    async with world("a") as (server, factory, configmaps):
        secrets = factory.for_resource("secrets.v1.")
        controller, runs = Controller(configmaps).owns(secrets), list[tuple[float, bool, int]]()

        @controller.reconcile
        async def reconcile(request: Request[Document]) -> None:
            children = [one["metadata"]["name"] for one in secrets.lister.list()]
            runs.append((now(), request.is_stale, len(children)))
            if not children:
                made = await request.create(
                    {"apiVersion": "v1", "kind": "Secret", "metadata": {"generateName": "child-"}}
                )
                (reference,) = made["metadata"]["ownerReferences"]
                assert (reference["kind"], reference["uid"], reference["controller"]) == (
                    "ConfigMap",
                    request.uid,
                    True,
                )

        await factory.start()
        await factory.wait_for_cache_sync()
        apply = secrets._pipeline.dispatcher.offer
        held: list[Any] = []

        def hold(item: Any) -> bool:
            held.append(item)
            return True

        secrets._pipeline.dispatcher.offer = hold  # type: ignore[method-assign]
        async with controller.running():
            await asyncio.sleep(1)
            for _ in range(3):
                server.patch("configmaps", "a", {"data": {"v": str(now())}}, namespace="default")
                await asyncio.sleep(1)
            assert [run[1:] for run in runs] == [(False, 0)]
            assert controller.statistics().waiting_for_writes == 1
            for item in held:
                apply(item)
            await asyncio.sleep(1)
            assert [run[1:] for run in runs] == [(False, 0), (False, 1)]
            assert len(server.list("secrets")) == 1


async def test_g20_a_cache_that_does_not_show_a_write_is_waited_for_ten_seconds(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with world("a") as (_, factory, configmaps):
        controller, runs = Controller(configmaps), list[tuple[float, bool]]()

        @controller.reconcile
        async def reconcile(request: Request[Document]) -> None:
            runs.append((now(), request.is_stale))
            if len(runs) == 1:
                await request.patch({"data": {"v": "ours"}})

        await factory.start()
        await factory.wait_for_cache_sync()
        dispatcher = configmaps._pipeline.dispatcher
        async with controller.running():
            dispatcher.offer = lambda item: True  # type: ignore[method-assign]  # nothing is ever applied
            await asyncio.sleep(2)
            controller.trigger("default/a")
            await asyncio.sleep(30)
            assert [(round(at), is_stale) for at, is_stale in runs] == [(0, False), (10, True)]
            assert controller.statistics().stale == 1
        assert "the cache does not show after 10 s what was written" in caplog.text


async def test_own_writes_are_told_from_those_of_others() -> None:
    async with world("a") as (server, factory, configmaps):
        controller, kinds = Controller(configmaps), list[str]()

        @controller.reconcile
        async def reconcile(request: Request[Document]) -> None:
            kinds.extend(trigger.kind.value for trigger in request.triggers)
            if request.object.get("data", {}).get("v") != "ours":
                await request.patch({"data": {"v": "ours"}})

        await factory.start()
        async with controller.running():
            await asyncio.sleep(1)
            assert kinds == ["object", "own write"]
            server.patch("configmaps", "a", {"data": {"v": "theirs"}}, namespace="default")
            await asyncio.sleep(1)
            assert kinds == ["object", "own write", "object", "own write"]


async def test_a_status_is_patched_only_where_it_differs() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("pods", {"metadata": {"name": "p", "namespace": "default"}, "status": {"phase": "Pending"}})
        pods = factory.for_resource("pods.v1.")
        controller, answers = Controller(pods, ignore=()), list[bool]()

        @controller.reconcile
        async def reconcile(request: Request[Document]) -> None:
            answers.append(await request.patch_status({"phase": "Running", "podIP": "10.0.0.1"}) is not None)

        await factory.start()
        async with controller.running():
            await asyncio.sleep(1)
        assert answers == [True, False]
        assert server.get("pods", "p", namespace="default")["status"]["phase"] == "Running"


@pytest.mark.parametrize(
    "options",
    [{"object_type": Frozen}, {"shared_objects": True}, {"compact": True}],
    ids=["Struct", "shared", "compact"],
)
async def test_a_status_is_patched_whatever_the_cache_keeps(options: dict[str, Any]) -> None:
    """What an object does not show counts as absent: then the patch is sent, and changes nothing."""
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.add_resource("sites.v1.example.com", "Site", status=True)
        server.create("sites", {"metadata": {"name": "a"}, "status": {"old": "1"}})
        controller = Controller(factory.for_resource("sites.v1.example.com", **options))

        @controller.reconcile
        async def reconcile(request: Request[Any]) -> None:
            await request.patch_status({"new": "2"})

        async with factory, controller.running():
            await asyncio.sleep(5)
            controller.trigger("default/a")
            await asyncio.sleep(5)
            assert server.get("sites", "a")["status"] == {"old": "1", "new": "2"}
            assert controller.failing() == {}
            sent = [request.verb for request in server.requests].count("patch")
            assert sent == (2 if "object_type" in options else 1)


async def test_objects_are_updated_deleted_and_not_lost() -> None:
    async with world("a") as (server, factory, configmaps):
        secrets = factory.for_resource("secrets.v1.")
        server.create("secrets", {"metadata": {"name": "s", "namespace": "default"}})
        controller, errors = Controller(configmaps).owns(secrets), list[str]()

        @controller.reconcile
        async def reconcile(request: Request[Document]) -> None:
            changed = request.object
            changed["data"] = {"v": "updated"}
            await request.update(changed)
            secret = secrets.lister.get("s", namespace="default")
            await request.delete(secret)
            await request.delete(secret)
            del changed["metadata"]["resourceVersion"]
            for wrong in (changed, {"kind": "ConfigMap"}, 3):
                try:
                    await request.update(wrong)
                except (ValueError, TypeError) as error:
                    errors.append(str(error))

        await factory.start()
        async with controller.running():
            await asyncio.sleep(0.5)
        assert server.get("configmaps", "a", namespace="default")["data"] == {"v": "updated"}
        assert server.list("secrets") == []
        assert errors[:3] == [
            "ConfigMap default/a has no resourceVersion: update what was read, or apply it",
            "{'kind': 'ConfigMap'} has no metadata.name",
            "an object is a dict, a model of the client or a Struct, not 3",
        ]


# -- life ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("grace", [10, 1])
async def test_runs_under_way_may_end_at_the_end_and_no_other_begins(grace: float) -> None:
    async with world("a", "b", "c") as (_, factory, configmaps):
        controller, begun, ended = Controller(configmaps, concurrency=2), list[str](), list[str]()

        @controller.reconcile
        async def reconcile(request: Request[Document]) -> None:
            begun.append(request.key.name)
            await asyncio.sleep(5)
            ended.append(request.key.name)

        await factory.start()
        async with controller.running(grace=grace):
            await asyncio.sleep(1)
        assert begun == ["a", "b"]
        assert ended == (["a", "b"] if grace == 10 else [])
        assert now() == pytest.approx(5 if grace == 10 else 2, abs=0.1)
        await controller.wait_closed()
        assert configmaps.statistics().consumers == {}


async def test_a_bug_ends_the_controller_loudly_and_the_block_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    async with world("a") as (_, factory, configmaps):
        controller = Controller(configmaps)

        @controller.reconcile
        async def reconcile(request: Request[Document]) -> None: ...

        await factory.start()
        async with controller.running():
            engine: Any = controller._engine
            engine._take = None
            await asyncio.sleep(1)
            with pytest.raises(InformerCrashedError, match="configmaps was ended by a bug"):
                await controller.wait_closed()
            await asyncio.sleep(1)
        assert [record.levelname for record in caplog.records if "ended by a bug" in record.getMessage()] == [
            "CRITICAL"
        ]


async def test_what_is_wrong_is_refused_where_it_is_given() -> None:
    async with world("a") as (_, factory, configmaps):
        wrong: Any = None
        for arguments, error, words in (
            ({"concurrency": 0}, ValueError, "concurrency must be at least 1"),
            ({"timeout": "3"}, TypeError, "timeout must be a number, not '3'"),
            ({"every": 0}, ValueError, "every must be positive, not 0; None is never"),
            ({"finalizer": "cleanup"}, ValueError, "a finalizer is named by a domain and a word"),
            ({"ignore": "status"}, TypeError, "ignore takes several paths"),
            ({"reconcile": lambda request: None}, TypeError, "reconcile is awaited: declare"),
        ):
            with pytest.raises(error, match=words):
                Controller(configmaps, **arguments)
        with pytest.raises(TypeError, match="a controller reconciles the objects of an informer, not None"):
            Controller(wrong)
        controller = Controller(configmaps)
        with pytest.raises(RuntimeError, match="has nothing to call"):
            await controller.running().__aenter__()
        with pytest.raises(RuntimeError, match="has not been started"):
            controller.trigger("default/a")
        with pytest.raises(ValueError, match="has no finalizer, which would keep objects"):
            controller.cleanup(wrong)
        with pytest.raises(TypeError, match="owns\\(\\) takes an informer"):
            controller.owns(wrong)
        with pytest.raises(ValueError, match="has no index 'nothing'"):
            controller.watches(configmaps, to="nothing")

        @controller.reconcile
        async def reconcile(request: Request[Document]) -> None: ...

        with pytest.raises(RuntimeError, match="has a function for reconcile already"):
            controller.reconcile(reconcile)
        await factory.start()
        async with controller.running():
            with pytest.raises(RuntimeError, match="runs, or has run"):
                controller.owns(configmaps)
            with pytest.raises(RuntimeError, match="run it once"):
                await controller.running().__aenter__()
            with pytest.raises(ValueError, match="a controller 'configmaps' runs already"):
                await Controller(configmaps, reconcile=reconcile).running().__aenter__()
        with pytest.raises(RuntimeError, match="configmaps has ended"):
            controller.trigger("default/a")
        with pytest.raises(ValueError, match="nothing that would let it be removed"):
            await Controller(configmaps, reconcile=reconcile, finalizer="a.io/b").running().__aenter__()


@pytest.mark.parametrize("options", [{"object_type": Frozen}, {"shared_objects": True}], ids=["Struct", "shared"])
@pytest.mark.parametrize("given", [{}, {"only": ("spec",)}], ids=["usual", "only"])
async def test_a_factory_that_starts_first_keeps_what_a_controller_has_asked_for(
    options: dict[str, Any], given: dict[str, Any]
) -> None:
    """As in ``async with factory, controller.running()``, with objects whose JSON is not kept."""
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.add_resource("sites.v1.example.com", "Site", status=True)
        server.create("sites", {"metadata": {"name": "a"}, "spec": {"v": "1"}})
        sites, runs = factory.for_resource("sites.v1.example.com", **options), list[str]()
        controller = Controller(sites, **given)

        @controller.reconcile
        async def reconcile(request: Request[Any]) -> None:
            runs.append(request.key.name)

        async with factory, controller.running():
            await asyncio.sleep(1)
            assert runs == ["a"]
            server.patch("sites", "a", {"status": {"v": "2"}})
            await asyncio.sleep(1)
            assert runs == ["a"]
            server.patch("sites", "a", {"spec": {"v": "2"}})
            await asyncio.sleep(1)
            assert runs == ["a", "a"]
            assert controller.failing() == {}


async def test_a_path_that_is_none_is_refused_where_it_is_given() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        with pytest.raises(InvalidPathError):
            Controller(factory.core.v1.pods(), only=("spec..image",))


async def test_a_status_is_patched_where_the_cache_keeps_models() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("pods", {"metadata": {"name": "p", "namespace": "default"}, "status": {"podIP": "10.0.0.1"}})
        pods: Any = factory.for_resource("pods.v1.", object_type=client.V1Pod, shared_objects=True)
        controller: Controller[Any] = Controller(pods, ignore=())
        answers: list[bool] = []

        @controller.reconcile
        async def reconcile(request: Request[Any]) -> None:
            answers.append(await request.patch_status({"phase": "Running"}) is not None)

        await factory.start()
        async with controller.running():
            await asyncio.sleep(1)
        assert answers == [True, False]
        assert server.get("pods", "p", namespace="default")["status"] == {"podIP": "10.0.0.1", "phase": "Running"}


async def test_a_factory_that_nobody_starts_is_named(caplog: pytest.LogCaptureFixture) -> None:
    async with world("a") as (_, factory, configmaps):
        controller = Controller(configmaps)

        @controller.reconcile
        async def reconcile(request: Request[Document]) -> None: ...

        async with controller.running():
            await asyncio.sleep(11)
            assert "nothing is reconciled, as configmaps.v1 [as dict] has not been started: write `async" in caplog.text
            await factory.start()
            await asyncio.sleep(1)
            assert controller.statistics().succeeded == 1


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        ({"name": 5}, TypeError, "the name of a controller is a text, not 5"),
        ({"name": ""}, ValueError, "'' cannot be the name of a controller"),
        ({"name": "a" * 129}, ValueError, "1 to 128 printable bytes"),
        ({"rate": -1}, ValueError, "rate must be positive"),
        ({"backoff": 5}, TypeError, "backoff"),
    ],
)
async def test_what_cannot_be_is_refused_at_once(wrong: dict[str, Any], error: type[Exception], words: str) -> None:
    async with world() as (_, _, configmaps):
        with pytest.raises(error, match=words):
            Controller(configmaps, **wrong)


async def test_g18_what_was_terminal_is_run_when_it_changes_however_many_children_do_so_before() -> None:
    """A run is told eight reasons, and the change may be the ninth."""
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.add_resource("sites.v1.example.com", "Site")
        uid = server.create("sites", {"metadata": {"name": "a", "namespace": "default"}, "spec": {}})["metadata"]["uid"]
        owner = {"apiVersion": "example.com/v1", "kind": "Site", "name": "a", "uid": uid, "controller": True}
        for number in range(9):
            child = configmap(f"child-{number}")
            child["metadata"]["ownerReferences"] = [owner]
            server.create("configmaps", child)
        server.create("sites", {"metadata": {"name": "slow", "namespace": "default"}, "spec": {}})
        sites = factory.for_resource("sites.v1.example.com")
        controller = Controller(sites, concurrency=1).owns(factory.for_resource("configmaps.v1."))
        runs: list[bool] = []

        @controller.reconcile
        async def reconcile(request: Request[Document]) -> None:
            if request.key.name == "slow":
                await asyncio.sleep(5)
                return
            runs.append("good" in request.object["spec"])
            if not runs[-1]:
                raise Terminal("no such image")

        await factory.start()
        async with controller.running():
            await asyncio.sleep(10)
            assert runs == [False]
            server.patch("sites", "slow", {"spec": {"v": 2}}, namespace="default")
            await asyncio.sleep(1)
            for number in range(9):
                server.patch("configmaps", f"child-{number}", {"data": {"v": "2"}}, namespace="default")
            await asyncio.sleep(1)
            server.patch("sites", "a", {"spec": {"good": True}}, namespace="default")
            await asyncio.sleep(10)
        assert runs == [False, True]


async def test_an_election_is_for_one_controller() -> None:
    async with world() as (server, factory, configmaps), server.api_client() as api:

        async def reconcile(request: Request[Document]) -> None: ...

        one, two = (Controller(configmaps, reconcile=reconcile, name=name) for name in ("one", "two"))
        election = LeaderElection(api, "e", namespace="default")
        await factory.start()
        async with one.running(election=election):
            for seconds in (0, 1):
                await asyncio.sleep(seconds)
                with pytest.raises(ValueError, match="give each controller a LeaderElection of its own"):
                    await two.running(election=election).__aenter__()
            other = LeaderElection(api, "other", namespace="default")
            assert not other.has_begun
            async with two.running(election=other):
                await asyncio.sleep(5)
                assert other.has_begun
                assert one.statistics().has_begun
                assert two.statistics().has_begun


async def test_all_keys_are_added_in_many_turns_of_the_loop() -> None:
    """G12: to add a hundred thousand keys takes half a second."""
    async with FakeAPIServer() as server, factory_on(server) as factory:
        for number in range(1000):
            server.create("configmaps", configmap(f"c-{number}"))
        controller, runs = Controller(factory.for_resource("configmaps.v1."), every=100), list[str]()

        @controller.reconcile
        async def reconcile(request: Request[Document]) -> None:
            runs.extend(trigger.kind.value for trigger in request.triggers)

        await factory.start()
        async with controller.running():
            await asyncio.sleep(10)
            runs.clear()
            controller.trigger_all()
            assert controller.statistics().queue.queued["background"] == 0
            await asyncio.sleep(0)
            assert 0 < controller.statistics().queue.queued["background"] < 1000
            await asyncio.sleep(10)
            assert runs == ["request"] * 1000
            await asyncio.sleep(100)
            assert runs == ["request"] * 1000 + ["period"] * 1000


async def test_g20_a_deletion_that_was_tried_only_is_not_waited_for() -> None:
    """A client may say so in the body."""
    async with world("a") as (server, factory, configmaps):
        server.create("secrets", {"metadata": {"name": "s", "namespace": "default"}})
        controller, runs = Controller(configmaps).owns(factory.for_resource("secrets.v1.")), list[float]()

        @controller.reconcile
        async def reconcile(request: Request[Document]) -> None:
            runs.append(now())
            options = client.V1DeleteOptions(dry_run=["All"])
            await client.CoreV1Api(request.client).delete_namespaced_secret("s", "default", body=options)

        await factory.start()
        async with controller.running():
            await asyncio.sleep(1)
            controller.trigger("default/a")
            await asyncio.sleep(1)
        assert runs == [0, 1]


async def test_a_stranger_who_cancels_a_controller_is_heard(caplog: pytest.LogCaptureFixture) -> None:
    async with world("a") as (_, factory, configmaps):
        controller = Controller(configmaps)

        @controller.reconcile
        async def reconcile(request: Request[Document]) -> None: ...

        async with factory, controller.running():
            await asyncio.sleep(1)
            for task in asyncio.all_tasks():
                if task.get_name() == "controller configmaps":
                    task.cancel()
            with pytest.raises(InformerCrashedError, match="cancelled from outside"):
                await controller.wait_closed()
            assert controller.statistics().has_crashed
            assert "ended by a bug: nothing is reconciled any more" in caplog.text


async def test_periods_outlive_a_stranger_who_cancels_them() -> None:
    async with world("a") as (_, factory, configmaps):
        controller, times = Controller(configmaps, every=10), list[float]()

        @controller.reconcile
        async def reconcile(request: Request[Document]) -> None:
            times.append(now())

        async with factory, controller.running():
            await asyncio.sleep(15)
            for task in asyncio.all_tasks():
                if task.get_name() == "configmaps every":
                    task.cancel()
            await asyncio.sleep(15)
        assert times == pytest.approx([0, 10, 25], abs=0.5)

"""Warm starts: the cache, and what handlers are told, are as after a cold start (G24)."""

from __future__ import annotations

import asyncio
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest

from aioinformers import (
    Added,
    CacheNotSyncedError,
    Cause,
    Deleted,
    SharedInformerFactory,
    WarmCache,
    drop_fields,
    new_informer,
)
from aioinformers.objects.ranges import Field
from aioinformers.sharding import Shard
from aioinformers.testing import FakeAPIServer, Fault, RequestInfo
from tests.kit import LISTS, Recorder, cached, configmap, stored
from tests.warm.worlds import fill, running, world

pytestmark = pytest.mark.virtual_time


def told(run: Any) -> list[tuple[str, Cause]]:
    return list(zip(run.recorder.kinds(), run.recorder.causes(), strict=True))


async def test_g24_the_next_process_lists_nothing(tmp_path: Path) -> None:
    async with world() as server:
        fill(server, 3)
        async with running(server, tmp_path) as first:
            assert first.warm == "cold: nothing is stored yet"
            assert first.lists() == 1
            server.create("configmaps", configmap("late"))
            await asyncio.sleep(1)
        async with running(server, tmp_path) as second:
            assert second.lists() == 0
            assert second.warm.startswith("warm: 4 objects, ")
            assert told(second) == [(f"Added {name}", Cause.WARM) for name in ("c0", "c1", "c2", "late")]
            assert all(isinstance(event, Added) and event.initial for event in second.recorder.events)
            assert cached(second.configmaps) == stored(server, "configmaps")
            server.create("configmaps", configmap("new"))
            await asyncio.sleep(1)
            assert second.recorder.kinds()[-1] == "Added new"


async def test_g24_what_happened_meanwhile_is_told_once(tmp_path: Path) -> None:
    async with world() as server:
        fill(server, 3)
        async with running(server, tmp_path):
            pass
        server.delete("configmaps", "c0", namespace="default")
        server.patch("configmaps", "c1", {"data": {"v": "x"}}, namespace="default")
        server.create("configmaps", configmap("new"))
        async with running(server, tmp_path) as second:
            await asyncio.sleep(5)
            assert second.lists() == 0
            assert second.recorder.kinds() == [
                "Added c0", "Added c1", "Added c2", "Deleted c0", "Updated c1", "Added new",
            ]  # fmt: skip
            assert cached(second.configmaps) == stored(server, "configmaps")


async def test_g24_after_an_expired_version_only_differences_are_told(tmp_path: Path) -> None:
    async with world() as server:
        fill(server, 3)
        async with running(server, tmp_path):
            pass
        server.delete("configmaps", "c0", namespace="default")
        server.create("configmaps", configmap("new"))
        server.expire()
        async with running(server, tmp_path) as second:
            assert second.lists() == 1
            assert told(second)[3:] == [("Deleted c0", Cause.RELIST), ("Added new", Cause.RELIST)]
            deleted = second.recorder.events[3]
            assert isinstance(deleted, Deleted)
            assert not deleted.final_state_known
            assert cached(second.configmaps) == stored(server, "configmaps")


async def test_g24_killed_the_next_one_goes_on_from_the_last_transaction(tmp_path: Path) -> None:
    async with world() as server:
        fill(server, 3)
        async with running(server, tmp_path, grace=0):
            await asyncio.sleep(6)
            server.delete("configmaps", "c0", namespace="default")
            await asyncio.sleep(1)
        async with running(server, tmp_path) as second:
            assert second.lists() == 0
            await asyncio.sleep(5)
            assert second.recorder.kinds() == ["Added c0", "Added c1", "Added c2", "Deleted c0"]


@pytest.mark.parametrize("changes", [0, 1])
async def test_g24_reads_wait_until_it_is_as_new_as_the_server(tmp_path: Path, changes: int) -> None:
    async with world() as server:
        fill(server, 2)
        async with running(server, tmp_path):
            pass
        server.create("nodes", {"metadata": {"name": "n1"}})  # the version moves, and no event tells it
        if changes:
            server.create("configmaps", configmap("new"))
        async with running(server, tmp_path, is_awaited=False) as second:
            await second.configmaps.wait_synced(timeout=5)
            assert cached(second.configmaps) == stored(server, "configmaps")
            assert second.lists() == 0


async def cold_because(server: Any, path: Path, reason: str, **options: Any) -> None:
    """Expect a cold start, and a warm one after it."""
    async with running(server, path, **options) as second:
        assert second.warm == f"cold: {reason}"
        assert second.lists() == 1
        assert cached(second.configmaps) == stored(server, "configmaps")
        assert set(second.recorder.causes()) <= {Cause.LIST}
    async with running(server, path, **options) as third:
        assert third.warm.startswith("warm: ")


async def test_g24_another_cluster(tmp_path: Path) -> None:
    async with world() as server, world() as other:
        fill(server, 3)
        fill(other, 4)
        async with running(server, tmp_path):
            pass
        await cold_because(other, tmp_path, "what is stored is of another cluster")


async def test_g24_a_restored_cluster(tmp_path: Path) -> None:
    async with world() as server:
        fill(server, 3)
        backup = server.backup()
        server.create("configmaps", configmap("lost"))
        async with running(server, tmp_path):
            pass
        server.restore(backup)
        await cold_because(
            server, tmp_path,
            "what is stored is newer than the server's state, which was restored from a backup, or made anew",
        )  # fmt: skip


async def test_g24_a_restored_cluster_that_has_passed_the_stored_version(tmp_path: Path) -> None:
    """It is noticed where the first object tells it; the others are not asked for."""
    async with world() as server:
        fill(server, 3)
        backup = server.backup()
        server.patch("configmaps", "c0", {"data": {"v": "lost"}}, namespace="default")
        async with running(server, tmp_path):
            pass
        server.restore(backup)
        for _ in range(3):
            server.create("nodes", {"metadata": {"generateName": "n"}})
        await cold_because(
            server, tmp_path, "what is stored is of another history of the server's than its present one"
        )


async def test_g24_other_selectors_and_transforms(tmp_path: Path) -> None:
    reason = "what is stored was of other selectors, scopes, transforms or types"
    async with world() as server:
        fill(server, 3)
        async with running(server, tmp_path):
            pass
        await cold_because(server, tmp_path, reason, label_selector="!gone")
        await cold_because(server, tmp_path, reason, transform=drop_fields("data"))
        async with running(server, tmp_path) as again:
            assert again.warm.startswith("warm: ")


async def test_g24_what_is_too_old_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with world() as server:
        fill(server, 3)
        with monkeypatch.context() as patch:
            now = time.time()
            patch.setattr(time, "time", lambda: now - 100)
            async with running(server, tmp_path):
                pass
        async with running(server, tmp_path, max_age=99) as second:
            assert re.fullmatch(r"cold: what is stored is 1\d\d s old", second.warm)
        async with running(server, tmp_path, max_age=99) as third:
            assert third.warm.startswith("warm: ")


def damage(path: Path) -> None:
    """Flip a bit."""
    (file,) = path.glob("*/*.warm")
    data = bytearray(file.read_bytes())
    data[-10] ^= 4
    file.write_bytes(data)


async def test_g24_damage_is_a_cold_start(tmp_path: Path) -> None:
    async with world() as server:
        fill(server, 3)
        async with running(server, tmp_path):
            pass
        damage(tmp_path)
        async with running(server, tmp_path) as second:
            assert second.warm.startswith("cold: a checksum is wrong, at byte ")
            assert cached(second.configmaps) == stored(server, "configmaps")


async def test_a_second_process_starts_cold_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with world() as server:
        fill(server, 3)
        async with running(server, tmp_path), running(server, tmp_path) as second:
            assert second.lists() == 1
            assert second.warm.startswith("cold, and nothing is stored: another process")
            assert cached(second.configmaps) == stored(server, "configmaps")
        assert [
            each.message for each in caplog.records if "another process" in each.message and each.levelname == "WARNING"
        ]
        async with running(server, tmp_path) as third:
            assert third.warm.startswith("warm: ")


async def test_a_server_that_is_away_is_waited_for(tmp_path: Path) -> None:
    async with world() as server:
        fill(server, 3)
        async with running(server, tmp_path):
            pass
        heal = server.fail("* *", times=None)
        async with running(server, tmp_path, is_awaited=False) as second:
            await asyncio.sleep(20)
            assert not second.configmaps.has_synced
            assert "checking what was stored: 503" in second.configmaps.health().reason
            with pytest.raises(CacheNotSyncedError):
                second.configmaps.lister.list()
            heal()
            await second.configmaps.wait_synced(timeout=60)
            assert second.lists() == 0


async def test_stale_state_is_served_if_that_is_wanted(tmp_path: Path) -> None:
    async with world() as server:
        fill(server, 3)
        async with running(server, tmp_path):
            pass
        server.delete("configmaps", "c0", namespace="default")
        heal = server.fail("* *", times=None)
        async with running(server, tmp_path, is_awaited=False, serve_stale=True) as second:
            await asyncio.sleep(20)
            health = second.configmaps.health()
            assert not health.has_synced
            assert health.stale_for is not None
            assert len(second.configmaps.lister.list()) == 3
            heal()
            await second.configmaps.wait_synced(timeout=60)
            assert len(second.configmaps.lister.list()) == 2
            assert second.configmaps.health().stale_for is None
            assert second.lists() == 0


async def test_stale_state_of_another_history_is_taken_back(tmp_path: Path) -> None:
    async with world() as server:
        fill(server, 3)
        backup = server.backup()
        server.create("configmaps", configmap("lost"))
        async with running(server, tmp_path):
            pass
        server.restore(backup)
        async with running(server, tmp_path, serve_stale=True) as second:
            assert second.recorder.kinds()[-1] == "Deleted lost"
            assert cached(second.configmaps) == stored(server, "configmaps")
        async with running(server, tmp_path) as third:
            assert third.warm.startswith("warm: 3 objects")


async def test_a_handler_that_joins_later_is_told_of_a_list(tmp_path: Path) -> None:
    async with world() as server:
        fill(server, 2)
        async with running(server, tmp_path):
            pass
        async with running(server, tmp_path) as second:
            late = Recorder()
            second.configmaps.add_event_handler(late)
            await asyncio.sleep(1)
            assert late.causes() == [Cause.LIST] * 2


async def test_one_informer_may_be_left_out(tmp_path: Path) -> None:
    async with world() as server:
        fill(server, 2)
        async with running(server, tmp_path, warm=None) as only:
            assert only.warm == ""
        assert not os.listdir(tmp_path)


async def test_secrets_are_refused(tmp_path: Path) -> None:
    async with world() as server, server.api_client() as api:
        with pytest.raises(ValueError, match=r"secrets\.v1 would be written to"):
            new_informer(api, "secrets.v1.", warm=WarmCache(tmp_path))
        factory = SharedInformerFactory(api, warm=WarmCache(tmp_path))
        with pytest.raises(ValueError, match="say warm=None"):
            factory.core.v1.secrets()
        factory.core.v1.secrets(warm=None)
        new_informer(api, "secrets.v1.", warm=WarmCache(tmp_path, allow_secrets=True))
        with pytest.raises(TypeError, match="warm is a WarmCache"):
            factory.core.v1.pods(warm="/var/cache/app")  # type: ignore[call-overload]


async def test_it_is_the_users_alone(tmp_path: Path) -> None:
    async with world() as server:
        fill(server, 2)
        async with running(server, tmp_path / "new"):
            pass
    modes = {path.name.split("-")[0]: path.stat().st_mode & 0o777 for path in (tmp_path / "new").rglob("*")}
    assert modes == {"aioinformers": 0o700, "lock": 0o600, "configmaps.v1": 0o600}


@pytest.mark.parametrize("steps", [(["a", "b"],), (["b"], ["a", "b"]), (["a"],)], ids=["none", "back", "one goes"])
@pytest.mark.parametrize("early", ["the check", "the list"])
async def test_g24_namespaces_come_and_go_during_the_start(
    tmp_path: Path, steps: tuple[list[str], ...], early: str
) -> None:
    """What was stored of a namespace and a list of it never meet."""
    async with world() as server:
        for namespace in "ab":
            for name in "xyz":
                server.create("configmaps", configmap(name, namespace))
        async with running(server, tmp_path, namespace=["a", "b"]):
            pass
        for namespace in "ab":
            server.delete("configmaps", "x", namespace=namespace)

        def slow(request: RequestInfo) -> Fault | None:
            is_meant = request.path.endswith("/configmaps") and "sendInitialEvents" not in request.query
            if not is_meant or request.query.get("watch") == "true":
                return None
            return Fault(delay=1 if (request.query.get("limit") == "1") == (early == "the check") else 3)

        heal = server.intercept(slow)
        async with server.api_client() as api:
            warm = WarmCache(tmp_path)
            informer = new_informer(api, "configmaps.v1.", namespace=["a", "b"], settings=LISTS, warm=warm)
            async with informer:
                await asyncio.sleep(0.5)
                calls = []
                for step in steps:
                    await asyncio.sleep(0.1)
                    calls.append(asyncio.create_task(informer.set_namespaces(step, timeout=60)))
                await asyncio.gather(*calls)
                await asyncio.sleep(10)
                followed = {key: each for key, each in stored(server, "configmaps").items() if key[0] in steps[-1]}
                assert cached(informer) == followed
        heal()
        async with running(server, tmp_path, namespace=["a", "b"]) as run:
            assert cached(run.configmaps) == stored(server, "configmaps")


# -- shards -------------------------------------------------------------------------------------------------------


def of_shard(server: FakeAPIServer, shard: Shard) -> dict[str, tuple[str, str]]:
    """Return what belongs to a shard of what the server has."""
    return {
        key: version
        for key, version in stored(server, "configmaps").items()
        if shard.contains(version[0] if shard.by == "uid" else key.partition("/")[0])
    }


@pytest.mark.parametrize("gate", [True, False], ids=["gate on", "gate off"])
@pytest.mark.parametrize("by", ["uid", "namespace"])
async def test_g24_a_shard_starts_from_what_it_has_stored(tmp_path: Path, gate: bool, by: Field) -> None:
    shard = next(each for each in (Shard(0, of=2, by=by), Shard(1, of=2, by=by)) if by == "uid" or each.contains("a"))
    async with world(shard_selector=gate) as server:
        for namespace in ("a", "b", "kube-system"):
            if namespace != "kube-system":
                server.create("namespaces", {"metadata": {"name": namespace}})
            for number in range(10):
                server.create("configmaps", configmap(f"c{number}", namespace))
        async with running(server, tmp_path, shard=shard):
            pass
        for namespace in ("a", "b"):
            server.delete("configmaps", "c0", namespace=namespace)
            server.create("configmaps", configmap("new", namespace))
        async with running(server, tmp_path, shard=shard) as second:
            await asyncio.sleep(5)
            assert second.warm.startswith("warm: ")
            assert second.lists() == 0, [(each.path, each.query) for each in server.requests[-12:]]
            assert cached(second.configmaps) == of_shard(server, shard) == second.recorder.state


async def test_g24_what_a_shard_by_another_field_has_stored_does_not_fit(tmp_path: Path) -> None:
    """The ranges of both are the same."""
    async with world(shard_selector=True) as server:
        fill(server, 20)
        for by in ("uid", "namespace", "uid"):
            shard = Shard(0, of=2, by=by)
            async with running(server, tmp_path, shard=shard) as run:
                await asyncio.sleep(5)
                assert cached(run.configmaps) == of_shard(server, shard) == run.recorder.state

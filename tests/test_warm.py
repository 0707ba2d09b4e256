"""Random histories of a server and of programs that come one after the other: a warm start is as a cold one (G24).

In each epoch a program starts from what the one before has stored, while another one starts cold. Once both have
synced, their caches are equal, and equal to the server; what the handler of the warm one was told makes the same. The
program ends in order, or as if it had been killed; then the server changes, forgets its history, or is restored.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from aioinformers import (
    Added,
    Cause,
    Deleted,
    Event,
    Metadata,
    SharedInformer,
    SharedInformerFactory,
    WarmCache,
    drop_fields,
    keep_fields,
    strip_managed_fields,
)
from aioinformers.testing import FakeAPIServer, StatusError
from tests.kit import QUICK, factory_on
from tests.machine.kinds import Small
from tests.machine.world import TickingLoop

NAMES: Final = ("p", "q", "r", "s", "t", "u")
SETTINGS: Final = replace(QUICK, page_size=3, watch_timeout_min=60, watch_timeout_max=90)


def mark(obj: dict[str, Any]) -> dict[str, Any]:
    """Change an object, as a user's transform does."""
    obj["seen"] = obj["metadata"]["name"] * 2
    return obj


def shout(obj: Any) -> Any:
    """Another one, which cannot take some objects."""
    if obj["metadata"]["labels"]["v"] == "5":
        raise ValueError("five")
    obj["data"] = {"only": "this"}
    return obj


def by_version(obj: Any) -> list[str]:
    return [obj["metadata"]["labels"]["v"]]


KINDS: Final[Mapping[str, Callable[[SharedInformerFactory], SharedInformer[Any]]]] = {
    "dict": lambda f: f.for_resource("configmaps.v1."),
    "streamed": lambda f: f.for_resource("configmaps.v1.", indexers={"app": "metadata.labels.app", "v": by_version}),
    "model": lambda f: f.core.v1.configmaps(),
    "metadata": lambda f: f.core.v1.configmaps(object_type=Metadata),
    "struct": lambda f: f.for_resource("configmaps.v1.", object_type=Small),
    "decoded": lambda f: f.for_resource("configmaps.v1.", object_type=Small, shared_objects=True),
    "shared": lambda f: f.for_resource("configmaps.v1.", shared_objects=True),
    "compact": lambda f: f.core.v1.configmaps(compact=True),
    "dropping": lambda f: f.for_resource("configmaps.v1.", transform=[strip_managed_fields, drop_fields("data.w")]),
    "keeping": lambda f: f.core.v1.configmaps(transform=keep_fields("data"), compact=True),
    "callable": lambda f: f.for_resource("configmaps.v1.", transform=mark),
    "mixed": lambda f: f.for_resource("configmaps.v1.", transform=[drop_fields("data.w"), shout, drop_fields("kind")]),
    "callable on metadata": lambda f: f.for_resource("configmaps.v1.", object_type=Metadata, transform=mark),
    "selected": lambda f: f.for_resource("configmaps.v1.", label_selector="app=x"),
    "two namespaces": lambda f: f.for_resource("configmaps.v1.", namespace=["a", "b"]),
}


def shown(informer: SharedInformer[Any]) -> dict[str, Any]:
    """Return all that is cached, comparable."""

    def plain(obj: Any) -> Any:
        return obj.to_dict() if hasattr(obj, "to_dict") else msgspec.to_builtins(obj)

    return {str(key): plain(obj) for key, obj in informer.indexer.items()}


class Replay:
    """A handler that replays what it is told."""

    def __init__(self) -> None:
        self.state: dict[str, str] = {}
        self.problems: list[str] = []

    async def __call__(self, event: Event[Any]) -> None:
        key = str(event.key)
        match event:
            case Added(cause=cause, initial=initial):
                if key in self.state or (cause is Cause.WARM and not initial):
                    self.problems.append(f"told {event!r}, had {self.state.get(key)}")
                self.state[key] = uid_of(event.object)
            case Deleted():
                if self.state.pop(key, None) != uid_of(event.object):
                    self.problems.append(f"told {event!r}")
            case _:
                if self.state.get(key) != uid_of(event.object):
                    self.problems.append(f"told {event!r}, had {self.state.get(key)}")


def uid_of(obj: Any) -> str:
    uid: str = obj["metadata"]["uid"] if isinstance(obj, dict) else obj.metadata.uid
    return uid


class Script:
    """What happens to a server, and to the programs that follow it."""

    def __init__(self, server: FakeAPIServer, kind: str, path: Path, chance: random.Random) -> None:
        self.server, self.kind, self.path, self.chance = server, kind, path, chance
        self.backups = [server.backup()]
        self.starts: list[str] = []

    def change(self, count: int) -> None:
        """Change some objects."""
        for _ in range(count):
            name, where = self.chance.choice(NAMES), self.chance.choice("ab")
            labels = {"app": self.chance.choice("xy"), "v": self.chance.choice("012345")}
            body = {"metadata": {"name": name, "labels": labels}, "data": {"v": labels["v"], "w": "x" * 40}}
            try:
                match self.chance.choice(("create", "create", "patch", "patch", "delete", "recreate")):
                    case "create":
                        self.server.create("configmaps", body, namespace=where)
                    case "patch":
                        self.server.patch("configmaps", name, body, namespace=where)
                    case "delete":
                        self.server.delete("configmaps", name, namespace=where)
                    case _:
                        self.server.delete("configmaps", name, namespace=where)
                        self.server.create("configmaps", body, namespace=where)
            except StatusError:
                pass  # it is there, or is not

    def disturb(self, how: str) -> None:
        """Let something happen while no program runs."""
        match how:
            case "expired":
                self.server.expire()
            case "backed up":
                self.backups.append(self.server.backup())
            case "restored":
                del self.backups[1 + self.chance.randrange(len(self.backups)) :]
                self.server.restore(self.backups[-1])
            case "other kinds":  # the version of a list moves, and no event of ours tells it
                for _ in range(5):
                    self.server.create("nodes", {"metadata": {"generateName": "n"}})

    async def epoch(self, ends: str, changes: int) -> None:
        """Run a program, and compare it with one that starts cold."""
        warm = WarmCache(self.path, serve_stale=ends == "stale")
        async with (
            factory_on(self.server, settings=SETTINGS, warm=warm) as warm_factory,
            factory_on(self.server, settings=SETTINGS) as cold_factory,
        ):
            informers = warmed, cold = KINDS[self.kind](warm_factory), KINDS[self.kind](cold_factory)
            replays = Replay(), Replay()
            for informer, replay in zip(informers, replays, strict=True):
                informer.add_event_handler(replay)
            for factory in (warm_factory, cold_factory):
                await factory.start()
            for factory in (warm_factory, cold_factory):
                await factory.wait_for_cache_sync(timeout=300)
            self.compare(warmed, cold, *replays, has_settled=False)
            self.change(changes)
            await asyncio.sleep(self.chance.choice((1, 10, 100)))
            self.compare(warmed, cold, *replays, has_settled=True)
            self.starts.append(warmed.health().warm)
            if ends == "killed":
                await warm_factory.shutdown(grace=0)
            else:
                await warm_factory.shutdown(grace=10)

    def compare(
        self, warmed: SharedInformer[Any], cold: SharedInformer[Any], told: Replay, also: Replay, *, has_settled: bool
    ) -> None:
        refused = warmed.statistics().rejected.keys()
        assert refused == cold.statistics().rejected.keys()
        # Of what cannot be read any more the last good version is kept, as in a program that has gone on (G11).
        mine, others = ({key: obj for key, obj in shown(each).items() if key not in refused} for each in (warmed, cold))
        assert mine == others
        found = self.server.list("configmaps", label_selector="app=x" if self.kind == "selected" else None)
        truth = {f"{o['metadata']['namespace']}/{o['metadata']['name']}": o["metadata"]["uid"] for o in found}
        if self.kind != "mixed":
            assert shown(warmed).keys() == truth.keys()
        if has_settled:
            assert told.state == {str(key): uid_of(obj) for key, obj in warmed.indexer.items()}
            assert also.state == {str(key): uid_of(obj) for key, obj in cold.indexer.items()}
        assert told.problems == also.problems == []


EPOCHS = st.lists(
    st.tuples(
        st.sampled_from(("in order", "killed", "stale")),
        st.integers(0, 6),
        st.integers(0, 8),
        st.sampled_from(("nothing", "nothing", "nothing", "expired", "backed up", "restored", "other kinds")),
    ),
    min_size=2,
    max_size=5,
)


def play(kind: str, epochs: list[tuple[str, int, int, str]], seed: int, *, streams: bool) -> list[str]:
    """Play one script; return how the programs have started."""

    async def main(path: Path) -> list[str]:
        async with FakeAPIServer(watch_list=streams, rng=random.Random(seed)) as server:
            server.create("namespaces", {"metadata": {"name": "kube-system"}})
            script = Script(server, kind, path, random.Random(seed))
            script.change(6)
            for ends, changes, meanwhile, disturbance in epochs:
                await script.epoch(ends, changes)
                script.change(meanwhile // 2)
                script.disturb(disturbance)
                if disturbance != "restored":  # beyond the stored version no client can tell one history from another
                    script.change(meanwhile - meanwhile // 2)
            await script.epoch("in order", 0)
            return script.starts

    with tempfile.TemporaryDirectory() as path, asyncio.Runner(loop_factory=TickingLoop) as runner:
        return runner.run(main(Path(path)))


@pytest.mark.parametrize("kind", KINDS)
@settings(
    max_examples=12,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(epochs=EPOCHS, seed=st.integers(0, 1 << 16), streams=st.booleans())
def test_g24_warm_is_cold_is_the_server(
    kind: str, epochs: list[tuple[str, int, int, str]], seed: int, streams: bool
) -> None:
    play(kind, epochs, seed, streams=streams)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "mixed"])
def test_g24_every_type_starts_warm(kind: str) -> None:
    """A test that never starts warm would find nothing."""
    starts = play(kind, [("in order", 3, 4, "nothing"), ("killed", 5, 3, "other kinds")], 4, streams=True)
    assert starts[0] == "cold: nothing is stored yet"
    assert all(start.startswith("warm: ") for start in starts[1:])

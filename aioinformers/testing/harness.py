"""Controllers, the embedded server and virtual time together: tests that wait until nothing is left to do."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Final, Self

from aioinformers.checks import require_seconds, shown
from aioinformers.controllers.controller import Controller, engine_of
from aioinformers.factory import SharedInformerFactory
from aioinformers.testing.apiserver.patches import APPLY
from aioinformers.testing.apiserver.server import FakeAPIServer
from aioinformers.types import ObjectKey

__all__ = ["ControllerHarness"]

MOST_RUNS: Final = 10_000
"""Runs without an end after which a test is told that there is none."""
QUIET: Final = 0.05
"""Seconds in which nothing happens, when nothing is left to do."""


class ControllerHarness:
    """Runs controllers against an embedded server, and waits until they have nothing to do.

    ``async with`` starts the factory and the controllers, and ends them. It is meant for virtual time, where waiting
    takes none.

    Args:
        server: The server; the test changes what is in it.
        factory: The controllers' informers; not started.
        controllers: The controllers.

    Raises:
        TypeError: If something else is given.
    """

    def __init__(self, server: FakeAPIServer, factory: SharedInformerFactory, *controllers: Controller[Any]) -> None:
        for what, wanted in ((server, FakeAPIServer), (factory, SharedInformerFactory)):
            if not isinstance(what, wanted):
                raise TypeError(f"a harness takes a {wanted.__name__}, not {shown(what)}")
        for controller in controllers:
            if not isinstance(controller, Controller):
                raise TypeError(f"a harness takes controllers, not {shown(controller)}")
        self.server: FakeAPIServer = server
        self._factory = factory
        self._controllers = controllers
        self._runs: Counter[tuple[str, ObjectKey]] = Counter()
        self._stack = AsyncExitStack()
        self._most = 0
        self._too_many = asyncio.Event()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._factory)
            for controller in self._controllers:
                await stack.enter_async_context(controller.running())
                engine_of(controller).on_run = self._note
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def _note(self, name: str, key: ObjectKey) -> None:
        self._runs[name, key] += 1
        if self._runs.total() > self._most > 0:
            self._too_many.set()

    def runs(self, key: ObjectKey | str, controller: Controller[Any] | None = None) -> int:
        """Return how often a key has been run since the start, or :meth:`clear`.

        Args:
            key: The key; a text is ``namespace/name``.
            controller: Only by this one; by any of them by default.
        """
        wanted = ObjectKey.parse(key) if isinstance(key, str) else ObjectKey(*key)
        return sum(
            count
            for (name, ran), count in self._runs.items()
            if ran == wanted and (controller is None or controller.name == name)
        )

    def clear(self) -> None:
        """Count runs from now on."""
        self._runs.clear()

    async def until_idle(self, *, through: float = 0.0) -> None:
        """Wait until caches show what the server has, and no controller runs, or has a key that is due.

        What waits for a later time, such as a ``Requeue``, is not waited for.

        Args:
            through: Seconds that are to pass, with all that becomes due in them.

        Raises:
            AssertionError: If it does not come to an end; names the keys that are run again and again.
        """
        require_seconds("through", through, is_wanted=True)
        time = asyncio.get_running_loop().time
        end = time() + through
        self._most = self._runs.total() + MOST_RUNS
        self._too_many.clear()
        while True:
            before = self._state()
            await self._sleep(QUIET)
            if self._state() == before and not self._is_busy():
                if time() >= end:
                    return
                await self._sleep(min(1.0, end - time()))

    async def _sleep(self, seconds: float) -> None:
        """Let time pass; where a key runs again and again in no time, none passes."""
        try:
            async with asyncio.timeout(seconds):
                await self._too_many.wait()
        except TimeoutError:
            return
        often = ", ".join(f"{key} by {name}" for (name, key), _ in self._runs.most_common(3))
        raise AssertionError(f"{MOST_RUNS:,} runs, and there is still something to do: {often}")

    async def advance(self, seconds: float) -> None:
        """Let time pass, and wait until nothing is left to do."""
        await self.until_idle(through=seconds)

    def _state(self) -> tuple[Any, ...]:
        informers = tuple(
            (found.added, found.updated, found.deleted, found.lists)
            for found in (i.statistics() for i in self._factory)
        )
        return self._runs.total(), len(self.server.requests), self.server.resource_version, informers

    def _is_busy(self) -> bool:
        for controller in self._controllers:
            found = controller.statistics()
            if (
                not found.has_begun
                or found.waiting_for_writes
                or found.queue.running
                or any(found.queue.queued.values())
            ):
                return True
        return any(
            found.queued_batches or any(one.queued for one in found.consumers.values())
            for found in (informer.statistics() for informer in self._factory)
        )

    def role(self) -> list[dict[str, list[str]]]:
        """Return the rules of a Role that allows what has been asked of the server so far.

        Whatever is watched may have to be listed, too, where a server does not stream lists; and whoever applies an
        object has to be allowed to create it.
        """
        verbs: dict[tuple[str, str], set[str]] = {}
        for request in self.server.requests:
            if (target := request.target) is not None and request.verb:
                name = target.gvr.resource + (f"/{target.subresource}" if target.subresource else "")
                wanted = {"list", "watch"} if request.verb == "watch" else {request.verb}
                if request.headers.get("content-type", "").startswith(APPLY) and not target.subresource:
                    wanted = {"create", "patch"}
                verbs.setdefault((target.gvr.group, name), set()).update(wanted)
        return [
            {"apiGroups": [group], "resources": [resource], "verbs": sorted(found)}
            for (group, resource), found in sorted(verbs.items())
        ]

"""A fault as a named entry of a table, and the stage on which each of them is played, in virtual time."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aioinformers import Settings, SharedInformer, SharedInformerFactory, WatchFailure
from aioinformers.testing import ChaosProxy, FakeAPIServer, Fault, RequestInfo, StatusError
from tests.kit import QUICK, Recorder, cached, stored

__all__ = ["Case", "Scene", "do", "kind_of", "made", "staged"]

Step = Callable[["Scene"], Awaitable[None] | None]

Decision = Callable[[RequestInfo], Fault | None] | Callable[[RequestInfo], None]

LISTS = {"watch_list": False}
"""Options of a server that cannot stream initial objects, so that they are listed."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One fault.

    Attributes:
        title: What a user would report.
        inject: Makes it happen.
        undo: Ends it, besides what :meth:`Scene.heal` ends anyway.
        at_start: Whether it is there before the informers start; otherwise they have synced.
        lasts: Virtual seconds until it ends.
        within: Virtual seconds after its end within which all is well again; None where nothing can help but the
            user, who is told why.
        says: What the informer says of it meanwhile.
        is_silent: Whether nothing shows it before a deadline, so that nothing need be said meanwhile.
        is_quiet: Whether nothing changes while it lasts.
        server: Options of the server.
        settings: Settings of the informers.
        is_proxied: Whether a :class:`ChaosProxy` stands before the server.
        is_crowded: Whether further informers, one with two scopes, suffer too.
        resource: The resource followed.
        concerns_stock: Whether it can be shown to a client without informers.
    """

    title: str
    inject: Step
    undo: Step | None = None
    at_start: bool = False
    lasts: float = 180.0
    within: float | None = 31.0
    says: str = ""
    is_silent: bool = False
    is_quiet: bool = False
    server: Mapping[str, Any] = field(default_factory=dict)
    settings: Settings = QUICK
    is_proxied: bool = False
    is_crowded: bool = False
    resource: str = "configmaps.v1."
    concerns_stock: bool = True

    @property
    def expectation(self) -> str:
        """What is promised, in words."""
        says = f"says “{self.says}”" if self.says else ""
        if self.within is None:
            return says
        recovers = f"recovers within {self.within:g} s"
        return f"{says}; {recovers}" if says else recovers


def made(name: str, namespace: str = "default", **data: str) -> dict[str, Any]:
    """Return an object to create, of any kind that has data."""
    return {"metadata": {"name": name, "namespace": namespace}, "data": data}


def kind_of(request: RequestInfo) -> str:
    """Return what a request asks for: list, stream (a watch that brings the initial objects), or watch."""
    if request.verb == "watch" and request.query.get("sendInitialEvents") == "true":
        return "stream"
    return request.verb


class Scene:
    """A server, perhaps a proxy, and what tests have to do with them."""

    def __init__(self, case: Case, server: FakeAPIServer, proxy: ChaosProxy | None) -> None:
        self.case = case
        self.server = server
        self._proxy = proxy
        self.plural = case.resource.partition(".")[0]
        self.hits = 0
        self.is_armed = False
        self.informers: list[SharedInformer[Any]] = []
        self.recorders: list[Recorder] = []
        self.failures: list[WatchFailure] = []
        self.api: Any = None
        self.notes: dict[str, Any] = {}
        self._written = 0
        self._is_undone = False

    @property
    def proxy(self) -> ChaosProxy:
        """The proxy."""
        assert self._proxy is not None
        return self._proxy

    def on(self, kinds: str, fault: Fault | Decision, times: int | None = None) -> None:
        """Have requests of some kinds (``"list watch"``) fail, so many times or until healed."""
        left = [times]
        self.is_armed = True

        def interceptor(request: RequestInfo) -> Fault | None:
            if kind_of(request) not in kinds.split() or left[0] == 0:
                return None
            if left[0] is not None:
                left[0] -= 1
            self.hits += 1
            return fault if isinstance(fault, Fault) else fault(request)

        self.server.intercept(interceptor)

    async def heal(self) -> None:
        """End the fault."""
        self.server.faults.clear()
        if self._proxy is not None:
            self._proxy.thaw()
            self._proxy.refuse, self._proxy.delay, self._proxy.rate, self._proxy.split = False, 0.0, None, None
        if self.case.undo is not None and not self._is_undone:
            self._is_undone = True
            await do(self.case.undo, self)

    def write(self) -> None:
        """Change the cluster a little: one more, one other, one less, one of the same name again."""
        number = self._written = self._written + 1
        try:
            self.server.create(self.plural, made(f"new-{number}", "other", n=str(number)))
            self.server.patch(self.plural, "kept", {"data": {"n": str(number)}}, namespace="default")
            self.server.delete(self.plural, f"victim-{number}", namespace="default")
            self.server.delete(self.plural, "phoenix", namespace="default")
            self.server.create(self.plural, made("phoenix"))
        except (StatusError, LookupError):
            pass  # the fault has taken the resource, or the object, away

    def populate(self) -> None:
        """Create the first objects."""
        for name in ("kept", "phoenix", *(f"victim-{number}" for number in range(1, 9))):
            self.server.create(self.plural, made(name, of="first"))
        if self.case.is_crowded:
            for namespace in ("default", "other", "third"):
                self.server.create("secrets", {"metadata": {"name": "s", "namespace": namespace}})
            self.server.create("nodes", {"metadata": {"name": "n"}})

    def is_right(self) -> bool:
        """Tell whether every cache is what the server has."""
        return not self.differences()

    def differences(self) -> list[str]:
        """Say where a cache is not what the server has."""
        found = []
        for informer in self.informers:
            truth: dict[str, tuple[str, str]] = {}
            scopes = tuple(informer.resource_versions)
            try:
                for scope in scopes:
                    truth |= stored(self.server, informer.resource.resource, scope.namespace or None)
            except LookupError:
                pass  # not served: nothing is there
            have = cached(informer) if informer.has_synced else None
            if have != truth:
                found.append(f"{informer.name} has {have}, the server {truth}")
        return found

    def is_well(self) -> bool:
        """Tell whether every informer follows the server, has nothing to complain about and is right."""
        return self.is_right() and all(each.is_watching and not each.health().reason for each in self.informers)

    def said(self) -> set[str]:
        """Return what informers have complained about until now."""
        reasons = {each.health().reason for each in self.informers}
        return {str(failure.error) for failure in self.failures} | reasons

    def follow(self, factory: SharedInformerFactory) -> None:
        """Make the informers, each with a handler that checks what it is told."""
        self.informers = [factory.for_resource(self.case.resource)]
        if self.case.is_crowded:
            self.informers.append(factory.for_resource("secrets.v1.", namespace=["default", "other"]))
            self.informers.append(factory.for_resource("nodes.v1."))
        for informer in self.informers:
            self.recorders.append(Recorder())
            informer.add_event_handler(self.recorders[-1])


async def do(step: Step, scene: Scene) -> None:
    """Take a step."""
    result = step(scene)
    if inspect.isawaitable(result):
        await result


@asynccontextmanager
async def staged(case: Case) -> AsyncIterator[tuple[Scene, str]]:
    """Give the scene of a case and the URL for its clients, with nobody following yet."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(FakeAPIServer(**case.server))
        proxy = await stack.enter_async_context(ChaosProxy(server.url)) if case.is_proxied else None
        scene = Scene(case, server, proxy)
        if not case.resource.endswith(".v1."):
            server.add_resource(case.resource, "Widget")
        scene.populate()
        yield scene, proxy.url if proxy else server.url
        await scene.heal()
        await asyncio.sleep(0)

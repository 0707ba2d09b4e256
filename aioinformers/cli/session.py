"""Runs one informer for ``watch`` and ``get``: reports failures, and ends when the server refuses the request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aioinformers.cli.connect import connect
from aioinformers.cli.problems import explained, one_line, usage_error
from aioinformers.errors import (
    BadRequestError,
    CacheSyncError,
    ForbiddenError,
    InvalidSelectorError,
    ResourceNotFoundError,
    ResponseError,
    UnauthorizedError,
)
from aioinformers.factory import SharedInformerFactory
from aioinformers.informer import SharedInformer
from aioinformers.objects.selectors import parse_field_selector, parse_label_selector
from aioinformers.settings import Settings
from aioinformers.types import GroupVersionResource, WatchFailure

__all__ = ["Query", "Session", "open_session"]

_REFUSALS = (BadRequestError, ForbiddenError, ResourceNotFoundError, UnauthorizedError)
_RECOVERY_POLL = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """The objects that a user asks for, and the cluster.

    Attributes:
        resource: Plural, singular, kind, short name, ``plural.group`` or ``plural.version.group``.
        namespace: A namespace; None for that of the context.
        all_namespaces: Whether to select all namespaces instead.
        label_selector: Selects objects by labels; None for all.
        field_selector: Selects objects by fields; None for all.
        kubeconfig: Path of the configuration file; None for kubectl's default.
        context: Context in it; None for the current one.
    """

    resource: str
    namespace: str | None = None
    all_namespaces: bool = False
    label_selector: str | None = None
    field_selector: str | None = None
    kubeconfig: str | None = None
    context: str | None = None


class Session:
    """A running informer and the state of its connection.

    Args:
        notify: Called with one line of text when the connection is lost and when it is restored.

    Attributes:
        informer: The informer.
    """

    informer: SharedInformer[dict[str, Any]]

    def __init__(self, notify: Callable[[str], None]) -> None:
        self._notify = notify
        self._refusal: asyncio.Future[WatchFailure] = asyncio.get_running_loop().create_future()
        self._lost_at: float | None = None
        self._is_lost = asyncio.Event()
        self._reported = ""

    @property
    def where(self) -> str:
        """The text `` in namespace <name>`` for messages; empty for all namespaces and cluster-scoped resources."""
        names = (scope.namespace for scope in self.informer.resource_versions)
        return "".join(f" in namespace {name}" for name in names if name)

    def on_watch_error(self, failure: WatchFailure) -> None:
        """Record and report a failed attempt; the informer tries again by itself."""
        # Without a delay nothing has failed yet: the informer tries another way of listing at once.
        if not failure.next_delay:
            return
        if isinstance(failure.error, _REFUSALS) and not self.informer.has_synced:
            if not self._refusal.done():
                self._refusal.set_result(failure)
            return
        if self._lost_at is None:
            self._lost_at = asyncio.get_running_loop().time()
        reason = one_line(failure.error)
        if reason != self._reported:  # a long outage is reported once, not at each attempt
            self._reported = reason
            self._notify(f"disconnected from {failure.resource}: {reason}: trying again")
        self._is_lost.set()

    async def wait_synced(self, timeout: float | None = None) -> None:
        """Wait until the cache holds the server's state; cancellation leaves the informer running.

        Args:
            timeout: Seconds to wait; None without limit.

        Raises:
            ApiStatusError: If the server refuses the request, so that waiting would not help.
            CacheSyncError: If the cache has not synced in time.
        """
        synced = asyncio.create_task(self.informer.wait_synced(), name="wait for the first sync")
        try:
            await asyncio.wait((synced, self._refusal), timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            synced.cancel()
            await asyncio.wait((synced,))
        if self.informer.has_synced:
            return
        if self._refusal.done():
            raise self._refusal.result().error
        if not synced.cancelled() and (error := synced.exception()) is not None:
            raise error
        raise CacheSyncError({self.informer.name: self.informer.health().reason}, timeout)

    async def report_recoveries(self) -> None:
        """Report each time that a lost connection is restored, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._is_lost.wait()
            lost_at = self._lost_at or loop.time()
            # The informer has no event for this; polling happens only while the connection is lost.
            while not (self.informer.is_watching and (self.informer.last_activity or 0.0) > lost_at):  # noqa: ASYNC110
                await asyncio.sleep(_RECOVERY_POLL)
            self._is_lost.clear()
            self._lost_at, self._reported = None, ""
            self._notify(f"connected to {self.informer.resource} again after {loop.time() - lost_at:.1f} s")


@asynccontextmanager
async def open_session(query: Query, notify: Callable[[str], None]) -> AsyncIterator[Session]:
    """Find the resource and start its informer, which ends on exit; does not wait for its first sync.

    Args:
        query: The objects that the informer follows.
        notify: As for :class:`Session`.

    Raises:
        CommandError: For errors of the input and of the cluster, also within the ``with`` block.
    """
    _check_selectors(query)
    async with connect(query.kubeconfig, query.context) as cluster:
        with explained(cluster.server):
            session = Session(notify)
            try:
                factory = SharedInformerFactory(
                    cluster.api_client,
                    namespace=None if query.all_namespaces else query.namespace or cluster.namespace,
                    name="aioinformers",
                    settings=Settings(connect_timeout=5.0, header_timeout=15.0),
                    on_watch_error=session.on_watch_error,
                )
            except ValueError as error:
                raise usage_error(f"{query.namespace!r} cannot be a namespace: name one, or use -A for all") from error
            # The namespace is set on the factory, which ignores it for cluster-scoped resources.
            session.informer = factory.for_resource(
                await _resolve(factory, query.resource),
                label_selector=query.label_selector,
                field_selector=query.field_selector,
            )
            async with factory:
                yield session


async def _resolve(factory: SharedInformerFactory, name: str) -> GroupVersionResource:
    try:
        return await factory.resolve(name)
    except ResourceNotFoundError as error:
        if await factory.discover():
            raise
        raise ResponseError("it serves no resources") from error  # the name of the resource is not the problem


def _check_selectors(query: Query) -> None:
    """Raise for an invalid selector before any request is made."""
    try:
        parse_label_selector(query.label_selector or "")
    except InvalidSelectorError as error:
        raise usage_error(f"{error}; write -l as in 'app=web,tier in (a,b),!canary'") from error
    try:
        parse_field_selector(query.field_selector or "")
    except InvalidSelectorError as error:
        raise usage_error(f"{error}; write --field-selector as in 'status.phase=Running,spec.nodeName!=n1'") from error

"""Reconcile loops: a function that is called for each object until it is what it should be."""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final, Generic, Self, TypeAlias, TypeVar

from aioinformers.checks import (
    gives_awaitable,
    name_of,
    require_arguments,
    require_callable,
    require_number,
    require_plain,
    require_seconds,
    shown,
)
from aioinformers.controllers import finalizers
from aioinformers.controllers.engine import Engine
from aioinformers.controllers.events import MOST_WORD
from aioinformers.controllers.outcomes import Requeue
from aioinformers.controllers.plan import Plan
from aioinformers.controllers.queue import WorkQueue
from aioinformers.controllers.request import Request
from aioinformers.controllers.sources import ByIndex, Cache, Keys, key_of, require_together
from aioinformers.coordination.election import LeaderElection
from aioinformers.errors import InformerClosedError, InformerCrashedError
from aioinformers.informer import SharedInformer
from aioinformers.objects.paths import parse_path
from aioinformers.statistics import ControllerState, ControllerStatistics, FailingKey
from aioinformers.types import ObjectKey

__all__ = ["Controller", "engine_of", "started_controllers"]

T = TypeVar("T")
U = TypeVar("U")

Reconcile: TypeAlias = Callable[[Request[T]], Awaitable[Requeue | None]]

logger: logging.Logger = logging.getLogger("aioinformers.controllers")

GRACE: Final = 25.0
"""Seconds that runs under way get at the end."""

END_WAIT: Final = 5.0
"""Seconds that what is left to do after the calls may take: to give a Lease back."""

LAST_WAIT: Final = 0.9
"""Seconds that what has been cancelled gets to end."""

ENDING: Final = ("metadata", "deletionTimestamp")
"""The field that says that an object is being deleted."""

_running: Final[set[str]] = set()
"""Names of the controllers that run in this process: each is a field manager of its own."""


_elections: Final[weakref.WeakSet[LeaderElection]] = weakref.WeakSet()
"""The elections that controllers have been given."""


class Controller(Generic[T]):
    """Calls a function for each object of an informer: when it has changed, and until that succeeds.

    ::

        websites = factory.for_resource("websites.v1.example.com")
        controller = Controller(websites)

        @controller.reconcile
        async def website(request: Request[dict[str, Any]]) -> Requeue | None:
            ...

        async with factory, controller.running():
            await controller.wait_closed()

    The function is given the object as it is now, not an event. One call per object is under way at a time, whatever
    changes meanwhile leads to one more, and a call that raises is repeated (:class:`WorkQueue`). It is not called
    before the caches have synced, nor before they show what it has written itself.

    Args:
        informer: Of the objects that are reconciled.
        reconcile: The function; or decorate it with :meth:`reconcile`.
        name: The controller's name, by default the resource; it is the field manager of what is written.
        concurrency: How many objects are reconciled at the same time.
        timeout: Seconds after which a call is cancelled and counts as failed; None for never.
        slow_after: Seconds after which what a call waits for is logged; None for never.
        finalizer: Keeps each object, once it is deleted, until :meth:`cleanup` has been called for it:
            ``example.com/name``.
        ignore: Changes that do not matter, as of handlers; by default those of the status, where the kind has one.
        only: The only ones that do; with a finalizer, deletions do, too.
        every: Seconds after which all objects are reconciled again.
        backoff: Returns the seconds to wait after so many failures in a row.
        rate: Calls that may begin a second.
        on_error: Called with the request and what the function raised; may return a :class:`Requeue` to say when the
            call is repeated.

    Raises:
        TypeError: If an argument is of another type.
        ValueError: If a number, the name or the finalizer's name cannot be, or ``ignore`` hides deletions from it.
        InvalidPathError: If ``ignore`` or ``only`` names what is no field.
        RuntimeError: If the informer runs already, and drops what a controller has to know of objects.
    """

    def __init__(
        self,
        informer: SharedInformer[T],
        *,
        reconcile: Reconcile[T] | None = None,
        name: str | None = None,
        concurrency: int = 16,
        timeout: float | None = 300.0,
        slow_after: float | None = 30.0,
        finalizer: str | None = None,
        ignore: Iterable[str] | None = None,
        only: Iterable[str] = (),
        every: float | None = None,
        backoff: Callable[[int], float] | None = None,
        rate: float | None = None,
        on_error: Callable[[Request[T], Exception], Requeue | None] | None = None,
    ) -> None:
        if not isinstance(informer, SharedInformer):
            raise TypeError(f"a controller reconciles the objects of an informer, not {shown(informer)}")
        require_number("concurrency", concurrency, whole=True)
        if concurrency < 1:
            raise ValueError(f"concurrency must be at least 1, not {concurrency}")
        for what, seconds in (("timeout", timeout), ("slow_after", slow_after), ("every", every)):
            require_seconds(what, seconds)
            if seconds is not None and seconds <= 0:
                raise ValueError(f"{what} must be positive, not {seconds!r}; None is never")
        if on_error is not None:
            require_plain(on_error, "on_error", "the request", "the error")
        if name is not None:
            _require_name(name)
        WorkQueue("of a controller", backoff=backoff, rate=rate)  # refuses what cannot be, before anything is begun
        resource, main = informer.resource, Cache(informer)
        if ignore is None:
            ignore = () if only or not main.has_status else ("status",)
        fields = {"ignore": _paths("ignore", ignore), "only": _paths("only", only)}
        if finalizer is not None:
            fields = _with_deletions(fields)
        main.expect(fields)
        self._plan: Plan[T] = Plan(
            name=name or f"{resource.resource}.{resource.group}".rstrip("."),
            main=main,
            fields=fields,
            on_error=on_error, concurrency=concurrency, timeout=timeout, slow_after=slow_after, every=every,
            finalizer=None if finalizer is None else finalizers.check_name(finalizer), backoff=backoff, rate=rate,
        )  # fmt: skip
        self._engine: Engine[T] | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_leaving = False
        if reconcile is not None:
            self.reconcile(reconcile)

    def __repr__(self) -> str:
        state = "new" if self._task is None else "ended" if self._task.done() else "running"
        return f"<Controller {self.name}, {state}>"

    @property
    def name(self) -> str:
        """Its name."""
        return self._plan.name

    # -- what it is to do -------------------------------------------------------------------------------------

    def reconcile(self, function: Reconcile[T]) -> Reconcile[T]:
        """Decorate ``async def function(request)``, which is called for each object that exists.

        It returns None, or ``Requeue(after=seconds)`` to be called again later. What it raises is logged, and it is
        called again, ever later; after :class:`Terminal` only when the object has changed.

        Raises:
            TypeError: If it is not an async function of one argument.
            RuntimeError: If there is one already, or the controller runs.
        """
        self._plan.reconcile = self._checked(function, "reconcile", self._plan.reconcile, "the request")
        return function

    def cleanup(self, function: Reconcile[T]) -> Reconcile[T]:
        """Decorate ``async def function(request)``, which is called for each object that is being deleted.

        Once it returns None, the finalizer is removed, and the object may go. As :meth:`reconcile` otherwise.

        Raises:
            ValueError: If the controller has no finalizer, so that objects are gone before.
        """
        if self._plan.finalizer is None:
            raise ValueError(f"{self.name} has no finalizer, which would keep objects for cleanup: give finalizer=")
        self._plan.cleanup = self._checked(function, "cleanup", self._plan.cleanup, "the request")
        return function

    def gone(self, function: Callable[[ObjectKey], Awaitable[None]]) -> Callable[[ObjectKey], Awaitable[None]]:
        """Decorate ``async def function(key)``, which is called when an object that was reconciled exists no more.

        It tells only of what this process has seen; a finalizer is the way to miss nothing.
        """
        self._plan.gone = self._checked(function, "gone", self._plan.gone, "the key")
        return function

    def owns(self, informer: SharedInformer[Any]) -> Self:
        """Reconcile an object also when one changes that belongs to it, by the controlling owner in its metadata.

        What is created or applied of these kinds gets that owner.

        Args:
            informer: Of what belongs to the reconciled objects.

        Raises:
            RuntimeError: If the controller runs; or the informer does, and drops what has to be known of objects.
            ValueError: If the informer has a shard in which what belongs to them may be missing.
        """
        self._require_new("owns")
        if not isinstance(informer, SharedInformer):
            raise TypeError(f"owns() takes an informer, not {shown(informer)}")
        require_together(self._plan.main, informer)
        self._plan.owned.append(Cache(informer))
        return self

    def watches(self, informer: SharedInformer[U], to: Callable[[U], Keys | None] | str) -> Self:
        """Reconcile objects also when another one changes that leads to them.

        Args:
            informer: Of the others.
            to: Returns the keys that an object leads to; called for the object as it was, too, so that a reference that
                moves reaches both. Or the name of an index of the reconciled objects, whose values are the others'
                keys, as ``namespace/name``.

        Raises:
            TypeError: If ``to`` is neither, or an async function.
            RuntimeError: If the controller runs.
            ValueError: If there is no such index; or the informer has a shard in which some of the others may be
                missing.
        """
        self._require_new("watches")
        if not isinstance(informer, SharedInformer):
            raise TypeError(f"watches() takes an informer, not {shown(informer)}")
        require_together(self._plan.main, informer)
        if isinstance(to, str):
            known = self._plan.main.pipeline.indexing.layout.names
            if to not in known:
                problem = f"{self._plan.main.informer.name} has no index {to!r}"
                raise ValueError(f"{problem} that what {informer.name} brings could be looked up in: it has {known}")
            self._plan.watched.append((informer, ByIndex(self._plan.main.informer, to)))
        else:
            require_plain(to, "what watches() maps by", "the object")
            self._plan.watched.append((informer, to))
        return self

    def _checked(self, function: Any, what: str, known: Any, argument: str) -> Any:
        self._require_new(what)
        if known is not None:
            raise RuntimeError(f"{self.name} has a function for {what} already: {name_of(known)}")
        require_callable(function, what)
        if not gives_awaitable(function):
            raise TypeError(f"{what} is awaited: declare {name_of(function)} with `async def`")
        require_arguments(function, what, argument)
        return function

    def _require_new(self, what: str) -> None:
        if self._task is not None:
            raise RuntimeError(f"{self.name} runs, or has run: declare {what} before")

    # -- life -------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def running(
        self, *, election: LeaderElection | None = None, grace: float | None = GRACE
    ) -> AsyncIterator[Self]:
        """Reconcile within an ``async with`` block. At its end no call begins, and those under way may end.

        The block goes on whatever becomes of the controller: :meth:`wait_closed` tells. Informers may be started before
        or after.

        Args:
            election: Reconcile only while this candidate leads; it is begun and ended here. What is lost with the
                leadership are the calls under way, which are cancelled; the caches live on, and so does the block.
            grace: Seconds for the calls under way at the end; then they are cancelled. None waits without limit.

        Raises:
            RuntimeError: If it runs or has run, or there is no function to call.
            ValueError: If another controller of this name runs in this process, or there is a finalizer and nothing
                that cleans up; or the election has begun, or is another controller's.

        Cancellation: at the end it is the end of the grace.
        """
        self._require_new("nothing else, and run it once")
        require_seconds("grace", grace)
        if not isinstance(election, LeaderElection | None):
            raise TypeError(f"election must be a LeaderElection, not {shown(election)}")
        if election is not None and (election.has_begun or election in _elections):
            raise ValueError(
                f"{election} has begun already, or is another controller's: give each controller a LeaderElection of "
                f"its own, with a Lease of another name, which is begun and ended here"
            )
        if self._plan.reconcile is None:
            raise RuntimeError(f"{self.name} has nothing to call: decorate a function with @controller.reconcile")
        if self._plan.finalizer is not None and self._plan.cleanup is None:
            raise ValueError(
                f"{self.name} has a finalizer, and nothing that would let it be removed: decorate a function with "
                f"@controller.cleanup"
            )
        if self.name in _running:
            raise ValueError(f"a controller {self.name!r} runs already: give this one another name=")
        engine = self._engine = Engine(self._plan)
        _running.add(self.name)
        _started.add(self)
        if election is not None:
            _elections.add(election)
        task = self._task = asyncio.create_task(engine.run(election), name=f"controller {self.name}")
        task.add_done_callback(self._on_end)
        try:
            yield self
        finally:
            self._is_leaving = True
            try:
                if not task.done():
                    await engine.end(grace)
                    if engine.is_waiting:
                        task.cancel()
                    await asyncio.wait([task], timeout=END_WAIT)
            finally:
                task.cancel()
                await asyncio.wait([task], timeout=LAST_WAIT)
                if not task.done():
                    logger.error("%s: calls refuse to end, and are left behind: %s", self.name, _names(engine))
                _started.discard(self)

    def _on_end(self, task: asyncio.Task[None]) -> None:
        _running.discard(self.name)
        if (bug := self._bug_of(task)) is not None:
            logger.critical("%s: ended by a bug: nothing is reconciled any more", self.name, exc_info=bug)

    def _bug_of(self, task: asyncio.Task[None] | None) -> BaseException | None:
        """Return what has ended a task that was not to end; None if nothing has."""
        if task is None or not task.done():
            return None
        if task.cancelled():
            if self._is_leaving:
                return None
            return RuntimeError("the controller's task was cancelled from outside; the end of its block is the way")
        error = task.exception()
        return None if isinstance(error, InformerClosedError) else error

    async def wait_closed(self) -> None:
        """Wait until the controller has ended. Cancellation changes nothing.

        Raises:
            RuntimeError: If it has not been started.
            InformerCrashedError: If a bug has ended it, or one of its informers.
            InformerClosedError: If one of its informers has been closed before the caches had synced.
        """
        if self._task is None:
            raise RuntimeError(f"{self.name} has not been started: write `async with controller.running():`")
        await asyncio.wait([self._task])
        error = None if self._task.cancelled() else self._task.exception()
        if isinstance(error, InformerClosedError | InformerCrashedError):
            raise error
        if (bug := self._bug_of(self._task)) is not None:
            raise InformerCrashedError(f"{self.name} was ended by a bug: {bug}") from bug

    # -- what others do ---------------------------------------------------------------------------------------

    def trigger(self, key: ObjectKey | tuple[str, str] | str) -> None:
        """Reconcile an object now, before all others, and whatever it waits for.

        Args:
            key: An ``ObjectKey``, ``(namespace, name)`` or ``"namespace/name"``.

        Raises:
            RuntimeError: If the controller does not run.
            TypeError: If it is no key.
            ValueError: If it is a text that is none.
        """
        self._running_engine().trigger(key_of(key))

    def trigger_all(self) -> None:
        """Reconcile all objects, when there is nothing else to do.

        Raises:
            RuntimeError: If the controller does not run.
        """
        self._running_engine().trigger_all()

    @property
    def has_started(self) -> bool:
        """Whether it runs, or has run."""
        return self._engine is not None

    @property
    def concurrency(self) -> int:
        """How many objects are reconciled at the same time, at the most."""
        return self._plan.concurrency

    def statistics(self) -> ControllerStatistics:
        """Return figures of now.

        Raises:
            RuntimeError: If the controller has not been started.
        """
        found, bug = self._started_engine().statistics(), self._bug_of(self._task)
        if self._task is None or not self._task.done():
            return found
        return replace(
            found,
            state=ControllerState.ENDED,
            has_crashed=bug is not None,
            bug="" if bug is None else type(bug).__name__,
        )

    def failing(self) -> dict[ObjectKey, FailingKey]:
        """Return what failed last, for each object whose last call did; of very many the latest thousand.

        Raises:
            RuntimeError: If the controller has not been started.
        """
        return self._started_engine().failing()

    def _started_engine(self) -> Engine[T]:
        if self._engine is None:
            raise RuntimeError(f"{self.name} has not been started: write `async with controller.running():`")
        return self._engine

    def _running_engine(self) -> Engine[T]:
        engine = self._started_engine()
        if self._task is None or self._task.done():
            raise RuntimeError(f"{self.name} has ended")
        return engine


def started_controllers() -> list[Controller[Any]]:
    """Return the controllers of this process whose blocks have begun and not ended."""
    return sorted(_started, key=lambda controller: controller.name)


_started: Final[weakref.WeakSet[Controller[Any]]] = weakref.WeakSet()


def engine_of(controller: Controller[T]) -> Engine[T]:
    """Return the machinery behind a controller that has been started: for tests; no user needs it."""
    return controller._started_engine()


def _names(engine: Engine[Any]) -> str:
    """Name the calls under way, and what they wait for."""
    return "; ".join(f"{run.key} ({run.awaits})" for run in engine.statistics().busy)


def _with_deletions(fields: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Return ``ignore`` and ``only`` so that the deletion of what has a finalizer, a change at first, is heard of."""
    for path in fields["ignore"]:
        steps = parse_path(path).steps
        if steps == ENDING[: len(steps)]:
            raise ValueError(f"ignore={path!r} would hide that an object is being deleted, which finalizer= waits for")
    return fields | ({"only": (*fields["only"], ".".join(ENDING))} if fields["only"] else {})


def _require_name(name: Any) -> None:
    """Refuse what cannot be the name of a controller, which is that of a field manager, too."""
    if not isinstance(name, str):
        raise TypeError(f"the name of a controller is a text, not {shown(name)}")
    if not (name.isprintable() and 1 <= len(name.encode()) <= MOST_WORD):
        raise ValueError(f"{shown(name)} cannot be the name of a controller: 1 to {MOST_WORD} printable bytes")


def _paths(what: str, given: Iterable[str]) -> tuple[str, ...]:
    if isinstance(given, str):
        raise TypeError(f"{what} takes several paths, such as ({given!r},), not one text")
    return tuple(given)

"""The engine's side of an election: its tasks, its terms, whoever is told of them, and their end in order."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar

from aioinformers.checks import name_of
from aioinformers.coordination.campaign import RELEASE_TIME, Campaign
from aioinformers.coordination.lease import LeaseClock, Timing
from aioinformers.coordination.requests import LeaseRequests
from aioinformers.coordination.tenure import Guard, Tenure, Term
from aioinformers.coordination.watchdog import Watchdog
from aioinformers.errors import NotLeadingError
from aioinformers.loops import Grace
from aioinformers.supervisor import Supervisor
from aioinformers.transport.apart import ApartClient
from aioinformers.transport.source import Source
from aioinformers.types import END_OF_PROCESS

__all__ = ["Candidate", "clock_of"]

T = TypeVar("T")

logger: logging.Logger = logging.getLogger("aioinformers.election")

EPOCH: Final = 946_684_800.0
"""Wall time at the beginning of virtual time: the year 2000."""

_UNTOLD: Final = 64
"""Calls of ``on_stopped`` and ``on_new_leader`` that may wait for a slow one; the oldest are dropped."""
_END_WAIT: Final = 0.9
"""Seconds that what has been cancelled gets to end."""


class Candidate:
    """Runs a campaign in the running loop, from :meth:`start` to :meth:`aclose`.

    Args:
        name: The election, as ``namespace/name`` of its Lease.
        identity: Who it is.
        client: The connections; closed at the end.
        requests: The requests to the Lease.
        source: Makes them.
        timing: The durations.
        clock: The times by which it decides.
        hard_fence: Whether the process ends when something that a term guards goes on for too long.

    Attributes:
        campaign: The campaign.
        started: Functions to run in each term.
        stopped: Functions to be told of the end of each.
        new_leader: Functions to be told of each new holder.
        bug: What has ended it although nobody wanted that; None for nothing.
        is_fenced: Whether the process would have ended, in virtual time.
        is_closing: Whether :meth:`aclose` has begun.
        is_closed: Whether it has ended.
    """

    def __init__(
        self,
        name: str,
        identity: str,
        client: ApartClient,
        requests: LeaseRequests,
        source: Source,
        timing: Timing,
        clock: LeaseClock,
        *,
        hard_fence: bool,
    ) -> None:
        self.campaign: Campaign = Campaign(name, identity, requests, timing, clock, source.random, self)
        self.started: list[Callable[[Term], Awaitable[object]]] = []
        self.stopped: list[Callable[[str], Awaitable[object]]] = []
        self.new_leader: list[Callable[[str], Awaitable[object]]] = []
        self.bug: BaseException | None = None
        self.is_fenced: bool = False
        self.is_closing: bool = False
        self.is_closed: bool = False
        self._name = name
        self._client = client
        self._timing = timing
        self._hard_fence = hard_fence
        self._loop = asyncio.get_running_loop()
        self._owner = asyncio.current_task()
        self._supervisor = Supervisor(f"election {name}", self._on_bug)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._working: set[asyncio.Task[None]] = set()
        self._watchdogs: dict[Tenure, Watchdog] = {}
        self._grace = Grace()
        self._news = asyncio.Event()
        self._untold: deque[Callable[[], Coroutine[Any, Any, None]]] = deque()
        self._to_tell = asyncio.Event()
        self._all_told = asyncio.Event()
        self._all_told.set()

    async def news(self) -> None:
        """Wait until something has changed; cancellation changes nothing."""
        await self._news.wait()

    # -- life ----------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start its tasks."""
        supervising = self._loop.create_task(self._supervisor.supervise(), name=f"supervisor of election {self._name}")
        supervising.add_done_callback(self._on_unsupervised)
        self._tasks["supervisor"] = supervising
        self._run_campaign()
        self._run_teller()

    async def aclose(self, grace: float | None) -> None:
        """End it: wait for the blocks that its term guards, and give the Lease back.

        Cancellation shortens the grace to nothing, and is raised at the end.

        Args:
            grace: Seconds for the blocks; then they are cancelled. None waits without limit.
        """
        self._grace.give(grace, self._loop.time())
        if self.is_closing:
            while not self.is_closed:
                await self.news()
            return
        self.is_closing = True
        self.campaign.leave()
        self.on_news()
        await self._end(self._grace)
        if self._grace.cancelled is not None:
            raise self._grace.cancelled

    async def _end(self, grace: Grace) -> None:
        campaign = self.campaign
        for task in self._working:  # they would go on for as long as the term
            task.cancel()
        ended = self._loop.create_task(campaign.ended.wait(), name=f"end of election {self._name}")
        if not await grace.wait((ended,)):
            campaign.end("the election has ended")
            await grace.wait((ended, *self._working), at_most=_END_WAIT + RELEASE_TIME)
        ended.cancel()
        campaign.end("the election has ended")
        others = [task for task in self._tasks.values() if task is not asyncio.current_task()]  # a callback may close
        if self._tasks["callbacks"] in others:
            await self._within(self._all_told.wait(), "last calls")
        self._supervisor.stop()
        await self._supervisor.end(others, grace)
        await self._within(self._client.aclose(), "connections")
        if campaign.tenure is not None and campaign.tenure.blocks:
            names = ", ".join(sorted(block.task.get_name() for block in campaign.tenure.blocks))
            logger.error(
                "election %s: not given back, as what it guards refuses to end; left behind: %s", self._name, names
            )
        for tenure in tuple(self._watchdogs):
            if not tenure.blocks:
                self.on_settled(tenure)
        self.is_closed = True
        self.on_news()

    async def _within(self, work: Coroutine[Any, Any, object], name: str) -> None:
        """Do something that may not hold the end up."""
        task = self._loop.create_task(work, name=f"{name} of election {self._name}")
        if not await self._grace.wait((task,), at_most=_END_WAIT):
            task.cancel()

    def _run_campaign(self) -> None:
        self._tasks["campaign"] = self._supervisor.start(self.campaign.run(), "campaign", self._run_campaign)

    def _run_teller(self) -> None:
        self._tasks["callbacks"] = self._supervisor.start(self._tell(), "callbacks", self._run_teller)

    def _on_bug(self, role: str, error: BaseException) -> None:
        logger.critical("election %s: a bug ended its %s: please report it", self._name, role, exc_info=error)
        self._give_up(error)
        if role == "campaign":
            self.campaign.ended.set()

    def _on_unsupervised(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() and not self.is_closing:
            logger.critical("election %s: its supervisor was cancelled from outside, which ends it", self._name)
            self._give_up(asyncio.CancelledError("by a stranger"))

    def _give_up(self, error: BaseException) -> None:
        """Want no further term, and give the Lease back if that is possible."""
        self.bug = error
        self.campaign.end("a bug has ended the election")
        self.campaign.leave()
        self.on_news()

    # -- told by the campaign ------------------------------------------------------------------------------------------

    def on_gain(self, tenure: Tenure) -> None:
        """Watch a term that has begun, and start what is to run in it."""
        self._watch(tenure)
        for function in self.started:
            self.work(function, tenure)
        self.on_news()

    def on_loss(self, tenure: Tenure) -> None:
        """Tell that a term is over."""
        for function in self.stopped:
            self._queue(function, tenure.reason)
        self.on_news()

    def on_settled(self, tenure: Tenure) -> None:
        """Watch a term no longer."""
        watchdog = self._watchdogs.pop(tenure, None)
        if watchdog is not None:
            watchdog.stop()

    def on_holder(self, holder: str) -> None:
        """Tell who holds the Lease."""
        for function in self.new_leader:
            self._queue(function, holder)

    def on_news(self) -> None:
        """Let those that wait look again."""
        news, self._news = self._news, asyncio.Event()
        news.set()

    def _watch(self, tenure: Tenure) -> None:
        is_virtual = _has_its_own_time(self._loop)
        end: dict[str, Any] = {"end": self._fence} if is_virtual else {}
        period = min(0.5, self._timing.lease_duration / 30)
        watchdog = Watchdog(tenure, period, self.campaign.expire, hard_fence=self._hard_fence, **end)
        self._watchdogs[tenure] = watchdog
        if is_virtual:
            watchdog.start_timer()
            return
        try:
            watchdog.start_thread()
        except RuntimeError as error:
            logger.error("election %s: nothing watches over the event loop: %s", self._name, error)

    def _fence(self) -> None:
        """Do in virtual time what stands for the end of the process: cancel whoever has begun the election."""
        if not self.is_fenced and self._owner is not None:
            self.is_fenced = True
            self._owner.cancel()

    def forgive(self) -> None:
        """Take that cancellation back, for whoever raises something else instead."""
        if self._owner is not None:
            self._owner.uncancel()

    # -- functions of users --------------------------------------------------------------------------------------------

    def work(self, function: Callable[[Term], Awaitable[object]], tenure: Tenure) -> None:
        """Run a function in a term, guarded by it."""
        if not self.is_closing:
            task = self._loop.create_task(
                self._work(function, tenure), name=f"{name_of(function)} of election {self._name}"
            )
            self._working.add(task)
            task.add_done_callback(self._working.discard)

    async def _work(self, function: Callable[[Term], Awaitable[object]], tenure: Tenure) -> None:
        with contextlib.suppress(NotLeadingError):
            async with Guard(tenure) as term:
                await self._call(function, term, NotLeadingError)

    def _queue(self, function: Callable[[str], Awaitable[object]], argument: str) -> None:
        if len(self._untold) >= _UNTOLD:
            self._untold.popleft()
            logger.warning("election %s: %s or others are too slow: a call is dropped", self._name, name_of(function))
        self._untold.append(functools.partial(self._call, function, argument))
        self._all_told.clear()
        self._to_tell.set()

    async def _call(
        self, function: Callable[[T], Awaitable[object]], argument: T, *passing: type[BaseException]
    ) -> None:
        """Await a function of the user's; what it raises is logged, unless it is to pass or to end the process (G7)."""
        let_through: tuple[type[BaseException], ...] = (*END_OF_PROCESS, GeneratorExit, *passing)
        try:
            await function(argument)
        except let_through:
            raise
        except BaseException as error:
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
                raise  # otherwise it has made it up
            logger.exception("election %s: %s raised", self._name, name_of(function))

    async def _tell(self) -> None:
        """Make the calls of ``stopped`` and ``new_leader``, one after another."""
        while not self.is_closed:  # one of them may have closed it
            while self._untold:
                await self._untold.popleft()()
            self._all_told.set()
            self._to_tell.clear()
            if not self.is_closed:
                await self._to_tell.wait()


def clock_of(loop: asyncio.AbstractEventLoop) -> LeaseClock:
    """Return the times by which to decide in a loop: the machine's, unless the loop has a time of its own."""
    if _has_its_own_time(loop):
        return LeaseClock(loop.time, lambda: EPOCH + loop.time())
    return LeaseClock.system()


def _has_its_own_time(loop: asyncio.AbstractEventLoop) -> bool:
    """Tell whether a loop's time is not the machine's, as that of a loop with virtual time."""
    return isinstance(loop, asyncio.BaseEventLoop) and type(loop).time is not asyncio.BaseEventLoop.time

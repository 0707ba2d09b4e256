"""A candidate's way through the terms: it follows the Lease, acquires it, renews it and gives it back.

One task at a time runs :meth:`Campaign.run`; one that is cancelled by a stranger may be run again, as all that it knows
is kept. What may be done when is decided in ``lease``.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from dataclasses import replace
from random import Random
from typing import Final, Protocol

from aioinformers.coordination.fence import Token
from aioinformers.coordination.lease import (
    REQUEST_TIME,
    Held,
    Lease,
    LeaseClock,
    LeaseRecord,
    Sighting,
    Timing,
    acquirable_at,
    is_over,
    micro_time,
    sighted,
)
from aioinformers.coordination.requests import LeaseRequests
from aioinformers.coordination.tenure import TIME_IS_OVER, Tenure
from aioinformers.errors import (
    ApiStatusError,
    ConflictError,
    ConnectionFailedError,
    InformerError,
    ResourceNotFoundError,
    ResponseError,
    ServerBusyError,
)
from aioinformers.loops import finishes_before
from aioinformers.statistics import ElectionState
from aioinformers.words import brief

__all__ = ["RELEASE_TIME", "Campaign", "Listener"]

logger: logging.Logger = logging.getLogger("aioinformers.election")

FAILURES: Final = (ApiStatusError, ConnectionFailedError, ResponseError)
"""What a request may end with."""
RELEASE_TIME: Final = 1.0
"""Seconds that the release gets, all in all."""

_JITTER: Final = 0.2
"""By which part the time between two renewals may be longer than the period."""
_LONGEST_DELAY: Final = 30.0
"""Seconds between two attempts that the server has refused."""
_LONGEST_RETRY_AFTER: Final = 60.0
_SILENCE: Final = 75.0
"""Seconds without a change after which the watch is taken to be deaf; bookmarks come about every minute."""
_HEALTHY: Final = 10.0
"""Seconds that a watch lives at least, unless something is wrong."""
_REMEMBERED: Final = 64
"""Acquisitions that are known as one's own; an earlier one may be carried out late."""


class Listener(Protocol):
    """Who is told of what happens; at once, and without an ``await`` in between."""

    def on_gain(self, tenure: Tenure) -> None:
        """A term has begun."""
        ...

    def on_loss(self, tenure: Tenure) -> None:
        """A term is over; its blocks have been cancelled and may not have ended."""
        ...

    def on_settled(self, tenure: Tenure) -> None:
        """A term and its blocks have ended."""
        ...

    def on_holder(self, holder: str) -> None:
        """Somebody else than before holds the Lease."""
        ...

    def on_news(self) -> None:
        """Something has changed."""
        ...


class Campaign:
    """The candidate.

    Args:
        name: The election, as ``namespace/name`` of its Lease.
        identity: Who the candidate is.
        requests: The requests to the Lease.
        timing: The durations.
        clock: The times by which it decides.
        random: Source of jitter.
        listener: Who is told of what happens.

    Attributes:
        state: What it does.
        reason: Why; empty if nothing is wrong.
        holder: Who holds the Lease as far as is known; empty for nobody.
        tenure: The term; None from its end, the end of its blocks included, to the next.
        terms: How often it has gained a term.
        lost: How many it has lost.
        renewals: Renewals that the server has accepted.
        failures: Requests that have failed.
        ended: Set when it has ended, after :meth:`leave`.
    """

    def __init__(
        self,
        name: str,
        identity: str,
        requests: LeaseRequests,
        timing: Timing,
        clock: LeaseClock,
        random: Random,
        listener: Listener,
    ) -> None:
        self.state: ElectionState = ElectionState.STARTING
        self.reason: str = ""
        self.holder: str = ""
        self.tenure: Tenure | None = None
        self.terms: int = 0
        self.lost: int = 0
        self.renewals: int = 0
        self.failures: int = 0
        self.ended: asyncio.Event = asyncio.Event()
        self._name = name
        self._identity = identity
        self._requests = requests
        self._timing = timing
        self._clock = clock
        self._random = random
        self._listener = listener
        self._leaving = asyncio.Event()
        self._seen: Sighting | None = None
        self._is_stale = True
        self._acquired: deque[str] = deque(maxlen=_REMEMBERED)
        self._failed_in_a_row = 0
        self._conflicts_in_a_row = 0
        self._deaf_in_a_row = 0
        self._watch_from = -math.inf
        self._timer: asyncio.TimerHandle | None = None

    # -- from outside --------------------------------------------------------------------------------------------------

    @property
    def is_leaving(self) -> bool:
        """Whether no further term is wanted."""
        return self._leaving.is_set()

    def leave(self) -> None:
        """Want no further term; the present one goes on until its last block has ended, and is given back then."""
        self._leaving.set()
        if self.tenure is not None:
            self.tenure.notify()

    def expire(self) -> None:
        """End the term if its time is over."""
        tenure = self.tenure
        if tenure is None or tenure.reason:
            return
        if tenure.seconds_left:
            self._arm(tenure)
        else:
            self._lose(tenure, f"{TIME_IS_OVER}: {self.reason}" if self.reason else TIME_IS_OVER)

    def end(self, reason: str) -> None:
        """End the term at once, and cancel its blocks."""
        if self.tenure is not None and self.tenure.end(reason):
            self._listener.on_loss(self.tenure)

    async def run(self) -> None:
        """Lead whenever that is possible, until :meth:`leave`, and give the Lease back.

        Cancellation: the Lease is not given back, and a term goes on for as long as it is held. It may be run again.
        """
        while True:
            if self.tenure is not None:
                await self._hold(self.tenure)
                self._listener.on_settled(self.tenure)
                self.tenure = None
            if self.is_leaving:
                break
            await finishes_before(self._strive(), self._leaving.wait())
        await self._release()
        self._become(ElectionState.CLOSED)
        self.ended.set()

    # -- without a term ------------------------------------------------------------------------------------------------

    async def _strive(self) -> None:
        """Go on until there is a term."""
        while self.tenure is None:
            try:
                await self._step()
            except FAILURES as error:
                self._is_stale = True
                await asyncio.sleep(self._failed(error))

    async def _step(self) -> None:
        """Look at the Lease, and wait for it or acquire it."""
        if self._seen is None or self._is_stale:
            self._observe(await self._requests.get(self._timing.request_time))
        seen = self._seen
        assert seen is not None, "it has been looked at"
        if self._clock.now() < self._acquirable_at(seen):
            self._failed_in_a_row = self._conflicts_in_a_row = 0
            await self._follow(seen)
        else:
            await self._acquire(seen)

    def _acquirable_at(self, seen: Sighting) -> float:
        return acquirable_at(seen, self._identity, self._acquired, self._timing.lease_duration)

    def _observe(self, lease: Lease | None) -> None:
        """Note what the Lease is like now."""
        self._is_stale = False
        self._seen = sighted(self._seen, lease, self._clock.now())
        holder = lease.record.holder if lease is not None else ""
        if holder != self.holder:
            self.holder = holder
            if holder:
                self._listener.on_holder(holder)
            self._listener.on_news()

    @property
    def since_renewal(self) -> float | None:
        """Seconds since the Lease was last seen to be renewed, by whoever holds it; None before it has been seen."""
        seen = self._seen
        return None if seen is None or seen.lease is None else max(0.0, self._clock.now() - seen.since)

    async def _follow(self, seen: Sighting) -> None:
        """Wait until the Lease may be acquired, or has to be looked at again."""
        reason = self.reason if self._deaf_in_a_row else ""
        if seen.lease is None:
            reason = f"the Lease has been deleted, and {seen.record.holder}, who held it, is given its time"
        self._become(ElectionState.FOLLOWING, reason)
        if seen.lease is None or self._clock.now() < self._watch_from:
            self._is_stale = True
            left = self._acquirable_at(seen) - self._clock.now()
            await asyncio.sleep(max(0.0, min(left, self._period())))
            return
        begin = self._clock.now()
        try:
            await self._watch(seen.lease)
        except FAILURES as error:
            self._is_stale = True
            if self._clock.now() - begin >= _HEALTHY:
                return
            self.failures += 1
            self._deaf_in_a_row += 1
            delay = min(_LONGEST_DELAY, self._timing.retry_period * 2.0 ** min(self._deaf_in_a_row - 1, 10))
            self._watch_from = self._clock.now() + delay
            self._become(ElectionState.FOLLOWING, f"the Lease cannot be watched: {error}")

    async def _watch(self, lease: Lease) -> None:
        """Follow the Lease until it may be acquired; a silence that is too long makes it stale."""
        async with self._requests.watch(lease) as changes:
            while True:
                seen = self._seen
                assert seen is not None, "it has been looked at"
                left = self._acquirable_at(seen) - self._clock.now()
                if left <= 0 or seen.lease is None:
                    return
                try:
                    async with asyncio.timeout(min(left, _SILENCE)):
                        changed = await changes.next()
                except TimeoutError:
                    if left > _SILENCE:
                        self._is_stale = True
                        return
                    continue  # it is time, unless the loop's clock runs faster than that of Leases
                self._observe(changed)
                self._deaf_in_a_row = 0
                self._become(ElectionState.FOLLOWING)

    async def _acquire(self, seen: Sighting) -> None:
        """Write that the Lease is held from now on, unless somebody else has changed it."""
        sent, wall = self._clock.now(), self._clock.wall()
        now = micro_time(wall)
        self._acquired.append(now)
        transitions = 0 if seen.lease is None else seen.record.transitions + 1
        record = LeaseRecord(self._identity, math.ceil(self._timing.lease_duration), now, now, transitions)
        limit = self._timing.request_time
        self._is_stale = True  # until there is an answer: it may be ours by then
        try:
            if seen.lease is None:
                lease = await self._requests.create(record, limit)
            else:
                lease = await self._requests.update(seen.lease, record, limit)
        except ConflictError as error:
            self._conflicts_in_a_row += 1
            if self._conflicts_in_a_row > 1:  # the first one is somebody's who was faster
                raise
            logger.debug("election %s: somebody else was faster: %s", self._name, error)
            return
        if lease.record.holder != self._identity:
            raise ResponseError(f"the Lease was acquired, and its holder is {brief(lease.record.holder, 80)!r}")
        self._acquired.append(lease.record.acquired)
        self._observe(lease)
        self._conflicts_in_a_row = self._failed_in_a_row = self._deaf_in_a_row = 0
        held = self._held(sent, wall)
        if not is_over(held, self._clock.now(), self._clock.wall()):  # otherwise it is tried again
            self._gain(Tenure(self._name, Token(lease.uid, lease.record.transitions), self._clock, held))

    def _failed(self, error: InformerError) -> float:
        """Note that a request has failed, and return the seconds until the next attempt."""
        self.failures += 1
        self._failed_in_a_row += 1
        is_away = isinstance(error, ConnectionFailedError | ServerBusyError) or getattr(error, "status", 0) >= 500
        self._become(ElectionState.UNREACHABLE if is_away else ElectionState.REFUSED, str(error))
        log = logger.warning if self._failed_in_a_row == 1 else logger.debug
        log("election %s: %s", self._name, error)
        # A server that is back is to have a leader soon; one that refuses changes its mind when somebody acts.
        limit = self._timing.lease_duration / 3 if is_away else _LONGEST_DELAY
        delay = self._period() * 2.0 ** min(self._failed_in_a_row - 1, 10)
        wanted = min(getattr(error, "retry_after", None) or 0.0, _LONGEST_RETRY_AFTER)
        return max(wanted, min(delay, max(limit, self._timing.retry_period)))

    # -- with one ------------------------------------------------------------------------------------------------------

    def _gain(self, tenure: Tenure) -> None:
        self.tenure = tenure
        self.terms += 1
        self._arm(tenure)
        self._become(ElectionState.LEADING)
        logger.info("election %s: %s is the leader, term %s", self._name, self._identity, tenure.token)
        self._listener.on_gain(tenure)

    async def _hold(self, tenure: Tenure) -> None:
        """Renew the Lease until the term and its blocks have ended."""
        loop = asyncio.get_running_loop()
        due, is_again = loop.time() + self._period(), False
        while not tenure.reason:
            if self.is_leaving and not tenure.blocks:
                self.end("it has been given back")
                break
            try:
                async with asyncio.timeout_at(due):
                    await tenure.changes()
            except TimeoutError:
                begin = loop.time()
                is_again = await self._renew(tenure, is_again=is_again)
                due = begin + (0.0 if is_again else self._period())  # after one that hung, the next is due already
        if self._timer is not None:
            self._timer.cancel()
        if tenure.blocks:
            self._become(ElectionState.ENDING, tenure.reason)
        await tenure.settled.wait()

    async def _renew(self, tenure: Tenure, *, is_again: bool) -> bool:
        """Renew the Lease; return whether that is to be tried again at once, which it is not twice."""
        self.expire()
        if tenure.reason:
            return False
        sent, wall = self._clock.now(), self._clock.wall()
        limit = min(REQUEST_TIME, tenure.seconds_left)
        seen = self._seen
        assert seen is not None, "it has been acquired"
        assert seen.lease is not None, "it has been acquired"
        record = replace(seen.record, duration=math.ceil(self._timing.lease_duration), renewed=micro_time(wall))
        try:
            lease = await self._requests.update(seen.lease, record, limit)
        except FAILURES as error:
            is_gone = isinstance(error, ResourceNotFoundError) and error.reason == "NotFound"
            is_ours = (is_gone or isinstance(error, ConflictError)) and await self._look_again(tenure)
            if is_ours and not is_again:
                return True
            self._not_renewed(tenure, error)
            return False
        self._observe(lease)
        self.expire()  # what comes too late revives nothing: a run may have been refused already
        if not self._is_mine(lease.record):
            self._lose(tenure, f"{lease.record.holder or 'nobody'} holds it now")
        if not tenure.reason:
            self.renewals += 1
            tenure.held = self._held(sent, wall)
            self._arm(tenure)
            self._become(ElectionState.LEADING)
        return False

    async def _look_again(self, tenure: Tenure) -> bool:
        """Find out who has changed the Lease; return whether it can be renewed all the same."""
        self._is_stale = True
        if tenure.reason:
            return False
        limit = min(REQUEST_TIME, tenure.seconds_left)
        try:
            lease = await self._requests.get(limit)
        except FAILURES as error:
            self._not_renewed(tenure, error)
            return False
        self._observe(lease)
        if lease is None:
            self._lose(tenure, "the Lease has been deleted")
        elif not self._is_mine(lease.record):
            self._lose(tenure, f"{lease.record.holder or 'nobody'} holds it now")
        return not tenure.reason

    def _not_renewed(self, tenure: Tenure, error: InformerError) -> None:
        self.failures += 1
        if not tenure.reason:  # otherwise that says it
            logger.warning("election %s: the Lease could not be renewed: %s", self._name, error)
            self._become(ElectionState.LEADING, str(error))

    def _is_mine(self, record: LeaseRecord) -> bool:
        return record.holder == self._identity and record.acquired in self._acquired

    def _held(self, sent: float, wall: float) -> Held:
        return Held(sent, wall, self._timing.renew_deadline, self._timing.lease_duration)

    def _arm(self, tenure: Tenure) -> None:
        """End the term when its time is over, whatever the task does then."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(tenure.seconds_left, self.expire)

    def _lose(self, tenure: Tenure, reason: str) -> None:
        if tenure.reason:
            return
        self.lost += 1
        logger.warning("election %s: %s is not the leader any more: %s", self._name, self._identity, reason)
        self._become(ElectionState.ENDING, reason)
        self.end(reason)

    # -- and after it --------------------------------------------------------------------------------------------------

    async def _release(self) -> None:
        """Write that nobody holds the Lease, if this candidate does; others have to wait for its end otherwise."""
        if not self._acquired:
            return
        try:
            async with asyncio.timeout(RELEASE_TIME):
                lease = None if self._is_stale or self._seen is None else self._seen.lease
                for _ in range(2):
                    lease = lease or await self._requests.get(RELEASE_TIME)
                    if lease is None or not self._is_mine(lease.record):
                        return
                    try:
                        now = micro_time(self._clock.wall())
                        record = LeaseRecord("", 1, now, now, lease.record.transitions)
                        self._observe(await self._requests.update(lease, record, RELEASE_TIME))
                        return
                    except ConflictError:  # a renewal that was given up may have been carried out meanwhile
                        lease = None
        except (TimeoutError, *FAILURES) as error:
            why = str(error) or f"no answer within {RELEASE_TIME:g} s"
            logger.warning(
                "election %s: the Lease could not be given back, others wait for its end: %s", self._name, why
            )

    # -- common --------------------------------------------------------------------------------------------------------

    def _period(self) -> float:
        return self._timing.retry_period * (1.0 + _JITTER * self._random.random())

    def _become(self, state: ElectionState, reason: str = "") -> None:
        if (state, reason) != (self.state, self.reason):
            logger.debug("election %s: %s -> %s %s", self._name, self.state.value, state.value, reason)
            self.state, self.reason = state, reason
            self._listener.on_news()

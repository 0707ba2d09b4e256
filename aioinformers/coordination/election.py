"""Leader election: what users hold."""

from __future__ import annotations

import asyncio
import warnings
import weakref
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from aioinformers.checks import require_seconds, shown
from aioinformers.coordination.arguments import identity_of, namespace_of, require_function, require_name, timing_of
from aioinformers.coordination.candidate import Candidate, clock_of
from aioinformers.coordination.fence import Token
from aioinformers.coordination.lease import LeaseClock
from aioinformers.coordination.requests import LeaseRequests
from aioinformers.coordination.tenure import Guard, Tenure, Term
from aioinformers.coordination.watchdog import hard_fence_by_default
from aioinformers.errors import InformerClosedError, InformerCrashedError, NotLeadingError
from aioinformers.loops import Deadline, require_loop
from aioinformers.settings import Settings
from aioinformers.statistics import ElectionState, ElectionStatistics
from aioinformers.transport.apart import ApartClient
from aioinformers.transport.failures import CLIENT_CLOSED
from aioinformers.transport.source import Source
from aioinformers.types import ObjectKey

__all__ = ["LeaderElection", "Leading", "started_elections"]

F = TypeVar("F", bound=Callable[..., Awaitable[object]])

_CONNECTIONS: Final = 2
"""One for the watch of a candidate, and one for all else, which it cannot hold up."""


class LeaderElection:
    """One candidate for leadership; of all those of one name, at most one leads at a time.

    ``async with`` begins it: it follows a Lease, acquires it when that is free, renews it, and acquires it again after
    a loss, until the end of the block, where it gives it back once all that the term guards has ended. The process and
    its caches live on after a loss.

    ::

        async with LeaderElection(api, "website-operator") as election:
            async with election.leading() as term:
                ...                                 # cancelled when the term is lost

    It is a :class:`~aioinformers.coordination.Fence`.

    Args:
        api: An ``ApiClient`` of kubernetes_asyncio or ``kubernetes.aio``; the caller closes it, after the election.
        name: Name of the Lease.
        namespace: Its namespace; by default that of the Pod's service account, or the variable ``POD_NAMESPACE``.
        identity: Who this candidate is; by default the host's name and a random part, so that no two are the same.
        lease_duration: Seconds for which others leave a Lease alone that is not renewed.
        renew_deadline: Seconds for which a leader acts upon its last renewal.
        retry_period: Seconds between two renewals, or two attempts; up to a fifth more.
        hard_fence: Whether the process ends with :func:`os._exit` when something that a term guards goes on for 0.8
            lease durations after the last renewal: an event loop that is blocked, a block that refuses to be cancelled.
            None for the default of the context, which is no.
        clock: The times by which it decides; by default the machine's, or the loop's where that has a time of its own.

    Raises:
        TypeError: If an argument is of another type.
        ValueError: If a name, namespace or identity cannot be, no namespace can be found, or the durations contradict
            each other.
    """

    def __init__(
        self,
        api: Any,
        name: str,
        *,
        namespace: str | None = None,
        identity: str | None = None,
        lease_duration: float = 15.0,
        renew_deadline: float = 10.0,
        retry_period: float = 2.0,
        hard_fence: bool | None = None,
        clock: LeaseClock | None = None,
    ) -> None:
        self._client = ApartClient(api, _CONNECTIONS)
        require_name(name)
        self._key = ObjectKey(namespace_of(namespace), name)
        self._identity = identity_of(identity)
        self._timing = timing_of(lease_duration, renew_deadline, retry_period)
        if not isinstance(hard_fence, bool | None):
            raise TypeError(f"hard_fence must be True, False or None, not {shown(hard_fence)}")
        if not isinstance(clock, LeaseClock | None):
            raise TypeError(f"clock must be a LeaseClock, not {shown(clock)}")
        self._hard_fence = hard_fence
        self._clock = clock
        self._candidate: Candidate | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._started: list[Callable[[Term], Awaitable[object]]] = []
        self._stopped: list[Callable[[str], Awaitable[object]]] = []
        self._new_leader: list[Callable[[str], Awaitable[object]]] = []

    def __del__(self) -> None:
        candidate = vars(self).get("_candidate")  # none if __init__ raised
        if candidate is not None and not candidate.is_closed:
            text = f"{self!r} was dropped while it runs: leave its `async with` block, or await its aclose()"
            warnings.warn(text, ResourceWarning, stacklevel=2, source=self)

    def __str__(self) -> str:
        return f"election {self._key}"

    def __repr__(self) -> str:
        seen = self.statistics()
        return f"<LeaderElection {seen.name} as {seen.identity}: {seen.state.value}, held by {seen.holder or 'nobody'}>"

    # -- what is known -------------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The election, as ``namespace/name`` of its Lease."""
        return str(self._key)

    @property
    def identity(self) -> str:
        """Who this candidate is."""
        return self._identity

    @property
    def has_begun(self) -> bool:
        """Whether it has begun, or has ended even; it runs once."""
        return self._loop is not None

    @property
    def holder(self) -> str:
        """The identity of whoever holds the Lease, as far as is known; empty for nobody."""
        return self._candidate.campaign.holder if self._candidate is not None else ""

    @property
    def is_leading(self) -> bool:
        """Whether this candidate may act right now. May be asked from any thread."""
        tenure = self._tenure
        return tenure is not None and tenure.seconds_left > 0

    def statistics(self) -> ElectionStatistics:
        """Return a snapshot: what the candidate does, and why."""
        candidate, tenure = self._candidate, self._tenure
        left = 0.0 if tenure is None else tenure.seconds_left
        running = 0 if tenure is None else len(tenure.blocks)
        if candidate is None:
            state = ElectionState.STARTING if self._loop is None else ElectionState.CLOSED
            return ElectionStatistics(self.name, self._identity, state, "", "", False, 0.0, 0, 0, 0, 0, 0)
        campaign, bug = candidate.campaign, candidate.bug
        return ElectionStatistics(
            name=self.name,
            identity=self._identity,
            state=ElectionState.CLOSED if candidate.is_closed or bug is not None else campaign.state,
            reason=campaign.reason if bug is None else f"a bug ended it: {type(bug).__name__}",
            holder=campaign.holder,
            is_leading=left > 0,
            seconds_left=left,
            terms=campaign.terms,
            lost=campaign.lost,
            renewals=campaign.renewals,
            failures=campaign.failures,
            running=running,
            since_renewal=campaign.since_renewal,
        )

    @property
    def _tenure(self) -> Tenure | None:
        return None if self._candidate is None else self._candidate.campaign.tenure

    # -- what a leader may do ------------------------------------------------------------------------------------------

    def check(self, key: ObjectKey | None = None, uid: str = "") -> float:
        """Return the seconds for which this candidate may act, to bound what is sent now. May be asked from any thread.

        Args:
            key: An object; a Lease fences all of them alike.
            uid: Its uid.

        Raises:
            NotLeadingError: If it may not.
        """
        return self._required().check()

    def is_active(self, key: ObjectKey, uid: str) -> bool:
        """Tell whether something new may be begun for an object; a Lease says the same of all of them."""
        candidate = self._candidate
        return candidate is not None and self.is_leading and not candidate.campaign.is_leaving

    def token(self, key: ObjectKey | None = None, uid: str = "") -> Token:
        """Return the number of the present term; arguments and errors as for :meth:`check`."""
        tenure = self._required()
        tenure.check()
        return tenure.token

    @property
    def deadline(self) -> float:
        """The moment, on the clock of Leases, at which leadership ends unless it is renewed; 0 without leadership."""
        tenure = self._tenure
        return tenure.held.until if tenure is not None and tenure.seconds_left else 0.0

    def leading(self) -> Leading:
        """Return an async context manager that waits for leadership, and guards its block by it.

        The block is cancelled when the term is lost, and ends with a ``NotLeadingError`` then; cancellation by anybody
        else passes through. Several blocks may be in one term. The wait raises what :meth:`wait_leading` does, so that
        a loop around such blocks ends with the election. Cancellation of the wait changes nothing.
        """
        return Leading(self)

    async def wait_leading(self, *, timeout: float | None = None) -> Term:
        """Wait until this candidate leads, and return the term. Cancellation changes nothing.

        Args:
            timeout: Seconds; None waits without limit.

        Raises:
            InformerClosedError: If the election ends meanwhile, or has ended.
            InformerCrashedError: If a bug has ended the election.
            RuntimeError: If it has not begun.
            TimeoutError: If that takes too long; it says who leads, and why nobody does.
        """
        candidate = self._require_begun()
        async with Deadline(timeout, lambda: self._waited(timeout)):
            while True:
                if candidate.bug is not None:
                    raise InformerCrashedError(f"a bug ended {self}; please report it") from candidate.bug
                if candidate.campaign.is_leaving:
                    raise InformerClosedError(f"{self} has ended, or is about to: make another LeaderElection")
                if (tenure := candidate.campaign.tenure) is not None and tenure.seconds_left:
                    return Term(tenure)
                await candidate.news()

    def _required(self) -> Tenure:
        if (tenure := self._tenure) is None:
            raise NotLeadingError(self.name, self._why_not())
        return tenure

    def _waited(self, timeout: float | None) -> str:
        return f"{self._identity} was not the leader of {self.name} within {timeout:g} s: {self._why_not()}"

    def _why_not(self) -> str:
        if self._candidate is None:
            return "the election has not begun: use it in `async with`"
        campaign = self._candidate.campaign
        if campaign.reason:
            return campaign.reason
        return (
            f"{campaign.holder} is" if campaign.holder not in ("", self._identity) else "nobody is, as far as is known"
        )

    # -- being told ----------------------------------------------------------------------------------------------------

    def on_started(self, function: F) -> F:
        """Have ``async def function(term)`` run in each term, guarded by it; a decorator.

        It may run for as long as the term does, and is cancelled with it, and when the election ends. What it raises is
        logged.

        Raises:
            TypeError: If it is no such function.
        """
        self._started.append(require_function(function, "on_started", "the term"))
        if self._candidate is not None and (tenure := self._tenure) is not None and tenure.seconds_left:
            self._candidate.work(function, tenure)
        return function

    def on_stopped(self, function: F) -> F:
        """Have ``async def function(reason)`` called whenever a term is over; a decorator.

        Its blocks have been cancelled then, and may not have ended. What it raises is logged.

        Raises:
            TypeError: If it is no such function.
        """
        self._stopped.append(require_function(function, "on_stopped", "the reason"))
        return function

    def on_new_leader(self, function: F) -> F:
        """Have ``async def function(identity)`` called whenever somebody else leads, or this candidate; a decorator.

        What it raises is logged.

        Raises:
            TypeError: If it is no such function.
        """
        self._new_leader.append(require_function(function, "on_new_leader", "the identity"))
        return function

    # -- life ----------------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        if self._loop is not None:
            raise RuntimeError(f"{self} runs once: make another LeaderElection")
        if self._client.is_closed:
            raise RuntimeError(CLIENT_CLOSED)
        self._loop = asyncio.get_running_loop()
        source = Source(self._client, Settings())
        candidate = Candidate(
            self.name,
            self._identity,
            self._client,
            LeaseRequests(source, *self._key),
            source,
            self._timing,
            self._clock or clock_of(self._loop),
            hard_fence=hard_fence_by_default.get() if self._hard_fence is None else self._hard_fence,
        )
        candidate.started, candidate.stopped, candidate.new_leader = self._started, self._stopped, self._new_leader
        self._candidate = candidate
        candidate.start()
        _started.add(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self.aclose()
        finally:
            _started.discard(self)
            if self._candidate is not None and self._candidate.is_fenced:
                self._candidate.forgive()
                raise RuntimeError(f"{self}: hard_fence would have ended the process") from error

    def leave(self) -> None:
        """Want no further term: the present one goes on until its last block has ended, and is given back then.

        Raises:
            RuntimeError: If the election has not begun, or from another loop or thread.
        """
        candidate = self._require_begun()
        candidate.campaign.leave()
        candidate.on_news()

    async def aclose(self, *, grace: float | None = 10.0) -> None:
        """End the election: wait for the blocks that the term guards, and give the Lease back.

        Blocks that have not ended within the grace are cancelled; one that refuses is named at ERROR, and the Lease is
        not given back then. Whoever closes again waits for the same end, and may shorten it. Cancellation shortens the
        grace to nothing, and is raised at the end.

        Args:
            grace: Seconds; None waits without limit.

        Raises:
            RuntimeError: From another loop or thread, or in a block that would have to be waited for.
        """
        require_seconds("grace", grace)
        if self._candidate is None:
            self._loop = asyncio.get_running_loop()
            return
        candidate, tenure = self._require_begun(), self._tenure
        if tenure is not None and any(block.task is asyncio.current_task() for block in tenure.blocks):
            raise RuntimeError(f"{self} cannot be closed in a block that its end waits for: leave the block first")
        await candidate.aclose(grace)

    def _require_begun(self) -> Candidate:
        if self._candidate is None:
            raise RuntimeError(f"{self} has not begun, or never will: use it in `async with`")
        require_loop(self._loop, str(self), advice="use it there")
        return self._candidate


def started_elections() -> list[LeaderElection]:
    """Return the candidates of this process whose blocks have begun and not ended."""
    return sorted(_started, key=lambda election: (election.name, election.identity))


_started: weakref.WeakSet[LeaderElection] = weakref.WeakSet()


class Leading:
    """A block that waits for leadership and is guarded by it: ``async with election.leading() as term``."""

    def __init__(self, election: LeaderElection) -> None:
        self._election = election
        self._guard: Guard | None = None

    async def __aenter__(self) -> Term:
        if self._guard is not None:
            raise RuntimeError("it is for one block: ask for another with election.leading()")
        while True:
            term = await self._election.wait_leading()
            guard = term.guard()
            try:
                await guard.__aenter__()
            except NotLeadingError:  # lost in the same moment
                continue
            self._guard = guard
            return term

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._guard is not None, "it has been entered"
        await self._guard.__aexit__(kind, error, traceback)

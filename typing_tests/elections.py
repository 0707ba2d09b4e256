"""Elections know what they give, and what they take."""

from __future__ import annotations

from typing import Any, assert_type

from kubernetes_asyncio import client

from aioinformers.coordination import ElectionStatistics, Fence, LeaderElection, LeaseClock, Term, Token


async def what_an_election_gives(api: client.ApiClient) -> None:
    """Terms, seconds, numbers."""
    async with LeaderElection(api, "web", namespace="ops", lease_duration=15, hard_fence=True) as election:
        assert_type(election, LeaderElection)
        assert_type(await election.wait_leading(timeout=5), Term)
        async with election.leading() as term:
            assert_type(term, Term)
            assert_type(term.check(), float)
            assert_type(term.token, Token)
            async with term.guard() as same:
                assert_type(same, Term)
        assert_type(election.check(), float)
        assert_type(election.statistics(), ElectionStatistics)
        fence: Fence = election
        assert_type(fence.token(), Token)


def what_it_takes(election: LeaderElection, api: Any, clock: LeaseClock) -> None:
    """Async functions of one argument, and only the options that there are."""

    @election.on_started
    async def started(term: Term) -> None: ...

    @election.on_stopped
    async def stopped(reason: str) -> int:
        return 1

    def plain(term: Term) -> None: ...

    election.on_started(started)
    election.on_started(plain)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
    LeaderElection(api, "web", clock=clock)
    LeaderElection(api, "web", "ops")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    LeaderElection(api, "web", lease_seconds=15)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]

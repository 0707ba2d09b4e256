"""Leases on both servers: what an election asks of them, and elections themselves, in real time."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from kubernetes_asyncio import client

from aioinformers.coordination import ElectionState, LeaderElection
from aioinformers.coordination.lease import Lease, LeaseRecord, micro_time
from aioinformers.coordination.requests import LeaseRequests
from aioinformers.errors import ConflictError, NotLeadingError, ResourceNotFoundError
from aioinformers.settings import Settings
from aioinformers.testing import ChaosProxy
from aioinformers.transport.source import Source
from tests.kit import until
from tests.kit.clients import CLIENTS, client_of
from tests.kit.fixtures import APIServer
from tests.kit.realserver import LIMITED_TOKEN, RealAPIServer

SHORT: dict[str, Any] = {"lease_duration": 3.0, "renew_deadline": 2.0, "retry_period": 0.4}


@pytest.fixture
async def namespace(api_server: APIServer) -> str:
    """A namespace of the test's own."""
    name = f"t-{uuid.uuid4().hex[:10]}"
    async with api_server.api_client() as api:
        core: Any = client.CoreV1Api(api)
        await core.create_namespace({"metadata": {"name": name}})
    return name


@pytest.fixture
async def requests(api_server: APIServer, namespace: str) -> AsyncIterator[LeaseRequests]:
    async with api_server.api_client() as api:
        yield LeaseRequests(Source(api, Settings()), namespace, "op")


def record(holder: str, transitions: int = 0, duration: int = 15) -> LeaseRecord:
    now = micro_time(round(time.time()) + 0.25)
    return LeaseRecord(holder, duration, now, now, transitions)


# -- what is asked of a server ------------------------------------------------------------------------------------


async def test_a_lease_comes_back_as_it_was_written(requests: LeaseRequests) -> None:
    """Times, too: to the last of six digits."""
    assert await requests.get(5) is None
    first = record("a")
    made = await requests.create(first, 5)
    assert made.record == first
    found = await requests.get(5)
    assert found == made
    released = LeaseRecord("", 1, made.record.acquired, made.record.renewed, 7)
    assert (await requests.update(made, released, 5)).record == released


async def test_a_change_of_what_has_changed_is_a_conflict(requests: LeaseRequests) -> None:
    made = await requests.create(record("a"), 5)
    await requests.update(made, record("b", 1), 5)
    with pytest.raises(ConflictError):
        await requests.update(made, record("c", 1), 5)
    with pytest.raises(ConflictError):
        await requests.create(record("c"), 5)


async def test_a_change_of_what_has_been_deleted_makes_nothing(
    api_server: APIServer, namespace: str, requests: LeaseRequests
) -> None:
    """Neither where there is no Lease by then, nor where there is another one."""
    made = await requests.create(record("a"), 5)
    await delete(api_server, namespace)
    with pytest.raises((ConflictError, ResourceNotFoundError)):
        await requests.update(made, record("a"), 5)
    assert await requests.get(5) is None
    other = await requests.create(record("b"), 5)
    with pytest.raises(ConflictError):
        await requests.update(made, record("a"), 5)
    assert await requests.get(5) == other


async def test_a_watch_tells_of_one_lease_alone(api_server: APIServer, namespace: str, requests: LeaseRequests) -> None:
    made = await requests.create(record("a"), 5)
    async with api_server.api_client() as api:
        await LeaseRequests(Source(api, Settings()), namespace, "other").create(record("x"), 5)
    async with requests.watch(made) as changes, asyncio.timeout(60):
        changed = await requests.update(made, record("b", 1), 5)
        assert await changes.next() == changed
        await delete(api_server, namespace)
        assert await changes.next() is None


async def delete(server: APIServer, namespace: str) -> None:
    async with server.api_client() as api:
        leases: Any = client.CoordinationV1Api(api)
        await leases.delete_namespaced_lease("op", namespace)


# -- elections ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", CLIENTS)
async def test_g21_a_lease_is_acquired_renewed_given_back_and_taken_over(
    api_server: APIServer, namespace: str, requests: LeaseRequests, which: str
) -> None:
    async with client_of(api_server, which) as one, client_of(api_server, which) as two:
        async with (
            LeaderElection(one, "op", namespace=namespace, identity="a", **SHORT) as a,
            LeaderElection(two, "op", namespace=namespace, identity="b", **SHORT) as b,
        ):
            await until(lambda: a.is_leading or b.is_leading)
            first, second = (a, b) if a.is_leading else (b, a)
            await until(lambda: first.statistics().renewals >= 5)
            assert await held(requests) == (first.identity, 3, 0)
            assert not second.is_leading
            begin = time.monotonic()
            await first.aclose()
            term = await second.wait_leading(timeout=60)
            assert time.monotonic() - begin < 2.4  # when it would have run out at the earliest
            assert await held(requests) == (second.identity, 3, 1)
            assert term.token.number == 1
        assert await held(requests) == ("", 1, 1)


async def held(requests: LeaseRequests) -> tuple[str, int, int]:
    lease = await requests.get(5)
    assert isinstance(lease, Lease)
    return lease.record.holder, lease.record.duration, lease.record.transitions


async def test_g21_a_leader_that_is_cut_off_stops_before_the_next_one_begins(
    api_server: APIServer, namespace: str
) -> None:
    async with ChaosProxy(api_server.url) as proxy, api_server.api_client() as two:
        configuration = api_server.configuration()
        configuration.host = proxy.url
        async with (
            client.ApiClient(configuration) as one,
            LeaderElection(one, "op", namespace=namespace, identity="a", **SHORT) as a,
        ):
            await a.wait_leading(timeout=60)
            async with LeaderElection(two, "op", namespace=namespace, identity="b", **SHORT) as b:
                await until(lambda: b.holder == "a")
                proxy.freeze()
                begin = time.monotonic()
                with pytest.raises(NotLeadingError):
                    async with a.leading():
                        await asyncio.sleep(100)
                assert not b.is_leading
                await b.wait_leading(timeout=60)
                assert time.monotonic() - begin < 3 + 5
                proxy.thaw()
                await asyncio.sleep(1)
                assert b.is_leading
                assert not a.is_leading


async def test_g21_a_lease_that_is_deleted_ends_the_term(api_server: APIServer, namespace: str) -> None:
    async with (
        api_server.api_client() as api,
        LeaderElection(api, "op", namespace=namespace, identity="a", **SHORT) as a,
    ):
        term = await a.wait_leading(timeout=60)
        await delete(api_server, namespace)
        await until(lambda: term.is_over)
        assert term.reason == "the Lease has been deleted"
        again = await a.wait_leading(timeout=60)
        assert again.token.uid != term.token.uid


@pytest.mark.realserver
async def test_a_namespace_that_is_not_there_is_named(real_server: RealAPIServer) -> None:
    async with real_server.api_client() as api, LeaderElection(api, "op", namespace="nowhere", **SHORT) as a:
        await until(lambda: a.statistics().state is ElectionState.REFUSED)
        assert 'namespaces "nowhere" not found (is there a namespace nowhere?)' in a.statistics().reason


@pytest.mark.realserver
async def test_forbidden_is_named_and_the_verbs_that_the_documentation_names_are_enough(
    real_server: RealAPIServer,
) -> None:
    namespace = f"t-{uuid.uuid4().hex[:10]}"
    async with real_server.api_client() as admin, real_server.api_client(LIMITED_TOKEN) as api:
        core: Any = client.CoreV1Api(admin)
        rbac: Any = client.RbacAuthorizationV1Api(admin)
        await core.create_namespace({"metadata": {"name": namespace}})
        async with LeaderElection(api, "op", namespace=namespace, identity="a", **SHORT) as a:
            await until(lambda: a.statistics().state is ElectionState.REFUSED)
            reason = a.statistics().reason
            assert "403" in reason
            assert f"needs the verbs get, create, update and watch on leases in {namespace}" in reason
            verbs = ["get", "create", "update", "watch"]
            rules = [{"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": verbs}]
            await rbac.create_namespaced_role(namespace, {"metadata": {"name": "leader"}, "rules": rules})
            binding = {
                "metadata": {"name": "leader"},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "leader"},
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "limited"}],
            }
            await rbac.create_namespaced_role_binding(namespace, binding)
            await a.wait_leading(timeout=60)
            async with LeaderElection(api, "op", namespace=namespace, identity="b", **SHORT) as b:
                await until(lambda: b.holder == "a")
                await asyncio.sleep(2)
                assert b.statistics().reason == ""
                await a.aclose()
                begin = time.monotonic()
                await b.wait_leading(timeout=60)
                assert time.monotonic() - begin < 2.4

"""Informers on ``connect()``: whatever expires or is exchanged while they run, they go on without a restart."""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from kubernetes_asyncio import client
from kubernetes_asyncio.config import incluster_config

import aioinformers
from aioinformers import Settings, SharedInformer, SharedInformerFactory, WatchFailure
from aioinformers.errors import ConfigurationError, CredentialsError, UnauthorizedError
from aioinformers.testing import FakeAPIServer, Fault, RequestInfo
from tests.kit import QUICK, configmap
from tests.kit.gate import Authority, Gate
from tests.kit.realserver import ADMIN_TOKEN, RealAPIServer
from tests.transport.kubeconfigs import V1, encoded, kubeconfig, plugin_printing, replace

virtual_time = pytest.mark.virtual_time


def now() -> float:
    return asyncio.get_running_loop().time()


@pytest.fixture
async def server() -> AsyncIterator[FakeAPIServer]:
    async with FakeAPIServer() as found:
        found.create("configmaps", configmap("c", "shop"))
        yield found


class Watched:
    """An informer of ConfigMaps on a client of ``connect()``."""

    def __init__(self, factory: SharedInformerFactory, failures: list[WatchFailure]) -> None:
        self.factory = factory
        self.failures = failures
        self.configmaps: SharedInformer[dict[str, Any]] = factory.for_resource("configmaps.v1.")


@asynccontextmanager
async def connected(path: Path | None, settings: Settings = QUICK, **options: Any) -> AsyncIterator[Watched]:
    failures: list[WatchFailure] = []
    async with aioinformers.connect(path) as api:
        factory = SharedInformerFactory(api, settings=settings, on_watch_error=failures.append, **options)
        async with factory:
            yield Watched(factory, failures)


def admitting(*tokens: str) -> Any:
    """Return an interceptor that refuses all other tokens; more may be added to its list."""
    admitted = list(tokens)

    def judge(request: RequestInfo) -> Fault | None:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        return None if token in admitted else Fault(status=401)

    judge.admitted = admitted  # type: ignore[attr-defined]
    return judge


# -- on the embedded server ---------------------------------------------------------------------------------------


@virtual_time
async def test_the_client_is_that_of_kubernetes_asyncio_and_ends_with_the_block(
    server: FakeAPIServer, tmp_path: Path
) -> None:
    path = kubeconfig(tmp_path / "config", server.url, {"token": "t"})
    async with aioinformers.connect(str(path), "it") as api, SharedInformerFactory(api, settings=QUICK) as factory:
        assert isinstance(api, client.ApiClient)
        configmaps = factory.core.v1.configmaps()
        await factory.wait_for_cache_sync(timeout=60)
        assert len(configmaps.lister) == 1
    assert api.rest_client.pool_manager.closed
    with pytest.raises(ConfigurationError, match="there is no context 'itt' among it: did you mean 'it'"):
        async with aioinformers.connect(path, "itt"):
            pass


@virtual_time
async def test_g16_a_token_that_has_been_replaced_is_sent_before_the_old_one_is_refused(
    server: FakeAPIServer, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("old")
    async with connected(kubeconfig(tmp_path / "config", server.url, {"tokenFile": "token"})) as it:
        await it.factory.wait_for_cache_sync(timeout=60)
        await asyncio.sleep(100)
        server.intercept(admitting("new"))
        server.patch("configmaps", "c", {"data": {"a": "b"}}, namespace="shop")
        replace(token, "new")
        before, begin = len(server.requests), now()
        server.close_watches()
        while len(server.requests) == before or not it.configmaps.is_watching:
            await asyncio.sleep(0.01)
        assert now() - begin < 0.1
        assert {r.headers["authorization"] for r in server.requests[before:]} == {"Bearer new"}
    assert it.failures == []


@virtual_time
async def test_g16_a_401_with_a_token_that_can_be_renewed_costs_one_more_request_and_no_backoff(
    server: FakeAPIServer, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("old")
    async with connected(kubeconfig(tmp_path / "config", server.url, {"tokenFile": "token"})) as it:
        server.intercept(admitting("new"))
        replace(token, "new")  # within the second in which it has been looked at
        begin = now()
        await it.factory.wait_for_cache_sync(timeout=60)
        assert now() - begin < 0.1
        sent = [r.headers["authorization"] for r in server.requests]
        assert sent[:2] == ["Bearer old", "Bearer new"]
        assert set(sent[1:]) == {"Bearer new"}
    assert it.failures == []


@virtual_time
@pytest.mark.parametrize(
    ("user", "words"),
    [
        ({}, "the kubeconfig {} has no credentials for this cluster"),
        ({"token": "t"}, "log in again: the kubeconfig {} is read anew when it changes"),
    ],
)
async def test_g9_a_401_that_stays_names_its_cause_and_whoever_logs_in_again_goes_on(
    server: FakeAPIServer, tmp_path: Path, user: dict[str, Any], words: str
) -> None:
    path = kubeconfig(tmp_path / "config", server.url, user)
    server.intercept(admitting("new"))
    async with connected(path) as it:
        await asyncio.sleep(5)
        error = it.configmaps.last_error
        assert isinstance(error, UnauthorizedError)
        assert f"({words.format(path)})" in str(error)
        kubeconfig(path, server.url, {"token": "new"})
        await it.factory.wait_for_cache_sync(timeout=31)


@virtual_time
async def test_a_401_without_a_hook_names_connect(server: FakeAPIServer) -> None:
    server.intercept(admitting("new"))
    async with server.api_client() as api, SharedInformerFactory(api, settings=QUICK) as factory:
        pods = factory.core.v1.pods()
        await asyncio.sleep(1)
        assert (
            "nothing renews the client's credentials: use aioinformers.connect(), or set refresh_api_key_hook"
            in str(pods.last_error)
        )


class StrangeHook:
    """A hook of the user's, whose names mean other things."""

    generation = "third"
    hint = 7

    async def __call__(self, configuration: client.Configuration) -> None:
        configuration.api_key = {"BearerToken": "Bearer t"}

    def invalidate(self) -> None:
        raise AssertionError("it takes no argument, so it is not called")


@virtual_time
async def test_g9_a_hook_that_means_something_else_does_no_harm(server: FakeAPIServer) -> None:
    configuration = server.configuration()
    configuration.api_key = {"BearerToken": "x"}
    configuration.refresh_api_key_hook = StrangeHook()
    server.fail("* pods", 401, times=4)
    async with client.ApiClient(configuration) as api, SharedInformerFactory(api, settings=QUICK) as factory:
        pods = factory.core.v1.pods()
        await asyncio.sleep(0.5)
        assert "what the client's refresh_api_key_hook gave was refused twice" in str(pods.last_error)
        await factory.wait_for_cache_sync(timeout=31)


async def test_g16_however_many_informers_are_refused_a_plugin_is_run_once(
    server: FakeAPIServer, tmp_path: Path
) -> None:
    status, log = tmp_path / "status", tmp_path / "log"
    replace(status, '{"token": "one"}')
    judge = admitting("one")
    server.intercept(judge)
    kinds = ("pods", "nodes", "secrets", "services", "endpoints", "namespaces", "events", "serviceaccounts")
    async with connected(kubeconfig(tmp_path / "config", server.url, plugin_printing(status, log))) as it:
        informers = [it.configmaps, *(it.factory.for_resource(f"{kind}.v1.") for kind in kinds)]
        await it.factory.wait_for_cache_sync(timeout=60)
        await asyncio.sleep(1.5)
        replace(status, '{"token": "two"}')
        judge.admitted[:] = ["two"]
        server.close_watches()
        await asyncio.sleep(2)
        async with asyncio.timeout(60):
            while not all(informer.is_watching for informer in informers):
                await asyncio.sleep(0.02)
        assert log.read_text().count("run") == 2
    assert not [failure for failure in it.failures if isinstance(failure.error, UnauthorizedError)]


async def test_g9_a_plugin_that_fails_for_a_while_is_a_failed_request_and_is_told(
    server: FakeAPIServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    status = tmp_path / "status"
    replace(status, '{"token": "secret-of-the-plugin", "expirationTimestamp": "2020-01-01T00:00:00Z"}')
    user = plugin_printing(status, tmp_path / "log")
    async with connected(kubeconfig(tmp_path / "config", server.url, user)) as it:
        await it.factory.wait_for_cache_sync(timeout=60)
        status.unlink()
        await asyncio.sleep(1.1)
        server.close_watches()
        async with asyncio.timeout(60):
            while not isinstance(it.configmaps.last_error, CredentialsError):
                await asyncio.sleep(0.02)
        said = f"{it.configmaps.health().reason} {caplog.text} {it.failures}"
        assert "ended with exit code 1: FileNotFoundError" in it.configmaps.health().reason
        assert "secret-of-the-plugin" not in said
        replace(status, '{"token": "t"}')
        async with asyncio.timeout(60):
            while not it.configmaps.is_watching:
                await asyncio.sleep(0.02)


# -- on the real server, behind a gate ----------------------------------------------------------------------------

CUT = Settings(
    backoff_jitter=0.0, watch_timeout_min=9, watch_timeout_max=10, watch_healthy_after=1.0, watch_timeout_slack=3
)  # fmt: skip

SHORT_LIVED = """
import json, os, time
from datetime import datetime, timedelta, timezone

until = datetime.now(timezone.utc) + timedelta(seconds=3)
status = {{"token": "until-%f" % until.timestamp()}}
if {is_told}:
    status["expirationTimestamp"] = until.isoformat()
with open({log!r}, "a") as log:
    log.write("run\\n")
print(json.dumps({{"apiVersion": {version!r}, "kind": "ExecCredential", "status": status}}))
"""


def is_in_time(authorization: str, _: str) -> bool:
    """Judge a token of the plug-in above as a server does."""
    import time

    try:
        return float(authorization.removeprefix("Bearer until-")) > time.time()
    except ValueError:
        return False


class Writer:
    """Changes a ConfigMap of the real server, and notes when a handler hears of it."""

    def __init__(self, server: RealAPIServer) -> None:
        self.namespace = f"t-{uuid.uuid4().hex[:8]}"
        self._server = server
        self.written: dict[str, float] = {}
        self.heard: dict[str, float] = {}

    async def on_event(self, event: Any) -> None:
        for name, value in (event.object.get("data") or {}).items():
            if value == "x":
                self.heard.setdefault(name, now())

    async def write(self, seconds: float, pause: float = 0.1) -> None:
        """Write so many times a second, each time another key."""
        async with self._server.api_client() as api:
            core: Any = client.CoreV1Api(api)
            end = now() + seconds
            while now() < end:
                key = f"k{len(self.written)}"
                # The old keys go: what counts is the time at which each new one is heard of.
                body = {"data": {key: "x", f"k{len(self.written) - 20}": None}}
                self.written[key] = now()
                await core.patch_namespaced_config_map("c", self.namespace, body)
                await asyncio.sleep(pause)

    async def prepare(self) -> None:
        async with self._server.api_client() as api:
            core: Any = client.CoreV1Api(api)
            await core.create_namespace({"metadata": {"name": self.namespace}})
            await core.create_namespaced_config_map(self.namespace, configmap("c", self.namespace))

    @property
    def gaps(self) -> list[float]:
        """Seconds between each write and its event; at least those up to now for what is still missing."""
        return [self.heard.get(key, now()) - at for key, at in self.written.items()]


@pytest.fixture
async def writer(real_server: RealAPIServer) -> Writer:
    found = Writer(real_server)
    await found.prepare()
    return found


@pytest.mark.realserver
@pytest.mark.parametrize(
    ("seconds", "is_told"),
    [
        (15, False),
        pytest.param(60, True, marks=pytest.mark.slow),
        pytest.param(60, False, marks=pytest.mark.slow),
    ],
)
async def test_g9_tokens_that_live_for_three_seconds_leave_no_gap(
    real_server: RealAPIServer, writer: Writer, tmp_path: Path, seconds: int, is_told: bool
) -> None:
    """Watches end every ten seconds, and tokens of an exec plug-in are refused after three."""
    authority, log = Authority(), tmp_path / "log"
    script = SHORT_LIVED.format(is_told=is_told, log=str(log), version=V1)
    user = {"exec": {"apiVersion": V1, "command": sys.executable, "args": ["-c", script]}}
    gate = Gate(
        real_server.url, authority, tmp_path, admits=is_in_time, token=ADMIN_TOKEN, upstream_ca=real_server.ca_file
    )
    async with gate:
        path = kubeconfig(tmp_path / "config", gate.url, user, certificate_authority_data=encoded(authority.pem))
        async with connected(path, CUT, namespace=writer.namespace) as it:
            it.configmaps.add_event_handler(writer.on_event)
            await it.factory.wait_for_cache_sync(timeout=60)
            writing = asyncio.create_task(writer.write(seconds))
            while not writing.done():
                await asyncio.sleep(5)
                gate.cut()
            await writing
            async with asyncio.timeout(60):
                while len(writer.heard) < len(writer.written):
                    await asyncio.sleep(0.05)
    assert len(writer.written) > seconds * 2
    assert max(writer.gaps) < 8  # on a busy machine the plug-in itself takes a second or two
    refusals = sum(passage.status == 401 for passage in gate.passages)
    assert refusals <= 3 if is_told else refusals > 0  # a busy machine delivers one or the other late
    assert not [failure for failure in it.failures if isinstance(failure.error, UnauthorizedError)]
    assert log.read_text().count("run") >= seconds / 10


@pytest.mark.realserver
async def test_g16_a_401_of_the_real_server_is_answered_with_a_new_token_and_no_backoff(
    real_server: RealAPIServer, writer: Writer, tmp_path: Path
) -> None:
    status, log = tmp_path / "status", tmp_path / "log"
    replace(status, '{"token": "unknown-to-the-server"}')
    path = kubeconfig(
        tmp_path / "config", real_server.url, plugin_printing(status, log), certificate_authority=real_server.ca_file
    )
    async with aioinformers.connect(path) as api:
        await asyncio.sleep(1.1)
        replace(status, json.dumps({"token": ADMIN_TOKEN}))
        failures: list[WatchFailure] = []
        options: dict[str, Any] = {"namespace": writer.namespace, "on_watch_error": failures.append}
        async with SharedInformerFactory(api, **options) as factory:
            configmaps = factory.core.v1.configmaps()
            await factory.wait_for_cache_sync(timeout=60)
            assert len(configmaps.lister) == 1
            core: Any = client.CoreV1Api(api)
            replace(status, '{"token": "unknown-to-the-server"}')
            await core.patch_namespaced_config_map("c", writer.namespace, {"data": {"a": "b"}})
        assert failures == []
        assert log.read_text().count("run") == 2


@pytest.mark.realserver
@pytest.mark.slow
async def test_g9_a_service_accounts_token_and_authority_are_exchanged_while_informers_run(
    real_server: RealAPIServer, writer: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a Pod whose cluster gets another authority: nothing is started again."""
    old, new = Authority("old"), Authority("new")
    token, ca = tmp_path / "token", tmp_path / "ca.crt"
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(ca))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    refused: set[str] = set()
    gate = Gate(
        real_server.url, old, tmp_path, upstream_ca=real_server.ca_file, admits=lambda sent, _: sent not in refused
    )
    async with gate:
        host, _, port = gate.url.removeprefix("https://").partition(":")
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
        issued = [await service_account_token(real_server, writer.namespace) for _ in range(2)]
        replace(token, f"{issued[0]}\n")
        replace(ca, old.pem)
        async with connected(None, CUT, namespace=writer.namespace) as it:
            it.configmaps.add_event_handler(writer.on_event)
            await it.factory.wait_for_cache_sync(timeout=60)
            writing = asyncio.create_task(writer.write(20))
            await asyncio.sleep(2)
            gate.use(new)
            refused.add(f"Bearer {issued[0]}")
            gate.cut()  # from here on neither certificate nor token will do
            await asyncio.sleep(3)
            replace(ca, old.pem + new.pem)
            replace(token, f"{issued[1]}\n")
            await asyncio.sleep(8)
            replace(ca, new.pem)
            await asyncio.sleep(2)
            gate.cut()
            await writing
            await asyncio.sleep(1)
            assert it.configmaps.is_watching
            assert writer.heard.keys() >= {key for key, at in writer.written.items() if at > now() - 5}
    tokens = {passage.authorization.removeprefix("Bearer ") for passage in gate.passages}
    assert tokens == set(issued)


async def service_account_token(server: RealAPIServer, namespace: str) -> str:
    """Return a token of a service account that may do what informers do."""
    async with server.api_client() as api:
        core: Any = client.CoreV1Api(api)
        rbac: Any = client.RbacAuthorizationV1Api(api)
        name = f"sa-{uuid.uuid4().hex[:8]}"
        await core.create_namespaced_service_account(namespace, {"metadata": {"name": name}})
        binding = {
            "metadata": {"name": f"{namespace}-{name}"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
        }
        await rbac.create_cluster_role_binding(binding)
        issued = await core.create_namespaced_service_account_token(name, namespace, {"spec": {}})
        return str(issued.status.token)

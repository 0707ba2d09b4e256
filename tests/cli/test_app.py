"""The command line: what it prints, its exit codes, and one line for everything that goes wrong."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import signal
import sys
import termios
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from aioinformers.__main__ import main
from aioinformers.cli import connect
from aioinformers.cli.columns import age_of, duration, format_table, status_of
from aioinformers.cli.demo.board import changes
from aioinformers.cli.demo.run import run_demo
from aioinformers.testing import FakeAPIServer, RequestInfo, run_virtual
from tests.kit import child_process, configmap, pod, until
from tests.kit.realserver import ADMIN_TOKEN, LIMITED_TOKEN, RealAPIServer

FORBIDDEN = {
    "kind": "Status",
    "apiVersion": "v1",
    "metadata": {},
    "status": "Failure",
    "reason": "Forbidden",
    "message": 'secrets is forbidden: User "bob" cannot list resource "secrets"',
    "code": 403,
}


@dataclass(frozen=True)
class Result:
    """How a command has ended."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[list[str]]:
        """The output, split where columns are."""
        return [re.split(r" {2,}", line.strip()) for line in self.out.splitlines()]


class Shell:
    """Runs commands in a thread, beside the server in the test's own loop."""

    def __init__(self, server: FakeAPIServer, kubeconfig: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.server = server
        self.kubeconfig = kubeconfig
        self._capsys = capsys

    async def run(self, *argv: str) -> Result:
        code = await asyncio.to_thread(main, argv)
        return Result(code, *self._capsys.readouterr())

    def configure(self, user: Mapping[str, Any] | None = None, **servers: str) -> None:
        """Write a kubeconfig with a context per server; ``fake`` is the current one."""
        servers = {"fake": self.server.url, **servers}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "fake",
            "clusters": [{"name": name, "cluster": {"server": url}} for name, url in servers.items()],
            "users": [{"name": "me", "user": user or {}}],
            "contexts": [
                {"name": name, "context": {"cluster": name, "user": "me", "namespace": "shop"}} for name in servers
            ],
        }
        self.kubeconfig.write_text(json.dumps(config))

    def watches(self, resource: str) -> int:
        return sum(request.verb == "watch" and request.resource == resource for request in self.server.requests)


@pytest.fixture
async def shell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Shell]:
    async with FakeAPIServer() as server:
        server.create("pods", pod("web-1", "shop", app="web"))
        server.create("pods", pod("web-2", "shop", app="web", tier="front"))
        server.create("pods", pod("db-1", "data", app="db"))
        server.create("configmaps", configmap("settings", "shop", level="info"))
        server.create("nodes", {"metadata": {"name": "n1"}})
        server.add_resource("widgets.v1.example.com", "Widget", short_names=["wd"])
        server.create("widgets", {"metadata": {"name": "red", "namespace": "shop"}, "status": {"phase": "Painted"}})
        found = Shell(server, tmp_path / "kubeconfig", capsys)
        found.configure()
        monkeypatch.setenv("KUBECONFIG", str(found.kubeconfig))
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
        yield found


@asynccontextmanager
async def process(*argv: str, stdout: int = asyncio.subprocess.PIPE) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the command line as a process of its own."""
    command = [sys.executable, "-W", "error", "-m", "aioinformers", *argv]
    async with child_process(*command, stdout=stdout, stderr=asyncio.subprocess.PIPE) as child:
        yield child


async def stderr_of(child: asyncio.subprocess.Process) -> str:
    assert child.stderr is not None
    return (await child.stderr.read()).decode()


# -- get ------------------------------------------------------------------------------------------------------


async def test_get_prints_the_objects_of_the_contexts_namespace(shell: Shell) -> None:
    result = await shell.run("get", "pods")

    assert result.code == 0
    assert result.err == ""
    assert [row[:2] for row in result.rows] == [["NAMESPACE", "NAME"], ["shop", "web-1"], ["shop", "web-2"]]


@pytest.mark.parametrize("name", ["wd", "widgets", "widget", "Widget", "widgets.example.com", "widgets.v1.example.com"])
async def test_get_finds_a_resource_by_any_of_its_names(shell: Shell, name: str) -> None:
    result = await shell.run("get", name)

    assert result.code == 0
    assert result.rows[1][:3] == ["shop", "red", "Painted"]


@pytest.mark.parametrize(
    ("argv", "names"),
    [
        (["-A"], ["db-1", "web-1", "web-2"]),
        (["-n", "data"], ["db-1"]),
        (["-l", "app in (web),!tier"], ["web-1"]),
        (["-A", "--field-selector", "metadata.name!=web-1"], ["db-1", "web-2"]),
        (["web-2"], ["web-2"]),
    ],
)
async def test_get_narrows_what_it_prints(shell: Shell, argv: list[str], names: list[str]) -> None:
    result = await shell.run("get", "po", *argv, "-o", "name")

    assert result.code == 0
    assert result.out.split() == [f"pod/{name}" for name in names]


async def test_get_names_groups_and_sorts_namespaces(shell: Shell) -> None:
    result = await shell.run("get", "widgets", "-o", "name")

    assert result.out == "widget.example.com/red\n"


async def test_get_of_a_cluster_scoped_resource_ignores_the_namespace(shell: Shell) -> None:
    result = await shell.run("get", "nodes", "-n", "shop")

    assert result.code == 0
    assert [row[0] for row in result.rows] == ["NAME", "n1"]


async def test_get_wide_shows_labels_and_versions(shell: Shell) -> None:
    result = await shell.run("get", "pods", "web-2", "-o", "wide")

    version = shell.server.get("pods", "web-2", namespace="shop")["metadata"]["resourceVersion"]
    assert result.rows[0][-2:] == ["RESOURCE-VERSION", "LABELS"]
    assert result.rows[1][-2:] == [version, "app=web,tier=front"]


async def test_get_json_is_a_list_and_of_one_object_the_object(shell: Shell) -> None:
    listed, one = await shell.run("get", "pods", "-o", "json"), await shell.run("get", "pod", "web-1", "-o", "json")

    stored = shell.server.get("pods", "web-1", namespace="shop")
    assert json.loads(listed.out)["items"][0] == stored
    assert json.loads(one.out) == stored


async def test_get_of_nothing_says_so_and_is_no_failure(shell: Shell) -> None:
    result = await shell.run("get", "pods", "-n", "empty")

    assert (result.code, result.out) == (0, "")
    assert result.err == "aioinformers: no pods.v1 found in namespace empty\n"


# -- bad input ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["get", "podz"], 2, "did you mean pods?"),
        (["watch", "podz"], 2, "did you mean pods?"),
        (["get", "pods", "nope"], 1, "'nope' not found in namespace shop: see what there is with"),
        (["get", "nodes", "nope"], 1, "'nope' not found: see what there is with `aioinformers get nodes`"),
        (["get", "pods", "web-1", "-A"], 2, "-n NAMESPACE"),
        (["get", "pods", "web-1", "-l", "app"], 2, "leave the selectors out"),
        (["get", "pods", "-l", "app=(web"], 2, "bad selector 'app=(web' at character 4"),
        (["watch", "pods", "--field-selector", "phase"], 2, "bad selector 'phase'"),
        (["get", "pods", "--field-selector", "spec.no=1"], 1, "refuses: 400"),
        (["get", "pods", "-n", "Bad_Name"], 2, "'Bad_Name' cannot be a namespace"),
        (["get", "pods", "-o", "yaml"], 2, "'yaml' is not one of"),
        (["watch", "pods", "-o", "name"], 2, "'name' is not one of"),
        (["watch", "pods", "--seconds", "soon"], 2, "--seconds"),
        (["get"], 2, "aioinformers get --help"),
        (["fetch"], 2, "fetch"),
        (["get", "pods", "--frobnicate"], 2, "--frobnicate"),
        (["get", "pods", "--context", "prod"], 2, "no context 'prod': choose from fake"),
        (["get", "pods", "--kubeconfig", "/no/such/file"], 2, "no kubeconfig at /no/such/file"),
    ],
)
async def test_bad_input_gets_one_line_and_an_exit_code(shell: Shell, argv: list[str], code: int, words: str) -> None:
    result = await shell.run(*argv)

    assert result.code == code
    assert result.out == ""
    assert result.err.startswith("aioinformers: ")
    assert result.err.count("\n") == 1
    assert words in result.err


@pytest.mark.parametrize("command", [["get"], ["watch"]])
async def test_a_403_is_told_in_the_servers_words(shell: Shell, command: list[str]) -> None:
    shell.server.fail("* secrets", 403, times=None, body=FORBIDDEN)

    result = await shell.run(*command, "secrets")

    assert (result.code, result.out, result.err.count("\n")) == (1, "", 1)
    assert 'User "bob" cannot list resource "secrets" (the client needs the verbs list and watch' in result.err


async def test_who_may_list_but_not_watch_can_get(shell: Shell) -> None:
    shell.server.fail("watch pods", 403, times=None)

    result = await shell.run("get", "pods", "-o", "name")

    assert (result.code, result.err) == (0, "")
    assert result.out.split() == ["pod/web-1", "pod/web-2"]


@pytest.mark.parametrize("command", ["get", "watch"])
async def test_a_refused_connection_fails_at_once(shell: Shell, command: str, unused_tcp_port: int) -> None:
    shell.configure(dead=f"http://127.0.0.1:{unused_tcp_port}")

    async with asyncio.timeout(10):
        result = await shell.run(command, "pods", "--context", "dead")

    assert (result.code, result.out, result.err.count("\n")) == (1, "", 1)
    assert f"cannot reach the API server http://127.0.0.1:{unused_tcp_port}" in result.err


@pytest.mark.parametrize(("status", "body"), [(200, "<html>log in</html>"), (404, "not here")])
async def test_a_server_that_is_no_api_server_is_told(shell: Shell, status: int, body: str) -> None:
    shell.server.fail(lambda _: True, status, times=None, body=body)

    result = await shell.run("get", "pods")

    assert (result.code, result.err.count("\n")) == (1, 1)
    assert "does not answer as a Kubernetes API server" in result.err


async def test_a_server_that_stays_busy_ends_get_after_its_timeout(shell: Shell) -> None:
    shell.server.fail("* pods", 503, times=None)

    result = await shell.run("get", "pods", "--timeout", "1")

    assert (result.code, result.err.count("\n")) == (1, 1)
    assert "did not sync within 1 s" in result.err


async def test_no_kubeconfig_says_where_it_was_looked_for(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBECONFIG")

    result = await shell.run("get", "pods")

    assert result == Result(
        2, "", "aioinformers: there is no kubeconfig at ~/.kube/config: name one with --kubeconfig or in KUBECONFIG\n"
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "it is no kubeconfig"),
        ("hello", "it is no kubeconfig"),
        ("a: [b", "while parsing"),
        ('{"clusters": [], "contexts": [], "users": []}', "current-context"),
    ],
)
async def test_a_broken_kubeconfig_is_named(shell: Shell, text: str, words: str) -> None:
    shell.kubeconfig.write_text(text)

    result = await shell.run("get", "pods")

    assert (result.code, result.err.count("\n")) == (2, 1)
    assert f"the kubeconfig {shell.kubeconfig} cannot be used: " in result.err
    assert words in result.err


async def test_a_pod_without_a_service_account_is_told(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBECONFIG")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")

    result = await shell.run("get", "pods")

    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "service account" in result.err


async def test_without_typer_one_line_says_what_to_install() -> None:
    script = "import sys; sys.modules['typer'] = None; from aioinformers.__main__ import main; sys.exit(main([]))"
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stderr=asyncio.subprocess.PIPE)
    _, err = await child.communicate()

    assert child.returncode == 2
    assert err.decode() == "aioinformers: typer is missing: install aioinformers[cli]\n"


async def test_without_arguments_the_help_is_printed(shell: Shell) -> None:
    result = await shell.run()

    assert (result.code, result.err) == (2, "")
    assert "demo" in result.out
    assert (await shell.run("--version")).out.startswith("aioinformers ")


# -- credentials ----------------------------------------------------------------------------------------------


async def test_credentials_of_exec_plugins_are_used(shell: Shell) -> None:
    credential = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": "from-plugin"},
    }
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": sys.executable,
        "args": ["-c", f"print({json.dumps(credential)!r})"],
    }
    shell.configure({"exec": plugin})

    assert (await shell.run("get", "pods")).code == 0
    assert {request.headers["authorization"] for request in shell.server.requests} == {"Bearer from-plugin"}


async def test_a_token_that_changes_while_we_watch_is_read_again(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connect, "_REFRESH_PERIOD", 0.0)
    token = tmp_path / "token"
    token.write_text("old")
    shell.configure({"tokenFile": str(token)})

    def replace_token(request: RequestInfo) -> None:
        if request.path == "/apis":
            token.write_text("new")

    shell.server.intercept(replace_token)
    assert (await shell.run("get", "pods")).code == 0

    assert shell.server.requests[0].headers["authorization"] == "Bearer old"
    assert shell.server.requests[-1].headers["authorization"] == "Bearer new"


# -- watch ----------------------------------------------------------------------------------------------------


async def test_watch_prints_what_there_is_and_then_each_change(shell: Shell) -> None:
    command = asyncio.create_task(shell.run("watch", "pods", "--seconds", "2"))
    await until(lambda: shell.watches("pods") > 0)
    await asyncio.sleep(0.3)
    shell.server.create("pods", pod("web-3", "shop"))
    shell.server.patch("pods", "web-3", {"status": {"phase": "Running"}}, namespace="shop")
    shell.server.delete("pods", "web-1", namespace="shop")
    shell.server.create("pods", pod("elsewhere", "data"))
    result = await command

    assert (result.code, result.err) == (0, "")
    assert [row[:4] for row in result.rows] == [
        ["EVENT", "NAMESPACE", "NAME", "STATUS"],
        ["ADDED", "shop", "web-1", "Unknown 0/1"],
        ["ADDED", "shop", "web-2", "Unknown 0/1"],
        ["ADDED", "shop", "web-3", "Unknown 0/1"],
        ["MODIFIED", "shop", "web-3", "Running 0/1"],
        ["DELETED", "shop", "web-1", "Unknown 0/1"],
    ]


async def test_watch_json_is_one_event_per_line(shell: Shell) -> None:
    command = asyncio.create_task(shell.run("watch", "wd", "-o", "json", "--seconds", "1.5"))
    await until(lambda: shell.watches("widgets") > 0)
    await asyncio.sleep(0.3)
    changed = shell.server.patch("widgets", "red", {"spec": {"color": "rouge à lèvres"}}, namespace="shop")
    shell.server.delete("widgets", "red", namespace="shop")
    result = await command

    events = [json.loads(line) for line in result.out.splitlines()]
    assert result.code == 0
    assert [event["type"] for event in events] == ["ADDED", "MODIFIED", "DELETED"]
    assert events[1]["object"] == changed


async def test_watch_goes_on_after_an_outage_and_tells_it(shell: Shell) -> None:
    command = asyncio.create_task(shell.run("watch", "pods", "-o", "wide", "--seconds", "4"))
    await until(lambda: shell.watches("pods") > 0)
    await asyncio.sleep(0.3)
    shell.server.reset_connections()
    await shell.server.stop()
    shell.server.delete("pods", "web-1", namespace="shop")
    await asyncio.sleep(0.2)
    await shell.server.start()
    result = await command

    assert result.code == 0
    assert [row[0] for row in result.rows] == ["EVENT", "ADDED", "ADDED", "DELETED"]
    assert re.fullmatch(
        r"(aioinformers: disconnected from pods\.v1: [^\n]+: trying again\n)+"
        r"aioinformers: connected to pods\.v1 again after \d+\.\d s\n",
        result.err,
    )


async def test_watch_that_cannot_list_in_its_time_fails(shell: Shell) -> None:
    shell.server.fail("* pods", 503, times=None)

    result = await shell.run("watch", "pods", "--seconds", "1")

    assert result.code == 1
    assert result.err.splitlines()[-1] == "aioinformers: pods could not be listed within 1 s"


async def test_watch_ends_quietly_when_nobody_reads(shell: Shell) -> None:
    async with process("watch", "pods") as child:
        assert child.stdout is not None
        await child.stdout.readline()
        child.stdout._transport.close()  # type: ignore[attr-defined]
        shell.server.create("pods", pod("web-3", "shop"))
        async with asyncio.timeout(10):
            assert await child.wait() == 0
        assert await stderr_of(child) == ""


async def test_ctrl_c_ends_watch_without_a_word(shell: Shell) -> None:
    async with process("watch", "pods") as child:
        assert child.stdout is not None
        await child.stdout.readline()
        child.send_signal(signal.SIGINT)
        async with asyncio.timeout(10):
            assert await child.wait() == 130
        assert await stderr_of(child) == ""


# -- a real server --------------------------------------------------------------------------------------------


@pytest.fixture
def real_kubeconfig(real_server: RealAPIServer, tmp_path: Path) -> Path:
    """A kubeconfig with a context for each of the real server's users, and one for somebody it does not know."""
    cluster = {"server": real_server.url, "certificate-authority": real_server.ca_file}
    tokens = {"admin": ADMIN_TOKEN, "limited": LIMITED_TOKEN, "stranger": "no-token"}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "admin",
        "clusters": [
            {"name": "real", "cluster": cluster},
            {"name": "unproven", "cluster": {"server": real_server.url}},
        ],
        "users": [{"name": name, "user": {"token": token}} for name, token in tokens.items()],
        "contexts": [
            *({"name": name, "context": {"cluster": "real", "user": name}} for name in tokens),
            {"name": "unproven", "context": {"cluster": "unproven", "user": "admin"}},
        ],
    }
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(config))
    return path


@pytest.mark.realserver
@pytest.mark.parametrize(
    ("argv", "code", "out", "err"),
    [
        (["get", "ns", "-o", "name"], 0, "namespace/kube-system\n", ""),
        (["get", "Namespace", "default", "-o", "wide"], 0, "kubernetes.io/metadata.name=default", ""),
        (["watch", "svc", "-n", "default", "--seconds", "2"], 0, "kubernetes   ClusterIP", ""),
        (["get", "nodez"], 2, "", "did you mean nodes"),
        (["get", "pods", "--field-selector", "spec.no=1"], 1, "", "field label not supported: spec.no"),
        (["get", "secrets", "--context", "limited"], 1, "", 'User "limited" cannot'),
        (["watch", "secrets", "--context", "limited"], 1, "", 'User "limited" cannot'),
        (["get", "pods", "--context", "stranger"], 1, "", "401 Unauthorized"),
        (["get", "pods", "--context", "unproven"], 1, "", "check the certificates"),
    ],
)
def test_the_real_server_is_asked_and_understood(
    real_kubeconfig: Path, capsys: pytest.CaptureFixture[str], argv: list[str], code: int, out: str, err: str
) -> None:
    result = Result(main([*argv, "--kubeconfig", str(real_kubeconfig)]), *capsys.readouterr())

    assert (result.code, result.err.count("\n")) == (code, 1 if err else 0)
    assert out in result.out
    assert err in result.err


# -- demo -----------------------------------------------------------------------------------------------------


def complete_rows(summary: str) -> list[str]:
    """Return the resources of a summary whose adds, updates and deletes are all more than zero."""
    rows = [re.split(r" {2,}", line.strip()) for line in summary.splitlines()]
    return [row[0] for row in rows if len(row) == 6 and row[5] == "yes" and all(int(count) > 0 for count in row[2:5])]


async def test_demo_ends_by_itself_with_a_summary() -> None:
    async with process("demo", "--seconds", "5") as child:
        out, err = await child.communicate()

    assert (child.returncode, err) == (0, b"")
    summary = out.decode().partition("INFORMER")[2]
    assert len(complete_rows(summary)) >= 4
    assert summary.splitlines()[-1].startswith("cache == server: the 7 caches hold the server's ")


def test_demo_survives_its_own_outages(capsys: pytest.CaptureFixture[str]) -> None:
    code = run_virtual(run_demo(seconds=30, is_plain=True, seed=7))

    out = capsys.readouterr().out
    assert code == 0
    assert "informers go on from where they were" in out
    assert "informers must list again" in out
    assert "CACHE == SERVER" in out
    assert len(complete_rows(out.partition("INFORMER")[2])) == 7


async def test_ctrl_c_ends_demo_with_the_summary() -> None:
    async with process("demo", "--plain") as child:
        assert child.stdout is not None
        while b"MODIFIED" not in (line := await child.stdout.readline()):
            assert line, await stderr_of(child)
        child.send_signal(signal.SIGINT)
        async with asyncio.timeout(10):
            out = await child.stdout.read()
            assert await child.wait() == 0

    assert b"cache == server: the 7 caches" in out


async def test_demo_draws_in_a_terminal() -> None:
    screen, terminal = pty.openpty()
    os.set_blocking(screen, False)
    termios.tcsetwinsize(terminal, (40, 80))
    drawn = bytearray()

    async def read() -> None:
        with suppress(OSError):  # the terminal is gone
            while True:
                with suppress(BlockingIOError):
                    drawn.extend(os.read(screen, 65536))
                await asyncio.sleep(0.01)

    reader = asyncio.create_task(read())
    try:
        async with process("demo", "--seconds", "2", stdout=terminal) as child:
            os.close(terminal)
            async with asyncio.timeout(30):
                assert await child.wait() == 0
            assert await stderr_of(child) == ""
            await reader
    finally:
        reader.cancel()
        os.close(screen)

    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn.decode())
    for words in ("7/7 caches", "watching", "events", "Ctrl-C ends it", "What the handlers were given"):
        assert words in text
    assert drawn.count(b"\x1b[?25l") == drawn.count(b"\x1b[?25h") > 0  # the cursor is visible again


# -- columns --------------------------------------------------------------------------------------------------

NOW = datetime(2025, 6, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("obj", "status"),
    [
        ({"kind": "Pod", "spec": {"containers": [{}, {}]}, "status": {"phase": "Running"}}, "Running 0/2"),
        (
            {
                "kind": "Pod",
                "spec": {"containers": [{}]},
                "status": {
                    "phase": "Running",
                    "containerStatuses": [{"ready": False, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}],
                },
            },
            "CrashLoopBackOff 0/1",
        ),
        ({"kind": "Pod", "metadata": {"deletionTimestamp": "2025-06-01T12:00:00Z"}}, "Terminating"),
        ({"kind": "Pod", "status": {"phase": "Failed", "reason": "Evicted"}}, "Evicted 0/0"),
        (
            {"kind": "Node", "status": {"conditions": [{"type": "Ready", "status": "False", "reason": "KubeletDown"}]}},
            "NotReady: KubeletDown",
        ),
        (
            {
                "kind": "Node",
                "spec": {"unschedulable": True},
                "status": {"conditions": [{"type": "Ready", "status": "True"}]},
            },
            "Ready,SchedulingDisabled",
        ),
        ({"kind": "Node"}, "Unknown"),
        ({"kind": "ConfigMap", "data": {"a": "1"}}, "1 key"),
        ({"kind": "Secret", "data": {"a": "1"}, "binaryData": {"b": "2"}}, "2 keys"),
        ({"kind": "Service", "spec": {"type": "NodePort"}}, "NodePort"),
        ({"kind": "DaemonSet", "status": {"numberReady": 1, "desiredNumberScheduled": 3}}, "1/3 ready"),
        ({"kind": "Deployment", "spec": {"replicas": 3}, "status": {"readyReplicas": 2}}, "2/3 ready"),
        ({"kind": "StatefulSet", "spec": {"replicas": 1}}, "0/1 ready"),
        ({"kind": "Namespace", "status": {"phase": "Active"}}, "Active"),
        ({"kind": "Widget", "status": {"state": "Painted"}}, "Painted"),
        ({"kind": "Widget", "status": "a text"}, ""),
        ({"kind": "Widget", "status": {"conditions": [{"type": "Available", "status": "False"}]}}, "NotAvailable"),
        ({"kind": "Widget", "status": {"conditions": ["odd"]}}, ""),
    ],
)
def test_status_says_what_matters(obj: dict[str, Any], status: str) -> None:
    assert status_of(obj) == status


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (timedelta(seconds=-5), "0s"),
        (timedelta(seconds=42), "42s"),
        (timedelta(minutes=2), "2m"),
        (timedelta(minutes=9, seconds=5), "9m5s"),
        (timedelta(minutes=10, seconds=5), "10m"),
        (timedelta(hours=3, minutes=12), "3h12m"),
        (timedelta(days=2, hours=4), "2d4h"),
        (timedelta(days=400), "1y35d"),
    ],
)
def test_durations_have_at_most_two_units(span: timedelta, words: str) -> None:
    assert duration(span) == words


def test_ages_that_are_not_known_are_a_dash() -> None:
    assert age_of({"metadata": {"creationTimestamp": "2025-06-01T11:59:00Z"}}, NOW) == "1m"
    assert age_of({"metadata": {"creationTimestamp": "yesterday"}}, NOW) == "-"
    assert age_of({"metadata": {}}, NOW) == "-"
    assert age_of({}, NOW) == "-"


def test_tables_are_as_wide_as_needed() -> None:
    assert format_table([["NAME", "AGE"], ["a-long-name", "1s"]]) == "NAME          AGE\na-long-name   1s"


def test_changes_are_told_by_path() -> None:
    old = {"metadata": {"resourceVersion": "1", "labels": {"a": "1"}}, "spec": {"ports": [{"port": 1}], "args": []}}
    new = {"metadata": {"resourceVersion": "2", "labels": None}, "spec": {"ports": [{"port": 2}], "args": ["x"]}}

    assert list(changes(old, new)) == [
        "metadata.labels some → none",
        "spec.ports[0].port 1 → 2",
        "spec.args 0 items → 1 items",
    ]

"""From a kubeconfig, or from inside a Pod, to a client: what newcomers meet, told in one line."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from kubernetes_asyncio.config import incluster_config

from aioinformers.testing import Fault, RequestInfo
from aioinformers.transport import plugins
from tests.cli.shell import Result, Shell, process

V1 = "client.authentication.k8s.io/v1"
SECRET = "secret-token-of-the-plugin"


def plugin(script: str, **fields: Any) -> dict[str, Any]:
    return {"exec": {"apiVersion": V1, "command": sys.executable, "args": ["-c", script], **fields}}


def printing(token: str) -> str:
    credential = {"apiVersion": V1, "kind": "ExecCredential", "status": {"token": token}}
    return f"print({json.dumps(credential)!r})"


# -- where it was looked for --------------------------------------------------------------------------------------


async def test_no_kubeconfig_says_all_places_where_it_was_looked_for(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBECONFIG")
    nowhere = (
        "this is no Pod (KUBERNETES_SERVICE_HOST is not set): name a kubeconfig with --kubeconfig or in KUBECONFIG"
    )
    assert await shell.run("get", "pods") == Result(
        2,
        "",
        f"aioinformers: no cluster is configured: KUBECONFIG is not set; ~/.kube/config does not exist; {nowhere}\n",
    )
    monkeypatch.setenv("KUBECONFIG", "/no/such:/file")
    assert await shell.run("get", "pods") == Result(
        2,
        "",
        "aioinformers: no cluster is configured: KUBECONFIG (/no/such:/file) names no kubeconfig that exists; "
        f"{nowhere}\n",
    )


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--kubeconfig", "/no/such/file"], "there is no kubeconfig at /no/such/file"),
        (["--kubeconfig", "/"], "the kubeconfig / is a folder"),
        (["--context", "fakke"], "there is no context 'fakke' among fake: did you mean 'fake'?"),
        (["--context", "x"], "there is no context 'x' among fake"),
    ],
)
async def test_a_wrong_path_or_context_is_named_with_the_near_one(shell: Shell, argv: list[str], words: str) -> None:
    result = await shell.run("get", "pods", *argv)
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert words in result.err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "it is not a kubeconfig"),
        ("hello", "it is not a kubeconfig"),
        ("a: [b", "while parsing a flow sequence"),
        ('{"clusters": [], "contexts": [], "users": []}', "it has no current-context"),
    ],
)
async def test_a_broken_kubeconfig_is_named(shell: Shell, text: str, words: str) -> None:
    shell.kubeconfig.write_text(text)

    result = await shell.run("get", "pods", "--kubeconfig", str(shell.kubeconfig))

    assert (result.code, result.err.count("\n")) == (2, 1)
    assert f"the kubeconfig {shell.kubeconfig} cannot be used: " in result.err
    assert words in result.err


async def test_a_pod_without_a_service_account_is_told(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBECONFIG")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")

    result = await shell.run("get", "pods")

    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "~/.kube/config does not exist; the Pod's service account cannot be used: " in result.err


async def test_a_certificate_that_cannot_be_read_is_told(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBECONFIG")
    for name, text in (("token", "t"), ("ca", "no certificate")):
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(tmp_path / "ca"))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")

    result = await shell.run("get", "pods")

    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "the Pod's service account cannot be used: its certificates: " in result.err


# -- exec plug-ins ------------------------------------------------------------------------------------------------


async def test_credentials_of_exec_plugins_are_used(shell: Shell) -> None:
    shell.configure(plugin(printing("from-plugin")))

    assert (await shell.run("get", "pods")).code == 0
    assert {request.headers["authorization"] for request in shell.server.requests} == {"Bearer from-plugin"}


@pytest.mark.parametrize(
    ("user", "words"),
    [
        (
            plugin("", command="no-such-plugin", installHint="see https://example.com"),
            "the exec plug-in 'no-such-plugin' cannot be run: there is no such command: see https://example.com",
        ),
        (plugin(f"print('Welcome! {SECRET}')"), "printed no ExecCredential in JSON: JSON is malformed"),
        (plugin(f"import sys; print('{SECRET}'); sys.exit('please log in')"), "ended with exit code 1: please log in"),
        (plugin("import time; time.sleep(60)"), "did not end within 1 s and was killed"),
    ],
    ids=["missing", "garbage", "failing", "hanging"],
)
async def test_a_plugin_that_gives_no_credentials_is_told_in_one_line(
    shell: Shell, user: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert plugins.run_plugin.__kwdefaults__ is not None
    monkeypatch.setitem(plugins.run_plugin.__kwdefaults__, "timeout", 1)
    shell.configure(user)

    result = await shell.run("get", "pods")

    assert (result.code, result.out, result.err.count("\n")) == (1, "", 1)
    assert result.err.startswith(
        f"aioinformers: no credentials for the API server {shell.server.url}: the exec plug-in"
    )
    assert words in result.err
    assert SECRET not in result.err


# -- credentials that change --------------------------------------------------------------------------------------


async def test_a_token_that_changes_while_we_watch_is_read_again(shell: Shell, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("old\n")
    shell.configure({"tokenFile": str(token)})
    async with process("watch", "pods", "--kubeconfig", str(shell.kubeconfig), stdout=asyncio.subprocess.DEVNULL):
        async with asyncio.timeout(20):
            while not shell.watches("pods"):
                await asyncio.sleep(0.05)
            beside = tmp_path / "beside"
            beside.write_text("new\n")
            os.replace(beside, token)

            def judge(request: RequestInfo) -> Fault | None:
                return None if request.headers["authorization"] == "Bearer new" else Fault(status=401)

            shell.server.intercept(judge)
            before = shell.watches("pods")
            shell.server.close_watches()
            while shell.watches("pods") == before or shell.server.requests[-1].headers["authorization"] != "Bearer new":
                await asyncio.sleep(0.05)


async def test_a_401_that_stays_names_its_cause(shell: Shell) -> None:
    shell.configure({"token": "old"})
    shell.server.fail("* pods", 401, times=None)

    result = await shell.run("get", "pods")

    assert result.code == 1
    assert f"(log in again: the kubeconfig {shell.kubeconfig} is read anew when it changes)" in result.err

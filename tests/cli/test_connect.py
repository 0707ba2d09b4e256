"""From a kubeconfig, or from inside a pod, to a client."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from aioinformers.cli import connect
from aioinformers.testing import RequestInfo
from tests.cli.shell import Result, Shell


async def test_no_kubeconfig_says_where_it_was_looked_for(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBECONFIG")

    result = await shell.run("get", "pods")

    assert result == Result(
        2, "", "aioinformers: there is no kubeconfig at ~/.kube/config: name one with --kubeconfig or in KUBECONFIG\n"
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "it is not a kubeconfig"),
        ("hello", "it is not a kubeconfig"),
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

"""What went wrong, in one line."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioinformers.cli.problems import REFUSED, USAGE, CommandError, explained, one_line, usage_error
from aioinformers.errors import (
    CacheSyncError,
    ConnectionFailedError,
    ForbiddenError,
    InformerError,
    ResourceNotFoundError,
    ResponseError,
)
from tests.cli.shell import Shell


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


SERVER = "https://cluster.example:6443"


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (
            ConnectionFailedError("cannot connect: no route"),
            REFUSED,
            f"cannot reach the API server {SERVER}: no route:",
        ),
        (ConnectionFailedError("SSL: CERTIFICATE_VERIFY_FAILED"), REFUSED, "check the certificates in the kubeconfig"),
        (ResponseError("no list"), REFUSED, f"{SERVER} does not answer as a Kubernetes API server does (no list)"),
        (ResourceNotFoundError(404, "NotFound", "no podz: did you mean pods?"), USAGE, "no podz: did you mean pods?"),
        (
            ForbiddenError(403, "Forbidden", "not you"),
            REFUSED,
            f"the API server {SERVER} refuses: 403 Forbidden: not you",
        ),
        (CacheSyncError({"pods.v1": "listing"}, 1), REFUSED, "did not sync within 1 s"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_every_error_of_the_package_becomes_a_line_that_says_what_to_do(
    error: InformerError, code: int, words: str
) -> None:
    with pytest.raises(CommandError) as caught, explained(SERVER):
        raise error
    assert caught.value.exit_code == code
    assert words in str(caught.value)
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", [KeyError("x"), CommandError("said already"), KeyboardInterrupt()])
def test_what_is_not_the_packages_own_passes_as_it_is(error: BaseException) -> None:
    """A bug must look like one."""
    with pytest.raises(type(error)) as caught, explained(SERVER):
        raise error
    assert caught.value is error


@given(st.text())
def test_a_message_is_one_line_whatever_a_server_or_a_plugin_has_said(text: str) -> None:
    said = one_line(text)
    assert said.split() == text.split()
    assert len(said.splitlines()) <= 1
    assert str(usage_error(text)) == said

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
from aioinformers.words import printable
from tests.cli.shell import Shell


@pytest.mark.parametrize("command", ["get", "watch"])
async def test_a_refused_connection_fails_at_once(shell: Shell, command: str, unused_tcp_port: int) -> None:
    shell.configure(dead=f"http://127.0.0.1:{unused_tcp_port}")

    async with asyncio.timeout(20):
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
            ConnectionFailedError("cannot connect to cluster.example:6443: no route to host"),
            REFUSED,
            f"cannot reach the API server {SERVER}: no route to host: is it running,",
        ),
        (
            ConnectionFailedError("cannot connect to the proxy proxy.example:3128: connection refused"),
            REFUSED,
            f"cannot reach the API server {SERVER}: cannot connect to the proxy proxy.example:3128: connection refused",
        ),
        (
            ConnectionFailedError("cannot connect to cluster.example:6443: its TLS certificate has expired"),
            REFUSED,
            f"{SERVER}: its TLS certificate has expired: check the certificates in the kubeconfig",
        ),
        (
            ConnectionFailedError("the client's credentials could not be refreshed (OSError)"),
            REFUSED,
            "(OSError): check the user in the kubeconfig",
        ),
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


@pytest.mark.parametrize(
    ("server", "shown"),
    [
        ("https://user:hunter2@cluster.example:6443", "https://cluster.example:6443"),
        ("https://hunter2@cluster.example", "https://cluster.example:443"),
        ("https://user:hun/ter2@cluster.example", "of the kubeconfig"),
        ("https://cluster.example/base\x1b[2J", r"https://cluster.example/base\x1b[2J"),
    ],
)
@pytest.mark.parametrize("error", [ConnectionFailedError("no answer"), ResponseError("no"), ForbiddenError(403)])
def test_g16_the_url_of_the_server_is_shown_without_a_password(server: str, shown: str, error: InformerError) -> None:
    with pytest.raises(CommandError) as caught, explained(server):
        raise error
    assert f"{shown} " in str(caught.value) or f"{shown}:" in str(caught.value)
    assert "ter2" not in str(caught.value)


@given(st.text(st.characters()))
def test_a_message_is_one_line_whatever_a_server_or_a_plugin_has_said(text: str) -> None:
    said = one_line(text)
    assert said == printable(" ".join(text.split()))
    assert said.isprintable()
    assert str(usage_error(text)) == said

"""What a command says of its connection, and which refusals end it."""

from __future__ import annotations

import asyncio
import re

import pytest

from tests.cli.shell import Shell
from tests.kit import until

FORBIDDEN = {
    "kind": "Status",
    "apiVersion": "v1",
    "metadata": {},
    "status": "Failure",
    "reason": "Forbidden",
    "message": 'secrets is forbidden: User "bob" cannot list resource "secrets"',
    "code": 403,
}


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


async def test_a_server_that_stays_busy_ends_get_after_its_timeout(shell: Shell) -> None:
    shell.server.fail("* pods", 503, times=None)

    result = await shell.run("get", "pods", "--timeout", "1")

    assert (result.code, result.err.count("\n")) == (1, 1)
    assert "did not sync within 1 s" in result.err


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

"""What is printed: whatever objects and servers say, a terminal shows it and takes no orders."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import signal
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioinformers.cli.terminal import CleanFormatter, json_text, notice, say
from aioinformers.testing import Fault, RequestInfo
from tests.cli.shell import Result, Shell, process
from tests.kit import pod, until

HOSTILE = "\x1b[2J\x1b]0;owned\x07\x9b31m\x7f\u202e\u2066evil\r\nfake-pod   Running"
SHOWN = r"\x1b[2J\x1b]0;owned\x07\x9b31m\x7f\u202e\u2066evil  fake-pod   Running"


def is_harmless(result: Result) -> bool:
    """Tell whether all lines can be shown as they are."""
    return all(line.isprintable() for line in f"{result.out}\n{result.err}".split("\n"))


# -- the commands -------------------------------------------------------------------------------------------------


def spoil(shell: Shell) -> None:
    """Put a hostile text everywhere into one object; its name comes from a server that checks none."""
    document: dict[str, Any] = pod("spoilt-name", "shop", app="web")
    document["metadata"]["annotations"] = {"note": HOSTILE}
    document["metadata"]["labels"] = {"app": HOSTILE}
    document["status"] = {"phase": HOSTILE, "reason": HOSTILE}
    shell.server.create("pods", document)
    name = json.dumps(HOSTILE)[1:-1].encode()

    def rename(request: RequestInfo) -> Fault | None:
        return Fault(rewrite=lambda body: body.replace(b"spoilt-name", name)) if request.resource == "pods" else None

    shell.server.intercept(rename)


@pytest.mark.parametrize(
    "argv",
    ["get pods", "get pods -o wide", "get pods -o name", "watch pods --seconds 2", "watch pods --seconds 2 -o wide"],
)
async def test_g16_commands_show_hostile_objects_as_they_are(shell: Shell, argv: str) -> None:
    spoil(shell)
    result = await shell.run(*argv.split())
    assert (result.code, result.err) == (0, "")
    assert is_harmless(result)
    assert SHOWN in result.out
    assert len(result.out.splitlines()) == 3 + ("name" not in argv), "one line each"


@pytest.mark.parametrize("command", [["get"], ["watch", "--seconds", "2"]])
async def test_g16_json_of_hostile_objects_is_harmless_and_means_the_same(shell: Shell, command: list[str]) -> None:
    spoil(shell)
    result = await shell.run(command[0], "pods", *command[1:], "-o", "json")
    assert is_harmless(result)
    if command[0] == "get":
        objects = json.loads(result.out)["items"]
    else:
        objects = [json.loads(line)["object"] for line in result.out.splitlines()]
    names = {obj["metadata"]["name"] for obj in objects}
    assert names == {"web-1", "web-2", HOSTILE}
    (annotated,) = (obj for obj in objects if obj["metadata"]["name"] == HOSTILE)
    assert annotated["metadata"]["annotations"]["note"] == HOSTILE


@pytest.mark.parametrize("command", ["get", "watch"])
async def test_g16_a_servers_refusal_is_one_harmless_line(shell: Shell, command: str) -> None:
    status = {"kind": "Status", "code": 403, "reason": HOSTILE, "message": HOSTILE + "x" * 100_000}
    shell.server.fail("* secrets", 403, times=None, body=status)
    result = await shell.run(command, "secrets")
    assert (result.code, result.err.count("\n")) == (1, 1)
    assert is_harmless(result)
    assert "fake-pod" in result.err
    assert len(result.err) < 3_000


async def test_g16_notices_and_the_log_are_harmless(shell: Shell) -> None:
    told = f"aioinformers: disconnected from pods.v1: 503 {' '.join(SHOWN.split())}"
    logged = f"aioinformers.reflector: pods.v1 in shop: 503 {SHOWN}"
    async with process("--verbose", "watch", "pods") as child, asyncio.timeout(30):
        assert child.stderr is not None
        await until(lambda: shell.watches("pods") > 0)
        status = {"kind": "Status", "code": 503, "reason": HOSTILE, "message": HOSTILE}
        shell.server.fail("* pods", 503, body=status, times=None)
        shell.server.reset_connections()
        err = ""
        while told not in err or logged not in err:
            line = await child.stderr.readline()
            assert line
            err += line.decode()
        child.send_signal(signal.SIGINT)
        await child.communicate()
    assert is_harmless(Result(0, "", err))


async def test_g16_names_that_discovery_tells_are_harmless(shell: Shell) -> None:
    groups = {"kind": "APIGroupDiscoveryList", "items": [
        {"metadata": {"name": ""}, "versions": [{"version": "v1", "resources": [
            {"resource": f"pods{HOSTILE}", "singularResource": f"pod{HOSTILE}", "verbs": ["list", "watch"]},
        ]}]},
    ]}  # fmt: skip
    shell.server.fail(lambda request: request.path in ("/api", "/apis"), 200, times=None, body=groups)
    result = await shell.run("get", f"podz{HOSTILE}")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert is_harmless(result)


# -- the parts ----------------------------------------------------------------------------------------------------


@given(st.text(st.characters()))
def test_g16_json_text_means_the_same_and_has_nothing_to_hide(text: str) -> None:
    for document in (json.dumps({text: [text]}, ensure_ascii=False), json.dumps({"a": text}, indent=4)):
        shown = json_text(document)
        assert all(line.isprintable() for line in shown.split("\n"))
        assert json.loads(shown) == json.loads(document)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_terminal_with_few_characters_is_no_reason_to_fail(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding))
    document = json.dumps({"名": "🎉 naïve"}, ensure_ascii=False)
    say("名前 🎉", json_text(document))
    name, parsed = written.getvalue().decode(encoding).splitlines()
    assert name == ("名前 🎉" if encoding == "utf-8" else r"\u540d\u524d \U0001f389")
    assert json.loads(parsed) == json.loads(document)


def test_a_notice_that_nobody_reads_is_no_reason_to_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Closed())
    notice("words")


def test_g16_a_log_has_no_lines_that_nobody_logged() -> None:
    formatter = CleanFormatter("%(name)s: %(message)s")
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "", 1, "failed for %s", (HOSTILE,), sys.exc_info())
    first, *lines = formatter.format(record).split("\n")
    assert first == f"x: failed for {SHOWN}"
    assert lines[0] == "Traceback (most recent call last):"
    assert all(line.isprintable() for line in lines)

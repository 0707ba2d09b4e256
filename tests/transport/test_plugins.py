"""Exec plug-ins: what they are told, what they answer, and whatever else they do."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioinformers.errors import ConfigurationError, CredentialsError
from aioinformers.transport import plugins
from aioinformers.transport.plugins import (
    Credential,
    EnvironmentVariable,
    ExecPlugin,
    exec_info,
    parse_credential,
    run_plugin,
)
from tests.kit import until

V1 = "client.authentication.k8s.io/v1"
SECRET = "k8s-aws-v1.c2VjcmV0LXRva2VuLW9mLXRoZS1wbHVnaW4tdGhhdC1pcy1sb25n"
CLUSTER = {"server": "https://10.0.0.1:6443"}


def plugin(script: str = "", **fields: Any) -> ExecPlugin:
    return ExecPlugin(sys.executable, V1, ["-c", script], **fields)


def answer(**status: Any) -> str:
    return json.dumps({"apiVersion": V1, "kind": "ExecCredential", "status": status})


def printing(text: str) -> str:
    return f"print({text!r})"


def chained(error: BaseException | None) -> str:
    said = ""
    while error is not None:
        said += f"{error!s} {error!r}\n"
        error = error.__cause__ or error.__context__
    return said


# -- what it is told ----------------------------------------------------------------------------------------------


def test_the_cluster_is_told_only_to_those_who_ask() -> None:
    told = json.loads(exec_info(plugin(), CLUSTER, is_interactive=False))
    assert told == {"apiVersion": V1, "kind": "ExecCredential", "spec": {"interactive": False}}
    told = json.loads(exec_info(plugin(provide_cluster_info=True), CLUSTER, is_interactive=True))
    assert told["spec"] == {"interactive": True, "cluster": CLUSTER}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"command": ""}, "has no command"),
        ({"api_version": "client.authentication.k8s.io/v1alpha1"}, "v1alpha1': there are client.authentication"),
        ({"interactive_mode": "Sometimes"}, "interactiveMode 'Sometimes': there are Never, IfAvailable, Always"),
    ],
)
def test_what_no_plugin_can_do_is_said(fields: dict[str, Any], words: str) -> None:
    plugin().check()
    with pytest.raises(ConfigurationError, match=words):
        msgspec.structs.replace(plugin(), **fields).check()


def test_g16_neither_plugin_nor_credential_shows_what_is_secret() -> None:
    shown = f"{plugin(env=[EnvironmentVariable('PASSWORD', SECRET)])!r} {EnvironmentVariable('PASSWORD', SECRET)!r}"
    shown += f" {Credential(SECRET, SECRET, SECRET)!r}"
    assert SECRET not in shown


# -- what it answers ----------------------------------------------------------------------------------------------


def test_a_token_a_certificate_or_both_are_taken() -> None:
    assert parse_credential(plugin(), answer(token=" t \n").encode()) == Credential("t")
    both = answer(token="t", clientCertificateData="c", clientKeyData="k", expirationTimestamp="2030-01-02T03:04:05Z")
    assert parse_credential(plugin(), both.encode()) == Credential(
        "t", "c", "k", datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    )
    nulls = answer(token="t", clientCertificateData=None, clientKeyData=None, expirationTimestamp=None)
    assert parse_credential(plugin(), nulls.encode()) == Credential("t")


@pytest.mark.parametrize(
    ("stamp", "seconds"),
    [("+00:00", 60), ("Z", 60), ("", 60), ("+02:00", 60 - 7200)],
    ids=["offset", "zulu", "none is UTC", "another zone"],
)
def test_a_lifetime_is_counted_from_now(stamp: str, seconds: float) -> None:
    at = (datetime.now(UTC) + timedelta(seconds=60)).replace(tzinfo=None).isoformat() + stamp
    found = parse_credential(plugin(), answer(token="t", expirationTimestamp=at).encode())
    assert found.lifetime == pytest.approx(seconds, abs=5)
    assert Credential("t").lifetime is None


WRONG = {
    "": "printed nothing",
    " \n": "printed nothing",
    f"hello {SECRET}": "no ExecCredential in JSON: JSON is malformed",
    f'"{SECRET}"': "no ExecCredential in JSON: Expected `object`",
    f'{{"token": "{SECRET}"}}': "did not print what the kubeconfig asks for: kind ExecCredential, apiVersion",
    answer(token=SECRET).replace("/v1", "/v1beta1"): "did not print what the kubeconfig asks for",
    answer(token=SECRET).replace("ExecCredential", "Status"): "did not print what the kubeconfig asks for",
    answer(token=7): r"Expected `str \| null`, got `int` - at `\$.status.token`",
    answer(token=""): "neither a token nor a client certificate",
    answer(): "neither a token nor a client certificate",
    answer(token=f"{SECRET}\nX-Evil: 1"): "characters that no header may have",
    answer(token=f"{SECRET}ü"): "characters that no header may have",
    answer(clientCertificateData=SECRET): "only one of clientCertificateData and clientKeyData",
    answer(token="t", clientKeyData=SECRET): "only one of clientCertificateData and clientKeyData",
    answer(token=SECRET, expirationTimestamp="tomorrow"): "Invalid RFC3339",
    answer(token=SECRET)[:-1]: "JSON is malformed|Input data was truncated",
}


@pytest.mark.parametrize("text", WRONG)
def test_g16_what_is_no_credential_is_described_and_never_quoted(text: str) -> None:
    with pytest.raises(CredentialsError, match=WRONG[text]) as caught:
        parse_credential(plugin(), text.encode())
    assert SECRET not in chained(caught.value)
    assert caught.value.is_refused


@given(st.binary(max_size=200))
def test_whatever_is_printed_is_a_credential_or_an_error_of_ours(output: bytes) -> None:
    try:
        parse_credential(plugin(), output)
    except CredentialsError as error:
        assert len(str(error)) < 1000


# -- running it ---------------------------------------------------------------------------------------------------


async def test_it_runs_with_its_arguments_environment_and_info() -> None:
    script = """
import json, os, sys
seen = [sys.argv[1], os.environ["MINE"], "PATH" in os.environ, json.loads(os.environ["KUBERNETES_EXEC_INFO"])["spec"]]
json.dump({"apiVersion": "client.authentication.k8s.io/v1beta1", "kind": "ExecCredential",
           "status": {"token": "t", "clientCertificateData": json.dumps(seen), "clientKeyData": "k"}}, sys.stdout)
"""
    beta = ExecPlugin(
        sys.executable, "client.authentication.k8s.io/v1beta1", ["-c", script, "argument"],
        [EnvironmentVariable("MINE", "value")], provide_cluster_info=True,
    )  # fmt: skip
    found = await run_plugin(beta, CLUSTER)
    assert json.loads(found.client_certificate_data) == [
        "argument", "value", True, {"interactive": False, "cluster": CLUSTER},
    ]  # fmt: skip


async def test_g12_the_loop_goes_on_while_it_runs() -> None:
    running = asyncio.create_task(run_plugin(plugin("import time; time.sleep(1);" + printing(answer(token="t"))), {}))
    turns = 0
    while not running.done():
        await asyncio.sleep(0.01)
        turns += 1
    assert (await running).token == "t"
    assert turns > 5


FAILURES = {
    "import sys; sys.exit('first line\\nUnable to locate credentials')": "ended with exit code 1: Unable to locate",
    f"import sys; print({SECRET!r}); sys.exit(3)": "ended with exit code 3$",
    f"import sys; print({answer(token=SECRET)!r}, file=sys.stderr); sys.exit(3)": "exit code 3: ",
    "import sys; sys.exit('\\x1b[31mred\\x1b[0m \\x07\\u202e bell')": r"exit code 1: red \\x07\\u202e bell",
    "import sys; sys.exit('long ' * 1000)": "exit code 1: (long )+long…$",
    "import os, signal; os.kill(os.getpid(), signal.SIGTERM)": "was killed by SIGTERM",
    "import sys; sys.stdout.write('x' * 3_000_000)": "prints more than a credential can be",
    "import sys; sys.stdout.buffer.write(b'\\xff\\xfe')": "printed no ExecCredential",
    "pass": "printed nothing",
}


@pytest.mark.parametrize("script", FAILURES)
async def test_g16_a_plugin_that_fails_says_why_in_one_clean_line_without_its_secret(script: str) -> None:
    with pytest.raises(CredentialsError, match=FAILURES[script]) as caught:
        await run_plugin(plugin(script), {})
    said = chained(caught.value)
    assert SECRET not in said
    assert SECRET.partition(".")[2] not in said
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"command": "no-such-plugin"}, "'no-such-plugin' cannot be run: there is no such command$"),
        (
            {"command": "no-such-plugin", "install_hint": "Install it:\n  brew install it"},
            "no such command: Install it: brew install it$",
        ),
        ({"command": "/etc"}, "cannot be run: Permission denied"),
        ({"args": ["a\0b"]}, "cannot be run: ValueError"),
        ({"interactive_mode": "Always"}, "must ask the user .* there is no terminal"),
    ],
)
async def test_a_plugin_that_cannot_be_run_says_why(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(CredentialsError, match=words):
        await run_plugin(msgspec.structs.replace(plugin(), **fields), {})


class Child:
    """What a plug-in starts and waits for: it holds a pipe open for as long as anything of it is there.

    Attributes:
        script: That of the plug-in.
    """

    def __init__(self, folder: Path) -> None:
        pipe = folder / "pipe"
        os.mkfifo(pipe)
        self._pipe = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        program = f"exec 3>{shlex.quote(str(pipe))}; echo begun >&3; sleep 300"
        self.script = f"import subprocess; subprocess.run(['sh', '-c', {program!r}])"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._pipe)

    def _says(self, words: bytes) -> bool:
        try:
            return os.read(self._pipe, 100) == words
        except BlockingIOError:
            return False

    def has_begun(self) -> bool:
        """Tell, once, whether it has begun since the last time."""
        return self._says(b"begun\n")

    def is_gone(self) -> bool:
        """Tell whether nothing of it is there."""
        return self._says(b"")


async def test_g9_a_plugin_that_hangs_is_killed_with_all_that_it_has_started(tmp_path: Path) -> None:
    with Child(tmp_path) as child:
        for seconds in (1, 5, 20):  # on a busy machine it takes a while to begin
            with pytest.raises(CredentialsError, match=rf"did not end within {seconds} s and was killed$"):
                await run_plugin(plugin(child.script), {}, timeout=seconds)
            if child.has_begun():
                break
        else:
            pytest.fail("it has never begun")
        await until(child.is_gone)


async def test_a_plugin_that_is_waited_for_is_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(plugins, "_SLOW", 0.1)
    await run_plugin(plugin("import time; time.sleep(0.5);" + printing(answer(token="t"))), {})
    assert [text.partition(" has ")[2] for text in caplog.messages] == [
        "not ended within 0.1 s: waiting for up to 30 s"
    ]
    caplog.clear()
    monkeypatch.setattr(plugins, "_SLOW", 10.0)
    await run_plugin(plugin(printing(answer(token="t"))), {})
    assert caplog.messages == []


async def test_g10_a_run_that_is_cancelled_leaves_no_process(tmp_path: Path) -> None:
    with Child(tmp_path) as child:
        running = asyncio.create_task(run_plugin(plugin(child.script), {}))
        await until(child.has_begun)
        running.cancel()
        await asyncio.wait((running,), timeout=60)
        assert running.cancelled()
        await until(child.is_gone)


async def test_a_plugin_that_may_ask_has_the_terminal_and_shows_what_it_asks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = f"import os, sys; sys.stderr.write('log in: '); sys.stderr.flush(); {printing(answer(token='t'))}"
    monkeypatch.setattr(plugins, "_has_terminal", lambda: True)
    reading, writing = os.pipe()
    with os.fdopen(reading) as stdin, os.fdopen(writing, "w"):
        monkeypatch.setattr("sys.stdin", stdin)
        assert (await run_plugin(plugin(script), {})).token == "t"
        assert capsys.readouterr().err == "log in: "
        await run_plugin(plugin(script, interactive_mode="Never"), {})
        assert capsys.readouterr().err == ""


@pytest.mark.parametrize("stdin", [None, "closed"])
def test_a_program_without_stdin_has_no_terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stdin: Any) -> None:
    if stdin is not None:
        stdin = (tmp_path / "x").open("w")
        stdin.close()
    monkeypatch.setattr("sys.stdin", stdin)
    assert not plugins._has_terminal()

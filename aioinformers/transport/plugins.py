"""Runs exec plug-ins: programs that print credentials (``client.authentication.k8s.io``), as ``aws`` and ``gcloud`` do.

A plug-in's output holds the credential and is never quoted: of what went wrong, its exit code and the last line that it
wrote to stderr are told.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import signal
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from aioinformers.errors import ConfigurationError, CredentialsError
from aioinformers.words import brief

__all__ = ["Credential", "EnvironmentVariable", "ExecPlugin", "exec_info", "parse_credential", "run_plugin"]

logger: logging.Logger = logging.getLogger("aioinformers.source")

API_VERSIONS: Final = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
INTERACTIVE_MODES: Final = ("Never", "IfAvailable", "Always")

_TIMEOUT: Final = 30.0
"""Seconds that a plug-in may take."""
_INTERACTIVE_TIMEOUT: Final = 300.0
"""Seconds that it may take where somebody may have to log in."""
_SLOW: Final = 10.0
"""Seconds after which it is said that a plug-in is waited for."""
_LARGEST_OUTPUT: Final = 1024 * 1024
_QUOTED: Final = 200
_PATIENCE: Final = 1.0
"""Seconds in which the operating system ends a killed process."""
_ESCAPES: Final = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-_])")
_SECRETS: Final = re.compile(r"[\w+=~-]{32,}", re.ASCII)
"""What may be a token: longer than words and names are."""


class EnvironmentVariable(msgspec.Struct, frozen=True):
    """A variable of a plug-in's environment."""

    name: str
    value: str

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name})"


class ExecPlugin(msgspec.Struct, frozen=True, rename="camel"):
    """The section ``exec`` of a kubeconfig's user.

    Attributes:
        command: The program: a path, or a name to be found in ``PATH``.
        api_version: The version of ``client.authentication.k8s.io`` that it speaks.
        args: Its arguments.
        env: Variables added to its environment.
        install_hint: What to do if there is no such program.
        provide_cluster_info: Whether it is told which cluster the credential is for.
        interactive_mode: Whether it may ask the user in front of the terminal.
    """

    command: str
    api_version: str
    args: list[str] | None = None
    env: list[EnvironmentVariable] | None = None
    install_hint: str = ""
    provide_cluster_info: bool = False
    interactive_mode: str = "IfAvailable"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.command!r})"

    @property
    def name(self) -> str:
        """The words for messages."""
        return f"the exec plug-in {brief(self.command, _QUOTED)!r}"

    def check(self) -> None:
        """Raise for what no plug-in could do.

        Raises:
            ConfigurationError: If the version or the interactive mode is unknown.
        """
        if not self.command:
            raise ConfigurationError("the exec plug-in has no command")
        if self.api_version not in API_VERSIONS:
            known = " and ".join(API_VERSIONS)
            raise ConfigurationError(f"{self.name} has apiVersion {brief(self.api_version, 80)!r}: there are {known}")
        if self.interactive_mode not in INTERACTIVE_MODES:
            known = ", ".join(INTERACTIVE_MODES)
            raise ConfigurationError(
                f"{self.name} has interactiveMode {brief(self.interactive_mode, 80)!r}: there are {known}"
            )


class Credential(msgspec.Struct, frozen=True, rename="camel"):
    """What a plug-in gives: a token, a client certificate with its key, or both.

    Attributes:
        token: The bearer token; empty for none.
        client_certificate_data: PEM; empty for none.
        client_key_data: PEM; empty for none.
        expires_at: When it has to be renewed; None if that is not known.
    """

    token: str = ""
    client_certificate_data: str = ""
    client_key_data: str = ""
    expires_at: datetime | None = msgspec.field(name="expirationTimestamp", default=None)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(expires_at={self.expires_at})"

    @property
    def lifetime(self) -> float | None:
        """Seconds until it has to be renewed, by this machine's clock; None if that is not known."""
        return None if self.expires_at is None else (self.expires_at - datetime.now(UTC)).total_seconds()


class _Status(msgspec.Struct, rename="camel"):
    token: str | None = None
    client_certificate_data: str | None = None
    client_key_data: str | None = None
    expiration_timestamp: datetime | None = None


class _ExecCredential(msgspec.Struct, rename="camel"):
    api_version: str = ""
    kind: str = ""
    status: _Status | None = None


_decode = msgspec.json.Decoder(_ExecCredential).decode


def exec_info(plugin: ExecPlugin, cluster: Mapping[str, Any], *, is_interactive: bool) -> str:
    """Return the value of ``KUBERNETES_EXEC_INFO``.

    Args:
        plugin: The plug-in.
        cluster: The cluster, as an ``ExecCredential`` describes it; told if the plug-in asks for it.
        is_interactive: Whether the plug-in may ask the user.
    """
    spec: dict[str, Any] = {"interactive": is_interactive}
    if plugin.provide_cluster_info:
        spec["cluster"] = cluster
    return msgspec.json.encode({"apiVersion": plugin.api_version, "kind": "ExecCredential", "spec": spec}).decode()


def parse_credential(plugin: ExecPlugin, output: bytes) -> Credential:
    """Return the credential that a plug-in has printed.

    Args:
        plugin: The plug-in.
        output: All that it wrote to stdout.

    Raises:
        CredentialsError: If that is no credential, or one in another version; without a word of the output.
    """
    if not output.strip():
        raise CredentialsError(f"{plugin.name} printed nothing: an ExecCredential in JSON is expected")
    try:
        answer = _decode(output)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        words = str(error) if isinstance(error, msgspec.MsgspecError) else type(error).__name__
        raise CredentialsError(
            f"{plugin.name} printed no ExecCredential in JSON: {brief(words, _QUOTED)}: run it by hand to see what"
        ) from None
    if answer.kind != "ExecCredential" or answer.api_version != plugin.api_version:
        raise CredentialsError(
            f"{plugin.name} did not print what the kubeconfig asks for: kind ExecCredential, apiVersion "
            f"{plugin.api_version}"
        )
    status = answer.status or _Status()
    token, certificate, key = (status.token or "").strip(), status.client_certificate_data, status.client_key_data
    if bool(certificate) != bool(key):
        raise CredentialsError(f"{plugin.name} gave only one of clientCertificateData and clientKeyData")
    if not token and not certificate:
        raise CredentialsError(f"{plugin.name} gave neither a token nor a client certificate")
    if not token.isprintable() or not token.isascii():
        raise CredentialsError(f"{plugin.name} gave a token with characters that no header may have")
    expires_at = status.expiration_timestamp
    if expires_at is not None and expires_at.tzinfo is None:
        expires_at = expires_at.replace(tzinfo=UTC)
    return Credential(token, certificate or "", key or "", expires_at)


async def run_plugin(
    plugin: ExecPlugin,
    cluster: Mapping[str, Any],
    *,
    timeout: float = _TIMEOUT,
    interactive_timeout: float = _INTERACTIVE_TIMEOUT,
) -> Credential:
    """Run a plug-in and return its credential.

    It is given the terminal only if it may ask the user and there is one; what it writes to stderr is shown then.

    Cancellation: kills it.

    Args:
        plugin: The plug-in.
        cluster: As for :func:`exec_info`.
        timeout: Seconds after which it is killed.
        interactive_timeout: The same where it may ask the user.

    Raises:
        CredentialsError: If it cannot be run, fails, takes too long or prints no credential.
    """
    has_terminal = _has_terminal()
    if plugin.interactive_mode == "Always" and not has_terminal:
        raise CredentialsError(f"{plugin.name} must ask the user (interactiveMode: Always), and there is no terminal")
    is_interactive = has_terminal and plugin.interactive_mode != "Never"
    environment = {**os.environ, **{variable.name: variable.value for variable in plugin.env or ()}}
    environment["KUBERNETES_EXEC_INFO"] = exec_info(plugin, cluster, is_interactive=is_interactive)
    output = _Output(is_shown=is_interactive)
    allowed = interactive_timeout if is_interactive else timeout
    notice = asyncio.get_running_loop().call_later(
        _SLOW, logger.warning, "%s has not ended within %g s: waiting for up to %g s", plugin.name, _SLOW, allowed
    )
    try:
        async with asyncio.timeout(allowed):
            code = await _executed([plugin.command, *(plugin.args or ())], environment, output)
    except TimeoutError:
        raise CredentialsError(
            f"{plugin.name} did not end within {allowed:g} s and was killed{_quoted(output)}"
        ) from None
    except FileNotFoundError:
        hint = brief(" ".join(plugin.install_hint.split()), 500)
        raise CredentialsError(
            f"{plugin.name} cannot be run: there is no such command{f': {hint}' if hint else ''}"
        ) from None
    except (OSError, ValueError, NotImplementedError) as error:  # ValueError: a NUL in an argument
        words = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else type(error).__name__
        raise CredentialsError(f"{plugin.name} cannot be run: {words}") from None
    finally:
        notice.cancel()
    if output.is_too_long:
        raise CredentialsError(f"{plugin.name} prints more than a credential can be")
    if code:
        ended = f"was killed by {_signal_name(-code)}" if code < 0 else f"ended with exit code {code}"
        raise CredentialsError(f"{plugin.name} {ended}{_quoted(output)}")
    return parse_credential(plugin, bytes(output.stdout))


async def _executed(command: list[str], environment: Mapping[str, str], output: _Output) -> int:
    """Run a program to its end and return its exit code; every other way out kills it and what it has started."""
    transport, _ = await asyncio.get_running_loop().subprocess_exec(
        lambda: output,
        *command,
        stdin=None if output.is_shown else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
        # A group of its own, so that its children can be killed, too; with the terminal it must stay in ours.
        start_new_session=not output.is_shown,
    )
    try:
        await output.complete.wait()
    finally:
        try:
            if not output.is_closed:
                _kill(transport, is_group=not output.is_shown)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_PATIENCE):
                        await output.exited.wait()
        finally:
            transport.close()
    return transport.get_returncode() or 0


def _kill(transport: asyncio.SubprocessTransport, *, is_group: bool) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if is_group and hasattr(os, "killpg"):
            os.killpg(transport.get_pid(), signal.SIGKILL)
        else:
            transport.kill()


class _Output(asyncio.SubprocessProtocol):
    """Collects what a program writes: stdout whole, of stderr the end.

    Args:
        is_shown: Whether stderr goes to ours as well: the user is asked something there.
    """

    def __init__(self, *, is_shown: bool) -> None:
        self.is_shown = is_shown
        self.stdout = bytearray()
        self.stderr = b""
        self.is_too_long = False
        self.is_closed = False
        self.exited = asyncio.Event()
        self.complete = asyncio.Event()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd != 1:
            self.stderr = (self.stderr + data)[-4096:]
            if self.is_shown and sys.stderr is not None:
                with contextlib.suppress(OSError, ValueError):  # it has been closed, or cannot write these characters
                    sys.stderr.write(data.decode(errors="replace"))
                    sys.stderr.flush()
        elif len(self.stdout) + len(data) <= _LARGEST_OUTPUT:
            self.stdout += data
        else:
            self.is_too_long = True
            self.complete.set()

    def process_exited(self) -> None:
        self.exited.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that it has ended, and so has everything else that could write to its pipes."""
        self.is_closed = True
        self.exited.set()
        self.complete.set()


def _quoted(output: _Output) -> str:
    """Return the last line on stderr for a message, without what may be a secret; empty if there is none."""
    text = _ESCAPES.sub("", output.stderr.decode(errors="replace"))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return f": {brief(_SECRETS.sub('…', lines[-1]), _QUOTED)}" if lines else ""


def _has_terminal() -> bool:
    try:
        return sys.stdin is not None and sys.stdin.isatty()
    except ValueError:  # it has been closed
        return False


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"

"""Runs contenders against the replay server, in turns, each in a process of its own."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.build import PeerMissingError, go, protobuf_feed
from benchmarks.contenders import Contender

__all__ = ["FAILURES", "Case", "Measured", "Run", "Server", "alternate", "behind_tls", "reason", "say", "serving"]

ROOT = Path(__file__).parents[1]
TIMEOUT = 600.0
METADATA = "application/%s;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"

FAILURES = (PeerMissingError, subprocess.SubprocessError, OSError, ValueError)
"""What may go wrong with one contender, and must not end the others."""

Run = dict[str, Any]
"""What one process measured of itself; also its ``turn``, and the ``server_cpu`` that it cost the replay server."""

Measured = dict[str, Any]
"""A workload: ``objects``, ``events``, the ``runs`` by case, why cases were ``left_out``, the ``seconds`` it took."""


def say(text: str) -> None:
    """Show progress."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Case:
    """One contender under some options, as often as it takes its turn.

    Attributes:
        contender: What is run.
        options: Further options of the program, such as ``handlers``; with ``tls`` it speaks to the server by TLS.
        rounds: How often at most; ``None`` is in every turn.
    """

    contender: Contender
    options: Mapping[str, int] = field(default_factory=dict)
    rounds: int | None = None

    @property
    def name(self) -> str:
        """The contender's name and the options, as in ``model handlers=10``."""
        return " ".join([self.contender.name, *(f"{name}={value}" for name, value in self.options.items())])


class Server:
    """A replay server in a process of its own.

    Attributes:
        url: Where it is.
        authority: The certificate that its TLS is trusted by, where it speaks TLS.
    """

    def __init__(self, url: str, authority: Path | None = None) -> None:
        self.url, self.authority = url, authority
        self._trust = None if authority is None else ssl.create_default_context(cafile=authority)

    @property
    def address(self) -> list[str]:
        """What tells a program how to reach it."""
        return ["--url", self.url, *([] if self.authority is None else ["--ca", str(self.authority)])]

    def ask(self, path: str) -> bytes:
        """Return what it answers."""
        with urllib.request.urlopen(self.url + path, context=self._trust) as answer:
            found: bytes = answer.read()
        return found

    def cpu(self) -> float:
        """Return the CPU seconds that it has used."""
        return float(self.ask("/cpu"))

    def prepare_metadata(self) -> None:
        """Let it make the Pods' metadata now, and not while a client waits."""
        for form in ("json", "vnd.kubernetes.protobuf"):
            request = urllib.request.Request(
                f"{self.url}/api/v1/pods?limit=1", headers={"Accept": METADATA % form, "Connection": "close"}
            )
            with urllib.request.urlopen(request) as answer:
                answer.read()


@contextmanager
def serving(objects: int, events: int) -> Iterator[Server]:
    """Start a replay server; protobuf is served where Go is there to encode it.

    Raises:
        RuntimeError: If it does not start.
    """
    command = [sys.executable, "-m", "benchmarks.server", str(objects), str(events)]
    try:
        command.append(str(protobuf_feed(objects, events)))
    except PeerMissingError as error:
        say(f"no protobuf: {error}")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            port = process.stdout.readline().strip()
            if not port:
                raise RuntimeError("the replay server did not start; its words are above")
            yield Server(f"http://127.0.0.1:{port}")
        finally:
            process.kill()


@contextmanager
def behind_tls(server: Server) -> Iterator[Server]:
    """Put a proxy before a replay server that speaks TLS, HTTP/2 and HTTP/1.1; events are flushed one by one.

    Raises:
        PeerMissingError: If it cannot be built.
        RuntimeError: If it does not start.
    """
    with tempfile.TemporaryDirectory() as folder:
        authority = Path(folder) / "ca.pem"
        command = [str(go()), "tls", "--url", server.url, "--ca", str(authority)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                port = process.stdout.readline().strip()
                if not port:
                    raise RuntimeError("the proxy did not start; its words are above")
                yield Server(f"https://127.0.0.1:{port}", authority)
            finally:
                process.kill()


def run(command: list[str], server: Server, options: Mapping[str, int]) -> Run:
    """Measure once.

    Raises:
        subprocess.SubprocessError: If it failed or took too long; its words are on stderr.
    """
    told = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    before = server.cpu()
    done = subprocess.run(
        [*command, *server.address, *told], stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT, timeout=TIMEOUT
    )
    found: Run = json.loads(done.stdout.strip().rpartition("\n")[2])
    return found | {"server_cpu": server.cpu() - before}


def alternate(cases: Sequence[Case], objects: int, events: int, rounds: int) -> Measured:
    """Measure cases in turns, so that whatever disturbs the machine disturbs all of them.

    Args:
        cases: What is measured, in this order in every turn.
        objects: How many Pods are listed.
        events: How many updates follow.
        rounds: How many turns there are.

    Returns:
        The runs of each case. One that cannot be built here or fails is named, and takes no further turn.
    """
    found: Measured = {"objects": objects, "events": events, "runs": {}, "left_out": {}}
    commands = built(cases, found)
    with serving(objects, events) as server, ExitStack() as proxies:
        by_tls = proxies.enter_context(behind_tls(server)) if any("tls" in case.options for case in cases) else None
        if any("metadata" in case.contender.name for case in cases):
            server.prepare_metadata()
        turns = [(turn, case) for turn in range(rounds) for case in cases if case.rounds is None or turn < case.rounds]
        begun = time.monotonic()
        for index, (turn, case) in enumerate(turns):
            if case.name in found["left_out"]:
                continue
            left = f", {(time.monotonic() - begun) / index * (len(turns) - index):.0f} s left" if index else ""
            try:
                told = {"objects": objects, "events": events, **case.options}
                reached = by_tls if told.pop("tls", 0) and by_tls is not None else server
                one = run(commands[case.name], reached, told)
            except FAILURES as error:
                leave_out(case, error, found)
                continue
            found["runs"].setdefault(case.name, []).append(one | {"turn": turn})
            say(f"{objects:,} objects, turn {turn + 1} of {rounds}{left}: {describe(case, one, objects, events)}")
        found["seconds"] = time.monotonic() - begun
    return found


def built(cases: Sequence[Case], found: Measured) -> dict[str, list[str]]:
    """Return what runs each case, built before anything is measured."""
    commands: dict[str, list[str]] = {}
    for case in cases:
        try:
            commands[case.name] = case.contender.command()
        except FAILURES as error:
            leave_out(case, error, found)
    return commands


def leave_out(case: Case, error: Exception, found: Measured) -> None:
    """Note why a case is not measured any further."""
    found["left_out"][case.name] = reason(error)
    say(f"{case.name} is left out: {reason(error)}")


def reason(error: Exception) -> str:
    """Return in a line why something was not measured."""
    match error:
        case subprocess.CalledProcessError():
            return f"it failed with status {error.returncode}"
        case subprocess.TimeoutExpired():
            return f"it took more than {error.timeout:.0f} s"
        case _:
            return (str(error).splitlines() or [type(error).__name__])[0]


def describe(case: Case, one: Run, objects: int, events: int) -> str:
    """Return one run in a line."""
    if "sync_cpu" not in one:
        return case.name
    informers = case.options.get("informers", 1)
    objects, events = objects * informers, events * informers
    sync, event = 1e6 * one["sync_cpu"] / objects, 1e6 * one["event_cpu"] / events
    kib = (one["rss_collected"] - one["empty_rss"]) / objects / 1024
    return f"{case.name:14} sync {sync:7.1f} µs/object, event {event:7.1f} µs, {kib:6.2f} KiB/object"

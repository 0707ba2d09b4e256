"""Declares the commands and their options, runs them and returns exit codes."""

from __future__ import annotations

import asyncio
import enum
import logging
import os
import sys
from collections.abc import Coroutine, Sequence
from typing import Annotated, Any

import typer

from aioinformers import __version__
from aioinformers.cli import queries
from aioinformers.cli.demo.run import run_demo
from aioinformers.cli.problems import USAGE, CommandError, one_line
from aioinformers.cli.session import Query
from aioinformers.cli.terminal import CleanFormatter, notice

__all__ = ["app", "run"]

INTERRUPTED = 130
"""Exit code after Ctrl-C, as in shells: 128 plus the number of SIGINT."""

app: typer.Typer = typer.Typer(
    name="aioinformers",
    help="Kubernetes informers: a shared, always fresh copy of the cluster, on the command line.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class WatchOutput(enum.StrEnum):
    """Output formats of ``watch``."""

    JSON = "json"
    WIDE = "wide"


class GetOutput(enum.StrEnum):
    """Output formats of ``get``."""

    JSON = "json"
    WIDE = "wide"
    NAME = "name"


Resource = Annotated[str, typer.Argument(help="pods, deploy, Widget, widgets.example.com, deployments.v1.apps, …")]
Namespace = Annotated[str | None, typer.Option("--namespace", "-n", help="Namespace; the context's by default.")]
AllNamespaces = Annotated[bool, typer.Option("--all-namespaces", "-A", help="Every namespace.")]
LabelSelector = Annotated[str | None, typer.Option("--selector", "-l", help="Labels: 'app=web,tier in (a,b),!canary'.")]
FieldSelector = Annotated[str | None, typer.Option("--field-selector", help="Fields: 'status.phase=Running'.")]
Kubeconfig = Annotated[str | None, typer.Option("--kubeconfig", help="File; KUBECONFIG or ~/.kube/config by default.")]
Context = Annotated[str | None, typer.Option("--context", help="Context; the current one by default.")]


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        typer.echo(f"aioinformers {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the informers' log on stderr.")] = False,
) -> None:
    # Without any handler, Python would print warnings to stderr that the commands report better themselves.
    handler = logging.StreamHandler() if verbose else logging.NullHandler()
    handler.setFormatter(CleanFormatter("%(asctime)s %(name)s: %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.INFO)


@app.command()
def demo(
    seconds: Annotated[float | None, typer.Option(min=0.1, help="End after this long; by default at Ctrl-C.")] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Print lines even in a terminal.")] = False,
    seed: Annotated[int | None, typer.Option(help="Seed of the random changes; the same seed repeats them.")] = None,
) -> int:
    """Show informers at work on a small busy cluster that runs inside this process."""
    return _finish(run_demo(seconds=seconds, is_plain=plain, seed=seed))


@app.command()
def watch(
    resource: Resource,
    namespace: Namespace = None,
    all_namespaces: AllNamespaces = False,
    selector: LabelSelector = None,
    field_selector: FieldSelector = None,
    output: Annotated[
        WatchOutput | None, typer.Option("--output", "-o", help="json: one line per event; wide: more columns.")
    ] = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    seconds: Annotated[float | None, typer.Option(min=0.1, help="End after this long; by default at Ctrl-C.")] = None,
) -> int:
    """Print all objects, then every change; reconnect after every failure."""
    query = Query(
        resource=resource, namespace=namespace, all_namespaces=all_namespaces, label_selector=selector,
        field_selector=field_selector, context=context, kubeconfig=kubeconfig,
    )  # fmt: skip
    return _finish(queries.watch(query, output, seconds))


@app.command()
def get(
    resource: Resource,
    name: Annotated[str | None, typer.Argument(help="One object.")] = None,
    namespace: Namespace = None,
    all_namespaces: AllNamespaces = False,
    selector: LabelSelector = None,
    field_selector: FieldSelector = None,
    output: Annotated[
        GetOutput | None, typer.Option("--output", "-o", help="json; wide: more columns; name: names only.")
    ] = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for the cluster's answer.")] = 30.0,
) -> int:
    """Print all objects, or one, from a synced cache."""
    query = Query(
        resource=resource, namespace=namespace, all_namespaces=all_namespaces, label_selector=selector,
        field_selector=field_selector, context=context, kubeconfig=kubeconfig,
    )  # fmt: skip
    return _finish(queries.get(query, name, output, timeout))


def _finish(command: Coroutine[Any, Any, int]) -> int:
    """Run a command to its exit code: users' mistakes end with one line, bugs with a traceback."""
    try:
        return asyncio.run(command)
    except CommandError as error:
        return _fail(str(error), error.exit_code)
    except BrokenPipeError:
        # The reader has closed the pipe (`| head`). Python's flush at exit must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return INTERRUPTED


def _fail(message: str, exit_code: int) -> int:
    notice(message)
    return exit_code


def run(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        argv: Arguments without the program's name; those of the process by default.

    Returns:
        0 for success, 1 if the cluster refuses or cannot be reached, 2 for bad input, 130 after Ctrl-C.
    """
    command = typer.main.get_command(app)
    try:
        return int(command.main(args=argv, prog_name="aioinformers", standalone_mode=False) or 0)
    except Exception as error:
        # Usage errors; their class is in different modules in different versions of typer.
        message = getattr(error, "format_message", None)
        if message is None:
            raise
        context = getattr(error, "ctx", None)
        hint = f" (see `{context.command_path} --help`)" if context else ""
        # Without arguments, typer has printed the help, and the message is empty.
        text = one_line(message()).replace("Value error, ", "")  # a prefix of typer's parser
        return _fail(text + hint, getattr(error, "exit_code", USAGE)) if text else USAGE

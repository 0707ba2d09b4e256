"""The demonstration in a terminal: a progress bar, then a table of informers above the latest events."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from typing import Self

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from aioinformers.cli.demo.board import Board, Line, Tally, Verdict, conclusion
from aioinformers.words import printable

__all__ = ["LiveView"]

_COLORS = {"ADDED": "green", "MODIFIED": "cyan", "DELETED": "red", "NOTE": "bold yellow"}
_MIN_TAIL = 4
_WIDE = 110  # columns that the table needs to show reasons
_CHROME = 10  # lines of the table's frame and heading, the panel's frame, the hint and the progress bar


class LiveView:
    """Draws the board several times a second, in the caller's thread.

    Args:
        console: The terminal.
        seconds: Seconds after which the demonstration ends, for the hint; None if it runs until Ctrl-C.
    """

    def __init__(self, console: Console, seconds: float | None) -> None:
        self._console = console
        self._seconds = seconds
        self._started = asyncio.get_running_loop().time()
        self._progress: Progress | None = None
        self._live: Live | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()
        if self._live is not None:
            self._live.stop()

    def begin(self, url: str, board: Board) -> None:
        """Print the server's URL and start the progress bar."""
        self._console.print(f"An embedded API server with a small busy cluster: [bold]{url}[/]")
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total} caches"),
            TextColumn("{task.fields[objects]} objects"), TimeElapsedColumn(),
            console=self._console, auto_refresh=False,
        )  # fmt: skip
        self._progress.add_task("Syncing", total=len(board.tallies), objects=0)
        self._progress.start()

    def syncing(self, board: Board) -> None:
        """Update the progress bar."""
        assert self._progress is not None, "begin() comes first"
        synced = sum(tally.informer.has_synced for tally in board.tallies)
        word = "Synced" if synced == len(board.tallies) else "Syncing"
        for task in self._progress.task_ids:
            self._progress.update(task, description=word, completed=synced, objects=board.objects)
        self._progress.refresh()

    def refresh(self, board: Board) -> None:
        """Draw the table and the latest events."""
        if self._live is None:
            assert self._progress is not None, "syncing() comes first"
            self._progress.stop()
            self._started = asyncio.get_running_loop().time()
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        self._live.update(self._draw(board), refresh=True)

    def _draw(self, board: Board) -> RenderableType:
        now = asyncio.get_running_loop().time()
        room = max(self._console.size.height - len(board.tallies) - _CHROME, _MIN_TAIL)
        latest = list(itertools.islice(reversed(board.lines), room))
        tail = [_event(line, self._started) for line in reversed(latest)]
        tail += [Text()] * (room - len(tail))  # keeps the height of the panel constant
        left = "" if self._seconds is None else f" · ends in {max(self._seconds - (now - self._started), 0.0):.0f} s"
        hint = Text(f" {now - self._started:.0f} s{left} · Ctrl-C ends it with a summary", style="dim")
        is_wide = self._console.size.width >= _WIDE
        return Group(
            _informers(board, now, is_wide=is_wide), Panel(Group(*tail), title="events", border_style="dim"), hint
        )

    def summarize(self, board: Board, verdicts: Mapping[str, Verdict]) -> None:
        """Print the counts, and whether each cache equals the server."""
        table = Table(title="What the handlers were given", box=SIMPLE_HEAD)
        table.add_column("informer")
        for title in ("objects", "adds", "updates", "deletes"):
            table.add_column(title, justify="right")
        table.add_column("cache == server")
        for tally in board.tallies:
            verdict = verdicts[tally.name]
            equal = Text("yes", "green") if not verdict.differences else Text(f"{verdict.differences} differ", "red")
            counts = map(str, (verdict.objects, tally.added, tally.updated, tally.deleted))
            table.add_row(_text(tally.name), *counts, equal)
        self._console.print(table)
        self._console.print(Text(conclusion(verdicts)))


def _informers(board: Board, now: float, *, is_wide: bool) -> Table:
    table = Table(expand=is_wide, box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("informer", no_wrap=True)
    for title in ("objects", "adds", "updates", "deletes", "version", "last\nevent"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("state", no_wrap=True, ratio=1 if is_wide else None)
    for tally in board.tallies:
        table.add_row(
            _text(tally.name),
            str(tally.objects),
            str(tally.added),
            str(tally.updated),
            str(tally.deleted),
            _text(tally.informer.last_sync_resource_version),
            "" if tally.last_event is None else f"{now - tally.last_event:.1f} s",
            _state(tally, is_wide=is_wide),
        )
    return table


def _state(tally: Tally, *, is_wide: bool) -> Text:
    state = tally.state if is_wide else tally.state.partition(":")[0]
    return _text(state, style="green" if state == "watching" else "yellow")


def _text(words: str, style: str = "") -> Text:
    """Return words that come from objects or servers: neither the terminal nor rich takes orders from them."""
    return Text(printable(words), style=style)


def _event(line: Line, started: float) -> Text:
    since = f"{max(line.at - started, 0.0):6.1f} s  "
    if line.verb == "NOTE":
        return Text.assemble((since, "dim"), _text(line.text, _COLORS["NOTE"]), no_wrap=True, overflow="ellipsis")
    return Text.assemble(
        (since, "dim"), (f"{line.verb:8}  ", _COLORS[line.verb]), _text(f"{line.resource}  ", "magenta"),
        _text(f"{line.key}  "), _text(line.text, "dim"), no_wrap=True, overflow="ellipsis",
    )  # fmt: skip

"""Shows the demonstration as lines of text, for pipes and logs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Self

from aioinformers.cli.columns import format_table
from aioinformers.cli.demo.board import Board, Line, Verdict, conclusion
from aioinformers.cli.terminal import say

__all__ = ["PlainView"]


class PlainView:
    """Prints each event once, with the seconds since the start."""

    def __init__(self) -> None:
        self._started = asyncio.get_running_loop().time()
        self._synced: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def begin(self, url: str, board: Board) -> None:
        """Print the server's URL and the number of informers."""
        say(f"an embedded API server with a small busy cluster: {url}")
        say(f"{len(board.tallies)} informers follow it")

    def syncing(self, board: Board) -> None:
        """Name each informer whose cache has synced."""
        for tally in board.tallies:
            if tally.informer.has_synced and tally.name not in self._synced:
                self._synced.add(tally.name)
                share = f"{len(self._synced)}/{len(board.tallies)}"
                say(f"synced {share}: {tally.name}, {tally.objects} objects")

    def refresh(self, board: Board) -> None:
        """Print the events since the last call."""
        while board.lines:
            self._print(board.lines.popleft())

    def _print(self, line: Line) -> None:
        since = f"{line.at - self._started:7.2f}s"
        if line.verb == "NOTE":
            say(f"{since}  -- {line.text}")
        else:
            say(f"{since}  {line.verb:8}  {line.resource}  {line.key}  {line.text}".rstrip())

    def summarize(self, board: Board, verdicts: Mapping[str, Verdict]) -> None:
        """Print the counts, and whether each cache equals the server."""
        rows = [["INFORMER", "OBJECTS", "ADDS", "UPDATES", "DELETES", "CACHE == SERVER"]]
        for tally in board.tallies:
            verdict = verdicts[tally.name]
            equal = "yes" if not verdict.differences else f"no: {verdict.differences} differ"
            counts = map(str, (verdict.objects, tally.added, tally.updated, tally.deleted))
            rows.append([tally.name, *counts, equal])
        say("", *format_table(rows), conclusion(verdicts))

"""The only way to the terminal: what objects and servers say is shown, never obeyed.

Whoever may write to the cluster chooses names, labels and messages. A terminal would follow the escape sequences in
them, and one name with a line break would look like two objects.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
from typing import Any, TextIO

from aioinformers.words import printable

__all__ = ["CleanFormatter", "json_text", "notice", "say"]


def say(*lines: str) -> None:
    """Print lines to stdout at once, also into a pipe.

    Raises:
        BrokenPipeError: If the reader of stdout has gone.
    """
    for line in lines:
        _write(sys.stdout, printable(line))
    sys.stdout.flush()


def notice(text: str) -> None:
    """Print one line to stderr, if somebody reads that."""
    with contextlib.suppress(OSError):
        _write(sys.stderr, f"aioinformers: {printable(text)}")
        sys.stderr.flush()


def json_text(text: str) -> str:
    """Return JSON that means the same, in which what stdout cannot show stands as escapes of JSON; its lines stay."""
    is_shown = str.isprintable if _encodes(sys.stdout, text) else _is_plain
    lines = text.split("\n")
    return "\n".join(
        line if is_shown(line) else "".join(each if is_shown(each) else _escaped(each) for each in line)
        for line in lines
    )


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _escaped(character: str) -> str:
    return json.dumps(character)[1:-1].replace("\x7f", r"\u007f")


def _write(stream: TextIO, line: str) -> None:
    if not _encodes(stream, line):  # the terminal knows fewer characters than the cluster
        line = line.encode("ascii", "backslashreplace").decode()
    stream.write(f"{line}\n")


def _encodes(stream: TextIO, text: str) -> bool:
    try:
        text.encode(stream.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


class CleanFormatter(logging.Formatter):
    """Formats the log for a terminal: a message is one line, and a traceback keeps its lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802, logging's own name
        """Return a record's line."""
        return printable(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802, logging's own name
        """Return the lines of a traceback."""
        return "\n".join(map(printable, super().formatException(ei).split("\n")))

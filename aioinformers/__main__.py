"""Entry of the command line: ``aioinformers`` and ``python -m aioinformers``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: Its arguments; those of the process by default.

    Returns:
        The exit code: 0; 1 if the cluster refused or could not be reached; 2 for bad input.
    """
    try:
        from aioinformers.cli import run
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("rich", "typer"):
            raise
        sys.stderr.write(f"aioinformers: {error.name} is missing: install aioinformers[cli]\n")
        return 2
    return run(argv)


if __name__ == "__main__":
    sys.exit(main())

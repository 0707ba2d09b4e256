"""When a server says that what it refuses to list is gone, and when that is believed. Pure."""

from __future__ import annotations

from aioinformers.types import Absence

__all__ = ["Absences"]


class Absences:
    """What is known of objects that the server refuses to list.

    Args:
        gone_after: Shortest time in seconds between two answers that they are gone.

    Attributes:
        remark: What there is to say about it; may be empty.
    """

    def __init__(self, gone_after: float) -> None:
        self._gone_after = gone_after
        self._since: float | None = None
        self.remark: str = ""

    def forget(self, *, keeps_remark: bool = False) -> None:
        """Note that nothing is refused any more, or something else is wrong."""
        self._since = None
        if not keeps_remark:
            self.remark = ""

    def is_certain(self, absence: Absence, asked: float, answered: float) -> bool:
        """Note what the server says, and return whether the objects are gone: it has said so twice, long enough apart.

        Args:
            absence: What it says.
            asked: The time of the question.
            answered: The time of the answer.
        """
        if not absence.is_gone:
            self._since, self.remark = None, f"its objects are kept: {absence.reason}"
            return False
        self.remark = f"its objects are kept for now: {absence.reason}"
        if self._since is None:
            self._since = answered  # after the answer: so long ago, at least, is that
            return False
        return asked - self._since >= self._gone_after

    def let_go(self, absence: Absence) -> None:
        """Note that the objects have been let go of."""
        self._since, self.remark = None, absence.reason

"""How others ask whether this process may act: what an election and a group of shards have in common. Pure."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from aioinformers.types import ObjectKey

__all__ = ["Fence", "Token"]


class Token(NamedTuple):
    """The number of a term: of two with the same uid, the later one is the greater.

    It can be written along with what a term does, so that others refuse what an earlier one sends late.

    Attributes:
        uid: Uid of the object that the numbers are counted in, such as the Lease.
        number: The number.
    """

    uid: str
    number: int

    def __str__(self) -> str:
        return f"{self.uid}/{self.number}"


class Fence(Protocol):
    """Whether this process may act on an object, and for how long."""

    def is_active(self, key: ObjectKey, uid: str) -> bool:
        """Tell whether something new may be begun for an object now."""
        ...

    def check(self, key: ObjectKey | None = None, uid: str = "") -> float:
        """Return the seconds for which what goes on for an object may go on.

        Raises:
            NotLeadingError: If that is over.
        """
        ...

    def token(self, key: ObjectKey | None = None, uid: str = "") -> Token:
        """Return the number of the term in which an object may be acted upon.

        Raises:
            NotLeadingError: If it may not.
        """
        ...

    @property
    def deadline(self) -> float:
        """The moment, on the clock of Leases, at which all of that ends unless it is renewed."""
        ...

    def leave(self) -> None:
        """Begin to leave: nothing new is begun here, what goes on may end in order, and others may take over then."""
        ...

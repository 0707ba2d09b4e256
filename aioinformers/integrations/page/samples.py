"""What is measured while somebody looks at the status page, as frozen values. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

__all__ = ["NOTHING", "Change", "Sampled"]


@dataclass(frozen=True, slots=True)
class Change:
    """A line of the tail: a change of an object, or a list.

    Attributes:
        at: When it was applied, in seconds since the epoch.
        informer: The informer.
        sign: ``+`` for an addition, ``~`` for an update, ``-`` for a deletion; empty for a list.
        key: The object; of a list, how many objects it has changed.
        cause: What made the change, such as ``watch``.
    """

    at: float
    informer: str
    sign: str
    key: str
    cause: str


@dataclass(frozen=True, slots=True)
class Sampled:
    """What has been measured since somebody began to look.

    Attributes:
        history: Changes a second of all informers, second by second, the latest last.
        rate: Changes a second lately; None before the first two measurements.
        rates: The same of each informer, by the names of its factory and itself.
        memory: Bytes of the process in memory; None where that cannot be told.
        tail: The last changes, the latest first.
    """

    history: tuple[float, ...] = ()
    rate: float | None = None
    rates: Mapping[tuple[str, str], float] = field(default_factory=dict)
    memory: int | None = None
    tail: tuple[Change, ...] = ()


NOTHING: Final = Sampled()
"""Before anything has been measured."""

"""How many events of a watch are applied in one step: fewer where each of them takes long. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from aioinformers.objects.deltas import BATCH_EVENTS, Batch
from aioinformers.objects.layout import Entry

__all__ = ["LONGEST", "Portions"]

QUICK: Final = 32
"""Events that fit in a step where each takes little: 0.15 ms at most."""
LONGEST: Final = 0.005
"""Seconds that a step should take at most."""


class Portions:
    """Learns how long an event takes, and cuts batches so that no step takes long.

    Usually an event takes microseconds, and a batch stays whole. With a thousand handlers that are all behind, so that
    each merges each event, it takes milliseconds.
    """

    def __init__(self) -> None:
        self._most = BATCH_EVENTS

    @property
    def is_quick(self) -> bool:
        """Whether an event takes little, so that a few need not be cut; a lone one takes longer than one of many."""
        return self._most >= QUICK

    def of(self, batch: Batch) -> Iterable[Batch]:
        """Return a batch in portions; each ends with the version of its last event, if that has one."""
        most = self._most
        if len(batch.deltas) <= most:
            return (batch,)
        return self._cut(batch, most)

    def note(self, events: int, seconds: float) -> None:
        """Note how long so many events took."""
        if seconds * BATCH_EVENTS <= LONGEST * events:
            # Bit by bit: what is quick now may have been lucky.
            self._most = min(2 * self._most, BATCH_EVENTS)
        elif events:
            self._most = max(1, min(2 * self._most, int(LONGEST * events / seconds)))

    @staticmethod
    def _cut(batch: Batch, most: int) -> Iterable[Batch]:
        deltas = batch.deltas
        last = (len(deltas) - 1) // most * most
        for at in range(0, last, most):
            part = deltas[at : at + most]
            entry = part[-1][2]
            yield Batch(part, entry.version if isinstance(entry, Entry) else "", batch.layout)
        batch.deltas = deltas[last:]
        yield batch

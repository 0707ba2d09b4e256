"""Who follows an informer: a handler that checks what it is told, and misbehaves in one of several ways."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from aioinformers import Added, Cause, Deleted, Event, SharedInformer, Updated
from aioinformers.delivery.registration import Registration
from tests.machine.kinds import Facts, facts

BEHAVIOURS = (
    "instant",
    "quick",
    "slow",
    "uneven",
    "raising",
    "cancelling",
    "hanging",
    "spoiling",
    "failing",
    "suicidal",
)
"""Ways of handlers; those that hang are registered with a timeout."""
FILTERS: dict[str, Callable[[Facts], bool] | None] = {
    "all": None,
    "even": lambda f: int(f.digit) % 2 == 0,
    "app x": lambda f: f.app == "x",
}


class Failed(BaseException):
    """As ``pytest.fail`` raises."""


class Follower:
    """A consumer that replays what it is told and notes whatever cannot be.

    Attributes:
        state: What it believes the server has, of what passes its filter.
        problems: What it was told against the guarantees.
    """

    def __init__(
        self, kind: str, informer: SharedInformer[Any], behaviour: str, accepts: str, *, resyncs: bool = False
    ) -> None:
        self.kind = kind
        self.informer = informer
        self.behaviour = behaviour
        self.accepts = accepts
        self.resyncs = resyncs
        self.state: dict[str, Facts] = {}
        self.problems: list[str] = []
        self.calls = 0
        self.has_left = False
        self.registration: Registration[Any] | None = None
        self.reader: asyncio.Task[None] | None = None
        self._inside: set[str] = set()

    async def __call__(self, event: Event[Any]) -> None:
        """Take one event, then behave."""
        key = str(event.key)
        self.calls += 1
        if self.has_left:
            self.problems.append(f"was given {event!r} after it had left")
        if key in self._inside:
            self.problems.append(f"was given {key} twice at once (G3)")
        self._inside.add(key)
        try:
            self._replay(key, event)
            await self._behave(facts(event.object).digit, event)
        finally:
            self._inside.discard(key)

    def _replay(self, key: str, event: Event[Any]) -> None:
        now, was = facts(event.object), self.state.get(key)
        match event:
            case Added():
                if was is not None:
                    self.problems.append(f"{key} was added twice (G4)")
                self.state[key] = now
            case Updated(old=old, cause=cause):
                if was != facts(old):
                    self.problems.append(f"{key} was updated from {facts(old)} but is {was} (G5)")
                if was is not None and was.uid != now.uid:
                    self.problems.append(f"{key} became another object by an update (G5)")
                if cause is Cause.RESYNC and not (self.resyncs and event.old is event.object):
                    self.problems.append(f"{key} was resynced unasked, or changed by it (G6)")
                if cause is not Cause.RESYNC and facts(old).version >= now.version:
                    self.problems.append(f"{key} went from {facts(old).version} to {now.version} (G3, G6)")
                self.state[key] = now
            case Deleted():
                if was is None or was.uid != now.uid:
                    self.problems.append(f"{key} was deleted as {now} but is {was} (G5)")
                self.state.pop(key, None)
        self._look_into_store(key, now, event)

    def _look_into_store(self, key: str, now: Facts, event: Event[Any]) -> None:
        if not self.informer.has_synced:  # of several namespaces one may still be on its way
            return
        obj = self.informer.indexer.get(event.key)
        stored = None if obj is None else facts(obj)
        if isinstance(event, Deleted):
            # One of the filter's own has left what it accepts, not the store.
            behind = stored is not None and stored.version <= now.version
        else:
            behind = stored is not None and stored.version < now.version
        if behind:
            self.problems.append(f"the store has {stored} of {key}, {event!r} is ahead of it (G2)")

    async def _behave(self, digit: str, event: Event[Any]) -> None:
        match self.behaviour:
            case "instant":
                pass
            case "slow":
                await asyncio.sleep(0.5)
            case "uneven":
                await asyncio.sleep(int(digit) * 0.2)
            case "raising" if digit in "135":
                raise ValueError("odd")
            case "cancelling" if digit in "02":
                raise asyncio.CancelledError
            case "failing" if digit in "13":
                raise Failed
            case "suicidal" if digit in "024" and self.reader is None:  # a reader is not ours to end
                task = asyncio.current_task()
                assert task is not None, "handlers run in tasks"
                task.cancel()
                if digit != "0":
                    with contextlib.suppress(*([asyncio.CancelledError] if digit == "2" else [])):
                        await asyncio.sleep(0)
            case "hanging" if digit == "4":
                await asyncio.sleep(1e9)
            case "spoiling" if isinstance(event.object, dict):
                event.object["metadata"]["labels"] = {"app": "spoilt", "v": "9"}
            case _:
                await asyncio.sleep(0)

    def accepted(self, truth: Mapping[str, Facts]) -> dict[str, Facts]:
        """Return what of the truth passes the filter."""
        matches = FILTERS[self.accepts]
        return {key: found for key, found in truth.items() if matches is None or matches(found)}

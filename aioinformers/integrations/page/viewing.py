"""What is measured while somebody looks at the status page, and for half a minute longer.

Without a viewer there is no task, no timer and no tap: nothing is counted for a page that nobody looks at (G25).
"""

from __future__ import annotations

import asyncio
import os
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from aioinformers.delivery.mailbox import ADDED, DELETED, RELEASED, UPDATED, InitialState, Observer, Record
from aioinformers.factory import SharedInformerFactory
from aioinformers.informer import SharedInformer, pipeline_of
from aioinformers.integrations.observation import Observers
from aioinformers.integrations.page.samples import NOTHING, Change, Sampled
from aioinformers.integrations.privacy import HIDDEN
from aioinformers.types import Cause, ObjectKey

__all__ = ["ENDURANCE", "MOST_CHANGES", "Tail", "Viewing"]

ENDURANCE: Final = 30.0
"""Seconds after the last look for which measuring goes on."""
PERIOD: Final = 1.0
"""Seconds between two measurements."""
MOST_CHANGES: Final = 200
"""Changes that the tail shows."""
MOST_OF_A_RELIST: Final = 20
"""Changes of a list after the first that are shown one by one; of more only the number."""
HISTORY: Final = 120
"""Measurements that are kept."""
LATELY: Final = 5
"""Measurements that rates are of."""
SAME_LIST: Final = 5.0
"""Seconds within which segments of a list are taken to be of the same one."""

_SIGNS: Final = {ADDED: "+", UPDATED: "~", DELETED: "-", RELEASED: "/"}


class _Batch(NamedTuple):
    """Changes that were applied together; of a list only how many there were."""

    at: float
    informer: str
    records: Sequence[Record]
    objects: int
    cause: Cause


class Tail:
    """Keeps the last changes by reference: what they are is found out when somebody looks.

    What comes may come in any thread, one at a time for each informer.
    """

    def __init__(self) -> None:
        self._batches: deque[_Batch] = deque()
        self._kept = 0

    def tap(self, informer: str) -> Callable[[Sequence[Record]], None]:
        """Return what is told of an informer's changes, in its loop: whatever their number, it returns at once."""
        return lambda records: self._add(informer, records)

    def _add(self, informer: str, records: Sequence[Record]) -> None:
        if not records:
            return
        now, count = time.time(), len(records)
        # What is stored already is no list of records yet, and would be made into one by looking into it.
        state = records if isinstance(records, InitialState) else None
        cause = records[0].cause if state is None else state.cause
        is_named = cause is not Cause.LIST and count <= MOST_OF_A_RELIST
        if state is None and (cause is Cause.WATCH or is_named):
            self._keep(_Batch(now, informer, records, 0, cause))
            return
        # The segments of a list hold all its objects, which are not to be kept alive for a line.
        last = self._batches[-1] if self._batches else None
        is_same = last is not None and last.objects > 0 and (last.informer, last.cause) == (informer, cause)
        if last is not None and is_same and now - last.at < SAME_LIST:
            self._batches[-1] = _Batch(now, informer, (), last.objects + count, cause)
            return
        self._keep(_Batch(now, informer, (), count, cause))

    def _keep(self, batch: _Batch) -> None:
        self._batches.append(batch)
        self._kept += len(batch.records) or 1
        while self._kept - (first := len(self._batches[0].records) or 1) >= MOST_CHANGES:
            self._batches.popleft()
            self._kept -= first

    def clear(self) -> None:
        """Forget all of it."""
        self._batches.clear()
        self._kept = 0

    def changes(self, *, show_keys: bool) -> tuple[Change, ...]:
        """Return the last changes, the latest first.

        Args:
            show_keys: Name the objects.
        """
        found: list[Change] = []
        for batch in reversed(self._batches.copy()):
            cause = batch.cause.value
            if batch.objects:
                objects = "1 object" if batch.objects == 1 else f"{batch.objects:,} objects"
                found.append(Change(batch.at, batch.informer, "", objects, cause))
            for record in reversed(batch.records):
                key = str(ObjectKey.parse(record.key) if show_keys else HIDDEN)
                found.append(Change(batch.at, batch.informer, _SIGNS[record.type], key, cause))
            if len(found) >= MOST_CHANGES:
                break
        return tuple(found[:MOST_CHANGES])


class Viewing:
    """Measures while somebody looks.

    It has no task: a timer of the loop in which somebody looks first calls it once a second, and is the only thing that
    there is of it. It ends half a minute after the last look, with the last factory, or by :meth:`close`. It keeps no
    factory and no informer alive, even if its loop ends first.

    Args:
        factories: Returns the factories that are shown.
    """

    def __init__(self, factories: Callable[[], Iterable[SharedInformerFactory]]) -> None:
        self._factories = factories
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._looked = 0.0
        self._counts: deque[tuple[float, Mapping[tuple[str, str], int]]] = deque(maxlen=LATELY + 1)
        self._history: deque[float] = deque(maxlen=HISTORY)
        self._tail = Tail()
        # Weak keys: who shows a program may belong to it, or outlive it. An observer knows the tail, and nothing else.
        self._observers: weakref.WeakKeyDictionary[SharedInformer[Any], Observer] = weakref.WeakKeyDictionary()
        self._observations = Observers()

    @property
    def is_on(self) -> bool:
        """Whether it measures."""
        return self._timer is not None

    def look(self, *, show_keys: bool = True) -> Sampled:
        """Return what has been measured, and go on, or begin, to measure; to be called inside an event loop.

        Args:
            show_keys: Name the objects of the tail.
        """
        loop = _running()
        if loop is None:
            return NOTHING  # nobody could call a timer
        if self._loop is not loop:
            self.close()
            self._loop = loop
        self._looked = loop.time()
        if self._timer is None:
            self._measure()
            self._wait(loop)
        return self._sampled(show_keys=show_keys)

    def close(self) -> None:
        """Stop measuring, and forget what was measured."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for informer in list(self._observers):
            self._forget(informer)
        self._observations.close()
        for kept in (self._counts, self._history, self._tail):
            kept.clear()

    def _forget(self, informer: SharedInformer[Any]) -> None:
        _in_its_loop(informer, pipeline_of(informer).dispatcher.leave, self._observers.pop(informer))

    def _wait(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = loop.call_later(PERIOD, self._tick)

    def _tick(self) -> None:
        loop = self._loop
        assert loop is not None
        now = loop.time()
        if now - self._looked > ENDURANCE or all(each.is_closed for each in self._factories()):
            self.close()
            return
        self._measure()
        self._wait(loop)

    def _measure(self) -> None:
        counts: dict[tuple[str, str], int] = {}
        informers: set[SharedInformer[Any]] = set()
        for factory in self._factories():
            if factory.is_closed:
                continue
            if factory.is_started:
                self._observations.look([factory])
            for informer in factory:
                informers.add(informer)
                if informer not in self._observers:
                    observer = self._observers[informer] = Observer(self._tail.tap(informer.name))
                    _in_its_loop(informer, pipeline_of(informer).dispatcher.attach, observer)
                applied = pipeline_of(informer).dispatcher.counts
                counts[factory.name, informer.name] = applied.added + applied.updated + applied.deleted
        for informer in set(self._observers) - informers:  # it was let go of, or its factory was
            self._forget(informer)
        assert self._loop is not None
        now = self._loop.time()
        if self._counts:
            before, last = self._counts[-1]
            if now > before:
                self._history.append(max(sum(counts.values()) - sum(last.values()), 0) / (now - before))
        self._counts.append((now, counts))

    def _sampled(self, *, show_keys: bool) -> Sampled:
        rates: dict[tuple[str, str], float] = {}
        if len(self._counts) > 1:
            (begin, first), (end, last) = self._counts[0], self._counts[-1]
            seconds = max(end - begin, 1e-9)
            rates = {name: max(count - first.get(name, count), 0) / seconds for name, count in last.items()}
        return Sampled(
            history=tuple(self._history),
            rate=sum(rates.values()) if len(self._counts) > 1 else None,
            rates=rates,
            memory=_memory(),
            tail=self._tail.changes(show_keys=show_keys),
        )


def _in_its_loop(informer: SharedInformer[Any], call: Callable[[Observer], None], observer: Observer) -> None:
    """Attach or detach an observer in the informer's own loop: the page may be served by another one."""
    loop = pipeline_of(informer).loop
    if loop is None or loop is _running():
        call(observer)
    elif not loop.is_closed():
        loop.call_soon_threadsafe(call, observer)


def _running() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _memory() -> int | None:
    """Return the bytes of this process that are in memory; None where that cannot be told."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None

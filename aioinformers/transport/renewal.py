"""Gets something anew before it expires, and when it has been refused: one run at a time, however many wait for it."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

from aioinformers.errors import CredentialsError, InformerError

__all__ = ["Renewal"]

T = TypeVar("T")

logger: logging.Logger = logging.getLogger("aioinformers.source")

EARLY_PART: Final = 0.2
"""Part of a life before whose end a new one is fetched."""
EARLIEST: Final = 60.0
"""Seconds before the end of a life that are enough for that, however long the life is."""
SHORTEST_LIFE: Final = 1.0
"""Seconds that something is used at least: it may come expired where clocks differ."""
LONGEST_PAUSE: Final = 10.0
"""Seconds between two runs that were in vain."""


class Renewal(Generic[T]):
    """Something that has to be fetched again and again, such as the token that a program prints.

    While the old one is still good, a new one is fetched behind the scenes and nobody waits. Runs that fail, and what
    is refused as soon as it is there, are followed by a pause that doubles up to :data:`LONGEST_PAUSE`; a new one that
    is needed because the last one was refused later in its life is fetched at once.

    Belongs to the running loop, whose clock it keeps.

    Args:
        fetch: Fetches a new one.
        lifetime: Gives the seconds that one will be good for; None without limit.
        name: Of its tasks.

    Attributes:
        value: The newest; None before the first.
        problem: Why the last run has brought none; empty if it has.
    """

    def __init__(
        self, fetch: Callable[[], Awaitable[T]], lifetime: Callable[[T], float | None], name: str = "renew credentials"
    ) -> None:
        self.value: T | None = None
        self.problem: str = ""
        self._fetch = fetch
        self._lifetime = lifetime
        self._name = name
        self._now = asyncio.get_running_loop().time
        self._run: asyncio.Task[None] | None = None
        self._fetched_at = -math.inf
        self._good_until = -math.inf
        self._due = -math.inf
        self._in_vain = 0
        self._is_refused = False
        self._is_closed = False

    async def ensure(self) -> T:
        """Return one that is good as far as is known; wait for a new one only if there is none.

        Cancellation ends the wait; a run goes on for the others who wait for it.

        Raises:
            CredentialsError: If there is none, and the last run failed, or the renewal has been closed.
        """
        now = self._now()
        if self._run is None and now >= self._due:
            self._run = asyncio.get_running_loop().create_task(self._renew(), name=self._name)
        if self._run is not None and (self._is_refused or now >= self._good_until):
            await asyncio.wait((self._run,))
        if self.value is None or self._now() >= self._good_until:
            raise CredentialsError(self.problem or "the credentials have expired")
        return self.value

    def refuse(self) -> None:
        """Note that the newest has been refused, so that another one is fetched, at once or after a pause."""
        if self._is_refused or self.value is None:
            return
        self._is_refused = True
        was_good = self._now() - self._fetched_at >= SHORTEST_LIFE
        self._in_vain = 0 if was_good else self._in_vain + 1
        self._due = min(self._due, self._fetched_at + self._pause())

    async def aclose(self) -> None:
        """End a run that is under way; what is there is given until it expires. Cancellation: no longer waits."""
        self._is_closed = True
        self._due = math.inf
        run = self._run
        if run is not None:
            run.cancel()
            await asyncio.wait((run,))

    async def _renew(self) -> None:
        """Fetch one and note until when it is good, or why there is none."""
        try:
            value = await self._fetch()
        except asyncio.CancelledError:
            self.problem = "the client has been closed" if self._is_closed else "the renewal was cancelled"
            raise
        except Exception as error:
            self._note_failure(error)
        else:
            self._note(value)
        finally:
            self._run = None

    def _note(self, value: T) -> None:
        if not self._is_refused:
            self._in_vain = 0
        life = self._lifetime(value)
        life = math.inf if life is None else max(life, SHORTEST_LIFE)
        self._fetched_at = now = self._now()
        self._good_until = now + life
        early = 0.0 if life == math.inf else min(life * EARLY_PART, EARLIEST)
        self._due = now + max(life - early, SHORTEST_LIFE)
        self._is_refused = False
        self.problem = ""
        self.value = value

    def _note_failure(self, error: Exception) -> None:
        known = isinstance(error, InformerError)
        problem = str(error) if known else f"the credentials could not be renewed ({type(error).__name__})"
        # Requests that wait say so themselves; otherwise it is said once.
        if problem != self.problem and self._now() < self._good_until:
            logger.warning("%s: the old credentials are used while they last", problem)
        self.problem = problem
        self._in_vain += 1
        self._due = self._now() + self._pause()

    def _pause(self) -> float:
        """Return the seconds between the last run and the next one."""
        return 0.0 if not self._in_vain else min(0.5 * 2.0 ** min(self._in_vain, 10), LONGEST_PAUSE)

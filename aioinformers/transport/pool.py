"""How many of a client's connections informers hold: each scope keeps one, and the program's own calls want some, too.

Several factories may share a client, so the count is kept per client, for as long as that lives.
"""

from __future__ import annotations

import logging
import weakref
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import aiohttp

__all__ = ["Reservation", "limit_of"]

logger: logging.Logger = logging.getLogger("aioinformers.factory")

_FULL: Final = 0.9
"""Part of the connections from which on little is left for anything else."""
_SETTING: Final = "raise configuration.connection_pool_maxsize"


class _Pool:
    """The connections of one client that are spoken for, and what has been said about that."""

    def __init__(self) -> None:
        self.taken = 0
        self.is_nearly_full = False
        self.is_overfull = False

    def add(self, count: int, name: str, limit: int) -> None:
        """Count connections, and warn once when few are left, once more when there are not enough."""
        self.taken += count
        was_nearly_full, was_overfull = self.is_nearly_full, self.is_overfull
        self.is_overfull = 0 < limit < self.taken
        self.is_nearly_full = 0 < limit * _FULL < self.taken
        if count <= 0:
            return
        if self.is_overfull and not was_overfull:
            logger.warning(
                "%s: with it, informers need %d connections of the API client, which has %d, and will wait for each "
                "other: %s",
                name, self.taken, limit, _SETTING,
            )  # fmt: skip
        elif self.is_nearly_full and not was_nearly_full:
            logger.warning(
                "%s: with it, informers hold %d of the %d connections of the API client: other requests with this "
                "client may wait for minutes: %s",
                name, self.taken, limit, _SETTING,
            )  # fmt: skip


_pools: weakref.WeakKeyDictionary[object, _Pool] = weakref.WeakKeyDictionary()


class Reservation:
    """Connections that an informer holds or will hold; given back by :meth:`release`, or with the client's end.

    Args:
        api_client: The client.
        limit: How many connections it makes at a time; 0 for no limit.
        name: The informer, for warnings.
        scopes: How many connections the informer needs.
    """

    def __init__(self, api_client: object, limit: int, name: str, scopes: int) -> None:
        self._pool = _pools.setdefault(api_client, _Pool())
        self._limit = limit
        self._name = name
        self._count = scopes
        self._pool.add(scopes, name, limit)

    def resize(self, scopes: int) -> None:
        """Hold another number of connections from now on."""
        change, self._count = scopes - self._count, scopes
        self._pool.add(change, self._name, self._limit)

    def release(self) -> None:
        """Give the connections back; once is enough, and more often does no harm."""
        count, self._count = self._count, 0
        self._pool.add(-count, self._name, self._limit)


def limit_of(connector: aiohttp.BaseConnector | None) -> int:
    """Return how many connections to one server a connector makes at a time; 0 for no limit, and for no connector."""
    if connector is None:
        return 0
    return min((limit for limit in (connector.limit, connector.limit_per_host) if limit), default=0)

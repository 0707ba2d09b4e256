"""What clients of a service are told when a cache cannot answer: what is wrong, and nothing of what is behind it.

The texts of errors and of ``health()`` name hosts, namespaces and what the API server said; they are for logs and for
the status page.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from aioinformers.errors import (
    CacheNotSyncedError,
    CacheSyncError,
    ConnectionFailedError,
    CredentialsError,
    ForbiddenError,
    InformerClosedError,
    InformerCrashedError,
    NotFoundError,
    ResourceNotFoundError,
    ServerBusyError,
    UnauthorizedError,
)
from aioinformers.informer import SharedInformer
from aioinformers.integrations.lifecycle import ServerStoppingError

__all__ = ["REFUSED", "STOPPING", "Refusal", "refusal_of", "unsynced"]

SOON: Final = 1
"""Seconds after which a client may ask again that came too early, or whose next request another replica answers."""
LATER: Final = 5
"""Seconds after which it may ask again if something has failed, that somebody or something must mend."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that is none.

    Attributes:
        status: HTTP status.
        detail: Why, in words for anybody.
        retry_after: Seconds after which it is worth asking again; None if it is not.
    """

    status: int
    detail: str
    retry_after: int | None = None

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the answer."""
        return {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}


STOPPING: Final = Refusal(503, "the server is stopping", SOON)

REFUSED: Final = (
    CacheNotSyncedError, CacheSyncError, InformerClosedError, InformerCrashedError, NotFoundError, ServerStoppingError,
)  # fmt: skip
"""Errors that are answered by a refusal."""

_FAILURES: Final[tuple[tuple[type[Exception], str], ...]] = (
    (CredentialsError, "the API server has not been asked, as there are no credentials for it"),
    (ConnectionFailedError, "the API server cannot be reached"),
    (UnauthorizedError, "the API server refuses the credentials"),
    (ForbiddenError, "the API server does not allow to list and watch them"),
    (ResourceNotFoundError, "the API server does not know them"),
    (ServerBusyError, "the API server is overloaded"),
    (Exception, "the API server could not be understood"),
)
"""What a failed attempt to list or watch comes to, the most special first."""


def unsynced(informer: SharedInformer[Any]) -> Refusal:
    """Return what is said of an informer that cannot be read yet, or any more."""
    if informer.health().has_crashed:
        return Refusal(503, f"{informer.resource} cannot be read: its cache has failed", LATER)
    error = informer.last_error
    if error is None:
        return Refusal(503, f"{informer.resource} cannot be read yet: the first list is under way", SOON)
    why = next(words for kind, words in _FAILURES if isinstance(error, kind))
    return Refusal(503, f"{informer.resource} cannot be read yet: {why}", LATER)


def refusal_of(
    error: Exception, informers: Iterable[SharedInformer[Any]] = (), *, is_stopping: bool = False
) -> Refusal:
    """Return how an error is answered.

    Args:
        error: One of :data:`REFUSED`.
        informers: Those of the program.
        is_stopping: Whether the app is to stop.
    """
    match error:
        case NotFoundError():
            return Refusal(404, f"there is no {error.key!r} among {error.resource}")
        case CacheNotSyncedError():
            found = next((each for each in informers if each.name == error.informer), None)
            return Refusal(503, "the cache cannot be read yet", SOON) if found is None else unsynced(found)
        case InformerCrashedError():
            return Refusal(503, "the cache has failed", LATER)
        case CacheSyncError():
            return Refusal(503, "the caches are not complete yet", LATER)
        case ServerStoppingError():
            return STOPPING
        case _:
            return STOPPING if is_stopping else Refusal(503, "the cache is closed", SOON)

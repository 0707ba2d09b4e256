"""What to do about a failure, and where the documentation speaks of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aioinformers.errors import (
    ConnectionFailedError,
    CredentialsError,
    ForbiddenError,
    GoneError,
    ResourceNotFoundError,
    ResponseError,
    ServerBusyError,
    UnauthorizedError,
)

__all__ = [
    "CRASHED", "ENDED", "FORBIDDEN", "FULL", "LOST", "RAISING", "REFUSED", "REJECTED", "SILENT", "STUCK", "UNDONE",
    "Advice", "advice_on",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do about something that is wrong.

    Attributes:
        text: What to do, or what is being done.
        page: Page of the documentation and the heading in it, such as ``faults.md#watches``.
    """

    text: str
    page: str


CRASHED: Final = Advice(
    "A bug of the library has ended it, and only a restart begins it again. Please report it with the traceback in "
    "the log.",
    "errors.md#what-calls-raise",
)
"""Of an informer or a controller that a bug has ended."""
SILENT: Final = Advice(
    "The server says nothing, and nothing has failed: what is cached may be old. The watch is checked by itself when "
    "its time is over.",
    "faults.md#watches",
)
"""Of an informer that has heard nothing for longer than a watch lasts."""
REJECTED: Final = Advice(
    "The cache keeps the last version that could be read. Compare the type that the program declares with the objects.",
    "objects.md#objects-that-cannot-be-read",
)
"""Of objects that cannot be read."""
STUCK: Final = Advice(
    "Something in the handler does not return. Give what it awaits a timeout, or the registration a handler_timeout=.",
    "handlers.md#when-a-handler-fails",
)
"""Of a handler that has had one event for long."""
FULL: Final = Advice(
    "No object's last state is lost. If it lasts: make the handler faster, or give it more concurrency=.",
    "handlers.md#backlog",
)
"""Of a handler whose backlog is full."""
LOST: Final = Advice(
    "It may not act until it holds the Lease again. It tries by itself.", "leader-election.md#how-long-things-take"
)
"""Of a candidate that cannot reach the server."""
FORBIDDEN: Final = Advice(
    "It may not get, create, update and watch the Lease, so that nothing it guards is done here. Give its account a "
    "Role with these verbs on leases in the namespace of the Lease.",
    "leader-election.md#leading",
)
"""Of a candidate that has no right to its Lease."""
REFUSED: Final = Advice(
    "The server refuses what it asks for, so that nothing it guards is done here. The reason says what to correct: its "
    "credentials, or the namespace of the Lease.",
    "leader-election.md#how-long-things-take",
)
"""Of a candidate that is refused for another reason."""
UNDONE: Final = Advice(
    "The log has the traceback, and the table what failed last for each object. They are tried again, ever later.",
    "controllers.md#what-a-controller-does",
)
"""Of a controller whose calls fail."""
RAISING: Final = Advice(
    "The log has the traceback. Events that failed are not given again: correct the handler, or give the registration "
    "a resync_period=.",
    "handlers.md#when-a-handler-fails",
)
"""Of a handler that fails."""

ENDED: Final = Advice(
    "It follows nothing any more, although nobody has shut its factory down: its event loop has ended, or its process "
    "was forked. Let the loop run for as long as the factory is used, or make a new factory where it is used.",
    "factory.md#life",
)
"""Of an informer that has ended before its factory."""

_NETWORK: Final = "faults.md#networks-and-servers"
_REQUESTS: Final = "errors.md#what-requests-fail-with"
_BY_ERROR: Final[tuple[tuple[type[Exception], Advice], ...]] = (
    (
        CredentialsError,
        Advice("Look at the exec plug-in or the token file that the client was given.", "factory.md#credentials"),
    ),
    (
        ConnectionFailedError,
        Advice(
            "Reads are answered from the last state, and it tries again by itself. If it lasts: can this machine "
            "reach the API server?",
            _NETWORK,
        ),
    ),
    (
        UnauthorizedError,
        Advice("The server does not accept the credentials: renew them. It tries again.", "factory.md#credentials"),
    ),
    (
        ForbiddenError,
        Advice("Grant list and watch on the resource to the account of this program. It tries again.", _REQUESTS),
    ),
    (
        ResourceNotFoundError,
        Advice("Install the CustomResourceDefinition, or correct the resource's name or version.", _REQUESTS),
    ),
    (ServerBusyError, Advice("The server is busy or starting; it is asked again when it says so.", _REQUESTS)),
    (GoneError, Advice("The history that was asked for is gone: everything is listed again.", _REQUESTS)),
    (
        ResponseError,
        Advice("What answers is no API server, or something between changes its answers.", "faults.md#answers"),
    ),
)
_NEVER_REACHED: Final = Advice(
    "It has not got the whole state yet, and tries again by itself. If it lasts: can this machine reach the API "
    "server?",
    _NETWORK,
)
_OTHER: Final = Advice("It tries again by itself, more slowly each time.", _REQUESTS)


def advice_on(error: Exception | None, *, has_synced: bool = True) -> Advice:
    """Return what to do about the failure of a request.

    Args:
        error: The failure.
        has_synced: There is a state that reads are answered from meanwhile.
    """
    if not has_synced and isinstance(error, ConnectionFailedError):
        return _NEVER_REACHED
    return next((advice for kind, advice in _BY_ERROR if isinstance(error, kind)), _OTHER)

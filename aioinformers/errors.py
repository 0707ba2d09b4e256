"""All exceptions of the package. Each says what happened, for which resource, and what to do.

::

    InformerError
    ├── CacheSyncError (TimeoutError)        caches did not sync in time; names each and why
    ├── CacheNotSyncedError (RuntimeError)   read before the first sync
    ├── InformerClosedError (RuntimeError)   used after its end
    ├── InformerCrashedError (RuntimeError)  a bug of ours ended it
    ├── NotLeadingError (RuntimeError)       what only a leader may do, without leadership
    ├── QueueClosedError (RuntimeError)      a work queue is closed
    ├── NotFoundError (KeyError)             no such object in the cache
    ├── NotOwnedError (LookupError)          the object would be in another process's shard
    ├── UnknownIndexError (LookupError)      no such index
    ├── InvalidSelectorError (ValueError)
    ├── InvalidPathError (ValueError)
    ├── IndexConflictError (ValueError)      same index name, other definition
    ├── ConfigurationError (ValueError)      no cluster is configured, or its configuration cannot be used
    ├── ResponseError                        the server's answer cannot be understood
    ├── ConnectionFailedError                the server cannot be reached
    │   └── CredentialsError                 there are no credentials for the request
    └── ApiStatusError                       the server said no
        ├── BadRequestError      400, 422
        ├── UnauthorizedError    401
        ├── ForbiddenError       403
        ├── ResourceNotFoundError 404
        ├── ConflictError        409
        ├── GoneError            410
        └── ServerBusyError      429, 503, 504
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar

from aioinformers.checks import near
from aioinformers.words import brief

__all__ = [
    "ApiStatusError",
    "BadRequestError",
    "CacheNotSyncedError",
    "CacheSyncError",
    "ConfigurationError",
    "ConflictError",
    "ConnectionFailedError",
    "CredentialsError",
    "ForbiddenError",
    "GoneError",
    "IndexConflictError",
    "InformerClosedError",
    "InformerCrashedError",
    "InformerError",
    "InvalidPathError",
    "InvalidSelectorError",
    "NotFoundError",
    "NotLeadingError",
    "NotOwnedError",
    "QueueClosedError",
    "ResourceNotFoundError",
    "ResponseError",
    "ServerBusyError",
    "UnauthorizedError",
    "UnknownIndexError",
]


class InformerError(Exception):
    """Base of every exception that the package raises on purpose."""


class CacheSyncError(InformerError, TimeoutError):
    """Caches did not sync in time, or cannot sync at all.

    Attributes:
        reasons: The name of each unsynced informer, with what it waits for and why.
        timeout: Seconds that were waited; None if the wait had no timeout.
    """

    def __init__(self, reasons: Mapping[str, str], timeout: float | None = None) -> None:
        self.reasons: dict[str, str] = dict(reasons)
        self.timeout = timeout
        super().__init__(self.reasons, timeout)

    def __str__(self) -> str:
        within = "" if self.timeout is None else f" within {self.timeout:g} s"
        listing = "; ".join(f"{name}: {reason}" for name, reason in self.reasons.items())
        return f"{len(self.reasons)} cache(s) did not sync{within}: {listing}"


class CacheNotSyncedError(InformerError, RuntimeError):
    """The cache was read before its first sync, when an empty answer could be wrong.

    Attributes:
        informer: The informer's name.
        reason: What the informer waits for; may be empty.
    """

    def __init__(self, informer: str, reason: str = "") -> None:
        self.informer = informer
        self.reason = reason
        super().__init__(informer, reason)

    def __str__(self) -> str:
        why = f" ({self.reason})" if self.reason else ""
        return (
            f"the cache of {self.informer} has not synced yet{why}: start the factory and "
            f"`await factory.wait_for_cache_sync()` before reading"
        )


class InformerClosedError(InformerError, RuntimeError):
    """The informer or factory has ended, and the call needs a running one."""


class QueueClosedError(InformerError, RuntimeError):
    """The work queue is closed, or is being closed: nothing can be added to it, and nothing more be taken."""


class InformerCrashedError(InformerError, RuntimeError):
    """A task of the informer ended with an unexpected exception, which is chained: please report this bug."""


class NotFoundError(InformerError, KeyError):
    """The cache does not hold the object.

    Attributes:
        resource: The resource, as ``plural.version.group``.
        key: The object's key, as ``namespace/name``.
        advice: What was probably meant; may be empty.
    """

    def __init__(self, resource: str, key: str, advice: str = "") -> None:
        self.resource = resource
        self.key = key
        self.advice = advice
        super().__init__(resource, key, advice)

    def __str__(self) -> str:
        return f"{self.resource} {self.key!r} is not in the cache" + (f": {self.advice}" if self.advice else "")


class NotOwnedError(InformerError, LookupError):
    """The cache holds one shard's objects, and what was asked for would be in another: whether it exists is not known.

    Attributes:
        informer: The informer's name, which says what its shard is.
        namespace: The namespace that another shard has; empty for what has none.
        key: The object's key, as ``namespace/name``; empty if the namespace was asked for.
    """

    def __init__(self, informer: str, namespace: str, key: str = "") -> None:
        self.informer = informer
        self.namespace = namespace
        self.key = key
        super().__init__(informer, namespace, key)

    def __str__(self) -> str:
        where = f"namespace {self.namespace!r}" if self.namespace else "what has no namespace"
        what = repr(self.key) if self.key else "an object"
        return (
            f"whether there is {what} cannot be told: {where} belongs to another shard than {self.informer} follows; "
            f"ask an informer with shard=None, or the API server"
        )


class NotLeadingError(InformerError, RuntimeError):
    """Leadership has been lost, or was never there, and this needs it.

    Attributes:
        election: The election, as ``namespace/name`` of its Lease.
        reason: Why.
    """

    def __init__(self, election: str, reason: str) -> None:
        self.election = election
        self.reason = reason
        super().__init__(election, reason)

    def __str__(self) -> str:
        return f"not the leader of {self.election}: {self.reason}"


class UnknownIndexError(InformerError, LookupError):
    """The index does not exist, or is still being built.

    Attributes:
        name: The name that was asked for.
        known: The names of the indexes that exist.
        building: Whether the index is still being built.
    """

    def __init__(self, name: str, known: Sequence[str], *, building: bool = False) -> None:
        self.name = name
        self.known: tuple[str, ...] = tuple(known)
        self.building = building
        super().__init__(name, self.known)

    def __str__(self) -> str:
        if self.building:
            return f"index {self.name!r} is still being built: await informer.add_indexers(...) before reading it"
        found = near(self.name, self.known, 0.75)
        hint = f"did you mean {found!r}?" if found else "add it with add_indexers"
        return f"no index {self.name!r}; there are {', '.join(map(repr, self.known))}: {hint}"


class InvalidSelectorError(InformerError, ValueError):
    """A label or field selector cannot be parsed, or the cache does not support it.

    Attributes:
        selector: The whole selector.
        position: Position of the error, in characters from the beginning.
        problem: What is wrong there.
    """

    def __init__(self, selector: str, position: int, problem: str) -> None:
        self.selector = selector
        self.position = position
        self.problem = problem
        super().__init__(selector, position, problem)

    def __str__(self) -> str:
        return f"bad selector {self.selector!r} at character {self.position}: {self.problem}"


class InvalidPathError(InformerError, ValueError):
    """A JSON path (of an index, a transform) cannot be parsed.

    Attributes:
        path: The whole path.
        position: Position of the error, in characters from the beginning.
        problem: What is wrong there.
    """

    def __init__(self, path: str, position: int, problem: str) -> None:
        self.path = path
        self.position = position
        self.problem = problem
        super().__init__(path, position, problem)

    def __str__(self) -> str:
        return f"bad path {self.path!r} at character {self.position}: {self.problem}"


class IndexConflictError(InformerError, ValueError):
    """An index of this name exists with another definition.

    Attributes:
        name: The name of the index.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(name)

    def __str__(self) -> str:
        return f"index {self.name!r} exists with another definition: choose another name or remove it first"


class ConfigurationError(InformerError, ValueError):
    """No cluster is configured, or its configuration (a kubeconfig, a service account) cannot be used."""


class ResponseError(InformerError):
    """The server's answer does not follow its API: a Table, another kind, invalid JSON.

    Args:
        message: What is wrong; names that come from the server are made printable, and cut where they are long.
    """

    def __init__(self, message: str) -> None:
        super().__init__(brief(message))


class ConnectionFailedError(InformerError):
    """The server could not be reached, or the connection to it broke or went silent.

    Attributes:
        is_refused: Whether no connection was made, so that the request cannot have reached the server.
    """

    def __init__(self, message: str, *, is_refused: bool = False) -> None:
        self.is_refused = is_refused
        super().__init__(message)


class CredentialsError(ConnectionFailedError):
    """There are no credentials for a request, so that it was not made.

    An exec plug-in failed, or a token file cannot be read. The text quotes at most the last line that a plug-in wrote
    to stderr.
    """

    def __init__(self, message: str, *, is_refused: bool = True) -> None:
        super().__init__(message, is_refused=is_refused)


class ApiStatusError(InformerError):
    """The API server answered with a failure.

    Attributes:
        status: HTTP status code.
        reason: Machine-readable reason of the ``Status`` body, such as ``Expired``.
        message: The server's message in one line, without control characters, cut where it is long.
        retry_after: Seconds that the server asks to wait before the next attempt; None if it does not ask.
        causes: Reasons of ``details.causes``, such as ``ResourceVersionTooLarge``.
    """

    hint = ""
    _no_hint: ClassVar[re.Pattern[str] | None] = None
    """Messages to which the hint of the class is of no use."""

    def __init__(
        self,
        status: int,
        reason: str = "",
        message: str = "",
        retry_after: float | None = None,
        causes: Sequence[str] = (),
    ) -> None:
        self.status = status
        self.reason: str = brief(reason, 100)
        self.message: str = brief(message)
        self.retry_after = retry_after
        self.causes: tuple[str, ...] = tuple(causes)
        super().__init__(status, self.reason, self.message, retry_after, self.causes)

    def __str__(self) -> str:
        text = f"{self.status} {self.reason}".rstrip()
        if self.message:
            text += f": {self.message}"
        is_general = "hint" not in vars(self)
        says_it = is_general and self._no_hint is not None and self._no_hint.search(self.message)
        return f"{text} ({self.hint})" if self.hint and not says_it else text

    @classmethod
    def of(
        cls,
        status: int,
        reason: str = "",
        message: str = "",
        retry_after: float | None = None,
        causes: Sequence[str] = (),
    ) -> ApiStatusError:
        """Return an exception of the most specific class for an HTTP status; the arguments become its attributes."""
        error_type = _BY_STATUS.get(status, ApiStatusError)
        return error_type(status, reason, message, retry_after, causes)


class BadRequestError(ApiStatusError):
    """400 or 422: the server understands the request and refuses it."""


class UnauthorizedError(ApiStatusError):
    """401: missing or expired credentials."""

    hint = "log in again, or check the token of the client's configuration"


class ForbiddenError(ApiStatusError):
    """403: the client is not allowed to do this."""

    hint = "the client needs the verbs list and watch on this resource"
    _no_hint: ClassVar[re.Pattern[str] | None] = re.compile(r" cannot (?!list |watch )\w+ resource ")


class ResourceNotFoundError(ApiStatusError):
    """404: the server does not serve this resource, or has no such object."""

    hint = "is the resource's CustomResourceDefinition or API group installed?"
    _no_hint: ClassVar[re.Pattern[str] | None] = re.compile(r'" not found$')


class ConflictError(ApiStatusError):
    """409: the object has been changed by somebody else."""


class GoneError(ApiStatusError):
    """410: the resourceVersion or continue token has expired."""


class ServerBusyError(ApiStatusError):
    """429, 503, 504: the server is overloaded or not ready."""


_BY_STATUS: dict[int, type[ApiStatusError]] = {
    400: BadRequestError,
    401: UnauthorizedError,
    403: ForbiddenError,
    404: ResourceNotFoundError,
    409: ConflictError,
    410: GoneError,
    422: BadRequestError,
    429: ServerBusyError,
    503: ServerBusyError,
    504: ServerBusyError,
}

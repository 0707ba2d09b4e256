"""What errors say, what they are, and that they survive a pickle."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Iterator

import pytest

from aioinformers import errors
from aioinformers.errors import (
    ApiStatusError,
    BadRequestError,
    CacheNotSyncedError,
    CacheSyncError,
    ConfigurationError,
    ConflictError,
    ConnectionFailedError,
    CredentialsError,
    ForbiddenError,
    GoneError,
    IndexConflictError,
    InformerClosedError,
    InformerCrashedError,
    InformerError,
    InvalidPathError,
    InvalidSelectorError,
    NotFoundError,
    NotLeadingError,
    NotOwnedError,
    QueueClosedError,
    ResourceNotFoundError,
    ResponseError,
    ServerBusyError,
    UnauthorizedError,
    UnknownIndexError,
)

START = "start the factory and `await factory.wait_for_cache_sync()` before reading"
WHOLE = "ask an informer with shard=None, or the API server"
MESSAGES: list[tuple[InformerError, str]] = [
    (
        CacheSyncError({"pods.v1": "403 Forbidden", "jobs.v1.batch": "listing"}, 30.0),
        "2 cache(s) did not sync within 30 s: pods.v1: 403 Forbidden; jobs.v1.batch: listing",
    ),
    (CacheSyncError({"pods.v1": "FAILED"}), "1 cache(s) did not sync: pods.v1: FAILED"),
    (
        CacheNotSyncedError("pods.v1"),
        "the cache of pods.v1 has not synced yet: " + START,
    ),
    (
        CacheNotSyncedError("pods.v1", "403 Forbidden"),
        "the cache of pods.v1 has not synced yet (403 Forbidden): " + START,
    ),
    (InformerClosedError("pods.v1 has ended"), "pods.v1 has ended"),
    (InformerCrashedError("pods.v1 crashed"), "pods.v1 crashed"),
    (NotLeadingError("ops/web", "b holds it now"), "not the leader of ops/web: b holds it now"),
    (NotFoundError("pods.v1", "prod/web"), "pods.v1 'prod/web' is not in the cache"),
    *[
        (
            NotOwnedError("pods.v1", namespace, key),
            f"whether there is {what} cannot be told: {where} belongs to another shard than pods.v1 follows; {WHOLE}",
        )
        for namespace, key, what, where in (
            ("prod", "prod/web", "'prod/web'", "namespace 'prod'"),
            ("", "n1", "'n1'", "what has no namespace"),
            ("prod", "", "an object", "namespace 'prod'"),
        )
    ],
    (
        UnknownIndexError("node", ["namespace", "image"]),
        "no index 'node'; there are 'namespace', 'image': add it with add_indexers",
    ),
    (
        UnknownIndexError("node", ["namespace"], building=True),
        "index 'node' is still being built: await informer.add_indexers(...) before reading it",
    ),
    (InvalidSelectorError("a in (", 6, "expected ')'"), "bad selector 'a in (' at character 6: expected ')'"),
    (InvalidPathError("a..b", 2, "found '.'"), "bad path 'a..b' at character 2: found '.'"),
    (
        IndexConflictError("node"),
        "index 'node' exists with another definition: choose another name or remove it first",
    ),
    (ConfigurationError("no cluster is configured"), "no cluster is configured"),
    (QueueClosedError("pods is closed"), "pods is closed"),
    (ResponseError("expected a list, got Table"), "expected a list, got Table"),
    (ConnectionFailedError("cannot connect", is_refused=True), "cannot connect"),
    (ConnectionFailedError("the connection broke"), "the connection broke"),
    (CredentialsError("the exec plug-in 'aws' cannot be run"), "the exec plug-in 'aws' cannot be run"),
    (ApiStatusError(500), "500"),
    (ApiStatusError(500, "InternalError", "boom", 2.0, ["x"]), "500 InternalError: boom"),
    (ApiStatusError(500, "", "boom"), "500: boom"),
    (BadRequestError(422, "Invalid", "bad limit"), "422 Invalid: bad limit"),
    (
        UnauthorizedError(401, "Unauthorized"),
        "401 Unauthorized (log in again, or check the token of the client's configuration)",
    ),
    (
        ForbiddenError(403, "Forbidden", "pods is forbidden"),
        "403 Forbidden: pods is forbidden (the client needs the verbs list and watch on this resource)",
    ),
    (
        ForbiddenError(403, "Forbidden", '"me" cannot watch resource "pods"'),
        '403 Forbidden: "me" cannot watch resource "pods" (the client needs the verbs list and watch on this resource)',
    ),
    (
        ForbiddenError(403, "Forbidden", 'User "me" cannot create resource "pods"'),
        '403 Forbidden: User "me" cannot create resource "pods"',
    ),
    (ResourceNotFoundError(404, "NotFound", 'pods "a" not found'), '404 NotFound: pods "a" not found'),
    (
        ResourceNotFoundError(404),
        "404 (is the resource's CustomResourceDefinition or API group installed?)",
    ),
    (ConflictError(409, "Conflict"), "409 Conflict"),
    (GoneError(410, "Expired", "too old"), "410 Expired: too old"),
    (ServerBusyError(429, "TooManyRequests", retry_after=3.0), "429 TooManyRequests"),
]
ALSO = {
    CacheSyncError: TimeoutError,
    CacheNotSyncedError: RuntimeError,
    InformerClosedError: RuntimeError,
    InformerCrashedError: RuntimeError,
    NotLeadingError: RuntimeError,
    QueueClosedError: RuntimeError,
    NotFoundError: LookupError,
    NotOwnedError: LookupError,
    UnknownIndexError: LookupError,
    InvalidSelectorError: ValueError,
    InvalidPathError: ValueError,
    IndexConflictError: ValueError,
    ConfigurationError: ValueError,
}


def subclasses(cls: type[Exception]) -> Iterator[type[Exception]]:
    yield cls
    children: list[type[Exception]] = cls.__subclasses__()
    for child in children:
        if child.__module__ == errors.__name__:
            yield from subclasses(child)


@pytest.mark.parametrize(("error", "text"), MESSAGES)
def test_errors_say_what_happened_and_what_to_do(error: InformerError, text: str) -> None:
    assert str(error) == text


@pytest.mark.parametrize("error", [error for error, _ in MESSAGES])
def test_errors_survive_pickles_and_copies(error: InformerError) -> None:
    """Processes hand them on; nothing that they say gets lost."""
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert vars(again) == vars(error)


def test_every_error_is_tested_here() -> None:
    assert {type(error) for error, _ in MESSAGES} == set(subclasses(InformerError)) - {InformerError}
    assert {cls.__name__ for cls in subclasses(InformerError)} == set(errors.__all__)


@pytest.mark.parametrize(("error", "builtin"), ALSO.items())
def test_errors_are_the_builtin_ones_that_callers_expect(error: type[Exception], builtin: type[Exception]) -> None:
    """`except TimeoutError`, `except LookupError` and so on do what they look like."""
    assert issubclass(error, builtin)


def test_no_other_error_is_a_builtin_one() -> None:
    others = set(subclasses(InformerError)) - ALSO.keys()
    common = (TimeoutError, OSError, RuntimeError, LookupError, ValueError, TypeError)
    assert not [error for error in others if issubclass(error, common)]


def test_the_tree_of_the_documentation_is_the_real_one() -> None:
    """Names, and what is below what."""
    documented: dict[str, str] = {}
    lines = (errors.__doc__ or "").splitlines()
    root = next(len(line) - len(line.lstrip()) for line in lines if line.strip() == "InformerError") // 4
    parents = {0: "InformerError"}
    for line in lines:
        if "── " in line:
            indent, text = line.split("── ")
            level, name = len(indent) // 4 + 1 - root, text.split()[0]
            documented[name] = parents[level - 1]
            parents[level] = name
    assert documented == {
        error.__name__: error.__bases__[0].__name__ for error in subclasses(InformerError) if error is not InformerError
    }


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, BadRequestError), (401, UnauthorizedError), (403, ForbiddenError), (404, ResourceNotFoundError),
     (409, ConflictError), (410, GoneError), (422, BadRequestError), (429, ServerBusyError), (500, ApiStatusError),
     (502, ApiStatusError), (503, ServerBusyError), (504, ServerBusyError), (418, ApiStatusError)],
)  # fmt: skip
def test_the_class_follows_the_status(status: int, error: type[ApiStatusError]) -> None:
    found = ApiStatusError.of(status, "Reason", "words", 2.0, ["cause"])
    assert type(found) is error
    assert (found.status, found.reason, found.message, found.retry_after, found.causes) == (
        status, "Reason", "words", 2.0, ("cause",),
    )  # fmt: skip


def test_what_happened_can_be_asked_for() -> None:
    """Not only read in the text."""
    assert CacheSyncError({"a": "b"}, 3).reasons == {"a": "b"}
    assert NotFoundError("pods.v1", "prod/web").key == "prod/web"
    assert UnknownIndexError("x", ["a"]).known == ("a",)
    assert InvalidSelectorError("s", 3, "p").position == 3
    assert ConnectionFailedError("x", is_refused=True).is_refused
    assert not ConnectionFailedError("x").is_refused


def test_every_error_is_documented() -> None:
    for error in subclasses(InformerError):
        assert inspect.getdoc(error), error


def test_g16_names_that_come_from_a_server_are_made_printable_and_cut() -> None:
    """Whoever answers chooses what kind it calls itself, and what it says."""
    hostile = "\x1b]0;owned\x07\u202e" + "x" * 1_000_000
    for error in (
        ResponseError(f"expected a list, got {hostile}"),
        ApiStatusError.of(403, hostile, hostile),
        ApiStatusError.of(404, "NotFound", f"did you mean {hostile}?"),
    ):
        assert str(error).isprintable()
        assert len(str(error)) < 2_000
        assert str(pickle.loads(pickle.dumps(error))) == str(error)

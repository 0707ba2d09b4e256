"""LIST: which version is asked for, pages, and the bytes of the answer."""

from __future__ import annotations

import json

import pytest

from aioinformers.sharding import Shard
from aioinformers.testing.apiserver.listing import Listing, parse_count, parse_flag, parse_version
from aioinformers.testing.apiserver.resources import Resource
from aioinformers.testing.apiserver.status import StatusError
from aioinformers.testing.apiserver.storage import Storage
from tests.testing.apiserver.contents import WIDGETS, listing, make


def test_lists_without_a_watch_cache_are_always_paged(storage: Storage, pods: Resource) -> None:
    """Where etcd answers resourceVersion=0, the limit counts."""
    for name in ("a", "b"):
        make(storage, pods, name)

    assert len(listing(storage, pods, limit="1", resourceVersion="0").items) == 2
    assert len(listing(storage, pods, limit="1", resourceVersion="0", watch_cache=False).items) == 1


def test_pieces_are_the_list(storage: Storage, pods: Resource) -> None:
    """Cut anywhere between objects, the bytes are the same."""
    for number in range(50):
        make(storage, pods, f"p{number}")
    whole = listing(storage, pods)
    pieces = list(whole.pieces(500))

    assert len(pieces) > 10
    assert b"".join(pieces) == b"".join(whole.pieces())
    assert len(json.loads(b"".join(pieces))["items"]) == 50


def names(found: Listing) -> list[str]:
    return [item.name for item in found.items]


def test_pages_together_are_the_list_whatever_their_size(storage: Storage, pods: Resource) -> None:
    for number in range(7):
        make(storage, pods, f"p{number}")
    for size in range(1, 9):
        page = listing(storage, pods, limit=str(size))
        seen, left = names(page), page.remaining
        while page.continue_token:
            assert left == 7 - len(seen)
            page = listing(storage, pods, limit=str(size), continue_=page.continue_token)
            seen, left = seen + names(page), page.remaining
        assert seen == [f"p{number}" for number in range(7)]
        assert left is None


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"resourceVersion": "x"}, 400),
        ({"resourceVersion": "-1"}, 400),
        ({"limit": "many"}, 400),
        ({"continue": "?"}, 400),
        ({"resourceVersion": "99"}, 504),
        ({"resourceVersionMatch": "Exact"}, 422),
        ({"resourceVersionMatch": "Odd", "resourceVersion": "1"}, 422),
        ({"resourceVersionMatch": "Exact", "resourceVersion": "0"}, 422),
        ({"sendInitialEvents": "true"}, 422),
    ],
)
def test_a_list_that_cannot_be_is_refused(storage: Storage, pods: Resource, query: dict[str, str], code: int) -> None:
    with pytest.raises(StatusError) as caught:
        listing(storage, pods, query)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("query", "seen"),
    [
        ({}, ["a", "b", "c"]),
        ({"resourceVersion": "0"}, ["a", "b", "c"]),
        ({"resourceVersion": "{b}"}, ["a", "b", "c"]),
        ({"resourceVersion": "{b}", "resourceVersionMatch": "NotOlderThan"}, ["a", "b", "c"]),
        ({"resourceVersion": "{b}", "resourceVersionMatch": "Exact"}, ["a", "b"]),
        ({"resourceVersion": "{b}", "limit": "9"}, ["a", "b"]),
    ],
)
def test_a_version_is_the_least_that_is_wanted_or_exactly_it(
    storage: Storage, pods: Resource, query: dict[str, str], seen: list[str]
) -> None:
    versions = {name: make(storage, pods, name).version for name in "abc"}
    asked = {name: value.format(**versions) for name, value in query.items()}
    assert names(listing(storage, pods, asked)) == seen


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, False), ("", True), ("true", True), ("1", True), ("yes", True), ("false", False), ("FALSE", False),
        ("0", False),
    ],
)  # fmt: skip
def test_a_flag_is_set_by_anything_but_a_no(value: str | None, expected: bool) -> None:
    assert parse_flag({} if value is None else {"watch": value}, "watch") is expected


@pytest.mark.parametrize(("value", "count"), [("", 0), ("0", 0), ("7", 7), ("-7", 0)])
def test_a_count_is_never_negative(value: str, count: int) -> None:
    assert parse_count({"limit": value}, "limit") == count


@pytest.mark.parametrize(("value", "version"), [("", None), ("0", 0), ("12", 12)])
def test_a_version_that_is_not_given_is_not_zero(value: str, version: int | None) -> None:
    assert parse_version({"resourceVersion": value}) == version


def test_a_list_says_of_which_shard_it_is(storage: Storage, pods: Resource) -> None:
    """After what is said of the page; lists of custom kinds say nothing, and are of the shard nevertheless."""
    selector = Shard(0, of=1).selector
    for resource, metadata in (
        (pods, ["resourceVersion", "continue", "shardInfo"]),
        (WIDGETS, ["continue", "resourceVersion"]),
    ):
        for name in ("a", "b"):
            make(storage, resource, name)
        body = json.loads(b"".join(listing(storage, resource, limit="1", shardSelector=selector).pieces()))
        assert list(body["metadata"]) == metadata
        assert body["metadata"].get("shardInfo", {"selector": selector}) == {"selector": selector}
        inside = [len(listing(storage, resource, shardSelector=Shard(i, of=5).selector).items) for i in range(5)]
        assert sum(inside) == 2


def test_a_page_that_is_full_may_be_followed_by_an_empty_one(storage: Storage, pods: Resource) -> None:
    """Whether what is left matches is looked at when the next page is asked for."""
    storage.create(pods, {"metadata": {"name": "a", "labels": {"app": "web"}}})
    last = make(storage, pods, "b")
    page = listing(storage, pods, limit="1", labelSelector="app=web")
    assert (names(page), page.remaining) == (["a"], None)
    assert page.continue_token
    after = listing(storage, pods, limit="1", labelSelector="app=web", continue_=page.continue_token)
    assert (names(after), after.continue_token, after.version) == ([], "", page.version)

    assert not listing(storage, pods, limit="2", labelSelector="app=web").continue_token
    storage.delete(pods, last.name, namespace="default")
    assert not listing(storage, pods, limit="1", labelSelector="app=web").continue_token

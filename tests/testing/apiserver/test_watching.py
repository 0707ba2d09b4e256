"""WATCH: what a query asks for, and the lines that answer it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aioinformers.sharding import Shard
from aioinformers.testing.apiserver.resources import Resource
from aioinformers.testing.apiserver.status import StatusError
from aioinformers.testing.apiserver.storage import Storage
from aioinformers.testing.apiserver.table import LaggedBehindError
from aioinformers.testing.apiserver.watching import WatchOptions, error_line
from tests.testing.apiserver.contents import events, make, watch


def test_a_watch_that_lags_behind_the_log_is_cut(pods: Resource) -> None:
    """It is told, and cannot go on as if nothing was missing."""
    storage = Storage(log_size=3)
    stream = watch(storage, pods, resourceVersion="1")
    for number in range(4):
        make(storage, pods, f"p{number}")

    with pytest.raises(LaggedBehindError):
        stream.read()


def test_an_open_watch_that_has_read_everything_survives_a_compaction(storage: Storage, pods: Resource) -> None:
    """Only what has not been read yet can be missed."""
    stream = watch(storage, pods, resourceVersion="1")
    make(storage, pods, "a")
    assert len(events(stream)) == 1
    storage.expire()
    make(storage, pods, "b")

    assert [name for _, name, _ in events(stream)] == ["b"]


def test_watch_of_a_namespace(storage: Storage, pods: Resource) -> None:
    """Other namespaces are not seen."""
    stream = watch(storage, pods, resourceVersion="1", namespace="b")
    for namespace in ("a", "b"):
        storage.create(pods, {"metadata": {"name": "x", "namespace": namespace}})
    storage.delete(pods, "x", namespace="a")
    storage.delete(pods, "x", namespace="b")

    assert events(stream) == [("ADDED", "x", "3"), ("DELETED", "x", "5")]


def test_initial_objects_and_live_ones_do_not_overlap(storage: Storage, pods: Resource) -> None:
    """A write while initial objects are still being sent comes after the mark, once."""
    for number in range(300):
        make(storage, pods, f"p{number:03}")
    stream = watch(
        storage, pods, sendInitialEvents="true", resourceVersionMatch="NotOlderThan", allowWatchBookmarks="1"
    )
    first = stream.read()
    storage.patch(pods, "p299", {"spec": {"a": 1}}, namespace="default")
    rest = events(stream)

    assert first.count(b"\n") < 300
    assert [kind for kind, _, _ in rest[-3:]] == ["ADDED", "BOOKMARK", "MODIFIED"]
    assert rest[-3:] == [("ADDED", "p299", "301"), ("BOOKMARK", "", "301"), ("MODIFIED", "p299", "302")]


def test_without_initial_objects_on_request(storage: Storage, pods: Resource) -> None:
    """sendInitialEvents=false begins now."""
    make(storage, pods, "a")
    stream = watch(storage, pods, sendInitialEvents="false", resourceVersionMatch="NotOlderThan")
    make(storage, pods, "b")

    assert [name for _, name, _ in events(stream)] == ["b"]


def test_old_servers_do_not_know_send_initial_events() -> None:
    """422, and no mark after initial objects."""
    query = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "true"}
    with pytest.raises(StatusError) as caught:
        WatchOptions.parse(query, watch_list=False)

    assert caught.value.code == 422
    assert not WatchOptions.parse({"allowWatchBookmarks": "true"}, watch_list=False).marked


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, {"initial": True, "streaming": False, "marked": False, "bookmarks": False, "version": None, "timeout": 0}),
        ({"resourceVersion": "0"}, {"initial": True, "streaming": False, "version": 0}),
        ({"resourceVersion": "7", "timeoutSeconds": "30"}, {"initial": False, "version": 7, "timeout": 30}),
        ({"resourceVersion": "7", "allowWatchBookmarks": "true"}, {"bookmarks": True, "marked": False}),
        ({"allowWatchBookmarks": "true"}, {"initial": True, "marked": True}),
        (
            {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "true"},
            {"initial": True, "streaming": True, "marked": True},
        ),
        ({"sendInitialEvents": "false", "resourceVersionMatch": "NotOlderThan"}, {"initial": False}),
    ],
)
def test_a_query_says_what_comes_first_and_what_marks_its_end(query: dict[str, str], expected: dict[str, Any]) -> None:
    options = WatchOptions.parse(query, watch_list=True)
    assert {name: getattr(options, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"sendInitialEvents": "true"}, 422),
        ({"resourceVersionMatch": "NotOlderThan"}, 422),
        ({"resourceVersion": "x"}, 500),
        ({"timeoutSeconds": "soon"}, 400),
    ],
)
def test_a_watch_that_cannot_be_is_refused(query: dict[str, str], code: int) -> None:
    with pytest.raises(StatusError) as caught:
        WatchOptions.parse(query, watch_list=True)
    assert caught.value.code == code


def test_what_enters_a_selection_is_added_and_what_leaves_it_is_deleted(storage: Storage, pods: Resource) -> None:
    stream = watch(storage, pods, labelSelector="on", resourceVersion=str(storage.version))
    make(storage, pods, "x")
    versions = [
        str(storage.patch(pods, "x", {"metadata": {"labels": labels}}, namespace="default").version)
        for labels in ({"on": ""}, {"on": "", "more": ""}, {"on": None}, {"more": None}, {"on": ""})
    ]
    storage.delete(pods, "x", namespace="default")
    assert [(kind, version) for kind, _, version in events(stream)] == [
        ("ADDED", versions[0]),
        ("MODIFIED", versions[1]),
        ("DELETED", versions[2]),
        ("ADDED", versions[4]),
        ("DELETED", str(storage.version)),
    ]


def test_a_bookmark_is_sent_only_if_there_is_news_since_the_watch_began(storage: Storage, pods: Resource) -> None:
    make(storage, pods, "x")
    stream = watch(storage, pods, resourceVersion=str(storage.version))
    assert stream.bookmark() == b""
    item = make(storage, pods, "y")
    assert json.loads(stream.bookmark())["object"]["metadata"] == {"resourceVersion": str(item.version)}


def test_a_failure_in_a_stream_is_an_event() -> None:
    event = json.loads(error_line(StatusError.expired("too old")))
    assert (event["type"], event["object"]["kind"], event["object"]["code"]) == ("ERROR", "Status", 410)


def test_a_watch_of_a_shard_is_told_of_nothing_else(storage: Storage, pods: Resource) -> None:
    """An object made anew has another uid, and may be in another shard; its name says nothing."""
    whole, halves = (
        watch(storage, pods, resourceVersion="0"),
        [watch(storage, pods, shardSelector=Shard(index, of=2).selector, resourceVersion="0") for index in range(2)],
    )
    expected: list[list[tuple[str, str, str]]] = [[], []]
    while not all(expected):
        item = make(storage, pods, "x")
        storage.delete(pods, "x", namespace="default")
        expected[int(Shard(1, of=2).contains(item.uid))] += events(whole)
    assert [events(half) for half in halves] == expected

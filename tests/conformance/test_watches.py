"""WATCH: events, bookmarks, initial objects and errors; the embedded and the real server answer alike."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest

from tests.conformance.rest import Rest, WatchEvent
from tests.conformance.test_objects import failure

END = "k8s.io/initial-events-end"
STREAM = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}


def seen(events: list[WatchEvent]) -> list[tuple[str, str]]:
    return [(event.type, event.name) for event in events]


async def test_changes_after_a_version(rest: Rest) -> None:
    """Each change once, in order, with the version that it made."""
    first = await rest.configmap("x")
    second = await rest.configmap("y")
    patched = await rest.patch(rest.path("configmaps", "x"), {"data": {"k": "w"}})
    await rest.delete(rest.path("configmaps", "x"))
    events = await rest.watch(rest.path("configmaps"), resourceVersion=first.version)

    assert seen(events) == [("ADDED", "y"), ("MODIFIED", "x"), ("DELETED", "x")]
    assert [event.object for event in events[:2]] == [second.json, patched.json]
    deleted = events[2].object
    assert deleted["data"] == {"k": "w"}
    assert deleted["metadata"]["uid"] == first.json["metadata"]["uid"]
    assert int(events[2].version) > int(patched.version)


async def test_bytes_of_events(rest: Rest) -> None:
    """One line each; objects have a kind here; custom ones are sorted by key."""
    made = await rest.configmap("x")
    (event,) = await rest.watch(rest.path("configmaps"), resourceVersion="0")
    assert event.line == b'{"type":"ADDED","object":' + made.body.rstrip() + b"}\n"
    widgets = await rest.custom_resource()
    custom = await rest.widget(widgets, "x")
    (event,) = await rest.watch(rest.path("widgets", group=widgets), resourceVersion="0")
    assert event.line == b'{"type":"ADDED","object":' + custom.body.rstrip() + b"}\n"


@pytest.mark.parametrize("query", [{}, {"resourceVersion": "0"}, {"resourceVersion": ""}])
async def test_initial_objects(rest: Rest, query: dict[str, str]) -> None:
    """Without a version the objects there are come first, as ADDED, by name."""
    await rest.configmap("y")
    await rest.configmap("x")
    await rest.caught_up(await rest.patch(rest.path("configmaps", "y"), {"data": {"k": "w"}}))

    assert seen(await rest.watch(rest.path("configmaps"), query)) == [("ADDED", "x"), ("ADDED", "y")]


async def test_a_live_change_arrives_at_once(rest: Rest) -> None:
    """It is not held back until there are more."""
    made = await rest.configmap("x")
    lines: asyncio.Queue[bytes] = asyncio.Queue()

    async def follow() -> None:
        url = rest.url + rest.path("configmaps")
        query = {"watch": "1", "resourceVersion": made.version}
        async with rest.session.get(url, params=query, ssl=rest.ssl) as response:
            assert response.connection is not None
            transport = response.connection.transport
            assert transport is not None
            try:
                async for line in response.content:
                    lines.put_nowait(line)
            finally:
                # Left in its middle: the orderly end of TLS waits for the server, and the session does not wait for it.
                transport.abort()

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        follower = group.create_task(follow())
        for name in ("y", "z"):
            await rest.configmap(name)
            assert WatchEvent(await lines.get()).name == name
        follower.cancel()


async def test_the_end_is_clean(rest: Rest) -> None:
    """timeoutSeconds ends a watch with the end of a chunked body, after that time."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    made = await rest.configmap("x")
    url = rest.url + rest.path("configmaps")
    query = {"watch": "1", "timeoutSeconds": "1", "resourceVersion": made.version}
    async with rest.session.get(url, params=query, ssl=rest.ssl) as response:
        assert response.headers["Transfer-Encoding"] == "chunked"
        assert response.headers["Content-Type"] == "application/json"
        assert await response.read() == b""

    assert 0.9 < loop.time() - started < 30


async def test_http_1_0(rest: Rest) -> None:
    """A client may ask with HTTP/1.0: no chunks, the connection's end is the body's end."""
    made = await rest.configmap("x")
    connector = rest.session.connector
    query = {"watch": "1", "timeoutSeconds": "1"}
    async with (
        aiohttp.ClientSession(
            connector=connector, connector_owner=False, version=aiohttp.HttpVersion10, headers=rest.session.headers
        ) as session,
        session.get(rest.url + rest.path("configmaps"), params=query, ssl=rest.ssl) as response,
    ):
        assert "Transfer-Encoding" not in response.headers
        assert json.loads(await response.read())["object"] == made.json


async def test_bookmarks(rest: Rest) -> None:
    """One comes 2 s before the end, with nothing but the latest version, of any namespace."""
    made = await rest.configmap("x")
    path = rest.path("configmaps")

    async def write_elsewhere() -> None:
        # kube-apiserver sends no bookmark without news of the resource.
        await asyncio.sleep(0.1)
        await rest.post("/api/v1/namespaces/default/configmaps", {"metadata": {"generateName": "x-"}})

    quiet, asked, _ = await asyncio.gather(
        rest.watch(path, timeout=4, resourceVersion=made.version),
        rest.watch(path, timeout=4, resourceVersion=made.version, allowWatchBookmarks="true"),
        write_elsewhere(),
    )

    assert quiet == []
    assert {event.type for event in asked} == {"BOOKMARK"}
    assert asked[0].line == (
        b'{"type":"BOOKMARK","object":{"kind":"ConfigMap","apiVersion":"v1","metadata":{"resourceVersion":"%b"}}}\n'
        % asked[0].version.encode()
    )
    assert int(asked[-1].version) > int(made.version)


@pytest.mark.slow
async def test_bookmarks_need_news_of_the_resource(rest: Rest) -> None:
    """None comes for what happens to other resources, unless a read of the most recent state has made it known."""
    path = rest.path("configmaps")
    versions: list[str] = []

    async def write(*, reads: bool) -> None:
        await asyncio.sleep(0.1)
        await rest.post(rest.path("secrets"), {"metadata": {"generateName": "x-"}})
        if reads:
            versions.append((await rest.get(path)).version)

    async def watched(name: str, *, reads: bool) -> list[WatchEvent]:
        made = await rest.configmap(name)
        query = {"resourceVersion": made.version, "allowWatchBookmarks": "true"}
        events, _ = await asyncio.gather(rest.watch(path, query, timeout=4), write(reads=reads))
        return events

    for attempt in range(4):  # a real server reads now and then, too, for purposes of its own
        if not await watched(f"x{attempt}", reads=False):
            break
    else:
        pytest.fail("bookmarks came each time")
    events = await watched("y", reads=True)
    assert {event.type for event in events} == {"BOOKMARK"}
    # Not at most: whoever else uses a real server may have made a later version known.
    assert all(int(event.version) >= int(versions[0]) for event in events)
    stream = await rest.watch(path, STREAM, timeout=4, allowWatchBookmarks="true", resourceVersion=versions[0])
    added = [event for event in stream if event.type == "ADDED"]
    assert seen(stream[: len(added) + 1]) == [*seen(added), ("BOOKMARK", "")]  # others may follow before the watch ends
    assert END in stream[len(added)].object["metadata"]["annotations"]


async def test_a_stream_of_initial_objects_marks_its_end(rest: Rest) -> None:
    """sendInitialEvents: ADDED by name, then a bookmark with the annotation, then live events."""
    await rest.configmap("y")
    latest = await rest.configmap("x")
    path = rest.path("configmaps")
    events = await rest.watch(path, STREAM, allowWatchBookmarks="true")

    assert seen(events) == [("ADDED", "x"), ("ADDED", "y"), ("BOOKMARK", "")]
    assert events[2].line == (
        b'{"type":"BOOKMARK","object":{"kind":"ConfigMap","apiVersion":"v1","metadata":'
        b'{"resourceVersion":"%b","annotations":{"k8s.io/initial-events-end":"true"}}}}\n' % events[2].version.encode()
    )
    assert int(events[2].version) >= int(latest.version)
    not_older = await rest.watch(path, STREAM, allowWatchBookmarks="true", resourceVersion=latest.version)
    assert seen(not_older) == seen(events)
    assert seen(await rest.watch(path, STREAM)) == seen(events)[:2]


async def test_any_stream_with_initial_objects_marks_their_end(rest: Rest) -> None:
    """A server that knows sendInitialEvents marks the end also where it was not asked by that name."""
    await rest.caught_up(await rest.configmap("x"))
    events = await rest.watch(rest.path("configmaps"), resourceVersion="0", allowWatchBookmarks="true")

    assert seen(events) == [("ADDED", "x"), ("BOOKMARK", "")]
    assert events[1].object["metadata"]["annotations"] == {END: "true"}


async def test_bytes_of_a_custom_bookmark(rest: Rest) -> None:
    """Sorted by key like everything custom."""
    widgets = await rest.custom_resource()
    (event,) = await rest.watch(rest.path("widgets", group=widgets), STREAM, allowWatchBookmarks="true")

    assert event.line == (
        b'{"type":"BOOKMARK","object":{"apiVersion":"%b","kind":"Widget","metadata":{"annotations":'
        b'{"k8s.io/initial-events-end":"true"},"resourceVersion":"%b"}}}\n' % (widgets.encode(), event.version.encode())
    )


async def test_streams_of_initial_objects_are_compressed_on_request(rest: Rest) -> None:
    """gzip, one member per flush, where the end is marked; other watches never are."""
    made = await rest.configmap("x")
    path, query = rest.path("configmaps"), {"watch": "1", "timeoutSeconds": "2"}
    gzip = {"Accept-Encoding": "gzip"}

    async def change() -> None:
        await asyncio.sleep(0.5)
        await rest.configmap("y")

    marked = STREAM | {"allowWatchBookmarks": "true"}
    packed, unmarked, plain, _ = await asyncio.gather(
        rest.request("GET", path, headers=gzip, query=query | marked),
        rest.request("GET", path, headers=gzip, query=query | STREAM),
        rest.request("GET", path, headers=gzip, query=query | {"resourceVersion": made.version}),
        change(),
    )
    assert packed.headers["Content-Encoding"] == "gzip"
    events = [WatchEvent(line) for line in packed.body.splitlines()]
    assert [event.name for event in events if event.type == "ADDED"] == ["x", "y"]
    assert "Content-Encoding" not in unmarked.headers
    assert "Content-Encoding" not in plain.headers


async def test_entering_and_leaving_a_selection(rest: Rest) -> None:
    """What enters is ADDED; what leaves is DELETED, with its last matching content and the new version."""
    path = rest.path("configmaps", "x")
    start = await rest.configmap("other")
    matching = await rest.configmap("x", a="1")
    left = await rest.patch(path, {"metadata": {"labels": {"a": "2"}}, "data": {"k": "unseen"}})
    await rest.patch(path, {"data": {"k": "unseen too"}})
    await rest.patch(path, {"metadata": {"labels": {"a": "1"}}})
    await rest.patch(path, {"data": {"k": "seen"}})
    await rest.delete(path)
    events = await rest.watch(rest.path("configmaps"), labelSelector="a=1", resourceVersion=start.version)

    assert [event.type for event in events] == ["ADDED", "DELETED", "ADDED", "MODIFIED", "DELETED"]
    gone = events[1].object
    assert gone["metadata"] == matching.json["metadata"] | {"resourceVersion": left.version}
    assert gone["data"] == {"k": "v"}
    assert (events[2].object["data"], events[3].object["data"]) == ({"k": "unseen too"}, {"k": "seen"})
    others = await rest.watch(rest.path("configmaps"), labelSelector="a=3", resourceVersion=start.version)
    assert others == []


async def test_field_selectors_of_a_watch(rest: Rest) -> None:
    """A watch of one name sees that object only."""
    start = await rest.configmap("a")
    await rest.configmap("b")
    await rest.configmap("c")
    events = await rest.watch(rest.path("configmaps"), fieldSelector="metadata.name=c", resourceVersion=start.version)

    assert seen(events) == [("ADDED", "c")]


@pytest.mark.parametrize(
    "query",
    [
        {"sendInitialEvents": "true"},
        {"sendInitialEvents": "true", "resourceVersionMatch": "Exact", "resourceVersion": "5"},
        {"resourceVersionMatch": "NotOlderThan", "resourceVersion": "5"},
    ],
)
async def test_parameters_that_do_not_fit(rest: Rest, query: dict[str, str]) -> None:
    """422 Invalid before the stream begins."""
    answer = await rest.get(rest.path("configmaps"), query, watch="1", timeoutSeconds="1")
    status, reason, details = failure(answer)

    assert (status, reason) == (422, "Invalid")
    assert {cause["field"] for cause in details["causes"]} == {"resourceVersionMatch"}


async def test_a_version_that_is_none(rest: Rest) -> None:
    """500 without reason on a watch, where a list has 400."""
    answer = await rest.get(rest.path("configmaps"), watch="1", resourceVersion="abc")

    assert failure(answer) == (500, "", None)


async def test_versions_of_the_future(rest: Rest) -> None:
    """A plain watch stays silent; a stream of initial objects fails inside, as 504, and ends."""
    future = str(int((await rest.configmap("x")).version) + 1_000_000)
    path = rest.path("configmaps")
    assert await rest.watch(path, resourceVersion=future) == []
    (event,) = await rest.watch(path, STREAM, timeout=10, allowWatchBookmarks="true", resourceVersion=future)

    status = event.object
    assert (event.type, status["kind"], status["code"], status["reason"]) == ("ERROR", "Status", 504, "Timeout")
    assert [cause["reason"] for cause in status["details"]["causes"]] == ["ResourceVersionTooLarge"]
    assert status["details"]["retryAfterSeconds"] == 1


async def test_a_watch_of_one_object_by_path_is_a_get(rest: Rest) -> None:
    """watch=1 on the path of one object watches nothing."""
    assert (await rest.get(rest.path("configmaps", "x"), watch="1")).status == 404

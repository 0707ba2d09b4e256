"""Watches are read past aiohttp where every chunk is a line; whatever else comes, the body is the same."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from kubernetes_asyncio import client

from aioinformers import Settings, SharedInformerFactory
from aioinformers.errors import ConnectionFailedError
from aioinformers.transport import tap
from aioinformers.transport.chunks import Block
from aioinformers.transport.source import Body
from aioinformers.transport.tap import Tap
from tests.kit import until
from tests.kit.fixtures import APIServer

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"
LINES = [b'{"n":%d,"text":"%s"}\n' % (i, b"x" * (i * 7919 % 3000)) for i in range(60)]
Script = Callable[[asyncio.StreamWriter], Awaitable[None]]


def chunk(data: bytes) -> bytes:
    """Return a chunk as Go writes it."""
    return b"%x\r\n%s\r\n" % (len(data), data)


class Server:
    """Answers every request by the next script, on as many connections as clients open.

    Attributes:
        url: Where it listens.
        connections: How many there have been.
        tasks: What serves them.
    """

    def __init__(self, scripts: list[Script]) -> None:
        self.url = ""
        self.connections = 0
        self.tasks: set[asyncio.Task[Any]] = set()
        self._scripts = iter(scripts)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                await next(self._scripts)(writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(*scripts: Script) -> AsyncIterator[tuple[Server, aiohttp.ClientSession]]:
    """Serve scripts to a session."""
    server = Server(list(scripts))
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/"
    async with listener:
        async with aiohttp.ClientSession() as session:
            yield server, session
        await asyncio.wait(server.tasks)


def writes(*parts: bytes, pause: float | None = 0.0) -> Script:
    """Return a script that writes parts, each in a read of its own as far as that can be."""

    async def script(writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
            if pause is not None:
                await asyncio.sleep(pause)

    return script


def split(data: bytes, seed: int, pieces: int) -> list[bytes]:
    """Split data somewhere."""
    cuts = sorted(random.Random(seed).choices(range(len(data)), k=pieces - 1))
    return [data[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


class Read:
    """What has been read of a body.

    Attributes:
        data: All of it.
        lines: How many lines came as such.
    """

    def __init__(self) -> None:
        self.data = b""
        self.lines = 0

    def add(self, received: Any) -> None:
        """Add what came."""
        if isinstance(received, bytes):
            self.data += received
            return
        for data, spans in received:
            self.data += b"".join(data[begin : end + 1] for begin, end in spans)
            self.lines += len(spans)

    async def all_of(self, body: Body) -> None:
        """Read to the end."""
        while received := await body.read_lines():
            self.add(received)


BODY = b"".join(LINES)
FRAMINGS = {
    "a line each": [chunk(line) for line in LINES],
    "two lines each": [chunk(a + b) for a, b in zip(LINES[::2], LINES[1::2], strict=True)],
    "halves of lines": [chunk(half) for line in LINES for half in (line[: len(line) // 2], line[len(line) // 2 :])],
    "cut anywhere": [chunk(piece) for piece in split(BODY, 3, 40) if piece],
    "one chunk": [chunk(BODY)],
    "extensions": [b"%x;a=b\r\n%s\r\n" % (len(line), line) for line in LINES],
    "zeros before sizes": [b"%06X\r\n%s\r\n" % (len(line), line) for line in LINES],
    "now and then another": [
        b"%x;a=b\r\n%s\r\n" % (len(line), line) if i % 7 == 3 else chunk(line) for i, line in enumerate(LINES)
    ],
}


@pytest.mark.parametrize("pieces", [1, 7, 300])
@pytest.mark.parametrize("framing", FRAMINGS)
async def test_the_body_is_the_same_however_it_comes(framing: str, pieces: int) -> None:
    """And afterwards the connection serves the next request."""
    stream = HEAD + b"".join(FRAMINGS[framing]) + END
    async with serving(writes(*split(stream, 1, pieces)), writes(HEAD + chunk(b"{}\n") + END)) as (server, session):
        read = Read()
        async with session.get(server.url) as response:
            await read.all_of(Body(response))
        assert read.data == BODY
        async with session.get(server.url) as response:
            assert await response.read() == b"{}\n"
        assert server.connections == 1


@pytest.mark.parametrize("framing", ["a line each", "now and then another"])
async def test_lines_come_as_such(framing: str) -> None:
    """Else the test above would compare aiohttp with itself."""
    async with serving(writes(HEAD, *FRAMINGS[framing], END)) as (server, session), session.get(server.url) as response:
        read = Read()
        await read.all_of(Body(response))
        assert read.lines >= 40


@pytest.mark.parametrize("cut", [b"", b"5", b"5\r\n", b"5\r\n{", b"5\r\n{}  \n", b"5\r\n{}  \n\r"])
@pytest.mark.parametrize("is_reset", [False, True])
async def test_a_connection_that_breaks_is_an_error_after_all_whole_lines(cut: bytes, is_reset: bool) -> None:
    async def script(writer: asyncio.StreamWriter) -> None:
        await writes(HEAD, *FRAMINGS["a line each"], cut)(writer)
        if is_reset:
            await asyncio.sleep(0.05)
            writer.transport.abort()
        raise ConnectionResetError

    async with serving(script) as (server, session), session.get(server.url) as response:
        read = Read()
        with pytest.raises(ConnectionFailedError, match="the connection broke while reading"):
            await read.all_of(Body(response))
        assert read.data.startswith(BODY)


@pytest.mark.parametrize("garbage", [b"garbage\r\n", b"3\r\n{}\nX", b"\r\n\r\n", b"-3\r\n{}\n\r\n"])
async def test_what_is_no_chunk_is_a_broken_connection(garbage: bytes) -> None:
    """As aiohttp judges it."""
    stream = writes(HEAD, *FRAMINGS["a line each"], garbage + b"x" * 100)
    async with serving(stream) as (server, session), session.get(server.url) as response:
        read = Read()
        with pytest.raises(ConnectionFailedError, match="the connection broke while reading"):
            await read.all_of(Body(response))
        assert read.data.startswith(BODY)


async def test_a_connection_that_broke_between_two_reads_is_named() -> None:
    """Of what is no chunk aiohttp tells those who read later by a ``RuntimeError``."""
    stream = writes(HEAD, chunk(b"{}\n"), b"garbage\r\n")
    async with serving(stream) as (server, session), session.get(server.url) as response:
        body = Body(response)
        assert await body.read() == b"{}\n"
        await asyncio.sleep(0.1)
        with pytest.raises(ConnectionFailedError, match="the connection broke while reading"):
            await body.read()


async def test_trailers_are_read() -> None:
    stream = b"".join([HEAD, *FRAMINGS["a line each"], b"0\r\nGrpc-Status: 0\r\n\r\n"])
    async with serving(writes(stream), writes(HEAD + END)) as (server, session):
        async with session.get(server.url) as response:
            read = Read()
            await read.all_of(Body(response))
            assert read.data == BODY
        async with session.get(server.url):
            assert server.connections == 1


async def test_a_large_event_is_no_reason_to_read_the_others_otherwise() -> None:
    large = b'{"text":"%s"}\n' % (b"x" * (tap.HIGH_WATER * 12))
    parts = [HEAD, *FRAMINGS["a line each"], chunk(large), *FRAMINGS["a line each"], END]
    async with serving(writes(*parts)) as (server, session), session.get(server.url) as response:
        read = Read()
        await read.all_of(Body(response))
        assert read.data == BODY + large + BODY
        assert read.lines > 100


async def test_what_is_not_read_is_not_taken_from_the_network() -> None:
    """Nor is it lost."""
    line = b'{"text":"%s"}\n' % (b"x" * 5000)
    count = 6000
    sent = 0

    async def script(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(HEAD)
        for _ in range(count):
            writer.write(chunk(line))
            await writer.drain()
            sent += 1
        writer.write(END)
        await writer.drain()

    async with serving(script) as (server, session), session.get(server.url) as response:
        body, read = Body(response), Read()
        read.add(await body.read_lines())
        await asyncio.sleep(0.3)
        assert sent < count  # it waits for room
        assert body._tap is not None
        assert body._tap._held <= 3 * tap.HIGH_WATER
        await read.all_of(body)
        assert read.data == line * count


async def test_cancelling_a_read_loses_nothing() -> None:
    parts = FRAMINGS["a line each"]
    go_on = asyncio.Event()

    async def script(writer: asyncio.StreamWriter) -> None:
        await writes(HEAD, *parts[:30])(writer)
        await go_on.wait()
        await writes(*parts[30:], END)(writer)

    async with serving(script) as (server, session), session.get(server.url) as response:
        body, read = Body(response), Read()
        reading = asyncio.create_task(read.all_of(body))
        await until(lambda: len(read.data) >= len(b"".join(LINES[:30])))
        reading.cancel()
        await asyncio.wait([reading])
        assert reading.cancelled()
        assert read.data == b"".join(LINES[:30])
        go_on.set()
        await read.all_of(body)
        assert read.data == BODY


async def test_a_stream_that_is_cut_anew_on_its_way_is_left_to_aiohttp() -> None:
    """It would cost more to look for lines again and again."""
    parts = [chunk(piece) for piece in split(BODY * 3, 5, 200) if piece]
    async with serving(writes(HEAD, *parts, END)) as (server, session), session.get(server.url) as response:
        body, read = Body(response), Read()
        await read.all_of(body)
        assert read.data == BODY * 3
        assert read.lines == 0
        assert body._tap is not None
        assert not body._tap.is_open


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}\n",
        b"HTTP/1.0 200 OK\r\n\r\n{}\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Encoding: identity\r\n\r\n3\r\n{}\n\r\n0\r\n\r\n",
    ],
)
async def test_other_bodies_are_aiohttps(answer: bytes) -> None:
    async def script(writer: asyncio.StreamWriter) -> None:
        await writes(answer)(writer)
        raise ConnectionResetError

    async with serving(script) as (server, session), session.get(server.url) as response:
        assert Tap.of(response) is None
        assert await Body(response).read_lines() == b"{}\n"
        assert await Body(response).read_lines() == b""


async def test_a_broken_chunk_is_noticed_though_the_lines_are_left_to_aiohttp() -> None:
    """It closes the connection then, and tells nobody."""
    script = writes(HEAD, *FRAMINGS["halves of lines"], b"zz\r\n", pause=0.002)
    async with serving(script) as (server, session), session.get(server.url) as response:
        read = Read()
        with pytest.raises(ConnectionFailedError, match="the connection broke while reading"):
            async with asyncio.timeout(10):
                await read.all_of(Body(response))
        assert read.data == BODY


async def test_a_closed_response_wakes_its_reader() -> None:
    async with serving(writes(HEAD, *FRAMINGS["a line each"])) as (server, session):
        response = await session.get(server.url)
        body, read = Body(response), Read()
        reading = asyncio.ensure_future(read.all_of(body))
        await until(lambda: len(read.data) >= len(BODY))
        response.close()
        with pytest.raises(ConnectionFailedError):
            await asyncio.wait_for(reading, 30)
        assert read.data == BODY


async def test_api_servers_send_each_event_as_a_line_in_a_chunk(
    api_server: APIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On either server, of any size: what the shortcut is for."""
    namespace, read = f"t-{uuid.uuid4().hex[:10]}", Read()
    hold = Tap._hold

    def holding(self: Tap, received: Any, size: int) -> None:
        read.add(received)
        hold(self, received, size)

    monkeypatch.setattr(Tap, "_hold", holding)
    async with api_server.api_client() as api:
        core: Any = client.CoreV1Api(api)
        await core.create_namespace({"metadata": {"name": namespace}})
        async with SharedInformerFactory(api, namespace=namespace, settings=Settings()) as factory:
            configmaps = factory.core.v1.configmaps()
            await factory.wait_for_cache_sync(timeout=20)
            sizes = [10, 100, 1000, 2000, 3000, 5000, 20_000, 70_000, 300_000]
            for i, size in enumerate(sizes):
                body = {"metadata": {"name": f"c{i}"}, "data": {"v": "x" * size}}
                await core.create_namespaced_config_map(namespace, body)
                await configmaps.wait_for((namespace, f"c{i}"), lambda found: found is not None, timeout=10)
            found = [configmaps.lister.get(f"c{i}", namespace=namespace) for i in range(len(sizes))]
            assert [len(one.data["v"]) for one in found] == sizes
    assert read.lines >= len(sizes) - 1


# -- what is taken early -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("refused", [0, 2, 3])
@pytest.mark.parametrize("framing", FRAMINGS)
async def test_lines_that_are_taken_as_they_arrive_are_not_read_again(framing: str, refused: int) -> None:
    """Nor is any lost that is refused; all come in the order in which they were sent."""
    read, offered, taken = Read(), 0, 0

    def early(blocks: list[Block]) -> bool:
        nonlocal offered, taken
        offered += 1
        if refused and offered % refused == 0:
            return False
        read.add(blocks)
        taken += 1
        return True

    script = writes(HEAD, *FRAMINGS[framing], END, pause=0.001)
    async with serving(script) as (server, session), session.get(server.url) as response:
        body = Body(response)
        body.early = early
        await read.all_of(body)
    assert read.data == BODY
    if framing == "a line each":
        assert taken > 20
    assert offered == taken or refused


async def test_only_a_few_lines_are_offered_early_and_only_to_who_waits_for_them() -> None:
    offered: list[int] = []

    def early(blocks: list[Block]) -> bool:
        offered.append(len(blocks))
        return False

    def event(size: int) -> bytes:
        return chunk(b'{"text":"%s"}\n' % (b"x" * size))

    gate = asyncio.Event()

    async def script(writer: asyncio.StreamWriter) -> None:
        await writes(HEAD, event(10), event(10), pause=0.05)(writer)
        await gate.wait()
        await writes(event(10), event(tap.EARLY_BYTES), event(10), END, pause=0.05)(writer)

    async with serving(script) as (server, session), session.get(server.url) as response:
        body = Body(response)
        body.early = early
        assert await body.read_lines()
        assert await body.read_lines()
        before = len(offered)
        gate.set()
        await until(response.content.is_eof)  # nobody waits: all is held
        assert len(offered) == before
        await Read().all_of(body)
        assert len(offered) == before


async def test_what_is_taken_early_is_a_sign_of_life() -> None:
    script = writes(HEAD, *FRAMINGS["a line each"], END, pause=0.002)
    async with serving(script) as (server, session), session.get(server.url) as response:
        body = Body(response)
        body.early = lambda _: True
        begun = asyncio.get_running_loop().time()
        await Read().all_of(body)
        assert body.arrived is not None
        assert begun < body.arrived <= asyncio.get_running_loop().time()


# -- what arrives is a sign of life -------------------------------------------------------------------------------


@pytest.mark.virtual_time
@pytest.mark.parametrize("is_tapped", [True, False])
async def test_g9_every_byte_that_arrives_shows(is_tapped: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a line that is not complete no read tells; of everything else a read does."""
    loop = asyncio.get_running_loop()
    line = chunk(b'{"text":"%s"}\n' % (b"x" * 1000))
    if not is_tapped:
        monkeypatch.setattr(Tap, "of", classmethod(lambda *_: None))

    async def script(writer: asyncio.StreamWriter) -> None:
        await writes(HEAD, chunk(b"{}\n"))(writer)
        await writes(*(line[i : i + 100] for i in range(0, len(line), 100)), pause=10.0)(writer)
        await asyncio.sleep(1000)
        raise ConnectionResetError

    async with serving(script) as (server, session), session.get(server.url) as response:
        body, read, seen = Body(response), Read(), []

        async def watch() -> None:
            while True:
                read.add(await body.read_lines())
                seen.append(loop.time())

        watching = asyncio.create_task(watch())
        await asyncio.sleep(45)
        begin = loop.time()
        last = max(seen[-1], body.arrived or 0.0)
        assert begin - last <= 10.0, "the time at which bytes came"
        await asyncio.sleep(200)
        last = max(seen[-1], body.arrived or 0.0)
        assert loop.time() - last > 100.0, "none has come since"
        assert read.data.endswith(b"x" * 100 + b'"}\n')
        watching.cancel()
        await asyncio.wait([watching])


@pytest.mark.virtual_time
@pytest.mark.parametrize("is_streamed", [True, False])
async def test_g9_a_large_object_on_a_slow_link_is_no_silence(is_streamed: bool) -> None:
    """It takes longer than the silence that is allowed, and longer than a list's objects may keep one waiting."""
    metadata = b'"metadata":{"name":"big","namespace":"d","uid":"u","resourceVersion":"12"}'
    event = chunk(b'{"type":"ADDED","object":{"kind":"ConfigMap",%s,"data":{"x":"%s"}}}\n' % (metadata, b"x" * 900_000))
    listed = b'{"kind":"ConfigMapList","apiVersion":"v1","metadata":{"resourceVersion":"10"},"items":[]}'
    bookmark = b'{"type":"BOOKMARK","object":{"kind":"ConfigMap","metadata":{"resourceVersion":"%s"%s}}}\n'
    mark = b',"annotations":{"k8s.io/initial-events-end":"true"}'
    pieces = [event[i : i + 10_000] for i in range(0, len(event), 10_000)]
    list_script = writes(HEAD + chunk(listed) + END)

    async def watch_script(writer: asyncio.StreamWriter) -> None:
        await writes(HEAD, *([] if is_streamed else [chunk(bookmark % (b"11", b""))]))(writer)
        await writes(*pieces, pause=3.0)(writer)
        await writes(chunk(bookmark % (b"13", mark if is_streamed else b"")))(writer)
        await asyncio.sleep(10_000)

    scripts = [watch_script] if is_streamed else [list_script, watch_script]
    async with serving(*scripts) as (server, _), client.ApiClient(client.Configuration(host=server.url[:-1])) as api:
        settings = Settings(watch_list=is_streamed, watch_silence_timeout=20, watch_list_silence_timeout=15)
        factory = SharedInformerFactory(api, settings=settings)
        informer = factory.for_resource("configmaps.v1.")
        await factory.start()
        for _ in range(50):
            await asyncio.sleep(5)
            assert informer.last_error is None
            assert informer.is_live(6)
        await asyncio.sleep(30)
        assert informer.has_synced
        assert [key.name for key in informer.indexer] == ["big"]
        assert informer.statistics().failures == 0
        await factory.shutdown(grace=0)
        for task in server.tasks:
            task.cancel()

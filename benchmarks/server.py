"""A replay server: sends prepared Pods as fast as a client reads them, and never is what is measured.

Every object is encoded before the first request. A client lists or streams the collection, and its watch then waits
until somebody asks for the flood; each event is one HTTP chunk, as API servers send them. Answers:

- ``GET /api/v1/pods`` lists, pages with ``limit`` and ``continue`` as a server does, whole with ``resourceVersion=0``;
- ``…?watch=true`` watches; without a ``resourceVersion`` (or from 0) all objects come first, and with
  ``sendInitialEvents=true`` a bookmark after them;
- ``/version``, ``/api``, ``/api/v1`` and ``/apis`` tell of Pods (and of namespaces, for which kopf waits), for clients
  that look before they watch;
- ``/flood`` starts the prepared updates on every open watch, ``/trickle?rate=100&count=500`` sends so many of them one
  at a time, so many a second;
- ``/cpu`` tells the CPU seconds that this server has used.

JSON and, if a file of encoded Pods is given, protobuf; both also as ``PartialObjectMetadata``. Run as
``python -m benchmarks.server OBJECTS EVENTS [PROTOBUF]``; prints its port.
"""

from __future__ import annotations

import asyncio
import json
import resource
import struct
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from benchmarks.pods import TRICKLE
from benchmarks.pods import feed as prepared

PER_WRITE = 64
"""How many objects are handed to the socket at once: about 300 KiB."""
PROTOBUF = "application/vnd.kubernetes.protobuf"
PODS = {"name": "pods", "singularName": "pod", "kind": "Pod", "namespaced": True, "verbs": ["list", "watch"]}
NAMESPACES = {"name": "namespaces", "singularName": "namespace", "kind": "Namespace", "namespaced": False, "verbs": []}
DISCOVERY = {
    "/version": {"major": "1", "minor": "37", "gitVersion": "v1.37.2"},
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": [PODS, NAMESPACES]},
    "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
}


def field(number: int, value: bytes) -> bytes:
    """Return one length-delimited protobuf field."""
    size, head = len(value), bytearray([number << 3 | 2])
    while size > 0x7F:
        head.append(size & 0x7F | 0x80)
        size >>= 7
    head.append(size)
    return bytes(head) + value


def unknown(api_version: bytes, kind: bytes, raw: bytes) -> bytes:
    """Return an object in the envelope that tells its type, behind Kubernetes' magic number."""
    return b"k8s\x00" + field(1, field(1, api_version) + field(2, kind)) + field(2, raw) + field(3, b"") + field(4, b"")


def first_field(message: bytes) -> bytes:
    """Return the first field of a message, with its tag: a Pod's metadata."""
    size = shift = 0
    at = 1
    while True:
        byte = message[at]
        size |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return message[: at + size]


class JSON:
    """How a collection and its events are written as JSON."""

    content_type = stream_type = "application/json"

    def __init__(self, kind: bytes = b"Pod", api_version: bytes = b"v1") -> None:
        self._kind = b'"kind":"' + kind + b'","apiVersion":"' + api_version + b'"'
        self._list = (
            b'{"kind":"' + kind + b'List","apiVersion":"' + api_version + b'","metadata":{"resourceVersion":"%d"'
        )
        self._omitted = len(b'{"kind":"Pod","apiVersion":"v1",')  # list items come without
        self._empty = b',"spec":{"containers":null},"status":{}'  # in bookmarks

    def event(self, kind: bytes, body: bytes) -> bytes:
        return b'{"type":"' + kind + b'","object":' + body + b"}\n"

    def bookmark(self, version: int) -> bytes:
        return self.event(
            b"BOOKMARK",
            b"{" + self._kind + b',"metadata":{"resourceVersion":"%d","annotations":'
            b'{"k8s.io/initial-events-end":"true"}}%b}' % (version, self._empty),
        )

    def pages(self, version: int, bodies: list[bytes], after: str) -> Iterator[bytes]:
        token = b',"continue":"%b","remainingItemCount":1' % after.encode() if after else b""
        yield self._list % version + token + b'},"items":['
        for at in range(0, len(bodies), PER_WRITE):
            items = b",".join([self.item(body) for body in bodies[at : at + PER_WRITE]])
            yield b"," + items if at else items
        yield b"]}\n"

    def item(self, body: bytes) -> bytes:
        return b"{" + body[self._omitted :]


class MetadataJSON(JSON):
    """Only the objects' metadata, as JSON."""

    def __init__(self) -> None:
        super().__init__(b"PartialObjectMetadata", b"meta.k8s.io/v1")
        self._omitted = len(b"{" + self._kind + b",")
        self._empty = b""

    def body(self, pod: bytes) -> bytes:
        metadata = json.dumps(json.loads(pod)["metadata"], separators=(",", ":")).encode()
        return b"{" + self._kind + b',"metadata":' + metadata + b"}"


class Protobuf:
    """How a collection and its events are written as protobuf."""

    content_type = PROTOBUF
    stream_type = PROTOBUF + ";stream=watch"

    def __init__(self, kind: bytes = b"Pod", api_version: bytes = b"v1") -> None:
        self._kind, self._api_version = kind, api_version

    def event(self, kind: bytes, body: bytes) -> bytes:
        embedded = field(1, unknown(self._api_version, self._kind, body))
        message = field(1, kind) + field(2, embedded)
        return struct.pack(">I", len(message)) + message

    def bookmark(self, version: int) -> bytes:
        annotation = field(1, b"k8s.io/initial-events-end") + field(2, b"true")
        return self.event(b"BOOKMARK", field(1, field(6, b"%d" % version) + field(12, annotation)))

    def pages(self, version: int, bodies: list[bytes], after: str) -> Iterator[bytes]:
        head = field(1, field(1, b"") + field(2, b"%d" % version) + field(3, after.encode()))
        message = b"".join([head, *(field(2, body) for body in bodies)])
        whole = unknown(self._api_version, self._kind + b"List", message)
        for at in range(0, len(whole), 1 << 18):
            yield whole[at : at + (1 << 18)]


class MetadataProtobuf(Protobuf):
    """Only the objects' metadata, as protobuf."""

    def __init__(self) -> None:
        super().__init__(b"PartialObjectMetadata", b"meta.k8s.io/v1")


class Feed:
    """A collection in one form, and its prepared updates."""

    def __init__(self, form: JSON | Protobuf, objects: list[bytes], updates: list[bytes]) -> None:
        self.form, self.objects = form, objects
        events = [chunk(form.event(b"MODIFIED", body)) for body in updates]
        flood, self.trickle = events[:-TRICKLE], events[-TRICKLE:]
        self.flood = [b"".join(flood[at : at + PER_WRITE]) for at in range(0, len(flood), PER_WRITE)]

    def initial(self, *, bookmark: bool) -> Iterator[bytes]:
        """Yield the objects as events, and the bookmark that ends them if it was asked for."""
        event = self.form.event
        for at in range(0, len(self.objects), PER_WRITE):
            yield b"".join([chunk(event(b"ADDED", body)) for body in self.objects[at : at + PER_WRITE]])
        if bookmark:
            yield chunk(self.form.bookmark(len(self.objects)))


def chunk(line: bytes) -> bytes:
    """Return one event as one HTTP chunk."""
    return b"%x\r\n%b\r\n" % (len(line), line)


def read_protobuf(path: Path) -> list[bytes]:
    """Return the Pods of a file in which each is preceded by its length, four bytes big-endian."""
    data, at, pods = path.read_bytes(), 0, []
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        pods.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return pods


def prepare(objects: int, events: int, protobuf: Path | None) -> Callable[[str], Feed]:
    """Encode everything; return what finds the feed for an ``Accept`` header. Metadata is made when first asked for."""
    bodies = list(prepared(objects, events))
    pods, updates = bodies[:objects], bodies[objects:]
    feeds = {"json": Feed(JSON(), pods, updates)}
    if protobuf is not None:
        messages = read_protobuf(protobuf)
        assert len(messages) == len(bodies), f"{protobuf} has {len(messages)} Pods"
        feeds["protobuf"] = Feed(Protobuf(), messages[:objects], messages[objects:])

    def metadata(form: str) -> Feed:
        if form == "protobuf":
            found = [first_field(message) for message in messages]
            return Feed(MetadataProtobuf(), found[:objects], found[objects:])
        only = MetadataJSON()
        return Feed(only, [only.body(pod) for pod in pods], [only.body(pod) for pod in updates])

    def choose(accept: str) -> Feed:
        form = "protobuf" if PROTOBUF in accept and protobuf is not None else "json"
        if "PartialObjectMetadata" not in accept:
            return feeds[form]
        if "metadata " + form not in feeds:
            feeds["metadata " + form] = metadata(form)
        return feeds["metadata " + form]

    return choose


class Replay:
    """Serves one prepared collection to any number of clients, one after another or at once."""

    def __init__(self, choose: Callable[[str], Feed], objects: int) -> None:
        self._choose, self._objects = choose, objects
        self._watches: set[asyncio.Queue[tuple[float, int] | None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        writer.transport.set_write_buffer_limits(high=1 << 20)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                request, *lines = head.decode("latin-1").split("\r\n")
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
                await self._answer(request.split(" ")[1], headers.get("accept", ""), reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(
        self, target: str, accept: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        url = urlsplit(target)
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        if url.path == "/api/v1/pods":
            feed = self._choose(accept)
            if query.get("watch") in {"true", "1", "True"}:
                await self._watch(feed, query, reader, writer)
            else:
                await self._list(feed, query, writer)
        elif found := DISCOVERY.get(url.path.rstrip("/")):
            await plain(writer, json.dumps(found).encode())
        elif url.path in {"/flood", "/trickle"}:
            for watch in self._watches:
                watch.put_nowait((float(query.get("rate", 0)), int(query.get("count", 0))))
            await plain(writer, b"%d" % len(self._watches))
        elif url.path == "/cpu":
            usage = resource.getrusage(resource.RUSAGE_SELF)
            await plain(writer, b"%f" % (usage.ru_utime + usage.ru_stime))
        else:
            await plain(writer, b'{"kind":"Status","apiVersion":"v1","status":"Failure","code":404}', "404 Not Found")

    async def _list(self, feed: Feed, query: dict[str, str], writer: asyncio.StreamWriter) -> None:
        start, limit = int(query.get("continue", 0)), int(query.get("limit", 0))
        whole = not limit or (query.get("resourceVersion") == "0" and not start)
        bodies = feed.objects if whole else feed.objects[start : start + limit]
        end = start + len(bodies)
        begin(writer, feed.form.content_type)
        for part in feed.form.pages(self._objects, bodies, str(end) if end < len(feed.objects) else ""):
            writer.write(chunk(part))
            await writer.drain()
        writer.write(chunk(b""))  # the last chunk of a body is the empty one
        await writer.drain()

    async def _watch(
        self, feed: Feed, query: dict[str, str], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        asked: asyncio.Queue[tuple[float, int] | None] = asyncio.Queue()
        gone = asyncio.ensure_future(reader.read(1))  # a client that watches sends nothing more
        gone.add_done_callback(lambda _: asked.put_nowait(None))
        self._watches.add(asked)
        try:
            begin(writer, feed.form.stream_type)
            bookmark = query.get("sendInitialEvents") == "true"
            if bookmark or query.get("resourceVersion", "0") == "0":
                await send(writer, feed.initial(bookmark=bookmark))
            while (wanted := await asked.get()) is not None:
                rate, count = wanted
                if not count:
                    await send(writer, feed.flood)
                else:
                    async for event in paced(feed.trickle[:count], rate):
                        writer.write(event)
        finally:
            self._watches.discard(asked)
            gone.cancel()
            writer.close()


def begin(writer: asyncio.StreamWriter, content_type: str) -> None:
    """Write the head of an answer of unknown length."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\n" % content_type.encode())
    writer.write(b"Transfer-Encoding: chunked\r\n\r\n")


async def plain(writer: asyncio.StreamWriter, body: bytes, status: str = "200 OK") -> None:
    """Write a short answer."""
    writer.write(b"HTTP/1.1 %b\r\nContent-Type: application/json\r\n" % status.encode())
    writer.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
    await writer.drain()


async def send(writer: asyncio.StreamWriter, parts: Iterable[bytes]) -> None:
    """Write parts as fast as the client takes them."""
    for part in parts:
        writer.write(part)
        await writer.drain()


async def paced(events: list[bytes], rate: float) -> AsyncIterator[bytes]:
    """Yield events at a rate per second, on time on average."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    for index, event in enumerate(events):
        await asyncio.sleep(begun + index / rate - loop.time())
        yield event


async def main(objects: int, events: int, protobuf: Path | None) -> None:
    """Serve until the process is ended."""
    replay = Replay(prepare(objects, events, protobuf), objects)
    server = await asyncio.start_server(replay.serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]) if len(sys.argv) > 3 else None))

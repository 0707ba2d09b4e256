"""A replay server: sends prepared Pods as a stream of initial objects and then as a flood of updates.

Everything is encoded before it is asked for, so that the server is never what is measured. The flood starts when the
client asks for ``/flood``. Run as ``python -m benchmarks.server OBJECTS EVENTS``; prints its port.
"""

from __future__ import annotations

import asyncio
import sys

from benchmarks.pods import encoded

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
PER_WRITE = 64


def chunk(line: bytes) -> bytes:
    """Return one line as one HTTP chunk, as a server sends each event."""
    return b"%x\r\n%b\r\n" % (len(line), line)


def event(kind: bytes, body: bytes) -> bytes:
    """Return one watch event as a chunk."""
    return chunk(b'{"type":"' + kind + b'","object":' + body + b"}\n")


class Replay:
    """Serves one prepared collection."""

    def __init__(self, objects: int, events: int) -> None:
        self.flood = asyncio.Event()
        self.initial = [event(b"ADDED", encoded(i, i + 1)) for i in range(objects)]
        self.updates = [event(b"MODIFIED", encoded(i % objects, objects + i + 1)) for i in range(events)]
        mark = (
            b'{"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":"%d","creationTimestamp":null,'
            b'"annotations":{"k8s.io/initial-events-end":"true"}}}' % objects
        )
        self.mark = event(b"BOOKMARK", mark)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer requests on one connection."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                target = head.split(b" ", 2)[1]
                if target.startswith(b"/flood"):
                    self.flood.set()
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                    continue
                writer.write(HEAD)
                await self._send(writer, [*self.initial, self.mark])
                await self.flood.wait()
                await self._send(writer, self.updates)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def _send(self, writer: asyncio.StreamWriter, chunks: list[bytes]) -> None:
        for at in range(0, len(chunks), PER_WRITE):
            writer.write(b"".join(chunks[at : at + PER_WRITE]))
            await writer.drain()


async def main(objects: int, events: int) -> None:
    """Serve until the client's process ends this one."""
    replay = Replay(objects, events)
    server = await asyncio.start_server(replay.serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))

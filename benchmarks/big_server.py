"""The embedded server with many Pods, in a process of its own: ``python -m benchmarks.big_server PODS``.

Prints its URL once all Pods are there. What a client may ask for besides the Kubernetes API:

- ``/benchmark/layout?odd=1``: from now on lists have white space around their items, as no API server writes it.
- ``/benchmark/relist``: watches end and cannot be resumed, so that whoever watched lists again.
- ``/benchmark/change``: the same, and no Pod is what it was.
"""

from __future__ import annotations

import asyncio
import sys

from aioinformers.testing import FakeAPIServer
from aioinformers.testing.apiserver.exchange import Fault
from aioinformers.testing.apiserver.routing import RequestInfo
from benchmarks.pods import pod

DONE = Fault(status=200, body=b"{}")
PER_TURN = 500


class BigServer:
    """Serves Pods, and the wishes of a benchmark."""

    def __init__(self, server: FakeAPIServer) -> None:
        self._server = server
        self._is_odd = False
        self._is_open = asyncio.Event()
        self._is_open.set()
        self._marks = 0

    def fill(self, pods: int) -> None:
        """Create the Pods."""
        for index in range(pods):
            made = pod(index, 1)
            del made["metadata"]["resourceVersion"]
            self._server.create("pods", made)

    async def intercept(self, request: RequestInfo) -> Fault | None:
        """Carry out a wish, or decide how a list is laid out."""
        match request.path.removeprefix("/benchmark/"):
            case "layout":
                self._is_odd = request.query["odd"] == "1"
                return DONE
            case "relist":
                await self._expire()
                return DONE
            case "change":
                await self._change()
                return DONE
        if request.resource == "pods":
            await self._is_open.wait()
            if self._is_odd and request.verb == "list":
                return Fault(rewrite=_spread)
        return None

    async def _expire(self) -> None:
        self._marks += 1
        self._server.create("configmaps", {"metadata": {"name": f"mark-{self._marks}"}})  # so that versions move on
        self._server.expire()
        self._server.close_watches()

    async def _change(self) -> None:
        self._is_open.clear()
        self._server.close_watches()
        storage = self._server.storage
        for index, item in enumerate(storage.table(storage.resources.resolve("pods")).ordered()):
            patch = {"metadata": {"annotations": {"changed": f"after-{self._marks}"}}}
            self._server.patch("pods", item.name, patch, namespace=item.namespace)
            if not index % PER_TURN:
                await asyncio.sleep(0)
        await self._expire()
        self._is_open.set()


def _spread(body: bytes) -> bytes:
    """Put white space around the items of a list."""
    return body.replace(b'"items":[{', b'"items": [\n  {').replace(b'},{"metadata":', b'},\n  {"metadata":')


async def main(pods: int) -> None:
    """Serve until the process is ended."""
    async with FakeAPIServer() as server:
        big = BigServer(server)
        big.fill(pods)
        server.intercept(big.intercept)
        print(server.url, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))

"""A real API server that forgets nothing, and replicas of an operator on it, each a process."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp

from tests.chaos.operator.history import Change, Write, acquisitions, writes
from tests.chaos.operator.replica import LEASE, WARM
from tests.conformance.rest import Rest
from tests.kit.gate import Authority, Gate
from tests.kit.realserver import RealAPIServer, find_binaries

GROUP = "chaos.example.com"
SCHEMA = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": f"sites.{GROUP}"},
    "spec": {
        "group": GROUP,
        "scope": "Namespaced",
        "names": {"plural": "sites", "singular": "site", "kind": "Site"},
        "versions": [
            {
                "name": "v1", "served": True, "storage": True, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": SCHEMA},
            }
        ],
    },
}  # fmt: skip


@asynccontextmanager
async def remembering_server() -> AsyncIterator[RealAPIServer]:
    """Give a server whose etcd keeps its whole history, with the definition of sites."""
    async with RealAPIServer(find_binaries(), flags=["--etcd-compaction-interval=0"]) as server:
        async with Rest.connect(server) as rest:
            await define_sites(rest)
        yield server


def gate_before(server: RealAPIServer, folder: Path, delay: float, *, resources: tuple[str, ...]) -> Gate:
    """Return a gate before a server that lets watches of some resources be late, and nothing else."""

    def delay_of(path: str) -> float:
        place, _, query = path.partition("?")
        return delay if "watch=true" in query and place.rpartition("/")[2] in resources else 0.0

    return Gate(server.url, Authority(), folder, upstream_ca=server.ca_file, delay=delay_of)


async def define_sites(rest: Rest) -> None:
    """Have a server serve sites, if it does not."""
    made = await rest.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", DEFINITION)
    assert made.status in (201, 409), made.body
    async with asyncio.timeout(60):
        while (await rest.get(sites(rest))).status != 200:
            await asyncio.sleep(0.05)


def sites(rest: Rest, *more: str) -> str:
    """Return the path of the sites of a namespace, or of one of them."""
    return rest.path("sites", *more, group=f"{GROUP}/v1")


async def create_site(rest: Rest, name: str) -> None:
    """Create a site that wants nothing yet."""
    site = {"apiVersion": f"{GROUP}/v1", "kind": "Site", "metadata": {"name": name}, "spec": {"n": 0}}
    made = await rest.post(sites(rest), site)
    assert made.status == 201, made.body


class Replica:
    """A process, which is started anew under another name when it has ended.

    Attributes:
        number: Which of its operator's.
        names: The identities of all processes so far.
        process: The present one.
    """

    def __init__(self, number: int, folder: Path, command: Sequence[str]) -> None:
        self.number = number
        self.names: list[str] = []
        self.process: asyncio.subprocess.Process | None = None
        self._folder = folder
        self._kubeconfig, self._namespace, *self._options = command

    @property
    def name(self) -> str:
        """The identity of the present process."""
        return self.names[-1]

    @property
    def log(self) -> Path:
        """What the present process says."""
        return self._folder / f"{self._namespace}.{self.name}.log"

    async def start(self) -> None:
        """Start a process of a new name."""
        self.names.append(f"replica-{self.number}-{len(self.names) + 1}")
        command = [sys.executable, "-m", "tests.chaos.operator.replica", self._kubeconfig, self.name, self._namespace]
        with self.log.open("wb") as log:
            self.process = await asyncio.create_subprocess_exec(*command, *self._options, stdout=log, stderr=log)

    def send(self, number: signal.Signals) -> None:
        """Send the present process a signal."""
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)

    async def ended(self, within: float) -> int:
        """Wait for the end of the present process, and return its status."""
        assert self.process is not None
        async with asyncio.timeout(within):
            return await self.process.wait()

    async def says(self, text: str, within: float = 180.0) -> None:
        """Wait until the present process has said something."""
        async with asyncio.timeout(within):
            while text not in self.log.read_text(errors="replace"):
                await asyncio.sleep(0.05)

    async def revive(self) -> None:
        """Start it again if it has ended by itself, as its container would be."""
        if self.process is not None and self.process.returncode is not None:
            await self.start()


class Operator:
    """The replicas of one namespace, of which one leads: started at the block's begin, killed at its end.

    Args:
        rest: The way to their namespace.
        kubeconfigs: Their ways to the server, of as many replicas.
        options: Options of each, as of ``tests.chaos.operator.replica``.
    """

    def __init__(self, rest: Rest, kubeconfigs: Sequence[str], options: Sequence[str] = ()) -> None:
        self.rest = rest
        self._folder = tempfile.TemporaryDirectory(prefix="aioinformers-chaos-")
        folder = Path(self._folder.name)
        self.replicas: list[Replica] = []
        for number, text in enumerate(kubeconfigs):
            kubeconfig = folder / f"{number}.json"
            kubeconfig.write_text(text)
            self.replicas.append(Replica(number, folder, [str(kubeconfig), rest.namespace, *options]))

    async def __aenter__(self) -> Self:
        for replica in self.replicas:
            await replica.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for replica in self.replicas:
            replica.send(signal.SIGKILL)
            await replica.ended(10)
        if error is not None:
            sys.stderr.write(self.last_words())
        if not __import__("os").environ.get("KEEP"):
            self._folder.cleanup()

    def last_words(self) -> str:
        """Return the ends of all logs."""
        logs = sorted(Path(self._folder.name).glob("*.log"))
        return "".join(f"== {log.name}\n{log.read_text(errors='replace')[-2000:]}\n" for log in logs)

    async def warm(self) -> None:
        """Wait until each replica could lead."""
        for replica in self.replicas:
            await replica.says(WARM)

    async def holder(self) -> str:
        """Return who holds the Lease; empty for nobody, or as long as the server is away."""
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            answer = await self.rest.get(self.rest.path("leases", LEASE, group="coordination.k8s.io/v1"))
            if answer.status == 200:
                return answer.json["spec"].get("holderIdentity") or ""
        return ""

    async def leader(self, *, other_than: str = "", within: float = 180.0) -> Replica:
        """Wait until somebody leads; a replica that has ended by itself is started again."""
        async with asyncio.timeout(within):
            while True:
                name = await self.holder()
                for replica in self.replicas:
                    if name and name != other_than and replica.name == name:
                        return replica
                    if replica.name != other_than:
                        await replica.revive()
                await asyncio.sleep(0.02)

    def terms(self, changed: Sequence[Change]) -> list[tuple[int, str]]:
        """Return the beginnings of all terms, as revisions and holders."""
        lease = f"/registry/leases/{self.rest.namespace}/{LEASE}"
        names = [name for replica in self.replicas for name in replica.names]
        return acquisitions((change for change in changed if change.key == lease), names)

    def writes(self, changed: Sequence[Change]) -> list[Write]:
        """Return all writes of the replicas."""
        prefix = f"/registry/{GROUP}/sites/{self.rest.namespace}/"
        return writes(change for change in changed if change.key.startswith(prefix))

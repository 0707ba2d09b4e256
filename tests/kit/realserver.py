"""A real kube-apiserver on a real etcd, as child processes: no container engine and no cluster needed.

``python -m tests.kit.realserver`` makes the binaries available beforehand (a cold build takes minutes, more
than a test may) and prints where they are.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import fcntl
import http.client
import os
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Self

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.kit.kubeconfig import kubeconfig
from tests.kit.ports import free_ports

if TYPE_CHECKING:
    from kubernetes_asyncio import client

__all__ = ["ADMIN_TOKEN", "LIMITED_TOKEN", "Binaries", "BinariesMissingError", "RealAPIServer", "find_binaries"]

VERSION = "v1.37.2"
ADMIN_TOKEN = "admin-token"
"""Token of a member of ``system:masters``."""
LIMITED_TOKEN = "limited-token"
"""Token of a user without any right."""

_SOURCE = Path(__file__).resolve().parents[1] / "apiserver"
_VERSION_PACKAGE = "k8s.io/component-base/version"
_STARTUP_SECONDS = 200.0

# Asks the kernel to kill the server when this process dies, whatever kills it, and then becomes the server.
_LAUNCHER = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != int(sys.argv[1]):
        sys.exit("the parent has died")
os.execv(sys.argv[2], sys.argv[2:])
"""


class Binaries(NamedTuple):
    """Where the two servers are."""

    etcd: Path
    apiserver: Path


class BinariesMissingError(Exception):
    """The servers are not there and cannot be built; the message says why."""


def find_binaries() -> Binaries:
    """Return the servers, built first if need be (once per machine, also when called in parallel).

    Raises:
        BinariesMissingError: If they are neither there nor can be built.
    """
    if assets := os.environ.get("KUBEBUILDER_ASSETS"):
        found = Binaries(Path(assets) / "etcd", Path(assets) / "kube-apiserver")
        if not all(path.is_file() for path in found):
            raise BinariesMissingError(f"KUBEBUILDER_ASSETS={assets} has no etcd and kube-apiserver")
        return found
    folder = _cache_folder()
    binaries = Binaries(folder / "etcd", folder / "kube-apiserver")
    if not all(path.is_file() for path in binaries):
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder / "lock"):
            _build(binaries)
    return binaries


def _cache_folder() -> Path:
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    root = os.environ.get("AIOINFORMERS_CACHE") or Path(caches) / "aioinformers"
    return Path(root) / f"kube-apiserver-{VERSION}"


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build(binaries: Binaries) -> None:
    go = shutil.which("go")
    if go is None:
        raise BinariesMissingError("no KUBEBUILDER_ASSETS with etcd and kube-apiserver, and no Go to build them")
    major, minor = VERSION.removeprefix("v").split(".")[:2]
    # Without the stamp feature gates and API versions resolve wrongly.
    stamps = {"gitVersion": VERSION, "gitMajor": major, "gitMinor": minor}
    ldflags = " ".join(["-s -w", *(f"-X {_VERSION_PACKAGE}.{name}={value}" for name, value in stamps.items())])
    for target, package in ((binaries.etcd, "./etcd"), (binaries.apiserver, "./apiserver")):
        if target.is_file():  # another process has built it while this one waited for the lock
            continue
        partial = target.with_suffix(".partial")
        command = [go, "build", "-trimpath", "-mod=readonly", "-ldflags", ldflags, "-o", str(partial), package]
        done = subprocess.run(
            command, cwd=_SOURCE, env={**os.environ, "CGO_ENABLED": "0"}, capture_output=True, text=True
        )
        if done.returncode:
            raise BinariesMissingError(f"{' '.join(command)} failed: {done.stderr.strip()[-2000:]}")
        partial.replace(target)


class RealAPIServer:
    """etcd and kube-apiserver with their data in a temporary folder.

    There is no kubelet, scheduler or controller manager: nothing changes but what a test changes.
    Ports, data and credentials stay the same over :meth:`kill_apiserver` and :meth:`start_apiserver`.

    Args:
        binaries: The servers.
        flags: Further flags of kube-apiserver, such as ``--watch-cache=false``.
        etcd_flags: Further flags of etcd.
    """

    def __init__(self, binaries: Binaries, *, flags: Sequence[str] = (), etcd_flags: Sequence[str] = ()) -> None:
        self._binaries = binaries
        self._flags = tuple(flags)
        self._etcd_flags = tuple(etcd_flags)
        self._folder = Path(tempfile.mkdtemp(prefix="aioinformers-apiserver-"))
        self._etcd_port, self._peer_port, self._port = free_ports(3)
        self._etcd: subprocess.Popen[bytes] | None = None
        self._apiserver: subprocess.Popen[bytes] | None = None
        _write_credentials(self._folder)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        # The children are started from this thread: the kernel kills them when their thread ends.
        self._launch()
        await asyncio.to_thread(self.wait_ready)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.stop)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"https://127.0.0.1:{self._port}"

    @property
    def etcd_url(self) -> str:
        """Where its etcd listens."""
        return f"http://127.0.0.1:{self._etcd_port}"

    @property
    def ca_file(self) -> str:
        """The certificate that proves the server."""
        return str(self._folder / "certs" / "apiserver.crt")

    def configuration(self, token: str = ADMIN_TOKEN) -> client.Configuration:
        """Return a configuration of kubernetes_asyncio with the credentials of a token."""
        from kubernetes_asyncio import client

        configuration = client.Configuration(
            host=self.url, api_key={"BearerToken": token}, api_key_prefix={"BearerToken": "Bearer"}
        )
        configuration.ssl_ca_cert = self.ca_file
        return configuration

    def api_client(self, token: str = ADMIN_TOKEN) -> client.ApiClient:
        """Return a client, to be closed by the caller or used with ``async with``."""
        from kubernetes_asyncio import client

        return client.ApiClient(self.configuration(token))

    def kubeconfig(self, url: str | None = None, *, ca_file: str | None = None, token: str = ADMIN_TOKEN) -> str:
        """Return a kubeconfig for programs beside this one.

        Args:
            url: Of what stands before the server, such as a proxy.
            ca_file: The certificate that proves that, if it is not the server's own.
            token: The user's.
        """
        return kubeconfig(url or self.url, token=token, ca_file=ca_file or self.ca_file)

    def start(self) -> None:
        """Start both servers and wait until they are ready. To be called from the main thread."""
        self._launch()
        self.wait_ready()

    def stop(self) -> None:
        """Kill both servers and delete their data. Idempotent."""
        self.kill_apiserver()
        self.kill_etcd()
        shutil.rmtree(self._folder, ignore_errors=True)
        atexit.unregister(self.stop)

    def start_etcd(self) -> None:
        """Start etcd on its data."""
        url, peer = (f"http://127.0.0.1:{port}" for port in (self._etcd_port, self._peer_port))
        self._etcd = self._spawn(
            self._binaries.etcd,
            f"--data-dir={self._folder / 'etcd'}",
            f"--listen-client-urls={url}",
            f"--advertise-client-urls={url}",
            f"--listen-peer-urls={peer}",
            "--unsafe-no-fsync",
            *self._etcd_flags,
        )

    def start_apiserver(self, *flags: str) -> None:
        """Start kube-apiserver on the running etcd; :meth:`wait_ready` tells when it answers.

        Args:
            flags: Further flags for this time.
        """
        folder = self._folder
        self._apiserver = self._spawn(
            self._binaries.apiserver,
            f"--etcd-servers=http://127.0.0.1:{self._etcd_port}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self._port}",
            f"--cert-dir={folder / 'certs'}",
            "--endpoint-reconciler-type=none",  # a loopback address may not be advertised
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={folder / 'sa.pub'}",
            f"--service-account-signing-key-file={folder / 'sa.key'}",
            f"--token-auth-file={folder / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--disable-admission-plugins=ServiceAccount",
            "--feature-gates=ShardedListAndWatch=true",
            *self._flags,
            *flags,
        )

    def kill_apiserver(self) -> None:
        """Kill kube-apiserver as a crash does."""
        _kill(self._apiserver)

    def kill_etcd(self) -> None:
        """Kill etcd as a crash does."""
        _kill(self._etcd)

    def wait_ready(self, seconds: float = _STARTUP_SECONDS) -> None:
        """Wait until ``/readyz`` says ok.

        Raises:
            RuntimeError: If a server has exited or is not ready in time; with the end of its log.
        """
        until = time.monotonic() + seconds
        while not self._is_ready():
            for name, process in (("etcd", self._etcd), ("kube-apiserver", self._apiserver)):
                if process is None or process.poll() is not None:
                    raise RuntimeError(f"{name} does not run:\n{self._log_tail(name)}")
            if time.monotonic() > until:
                raise RuntimeError(f"not ready after {seconds:g} s:\n{self._log_tail('kube-apiserver')}")
            time.sleep(0.05)

    def _launch(self) -> None:
        atexit.register(self.stop)
        self.start_etcd()
        self.start_apiserver()

    def _is_ready(self) -> bool:
        if not os.path.exists(self.ca_file):
            return False
        connection = None
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
            connection = http.client.HTTPSConnection("127.0.0.1", self._port, timeout=20, context=context)
            headers = {"Authorization": f"Bearer {ADMIN_TOKEN}", "User-Agent": "aioinformers-tests"}
            connection.request("GET", "/readyz", headers=headers)
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            if connection is not None:
                connection.close()

    def _spawn(self, binary: Path, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", _LAUNCHER, str(os.getpid()), str(binary), *arguments]
        with (self._folder / f"{binary.name}.log").open("ab") as log:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def _log_tail(self, name: str) -> str:
        log = self._folder / f"{name}.log"
        return log.read_text(errors="replace")[-4000:] if log.exists() else "(no log)"


def _kill(process: subprocess.Popen[bytes] | None) -> None:
    if process is not None and process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    if process is not None:
        process.wait()


def _write_credentials(folder: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (folder / "sa.key").write_bytes(private)
    (folder / "sa.pub").write_bytes(public)
    rows = [f"{ADMIN_TOKEN},admin,admin,system:masters", f"{LIMITED_TOKEN},limited,limited"]
    (folder / "tokens.csv").write_text("\n".join(rows) + "\n")


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{find_binaries().apiserver.parent}\n")
    except BinariesMissingError as error:
        sys.exit(str(error))

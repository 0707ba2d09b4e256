"""An HTTPS server in front of another API server: it decides who may pass, and has certificates that tests can change.

Unlike a proxy of connections it knows requests, and so it can hold back the answers of some of them: those of watches.

The server behind it may be the embedded or the real one. To be imported by itself: not all tests need certificates.
"""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple, Self

import aiohttp
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

__all__ = ["Authority", "Gate", "Passage"]

_UNAUTHORIZED = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Unauthorized", "code": 401}


class Authority:
    """Issues certificates.

    Attributes:
        pem: The certificate by which its own are recognized.
    """

    def __init__(self, name: str = "authority") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
        certificate = (
            self._built(self._name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.pem: str = certificate.public_bytes(serialization.Encoding.PEM).decode()

    def issue(self, name: str) -> tuple[str, str]:
        """Return certificate and key of a server on 127.0.0.1, or of a client with a name."""
        key = ec.generate_private_key(ec.SECP256R1())
        address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        issuer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = (
            self._built(_named(name), key)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([address]), critical=False)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(issuer_id, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return certificate.public_bytes(serialization.Encoding.PEM).decode(), private.decode()

    def _built(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )


class Passage(NamedTuple):
    """A request that came to a gate: when (loop time), how, and what it was answered."""

    at: float
    method: str
    path: str
    authorization: str
    client: str
    status: int


class Gate:
    """Passes requests on to a server, with that server's own credentials.

    Args:
        upstream: URL of the server behind it.
        authority: Issues its certificate, and those of the clients that it recognizes.
        folder: For the files of certificates.
        admits: Whether a request may pass, by its header Authorization and the name in its client's certificate; both
            may be empty. All may by default.
        token: The token for the server behind it; None passes on the client's.
        upstream_ca: File with the certificate of the server behind it.
        delay: Seconds by which the body of an answer comes later, by the path and query of the request.

    Attributes:
        passages: All requests so far.
    """

    def __init__(
        self,
        upstream: str,
        authority: Authority,
        folder: Path,
        *,
        admits: Callable[[str, str], bool] = lambda authorization, client: True,
        token: str | None = None,
        upstream_ca: str | None = None,
        delay: Callable[[str], float] = lambda path: 0.0,
    ) -> None:
        self.passages: list[Passage] = []
        self.url = ""
        self._upstream = upstream
        self._folder = folder
        self._admits = admits
        self._token = token
        self._upstream_ca = upstream_ca
        self._delay = delay
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.verify_mode = ssl.CERT_OPTIONAL
        self._open: set[asyncio.BaseTransport] = set()
        self._tasks: set[asyncio.Task[object]] = set()
        self.use(authority)

    @property
    def ca_file(self) -> Path:
        """The certificate by which clients recognize its present one."""
        return self._folder / "gate-ca.crt"

    def use(self, authority: Authority) -> None:
        """Have new connections see a certificate of an authority."""
        certificate, key = self._folder / "gate.crt", self._folder / "gate.key"
        for file, pem in zip((certificate, key), authority.issue("gate"), strict=True):
            file.write_text(pem)
        self._context.load_cert_chain(certificate, key)
        self._context.load_verify_locations(cadata=authority.pem)
        self.ca_file.write_text(authority.pem)

    def cut(self) -> int:
        """Abort all connections and return their number."""
        for transport in (cut := [each for each in self._open if not each.is_closing()]):
            assert isinstance(transport, asyncio.WriteTransport)
            transport.abort()
        self._open.clear()
        return len(cut)

    async def __aenter__(self) -> Self:
        trusted: ssl.SSLContext | bool = True
        if self._upstream_ca is not None:
            trusted = ssl.create_default_context(cafile=self._upstream_ca)
        connector = aiohttp.TCPConnector(ssl=trusted, limit=0)
        timeout = aiohttp.ClientTimeout(total=None)
        self._session = aiohttp.ClientSession(connector=connector, auto_decompress=False, timeout=timeout)
        server = web.Server(self._pass, access_log=None, handler_cancellation=True)
        self._runner = web.ServerRunner(server, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._context)
        await site.start()
        self.url = f"https://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cut()
        await self._runner.cleanup()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._session.close()

    async def _pass(self, request: web.BaseRequest) -> web.StreamResponse:
        task = asyncio.current_task()
        assert request.transport is not None
        assert task is not None
        self._open.add(request.transport)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        authorization = request.headers.get("Authorization", "")
        certificate = request.transport.get_extra_info("peercert") or {}
        client = next((str(v) for rdn in certificate.get("subject", ()) for k, v in rdn if k == "commonName"), "")
        if not self._admits(authorization, client):
            self._note(request, authorization, client, 401)
            return web.json_response(_UNAUTHORIZED, status=401)
        headers = request.headers.copy()
        headers.pop("Host", None)
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        url = f"{self._upstream}{request.raw_path}"
        body = await request.read() if request.can_read_body else None
        async with self._session.request(request.method, url, headers=headers, data=body) as answer:
            self._note(request, authorization, client, answer.status)
            names = ("Content-Type", "Content-Encoding", "Retry-After")
            kept = {name: answer.headers[name] for name in names if name in answer.headers}
            response = web.StreamResponse(status=answer.status, headers=kept)
            response.enable_chunked_encoding()
            await response.prepare(request)
            await _relay(answer.content, response, self._delay(request.raw_path))
            await response.write_eof()
            return response

    def _note(self, request: web.BaseRequest, authorization: str, client: str, status: int) -> None:
        at = asyncio.get_running_loop().time()
        self.passages.append(Passage(at, request.method, request.raw_path, authorization, client, status))


async def _relay(content: aiohttp.StreamReader, response: web.StreamResponse, delay: float) -> None:
    """Pass data on, each piece so many seconds after it has come."""
    loop, pieces = asyncio.get_running_loop(), asyncio.Queue[tuple[float, bytes]]()

    async def read() -> None:
        try:
            async for data in content.iter_any():
                pieces.put_nowait((loop.time() + delay, data))
        finally:
            pieces.put_nowait((loop.time() + delay, b""))

    reading = asyncio.create_task(read(), name="reads what is behind the gate")
    try:
        while (piece := await pieces.get())[1]:
            await asyncio.sleep(piece[0] - loop.time())
            await response.write(piece[1])
        await reading  # to raise what it raises
    finally:
        reading.cancel()


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])

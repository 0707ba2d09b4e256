"""Keeps a client's credentials good: reads files anew when they change, runs exec plug-ins again, builds TLS settings.

:class:`Credentials` is the client's ``refresh_api_key_hook``. What costs time (a kubeconfig to parse, files to read) is
done in a thread, and only if a file has another time, size or number than before.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import dataclasses
import logging
import math
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aioinformers.errors import ConfigurationError
from aioinformers.transport.kubeconfig import FoundCluster, User
from aioinformers.transport.plugins import Credential, ExecPlugin, run_plugin
from aioinformers.transport.renewal import Renewal
from aioinformers.words import brief

if TYPE_CHECKING:
    from kubernetes_asyncio import client

__all__ = ["Credentials"]

logger: logging.Logger = logging.getLogger("aioinformers.source")

LOOK_PERIOD: Final = 1.0
"""Seconds between two looks at the files."""


class Stamp(NamedTuple):
    """What shows that a file has changed; all zero for one that does not exist."""

    modified: int = 0
    number: int = 0
    device: int = 0
    size: int = 0

    @classmethod
    def of(cls, path: str) -> Stamp:
        """Return the stamp of a file."""
        try:
            found = os.stat(path)
        except (OSError, ValueError):  # ValueError: a NUL in the path
            return cls()
        return cls(found.st_mtime_ns, found.st_ino, found.st_dev, found.st_size)


@dataclass(frozen=True, slots=True)
class Pem:
    """Certificates or a key, with the file that they stand in; without one they are written to a file of ours."""

    path: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Tls:
    """The certificates of a client: whom it trusts, and who it is."""

    authority: Pem | None = None
    certificate: Pem | None = None
    key: Pem | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """What a cluster's files say at one time.

    Attributes:
        found: The cluster.
        authorization: Value of the header, without what an exec plug-in gives; empty for none.
        tls: The certificates, without those of an exec plug-in.
        stamps: Of all files, as they were before they were read.
    """

    found: FoundCluster
    authorization: str = field(default="", repr=False)
    tls: Tls = Tls()
    stamps: dict[str, Stamp] = field(default_factory=dict)

    @property
    def plugin(self) -> ExecPlugin | None:
        """The exec plug-in; None if there is none, or a token goes before it."""
        return None if self.authorization else self.found.user.exec

    @property
    def exec_cluster(self) -> dict[str, Any]:
        """What plug-ins that ask for it are told about the cluster."""
        cluster = self.found.cluster
        told = {
            "server": cluster.server,
            "tls-server-name": cluster.tls_server_name,
            "insecure-skip-tls-verify": cluster.insecure_skip_tls_verify,
            "certificate-authority-data": self.tls.authority and base64.b64encode(self.tls.authority.content).decode(),
            "proxy-url": cluster.proxy_url,
            "config": cluster.exec_extension,
        }
        return {name: value for name, value in told.items() if value}


def read_identity(found: FoundCluster) -> Identity:
    """Read the files of a cluster.

    Args:
        found: The cluster.

    Raises:
        ConfigurationError: If one of them cannot be read.
    """
    cluster, user = found.cluster, found.user
    paths = [*found.files, user.token_file, cluster.certificate_authority, user.client_certificate, user.client_key]
    stamps = {path: Stamp.of(path) for path in paths if path}
    tls = Tls(
        _pem("certificate-authority", cluster.certificate_authority, cluster.certificate_authority_data),
        _pem("client-certificate", user.client_certificate, user.client_certificate_data),
        _pem("client-key", user.client_key, user.client_key_data),
    )
    return Identity(found, _authorization(user), tls, stamps)


def _pem(name: str, path: str, data: str) -> Pem | None:
    if data:
        try:
            return Pem("", base64.b64decode(data, validate=False))
        except (binascii.Error, ValueError):
            raise ConfigurationError(f"{name}-data is not base64") from None
    return Pem(path, _content(name, path)) if path else None


def _content(name: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except (OSError, ValueError) as error:
        words = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else "it is no path"
        raise ConfigurationError(f"{name} {brief(path)} cannot be read: {words[:1].lower()}{words[1:]}") from None


def _authorization(user: User) -> str:
    """Return the header of a user, chosen as by kubectl; empty if there is none or an exec plug-in gives it."""
    if user.token_file:
        token = _content("tokenFile", user.token_file).decode(errors="replace").strip()
        return f"Bearer {_checked(token, f'tokenFile {brief(user.token_file)}')}"
    if user.token.strip():
        return f"Bearer {_checked(user.token.strip(), 'token')}"
    if user.exec is not None:
        return ""
    if user.auth_provider is not None:
        token = str((user.auth_provider.config or {}).get("id-token") or "").strip()
        return f"Bearer {_checked(token, 'the id-token of the auth-provider')}"
    if user.username or user.password:
        return "Basic " + base64.b64encode(f"{user.username}:{user.password}".encode()).decode()
    return ""


def _checked(token: str, what: str) -> str:
    if not token:
        raise ConfigurationError(f"{what} is empty")
    if not token.isprintable() or not token.isascii():
        raise ConfigurationError(f"{what} has characters that no token has")
    return token


class Credentials:
    """The credentials of a cluster's user, good for as long as files and exec plug-ins give new ones.

    It is called with a configuration before each request and puts the token there. Whoever learns that a request was
    refused with 401 says so to :meth:`invalidate` and tries once more.

    Belongs to the running loop.

    Args:
        found: The cluster.

    Attributes:
        authorization: Value of the header; empty for none.
        generation: Grows whenever requests are sent with other credentials than before.
        tls_generation: Grows whenever connections have to be made with other certificates than before.
    """

    def __init__(self, found: FoundCluster) -> None:
        self.generation: int = 0
        self.tls_generation: int = 0
        self._identity = Identity(found)
        self.authorization: str = ""
        self._tls = Tls()
        self._stamps: dict[str, Stamp] = {}
        self._look_at = -math.inf
        self._lock = asyncio.Lock()
        self._said = ""
        self._plugin: ExecPlugin | None = None
        self._renewal: Renewal[Credential] | None = None
        self._replaced: list[Renewal[Credential]] = []
        self._credential: Credential | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._now = asyncio.get_running_loop().time

    def __deepcopy__(self, memo: dict[int, Any]) -> Credentials:
        """Return the same: a copy of a configuration has the same credentials."""
        return self

    @property
    def hint(self) -> str:
        """What may be the cause of a 401."""
        found = self._identity.found
        if self._renewal is not None and self._plugin is not None:
            return self._renewal.problem or f"{self._plugin.name} was asked again: does the cluster know its user?"
        if found.user.token_file and self.authorization:
            return f"is the token in {brief(found.user.token_file)} valid? It is read anew when it changes"
        if not self.authorization and self._tls.certificate is None:
            return f"{found.origin} has no credentials for this cluster"
        return f"log in again: {found.origin} is read anew when it changes"

    async def load(self) -> None:
        """Get the first credentials; an exec plug-in is run.

        Cancellation: a plug-in that runs is ended by :meth:`aclose`.

        Raises:
            ConfigurationError: If files cannot be read.
            CredentialsError: If the plug-in gives none.
        """
        found = self._identity.found
        try:
            self._adopt(await asyncio.to_thread(read_identity, found))
        except ConfigurationError as error:
            raise ConfigurationError(f"{found.origin} cannot be used: {error}") from None
        self._look_at = self._now() + LOOK_PERIOD
        await self._ask_plugin()

    async def __call__(self, configuration: client.Configuration) -> None:
        """Put a token into a configuration that is good as far as is known.

        Cancellation ends the wait only: what others wait for, too, goes on.

        Args:
            configuration: The configuration of the client that makes a request.

        Raises:
            CredentialsError: If there is none.
        """
        if self._now() >= self._look_at or self._lock.locked():  # what is being read now is worth to be waited for
            self._look_at = self._now() + LOOK_PERIOD
            await self._look()
        await self._ask_plugin()
        if self.authorization:
            configuration.api_key["BearerToken"] = self.authorization
        else:
            configuration.api_key.pop("BearerToken", None)

    def invalidate(self, generation: int) -> None:
        """Note that the server has refused credentials: files are read again, and an exec plug-in is run again.

        Args:
            generation: What :attr:`generation` was when the request was sent; if that is past, nothing is to be done.
        """
        if generation != self.generation:
            return
        self._look_at = -math.inf
        self._stamps = {}
        if self._renewal is not None:
            self._renewal.refuse()

    def configure(self, configuration: client.Configuration) -> None:
        """Write where the cluster is, and the certificates, into a configuration.

        Args:
            configuration: The configuration.

        Raises:
            OSError: If certificates that stand in a kubeconfig cannot be written to files.
        """
        cluster = self._identity.found.cluster
        configuration.host = cluster.server.rstrip("/")
        configuration.proxy = cluster.proxy_url or None
        configuration.tls_server_name = cluster.tls_server_name or None
        configuration.verify_ssl = not cluster.insecure_skip_tls_verify
        configuration.ssl_ca_cert = self._file("ca.crt", self._tls.authority)
        configuration.cert_file = self._file("client.crt", self._tls.certificate)
        configuration.key_file = self._file("client.key", self._tls.key)

    async def aclose(self) -> None:
        """End exec plug-ins that are running, and delete files of ours. Cancellation: the files are deleted."""
        try:
            for renewal in (*self._replaced, *filter(None, (self._renewal,))):
                await renewal.aclose()
        finally:
            if self._folder is not None:
                self._folder.cleanup()
                self._folder = None

    async def _look(self) -> None:
        """Read the files anew if one of them has changed; what cannot be read is said once, and the old is kept."""
        if self._stamps == self._stamps_now():
            return
        async with self._lock:
            stamps = self._stamps_now()
            if self._stamps == stamps:  # another request has read them
                return
            found = self._identity.found
            try:
                identity = await asyncio.to_thread(lambda: read_identity(found.read_again()))
            except ConfigurationError as error:
                self._stamps = stamps  # files that are being written change once more
                self._say(str(error))
                return
            if _is_another(found, identity.found):
                self._stamps = stamps
                self._say(f"{found.origin} names another server or another user to impersonate: restart to follow")
                return
            self._said = ""
            self._adopt(identity)

    def _stamps_now(self) -> dict[str, Stamp]:
        return {path: Stamp.of(path) for path in self._identity.stamps}

    def _say(self, problem: str) -> None:
        if problem != self._said:
            self._said = problem
            logger.warning("%s; the credentials from before are used", problem)

    def _adopt(self, identity: Identity) -> None:
        """Use what files say."""
        self._identity = identity
        self._stamps = identity.stamps
        plugin = identity.plugin
        if plugin != self._plugin:
            if self._renewal is not None:
                self._replaced.append(self._renewal)
            self._plugin, self._credential, self._renewal = plugin, None, None
            if plugin is not None:
                self._renewal = Renewal(
                    lambda: run_plugin(plugin, self._identity.exec_cluster), lambda it: it.lifetime, plugin.name
                )
        self._put_together()

    async def _ask_plugin(self) -> None:
        while (renewal := self._renewal) is not None:
            credential = await renewal.ensure()
            if renewal is self._renewal:  # otherwise the kubeconfig names another one by now
                if credential is not self._credential:
                    self._credential = credential
                    self._put_together()
                return

    def _put_together(self) -> None:
        """Make one of what files say and what the plug-in has given, and count if it is another one."""
        authorization, tls, credential = self._identity.authorization, self._identity.tls, self._credential
        if credential is not None:
            authorization = f"Bearer {credential.token}" if credential.token else ""
            if credential.client_certificate_data:
                certificate, key = credential.client_certificate_data.encode(), credential.client_key_data.encode()
                tls = dataclasses.replace(tls, certificate=Pem("", certificate), key=Pem("", key))
        if (authorization, tls) != (self.authorization, self._tls):
            self.generation += 1
        if tls != self._tls:
            self.tls_generation += 1
        self.authorization, self._tls = authorization, tls

    def _file(self, name: str, pem: Pem | None) -> str | None:
        """Return a file with certificates; those without one are written to a folder that only we may read."""
        if pem is None:
            return None
        if pem.path:
            return pem.path
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="aioinformers-")
        path = Path(self._folder.name) / name
        path.write_bytes(pem.content)
        return str(path)


def _is_another(old: FoundCluster, new: FoundCluster) -> bool:
    """Tell whether credentials for the new must not be sent to the old."""

    def identity(found: FoundCluster) -> tuple[Any, ...]:
        cluster, user = found.cluster, found.user
        return (
            cluster.server, cluster.tls_server_name, cluster.proxy_url, cluster.insecure_skip_tls_verify,
            user.impersonated_user, user.impersonated_uid, user.impersonated_groups, user.impersonated_extra,
        )  # fmt: skip

    return identity(old) != identity(new)

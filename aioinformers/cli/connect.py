"""From a kubeconfig, or from inside a pod, to a client."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aioinformers.cli.problems import usage_error

if TYPE_CHECKING:
    from kubernetes_asyncio import client

__all__ = ["Cluster", "connect"]

logger: logging.Logger = logging.getLogger(__name__)

_POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_REFRESH_PERIOD = 60.0


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster to talk to.

    Attributes:
        api_client: The client.
        server: The server's URL.
        namespace: Where a user is who names none.
    """

    api_client: client.ApiClient
    server: str
    namespace: str


@asynccontextmanager
async def connect(kubeconfig: str | None, context: str | None) -> AsyncIterator[Cluster]:
    """Give a client for the cluster that the user means; nothing is sent yet.

    As kubectl does: ``--kubeconfig``, else ``KUBECONFIG``, else ``~/.kube/config``, else the pod's service account.

    Raises:
        CommandError: If there is no configuration, or none that works.
    """
    from kubernetes_asyncio import client

    configuration = client.Configuration()
    namespace = await _configure(configuration, kubeconfig, context)
    try:
        api_client = client.ApiClient(configuration)
    except (OSError, ValueError) as error:  # certificates that are missing or are none; ssl.SSLError is an OSError
        raise usage_error(f"the certificates of the configuration cannot be used: {error}") from error
    async with api_client:
        yield Cluster(api_client, configuration.host or "", namespace)


async def _configure(configuration: client.Configuration, kubeconfig: str | None, context: str | None) -> str:
    paths = kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
    if _is_any_file(paths):
        return await _load_kubeconfig(configuration, paths, context)
    if kubeconfig is None and context is None and "KUBERNETES_SERVICE_HOST" in os.environ:
        return _load_service_account(configuration)
    raise usage_error(f"there is no kubeconfig at {paths}: name one with --kubeconfig or in KUBECONFIG")


def _is_any_file(paths: str) -> bool:
    return any(Path(path).expanduser().is_file() for path in paths.split(os.pathsep) if path)


async def _load_kubeconfig(configuration: client.Configuration, paths: str, context: str | None) -> str:
    from kubernetes_asyncio.config import kube_config

    try:
        known = _context_names(kube_config.KubeConfigMerger(paths))
        if context is not None and context not in known:
            raise LookupError(f"it has no context {context!r}: choose from {', '.join(known) or 'none'}")
        loader = await kube_config.load_kube_config(paths, context, configuration)
        current: Any = loader.current_context
        namespace = current["context"].get("namespace")
    except Exception as error:  # whatever broken YAML, missing files, base64 and exec plugins raise in the loader
        # Text, an empty file or a list make the loader stumble with words that help nobody.
        problem = "it is no kubeconfig" if isinstance(error, AttributeError | TypeError) else error
        raise usage_error(f"the kubeconfig {paths} cannot be used: {problem}") from error
    configuration.refresh_api_key_hook = _refresher(loader)
    return str(namespace or "default")


def _context_names(merger: Any) -> list[str]:
    """Return the names of the contexts in a kubeconfig that has been read."""
    return [node["name"] for node in merger.config.value["contexts"]]


def _refresher(loader: Any) -> Callable[[client.Configuration], Awaitable[None]]:
    """Return what the client calls before each request: tokens of exec plugins and files expire while we watch."""
    loop = asyncio.get_running_loop()
    last = loop.time()

    async def refresh(configuration: client.Configuration) -> None:
        nonlocal last
        if loop.time() - last < _REFRESH_PERIOD:
            return
        last = loop.time()
        try:
            await loader.load_and_set(configuration)
        except Exception as error:  # the old credentials may still do; if not, the server's 401 says so
            logger.warning("credentials could not be refreshed: %s", error)

    return refresh


def _load_service_account(configuration: client.Configuration) -> str:
    from kubernetes_asyncio import config

    try:
        config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    except (config.ConfigException, OSError) as error:
        raise usage_error(f"the pod's service account cannot be used: {error}") from error
    return _POD_NAMESPACE.read_text().strip() if _POD_NAMESPACE.is_file() else "default"

"""Creates a Kubernetes client from a kubeconfig or from a pod's service account."""

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
    """A cluster with a client for it.

    Attributes:
        api_client: The client, open within :func:`connect`.
        server: The server's URL.
        namespace: The default namespace of the context or pod.
    """

    api_client: client.ApiClient
    server: str
    namespace: str


@asynccontextmanager
async def connect(kubeconfig: str | None, context: str | None) -> AsyncIterator[Cluster]:
    """Yield a client for the user's cluster, without a request to it, and close the client on exit.

    The configuration is chosen as by kubectl: ``--kubeconfig``, else ``KUBECONFIG``, else ``~/.kube/config``, else the
    pod's service account.

    Args:
        kubeconfig: Path of the configuration file, or None.
        context: Name of a context in it; None for the current context.

    Raises:
        CommandError: If there is no valid configuration.
    """
    from kubernetes_asyncio import client

    configuration = client.Configuration()
    namespace = await _configure(configuration, kubeconfig, context)
    try:
        api_client = client.ApiClient(configuration)
    except (OSError, ValueError) as error:  # missing or invalid certificates; ssl.SSLError is an OSError
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
        names = _context_names(kube_config.KubeConfigMerger(paths))
        if context is not None and context not in names:
            raise LookupError(f"it has no context {context!r}: choose from {', '.join(names) or 'none'}")
        loader = await kube_config.load_kube_config(paths, context, configuration)
        current: Any = loader.current_context
        namespace = current["context"].get("namespace")
    except Exception as error:  # broken YAML, missing files, base64 and exec plugins raise errors of many types
        # For a text, an empty file or a list, the loader raises errors with useless messages.
        problem = "it is not a kubeconfig" if isinstance(error, AttributeError | TypeError) else error
        raise usage_error(f"the kubeconfig {paths} cannot be used: {problem}") from error
    configuration.refresh_api_key_hook = _refresher(loader)
    return str(namespace or "default")


def _context_names(merger: Any) -> list[str]:
    """Return the names of the contexts of a loaded kubeconfig."""
    return [node["name"] for node in merger.config.value["contexts"]]


def _refresher(loader: Any) -> Callable[[client.Configuration], Awaitable[None]]:
    """Return the client's hook before each request, which reloads tokens: they expire while a command runs."""
    loop = asyncio.get_running_loop()
    last = loop.time()

    async def refresh(configuration: client.Configuration) -> None:
        nonlocal last
        if loop.time() - last < _REFRESH_PERIOD:
            return
        last = loop.time()
        try:
            await loader.load_and_set(configuration)
        except Exception as error:  # the old credentials may still be valid; otherwise the server answers with 401
            logger.warning("credentials could not be refreshed: %s", error)

    return refresh


def _load_service_account(configuration: client.Configuration) -> str:
    from kubernetes_asyncio import config

    try:
        config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    except (config.ConfigException, OSError) as error:
        raise usage_error(f"the pod's service account cannot be used: {error}") from error
    return _POD_NAMESPACE.read_text().strip() if _POD_NAMESPACE.is_file() else "default"

"""A small controller: teams own namespaces, and each of their namespaces holds a ConfigMap that says so.

A Namespace labelled ``example.com/team=payments`` gets a ConfigMap ``team`` with ``data: {team: payments}``. It follows
the label when that changes, goes when the label goes, and comes back when somebody edits or deletes it. Run it with a
kubeconfig at hand, or inside a pod::

    python -m examples.operator

It shows what every controller needs: *one* function that compares what there is with what should be, called for
whatever happened (so that an event more or less does no harm), reading from caches, writing to the API server.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import signal
from collections import defaultdict

import aiohttp
from kubernetes_asyncio import client
from kubernetes_asyncio.client.exceptions import ApiException

import aioinformers
from aioinformers import Event, NotFoundError, SharedInformerFactory
from aioinformers.errors import CredentialsError

logger = logging.getLogger("team-operator")

TEAM = "example.com/team"
MANAGED_BY = {"app.kubernetes.io/managed-by": "team-operator"}
SELECTOR = ",".join(f"{label}={value}" for label, value in MANAGED_BY.items())
CONFIG_MAP = "team"
ATTEMPTS = 5


class TeamOperator:
    """Keeps the ConfigMap ``team`` of every labelled namespace.

    Args:
        factory: Its informers; not started yet.
        retry_delay: Seconds before the second attempt; doubled for each further one.
    """

    def __init__(self, factory: SharedInformerFactory, *, retry_delay: float = 1.0) -> None:
        self._retry_delay = retry_delay
        self._api = client.CoreV1Api(factory.api_client)
        # Two informers lead to the same namespace: one at a time may work on it.
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.namespaces = factory.core.v1.namespaces()
        self.config_maps = factory.core.v1.configmaps(
            label_selector=",".join(f"{k}={v}" for k, v in MANAGED_BY.items())
        )
        # Eight namespaces at once, each of them in order. What fails for good is tried again within ten minutes:
        # the resync hands in every namespace as if it had changed.
        self.namespaces.add_event_handler(
            self.on_namespace, concurrency=8, resync_period=600, handler_timeout=60, on_error=self.on_error
        )
        self.config_maps.add_event_handler(
            self.on_config_map, concurrency=8, handler_timeout=60, on_error=self.on_error
        )

    async def on_namespace(self, event: Event[client.V1Namespace]) -> None:
        await self.reconcile(event.key.name)

    async def on_config_map(self, event: Event[client.V1ConfigMap]) -> None:
        await self.reconcile(event.key.namespace)

    async def on_error(self, error: Exception, event: Event[client.V1Namespace] | Event[client.V1ConfigMap]) -> None:
        """Say what could not be done; the handlers go on with their next event."""
        logger.error("%s: given up until the next event or resync: %s", event.key, error)

    async def reconcile(self, namespace: str) -> None:
        """Make a namespace what it should be, trying again what may pass by itself."""
        # Before both caches have synced, what is missing from them says nothing.
        await self.namespaces.wait_synced()
        await self.config_maps.wait_synced()
        async with self._locks[namespace]:
            for attempt in range(ATTEMPTS):
                try:
                    await self._reconcile_once(namespace)
                except (ApiException, aiohttp.ClientError, TimeoutError, CredentialsError) as error:
                    if attempt == ATTEMPTS - 1 or not _may_pass(error):
                        raise
                    delay = self._retry_delay * 2**attempt * (1 + random.random())
                    logger.warning("%s: %s; next try in %.1f s", namespace, _reason(error), delay)
                    await asyncio.sleep(delay)
                else:
                    return

    async def _reconcile_once(self, namespace: str) -> None:
        wanted = self._wanted_data(namespace)
        try:
            found = self.config_maps.lister.get(CONFIG_MAP, namespace=namespace)
        except NotFoundError:
            found = None
        try:
            if wanted is None:
                if found is not None:
                    await self._api.delete_namespaced_config_map(CONFIG_MAP, namespace)
                    logger.info("%s: removed", namespace)
            elif found is None:
                metadata = client.V1ObjectMeta(name=CONFIG_MAP, labels=dict(MANAGED_BY))
                await self._api.create_namespaced_config_map(
                    namespace, client.V1ConfigMap(metadata=metadata, data=wanted)
                )
                logger.info("%s: created for %s", namespace, wanted["team"])
            elif found.data != wanted:
                found.data = wanted  # the cached object is ours alone; its resourceVersion guards against lost updates
                await self._api.replace_namespaced_config_map(CONFIG_MAP, namespace, found)
                logger.info("%s: set to %s", namespace, wanted["team"])
        except ApiException as error:
            # Gone or changed meanwhile: the cache is behind, and the event that catches it up calls us again. Or the
            # name is taken by a ConfigMap that is not ours: that one is left alone.
            if error.status not in (404, 409):
                raise
            logger.info("%s: %s: left as it is until the next event", namespace, _reason(error))

    def _wanted_data(self, namespace: str) -> dict[str, str] | None:
        try:
            found = self.namespaces.lister.get(namespace)
        except NotFoundError:
            return None
        if found.metadata.deletion_timestamp is not None:
            return None
        team = (found.metadata.labels or {}).get(TEAM)
        return None if team is None else {"team": team}


def _may_pass(error: Exception) -> bool:
    """Tell whether the same request may succeed a little later."""
    return not isinstance(error, ApiException) or error.status == 429 or error.status >= 500


def _reason(error: Exception) -> str:
    if isinstance(error, ApiException):
        return f"{error.status} {error.reason}"
    return str(error) or type(error).__name__


async def run(api_client: client.ApiClient, stop: asyncio.Event) -> None:
    """Run the operator until the event is set."""
    factory = SharedInformerFactory(api_client, name="team-operator")
    TeamOperator(factory)
    async with factory:  # leaving it lets handlers finish what they are doing
        await factory.wait_for_cache_sync(timeout=60)
        logger.info("ready")
        await stop.wait()


async def main() -> None:
    logging.basicConfig(level=logging.INFO)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C interrupts instead
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with aioinformers.connect() as api_client:  # its calls, too, have tokens that renew themselves
        await run(api_client, stop)


if __name__ == "__main__":
    asyncio.run(main())

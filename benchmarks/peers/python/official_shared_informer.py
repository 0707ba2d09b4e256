"""The official client's SharedInformer as a contender: a thread that lists, watches and keeps models in a cache.

Settings: none, as its example has it. Its cache is keyed by namespace and name, and has no indexes; it lists whole and
does not stream the list.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

from kubernetes import client
from kubernetes.informer import ADDED, MODIFIED, SharedInformer

from benchmarks.peers.python.course import Counter, measure


def start(options: argparse.Namespace, counter: Counter) -> Callable[[], int]:
    """Start the informer."""
    v1 = client.CoreV1Api(client.ApiClient(client.Configuration(host=options.url)))
    informer = SharedInformer(list_func=v1.list_pod_for_all_namespaces)
    informer.add_event_handler(ADDED, counter.add)
    informer.add_event_handler(MODIFIED, counter.add)
    informer.start()
    return lambda: len(informer.cache.list_keys())


if __name__ == "__main__":
    measure("kubernetes", start)

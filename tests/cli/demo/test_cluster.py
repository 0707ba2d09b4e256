"""What happens in the demonstration: a small cluster whose controllers do their work."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from aioinformers.cli.demo.cluster import CONFIGMAPS, DEPLOYMENTS, NODES, PODS, REPLICASETS, WIDGETS, BusyCluster
from aioinformers.testing import FakeAPIServer

EVERYTHING = (PODS, REPLICASETS, DEPLOYMENTS, NODES, CONFIGMAPS, WIDGETS)


def built(seed: int) -> tuple[FakeAPIServer, BusyCluster]:
    server = FakeAPIServer(rng=random.Random(seed))
    cluster = BusyCluster(server, random.Random(seed))
    cluster.build()
    return server, cluster


@pytest.mark.parametrize("seed", range(3))
def test_a_cluster_has_settled_when_it_has_been_built(seed: int) -> None:
    """Every deployment has the pods that it asks for, each of them runs on a node that there is."""
    server, _ = built(seed)
    running = Counter(
        pod["metadata"]["labels"]["app"] for pod in server.list(PODS) if pod["status"]["phase"] == "Running"
    )
    assert running == {each["metadata"]["name"]: each["spec"]["replicas"] for each in server.list(DEPLOYMENTS)}
    nodes = {node["metadata"]["name"] for node in server.list(NODES)}
    assert {pod["spec"]["nodeName"] for pod in server.list(PODS)} <= nodes


@pytest.mark.parametrize("seed", range(3))
def test_something_of_every_kind_happens_soon_and_nothing_ever_dies_out(seed: int) -> None:
    """Or a spectator would look at an empty table; nor does a cluster grow without end."""
    server, cluster = built(seed)
    before = {resource: {str(obj) for obj in server.list(resource)} for resource in EVERYTHING}
    for _ in range(18):  # each act once
        cluster.step()
    for resource in EVERYTHING:
        assert {str(obj) for obj in server.list(resource)} != before[resource], resource
    for _ in range(500):
        cluster.step()
        assert all(server.list(resource) for resource in EVERYTHING)
    assert sum(len(server.list(resource)) for resource in EVERYTHING) < 300


def test_a_seed_lets_the_same_things_happen_again() -> None:
    def history(seed: int) -> list[list[str]]:
        server, cluster = built(seed)
        for _ in range(50):
            cluster.step()
        return [[obj["metadata"]["name"] for obj in server.list(resource)] for resource in EVERYTHING]

    assert history(1) == history(1)
    assert history(1) != history(2)

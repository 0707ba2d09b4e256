"""What owners leave behind, as kube-controller-manager would deal with it."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from aioinformers.testing import FakeAPIServer
from aioinformers.testing.apiserver.dependents import FOREGROUND, ORPHAN
from aioinformers.testing.apiserver.garbage import collect
from aioinformers.testing.apiserver.options import DeleteOptions, Propagation
from aioinformers.testing.apiserver.resources import Resource
from aioinformers.testing.apiserver.storage import Storage
from aioinformers.testing.apiserver.table import Stored
from tests.testing.apiserver.contents import WIDGETS, decoded

OWNER = {"name": "owner"}


def reference(owner: Stored, *, blocks: bool = False) -> dict[str, Any]:
    kind = decoded(owner)
    made = {"apiVersion": kind["apiVersion"], "kind": kind["kind"], "name": owner.name, "uid": owner.uid}
    return made | ({"blockOwnerDeletion": True} if blocks else {})


def make(
    storage: Storage, resource: Resource, name: str, *owners: Stored, blocks: bool = False, **metadata: Any
) -> Stored:
    references = [reference(owner, blocks=blocks) for owner in owners]
    metadata |= {"name": name} | ({"ownerReferences": references} if references else {})
    return storage.create(resource, {"metadata": metadata})


def delete(storage: Storage, item: Stored, propagation: Propagation | None = None) -> None:
    kind = decoded(item)
    resource = storage.resources.resolve(kind["kind"])
    options = DeleteOptions(propagation=propagation)
    storage.delete(resource, item.name, namespace=item.namespace, options=options)


def names(storage: Storage, *resources: Resource) -> list[str]:
    return [item.name for resource in resources for item in storage.table(resource).ordered()]


def test_what_has_lost_its_last_owner_goes_and_so_does_what_it_owned(storage: Storage, pods: Resource) -> None:
    one, two = make(storage, WIDGETS, "one"), make(storage, WIDGETS, "two")
    child = make(storage, pods, "child", one)
    make(storage, pods, "grandchild", child)
    shared = make(storage, pods, "shared", one, two)
    make(storage, pods, "alone")
    delete(storage, one)
    assert len(names(storage, pods)) == 4
    collect(storage)

    assert names(storage, WIDGETS, pods) == ["two", "alone", "shared"]
    kept = decoded(storage.get(pods, "default", "shared"))["metadata"]
    assert (kept["ownerReferences"], kept["uid"]) == ([reference(two)], shared.uid)
    delete(storage, two)
    collect(storage)
    assert names(storage, WIDGETS, pods) == ["alone"]


def test_a_child_that_comes_too_late_goes_as_well(storage: Storage, pods: Resource) -> None:
    owner = make(storage, WIDGETS, "owner")
    delete(storage, owner)
    again = make(storage, WIDGETS, "owner")
    make(storage, pods, "late", owner)
    make(storage, pods, "right", again)
    collect(storage)

    assert names(storage, pods) == ["right"]


def test_owners_that_have_never_been_are_believed(storage: Storage, pods: Resource) -> None:
    """Objects of a test may name owners that the test does not create."""
    stranger = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "x", "uid": "made-up"}
    storage.create(pods, {"metadata": {"name": "a", "ownerReferences": [stranger]}})
    owner = make(storage, WIDGETS, "owner")
    storage.create(pods, {"metadata": {"name": "b", "ownerReferences": [stranger, reference(owner)]}})
    delete(storage, owner)
    collect(storage)

    assert names(storage, pods) == ["a", "b"]
    assert decoded(storage.get(pods, "default", "b"))["metadata"]["ownerReferences"] == [stranger]


def test_children_with_finalizers_wait(storage: Storage, pods: Resource) -> None:
    owner = make(storage, WIDGETS, "owner")
    make(storage, pods, "child", owner, finalizers=["example.com/x"])
    delete(storage, owner)
    collect(storage)
    assert "deletionTimestamp" in decoded(storage.get(pods, "default", "child"))["metadata"]

    storage.patch(pods, "child", {"metadata": {"finalizers": []}}, namespace="default")
    assert names(storage, pods) == []


def test_in_the_foreground_the_owner_goes_last(storage: Storage, pods: Resource) -> None:
    """It waits for those who say so, and for nobody else."""
    owner = make(storage, WIDGETS, "owner")
    make(storage, pods, "fast", owner, blocks=True)
    make(storage, pods, "slow", owner, blocks=True, finalizers=["example.com/x"])
    make(storage, pods, "stubborn", owner, finalizers=["example.com/x"])
    delete(storage, owner, Propagation.FOREGROUND)
    assert decoded(storage.get(WIDGETS, "default", "owner"))["metadata"]["finalizers"] == [FOREGROUND]
    collect(storage)
    assert names(storage, WIDGETS, pods) == ["owner", "slow", "stubborn"]

    storage.patch(pods, "slow", {"metadata": {"finalizers": []}}, namespace="default")
    collect(storage)
    assert names(storage, WIDGETS, pods) == ["stubborn"]


def test_the_foreground_reaches_grandchildren_and_shared_children_stay(storage: Storage, pods: Resource) -> None:
    owner, other = make(storage, WIDGETS, "owner"), make(storage, WIDGETS, "other")
    child = make(storage, WIDGETS, "child", owner, blocks=True)
    make(storage, pods, "grandchild", child, blocks=True, finalizers=["example.com/x"])
    make(storage, pods, "shared", owner, other, blocks=True)
    delete(storage, owner, Propagation.FOREGROUND)
    collect(storage)

    assert names(storage, WIDGETS, pods) == ["child", "other", "owner", "grandchild", "shared"]
    assert decoded(storage.get(WIDGETS, "default", "child"))["metadata"]["finalizers"] == [FOREGROUND]
    storage.patch(pods, "grandchild", {"metadata": {"finalizers": []}}, namespace="default")
    collect(storage)
    assert names(storage, WIDGETS, pods) == ["other", "shared"]


def test_in_a_circle_nobody_waits_for_ever(storage: Storage, pods: Resource) -> None:
    one = make(storage, WIDGETS, "one")
    two = make(storage, WIDGETS, "two", one, blocks=True)
    back = {"ownerReferences": [reference(two, blocks=True)]}
    storage.patch(WIDGETS, "one", {"metadata": {**back, "resourceVersion": str(one.version)}}, namespace="default")
    make(storage, pods, "pod", two, blocks=True)
    delete(storage, one, Propagation.FOREGROUND)
    collect(storage)
    assert names(storage, WIDGETS, pods) == []


def test_orphans_lose_their_reference(storage: Storage, pods: Resource) -> None:
    owner = make(storage, WIDGETS, "owner", finalizers=["example.com/x"])
    make(storage, pods, "child", owner)
    delete(storage, owner, Propagation.ORPHAN)
    assert decoded(storage.get(WIDGETS, "default", "owner"))["metadata"]["finalizers"] == ["example.com/x", ORPHAN]
    collect(storage)

    assert decoded(storage.get(WIDGETS, "default", "owner"))["metadata"]["finalizers"] == ["example.com/x"]
    assert "ownerReferences" not in decoded(storage.get(pods, "default", "child"))["metadata"]


def test_some_kinds_orphan_by_default_and_garbage_says_how_it_goes(storage: Storage, pods: Resource) -> None:
    jobs = storage.resources.resolve("jobs")
    job = make(storage, jobs, "job")
    make(storage, pods, "pod", job)
    delete(storage, job)
    collect(storage)
    assert names(storage, jobs, pods) == ["pod"]

    owner = make(storage, WIDGETS, "owner")
    child = make(storage, WIDGETS, "child", owner, finalizers=[ORPHAN])
    make(storage, pods, "kept", child)
    second = make(storage, WIDGETS, "second", owner, finalizers=[FOREGROUND])
    make(storage, pods, "lost", second)
    delete(storage, owner)
    collect(storage)
    assert names(storage, WIDGETS, pods) == ["kept", "pod"]


def test_owners_of_the_cluster_and_owners_elsewhere(storage: Storage, pods: Resource) -> None:
    nodes = storage.resources.resolve("nodes")
    node = make(storage, nodes, "node")
    make(storage, pods, "mirror", node)
    storage.create(pods, {"metadata": {"name": "far", "namespace": "a", "ownerReferences": [reference(node)]}})
    delete(storage, node)
    collect(storage)
    assert names(storage, pods) == []


def test_whoever_comes_back_to_a_living_owner_stays(storage: Storage, pods: Resource) -> None:
    """A reference to what is gone may be taken back before the collector comes."""
    owner, other = make(storage, WIDGETS, "owner"), make(storage, WIDGETS, "other")
    make(storage, pods, "child", owner)
    delete(storage, owner)
    metadata = {"ownerReferences": [reference(other)]}
    storage.patch(pods, "child", {"metadata": metadata}, namespace="default")
    collect(storage)
    assert names(storage, pods) == ["child"]


def test_what_is_no_longer_served_is_no_garbage(storage: Storage, pods: Resource) -> None:
    owner = make(storage, pods, "owner")
    make(storage, WIDGETS, "child", owner)
    delete(storage, owner)
    storage.remove_resource(WIDGETS)
    collect(storage)
    assert not storage.dependents


def test_a_restored_backup_remembers_its_owners(storage: Storage, pods: Resource) -> None:
    owner = make(storage, WIDGETS, "owner")
    make(storage, pods, "child", owner)
    backup = storage.backup()
    delete(storage, owner)
    storage.restore(backup)
    collect(storage)
    assert names(storage, pods) == ["child"]
    delete(storage, owner)
    collect(storage)
    assert names(storage, pods) == []


@pytest.mark.parametrize("seed", range(20))
def test_in_the_end_nobody_has_only_lost_owners(storage: Storage, pods: Resource, seed: int) -> None:
    """Random owners, in circles as well, deleted in any order and manner."""
    rng = random.Random(seed)
    there: list[Stored] = []
    for number in range(30):
        owners = rng.sample(there, min(len(there), rng.randrange(3)))
        there.append(make(storage, rng.choice((pods, WIDGETS)), f"x{number}", *owners, blocks=rng.random() < 0.5))
    for item in rng.sample(there, 5):
        given = [reference(each, blocks=rng.random() < 0.5) for each in rng.sample(there, 2) if each is not item]
        resource = storage.resources.resolve(decoded(item)["kind"])
        metadata = {"ownerReferences": given, "resourceVersion": str(item.version)}
        storage.patch(resource, item.name, {"metadata": metadata}, namespace="default")
    for item in rng.sample(there, 8):
        resource = storage.resources.resolve(decoded(item)["kind"])
        if item.key in storage.table(resource).items:
            delete(storage, item, rng.choice(list(Propagation)))
            if rng.random() < 0.5:
                collect(storage)
    collect(storage)

    left = [item for resource in (pods, WIDGETS) for item in storage.table(resource).ordered()]
    uids = {item.uid for item in left}
    for item in left:
        metadata = decoded(item)["metadata"]
        assert "deletionTimestamp" not in metadata
        assert all(each["uid"] in uids for each in metadata.get("ownerReferences", ())), metadata


@pytest.mark.virtual_time
async def test_the_server_collects_in_the_background() -> None:
    """Soon after the owner, and not at all on request."""
    async with FakeAPIServer() as server:
        owner = server.create("deployments", {"metadata": OWNER})
        metadata = owner["metadata"]
        child = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "owner", "uid": metadata["uid"]}
        server.create("replicasets", {"metadata": {"name": "child", "ownerReferences": [child]}})
        server.delete("deployments", "owner")
        assert not server.is_settled
        assert len(server.list("replicasets")) == 1
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert server.is_settled
        assert server.list("replicasets") == []

        server.upgrade(garbage_collection=False)
        server.create("replicasets", {"metadata": {"name": "late", "ownerReferences": [child]}})
        await asyncio.sleep(1)
        assert server.is_settled
        assert len(server.list("replicasets")) == 1
        server.upgrade(garbage_collection=True)
        await asyncio.sleep(1)
        assert server.list("replicasets") == []

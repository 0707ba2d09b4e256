"""The storage and the pure modules around it, without a loop."""

from __future__ import annotations

import random
from typing import Any

import pytest

from aioinformers.testing.apiserver.options import DeleteOptions, Propagation, WriteOptions
from aioinformers.testing.apiserver.resources import Resource
from aioinformers.testing.apiserver.status import StatusError
from aioinformers.testing.apiserver.storage import Part, Storage
from tests.testing.apiserver.contents import WIDGETS, decoded, events, listing, make, watch

SCALE = {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size"}


def test_one_counter_for_everything(storage: Storage, pods: Resource) -> None:
    """Every write of any resource takes the next resourceVersion."""
    nodes = storage.resources.resolve("nodes")
    versions = [make(storage, pods, "a").version, make(storage, nodes, "n").version, make(storage, pods, "b").version]
    storage.delete(pods, "a", namespace="default")

    assert versions == [2, 3, 4]
    assert storage.version == 5


def test_scope_and_clock(storage: Storage, pods: Resource) -> None:
    """Namespaced objects get a namespace, cluster-scoped ones never; time is the given clock's."""
    pod = decoded(make(storage, pods, "a"))
    node = decoded(storage.create(storage.resources.resolve("nodes"), {"metadata": {"name": "n"}}, namespace="x"))

    assert pod["metadata"]["namespace"] == "default"
    assert pod["metadata"]["creationTimestamp"] == "2026-01-02T03:04:05Z"
    assert "namespace" not in node["metadata"]


def test_a_seed_repeats_uids_and_names() -> None:
    """Runs with the same seed are the same."""

    def run() -> tuple[str, str]:
        storage = Storage(rng=random.Random(7))
        item = storage.create(storage.resources.resolve("pods"), {"metadata": {"generateName": "x-"}})
        return item.name, item.uid

    assert run() == run()


def test_python_writes_may_set_the_status(storage: Storage) -> None:
    """Only Part.MAIN and Part.STATUS keep to their part."""
    body = {"spec": {"a": 1}, "status": {"ready": True}}
    assert decoded(make(storage, WIDGETS, "x", **body))["status"] == {"ready": True}
    plain = storage.create(WIDGETS, {"metadata": {"name": "y"}, **body}, part=Part.MAIN)
    assert "status" not in decoded(plain)
    patched = storage.patch(WIDGETS, "x", {"spec": {"a": 2}, "status": {"ready": False}}, namespace="default")
    assert (decoded(patched)["spec"], decoded(patched)["status"]) == ({"a": 2}, {"ready": False})
    removed = storage.patch(WIDGETS, "x", {"status": None}, namespace="default", part=Part.STATUS)
    assert "status" not in decoded(removed)


def test_nothing_changes_without_a_change(storage: Storage, pods: Resource) -> None:
    """A no-op makes neither a version nor a log entry, in whatever order its keys come."""
    made = make(storage, pods, "a", spec={"a": 1, "b": 2})
    stream = watch(storage, pods, resourceVersion=str(made.version))
    obj = decoded(made)
    again = storage.update(pods, "a", {"spec": {"b": 2, "a": 1}, "metadata": obj["metadata"]}, namespace="default")

    assert again is made
    assert events(stream) == []


def test_the_past_can_be_read(storage: Storage, pods: Resource) -> None:
    """Any version that the log reaches back to is read exactly, whatever happened since."""
    moments: list[tuple[int, list[bytes]]] = []
    rng = random.Random(3)
    for step in range(300):
        name = f"p{rng.randrange(12)}"
        if f"default/{name}" not in storage.table(pods).items:
            make(storage, pods, name)
        elif rng.random() < 0.4:
            storage.delete(pods, name, namespace="default")
        else:
            storage.patch(pods, name, {"spec": {"step": step}}, namespace="default")
        moments.append((storage.version, [item.body for item in storage.table(pods).ordered()]))

    for version, bodies in moments:
        assert [item.body for item in storage.table(pods).at(version)] == bodies


def test_the_log_is_bounded(pods: Resource) -> None:
    """What has fallen out of the log is gone: 410 for lists, watches and continue tokens before it."""
    storage = Storage(log_size=3)
    for number in range(5):
        make(storage, pods, f"p{number}")
    token = listing(storage, pods, limit="1").continue_token

    assert storage.table(pods).floor == 3
    assert len(events(watch(storage, pods, resourceVersion="3"))) == 3
    for version in ("1", "2"):
        with pytest.raises(StatusError, match="too old resource version") as caught:
            watch(storage, pods, resourceVersion=version)
        assert (caught.value.code, caught.value.reason) == (410, "Expired")
        with pytest.raises(StatusError, match="too old"):
            listing(storage, pods, resourceVersion=version, resourceVersionMatch="Exact")
    assert [item.name for item in listing(storage, pods, continue_=token).items] == ["p1", "p2", "p3", "p4"]
    for number in range(4):
        make(storage, pods, f"q{number}")
    with pytest.raises(StatusError) as caught:
        listing(storage, pods, continue_=token)
    fresh = caught.value.body()["metadata"]["continue"]
    assert len(listing(storage, pods, continue_=fresh).items) == 8


def test_expire(storage: Storage, pods: Resource) -> None:
    """Of one resource or of all, up to a version or wholly; open watches go on."""
    secrets = storage.resources.resolve("secrets")
    first = make(storage, pods, "a")
    make(storage, secrets, "s")
    stream = watch(storage, pods, resourceVersion=str(first.version))
    storage.expire(resource=pods)

    make(storage, pods, "b")
    assert [name for _, name, _ in events(stream)] == ["b"]
    assert len(events(watch(storage, secrets, resourceVersion="1"))) == 1
    with pytest.raises(StatusError):
        watch(storage, pods, resourceVersion=str(first.version))
    storage.expire(2)
    with pytest.raises(StatusError):
        watch(storage, secrets, resourceVersion="1")
    assert len(events(watch(storage, secrets, resourceVersion="2"))) == 1


def test_definitions_make_resources(storage: Storage) -> None:
    """A CRD adds its resource; its deletion takes the objects with it and ends their watches."""
    crds = storage.resources.resolve("crd")
    spec = {
        "group": "example.org",
        "scope": "Cluster",
        "names": {"plural": "gadgets", "kind": "Gadget", "shortNames": ["gd"]},
        "versions": [{"name": "v1beta1", "storage": False}, {"name": "v2", "storage": True}],
    }
    storage.create(crds, {"metadata": {"name": "gadgets.example.org"}, "spec": spec})
    gadgets = storage.resources.resolve("gd")
    item = storage.create(gadgets, {"metadata": {"name": "x"}})
    stream = watch(storage, gadgets, resourceVersion=str(item.version))
    storage.delete(crds, "gadgets.example.org")

    assert (gadgets.gvr.version, gadgets.namespaced, gadgets.status) == ("v2", False, False)
    assert not stream.ended
    assert [kind for kind, _, _ in events(stream)] == ["DELETED"]
    assert stream.ended
    with pytest.raises(StatusError, match="could not find the requested resource"):
        storage.table(gadgets)
    assert storage.resources.get(gadgets.gvr) is None


def test_a_definition_may_be_changed(storage: Storage) -> None:
    """Its resource is served as it says then, with the objects that there are; what cannot be read changes nothing."""
    crds = storage.resources.resolve("crd")
    names = {"plural": "gadgets", "kind": "Gadget"}
    spec = {"group": "example.org", "names": names, "versions": [{"name": "v1"}]}
    storage.create(crds, {"metadata": {"name": "gadgets.example.org"}, "spec": spec})
    make(storage, storage.resources.resolve("gadgets"), "x")
    version = {"name": "v1", "subresources": {"status": {}, "scale": SCALE}, "schema": {"openAPIV3Schema": {"x": 1}}}
    patch = {"spec": {"versions": [version], "names": {"shortNames": ["gd"]}}}
    storage.patch(crds, "gadgets.example.org", patch, options=WriteOptions(dry_run=True))
    assert not storage.resources.resolve("gadgets").status
    storage.patch(crds, "gadgets.example.org", patch)
    gadgets = storage.resources.resolve("gd")

    assert (gadgets.status, gadgets.schema, gadgets.scale is None) == (True, {"x": 1}, False)
    assert storage.table(gadgets).resource is gadgets
    assert storage.get(gadgets, "default", "x").name == "x"
    storage.patch(crds, "gadgets.example.org", {"spec": {"versions": []}})
    assert storage.resources.resolve("gd") is gadgets


@pytest.mark.parametrize(
    "crd",
    [
        {"metadata": {"name": "x.example.org"}},
        {"metadata": {"name": "x.example.org"}, "spec": {"group": "example.org"}},
        {
            "metadata": {"name": "y.example.org"},
            "spec": {"group": "example.org", "names": {"plural": "x", "kind": "X"}, "versions": [{"name": "v1"}]},
        },
    ],
)
def test_bad_definitions(storage: Storage, crd: dict[str, Any]) -> None:
    """422, and nothing is served."""
    with pytest.raises(StatusError) as caught:
        storage.create(storage.resources.resolve("crd"), crd)

    assert caught.value.code == 422
    assert "example.org" not in storage.resources.groups()


def test_rbac_names_are_path_segments(storage: Storage) -> None:
    """system:node is a name there, and only there."""
    assert make(storage, storage.resources.resolve("clusterroles"), "system:node").name == "system:node"
    with pytest.raises(StatusError, match="Invalid value"):
        make(storage, storage.resources.resolve("nodes"), "system:node")


def test_a_resource_is_added_once(storage: Storage) -> None:
    """A second one would hide the first one's objects."""
    with pytest.raises(ValueError, match="served already"):
        storage.add_resource(WIDGETS)


def test_an_object_needs_metadata(storage: Storage, pods: Resource) -> None:
    """400, as for everything that is no object."""
    with pytest.raises(StatusError) as caught:
        storage.create(pods, {"metadata": None})

    assert str(caught.value) == "400 BadRequest: a Pod needs an object as its metadata"


def test_a_resource_that_is_served_again_has_forgotten_what_was(storage: Storage) -> None:
    """As the real server's new watch cache has: a watch would miss that the old objects are gone."""
    before = make(storage, WIDGETS, "old").version
    storage.remove_resource(WIDGETS)
    storage.add_resource(WIDGETS)
    with pytest.raises(StatusError, match="too old resource version"):
        watch(storage, WIDGETS, resourceVersion=str(before))


def test_a_namespace_that_has_objects_is_there(storage: Storage, pods: Resource) -> None:
    """It need not be created; without objects, it is not."""
    namespaces = storage.resources.resolve("namespaces")
    make(storage, pods, "a")
    found = decoded(storage.read(namespaces, "", "default"))
    assert (found["kind"], found["metadata"]["name"], found["status"]["phase"]) == ("Namespace", "default", "Active")
    assert listing(storage, namespaces).items == []
    storage.delete(pods, "a", namespace="default")
    with pytest.raises(StatusError, match='namespaces "default" not found'):
        storage.read(namespaces, "", "default")
    assert decoded(storage.create(namespaces, {"metadata": {"name": "default"}})) == decoded(
        storage.read(namespaces, "", "default")
    )


def managers(item: Any) -> list[tuple[str, str, str]]:
    found = decoded(item)["metadata"].get("managedFields", ())
    return [(each["manager"], each["operation"], each.get("subresource", "")) for each in found]


def test_an_apply_creates_and_changes(storage: Storage, pods: Resource) -> None:
    """In its part; and the second time it changes nothing."""
    config = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"x": 1}, "status": {"phase": "x"}}
    options, part = WriteOptions(manager="me"), Part.MAIN
    made, is_new = storage.apply(pods, "a", config, namespace="n", part=part, options=options)
    again, is_newer = storage.apply(pods, "a", config, namespace="n", part=part, options=options)

    assert (is_new, is_newer, again is made) == (True, False, True)
    assert "status" not in decoded(made)
    status = WriteOptions(manager="me", subresource="status")
    reported, _ = storage.apply(pods, "a", config, namespace="n", part=Part.STATUS, options=status)
    assert decoded(reported)["status"] == {"phase": "x"}
    assert managers(reported) == [("me", "Apply", ""), ("me", "Apply", "status")]
    less = {**config, "spec": {"y": None, "z": 1}}
    changed, _ = storage.apply(pods, "a", less, namespace="n", part=part, options=options)
    assert (decoded(changed)["spec"], decoded(changed)["metadata"]["generation"]) == ({"z": 1}, 2)
    with pytest.raises(StatusError, match='404 NotFound: pods "b" not found'):
        storage.apply(pods, "b", config, namespace="n", part=Part.STATUS, options=status)
    lost = {**config, "metadata": {"name": "b", "uid": "u"}}
    with pytest.raises(StatusError, match=r"409 Conflict: .* uid mismatch: the provided object specified uid u, and"):
        storage.apply(pods, "b", lost, namespace="n", options=options)


def test_python_writes_own_nothing_unless_there_are_owners(storage: Storage, pods: Resource) -> None:
    """What Python code writes of them itself stays as it is."""
    plain = make(storage, pods, "a", spec={"x": 1})
    changed = storage.patch(pods, "a", {"spec": {"x": 2}}, namespace="default")
    assert managers(plain) == managers(changed) == []

    entry: dict[str, Any] = {"manager": "m", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1"}
    entry["fieldsV1"] = {"f:spec": {"f:x": {}}}
    set_ = storage.patch(pods, "a", {"metadata": {"managedFields": [entry]}}, namespace="default")
    assert decoded(set_)["metadata"]["managedFields"] == [entry]
    taken = storage.patch(pods, "a", {"spec": {"x": 3}}, namespace="default")
    assert managers(taken) == [("unknown", "Update", "")]
    obj = decoded(taken)
    del obj["metadata"]["managedFields"]
    kept = storage.update(pods, "a", obj | {"spec": {"x": 3, "y": 1}}, namespace="default")
    assert managers(kept) == [("unknown", "Update", "")]


def test_writes_with_a_manager_own_what_they_set(storage: Storage, pods: Resource) -> None:
    made = storage.create(pods, {"metadata": {"name": "a"}, "spec": {"x": 1}}, options=WriteOptions(manager="one"))
    two = WriteOptions(manager="two")
    changed = storage.patch(pods, "a", {"spec": {"y": 1}}, namespace="default", options=two)
    same = storage.patch(pods, "a", {"spec": {"y": 1}}, namespace="default", options=WriteOptions(manager="three"))

    assert managers(made) == [("one", "Update", "")]
    assert managers(changed) == [("one", "Update", ""), ("two", "Update", "")]
    assert same is changed


def test_a_change_may_be_any_function(storage: Storage, pods: Resource) -> None:
    """Of an object; what it returns must be one."""
    make(storage, pods, "a", spec={"x": 1})

    def increase(obj: dict[str, Any]) -> dict[str, Any]:
        obj["spec"]["x"] += 1
        return obj

    assert decoded(storage.change(pods, "a", increase, namespace="default"))["spec"] == {"x": 2}
    with pytest.raises(StatusError, match="400 BadRequest: a Pod is a JSON object"):
        storage.change(pods, "a", lambda _: [], namespace="default")


@pytest.mark.parametrize("propagation", [Propagation.FOREGROUND, Propagation.ORPHAN])
def test_deletions_that_the_garbage_collector_ends(storage: Storage, pods: Resource, propagation: Propagation) -> None:
    """The object stays, and says what it waits for; Events have no dependents."""
    make(storage, pods, "a")
    marked, gone = storage.delete(pods, "a", namespace="default", options=DeleteOptions(propagation=propagation))
    assert not gone
    assert len(decoded(marked)["metadata"]["finalizers"]) == 1
    _, gone = storage.delete(pods, "a", namespace="default", options=DeleteOptions(propagation=Propagation.BACKGROUND))
    assert gone
    events_ = storage.resources.resolve("events")
    make(storage, events_, "e")
    assert storage.delete(events_, "e", namespace="default", options=DeleteOptions(propagation=propagation))[1]

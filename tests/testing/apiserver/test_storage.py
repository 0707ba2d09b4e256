"""The storage and the pure modules around it, without a loop."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from typing import Any

import pytest

from aioinformers.testing.apiserver.documents import merge_patch
from aioinformers.testing.apiserver.listing import Listing, list_objects
from aioinformers.testing.apiserver.resources import DEFAULT_RESOURCES, Resource, Resources
from aioinformers.testing.apiserver.selection import Selection
from aioinformers.testing.apiserver.status import StatusError
from aioinformers.testing.apiserver.storage import Part, Storage
from aioinformers.testing.apiserver.table import LaggedBehindError, Stored
from aioinformers.testing.apiserver.watching import Watch, WatchOptions, open_watch
from aioinformers.types import GroupVersionResource

WIDGETS = Resource(
    gvr=GroupVersionResource("example.com", "v1", "widgets"), kind="Widget", status=True, generation=True, custom=True
)


@pytest.fixture
def storage() -> Storage:
    return Storage((*DEFAULT_RESOURCES, WIDGETS), now=lambda: datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))


@pytest.fixture
def pods(storage: Storage) -> Resource:
    return storage.resources.resolve("pods")


def decoded(item: Stored) -> dict[str, Any]:
    obj: dict[str, Any] = json.loads(item.body)
    return obj


def make(storage: Storage, resource: Resource, name: str, **fields: Any) -> Stored:
    return storage.create(resource, {"metadata": {"name": name}, **fields})


def listing(storage: Storage, resource: Resource, *, watch_cache: bool = True, **query: str) -> Listing:
    names = {name.rstrip("_"): value for name, value in query.items()}
    selection = Selection.parse(resource, "", names)
    return list_objects(storage, resource, selection, names, watch_cache=watch_cache)


def watch(storage: Storage, resource: Resource, **query: str) -> Watch:
    selection = Selection.parse(resource, query.pop("namespace", ""), query)
    return open_watch(storage, resource, selection, WatchOptions.parse(query, watch_list=True))


def events(stream: Watch) -> list[tuple[str, str, str]]:
    seen = []
    while lines := stream.read():
        for line in lines.splitlines():
            event = json.loads(line)
            metadata = event["object"]["metadata"]
            seen.append((event["type"], metadata.get("name", ""), metadata["resourceVersion"]))
    return seen


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


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch_examples_of_the_rfc(target: Any, patch: Any, result: Any) -> None:
    """RFC 7386, appendix A."""
    before = json.dumps(target)

    assert merge_patch(target, patch) == result
    assert json.dumps(target) == before


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


def test_a_watch_that_lags_behind_the_log_is_cut(pods: Resource) -> None:
    """It is told, and cannot go on as if nothing was missing."""
    storage = Storage(log_size=3)
    stream = watch(storage, pods, resourceVersion="1")
    for number in range(4):
        make(storage, pods, f"p{number}")

    with pytest.raises(LaggedBehindError):
        stream.read()


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


def test_an_open_watch_that_has_read_everything_survives_a_compaction(storage: Storage, pods: Resource) -> None:
    """Only what has not been read yet can be missed."""
    stream = watch(storage, pods, resourceVersion="1")
    make(storage, pods, "a")
    assert len(events(stream)) == 1
    storage.expire()
    make(storage, pods, "b")

    assert [name for _, name, _ in events(stream)] == ["b"]


def test_watch_of_a_namespace(storage: Storage, pods: Resource) -> None:
    """Other namespaces are not seen."""
    stream = watch(storage, pods, resourceVersion="1", namespace="b")
    for namespace in ("a", "b"):
        storage.create(pods, {"metadata": {"name": "x", "namespace": namespace}})
    storage.delete(pods, "x", namespace="a")
    storage.delete(pods, "x", namespace="b")

    assert events(stream) == [("ADDED", "x", "3"), ("DELETED", "x", "5")]


def test_initial_objects_and_live_ones_do_not_overlap(storage: Storage, pods: Resource) -> None:
    """A write while initial objects are still being sent comes after the mark, once."""
    for number in range(300):
        make(storage, pods, f"p{number:03}")
    stream = watch(
        storage, pods, sendInitialEvents="true", resourceVersionMatch="NotOlderThan", allowWatchBookmarks="1"
    )
    first = stream.read()
    storage.patch(pods, "p299", {"spec": {"a": 1}}, namespace="default")
    rest = events(stream)

    assert first.count(b"\n") < 300
    assert [kind for kind, _, _ in rest[-3:]] == ["ADDED", "BOOKMARK", "MODIFIED"]
    assert rest[-3:] == [("ADDED", "p299", "301"), ("BOOKMARK", "", "301"), ("MODIFIED", "p299", "302")]


def test_without_initial_objects_on_request(storage: Storage, pods: Resource) -> None:
    """sendInitialEvents=false begins now."""
    make(storage, pods, "a")
    stream = watch(storage, pods, sendInitialEvents="false", resourceVersionMatch="NotOlderThan")
    make(storage, pods, "b")

    assert [name for _, name, _ in events(stream)] == ["b"]


def test_old_servers_do_not_know_send_initial_events() -> None:
    """422, and no mark after initial objects."""
    query = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "true"}
    with pytest.raises(StatusError) as caught:
        WatchOptions.parse(query, watch_list=False)

    assert caught.value.code == 422
    assert not WatchOptions.parse({"allowWatchBookmarks": "true"}, watch_list=False).marked


def test_lists_without_a_watch_cache_are_always_paged(storage: Storage, pods: Resource) -> None:
    """Where etcd answers resourceVersion=0, the limit counts."""
    for name in ("a", "b"):
        make(storage, pods, name)

    assert len(listing(storage, pods, limit="1", resourceVersion="0").items) == 2
    assert len(listing(storage, pods, limit="1", resourceVersion="0", watch_cache=False).items) == 1


def test_chunks_are_the_list(storage: Storage, pods: Resource) -> None:
    """Cut anywhere between objects, the bytes are the same."""
    for number in range(50):
        make(storage, pods, f"p{number}")
    whole = listing(storage, pods)
    chunks = list(whole.chunks(500))

    assert len(chunks) > 10
    assert b"".join(chunks) == b"".join(whole.chunks())
    assert len(json.loads(b"".join(chunks))["items"]) == 50


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


def test_resources_are_found_by_any_name() -> None:
    """GVR, dotted name, plural, short name; doubt is an error."""
    resources = Resources((*DEFAULT_RESOURCES, WIDGETS))
    deployments = resources.resolve("deployments")

    assert resources.resolve("deploy") is deployments
    assert resources.resolve("deployments.v1.apps") is deployments
    assert resources.resolve(deployments.gvr) is deployments
    with pytest.raises(LookupError, match="no resource is served as 'nonsense'"):
        resources.resolve("nonsense")
    other = Resource(gvr=GroupVersionResource("other.example.com", "v1", "widgets"), kind="Widget")
    resources.add(other)
    with pytest.raises(LookupError, match="more than one resource is served as 'widgets'"):
        resources.resolve("widgets")


def test_a_resource_is_added_once(storage: Storage) -> None:
    """A second one would hide the first one's objects."""
    with pytest.raises(ValueError, match="served already"):
        storage.add_resource(WIDGETS)


def test_an_object_needs_metadata(storage: Storage, pods: Resource) -> None:
    """400, as for everything that is no object."""
    with pytest.raises(StatusError) as caught:
        storage.create(pods, {"metadata": None})

    assert str(caught.value) == "400 BadRequest: a Pod needs an object as its metadata"

"""Models that decode themselves: what is decoded when, and that nobody can tell otherwise."""

from __future__ import annotations

import copy
import functools
import gc
import json
import pickle
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from kubernetes_asyncio import client

from aioinformers.objects.models import model_decoder
from tests.kit.fixtures import APIServer
from tests.kit.stock import assert_same, decode, deserialize, full, sanitize

decode_pod: Callable[[bytes], Any] = model_decoder(client.V1Pod, kind="Pod", api_version="v1")
POD = {
    "metadata": {
        "name": "web",
        "namespace": "prod",
        "labels": {"app": "web"},
        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "1"}],
        "managedFields": [{"manager": "m", "fieldsV1": {"f:spec": {}}}],
    },
    "spec": {
        "nodeName": "n1",
        "containers": [
            {"name": "web", "env": [{"name": "A", "value": "1"}], "livenessProbe": {"exec": {"command": ["a"]}}}
        ],
    },
    "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
}  # fmt: skip
RAW = json.dumps(POD).encode()
NOT_UTF8 = (UnicodeDecodeError, msgspec.DecodeError)
"""What msgspec raises for a text that is not UTF-8, before and since version 0.23."""


def stock_pod() -> client.V1Pod:
    """Return the same as the client makes it."""
    pod: client.V1Pod = deserialize({"kind": "Pod", "apiVersion": "v1", **POD}, client.V1Pod)
    return pod


# What is decoded when. Bytes that are no UTF-8 are found out by whoever decodes them.

BROKEN = b"""{
    "metadata": {"name": "web", "labels": {"a": "b"}, "managedFields": [{"manager": "\xff"}]},
    "spec": {"nodeName": "\xff"},
    "status": {"phase": "Running", "conditions": [{"type": "\xff"}], "podIP": "10.0.0.1"}
}"""


def test_nothing_is_decoded_before_it_is_read() -> None:
    """Not even the first byte is looked at."""
    pod = decode_pod(b"no JSON")
    for _ in range(2):
        with pytest.raises(msgspec.DecodeError):
            _ = pod.metadata


def test_what_is_read_decodes_nothing_beside_it() -> None:
    """A phase is read without the spec, the conditions and the managed fields."""
    pod = decode_pod(BROKEN)
    assert pod.status.phase == "Running"
    assert pod.status.pod_ip == "10.0.0.1"
    assert pod.metadata.name == "web"
    assert pod.metadata.labels == {"a": "b"}
    for part, name in ((pod.spec, "node_name"), (pod.status, "conditions"), (pod.metadata, "managed_fields")):
        with pytest.raises(NOT_UTF8):
            getattr(part, name)
    assert pod.status.phase == "Running"


def test_what_has_been_read_is_kept() -> None:
    """Every read gives the same object, on each level, absent ones too."""
    pod = decode_pod(RAW)
    assert pod.status is pod.status
    assert pod.status.conditions is pod.status.conditions
    assert pod.spec.containers[0] is pod.spec.containers[0]
    assert pod.spec.volumes is pod.spec.volumes is None
    assert {"_conditions"} <= vars(pod.status).keys()


def test_parts_are_read_after_the_whole_is_gone() -> None:
    """They keep the object's bytes and nothing else."""
    raw = bytes(bytearray(RAW))
    free = sys.getrefcount(raw)
    status = decode_pod(raw).status
    assert sys.getrefcount(raw) > free
    conditions = status.conditions
    assert conditions[0].type == "Ready"
    del status
    assert sys.getrefcount(raw) == free


def test_models_at_the_top_wait_too() -> None:
    """An Event has nearly all it says at the top, a ConfigMap no spec, a Role a list."""
    event: Any = model_decoder(client.CoreV1Event)(
        b'{"reason":"BackOff","source":{"host":"\xff"},"count":3,"related":null}'
    )
    assert (event.reason, event.count, event.related, event.message) == ("BackOff", 3, None, None)
    with pytest.raises(NOT_UTF8):
        _ = event.source.host
    config = model_decoder(client.V1ConfigMap)(
        b'{"metadata":{"name":"c"},"data":{"a":"\xff"},"binaryData":{"b":"AAE="}}'
    )
    assert config.metadata.name == "c"
    assert config.binary_data == {"b": "AAE="}
    with pytest.raises(NOT_UTF8):
        _ = config.data
    role = model_decoder(client.V1Role)(b'{"rules":[{"verbs":["get"]}]}')
    assert role.rules[0].verbs == ["get"]


# Assignments.


def test_an_assignment_before_the_first_read_wins() -> None:
    """On both levels, for plain values, for others, and for what is absent."""
    pod = decode_pod(RAW)
    spec = client.V1PodSpec(containers=[])
    pod.kind, pod.spec = "Other", spec
    assert (pod.kind, pod.api_version) == ("Other", "v1")
    assert pod.spec is spec
    status = pod.status
    status.phase, status.conditions, status.message = "Failed", [], "bad"
    assert (status.phase, status.conditions, status.message) == ("Failed", [], "bad")
    pod.metadata = None
    assert pod.metadata is None
    metadata = decode_pod(RAW).metadata
    metadata.labels = None
    metadata.labels = {"b": "2"}
    assert metadata.labels == {"b": "2"}
    assert metadata.name == "web"


def test_an_assignment_after_the_first_read_wins() -> None:
    """As with any object."""
    pod = decode_pod(RAW)
    assert pod.status.phase == "Running"
    pod.status.phase, pod.status.conditions[0].status = "Failed", "False"
    pod.spec.containers[0].image = "web:2"
    assert (pod.status.phase, pod.status.conditions[0].status) == ("Failed", "False")
    assert pod.spec.containers[0].image == "web:2"
    pod.note = "any attribute can be set, as on the client's models"
    assert pod.note.startswith("any")


def test_setters_follow_the_default_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """`local_vars_configuration` resolves when asked: setters validate as long as the default says so."""
    pod = decode_pod(RAW)
    for model, attribute in ((pod.spec, "containers"), (pod.spec.containers[0], "name")):
        with pytest.raises(ValueError, match="must not be `None`"):
            setattr(model, attribute, None)
    configuration: Any = client.Configuration()
    configuration.client_side_validation = False
    monkeypatch.setattr(client.Configuration, "_default", configuration)
    pod.spec.containers = None
    assert pod.spec.containers is None
    with pytest.raises(AttributeError):
        pod.local_vars_configuration.host = "changed for everybody"
    assert repr(pod.local_vars_configuration) == "<default configuration of kubernetes_asyncio.client>"
    pod.spec.local_vars_configuration = configuration
    assert pod.spec.local_vars_configuration is configuration


def test_g13_each_call_makes_an_object_of_its_own() -> None:
    """Changing one, however deep, changes no other."""
    untouched = decode_pod(RAW).to_dict()
    first, second = decode_pod(RAW), decode_pod(RAW)
    _ = second.spec.containers, second.metadata.labels
    first.metadata.labels["app"] = "changed"
    first.metadata.managed_fields[0].fields_v1["f:spec"]["f:x"] = {}
    first.metadata.owner_references.clear()
    first.spec.containers[0].env[0].value = "changed"
    first.spec.containers[0].liveness_probe._exec.command.append("b")
    first.status = None
    assert second.to_dict() == untouched == decode_pod(RAW).to_dict()
    assert first != second


# They pass for the client's models.


def touch(pod: Any, extent: str) -> Any:
    """Read some of a Pod, or change it."""
    if extent == "two fields":
        _ = pod.status.phase, pod.spec.node_name
    elif extent == "everything":
        pod.to_dict()
    elif extent == "changed":
        pod.metadata.labels["b"] = "2"
        pod.spec.containers[0].image = "web:2"
        pod.status.conditions = []
        pod.status.phase = "Failed"
        pod.note = "x"
    return pod


EXTENTS = ["nothing", "two fields", "everything", "changed"]


def test_their_classes_look_like_the_clients() -> None:
    """And are subclasses of them, on each level."""
    pod = decode_pod(RAW)
    levels: list[tuple[Any, Any]] = [
        (pod, client.V1Pod),
        (pod.spec, client.V1PodSpec),
        (pod.spec.containers[0], client.V1Container),
    ]
    for ours, stock in levels:
        generated = type(ours)
        assert isinstance(ours, stock)
        assert issubclass(generated, stock)
        assert repr(generated) == repr(stock)
        assert (generated.__name__, generated.__qualname__) == (stock.__name__, stock.__qualname__)
        assert (generated.__module__, generated.__doc__) == (stock.__module__, stock.__doc__)
        assert ours.openapi_types is stock.openapi_types
    match pod:
        case client.V1Pod(metadata=client.V1ObjectMeta(name=name)):
            assert name == "web"
        case _:
            pytest.fail("no match")
    dispatched = functools.singledispatch(lambda _: "something")
    dispatched.register(client.V1Pod, lambda _: "a Pod")
    assert dispatched(pod) == "a Pod"


@pytest.mark.parametrize("extent", EXTENTS)
def test_equality_is_that_of_the_client(extent: str) -> None:
    """Against its models in both directions, against each other, and against other things."""
    ours, theirs, other = touch(decode_pod(RAW), extent), touch(stock_pod(), extent), touch(decode_pod(RAW), extent)
    assert ours == theirs
    assert theirs == ours
    assert ours == other
    assert (ours != theirs) is False
    assert (theirs != ours) is False
    assert (ours != other) is False
    other.metadata.name = "else"
    assert ours != other
    assert theirs != other
    assert ours != client.V1Service()
    assert ours != 5
    container = decode_pod(RAW).spec.containers[0]
    assert container == stock_pod().spec.containers[0]
    assert stock_pod().spec.containers[0] == container
    for model in (ours, ours.metadata, container):
        with pytest.raises(TypeError, match="unhashable"):
            hash(model)


@pytest.mark.parametrize("extent", EXTENTS)
def test_texts_and_dicts_are_those_of_the_client(extent: str) -> None:
    """`repr`, `str`, `to_str`, `to_dict` in both namings."""
    ours, theirs = touch(decode_pod(RAW), extent), touch(stock_pod(), extent)
    assert repr(ours) == repr(theirs)
    assert str(decode_pod(RAW).spec) == str(stock_pod().spec)
    assert ours.to_str() == theirs.to_str()
    assert ours.to_dict(serialize=True) == theirs.to_dict(serialize=True)
    assert ours.to_dict() == theirs.to_dict()


@pytest.mark.parametrize("extent", EXTENTS)
def test_what_is_handed_back_to_the_client_is_what_came(extent: str) -> None:
    """`sanitize_for_serialization` is how the client makes the body of a request."""
    ours, theirs = touch(decode_pod(RAW), extent), touch(stock_pod(), extent)
    assert sanitize(ours) == sanitize(theirs)
    if extent != "changed":
        assert sanitize(ours) == {"kind": "Pod", "apiVersion": "v1", **POD}
    assert sanitize({"items": [ours.spec, ours.spec.containers[0]]}) == {
        "items": [sanitize(theirs.spec), sanitize(theirs.spec.containers[0])]
    }


async def test_the_server_takes_them_back(api_server: APIServer) -> None:
    """A Deployment that was read from bytes is replaced and patched."""
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": "web:1"}]}}
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    document = {"kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"name": "handed-back"}, "spec": spec}
    async with api_server.api_client() as api:
        apps = client.AppsV1Api(api)
        await apps.create_namespaced_deployment("default", document)  # type: ignore[arg-type]  # it takes dicts
        path, headers = "/apis/apps/v1/namespaces/default/deployments/handed-back", {"Accept": "application/json"}
        answer = await api.call_api(
            path, "GET", header_params=headers, auth_settings=["BearerToken"],
            _preload_content=False, _return_http_data_only=True,
        )  # fmt: skip
        deployment: Any = model_decoder(client.V1Deployment)(await answer.read())
        deployment.spec.replicas = 2
        deployment.metadata.annotations = {"by": "us"}
        replaced = await apps.replace_namespaced_deployment("handed-back", "default", deployment)
        assert (replaced.spec.replicas, replaced.metadata.annotations) == (2, {"by": "us"})
        deployment.metadata.resource_version = None
        deployment.spec.template.spec.containers[0].image = "web:2"
        patched = await apps.patch_namespaced_deployment(
            "handed-back",
            "default",
            deployment,
            _content_type="application/merge-patch+json",  # type: ignore[call-arg]
        )
        assert patched.spec.template.spec.containers[0].image == "web:2"
        await apps.delete_namespaced_deployment("handed-back", "default")


# Pickles and copies.


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("extent", EXTENTS)
def test_pickles_carry_what_was_read_and_changed(extent: str, protocol: int) -> None:
    """And what was not read still waits."""
    pod = touch(decode_pod(RAW), extent)
    loaded = pickle.loads(pickle.dumps(pod, protocol))
    assert loaded is not pod
    assert_same(loaded, touch(stock_pod(), extent))
    assert getattr(loaded, "note", None) == getattr(pod, "note", None)
    for part in (pod.spec, pod.spec.containers[0], pod.spec.containers[0].liveness_probe):
        assert_same(pickle.loads(pickle.dumps(part, protocol)), part)


def test_a_pickle_of_what_was_not_read_decodes_nothing() -> None:
    """It is little more than the bytes."""
    pickled = pickle.dumps(decode_pod(BROKEN))
    assert len(pickled) < len(BROKEN) + 400
    pod = pickle.loads(pickled)
    assert (pod.status.phase, pod.kind) == ("Running", "Pod")
    again = pickle.loads(pickle.dumps(pod))
    assert again.metadata.name == "web"


def test_a_pickle_is_read_by_another_process() -> None:
    """The classes are generated there anew."""
    code = (
        "import pickle, sys; pod = pickle.load(sys.stdin.buffer); print(pod.status.phase, pod.spec.containers[0].image)"
    )
    data = pickle.dumps(touch(decode_pod(RAW), "changed"))
    done = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, check=True)
    assert done.stdout.decode().split() == ["Failed", "web:2"]


def test_pickles_and_deep_copies_carry_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stock model pickles the default configuration, bearer token included (G16)."""
    configuration: Any = client.Configuration(api_key={"BearerToken": "s3cr3t"})
    monkeypatch.setattr(client.Configuration, "_default", configuration)
    pod = touch(decode_pod(RAW), "everything")
    for model in (pod, pod.spec, pod.spec.containers[0]):
        model.local_vars_configuration = configuration
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        data = pickle.dumps(pod, protocol)
        assert b"s3cr3t" not in data
        loaded = pickle.loads(data)
        assert loaded.spec.local_vars_configuration is decode_pod(RAW).local_vars_configuration
        loaded.metadata.name = "setters work"
    assert copy.deepcopy(pod).local_vars_configuration is decode_pod(RAW).local_vars_configuration
    assert copy.copy(pod).local_vars_configuration is configuration


@pytest.mark.parametrize("extent", EXTENTS)
def test_a_deep_copy_shares_nothing(extent: str) -> None:
    """What was not read still waits, in both."""
    pod = touch(decode_pod(RAW), extent)
    copied = copy.deepcopy(pod)
    assert type(copied) is type(pod)
    assert_same(copied, touch(stock_pod(), extent))
    copied.metadata.labels["c"] = "3"
    copied.spec.containers[0].env.clear()
    copied.spec.containers[0].liveness_probe._exec.command[0] = "b"
    assert_same(pod, touch(stock_pod(), extent))


@pytest.mark.parametrize("extent", EXTENTS)
@pytest.mark.parametrize(
    ("find", "plain", "below"),
    [
        (lambda pod: pod, "kind", "metadata"),
        (lambda pod: pod.metadata, "name", "managed_fields"),
        (lambda pod: pod.spec.containers[0], "image", "env"),
    ],
    ids=["whole", "part", "leaf"],
)
def test_a_shallow_copy_shares_what_is_below(find: Callable[[Any], Any], plain: str, below: str, extent: str) -> None:
    """As one of the client's models does, although that has not been read."""
    original = find(touch(decode_pod(RAW), extent))
    copied = copy.copy(original)
    assert copied is not original
    assert type(copied) is type(original)
    assert getattr(copied, below) is getattr(original, below)
    assert copied == original
    assert getattr(copied, "note", None) == getattr(original, "note", None)
    setattr(copied, plain, "changed")
    assert getattr(original, plain) != "changed"


# Memory and threads.


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("extent", EXTENTS)
def test_no_cycle_keeps_an_object(extent: str) -> None:
    """It is gone with its last reference, and so is all that it has decoded."""
    pod = touch(decode_pod(RAW), extent)
    alive = [weakref.ref(model) for model in (pod, pod.spec, pod.spec.containers[0], pod.metadata.owner_references[0])]
    del pod
    assert [reference() for reference in alive] == [None] * 4


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize(
    "holder",
    [
        lambda pod: pod,
        lambda pod: pod.spec,
        lambda pod: pod.spec.containers[0],
        lambda pod: pod.status.conditions[0],
    ],
    ids=["whole", "part", "leaf", "leaf of plain values"],
)
def test_the_collector_sees_cycles_that_users_make(holder: Callable[[Any], Any]) -> None:
    """Through what was decoded, on each level."""
    pod = decode_pod(RAW)
    holder(pod).owner = pod
    alive = weakref.ref(pod)
    del pod
    assert alive() is not None
    gc.collect()
    assert alive() is None


@pytest.fixture
def busy_switching() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("busy_switching")
def test_threads_that_read_at_once_get_the_same() -> None:
    """And none of them sees anything half done."""
    document = full("V1Pod")
    expected = decode(document, client.V1Pod).to_dict()
    for _ in range(5):
        pod = decode(document, client.V1Pod)
        start = threading.Barrier(4)
        found: list[Any] = []

        def work(pod: Any = pod, start: Any = start, found: Any = found) -> None:
            start.wait()
            parts = pod.status, pod.spec, pod.metadata
            found.append((*parts, parts[0].conditions, parts[1].containers, parts[2].labels, pod.to_dict()))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 4
        assert all(seen is first for *others, _ in found for seen, first in zip(others, found[0], strict=False))
        assert all(seen[-1] == expected for seen in found)


@pytest.mark.usefixtures("busy_switching")
def test_an_assignment_is_not_lost_to_a_reader() -> None:
    """However the two fall together."""
    for _ in range(300):
        pod = decode_pod(RAW)
        status = pod.status
        start = threading.Barrier(2)

        def read(pod: Any = pod, status: Any = status, start: Any = start) -> None:
            start.wait()
            _ = status.conditions, status.phase, pod.spec, pod.kind

        reader = threading.Thread(target=read)
        reader.start()
        start.wait()
        status.conditions, status.phase, pod.spec, pod.kind = [], "Failed", None, "Other"
        reader.join()
        assert (status.conditions, status.phase, pod.spec, pod.kind) == ([], "Failed", None, "Other")


# Other libraries.


def test_rich_shows_attributes() -> None:
    """And not how they are stored."""
    container = decode_pod(RAW).spec.containers[0]
    shown = {name: value for name, value, default in container.__rich_repr__() if value is not default}
    assert shown == {"name": "web", "env": container.env, "liveness_probe": container.liveness_probe}


def test_msgspec_encodes_them_as_the_client_or_asks() -> None:
    """Wholes and parts are refused, so that nobody writes what is inside; leaves are written as the client would."""
    pod = decode_pod(RAW)
    for model in (pod, pod.spec):
        with pytest.raises(TypeError, match="unsupported"):
            msgspec.json.encode(model)
        assert msgspec.json.decode(msgspec.json.encode(sanitize(model))) == sanitize(model)
    container = pod.spec.containers[0]
    assert msgspec.json.decode(msgspec.json.encode(container)) == sanitize(container)
